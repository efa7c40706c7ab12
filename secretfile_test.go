package mtlsallowlist

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A vault is the folder of secrets in a folder that has others, too.
type vault struct {
	t   *testing.T
	dir string
}

func newVault(t *testing.T) *vault {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	v := &vault{t, dir}
	v.write("secrets/password", "correct horse\n")
	t.Setenv("MTLSALLOWLIST_SECRETS", v.at("secrets"))
	return v
}

func (v *vault) at(path string) string { return v.dir + "/" + path }

func (v *vault) write(path, text string) {
	v.t.Helper()
	if err := os.MkdirAll(filepath.Dir(v.at(path)), 0o700); err != nil {
		v.t.Fatal(err)
	}
	if err := os.WriteFile(v.at(path), []byte(text), 0o600); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) link(path, target string) {
	v.t.Helper()
	if err := os.Symlink(target, v.at(path)); err != nil {
		v.t.Fatal(err)
	}
}

// passwordFrom returns the password that is read from a path, or what is wrong with it.
func passwordFrom(path string) (password, fault string) {
	s, err := parse(&Config{Mode: "enforce", Redis: &Redis{PasswordFile: path}})
	if err != nil {
		return "", err.Error()
	}
	return s.redis.Password, ""
}

const outsideSecrets = "redis.passwordFile: want the path of a file below /run/secrets/, or instead below the folder that MTLSALLOWLIST_SECRETS in Traefik's environment names"

