package browser

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"software.sslmate.com/src/go-pkcs12"
)

// writeCertificates makes home's NSS database, which is where Chromium looks for a user's certificates on Linux.
func (o Options) writeCertificates(ctx context.Context, home string) error {
	folder := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	database := "sql:" + folder
	if err := nss(ctx, "certutil", "-N", "-d", database, "--empty-password"); err != nil {
		return err
	}
	if o.CA != nil {
		file := filepath.Join(home, "ca.pem")
		if err := os.WriteFile(file, o.CA.PEM(), 0o600); err != nil {
			return err
		}
		// C: an authority that is trusted to issue server certificates, and nothing else.
		if err := nss(ctx, "certutil", "-A", "-d", database, "-a", "-i", file, "-n", "server CA", "-t", "C,,"); err != nil {
			return err
		}
	}
	if len(o.Certificate.Certificate) > 0 {
		const password = "certificate"
		data, err := pack(o.Certificate, password)
		if err != nil {
			return err
		}
		file := filepath.Join(home, "client.p12")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			return err
		}
		return nss(ctx, "pk12util", "-d", database, "-i", file, "-W", password)
	}
	return nil
}

// pack puts cert, its key and its intermediates into a PKCS #12 file.
func pack(cert tls.Certificate, password string) ([]byte, error) {
	var chain []*x509.Certificate
	for _, der := range cert.Certificate {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, parsed)
	}
	return pkcs12.Modern.Encode(cert.PrivateKey, chain[0], chain[1:], password)
}

// nss runs one of the tools of NSS.
func nss(ctx context.Context, tool string, args ...string) error {
	path, err := lookUp(tool, "libnss3-tools")
	if err != nil {
		return err
	}
	if output, err := exec.CommandContext(ctx, path, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", tool, err, bytes.TrimSpace(output))
	}
	return nil
}
