package mtlsallowlist

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/page"
	"github.com/mtlsallowlist/mtlsallowlist/internal/proof"
)

// maxForm is the largest form that is read, in bytes: far more than a name takes, however it is quoted.
const maxForm = 1 << 20

// A status handler answers with who may come in, to whoever gives a proof. It never learns.
type status struct {
	settings
	prove    proof.Prover
	clock    clocks.Clock
	log      *slog.Logger
	rejecter *rejecter
	page     *page.Template
}

func newStatus(s settings, clock clocks.Clock, log *slog.Logger) *status {
	return &status{settings: s, prove: proof.New(s.proof, s.identityHeader), clock: clock, log: log, rejecter: newRejecter(s), page: page.New()}
}

func (p *status) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	now := p.clock.Read()
	viewer, err := p.check(req, now.Wall)
	if err != nil {
		p.refused(req, viewer, err, now.Wall)
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
	e := page.Event{At: now, What: "refused", IP: clientip.Prefix(addr, p.ipv6Subnet), Identity: viewer, Why: why.Error()}
	reporter{log: p.log, store: p.stores[0]}.warn(e, "remote", req.RemoteAddr)
}

// protect keeps what is shown from other sites, from caches, and from running anything.
func protect(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", page.ContentSecurityPolicy)
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Vary", "Accept")
	header.Set("X-Content-Type-Options", "nosniff")
}

// serve answers GET and HEAD, and the method that revokes here, if any.
func (p *status) serve(rw http.ResponseWriter, req *http.Request, revoking string, viewer identity.Identity, now clocks.Reading) {
	switch {
	case req.Method == http.MethodGet || req.Method == http.MethodHead:
		p.show(rw, req, now)
	case revoking == "" || req.Method != revoking:
		rw.Header().Set("Allow", strings.TrimSuffix("GET, HEAD, "+revoking, ", "))
		http.Error(rw, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
	case proof.IsCrossSite(req):
		p.refused(req, viewer, errCrossSite, now.Wall)
		http.Error(rw, errCrossSite.Error(), http.StatusForbidden)
	default:
		p.revoke(rw, req, viewer, now)
	}
}

func (p *status) show(rw http.ResponseWriter, req *http.Request, now clocks.Reading) {
	for _, store := range p.stores {
		store.notice(now)
	}
	text := &strings.Builder{}
	var err error
	switch {
	case strings.HasSuffix(req.URL.Path, "/metrics"):
		rw.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		figures := []page.Figures{}
		for _, store := range p.stores {
			figures = append(figures, store.figures(now))
		}
		page.WriteMetrics(text, figures)
	case strings.HasSuffix(req.URL.Path, "/grants") || prefersJSON(req.Header.Get("Accept")):
		rw.Header().Set("Content-Type", "application/json")
		err = page.WriteGrants(text, p.viewer(req, now), p.survey(now))
	default:
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		shown := page.Request{Path: standsAt(req), Query: req.URL.Query(), Now: now.Wall}
		err = p.page.WriteHTML(text, shown, p.viewer(req, now), p.survey(now))
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = rw.Write([]byte(text.String())) // whoever has left reads no answer
}

// survey returns what the page shows of its stores.
func (p *status) survey(now clocks.Reading) []page.Store {
	stores := []page.Store{}
	for _, store := range p.stores {
		stores = append(stores, store.survey(now))
	}
	return stores
}

// viewer returns who looks, as they would be learned.
func (p *status) viewer(req *http.Request, now clocks.Reading) page.Viewer {
	addr, err := p.address(req)
	if err != nil {
		return page.Viewer{}
	}
	ip := clientip.Prefix(addr, p.ipv6Subnet)
	return page.Viewer{IP: ip, Admitted: p.admitted(ip, now)}
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

// standsAt returns the path of the request as the client knows it: Traefik's stripPrefix writes what it has stripped into X-Forwarded-Prefix.
func standsAt(req *http.Request) string {
	prefix := strings.TrimSuffix(req.Header.Get("X-Forwarded-Prefix"), "/")
	path := prefix + "/" + strings.TrimPrefix(req.URL.Path, "/")
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.Contains(path, "\\") {
		path = req.URL.Path // "//host" would be another site's
	}
	return "/" + strings.TrimLeft((&url.URL{Path: path}).EscapedPath(), "/")
}

// admitted reports whether an address may come in by a grant in one of the stores.
func (p *status) admitted(ip netip.Prefix, now clocks.Reading) bool {
	for _, store := range p.stores {
		if store.holds(ip, now) {
			return true
		}
	}
	return false
}

var errCrossSite = errors.New("cross-site request")

// revoke ends the grants that the form of a POST or the query of a DELETE selects.
func (p *status) revoke(rw http.ResponseWriter, req *http.Request, viewer identity.Identity, now clocks.Reading) {
	var values url.Values
	var err error
	if req.Method == http.MethodPost {
		req.Body = http.MaxBytesReader(rw, req.Body, maxForm)
		err = req.ParseForm()
		values = req.PostForm
	} else {
		values, err = url.ParseQuery(req.URL.RawQuery)
	}
	var selected page.Selection
	if err == nil {
		selected, err = page.ParseSelection(values)
	}
	if err == nil {
		err = p.has(selected.Store)
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	ended := 0
	for _, store := range p.stores {
		if selected.Store == "" || selected.Store == store.name {
			ended += p.revokeIn(store, selected, viewer, now)
		}
	}
	if req.Method == http.MethodPost {
		rw.Header().Set("Location", fmt.Sprintf("%s?revoked=%d", standsAt(req), ended))
		rw.WriteHeader(http.StatusSeeOther)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = page.WriteJSON(rw, map[string]int{"ended": ended}) // whoever has left reads no answer
}

// has fails if the page doesn't show the store with that name; empty for any.
func (p *status) has(name string) error {
	names := []string{}
	for _, store := range p.stores {
		if name == "" || name == store.name {
			return nil
		}
		names = append(names, store.name)
	}
	return fmt.Errorf("store: invalid value %q: want one of %s", name, strings.Join(names, ", "))
}

// revokeIn also waits until the revocation is safe. If it can't be, the file or the replicator reports that; the grants have
// ended all the same.
func (p *status) revokeIn(store *store, selected page.Selection, viewer identity.Identity, now clocks.Reading) int {
	r := reporter{log: p.log, store: store}
	revoked := store.revoke(selected.IPs, selected.Identity, now)
	for _, g := range revoked {
		r.report(slog.LevelInfo, page.Event{At: now.Wall, What: "revoked", IP: g.address.ip, Identity: g.identity}, "by", viewer.Name())
	}
	store.settle(now)
	return len(revoked)
}
