package e2e

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// issue makes a client certificate of the home's CA.
func issue(t *testing.T, leaf lab.Leaf) *tls.Certificate {
	t.Helper()
	certificate := check.Must(home.CA.Issue(leaf))(t)
	return &certificate
}

// tlsConfig trusts the home's CA, and has a client certificate unless it is nil.
func tlsConfig(certificate *tls.Certificate) *tls.Config {
	config := &tls.Config{RootCAs: home.CA.Pool()}
	if certificate != nil {
		// Not Certificates: Go's client leaves those out if the server names other CAs.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	return config
}

// client returns a client at an address, which closes with the test. It makes a new connection per request.
func client(t *testing.T, from string, certificate *tls.Certificate) *lab.Client {
	t.Helper()
	return keep(t, lab.ClientOptions{From: from, Target: home.traefik.Addr("websecure"), TLS: tlsConfig(certificate)})
}

func keep(t *testing.T, options lab.ClientOptions) *lab.Client {
	c := lab.NewClient(options)
	t.Cleanup(c.Close)
	return c
}

// status asks a host for /, and returns the status, or why there was none.
func status(c *lab.Client, host string) string {
	return ask(c, host, nil)
}

func ask(c *lab.Client, host string, header http.Header) string {
	request, err := http.NewRequest(http.MethodGet, "https://"+host+".home.example/", nil)
	if err != nil {
		return err.Error()
	}
	request.Header = header
	response, err := c.Do(request)
	if err != nil {
		return err.Error()
	}
	if response.Status == http.StatusOK && !strings.HasPrefix(response.Body, host+": GET ") {
		return fmt.Sprintf("%s answered: %s", host, response.Body)
	}
	return fmt.Sprint(response.Status)
}

// alert returns the TLS alert with which the server has refused a connection, or what else was wrong with it.
func alert(err error) string {
	if refusal := (*net.OpError)(nil); errors.As(err, &refusal) && refusal.Op == "remote error" {
		return refusal.Err.Error()
	}
	if request := (*url.Error)(nil); errors.As(err, &request) {
		return request.Err.Error()
	}
	return err.Error()
}

// A question is asked over a connection of its own, and has the answer that is wanted: a status, or why there is none.
type question interface {
	ask(t *testing.T) string
	String() string
	wanted() string
}

// walk asks questions, one after another.
func walk[Q question](t *testing.T, questions ...Q) {
	t.Helper()
	for i, q := range questions {
		if got := q.ask(t); got != q.wanted() {
			t.Errorf("step %d: %s: got %s, want %s", i+1, q, got, q.wanted())
		}
	}
}

// step is a question from an address, with the phone's certificate or without any.
type step struct {
	from        string
	certificate *tls.Certificate
	host        string
	want        string
}

func (s step) ask(t *testing.T) string { return status(client(t, s.from, s.certificate), s.host) }
func (s step) String() string          { return s.host + " from " + s.from }
func (s step) wanted() string          { return s.want }

func fingerprint(certificate tls.Certificate) string {
	return fmt.Sprintf("%x", sha256.Sum256(certificate.Leaf.Raw))
}

func serial(certificate tls.Certificate) string {
	return fmt.Sprintf("%x", certificate.Leaf.SerialNumber)
}

var settled atomic.Int32

// logged counts the lines of Traefik's log with all of substrings, once everything that happened before is in it: a
// request that is rejected, after all others, leaves the last line.
func logged(t *testing.T, substrings ...string) int {
	t.Helper()
	from := fmt.Sprint("198.18.0.", settled.Add(1))
	walk(t, step{from, nil, "photos", "403"})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := home.traefik.Log().Wait(ctx, "rejected "+from+":"); err != nil {
		t.Fatal(err)
	}
	return home.traefik.Log().Count(substrings...)
}
