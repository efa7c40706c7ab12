// Package page writes what the status page shows, as HTML, JSON and Prometheus's text format. It gets values and writes bytes: who
// may see them, and where they come from, it doesn't know.
package page

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"net/netip"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/wording"
)

const (
	// shownEvents is how many events of each store are shown.
	shownEvents = 20
	// shownGrants is how many grants of each store are shown at a time.
	shownGrants = 100
	// fewGrants is how many grants need no search.
	fewGrants = 10
)

// ContentSecurityPolicy lets the page run nothing, load nothing but its own style, and post to its own site only.
var ContentSecurityPolicy = "default-src 'none'; style-src 'sha256-" + styleHash() + "'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func styleHash() string {
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// A Store is what a store holds at some moment.
type Store struct {
	Name         string
	MaxIPs       int     // 0: nobody learns for it
	Grants       []Grant // the one proved last first
	Events       []Event // the oldest first
	StateFile    string  // its path; empty: none
	StateFailure error   // why it can't be written
	Replication  *Replication
}

// A Grant is what people see of the grants of an identity for an IP.
type Grant struct {
	IP       netip.Prefix
	Identity identity.Identity
	Learned  time.Time
	Proved   time.Time
	Expires  time.Time
}

// An Event is what happened to a store: learned, refused, not learned, evicted, revoked, restored, failed, or in step.
type Event struct {
	At       time.Time
	What     string
	IP       netip.Prefix      // zero: it is about none
	Identity identity.Identity // without names: it is about none
	Why      string
}

// A Replication is how a store is kept in sync with those of other replicas.
type Replication struct {
	Synced   bool
	Since    time.Time // Synced has been as it is
	Failure  string    // why it isn't in sync; empty if it is, or nothing has failed yet
	Failures int       // times that Redis could not be reached, or refused
	Invalid  int       // changes in Redis that nobody can have made
}

// A Viewer is who looks.
type Viewer struct {
	IP       netip.Prefix // zero: there is no usable address
	Admitted bool         // by a grant
}

// A Request is what is to be shown.
type Request struct {
	Path  string // of the page as the client knows it, with a slash at its end
	Query url.Values
	Now   time.Time
}

// A Template writes the page. It is safe for concurrent use.
type Template struct {
	html *template.Template
}

// New returns the template of the page.
func New() *Template {
	return &Template{html: template.Must(template.New("page").Parse(strings.Replace(pageHTML, "STYLE", style, 1)))}
}

// WriteHTML writes the page.
func (t *Template) WriteHTML(w io.Writer, req Request, viewer Viewer, stores []Store) error {
	return t.html.Execute(w, viewOf(req, viewer, stores))
}

// A view is what the page shows, ready as text. The template escapes it.
type view struct {
	Path     string
	Notice   string // what the last form did
	Viewer   viewerView
	Stores   []storeView
	Checked  instant
	Searches bool   // whether there is a form to search by
	Find     string // what is searched for
	Newer    string // links to the grants before and after those that are shown
	Older    string
}

type viewerView struct {
	IP       string
	Admitted bool
	Hint     string // why not
}

type storeView struct {
	Name         string
	Value        string // as revoking takes it
	IPs          int
	MaxIPs       int
	Full         int // percent
	Learns       bool
	Kept         string // the state file
	Replicated   string // how it is in sync; empty: it isn't replicated, or a problem tells
	IsReplicated bool
	Problems     []string
	Total        int    // grants
	Range        string // which of them are shown; empty: all
	Grants       []grantView
	IPList       []choice // by which several grants can be revoked
	Who          []choice
	Events       []eventView
}

type grantView struct {
	IP       string
	Prefix   string // as revoking takes it
	Yours    bool
	Identity string
	Name     string // as revoking takes it: quoted, for no form carries every byte
	Others   string
	Serial   string
	Short    string // of the fingerprint
	Learned  instant
	Proved   instant
	Expires  instant
	Left     int // percent of the lifetime
}

type choice struct {
	Value string
	Text  string
	Count string // of grants; empty: not all are shown
}

type eventView struct {
	What string
	IP   string
	Who  string
	Why  string
	At   instant
}

