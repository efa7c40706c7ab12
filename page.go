package mtlsallowlist

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/wording"
)

// shownEvents is how many events of each store are shown.
const shownEvents = 20

// contentSecurityPolicy lets the page run nothing, load nothing but its own style, and post to its own site only.
var contentSecurityPolicy = "default-src 'none'; style-src 'sha256-" + styleHash() + "'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func styleHash() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func newPage() *template.Template {
	page := strings.Replace(pageHTML, "STYLE", pageStyle, 1)
	return template.Must(template.New("page").Parse(page))
}

// A view is what the page shows, ready as text. The template escapes it.
type view struct {
	Path    string // of the page, with a slash at its end
	Notice  string // what the last form did
	Viewer  viewerView
	Stores  []storeView
	Checked instant
}

type viewerView struct {
	IP       string
	Admitted bool
	Hint     string // why not
}

type storeView struct {
	Name     string
	Value    string // as revoking takes it
	IPs      int
	MaxIPs   int
	Full     int // percent
	Learns   bool
	Kept     string // the state file
	Shared   string // how it is in step with the other replicas; empty: it isn't shared, or a problem tells
	IsShared bool
	Problems []string
	Grants   []grantView
	IPList   []choice // by which several grants can be revoked
	Who      []choice
	Events   []eventView
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
	Count string // of grants
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

func (p *status) writePage(rw http.ResponseWriter, req *http.Request, now reading) {
	text := &strings.Builder{}
	if err := p.page.Execute(text, p.view(req, now)); err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = rw.Write([]byte(text.String())) // whoever has left reads no answer
}

func (p *status) view(req *http.Request, now reading) view {
	v := view{Path: standsAt(req), Checked: instantOf(now.wall, "now")}
	if n, err := strconv.Atoi(req.URL.Query().Get("revoked")); err == nil && n >= 0 {
		v.Notice = wording.Counted(n, "grant") + " revoked."
	}
	mine := p.viewerIP(req)
	switch {
	case !mine.IsValid():
		v.Viewer.Hint = "Your address can't be read: see ipStrategy."
	default:
		v.Viewer = viewerView{IP: wording.ShortPrefix(mine.String()), Admitted: p.admitted(mine, now)}
		if !v.Viewer.Admitted && !clientip.IsPublic(mine.Addr()) {
			v.Viewer.Hint = "It is a private address, as of a gateway: it isn't learned unless allowPrivate is set."
		}
	}
	for _, store := range p.stores {
		v.Stores = append(v.Stores, storeViewOf(store, mine.String(), now))
	}
	return v
}

func storeViewOf(store *store, mine string, at reading) storeView {
	grants := store.claims(at)
	now := at.wall
	v := storeView{Name: wording.Printable(store.name), Value: store.name, MaxIPs: store.limitIPs()}
	v.Learns = v.MaxIPs > 0
	if file := store.stateFile(); file != nil {
		v.Kept = wording.Printable(file.path)
		if err := file.failure(); err != nil {
			v.Problems = append(v.Problems, "The state can't be written, and would be lost at a restart: "+wording.Printable(err.Error()))
		}
	}
	if shared := sharedState(store); shared != nil {
		v.IsShared = true
		text, problem := shared.text(now)
		if problem {
			v.Problems = append(v.Problems, text)
		} else {
			v.Shared = text
		}
	}
	ips, names := map[string]int{}, map[string]int{}
	for _, g := range grants {
		prefix, name := g.ip.String(), g.identity.Name()
		ips[prefix]++
		names[name]++
		shown := grantView{
			IP: wording.ShortPrefix(prefix), Prefix: prefix, Yours: prefix == mine,
			Identity: wording.Printable(name), Name: strconv.QuoteToASCII(name), Serial: g.identity.Serial,
			Learned: instantOf(g.learned, wording.Ago(now.Sub(g.learned))),
			Proved:  instantOf(g.proved, wording.Ago(now.Sub(g.proved))),
			Expires: instantOf(g.expires, wording.Span(g.expires.Sub(now))+" left"),
			Left:    wording.Percent(int(g.expires.Sub(now)/time.Millisecond), int(g.expires.Sub(g.proved)/time.Millisecond)),
		}
		others := []string{}
		for _, other := range g.identity.Names[1:] {
			if !strings.HasPrefix(other, identity.ByFingerprint) {
				others = append(others, wording.Printable(other))
			}
		}
		shown.Others = strings.Join(others, ", ")
		shown.Short = shortSum(g.identity.Fingerprint())
		v.Grants = append(v.Grants, shown)
	}
	v.IPs = len(ips)
	v.Full = wording.Percent(v.IPs, v.MaxIPs)
	v.IPList, v.Who = choices(ips, wording.ShortPrefix), choices(names, wording.Printable)
	for i := range v.Who {
		v.Who[i].Value = strconv.QuoteToASCII(v.Who[i].Value)
	}
	events := store.lastEvents()
	for i := len(events) - 1; i >= 0 && len(v.Events) < shownEvents; i-- {
		v.Events = append(v.Events, eventViewOf(events[i], now))
	}
	return v
}

// shortSum returns the first digits of a fingerprint, by which people know it; empty if it is none.
func shortSum(fingerprint string) string {
	if !identity.IsFingerprint(fingerprint) {
		return ""
	}
	return fingerprint[:16]
}

func eventViewOf(e event, now time.Time) eventView {
	v := eventView{What: e.what, Why: wording.Printable(e.why), At: instantOf(e.at, wording.Ago(now.Sub(e.at)))}
	if e.ip.IsValid() {
		v.IP = wording.ShortPrefix(e.ip.String())
	}
	if len(e.identity.Names) > 0 {
		v.Who = wording.Printable(e.identity.Name())
	}
	return v
}

// choices are the keys in order.
func choices(counts map[string]int, text func(string) string) []choice {
	list := []choice{}
	for value, n := range counts {
		list = append(list, choice{Value: value, Text: text(value), Count: wording.Counted(n, "grant")})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Value < list[j].Value })
	return list
}

func instantOf(t time.Time, text string) instant {
	t = t.UTC()
	return instant{Text: text, Exact: t.Format("2006-01-02 15:04:05 UTC"), RFC: t.Format(time.RFC3339)}
}
