package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// TestFloodsRevokeNothing is about requests of who may see the page, and of who may not, up to the megabyte of headers
// that Traefik reads.
func TestFloodsRevokeNothing(t *testing.T) {
	const size = 900_000
	many := func(text string) string { return strings.Repeat(text, size/len(text)) }
	watched(nil, nil, nil).live(t)
	walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
	for _, row := range []struct {
		name, method, path, body string
		headers                  []string
		want                     int
	}{
		{"a path", "GET", "/" + many("x"), "", nil, 404},
		{"slashes", "GET", "/" + many("a/") + "none", "", nil, 404},
		{"a query of a listing", "GET", "/grants?" + many("x"), "", nil, 200},
		{"a query of the page", "GET", "/?revoked=" + many("1"), "", nil, 200},
		{"an address", "DELETE", "/grants?ip=" + many("1"), "", nil, 400},
		{"an IPv6 address", "DELETE", "/grants?ip=" + many("1:"), "", nil, 400},
		{"a zone", "DELETE", "/grants?ip=fe80::1%25" + many("z"), "", nil, 200}, // nobody's

		{"an identity", "DELETE", "/grants?identity=cn:" + many("%3C"), "", nil, 200}, // of nobody
		{"a quoted identity", "DELETE", "/grants?identity=%22" + many("%5C"), "", nil, 400},
		{"a store", "DELETE", "/grants?store=" + many("x"), "", nil, 400},
		{"keys", "DELETE", "/grants?" + many("x=y&") + "ip=203.0.113.7", "", nil, 400},
		{"addresses", "DELETE", "/grants?" + many("ip=203.0.113.7&"), "", nil, 400},
		{"ampersands", "DELETE", "/grants?" + many("&"), "", nil, 400},
		{"percent signs", "DELETE", "/grants?ip=203.0.113.7&" + many("%25") + "=%", "", nil, 400},
		{"a body of a DELETE", "DELETE", "/grants", many("ip=203.0.113.7&"), nil, 400},
		{"a form", "POST", "/", "ip=" + many("1"), nil, 400},
		{"a form's keys", "POST", "/", many("x=y&") + "ip=203.0.113.7", nil, 400},
		{"a form that is too large", "POST", "/", "ip=203.0.113.7&" + strings.Repeat("x", 1<<21), nil, 400},
		{"zeros", "POST", "/", many("\x00"), nil, 400},
		{"no form", "POST", "/", many(`{"ip":"203.0.113.7"}`), []string{"Content-Type: application/json"}, 400},
		{"a form of many parts", "POST", "/", "--b\r\nContent-Disposition: form-data; name=ip\r\n\r\n203.0.113.7\r\n" + many("--b\r\n\r\n"), []string{"Content-Type: multipart/form-data; boundary=b"}, 400},
		{"a form of another type", "POST", "/", "ip=203.0.113.7", []string{"Content-Type: text/plain"}, 400},
		{"a form of no type", "POST", "/", "ip=203.0.113.7", []string{"Content-Type: ;;;"}, 400},
		{"a form in the address", "POST", "/?ip=203.0.113.7", "", nil, 400},
		{"an origin", "DELETE", "/grants?ip=203.0.113.7", "", []string{"Origin: https://" + many("x")}, 403},
		{"an origin that is none", "POST", "/", "ip=203.0.113.7", []string{"Origin: " + many("%")}, 403},
		{"a site", "POST", "/", "ip=203.0.113.7", []string{"Sec-Fetch-Site: " + many("same-origin,")}, 403},
		{"types", "GET", "/", "", []string{"Accept: " + many("text/html,")}, 200},
		{"a prefix", "GET", "/x", "", []string{"X-Forwarded-Prefix: " + many("/x"), "Accept: text/html"}, 307},
		{"a method", strings.Repeat("X", 100_000), "/", "", nil, 405},
	} {
		for _, http2 := range []bool{false, true} {
			page := owner(t, http2)
			stranger := keep(t, lab.ClientOptions{From: "203.0.113.66", Target: home.traefik.Addr("websecure"), TLS: tlsConfig(nil), HTTP2: http2})
			for c, want := range map[*lab.Client]int{page: row.want, stranger: http.StatusForbidden} {
				got, err := c.Do(written(t, row.method, row.path, row.body, row.headers...))
				for attempt := 1; err != nil && len(row.body) > size/2 && attempt < 10; attempt++ {
					// Traefik answers before it has read all, and Go's client now and then has that for an error.
					got, err = c.Do(written(t, row.method, row.path, row.body, row.headers...))
				}
				if err != nil || got.Status != want || strings.Contains(got.Body, "\"ended\": 1") {
					t.Errorf("%s, HTTP/2: %t: got %d, %.200s, %.200v, want %d", row.name, http2, got.Status, got.Body, err, want)
				}
				if want == http.StatusForbidden && len(got.Body) > 200 {
					t.Errorf("%s: the stranger got %d bytes", row.name, len(got.Body))
				}
			}
		}
	}
	walk(t, step{"203.0.113.7", nil, "photos", "200"})
	if got := listed(t, owner(t, false), "/grants").in(storeOf(t, "default")); got != "203.0.113.7/32" {
		t.Errorf("the store has %s", got)
	}
	if got := metrics(t, owner(t, false), storeOf(t, "default")); got["mtlsallowlist_revoked_total"] != "0" {
		t.Errorf("got %v", got)
	}
	noPanic(t)
}