// An instant is a time as one says it, and exactly.
type instant struct {
	Text  string
	Exact string
	RFC   string
}

func viewOf(req Request, viewer Viewer, stores []Store) view {
	v := view{Path: req.Path, Checked: instantOf(req.Now, "now"), Find: strings.TrimSpace(req.Query.Get("find"))}
	if n, err := strconv.Atoi(req.Query.Get("revoked")); err == nil && n >= 0 {
		v.Notice = wording.Counted(n, "grant") + " revoked."
	}
	switch {
	case !viewer.IP.IsValid():
		v.Viewer.Hint = "Your address can't be read: see ipStrategy."
	default:
		v.Viewer = viewerView{IP: wording.ShortPrefix(viewer.IP.String()), Admitted: viewer.Admitted}
		if !viewer.Admitted && !clientip.IsPublic(viewer.IP.Addr()) {
			v.Viewer.Hint = "It is a private address, as of a gateway: it isn't learned unless allowPrivate is set."
		}
	}
	page, err := strconv.Atoi(req.Query.Get("page"))
	if err != nil || page < 1 || page > 1<<20 {
		page = 1
	}
	first := (page - 1) * shownGrants
	more := false
	for _, store := range stores {
		found := matching(store.Grants, v.Find)
		v.Searches = v.Searches || v.Find != "" || len(store.Grants) > fewGrants
		more = more || first+shownGrants < len(found)
		v.Stores = append(v.Stores, storeViewOf(store, found, first, viewer.IP, req.Now))
	}
	if page > 1 {
		v.Newer = link(v.Find, page-1)
	}
	if more {
		v.Older = link(v.Find, page+1)
	}
	return v
}

// link returns the query for another page.
func link(find string, page int) string {
	query := url.Values{"page": {strconv.Itoa(page)}}
	if find != "" {
		query.Set("find", find)
	}
	return "?" + query.Encode()
}

// matching returns the grants that hold for the address that text is or, if it is none, of whose address or names it is a part.
// Case doesn't matter; without a text, all are returned.
func matching(grants []Grant, text string) []Grant {
	if text == "" {
		return grants
	}
	found := []Grant{}
	if addr, err := clientip.ParseAddress(text); err == nil {
		for _, g := range grants {
			if g.IP.Contains(addr) {
				found = append(found, g)
			}
		}
		return found
	}
	text = strings.ToLower(text)
	for _, g := range grants {
		all := g.IP.String() + "\n" + strings.ToLower(strings.Join(g.Identity.Names, "\n"))
		if strings.Contains(all, text) {
			found = append(found, g)
		}
	}
	return found
}

// storeViewOf shows those of the grants that were found from the first on.
func storeViewOf(store Store, found []Grant, first int, mine netip.Prefix, now time.Time) storeView {
	v := storeView{Name: wording.Printable(store.Name), Value: store.Name, MaxIPs: store.MaxIPs, Learns: store.MaxIPs > 0, Total: len(store.Grants)}
	if store.StateFile != "" {
		v.Kept = wording.Printable(store.StateFile)
	}
	if store.StateFailure != nil {
		v.Problems = append(v.Problems, "The state can't be written, and would be lost at a restart: "+wording.Printable(store.StateFailure.Error()))
	}
	if store.Replication != nil {
		v.IsReplicated = true
		text, problem := store.Replication.Text(now)
		if problem {
			v.Problems = append(v.Problems, text)
		} else {
			v.Replicated = text
		}
	}
	shown := found
	if first > len(shown) {
		first = len(shown)
	}
	shown = shown[first:]
	if len(shown) > shownGrants {
		shown = shown[:shownGrants]
	}
	if len(shown) < len(store.Grants) {
		v.Range = rangeOf(first, len(shown), len(found), len(store.Grants))
	}
	ips, names := map[string]int{}, map[string]int{}
	for _, g := range shown {
		ips[g.IP.String()]++
		names[g.Identity.Name()]++
		v.Grants = append(v.Grants, grantViewOf(g, mine, now))
	}
	all := map[netip.Prefix]bool{}
	for _, g := range store.Grants {
		all[g.IP] = true
	}
	v.IPs = len(all)
	v.Full = wording.Percent(v.IPs, v.MaxIPs)
	v.IPList = choices(ips, wording.ShortPrefix, v.Range == "")
	v.Who = choices(names, wording.Printable, v.Range == "")
	for i := range v.Who {
		v.Who[i].Value = strconv.QuoteToASCII(v.Who[i].Value)
	}
	for i := len(store.Events) - 1; i >= 0 && len(v.Events) < shownEvents; i-- {
		v.Events = append(v.Events, eventViewOf(store.Events[i], now))
	}
	return v
}

