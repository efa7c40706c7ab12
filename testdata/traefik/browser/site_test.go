package browser

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/pires/go-proxyproto"
)

// sitePage is one page of the site. NAME and ADDRESS in its body become the visitor's.
type sitePage struct {
	status int    // 0: 200
	policy string // Content-Security-Policy, where it begins with "only ": …-Report-Only
	body   string
}

var sitePages = map[string]sitePage{
	"/": {body: `<style>
			:root { color-scheme: light dark } body { margin: 0 } h1 { height: 1100px; margin: 0; background: white }
			@media (prefers-color-scheme: dark) { h1 { background: black } }
		</style>
		<h1>Hello NAME</h1>
		<form id="admit" method="post" action="/admit"><input type="hidden" name="name" value="NAME">
			<button>Let me <b>in</b></button></form>
		<button id="hidden" style="display: none">Let me in</button>
		<a href="/forbidden">Go away</a>
		<a href="/done">More of it</a><a href="/done">More of it</a>
		<details><summary>More</summary>Nothing</details>`},
	"/done":      {body: `<p>Done`},
	"/forbidden": {status: 403, body: `<p>Not you`},
	"/empty":     {status: 403},
	"/address":   {body: `<p>ADDRESS`},

	"/clean":     {body: `<script>console.log("fine")</script>`},
	"/inline":    {policy: "default-src 'none'", body: `<script>document.title = "Mine"</script>`},
	"/reported":  {policy: "only default-src 'none'", body: `<script>document.title = "Mine"</script>`},
	"/console":   {body: `<script>console.error("no", 5, {a: 1}); console.warn("careful"); console.assert(1 > 2, "odd")</script>`},
	"/exception": {body: `<script>nothing.at.all</script>`},
	"/rejection": {body: `<script>Promise.reject(new Error("lost"))</script>`},
	"/missing":   {body: `<img src="/forbidden" alt=""><img src="https://elsewhere.test/x.png" alt="">`},
	"/unlabeled": {body: `<form><label for="nowhere">Name</label><input name="first"></form>`},
}

// site is a TLS server on loopback that insists on a certificate of its client authority, for connections with and
// without a PROXY header.
type site struct {
	ca, clients *lab.CA
	addr        string
	hosts       map[string]string // every *.example leads to it; it has a certificate for home.example

	mu       sync.Mutex
	requests []string // method, path and body, without those for an icon
}

func serve(t *testing.T) *site {
	t.Helper()
	s := &site{ca: check.Must(lab.NewCA("server CA"))(t), clients: check.Must(lab.NewCA("client CA"))(t)}
	certificate := check.Must(s.ca.Issue(lab.Leaf{DNSNames: []string{"home.example"}, Server: true}))(t)
	listener := check.Must(net.Listen("tcp", "127.0.0.1:0"))(t)
	s.addr = listener.Addr().String()
	s.hosts = map[string]string{"*.example": s.addr}
	server := &http.Server{
		Handler: s,
		// Chromium breaks off the handshake in which it learns that it needs a certificate.
		ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{certificate},
			ClientAuth:   tls.RequireAndVerifyClientCert,
			ClientCAs:    s.clients.Pool(),
		},
	}
	go server.ServeTLS(&proxyproto.Listener{Listener: listener}, "", "") //nolint:errcheck // it ends with Close
	t.Cleanup(func() { server.Close() })
	return s
}

func (s *site) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/favicon.ico" {
		http.NotFound(rw, req)
		return
	}
	sent, _ := io.ReadAll(req.Body)
	s.mu.Lock()
	s.requests = append(s.requests, fmt.Sprintf("%s %s %s", req.Method, req.URL.Path, sent))
	s.mu.Unlock()
	if req.Method == http.MethodPost {
		http.Redirect(rw, req, "/done", http.StatusSeeOther)
		return
	}
	page := sitePages[req.URL.Path]
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	if policy, only := strings.CutPrefix(page.policy, "only "); only {
		rw.Header().Set("Content-Security-Policy-Report-Only", policy)
	} else if policy != "" {
		rw.Header().Set("Content-Security-Policy", policy)
	}
	if page.status != 0 {
		rw.WriteHeader(page.status)
	}
	if page.body != "" {
		address, _, _ := net.SplitHostPort(req.RemoteAddr)
		visitor := strings.NewReplacer("NAME", req.TLS.PeerCertificates[0].Subject.CommonName, "ADDRESS", address)
		_, _ = visitor.WriteString(rw, "<!doctype html><html lang=en><title>Site</title>"+page.body)
	}
}

// received returns the requests so far.
func (s *site) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// visit starts a browser that knows the site and has a certificate of that name.
func (s *site) visit(t *testing.T, name string) *Browser {
	t.Helper()
	certificate := check.Must(s.clients.Issue(lab.Leaf{CommonName: name}))(t)
	return start(t, Options{CA: s.ca, Certificate: certificate, Hosts: s.hosts})
}

func start(t *testing.T, options Options) *Browser {
	t.Helper()
	options.Dir = t.TempDir()
	b := check.Must(Start(t.Context(), options))(t)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}
