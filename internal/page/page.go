// Package page writes what the status page shows, as HTML, JSON and Prometheus's text format. It gets values and writes bytes: who
// may see them, and where they come from, it doesn't know.
package page

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"io"
	"net/netip"
	"net/url"
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
	MaxIPs       int     // 0: the store has no learner
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
	Invalid  int       // invalid changes in Redis
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
	return &Template{html: template.Must(template.New("page").Parse(strings.ReplaceAll(pageHTML, "STYLE", style)))}
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
			v.Viewer.Hint = "It is a private address, which isn't learned. For your own network use sourceRange; if it is a gateway's, see ipStrategy and the PROXY protocol."
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
