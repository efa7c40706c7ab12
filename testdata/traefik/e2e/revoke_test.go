package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// onOpen asks a host for / on a connection that is open already.
func onOpen(t *testing.T, c *lab.Client, host string) string {
	t.Helper()
	request := check.Must(http.NewRequest(http.MethodGet, "https://"+host+".home.example/", nil))(t)
	reused := false
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
	response, err := c.Do(request.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
	if err != nil || !reused {
		t.Fatalf("%s: %v, on an open connection: %t", host, err, reused)
	}
	return fmt.Sprint(response.Status)
}

func TestRevokingClosesOpenConnectionsToo(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		for _, row := range []struct{ name, method, path, body string }{
			{"by address", http.MethodDelete, "/grants?ip=203.0.113.7", ""},
			{"by address and identity", http.MethodDelete, "/grants?ip=203.0.113.7%2F32&identity=cn:phone", ""},
			{"by store", http.MethodDelete, "/grants?store=STORE", ""},
			{"by a form", http.MethodPost, "/", "store=STORE&ip=203.0.113.7&identity=cn%3Aphone"},
		} {
			t.Run(fmt.Sprintf("%s, HTTP/2: %t", row.name, http2), func(t *testing.T) {
				path, store := stateFile(t), storeOf(t, "default")
				watched(options{"stateFile": path}, nil, nil).live(t)
				at := func(certificate bool) *lab.Client {
					options := lab.ClientOptions{From: "203.0.113.7", Target: home.traefik.Addr("websecure"), TLS: tlsConfig(nil), HTTP2: http2, KeepAlive: true}
					if certificate {
						options.TLS = tlsConfig(&home.Phone)
					}
					return keep(t, options)
				}
				app, phone, page := at(false), at(true), owner(t, http2)
				check := func(when, got, want string) {
					t.Helper()
					if got != want {
						t.Errorf("%s: got %s, want %s", when, got, want)
					}
				}
				check("the proof", status(phone, "ha"), "200")
				check("the app", status(app, "photos"), "200")
				check("the app again", onOpen(t, app, "photos"), "200")
				fill := strings.NewReplacer("STORE", url.QueryEscape(store))
				response := send(t, page, row.method, fill.Replace(row.path), fill.Replace(row.body))
				if response.Body != "{\n  \"ended\": 1\n}\n" && response.Header.Get("Location") != "/?revoked=1" {
					t.Errorf("got %d, %v, %s", response.Status, response.Header, response.Body)
				}
				check("the file", readState(t, path, store).ips(), "") // before anything else is asked
				check("the app after", onOpen(t, app, "photos"), "403")
				check("the listing after", listed(t, page, "/grants").in(store), "")
				check("the phone after", onOpen(t, phone, "ha"), "200") // it still has its certificate
				check("the file after its proof", readState(t, path, store).ips(), "203.0.113.7/32")
				check("the app after its proof", onOpen(t, app, "photos"), "200")
				if got := logged(t, "msg=revoked", store, " ip=203.0.113.7 ", "identity=cn:phone", "fingerprint="+fingerprint(home.Phone), "by=cn:owner"); got != 1 {
					t.Errorf("got %d revoked lines, want 1", got)
				}
			})
		}
	}
}

func TestOnlyWhatIsSelectedIsRevoked(t *testing.T) {
	first, second := storeOf(t, "first"), storeOf(t, "second")
	h := watched(options{"store": first}, nil, options{"store": first})
	h.Plugins["second"] = options{"mode": "learn", "store": second}
	h.Routes[2] = route{Host: "files", Middleware: "second", TLS: "verified"}
	h.live(t)
	tablet := issue(t, lab.Leaf{CommonName: "tablet"})
	const all = "203.0.113.8/32 203.0.113.7/32 203.0.113.7/32"
	page := owner(t, false)
	for _, row := range []struct {
		query string
		want  int // -1: a fault
		left  string
	}{
		{"ip=203.0.113.7&identity=cn:tablet", 1, "203.0.113.8/32 203.0.113.7/32"},
		{"identity=cn:phone", 2, "203.0.113.7/32"},
		{"ip=203.0.113.7", 2, "203.0.113.8/32"},
		{"ip=203.0.113.0/24", 3, ""},
		{"store=" + url.QueryEscape(first), 3, ""},
		{"identity=cn:Phone", 0, all}, {"ip=203.0.113.9", 0, all}, {"identity=phone", 0, all}, {"identity=*", 0, all},
		{"", -1, all}, {"ip=", -1, all}, {"store=", -1, all}, {"identity=", -1, all}, {"ip=203.0.113.7&identity=", -1, all},
		{"store=" + url.QueryEscape(second), -1, all}, {"store=none", -1, all}, {"ips=203.0.113.7", -1, all}, {"ip=203.0.113.7&x=y", -1, all},
		{"ip=203.0.113.7&ip=203.0.113.8", -1, all}, {"ip=all", -1, all}, {"ip=203.0.113.7%", -1, all},
	} {
		for _, method := range []string{http.MethodDelete, http.MethodPost} {
			walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}, step{"203.0.113.7", tablet, "ha", "200"}, step{"203.0.113.8", &home.Phone, "ha", "200"}, step{"203.0.113.7", &home.Phone, "files", "200"})
			path, body := "/grants?"+row.query, ""
			if method == http.MethodPost {
				path, body = "/?ip=203.0.113.7", row.query // what is in a form's address selects nothing
			}
			response := send(t, page, method, path, body)
			want, said := "400", true
			switch {
			case row.want >= 0 && method == http.MethodPost:
				want, said = "303", response.Header.Get("Location") == fmt.Sprint("/?revoked=", row.want)
			case row.want >= 0:
				want, said = "200", response.Body == fmt.Sprintf("{\n  \"ended\": %d\n}\n", row.want)
			}
			if got := listed(t, page, "/grants").in(first); fmt.Sprint(response.Status) != want || !said || got != row.left {
				t.Errorf("%s %s: got %d, %v, %s, left are %s, want %d and %s", method, row.query, response.Status, response.Header, response.Body, got, row.want, row.left)
			}
		}
	}
	if got := logged(t, "msg=revoked", second); got != 0 {
		t.Errorf("%d grants of the other store were revoked", got)
	}
}