// rangeOf says which grants are shown.
func rangeOf(first, shown, found, all int) string {
	text := "None"
	if shown > 0 {
		text = fmt.Sprintf("%d to %d", first+1, first+shown)
	}
	if found < all {
		return fmt.Sprintf("%s of %d found, of %s.", text, found, wording.Counted(all, "grant"))
	}
	return fmt.Sprintf("%s of %s.", text, wording.Counted(all, "grant"))
}

func grantViewOf(g Grant, mine netip.Prefix, now time.Time) grantView {
	prefix, name := g.IP.String(), g.Identity.Name()
	v := grantView{
		IP: wording.ShortPrefix(prefix), Prefix: prefix, Yours: g.IP == mine,
		Identity: wording.Printable(name), Name: strconv.QuoteToASCII(name), Serial: g.Identity.Serial,
		Learned: instantOf(g.Learned, wording.Ago(now.Sub(g.Learned))),
		Proved:  instantOf(g.Proved, wording.Ago(now.Sub(g.Proved))),
		Expires: instantOf(g.Expires, wording.Span(g.Expires.Sub(now))+" left"),
		Left:    wording.Percent(int(g.Expires.Sub(now)/time.Millisecond), int(g.Expires.Sub(g.Proved)/time.Millisecond)),
		Short:   shortFingerprint(g.Identity.Fingerprint()),
	}
	others := []string{}
	for _, other := range g.Identity.Names[1:] {
		if !strings.HasPrefix(other, identity.ByFingerprint) {
			others = append(others, wording.Printable(other))
		}
	}
	v.Others = strings.Join(others, ", ")
	return v
}

// Text says how a store is kept in sync, and whether that is a problem.
func (r *Replication) Text(now time.Time) (text string, problem bool) {
	switch {
	case r.Synced:
		text = "Shared with the other replicas: in step."
	case r.Failure == "":
		text = "Shared with the other replicas: not in step yet."
	default:
		text = "Not in step with the other replicas since " + wording.Span(now.Sub(r.Since)) + ": " + wording.Printable(r.Failure)
		problem = true
	}
	if r.Invalid == 1 {
		text += " 1 entry in Redis made no sense."
	} else if r.Invalid > 1 {
		text += fmt.Sprintf(" %d entries in Redis made no sense.", r.Invalid)
	}
	return text, problem
}

// shortFingerprint returns the first digits of a fingerprint, by which people know it; empty if it is none.
func shortFingerprint(fingerprint string) string {
	if !identity.IsFingerprint(fingerprint) {
		return ""
	}
	return fingerprint[:16]
}

func eventViewOf(e Event, now time.Time) eventView {
	v := eventView{What: e.What, Why: wording.Printable(e.Why), At: instantOf(e.At, wording.Ago(now.Sub(e.At)))}
	if e.IP.IsValid() {
		v.IP = wording.ShortPrefix(e.IP.String())
	}
	if len(e.Identity.Names) > 0 {
		v.Who = wording.Printable(e.Identity.Name())
	}
	return v
}

// choices are the keys in order.
func choices(counts map[string]int, text func(string) string, complete bool) []choice {
	list := []choice{}
	for value, n := range counts {
		c := choice{Value: value, Text: text(value)}
		if complete {
			c.Count = wording.Counted(n, "grant")
		}
		list = append(list, c)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Value < list[j].Value })
	return list
}

func instantOf(t time.Time, text string) instant {
	t = t.UTC()
	return instant{Text: text, Exact: t.Format("2006-01-02 15:04:05 UTC"), RFC: t.Format(time.RFC3339)}
}
