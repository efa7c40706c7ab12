package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

var style = regexp.MustCompile(`(?s)<style>(.*?)</style>`)

func TestThePageRunsNothingAndLoadsNothing(t *testing.T) {
	watched(nil, nil, nil).live(t)
	walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
	for _, http2 := range []bool{false, true} {
		response := send(t, owner(t, http2), http.MethodGet, "/", "", "Accept: text/html")
		if response.Status != http.StatusOK || response.Proto != map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[http2] {
			t.Fatalf("got %d over %s", response.Status, response.Proto)
		}
		for _, want := range []string{"cn:phone", "203.0.113.7", "198.51.100.1", `<form method="post">`} {
			if !strings.Contains(response.Body, want) {
				t.Errorf("the page lacks %q: %s", want, response.Body)
			}
		}
		for _, active := range []string{"<script", "<iframe", "<object", "<embed", "<base", "javascript:", " style=", "http:", "https:", "@import", "url("} {
			if strings.Contains(response.Body, active) {
				t.Errorf("the page contains %q", active)
			}
		}
		sum := sha256.Sum256([]byte(style.FindStringSubmatch(response.Body)[1]))
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
				"'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"Content-Type":                 "text/html; charset=utf-8",
			"Cache-Control":                "no-store",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Referrer-Policy":              "same-origin",
			"X-Content-Type-Options":       "nosniff",
		} {
			if got := response.Header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}
}

func TestProgramsReadTheListing(t *testing.T) {
	watched(options{"maxIPs": 5, "ttl": "1h"}, nil, options{"store": storeOf(t, "default") + "," + storeOf(t, "empty")}).live(t)
	began := time.Now()
	walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
	ended := time.Now()
	for _, row := range []struct{ path, accept string }{{"/grants", "*/*"}, {"/grants", "text/html"}, {"/", "application/json"}} {
		for _, http2 := range []bool{false, true} {
			response := send(t, owner(t, http2), http.MethodGet, row.path, "", "Accept: "+row.accept)
			if got := response.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("%v: got %s", row, got)
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(response.Body), &got); err != nil {
				t.Fatalf("%v: %v", row, err)
			}
			grant := got["stores"].([]any)[0].(map[string]any)["grants"].([]any)[0].(map[string]any)
			at := func(field string) time.Time {
				text := fmt.Sprint(grant[field])
				moment, err := time.Parse(time.RFC3339, text)
				if err != nil || !strings.HasSuffix(text, "Z") {
					t.Errorf("%s: %s isn't a time in UTC: %v", field, text, err)
				}
				return moment
			}
			learned := at("learned")
			if learned.Before(began.Add(-time.Millisecond)) || learned.After(ended.Add(time.Millisecond)) || !at("proved").Equal(learned) || at("expires").Sub(learned) != time.Hour {
				t.Errorf("the times are %v", grant)
			}
			want := map[string]any{
				"stores": []any{
					map[string]any{"name": storeOf(t, "default"), "maxIPs": 5.0, "grants": []any{map[string]any{
						"ip": "203.0.113.7/32", "identity": "cn:phone", "fingerprint": fingerprint(home.Phone), "serial": serial(home.Phone),
						"learned": grant["learned"], "proved": grant["proved"], "expires": grant["expires"],
					}}},
					map[string]any{"name": storeOf(t, "empty"), "maxIPs": 0.0, "grants": []any{}},
				},
				"you": map[string]any{"ip": "198.51.100.1/32", "admitted": false},
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%v: got %v\nwant %v", row, got, want)
			}
		}
	}
	c := client(t, "203.0.113.7", &home.Owner)
	if got := listed(t, c, "/grants").You; !got.Admitted {
		t.Errorf("the owner, from the phone's address, got %v", got)
	}
}

var sampleLine = regexp.MustCompile(`^(mtlsallowlist_[a-z_]+)\{store="((?:[^"\\]|\\.)*)"(?:,reason="((?:[^"\\]|\\.)*)")?\} (\d+)$`)