func TestOneOfTwoStoresIsRevoked(t *testing.T) {
	first, second := storeOf(t, "first"), storeOf(t, "second")
	h := watched(options{"store": first}, nil, options{"store": first + "," + second})
	h.Plugins["second"] = options{"mode": "learn", "store": second}
	h.Routes[2] = route{Host: "files", Middleware: "second", TLS: "verified"}
	h.live(t)
	for _, row := range []struct{ query, left string }{
		{"store=" + url.QueryEscape(first), " and 203.0.113.7/32"},
		{"store=" + url.QueryEscape(second) + "&identity=cn:phone", "203.0.113.7/32 and "},
		{"store=none&identity=cn:phone", "203.0.113.7/32 and 203.0.113.7/32"},
		{"identity=cn:phone", " and "},
	} {
		walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}, step{"203.0.113.7", &home.Phone, "files", "200"})
		send(t, owner(t, false), http.MethodDelete, "/grants?"+row.query, "")
		l := listed(t, owner(t, true), "/grants")
		if got := l.in(first) + " and " + l.in(second); got != row.left {
			t.Errorf("%s: left are %s, want %s", row.query, got, row.left)
		}
	}
}

func TestOtherSitesRevokeNothing(t *testing.T) {
	watched(nil, nil, nil).live(t)
	for _, row := range []struct {
		name    string
		headers []string
		want    bool // to be revoked
	}{
		{"a program", nil, true},
		{"the page", []string{"Origin: " + pageURL, "Sec-Fetch-Site: same-origin"}, true},
		{"an old browser on the page", []string{"Origin: " + pageURL}, true},
		{"the page at another port", []string{"Host: allowlist.home.example:8443", "Origin: " + pageURL + ":8443", "Sec-Fetch-Site: same-origin"}, true},
		{"a bookmark", []string{"Sec-Fetch-Site: none"}, true},
		{"another site", []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, false},
		{"another site without Origin", []string{"Sec-Fetch-Site: cross-site"}, false},
		{"another host of the site", []string{"Origin: https://photos.home.example", "Sec-Fetch-Site: same-site"}, false},
		{"another host of the site without Origin", []string{"Sec-Fetch-Site: same-site"}, false},
		{"an old browser on another site", []string{"Origin: https://evil.example"}, false},
		{"an old browser on another host", []string{"Origin: https://photos.home.example"}, false},
		{"an old browser at another port", []string{"Origin: " + pageURL + ":8443"}, false},
		{"a site that begins alike", []string{"Origin: " + pageURL + ".evil.example"}, false},
		{"a site that ends alike", []string{"Origin: https://evil-allowlist.home.example"}, false},
		{"a frame without an origin", []string{"Origin: null"}, false},
		{"another site that says where it goes", []string{"Origin: https://evil.example", "X-Forwarded-Host: evil.example"}, false},
		{"two values", []string{"Sec-Fetch-Site: same-origin, cross-site"}, false},
		{"an unknown value", []string{"Sec-Fetch-Site: next-door"}, false},
	} {
		for _, http2 := range []bool{false, true} {
			for _, request := range []struct{ method, path, body string }{{http.MethodDelete, "/grants?ip=203.0.113.7", ""}, {http.MethodPost, "/", "ip=203.0.113.7"}} {
				walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
				got := send(t, owner(t, http2), request.method, request.path, request.body, row.headers...)
				if (got.Status == http.StatusForbidden) == row.want || strings.Contains(got.Body, "203.0.113.7") {
					t.Errorf("%s %s: got %d, %s", request.method, row.name, got.Status, got.Body)
				}
				walk(t, step{"203.0.113.7", nil, "photos", map[bool]string{true: "403", false: "200"}[row.want]})
			}
		}
	}
	if got := logged(t, "msg=refused", storeOf(t, "default"), `reason="cross-site request"`, "identity=cn:owner"); got != 1 {
		t.Errorf("got %d refused lines, want 1 a minute", got)
	}
}

// TestRevokingByCurl runs the script of docs/status.md.
func TestRevokingByCurl(t *testing.T) {
	h := plain(options{"allowPrivate": true}, nil)
	h.Plugins["status"] = options{"mode": "status"}
	h.Routes = append(h.Routes, route{Host: "allowlist", Middleware: "status", TLS: "verified", Service: "noop@internal"})
	configuration := h.dynamic(t)
	configuration.HTTP.Routers["allowlist3"].Rule = "Host(`allowlist.example.com`)"
	live(t, configuration)
	folder, variable := curlAt(t)
	for name, pem := range map[string][]byte{"phone.crt": lab.CertPEM(home.Phone), "phone.key": check.Must(lab.KeyPEM(home.Phone))(t)} {
		if err := os.WriteFile(filepath.Join(folder, name), pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	walk(t, step{"", &home.Phone, "ha", "200"}, step{"", nil, "photos", "200"})
	got := string(check.Must(command(t, folder, []string{variable}, "status/revoke.sh").Output())(t))
	if !strings.Contains(got, `"ended": 1`) {
		t.Errorf("got %s, want one grant ended", got)
	}
	walk(t, step{"", nil, "photos", "403"})
}