func TestAPasswordIsReadBelowTheFolderOfSecretsAlone(t *testing.T) {
	v := newVault(t)
	v.write("outside", "hunter2")
	v.write("secrets-too/password", "hunter2")
	v.write("secrets/below/password", "of below")
	v.write("secrets/..2026_01_02/password", "of Kubernetes")
	v.link("secrets/..data", "..2026_01_02")
	v.link("secrets/mounted", "..data/password")
	v.link("secrets/absolute", v.at("secrets/below/password"))
	v.link("secrets/leak", "../outside")
	v.link("secrets/folder", "..")
	v.link("secrets/far", "folder/outside")
	v.link("secrets/loop", "loop")
	v.link("secrets/proc", "/proc/self/environ")
	v.link("inward", "secrets/password")
	v.write("secrets/empty", "")
	v.write("secrets/spaces", " \n")
	v.write("secrets/key", "-----BEGIN hunter2\nhunter2\n")
	v.write("secrets/token", "eyJhbGciOiJSUzI1NiJ9.hunter2.hunter2\n")
	v.write("secrets/kubernetes.io/serviceaccount/token", "hunter2")
	v.write("secrets/large", "hunter2")
	if err := os.Truncate(v.at("secrets/large"), 1<<30); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfifo", v.at("secrets/pipe")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, row := range []struct {
		name, path string
		want       string // the password, or what is wrong
	}{
		{"a file in it", v.at("secrets/password"), "correct horse"},
		{"a file below it", v.at("secrets/below/password"), "of below"},
		{"slashes too many", v.at("secrets//below/./password"), "of below"},
		{"up and down within", v.at("secrets/below/../password"), "correct horse"},
		{"a secret of Kubernetes", v.at("secrets/mounted"), "of Kubernetes"},
		{"a link to where it is", v.at("secrets/absolute"), "of below"},

		{"another file", v.at("outside"), outsideSecrets},
		{"a file that isn't there", v.at("nowhere"), outsideSecrets},
		{"a file of Traefik's", "/proc/self/environ", outsideSecrets},
		{"no end", "/dev/zero", outsideSecrets},
		{"the folder by default", "/run/secrets/password", outsideSecrets},
		{"up and out", v.at("secrets/../outside"), outsideSecrets},
		{"up and out from below", v.at("secrets/below/../../outside"), outsideSecrets},
		{"a folder of a longer name", v.at("secrets-too/password"), outsideSecrets},
		{"a link out of it", v.at("secrets/leak"), outsideSecrets},
		{"a link to another folder", v.at("secrets/folder/outside"), outsideSecrets},
		{"a link to a link out of it", v.at("secrets/far"), outsideSecrets},
		{"out of it and in again", v.at("secrets/folder/secrets/password"), "correct horse"},
		{"a link to what isn't there in all systems", v.at("secrets/proc"), outsideSecrets},
		{"a link from outside", v.at("inward"), outsideSecrets},
		{"a relative path", "secrets/password", outsideSecrets},
		{"a relative path with dots", "../../../.." + v.at("secrets/password"), outsideSecrets},
		{"a URL", "file://" + v.at("secrets/password"), outsideSecrets},
		{"the folder itself", v.at("secrets"), outsideSecrets},
		{"the folder itself with a slash", v.at("secrets/"), outsideSecrets},
		{"by way of /proc", "/proc/self/root" + v.at("secrets/password"), outsideSecrets},

		{"no such file", v.at("secrets/nowhere"), "redis.passwordFile: no such file or directory"},
		{"a file below a file", v.at("secrets/password/x"), "redis.passwordFile: it can't be read"},
		{"no end of a name", v.at("secrets/" + strings.Repeat("x", 1<<20)), "redis.passwordFile: file name too long"},
		{"half a name", v.at("secrets/pass\x00word"), "redis.passwordFile: invalid argument"},
		{"a link to itself", v.at("secrets/loop"), "redis.passwordFile: it can't be read"},
		{"a folder", v.at("secrets/below"), "redis.passwordFile: want a regular file"},
		{"a pipe that nobody writes to", v.at("secrets/pipe"), "redis.passwordFile: want a regular file"},
		{"an empty file", v.at("secrets/empty"), "redis.passwordFile: it is empty"},
		{"nothing but white space", v.at("secrets/spaces"), "redis.passwordFile: want a file with a password"},
		{"a gigabyte", v.at("secrets/large"), "redis.passwordFile: it is larger than 1048576 bytes"},
		{"a key", v.at("secrets/key"), "redis.passwordFile: want a password of one line"},
		{"a token", v.at("secrets/token"), "redis.passwordFile: want a password, not a token"},
		{"the token that Kubernetes gives Traefik", v.at("secrets/kubernetes.io/serviceaccount/token"), "redis.passwordFile: want a password, not a token"},
	} {
		password, fault := passwordFrom(row.path)
		if got := password + fault; got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestWhereTheFolderOfSecretsIs(t *testing.T) {
	v := newVault(t)
	v.link("link", "secrets")
	const wrong = "redis.passwordFile: MTLSALLOWLIST_SECRETS in Traefik's environment: "
	for _, row := range []struct{ name, folder, path, want string }{
		{"a folder", v.at("secrets"), v.at("secrets/password"), "correct horse"},
		{"a folder with a slash", v.at("secrets/"), v.at("secrets/password"), "correct horse"},
		{"a roundabout way", v.at("secrets/../secrets/."), v.at("secrets/password"), "correct horse"},
		{"a link to a folder", v.at("link"), v.at("link/password"), "correct horse"},
		{"a link to a folder, and another way", v.at("link"), v.at("secrets/password"), outsideSecrets},
		{"an empty one", "", v.at("secrets/password"), wrong + "want the absolute path of a folder other than the root"},
		{"a relative one", "secrets", v.at("secrets/password"), wrong + "want the absolute path of a folder other than the root"},
		{"the root", "/", v.at("secrets/password"), wrong + "want the absolute path of a folder other than the root"},
		{"the root in disguise", "/tmp//..", v.at("secrets/password"), wrong + "want the absolute path of a folder other than the root"},
		{"a link to the root", v.at("slash"), v.at("slash/etc/passwd"), wrong + "want the absolute path of a folder other than the root"},
		{"none that is there", v.at("nowhere"), v.at("nowhere/password"), wrong + "no such file or directory"},
		{"a file", v.at("secrets/password"), v.at("secrets/password/x"), "redis.passwordFile: it can't be read"},
	} {
		if row.folder == v.at("slash") {
			v.link("slash", "/")
		}
		t.Setenv("MTLSALLOWLIST_SECRETS", row.folder)
		password, fault := passwordFrom(row.path)
		if got := password + fault; got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
	if err := os.Unsetenv("MTLSALLOWLIST_SECRETS"); err != nil { // t.Setenv restores it
		t.Fatal(err)
	}
	for _, row := range []struct{ name, path, want string }{
		{"by default, another folder", v.at("secrets/password"), outsideSecrets},
		{"by default, up and out", "/run/secrets/../.." + v.at("secrets/password"), outsideSecrets},
		{"by default, no such file", "/run/secrets/mtlsallowlist/no such file", "redis.passwordFile: no such file or directory"},
	} {
		password, fault := passwordFrom(row.path)
		if got := password + fault; got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestAPasswordIsReadFromVariablesOfThePluginAlone(t *testing.T) {
	const refused = "redis.passwordEnv: want the name of an environment variable of Traefik's that begins with MTLSALLOWLIST_"
	const empty = "redis.passwordEnv: want an environment variable of Traefik's that isn't empty"
	for name, value := range map[string]string{
		"CF_DNS_API_TOKEN": "hunter2", "MTLSALLOWLIST": "hunter2", "mtlsallowlist_password": "hunter2", "X_MTLSALLOWLIST_PASSWORD": "hunter2",
		"MTLSALLOWLIST_PASSWORD": "correct horse", "MTLSALLOWLIST_EMPTY": "",
	} {
		t.Setenv(name, value)
	}
	for _, row := range []struct{ name, want string }{
		{"MTLSALLOWLIST_PASSWORD", "correct horse"},
		{"MTLSALLOWLIST_EMPTY", empty},
		{"MTLSALLOWLIST_NOWHERE", empty},
		{"MTLSALLOWLIST_", empty},
		{"MTLSALLOWLIST_PASSWORD ", empty},
		{"MTLSALLOWLIST_PASSWORD=", empty},
		{"CF_DNS_API_TOKEN", refused},
		{"MTLSALLOWLIST", refused},
		{"mtlsallowlist_password", refused},
		{"X_MTLSALLOWLIST_PASSWORD", refused},
		{" MTLSALLOWLIST_PASSWORD", refused},
		{"${MTLSALLOWLIST_PASSWORD}", refused},
	} {
		got := ""
		s, err := parse(&Config{Mode: "enforce", Redis: &Redis{PasswordEnv: row.name}})
		if err != nil {
			got = err.Error()
		} else {
			got = s.redis.Password
		}
		if got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

// TestKeysAreReadBelowTheFolderOfSecretsAlone is about a key of Traefik's: who holds it is taken for Traefik. Certificates
// are no secrets, and may be anywhere.
func TestKeysAreReadBelowTheFolderOfSecretsAlone(t *testing.T) {
	v := newVault(t)
	cert, key := clientCertificate(t)
	for _, folder := range []string{"secrets", "outside"} {
		v.write(folder+"/cert.pem", cert)
		v.write(folder+"/key.pem", key)
	}
	v.link("secrets/leak.pem", "../outside/key.pem")
	if out, err := exec.Command("mkfifo", v.at("pipe")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const refused = "redis.tls.key: want PEM, or the path of a file with it that can be read: want the path of a file below /run/secrets/"
	const unpaired = "redis.tls.cert, redis.tls.key: want a certificate and its key in PEM"
	for _, row := range []struct {
		name string
		tls  RedisTLS
		want string // empty: it is taken
	}{
		{"all in the folder", RedisTLS{CA: v.at("secrets/cert.pem"), Cert: v.at("secrets/cert.pem"), Key: v.at("secrets/key.pem")}, ""},
		{"the key alone", RedisTLS{CA: v.at("outside/cert.pem"), Cert: v.at("outside/cert.pem"), Key: v.at("secrets/key.pem")}, ""},
		{"the key as PEM", RedisTLS{Cert: cert, Key: key}, ""},
		{"another key of Traefik's", RedisTLS{Cert: cert, Key: v.at("outside/key.pem")}, refused},
		{"a link to another key of Traefik's", RedisTLS{Cert: cert, Key: v.at("secrets/leak.pem")}, refused},
		{"another key of Traefik's by a way around", RedisTLS{Cert: cert, Key: v.at("secrets/../outside/key.pem")}, refused},
		{"a file for a key that is no key", RedisTLS{Cert: cert, Key: v.at("secrets/password")}, unpaired},
		{"a pipe for an authority", RedisTLS{CA: v.at("pipe")}, "redis.tls.ca: want PEM, or the path of a file with it that can be read: want a regular file"},
		{"a pipe for a certificate", RedisTLS{Cert: v.at("pipe"), Key: key}, "redis.tls.cert: want PEM, or the path of a file with it that can be read: want a regular file"},
		{"no end for an authority", RedisTLS{CA: "/dev/zero"}, "redis.tls.ca: want PEM, or the path of a file with it that can be read: want a regular file"},
		{"what the kernel makes up for an authority", RedisTLS{CA: "/proc/self/environ"}, "redis.tls.ca: want PEM, or the path of a file with it that can be read: it is empty"},
		{"a folder for an authority", RedisTLS{CA: "/etc"}, "redis.tls.ca: want PEM, or the path of a file with it that can be read: want a regular file"},
	} {
		_, err := parse(&Config{Mode: "enforce", Redis: &Redis{TLS: &row.tls}})
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
		if err != nil && strings.Contains(err.Error(), "horse") {
			t.Errorf("%s: got %v, which tells a secret", row.name, err)
		}
	}
}

// clientCertificate makes a certificate and its key, in PEM.
func clientCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	at := t.TempDir() + "/"
	out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", "/CN=traefik", "-keyout", at+"key", "-out", at+"cert").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	texts := []string{}
	for _, name := range []string{"cert", "key"} {
		data, err := os.ReadFile(at + name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(data))
	}
	return texts[0], texts[1]
}

// TestSecretsOfTraefikGoToNobodysHost has somebody who may write a middleware name a host of theirs.
func TestSecretsOfTraefikGoToNobodysHost(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	heard := make(chan string, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			data := make([]byte, 1000)
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			n, _ := conn.Read(data)
			heard <- string(data[:n])
			_ = conn.Close()
		}
	}()
	v := newVault(t)
	v.write("token", "eyJhbGciOi-service-account-token\n")
	v.link("secrets/token", "../token")
	t.Setenv("CF_DNS_API_TOKEN", "hunter2")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := newHouse(t, nil)
	host := []string{listener.Addr().String()}
	for _, row := range []struct {
		name  string
		redis Redis
	}{
		{"a file", Redis{Endpoints: host, PasswordFile: v.at("token")}},
		{"a link to a file", Redis{Endpoints: host, PasswordFile: v.at("secrets/token")}},
		{"a variable", Redis{Endpoints: host, PasswordEnv: "CF_DNS_API_TOKEN"}},
		{"a variable, and a password of theirs", Redis{Endpoints: host, PasswordEnv: "CF_DNS_API_TOKEN", Password: "x"}},
	} {
		_, err := newHandler(ctx, http.NotFoundHandler(), &Config{Mode: "enforce", Store: []string{h.store(row.name)}, Redis: &row.redis}, "evil", h.clock(), h.logger)
		if err == nil {
			t.Errorf("%s: no error, and the host got %q", row.name, <-heard)
		}
	}
	select {
	case got := <-heard:
		t.Errorf("the host got %q", got)
	default:
	}
}
