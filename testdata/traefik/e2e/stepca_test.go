package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// A stepCA is the step-ca of an example, and what runs its script: in a folder of its own, at a free port on loopback.
type stepCA struct {
	programs  string // their folder
	dir       string
	variables []string
}

const stepScript = "certificates/step-ca.sh"

func (s stepCA) run(t *testing.T, arguments ...string) {
	t.Helper()
	run(t, command(t, s.dir, s.variables, stepScript, arguments...))
}

// step runs step itself, and returns what it prints.
func (s stepCA) step(t *testing.T, arguments ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), filepath.Join(s.programs, "step"), arguments...)
	c.Dir, c.Env = s.dir, append(os.Environ(), "HOME="+s.dir, "STEPPATH="+filepath.Join(s.dir, "ca"))
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var complaints strings.Builder
	c.Stderr = &complaints
	output, err := c.Output()
	if err != nil {
		t.Fatalf("step %s: %v\n%s", strings.Join(arguments, " "), err, complaints.String())
	}
	return strings.TrimSpace(string(output))
}

// startStepCA makes a CA, and returns when it serves.
func startStepCA(t *testing.T) stepCA {
	t.Helper()
	programs := check.Must(lab.BuildStep(t.Context(), os.Stderr))(t)
	const host = "127.0.9.1" // not where others look for a free port
	free := check.Must(net.Listen("tcp", net.JoinHostPort(host, "0")))(t)
	s := stepCA{programs: programs, dir: t.TempDir()}
	s.variables = []string{
		"PATH=" + programs + string(filepath.ListSeparator) + os.Getenv("PATH"), "HOME=" + s.dir, "STEPPATH=", "LIFETIME=5m",
		"CA_HOST=" + host, "CA_ADDRESS=" + free.Addr().String(),
	}
	s.run(t, "init")
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}

	serve := command(t, s.dir, s.variables, stepScript, "serve")
	reader, writer := io.Pipe()
	serve.Stdout, serve.Stderr = writer, writer
	serve.Cancel = func() error { return serve.Process.Signal(syscall.SIGTERM) }
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		err := serve.Wait()
		writer.Close()
		ended <- err
	}()
	ready := make(chan string, 1)
	go func() { // reads all, since step-ca would stand still otherwise
		defer close(ready)
		seen := ""
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			if seen += lines.Text() + "\n"; strings.Contains(lines.Text(), "Serving HTTPS on") {
				ready <- ""
			}
		}
		ready <- "it said:\n" + seen
	}()
	t.Cleanup(func() { // when the test's context has just ended, and with it step-ca
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("step-ca ended: %v", err)
		}
	})
	if complaints := <-ready; complaints != "" {
		t.Fatalf("step-ca ended:\n%s", complaints)
	}
	return s
}

// TestARenewedCertificateOfStepCA waits for the next second: certificates are dated to the second.
func TestARenewedCertificateOfStepCA(t *testing.T) {
	ca := startStepCA(t)
	ca.run(t, "issue", "phone")
	first := pair(t, ca.dir, "phone")
	household := watched(nil, options{"identities": "uri:spiffe://home.example/phone"}, nil)
	live(t, verifiedBy(t, household, filepath.Join(ca.dir, "ca", "certs", "root_ca.crt")))
	store := storeOf(t, "default")
	is := func(when, certificate string) {
		t.Helper()
		want := "203.0.113.7/32 uri:spiffe://home.example/phone " + certificate
		if got := listed(t, owner(t, false), "/grants").holders(store); got != want {
			t.Errorf("%s: got %s, want %s", when, got, want)
		}
	}
	walk(t,
		step{"203.0.113.7", nil, "photos", "403"},
		step{"203.0.113.7", first, "ha", "200"},
		step{"203.0.113.7", first, "ha", "200"},
		step{"203.0.113.7", nil, "photos", "200"},
	)
	is("before the renewal", fingerprint(*first))

	issued := first.Leaf.NotBefore.Add(time.Minute) // step-ca dates a minute back, for clocks that are slow
	for time.Since(issued) < time.Second {
		time.Sleep(10 * time.Millisecond)
	}
	ca.run(t, "renew", "phone")
	second := pair(t, ca.dir, "phone")
	if fingerprint(*second) == fingerprint(*first) || serial(*second) == serial(*first) || !second.Leaf.NotBefore.After(first.Leaf.NotBefore) {
		t.Fatalf("not renewed: %v, %v", first.Leaf, second.Leaf)
	}
	if got, want := second.Leaf.NotAfter.Sub(second.Leaf.NotBefore), 6*time.Minute; got != want {
		t.Errorf("it lives for %v, want %v", got, want)
	}
	for range 5 {
		walk(t, step{"203.0.113.7", second, "ha", "200"})
	}
	is("after the renewal", fingerprint(*second))
	walk(t, step{"203.0.113.7", nil, "photos", "200"}, step{"203.0.113.8", nil, "photos", "403"})
	for range 5 { // an old connection, say
		walk(t, step{"203.0.113.7", first, "ha", "200"}, step{"203.0.113.7", second, "ha", "200"})
	}
	is("after both", fingerprint(*second))

	for _, certificate := range []*tls.Certificate{first, second} {
		line := "ip=203.0.113.7 identity=uri:spiffe://home.example/phone fingerprint=" + fingerprint(*certificate) + " serial=" + serial(*certificate)
		if got := logged(t, "msg=learned", "store="+store, line); got != 1 {
			t.Errorf("got %d lines with %s, want 1", got, line)
		}
	}
	if got := logged(t, "msg=learned", "store="+store); got != 2 {
		t.Errorf("got %d lines, want 2", got)
	}

	// Revoked by the serial number as it is logged. Without a terminal, step can't ask for the password, so it gets a token.
	token := ca.step(t, "ca", "token", "--revoke", "--provisioner-password-file", "ca/password", second.Leaf.SerialNumber.String())
	ca.step(t, "ca", "revoke", "--token", token, "0x"+serial(*second))
	again := command(t, ca.dir, ca.variables, stepScript, "renew", "phone")
	if output, err := again.CombinedOutput(); err == nil || !strings.Contains(string(output), "lacked necessary authorization") {
		t.Errorf("renewed after the revocation: %v\n%s", err, output)
	}
	walk(t, step{"203.0.113.7", second, "ha", "200"}) // until it ends
}