// metrics reads what Prometheus would, by name and reason, of one store.
func metrics(t *testing.T, c *lab.Client, store string) map[string]string {
	t.Helper()
	response := send(t, c, http.MethodGet, "/metrics", "")
	if got := response.Header.Get("Content-Type"); response.Status != http.StatusOK || got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Fatalf("got %d with %s", response.Status, got)
	}
	values, described := map[string]string{}, map[string]bool{}
	for line := range strings.Lines(response.Body) {
		line = strings.TrimSuffix(line, "\n")
		fields := strings.Fields(line)
		parts := sampleLine.FindStringSubmatch(line)
		switch {
		case len(fields) > 3 && fields[0] == "#" && fields[1] == "HELP":
		case len(fields) == 4 && fields[0] == "#" && fields[1] == "TYPE":
			described[fields[2]] = true
		case parts == nil || !described[parts[1]]:
			t.Errorf("no line for Prometheus: %q", line)
		case parts[2] == store:
			values[strings.TrimSuffix(parts[1]+" "+parts[3], " ")] = parts[4]
		}
	}
	return values
}

func TestMetricsCount(t *testing.T) {
	watched(options{"maxIPs": 2}, nil, nil).live(t)
	page := owner(t, false)
	before := metrics(t, page, storeOf(t, "default"))
	if before["mtlsallowlist_grants"] != "0" || before["mtlsallowlist_ips_limit"] != "2" {
		t.Errorf("before: got %v", before)
	}
	walk(t,
		step{"203.0.113.1", &home.Phone, "ha", "200"},
		step{"203.0.113.2", &home.Phone, "ha", "200"},
		step{"203.0.113.2", &home.Phone, "ha", "200"},
		step{"203.0.113.3", &home.Phone, "ha", "200"},
		step{"203.0.113.3", nil, "photos", "200"},
		step{"203.0.113.3", nil, "files", "200"},
		step{"203.0.113.1", nil, "photos", "403"},
	)
	send(t, page, http.MethodDelete, "/grants?ip=203.0.113.2", "")
	want := map[string]string{
		"mtlsallowlist_grants": "1", "mtlsallowlist_ips": "1", "mtlsallowlist_ips_limit": "2",
		"mtlsallowlist_learned_total": "3", "mtlsallowlist_renewed_total": "1", "mtlsallowlist_evicted_total": "1", "mtlsallowlist_revoked_total": "1",
		"mtlsallowlist_admitted_total": "2", "mtlsallowlist_state_file_failures_total": "0",
		"mtlsallowlist_rejected_total not on the allowlist": "1",
	}
	if got := metrics(t, page, storeOf(t, "default")); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestMethodsAndPathsOfThePage(t *testing.T) {
	watched(nil, nil, nil).live(t)
	walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
	for _, row := range []struct {
		method, path string
		want         int
		allow        string
	}{
		{"HEAD", "/", 200, ""}, {"HEAD", "/grants", 200, ""}, {"HEAD", "/metrics", 200, ""},
		{"PUT", "/", 405, "GET, HEAD, POST"}, {"DELETE", "/?ip=203.0.113.7", 405, "GET, HEAD, POST"}, {"OPTIONS", "/", 405, "GET, HEAD, POST"},
		{"POST", "/grants?ip=203.0.113.7", 405, "GET, HEAD, DELETE"}, {"PATCH", "/grants", 405, "GET, HEAD, DELETE"}, {"delete", "/grants?ip=203.0.113.7", 405, "GET, HEAD, DELETE"},
		{"POST", "/metrics?ip=203.0.113.7", 405, "GET, HEAD"}, {"DELETE", "/metrics?ip=203.0.113.7", 405, "GET, HEAD"}, {"TRACE", "/metrics", 405, "GET, HEAD"},
		{"GET", "/none", 404, ""}, {"GET", "/Grants", 404, ""}, {"GET", "/grants.json", 404, ""}, {"GET", "/grants/none", 404, ""}, {"GET", "/favicon.ico", 404, ""},
		{"HEAD", "/none", 404, ""}, {"DELETE", "/none?ip=203.0.113.7", 404, ""}, {"POST", "/none", 404, ""}, {"PUT", "/none", 404, ""},
	} {
		for _, http2 := range []bool{false, true} {
			body := ""
			if row.method == http.MethodPost {
				body = "ip=203.0.113.7"
			}
			got := send(t, owner(t, http2), row.method, row.path, body)
			if got.Status != row.want || got.Header.Get("Allow") != row.allow || row.method == http.MethodHead && got.Body != "" {
				t.Errorf("%s %s: got %d, Allow %q and %q, want %d, %q", row.method, row.path, got.Status, got.Header.Get("Allow"), got.Body, row.want, row.allow)
			}
			if row.want != 200 && strings.Contains(got.Body, "203.0.113.7") {
				t.Errorf("%s %s shows %s", row.method, row.path, got.Body)
			}
		}
	}
	walk(t, step{"203.0.113.7", nil, "photos", "200"})
}
