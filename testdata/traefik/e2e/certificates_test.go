package e2e

import (
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/config"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
)

// script returns the path of a file in examples/.
func script(t *testing.T, name string) string {
	t.Helper()
	root := check.Must(lab.Root())(t)
	return filepath.Join(root, "examples", name)
}

// command prepares a shell's run of a script from examples/ in dir, without a terminal, with more variables.
func command(t *testing.T, dir string, variables []string, name string, arguments ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), "sh", append([]string{script(t, name)}, arguments...)...)
	c.Dir = dir
	c.Env = append(os.Environ(), variables...)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return c
}

func run(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if output, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", c, err, output)
	}
}

// verifiedBy is h with the CA in that file, instead of the home's, where certificates are required.
func verifiedBy(t *testing.T, h household, file string) *dynamic.Configuration {
	t.Helper()
	configuration := h.dynamic(t)
	configuration.TLS.Options["verified"] = config.ClientAuth("RequireAndVerifyClientCert", file)
	return configuration
}

func pair(t *testing.T, dir, name string) *tls.Certificate {
	t.Helper()
	certificate := check.Must(tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")))(t)
	return &certificate
}

// holders returns a store's grants, that of the one proved last first: address, identity and fingerprint.
func (l listing) holders(store string) string {
	grants := []string{}
	for _, s := range l.Stores {
		for _, g := range s.Grants {
			if s.Name == store {
				grants = append(grants, g.IP+" "+g.Identity+" "+g.Fingerprint)
			}
		}
	}
	return strings.Join(grants, ", ")
}
