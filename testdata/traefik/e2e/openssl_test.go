package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"software.sslmate.com/src/go-pkcs12"
)

// authority reads a CA's certificate.
func authority(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	data := check.Must(os.ReadFile(file))(t)
	block, rest := pem.Decode(data)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		t.Fatalf("%s isn't one certificate: %s", file, data)
	}
	certificate := check.Must(x509.ParseCertificate(block.Bytes))(t)
	return certificate
}

const p12Password = "correct horse: battery 'staple'"

// imported opens the file for a phone, as the phone does.
func imported(t *testing.T, dir, name string) *tls.Certificate {
	t.Helper()
	file := check.Must(os.ReadFile(filepath.Join(dir, name+".p12")))(t)
	if _, _, err := pkcs12.Decode(file, "wrong"); err == nil {
		t.Errorf("%s.p12 opens with any password", name)
	}
	key, certificate, err := pkcs12.Decode(file, p12Password) // fails unless there is one key and one certificate
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key, Leaf: certificate}
}

func TestCertificatesByOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("OpenSSL is missing: install it (Debian: apt-get install openssl)")
	}
	const example = "certificates/openssl.sh"
	dir, other := t.TempDir(), t.TempDir()
	password := []string{"P12_PASSWORD=" + p12Password}
	run(t, command(t, dir, password, example))
	run(t, command(t, other, password, example))
	ca := filepath.Join(dir, "client-ca.crt")
	before := authority(t, ca)
	asked := command(t, dir, nil, example, "tablet")
	asked.Stdin = strings.NewReader(p12Password + "\n" + p12Password + "\n") // it asks twice, here where there is no terminal
	run(t, asked)
	if !authority(t, ca).Equal(before) {
		t.Error("the second device has another CA")
	}

	if !before.IsCA || !before.BasicConstraintsValid || before.Subject.CommonName != "Home client CA" ||
		before.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
		t.Errorf("the CA is %+v", before)
	}
	if got, want := before.NotAfter.Sub(before.NotBefore), 3650*24*time.Hour; got != want {
		t.Errorf("the CA lives for %v, want %v", got, want)
	}
	phone := pair(t, dir, "phone")
	leaf := phone.Leaf
	if leaf.IsCA || !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) ||
		leaf.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("the phone's certificate is for %v, %v", leaf.ExtKeyUsage, leaf.KeyUsage)
	}
	if got, want := leaf.NotAfter.Sub(leaf.NotBefore), 730*24*time.Hour; got != want {
		t.Errorf("the phone's certificate lives for %v, want %v", got, want)
	}
	for _, name := range []string{"client-ca.key", "phone.key", "phone.p12"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, %v, want the owner's alone", name, info, err)
		}
	}
	tell := exec.CommandContext(t.Context(), "openssl", "pkcs12", "-info", "-noout", "-in", "phone.p12", "-passin", "pass:"+p12Password)
	tell.Dir = dir
	information, err := tell.CombinedOutput()
	const tripleDES = "pbeWithSHA1And3-KeyTripleDES-CBC,"
	for _, old := range []string{"MAC: sha1,", "PKCS7 Encrypted data: " + tripleDES, "Shrouded Keybag: " + tripleDES} {
		if err != nil || !strings.Contains(string(information), old) {
			t.Errorf("old phones can't open the file: it lacks %q: %v\n%s", old, err, information)
		}
	}

	live(t, verifiedBy(t, watched(nil, nil, nil), ca))
	const refused = "Get \"https://ha.home.example/\": remote error: tls: unknown certificate authority"
	walk(t,
		step{"203.0.113.7", nil, "photos", "403"},
		step{"203.0.113.7", pair(t, other, "phone"), "ha", refused}, // the same name of a CA of the same name
		step{"203.0.113.7", &home.Phone, "ha", refused},
		step{"203.0.113.7", nil, "photos", "403"},
		step{"203.0.113.7", phone, "ha", "200"},
		step{"203.0.113.7", nil, "photos", "200"},
		step{"203.0.113.8", imported(t, dir, "phone"), "ha", "200"},
		step{"203.0.113.8", nil, "photos", "200"},
		step{"203.0.113.9", imported(t, dir, "tablet"), "ha", "200"},
		step{"203.0.113.9", nil, "photos", "200"},
		step{"203.0.113.10", nil, "photos", "403"},
	)
	want := "203.0.113.9/32 cn:tablet " + fingerprint(*pair(t, dir, "tablet")) +
		", 203.0.113.8/32 cn:phone " + fingerprint(*phone) + ", 203.0.113.7/32 cn:phone " + fingerprint(*phone)
	if got := listed(t, owner(t, false), "/grants").holders(storeOf(t, "default")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
