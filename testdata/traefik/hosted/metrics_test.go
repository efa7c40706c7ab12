package hosted

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/traefik/traefik/v3/pkg/plugins"
)

// fromYAML makes a handler of options written in Traefik's YAML, to show that they can be.
func fromYAML(t *testing.T, builder *plugins.Builder, format string, args ...any) http.Handler {
	t.Helper()
	options := check.Must(fromFile(t, "dynamic.yml", "http: {middlewares: {m: {plugin: {"+pluginName+": {"+fmt.Sprintf(format, args...)+"}}}}}"))(t)
	return mustBuild(t, builder, options, "m@file")
}

// scrape returns what a status page answers to Prometheus.
func scrape(t *testing.T, page http.Handler) []byte {
	t.Helper()
	req := request(http.MethodGet, "/metrics", "198.51.100.1:1", proof(t, "prometheus"))
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
	response := answer(page, req)
	if response.Code != http.StatusOK {
		t.Fatalf("got %d, want %d", response.Code, http.StatusOK)
	}
	if got := expfmt.ResponseFormat(response.Header()); got.FormatType() != expfmt.TypeTextPlain {
		t.Errorf("got content type %q, want that of the text format", response.Header().Get("Content-Type"))
	}
	return response.Body.Bytes()
}

// samples returns each sample's value, by metric, store and reason, and checks what must hold for all of them.
func samples(t *testing.T, text []byte) map[[3]string]float64 {
	t.Helper()
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatalf("promlint: %v in\n%s", err, text)
	}
	for _, p := range problems {
		t.Errorf("promlint: %s: %s", p.Metric, p.Text)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	values := map[[3]string]float64{}
	for name, family := range families {
		isCounter := family.GetType() == dto.MetricType_COUNTER
		if family.GetHelp() == "" || isCounter != strings.HasSuffix(name, "_total") || !isCounter && family.GetType() != dto.MetricType_GAUGE {
			t.Errorf("%s: got type %v and help %q", name, family.GetType(), family.GetHelp())
		}
		for _, m := range family.GetMetric() {
			key := [3]string{strings.TrimPrefix(name, "mtlsallowlist_")}
			for _, label := range m.GetLabel() {
				key[1+slices.Index([]string{"store", "reason"}, label.GetName())] = label.GetValue()
			}
			if len(m.GetLabel()) == 0 || len(m.GetLabel()) > 2 || key[1] == "" {
				t.Errorf("%s: got labels %v, want store and at most reason", name, m.GetLabel())
			}
			values[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	checkComments(t, text)
	return values
}

// checkComments wants one help and one type for each metric, in front of its samples, also where there is no sample.
func checkComments(t *testing.T, text []byte) {
	t.Helper()
	seen := map[string]string{}
	last := ""
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if words[0] == "#" {
			last = words[2]
			seen[last] += words[1]
			continue
		}
		if name, _, _ := strings.Cut(line, "{"); name != last {
			t.Errorf("got a sample of %q among those of %q", name, last)
		}
	}
	for name, comments := range seen {
		if comments != "HELPTYPE" {
			t.Errorf("%s: got comments %s, want HELP and TYPE", name, comments)
		}
	}
	if len(seen) < 10 {
		t.Errorf("got %d metrics, want 10 at least", len(seen))
	}
}

func TestMetrics(t *testing.T) {
	builder := newBuilder(t)
	const odd, plain, unused = "a \"store\", \\n C:\\\nof two\tlines {x=\"ü\"} \u2028# \r.", "plain", "unused"
	quoted := func(text string) string { // JSON is YAML
		data := check.Must(json.Marshal(text))(t)
		return string(data)
	}
	folder := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "state.json")
	learner := fromYAML(t, builder, "mode: learn, store: [%s], maxIPs: 2, stateFile: '%s'", quoted(odd), file)
	phonesOnly := fromYAML(t, builder, "mode: learn, store: [%s], maxIPs: 2, identities: cn:phone", quoted(odd))
	enforcer := fromYAML(t, builder, "mode: enforce, store: [%s, %s]", quoted(odd), plain)
	lonely := fromYAML(t, builder, "mode: enforce, store: %s", plain)
	page := fromYAML(t, builder, "mode: status, store: [%s, %s, %s]", quoted(odd), plain, unused)
	unproven := &tls.ConnectionState{HandshakeComplete: true}

	// What is left out of the map is 0, and there is no other sample.
	check := func(when string, want map[[3]string]float64) {
		t.Helper()
		for _, store := range []string{odd, plain, unused} {
			for _, name := range []string{"grants", "ips", "ips_limit", "learned_total", "renewed_total", "evicted_total", "revoked_total", "admitted_total", "state_file_failures_total"} {
				want[[3]string{name, store}] += 0
			}
		}
		want[[3]string{"rejected_total", odd, "not on the allowlist"}] += 0 // both have enforcers
		want[[3]string{"rejected_total", plain, "not on the allowlist"}] += 0
		want[[3]string{"ips_limit", odd}] = 2
		got := samples(t, scrape(t, page))
		if maps.Equal(got, want) {
			return
		}
		for key, value := range got {
			if w, ok := want[key]; !ok || w != value {
				t.Errorf("%s: got %q %v, want %v", when, key, value, w)
			}
			delete(want, key)
		}
		for key, value := range want {
			t.Errorf("%s: got no %q, want %v", when, key, value)
		}
	}
	events(t, func(func() []string) {
		check("at first", map[[3]string]float64{})
		for _, r := range []struct {
			times   int
			handler http.Handler
			from    string
			state   *tls.ConnectionState
			want    int
		}{
			{3, learner, "203.0.113.1:1", proof(t, "phone"), 200}, // learned, renewed, renewed
			{1, learner, "203.0.113.1:1", proof(t, "watch"), 200}, // learned
			{1, learner, "203.0.113.2:1", proof(t, "phone"), 200}, // learned
			{1, learner, "203.0.113.3:1", proof(t, "phone"), 200}, // learned, evicts two
			{1, learner, "192.168.0.1:1", proof(t, "phone"), 200}, // not learned
			{1, learner, "203.0.113.3:1", nil, 403},
			{2, learner, "203.0.113.3:1", unproven, 403},
			{1, phonesOnly, "203.0.113.3:1", proof(t, "watch"), 403},
			{2, enforcer, "203.0.113.3:1", nil, 200},
			{3, enforcer, "203.0.113.1:1", nil, 403},
			{1, enforcer, "@", nil, 403},
			{4, lonely, "203.0.113.3:1", nil, 403},
			{5, page, "203.0.113.3:1", unproven, 403},
		} {
			for range r.times {
				if got := status(r.handler, r.from, nil, r.state); got != r.want {
					t.Errorf("%s: got %d, want %d", r.from, got, r.want)
				}
			}
		}
		want := map[[3]string]float64{
			{"grants", odd}:                                          2,
			{"ips", odd}:                                             2,
			{"learned_total", odd}:                                   4,
			{"renewed_total", odd}:                                   2,
			{"evicted_total", odd}:                                   2,
			{"admitted_total", odd}:                                  2,
			{"rejected_total", odd, "no TLS"}:                        1,
			{"rejected_total", odd, "no client certificate"}:         7,
			{"rejected_total", odd, "identity not among identities"}: 1,
			{"rejected_total", odd, "not on the allowlist"}:          3,
			{"rejected_total", odd, "no usable client address"}:      1,
			{"rejected_total", plain, "not on the allowlist"}:        4,
		}
		check("after requests", maps.Clone(want))

		revoke := request(http.MethodDelete, "/grants?ip=203.0.113.2", "198.51.100.1:1", proof(t, "phone"))
		if got := answer(page, revoke).Code; got != http.StatusOK {
			t.Errorf("revoking: got %d, want %d", got, http.StatusOK)
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		if got := status(learner, "203.0.113.3:2", nil, proof(t, "watch")); got != http.StatusOK { // a second grant there
			t.Errorf("with a state file that can't be written: got %d, want %d", got, http.StatusOK)
		}
		want[[3]string{"ips", odd}] = 1
		want[[3]string{"learned_total", odd}] = 5
		want[[3]string{"revoked_total", odd}] = 1
		want[[3]string{"state_file_failures_total", odd}] = 1
		check("after a revocation and a failure", want)
	})
}
