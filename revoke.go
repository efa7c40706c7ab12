package mtlsallowlist

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

var errCrossSite = errors.New("cross-site request")

// isCrossSite reports whether a browser sends req on behalf of another site: it adds the proof by itself. Browsers
// since 2023 tell by Sec-Fetch-Site; older ones by Origin; what is no browser tells nothing.
func isCrossSite(req *http.Request) bool {
	site := req.Header.Get("Sec-Fetch-Site")
	if site != "" && site != "same-origin" && site != "none" {
		return true
	}
	origin := req.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, req.Host)
}

// A selection is of grants to revoke. What is empty or zero stands for all.
type selection struct {
	store    string
	ips      netip.Prefix
	identity string
}

// parseSelection reads store, ip and identity; an identity may be quoted, as in Go. It takes no other keys, and none that is empty: an unset variable in a
// script isn't to revoke everything.
func parseSelection(values url.Values) (selection, error) {
	s := selection{store: values.Get("store"), identity: values.Get("identity")}
	for key, texts := range values {
		if key != "store" && key != "ip" && key != "identity" {
			return selection{}, fmt.Errorf("%s: want store, ip or identity", key)
		}
		if len(texts) != 1 || texts[0] == "" {
			return selection{}, fmt.Errorf("%s: invalid value %q: want one, not empty", key, strings.Join(texts, ","))
		}
	}
	if len(values) == 0 {
		return selection{}, errors.New("want at least one of store, ip and identity")
	}
	var err error
	if strings.HasPrefix(s.identity, `"`) {
		if s.identity, err = strconv.Unquote(s.identity); err != nil {
			return selection{}, fmt.Errorf("identity: invalid value %q: want no quotation marks, or both", values.Get("identity"))
		}
	}
	if text := values.Get("ip"); text != "" {
		if s.ips, err = clientip.ParsePrefix(text); err != nil {
			return selection{}, fmt.Errorf("ip: invalid value %q: want an IP or a CIDR", text)
		}
	}
	return s, nil
}

// revoke ends the grants that the form of a POST or the query of a DELETE selects.
func (p *status) revoke(rw http.ResponseWriter, req *http.Request, viewer identity.Identity, now reading) {
	var values url.Values
	var err error
	if req.Method == http.MethodPost {
		req.Body = http.MaxBytesReader(rw, req.Body, maxForm)
		err = req.ParseForm()
		values = req.PostForm
	} else {
		values, err = url.ParseQuery(req.URL.RawQuery)
	}
	var selected selection
	if err == nil {
		selected, err = parseSelection(values)
	}
	if err == nil {
		err = p.has(selected.store)
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	ended := 0
	for _, store := range p.stores {
		if selected.store == "" || selected.store == store.name {
			ended += p.revokeIn(store, selected, viewer, now)
		}
	}
	if req.Method == http.MethodPost {
		rw.Header().Set("Location", fmt.Sprintf("%s?revoked=%d", standsAt(req), ended))
		rw.WriteHeader(http.StatusSeeOther)
		return
	}
	writeJSON(rw, map[string]int{"ended": ended})
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

// revokeIn also sees to it that the revocation is on disk. If it can't be, that is told; the grants have ended.
func (p *status) revokeIn(store *store, selected selection, viewer identity.Identity, now reading) int {
	t := teller{log: p.log, store: store}
	revoked := store.revoke(selected.ips, selected.identity, now)
	for _, g := range revoked {
		t.tell(slog.LevelInfo, event{at: now.wall, what: "revoked", ip: g.address.ip, identity: g.identity}, "by", viewer.Name())
	}
	if shared := linkOf(store); shared != nil {
		shared.await()
	}
	if file := store.stateFile(); file != nil && len(revoked) > 0 {
		_ = file.keep(t, now)
	}
	return len(revoked)
}
