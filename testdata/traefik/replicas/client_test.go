package replicas

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

func tlsConfig(certificate *tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: home.CA.Pool(), Certificates: []tls.Certificate{*certificate}}
}

// prover returns the client of a phone at an address, which closes with the test.
func (r *replica) prover(from string) *lab.Client {
	return r.client(lab.ClientOptions{From: from, Target: r.Addr("websecure"), TLS: tlsConfig(&home.Phone)})
}

// asker returns the client of an app without a certificate at an address, which keeps its connection.
func (r *replica) asker(from string) *lab.Client {
	return r.client(lab.ClientOptions{From: from, Target: r.Addr("web"), KeepAlive: true})
}

func (r *replica) client(o lab.ClientOptions) *lab.Client {
	c := lab.NewClient(o)
	r.t.Cleanup(c.Close)
	return c
}

// get returns the status of an answer, or why there is none.
func get(c *lab.Client, url string) string {
	response, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	return strconv.Itoa(response.Status)
}

const (
	haURL     = "https://ha.home.example/"
	photosURL = "http://photos.home.example/"
	pageURL   = "https://allowlist.home.example/"
)

// proves has a phone at an address prove who it is, and returns the answer.
func (r *replica) proves(from string) string {
	c := r.prover(from)
	defer c.Close()
	return get(c, haURL)
}

// asks returns the answer of the hidden host to an address.
func (r *replica) asks(from string) string {
	c := r.asker(from)
	defer c.Close()
	return get(c, photosURL)
}

// passes has a phone ask for a host that no router knows: that takes as long as the machine is busy.
func (r *replica) passes() {
	r.t.Helper()
	c := r.prover("203.0.113.99")
	defer c.Close()
	if got := get(c, "https://nobody.home.example/"); got != "404" {
		r.t.Errorf("asking for nobody's host: got %s, want 404", got)
	}
}

// learn has an address learned.
func (r *replica) learn(addresses ...string) {
	r.t.Helper()
	for _, from := range addresses {
		if got := r.proves(from); got != "200" {
			r.t.Fatalf("learning %s: got %s, want 200", from, got)
		}
	}
}

// want compares the hidden host's answers.
func (r *replica) want(status string, addresses ...string) {
	r.t.Helper()
	for _, from := range addresses {
		if got := r.asks(from); got != status {
			r.t.Errorf("asking from %s: got %s, want %s", from, got, status)
		}
	}
}

// awaits waits for the hidden host's answer to an address, and returns how long that took.
func (r *replica) awaits(status, from string) time.Duration {
	r.t.Helper()
	c := r.asker(from)
	defer c.Close()
	return check.Eventually(r.t, fmt.Sprint("from ", from, " the hidden host answers ", status), func() bool { return get(c, photosURL) == status })
}

// page sends a request of the owner's to the status page, and returns the answer.
func (r *replica) page(method, path string) string {
	r.t.Helper()
	c := r.client(lab.ClientOptions{From: "198.51.100.1", Target: r.Addr("websecure"), TLS: tlsConfig(&home.Owner)})
	defer c.Close()
	request, err := http.NewRequest(method, pageURL+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := c.Do(request)
	if err != nil || response.Status != http.StatusOK {
		r.t.Fatalf("%s %s: got %d, %v: %s", method, path, response.Status, err, response.Body)
	}
	return response.Body
}

// revoke ends the grants of an address, and wants that there were some.
func (r *replica) revoke(from string) {
	r.t.Helper()
	if got := r.page(http.MethodDelete, "grants?ip="+from); got != "{\n  \"ended\": 1\n}\n" {
		r.t.Errorf("revoking %s: got %s", from, got)
	}
}

// A grant is what the status page tells of one.
type grant struct {
	IP                       string
	Learned, Proved, Expires time.Time
}

func (r *replica) grants() []grant {
	r.t.Helper()
	var listing struct{ Stores []struct{ Grants []grant } }
	if err := json.Unmarshal([]byte(r.page(http.MethodGet, "grants")), &listing); err != nil {
		r.t.Fatal(err)
	}
	return listing.Stores[0].Grants
}

// ips returns the prefixes for which there are grants.
func (r *replica) ips() map[string]bool {
	r.t.Helper()
	ips := map[string]bool{}
	for _, g := range r.grants() {
		ips[g.IP] = true
	}
	return ips
}

// debugged are the static options with which Traefik serves Go's profiles.
var debugged = options{"api": options{"debug": true}}

func (r *replica) footprint() lab.Footprint {
	r.t.Helper()
	return check.Must(r.Footprint(context.Background()))(r.t)
}
