package mtlsallowlist

import (
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/proof"
)

// maxForm is the largest form that is read, in bytes: far more than a name takes, however it is quoted.
const maxForm = 1 << 20

// A status handler answers with who may come in, to whoever gives a proof. It never learns.
type status struct {
	settings
	prove    proof.Prover
	clock    clock
	log      *slog.Logger
	rejecter *rejecter
	page     *template.Template
}

func newStatus(s settings, clock clock, log *slog.Logger) *status {
	return &status{settings: s, prove: proof.New(s.proof, s.identityHeader), clock: clock, log: log, rejecter: newRejecter(s), page: newPage()}
}

func (p *status) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	now := p.clock.read()
	viewer, err := p.check(req, now.wall)
	if err != nil {
		p.refused(req, viewer, err, now.wall)
		p.rejecter.reject(rw, req, err)
		return
	}
	protect(rw.Header())
	path := req.URL.Path
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "":
		p.serve(rw, req, http.MethodPost, viewer, now)
	case "grants":
		p.serve(rw, req, http.MethodDelete, viewer, now)
	case "metrics":
		p.serve(rw, req, "", viewer, now)
	default:
		p.elsewhere(rw, req)
	}
}

// check returns who is there; it fails if they may not see the page.
func (p *status) check(req *http.Request, now time.Time) (identity.Identity, error) {
	id, _, err := p.prove(req, now)
	if err == nil && !p.identities.Match(id) {
		err = errIdentity
	}
	return id, err
}

func (p *status) refused(req *http.Request, viewer identity.Identity, why error, now time.Time) {
	addr, _ := p.address(req)
	e := event{at: now, what: "refused", ip: clientip.Prefix(addr, p.ipv6Subnet), identity: viewer, why: why.Error()}
	teller{log: p.log, store: p.stores[0]}.note(e, "remote", req.RemoteAddr)
}

// protect keeps what is shown from other sites, from caches, and from running anything.
func protect(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", contentSecurityPolicy)
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Vary", "Accept")
	header.Set("X-Content-Type-Options", "nosniff")
}

// serve answers GET and HEAD, and the method that revokes here, if any.
func (p *status) serve(rw http.ResponseWriter, req *http.Request, revoking string, viewer identity.Identity, now reading) {
	switch {
	case req.Method == http.MethodGet || req.Method == http.MethodHead:
		p.show(rw, req, now)
	case revoking == "" || req.Method != revoking:
		rw.Header().Set("Allow", strings.TrimSuffix("GET, HEAD, "+revoking, ", "))
		http.Error(rw, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
	case isCrossSite(req):
		p.refused(req, viewer, errCrossSite, now.wall)
		http.Error(rw, errCrossSite.Error(), http.StatusForbidden)
	default:
		p.revoke(rw, req, viewer, now)
	}
}

func (p *status) show(rw http.ResponseWriter, req *http.Request, now reading) {
	for _, store := range p.stores {
		store.notice(now)
	}
	path := req.URL.Path
	switch {
	case strings.HasSuffix(path, "/metrics"):
		rw.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		writeMetrics(rw, p.stores, now)
	case strings.HasSuffix(path, "/grants") || prefersJSON(req.Header.Get("Accept")):
		writeJSON(rw, p.listing(req, now))
	default:
		p.writePage(rw, req, now)
	}
}

// prefersJSON reports whether a program asks; browsers accept HTML.
func prefersJSON(accept string) bool {
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// elsewhere answers on other paths: the page stands where a path ends in a slash, and whoever asks for a page without
// is sent there.
func (p *status) elsewhere(rw http.ResponseWriter, req *http.Request) {
	accept := req.Header.Get("Accept")
	if req.Method == http.MethodGet && (strings.Contains(accept, "text/html") || prefersJSON(accept)) {
		rw.Header().Set("Location", standsAt(req)+"/")
		rw.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	http.NotFound(rw, req)
}

// standsAt returns the path of the request as the client knows it: Traefik's stripPrefix tells what it has stripped.
func standsAt(req *http.Request) string {
	prefix := strings.TrimSuffix(req.Header.Get("X-Forwarded-Prefix"), "/")
	path := prefix + "/" + strings.TrimPrefix(req.URL.Path, "/")
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.Contains(path, "\\") {
		path = req.URL.Path // "//host" would be another site's
	}
	return "/" + strings.TrimLeft((&url.URL{Path: path}).EscapedPath(), "/")
}

// admitted reports whether an address may come in by a grant in one of the stores.
func (p *status) admitted(ip netip.Prefix, now reading) bool {
	for _, store := range p.stores {
		if store.holds(ip, now) {
			return true
		}
	}
	return false
}
