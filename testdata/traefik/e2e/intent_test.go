package e2e

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/browser"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/config"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

const haURL = "https://ha.home.example"

// A visited service tells which paths it is asked for. Its answers are pages with a picture of their own.
type visited struct {
	*httptest.Server
	paths chan string
}

func startVisited(t *testing.T) *visited {
	v := &visited{paths: make(chan string, 100)}
	v.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		rw.Header().Set("Cache-Control", "no-store")
		if strings.HasPrefix(req.URL.Path, "/own") {
			rw.Header().Set("Content-Type", "image/svg+xml")
			fmt.Fprint(rw, `<svg xmlns="http://www.w3.org/2000/svg"/>`)
		} else {
			fmt.Fprintf(rw, `<link rel="icon" href="data:,"><img src="/own%s">`, req.URL.Path)
		}
		v.paths <- req.URL.Path
	}))
	t.Cleanup(v.Close)
	return v
}

// wait waits until the service has been asked for each of paths.
func (v *visited) wait(t *testing.T, paths ...string) {
	t.Helper()
	missing := map[string]bool{}
	for _, path := range paths {
		missing[path] = true
	}
	timeout := time.After(30 * time.Second)
	for len(missing) > 0 {
		select {
		case path := <-v.paths:
			delete(missing, path)
		case <-timeout:
			t.Fatalf("nobody asks for %v", missing)
		}
	}
}

// startSite serves pages of another site by their path, until the test ends, and returns where.
func startSite(t *testing.T, host string, pages map[string]string) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprint(rw, `<link rel="icon" href="data:,">`, pages[req.URL.Path])
	}))
	certificate := check.Must(home.CA.Issue(lab.Leaf{CommonName: host, DNSNames: []string{host}, Server: true}))(t)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// liveInFrontOf makes h live, with service for Home Assistant.
func (h household) liveInFrontOf(t *testing.T, service string) {
	t.Helper()
	configuration := h.dynamic(t)
	configuration.HTTP.Services["ha"] = config.Service(service)
	live(t, configuration)
}

// bySites are ways in which a page of another site has a browser ask the learner, as HTML with %s for the URL.
var bySites = []struct {
	name, html string
	framed     bool // whether there is a document in it, which loads more
}{
	{"a picture", `<img src="%s">`, false},
	{"a script", `<script src="%s"></script>`, false},
	{"a style", `<link rel="stylesheet" href="%s">`, false},
	{"a prefetched page", `<link rel="prefetch" href="%s">`, false},
	{"a script's request", `<script>fetch("%s", {mode: "no-cors", credentials: "include"})</script>`, false},
	{"a script's request with CORS", `<script>fetch("%s", {credentials: "include"})</script>`, false},
	{"a script's POST", `<script>fetch("%s", {method: "POST", mode: "no-cors", credentials: "include", body: "x"})</script>`, false},
	{"a beacon", `<script>navigator.sendBeacon("%s", "x")</script>`, false},
	{"events", `<script>new EventSource("%s", {withCredentials: true})</script>`, false},
	{"a WebSocket", `<script>new WebSocket("%s".replace("https", "wss"))</script>`, false},
	{"a hidden frame", `<iframe src="%s" style="visibility: hidden"></iframe>`, true},
	{"an object", `<object data="%s"></object>`, true},
	{"a form in a hidden frame", `<iframe name="hidden" hidden></iframe><form method="post" action="%s" target="hidden"></form><script>document.forms[0].submit()</script>`, true},
}

func TestOtherSitesDontMakeChromiumProve(t *testing.T) {
	service := startVisited(t)
	pages := map[string]string{"/link": `<a href="` + haURL + `/link">Follow</a>`, "/form": `<form method="post" action="` + haURL + `/form"><button>Send</button></form>`}
	for i, row := range bySites {
		path := fmt.Sprint("/by-site-", i)
		pages[path] = fmt.Sprintf(row.html, haURL+path)
	}
	b := chromium(t, "203.0.113.7", home.Phone, map[string]string{"evil.invalid": startSite(t, "evil.invalid", pages)})
	for i, row := range bySites {
		t.Run(row.name, func(t *testing.T) {
			plain(nil, nil).liveInFrontOf(t, service.URL)
			path := fmt.Sprint("/by-site-", i)
			open(t, b, "https://evil.invalid"+path, http.StatusOK)
			service.wait(t, path)
			if row.framed {
				service.wait(t, "/own"+path)
			}
			walk(t, step{"203.0.113.7", nil, "photos", "403"})
			if got := logged(t, "not learned", storeOf(t, "default"), "request that another site has made the browser send"); got != 1 {
				t.Errorf("got %d lines about it, want 1", got)
			}
		})
	}
	for name, visit := range map[string]func(t *testing.T){
		"an address that is typed": func(t *testing.T) { open(t, b, haURL+"/typed", http.StatusOK) },
		"a link that is followed": func(t *testing.T) {
			open(t, b, "https://evil.invalid/link", http.StatusOK)
			follow(t, b, "Follow", http.StatusOK)
		},
		"a form that is sent": func(t *testing.T) {
			open(t, b, "https://evil.invalid/form", http.StatusOK)
			follow(t, b, "Send", http.StatusOK)
		},
	} {
		t.Run(name, func(t *testing.T) {
			plain(nil, nil).liveInFrontOf(t, service.URL)
			visit(t)
			walk(t, step{"203.0.113.7", nil, "photos", "200"})
		})
	}
}

// TestOtherSitesDontMakeChromiumRenew has it prove before, and keep that connection.
func TestOtherSitesDontMakeChromiumRenew(t *testing.T) {
	service := startVisited(t)
	all, paths := "", []string{}
	for i, row := range bySites {
		path := fmt.Sprint("/by-site-", i)
		all += fmt.Sprintf(strings.ReplaceAll(row.html, "forms[0]", "forms[document.forms.length - 1]"), haURL+path)
		paths = append(paths, path)
		if row.framed {
			paths = append(paths, "/own"+path)
		}
	}
	b := chromium(t, "203.0.113.7", home.Phone, map[string]string{"evil.invalid": startSite(t, "evil.invalid", map[string]string{"/": all})})
	watched(nil, nil, nil).liveInFrontOf(t, service.URL)
	proved := func() time.Time {
		t.Helper()
		grants := listed(t, owner(t, false), "/grants").Stores[0].Grants
		if len(grants) != 1 || grants[0].Identity != "cn:phone" {
			t.Fatalf("got %v, want the phone's grant", grants)
		}
		return grants[0].Proved
	}
	open(t, b, haURL+"/first", http.StatusOK)
	service.wait(t, "/first", "/own/first")
	before := proved()
	open(t, b, "https://evil.invalid/", http.StatusOK)
	service.wait(t, paths...)
	if after := proved(); !after.Equal(before) {
		t.Errorf("proved at %v, and again by the other site at %v", before, after)
	}
	open(t, b, haURL+"/again", http.StatusOK)
	if _, err := browser.Evaluate[string](b, `fetch("/own/fetch").then(r => r.text())`); err != nil {
		t.Fatal(err)
	}
	if after := proved(); !after.After(before) {
		t.Errorf("proved at %v, and not again by a visit", before)
	}
}
