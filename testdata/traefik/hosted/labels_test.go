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

	"github.com/BurntSushi/toml"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/label"
	"github.com/traefik/traefik/v3/pkg/provider/file"
	"go.yaml.in/yaml/v3"
)

// A spelling is a way into Traefik. It turns options into what the plugin builder gets.
type spelling struct {
	name   string
	decode func(t *testing.T, labels, yaml string) (map[string]any, error)
}

// spellings are the ways in that decode options differently. Labels are written by hand, as in compose files; the
// others are made from one YAML text.
var spellings = []spelling{
	{"labels", func(_ *testing.T, labels, _ string) (map[string]any, error) {
		return fromLabels(labels)
	}},
	{"lower-case labels", func(_ *testing.T, labels, _ string) (map[string]any, error) {
		lines := strings.Split(labels, "; ")
		for i, line := range lines {
			key, value, _ := strings.Cut(line, "=")
			lines[i] = strings.ToLower(key) + "=" + value
		}
		return fromLabels(strings.Join(lines, "; "))
	}},
	{"YAML", func(t *testing.T, _, text string) (map[string]any, error) {
		return fromFile(t, "dynamic.yml", "http: {middlewares: {m: {plugin: {"+pluginName+": "+text+"}}}}")
	}},
	{"TOML", func(t *testing.T, _, text string) (map[string]any, error) {
		var buffer bytes.Buffer
		if err := toml.NewEncoder(&buffer).Encode(nest(parseYAML(t, text))); err != nil {
			t.Fatal(err)
		}
		return fromFile(t, "dynamic.toml", buffer.String())
	}},
	{"Kubernetes", func(t *testing.T, _, text string) (map[string]any, error) {
		data := check.Must(json.Marshal(parseYAML(t, text)))(t)
		// Traefik's Kubernetes provider decodes plugin options with encoding/json: all numbers are float64.
		var options dynamic.PluginConf
		return options, json.Unmarshal(data, &options)
	}},
}

func fromLabels(lines string) (map[string]any, error) {
	labels := map[string]string{}
	for _, line := range strings.Split(lines, "; ") {
		key, value, _ := strings.Cut(line, "=")
		labels["traefik.http.middlewares.m.plugin."+pluginName+"."+key] = value
	}
	configuration, err := label.DecodeConfiguration(labels)
	return optionsOf(configuration, err)
}

func fromFile(t *testing.T, name, content string) (map[string]any, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	configuration, err := (&file.Provider{}).DecodeConfiguration(path)
	return optionsOf(configuration, err)
}

func optionsOf(configuration *dynamic.Configuration, err error) (map[string]any, error) {
	if err != nil {
		return nil, err
	}
	return configuration.HTTP.Middlewares["m"].Plugin[pluginName], nil
}

func nest(options map[string]any) map[string]any {
	for _, key := range []string{pluginName, "plugin", "m", "middlewares", "http"} {
		options = map[string]any{key: options}
	}
	return options
}

func parseYAML(t *testing.T, text string) map[string]any {
	t.Helper()
	var options map[string]any
	if err := yaml.Unmarshal([]byte(text), &options); err != nil {
		t.Fatal(err)
	}
	return options
}

// A transcript is what was asked of handlers and what they answered, one request a line:
//
//	<handler> [<cn of a verified certificate>@]<address>[ as <X-User>][ via <X-Forwarded-For>] -> <status>[, <event logged>]...
//
// replay asks again what stands left of the arrows, and returns what it gets in the same form.
func replay(t *testing.T, handlers map[string]map[string]any, transcript []string) []string {
	t.Helper()
	builder := sharedBuilder(t)
	var got []string
	events(t, func(read func() []string) {
		for _, line := range transcript {
			question, _, _ := strings.Cut(line, " -> ")
			handler, rest, _ := strings.Cut(question, " ")
			from, via, isVia := strings.Cut(rest, " via ")
			from, user, isUser := strings.Cut(from, " as ")
			cn, address, hasCertificate := strings.Cut(from, "@")
			if !hasCertificate {
				address = from
			}
			if strings.Contains(address, ":") {
				address = "[" + address + "]"
			}
			// A new handler for each request, so that nothing rests on handlers keeping state.
			h := mustBuild(t, builder, handlers[handler], handler)
			var state *tls.ConnectionState
			if hasCertificate {
				state = proof(t, cn)
			}
			req := request(http.MethodGet, "/", address+":4711", state)
			if isVia {
				req.Header.Set("X-Forwarded-For", via)
			}
			if isUser {
				req.Header.Set("X-User", user)
			}
			line := fmt.Sprintf("%s -> %d", question, answer(h, req).Code)
			for _, event := range read() {
				line += ", " + summary(event)
			}
			got = append(got, line)
		}
	})
	return got
}

var labelStores int // how many stores the test below has used: each time it runs, it uses others

func TestOptionsComeOutTheSameHoweverTheyAreWritten(t *testing.T) {
	for _, c := range []struct {
		name   string
		to     string // the handler with the option; the others have only mode and store
		labels string
		yaml   string
		want   []string
	}{
		{"no option: an address is let in after a proof from there, and for a day", "learn", "", "", []string{
			"enter 203.0.113.7 -> 403",
			"learn 203.0.113.7 -> 403, refused 203.0.113.7",
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 24h0m0s",
			"enter 203.0.113.7 -> 200",
			"enter 203.0.113.8 -> 403"}},
		{"mode learn", "learn", "mode=learn", "mode: learn", []string{
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 24h0m0s",
			"learn 203.0.113.7 -> 403, refused 203.0.113.7"}},
		{"mode enforce", "learn", "mode=enforce", "mode: enforce", []string{
			"learn phone@203.0.113.7 -> 403",
			"enter 203.0.113.7 -> 403"}},
		{"mode either", "learn", "mode=either", "mode: either", []string{
			"learn 203.0.113.7 -> 403",
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 24h0m0s",
			"learn 203.0.113.7 -> 200"}},
		{"mode status: a proof is wanted, and not learned", "status", "mode=status", "mode: status", []string{
			"status 203.0.113.7 -> 403, refused 203.0.113.7",
			"status phone@203.0.113.7 -> 200",
			"enter 203.0.113.7 -> 403"}},
		{"mode status: a grant is no proof", "status", "", "", []string{
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 24h0m0s",
			"enter 203.0.113.7 -> 200",
			"status 203.0.113.7 -> 403, refused 203.0.113.7"}},
		{"store: several of a status page", "status", "store=STORE other, STORE", "store: [STORE other, STORE]", []string{
			"status phone@203.0.113.7 -> 200"}},
		{"proof certificate of a learner", "learn", "proof=certificate", "proof: certificate", []string{
			"learn 203.0.113.7 as alice -> 403, refused 203.0.113.7",
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 24h0m0s"}},
		{"proof certificate of either", "learn", "mode=either; proof=certificate", "mode: either, proof: certificate", []string{
			"learn 203.0.113.7 as alice -> 403",
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 24h0m0s"}},
		{"proof certificate of a status page", "status", "proof=certificate", "proof: certificate", []string{
			"status 203.0.113.7 as alice -> 403, refused 203.0.113.7",
			"status phone@203.0.113.7 -> 200"}},
		{"proof request of a status page: who gets there, sees it", "status", "proof=request", "proof: request", []string{
			"status 203.0.113.7 -> 200",
			"status 203.0.113.8 as alice -> 200",
			"status phone@203.0.113.9 -> 200",
			"enter 203.0.113.7 -> 403"}},
		{"identityHeader: a certificate doesn't stand for the header", "status", "proof=request; identityHeader=X-User", "proof: request, identityHeader: X-User", []string{
			"status phone@203.0.113.7 -> 403, refused 203.0.113.7",
			"status 203.0.113.7 -> 403",
			"status 203.0.113.7 as  -> 403",
			"status 203.0.113.7 as alice -> 200",
			"enter 203.0.113.7 -> 403"}},
		{"identityHeader in another case", "status", "proof=request; identityHeader=x-uSER", "proof: request, identityHeader: x-uSER", []string{
			"status 203.0.113.7 -> 403, refused 203.0.113.7",
			"status 203.0.113.7 as alice -> 200"}},
		{"identities of a status page by header", "status", "proof=request; identityHeader=X-User; identities=cn:*, header:alice", "proof: request, identityHeader: X-User, identities: ['cn:*', header:alice]", []string{
			"status 203.0.113.7 as mallory -> 403, refused header:mallory 203.0.113.7",
			"status phone@203.0.113.7 -> 403, refused 203.0.113.7",
			"status 203.0.113.7 as alice -> 200"}},
		{"identities of a status page", "status", "identities=cn:phone", "identities: cn:phone", []string{
			"status watch@203.0.113.7 -> 403, refused cn:watch 203.0.113.7",
			"status phone@203.0.113.7 -> 200"}},
		{"proof request of a learner: who gets there, is learned", "learn", "proof=request", "proof: request", []string{
			"learn 203.0.113.7 -> 200, learned anonymous:request 203.0.113.7 for 24h0m0s",
			"enter 203.0.113.7 -> 200"}},
		{"identityHeader of a learner", "learn", "proof=request; identityHeader=X-User", "proof: request, identityHeader: X-User", []string{
			"learn phone@203.0.113.7 -> 403, refused 203.0.113.7",
			"enter 203.0.113.7 -> 403",
			"learn 203.0.113.7 as alice -> 200, learned header:alice 203.0.113.7 for 24h0m0s",
			"enter 203.0.113.7 -> 200"}},
		{"identityHeader of either", "learn", "mode=either; proof=request; identityHeader=x-user", "mode: either, proof: request, identityHeader: x-user", []string{
			"learn phone@203.0.113.7 -> 403",
			"learn 203.0.113.7 as alice -> 200, learned header:alice 203.0.113.7 for 24h0m0s",
			"learn 203.0.113.7 -> 200"}},
		{"identities of a learner by header", "learn", "proof=request; identityHeader=X-User; identities=header:a*", "proof: request, identityHeader: X-User, identities: 'header:a*'", []string{
			"learn 203.0.113.7 as mallory -> 403, refused header:mallory 203.0.113.7",
			"learn 203.0.113.7 as alice -> 200, learned header:alice 203.0.113.7 for 24h0m0s"}},
		{"identities of an enforcer by header", "enter", "identities=header:alice", "identities: header:alice", []string{
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 24h0m0s",
			"enter 203.0.113.7 -> 403"}},
		{"proof response: what the service answers with 2xx", "learn", "proof=response", "proof: response", []string{
			"learn 203.0.113.7 -> 200, learned anonymous:response 203.0.113.7 for 24h0m0s",
			"enter 203.0.113.7 -> 200"}},
		{"proof response of a user", "learn", "proof=response; identityHeader=X-User", "proof: response, identityHeader: X-User", []string{
			"learn 203.0.113.7 -> 403, refused 203.0.113.7",
			"learn 203.0.113.7 as alice -> 200, learned header:alice 203.0.113.7 for 24h0m0s"}},
		{"store: another one", "enter", "store=STORE other", "store: STORE other", []string{
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 24h0m0s",
			"enter 203.0.113.7 -> 403"}},
		{"store: several, the second of which has the address", "enter", "store=STORE other, STORE", "store: [STORE other, STORE]", []string{
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 24h0m0s",
			"enter 203.0.113.7 -> 200"}},
		{"store: several in one YAML text", "enter", "store=STORE other,STORE", `store: "STORE other , STORE"`, []string{
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 24h0m0s",
			"enter 203.0.113.7 -> 200"}},
		{"identities of a learner: others are rejected", "learn", "identities=cn:tablet, dns:phone.*", "identities: [cn:tablet, dns:phone.*]", []string{
			"learn watch@203.0.113.7 -> 403, refused cn:watch 203.0.113.7",
			"enter 203.0.113.7 -> 403",
			"learn tablet@203.0.113.8 -> 200, learned cn:tablet 203.0.113.8 for 24h0m0s",
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 24h0m0s",
			"enter 203.0.113.7 -> 200"}},
		{"identities of an enforcer: others' addresses stay outside", "enter", "identities=cn:tablet,  cn:pho*", "identities: [cn:tablet, cn:pho*]", []string{
			"learn watch@203.0.113.8 -> 200, learned cn:watch 203.0.113.8 for 24h0m0s",
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 24h0m0s",
			"enter 203.0.113.8 -> 403",
			"enter 203.0.113.7 -> 200"}},
		{"one identity, not as a list", "learn", "identities=cn:phone", "identities: cn:phone", []string{
			"learn watch@203.0.113.7 -> 403, refused cn:watch 203.0.113.7",
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 24h0m0s"}},
		{"ttl as a number of seconds", "learn", "ttl=3600", "ttl: 3600", []string{
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 1h0m0s",
			"enter 203.0.113.7 -> 200"}},
		{"ttl as a text of seconds", "learn", "ttl=3600", `ttl: "3600"`, []string{
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 1h0m0s",
			"enter 203.0.113.7 -> 200"}},
		{"ttl as a duration", "learn", "ttl=1h", "ttl: 1h", []string{
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 1h0m0s",
			"enter 203.0.113.7 -> 200"}},
		{"ttl over before the next request", "learn", "ttl=1ns", "ttl: 1ns", []string{
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 0s",
			"enter 203.0.113.7 -> 403"}},
		{"a ttl of many seconds stays a whole number", "learn", "ttl=31536000", "ttl: 31536000", []string{
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 8760h0m0s"}},
		{"maxIPs", "learn", "maxIPs=2", "maxIPs: 2", []string{
			"learn phone@203.0.113.1 -> 200, learned cn:phone 203.0.113.1 for 24h0m0s",
			"learn phone@203.0.113.2 -> 200, learned cn:phone 203.0.113.2 for 24h0m0s",
			"learn watch@203.0.113.3 -> 200, learned cn:watch 203.0.113.3 for 24h0m0s, evicted cn:phone 203.0.113.1",
			"enter 203.0.113.1 -> 403",
			"enter 203.0.113.2 -> 200",
			"enter 203.0.113.3 -> 200"}},
		{"maxIPsPerIdentity", "learn", "maxIPsPerIdentity=1", "maxIPsPerIdentity: 1", []string{
			"learn watch@203.0.113.3 -> 200, learned cn:watch 203.0.113.3 for 24h0m0s",
			"learn phone@203.0.113.1 -> 200, learned cn:phone 203.0.113.1 for 24h0m0s",
			"learn phone@203.0.113.2 -> 200, learned cn:phone 203.0.113.2 for 24h0m0s, evicted cn:phone 203.0.113.1",
			"enter 203.0.113.1 -> 403",
			"enter 203.0.113.2 -> 200",
			"enter 203.0.113.3 -> 200"}},
		{"maxIPsPerIdentity 0 is no limit", "learn", "maxIPsPerIdentity=0", "maxIPsPerIdentity: 0", []string{
			"learn phone@203.0.113.1 -> 200, learned cn:phone 203.0.113.1 for 24h0m0s",
			"learn phone@203.0.113.2 -> 200, learned cn:phone 203.0.113.2 for 24h0m0s",
			"enter 203.0.113.1 -> 200"}},
		{"allowPrivate false", "learn", "allowPrivate=false", "allowPrivate: false", []string{
			"learn phone@192.168.1.2 -> 200, not learned cn:phone 192.168.1.2",
			"enter 192.168.1.2 -> 403"}},
		{"allowPrivate true", "learn", "allowPrivate=true", "allowPrivate: true", []string{
			"learn phone@192.168.1.2 -> 200, learned cn:phone 192.168.1.2 for 24h0m0s",
			"learn phone@100.64.1.2 -> 200, learned cn:phone 100.64.1.2 for 24h0m0s",
			"enter 192.168.1.2 -> 200"}},
		{"sourceRange of an enforcer", "enter", "sourceRange=192.168.1.0/24, 2001:db8::5", "sourceRange: [192.168.1.0/24, '2001:db8::5']", []string{
			"enter 192.168.1.2 -> 200",
			"enter 192.168.2.2 -> 403",
			"enter 2001:db8::5 -> 200",
			"enter 2001:db8::6 -> 403"}},
		{"sourceRange of a learner: a proof is wanted, no grant is spent", "learn", "sourceRange=203.0.113.0/24", "sourceRange: [203.0.113.0/24]", []string{
			"learn 203.0.113.7 -> 403, refused 203.0.113.7",
			"learn phone@203.0.113.7 -> 200",
			"enter 203.0.113.7 -> 403"}},
		{"ipStrategy.depth", "enter", "ipStrategy.depth=2; sourceRange=203.0.113.7", "ipStrategy: {depth: 2}, sourceRange: [203.0.113.7]", []string{
			"enter 10.0.0.1 via 203.0.113.7, 10.0.0.2 -> 200",
			"enter 10.0.0.1 via 203.0.113.7 -> 403",
			"enter 203.0.113.7 -> 403"}},
		{"ipStrategy.excludedIPs", "enter", "ipStrategy.excludedIPs=10.0.0.0/8, 172.16.0.1; sourceRange=203.0.113.7", "ipStrategy: {excludedIPs: [10.0.0.0/8, 172.16.0.1]}, sourceRange: [203.0.113.7]", []string{
			"enter 10.0.0.1 via 203.0.113.7, 10.0.0.2, 172.16.0.1 -> 200",
			"enter 10.0.0.1 via 203.0.113.7, 172.16.0.2 -> 403",
			"enter 203.0.113.7 -> 403"}},
		{"ipStrategy.ipv6Subnet of both", "both", "ipStrategy.ipv6Subnet=48", "ipStrategy: {ipv6Subnet: 48}", []string{
			"learn phone@2001:db8:1:2::3 -> 200, learned cn:phone 2001:db8:1::/48 for 24h0m0s",
			"enter 2001:db8:1:ffff::4 -> 200",
			"enter 2001:db8:2::4 -> 403"}},
		{"ipStrategy.ipv6Subnet of one alone: nothing matches", "enter", "ipStrategy.ipv6Subnet=128", "ipStrategy: {ipv6Subnet: 128}", []string{
			"learn phone@2001:db8:1:2::3 -> 200, learned cn:phone 2001:db8:1:2::/64 for 24h0m0s",
			"enter 2001:db8:1:2::3 -> 403"}},
		{"rejectStatusCode", "enter", "rejectStatusCode=404", "rejectStatusCode: 404", []string{
			"enter 203.0.113.7 -> 404"}},
		{"rejectStatusCode of a learner, as text", "learn", "rejectStatusCode=451", `rejectStatusCode: "451"`, []string{
			"learn 203.0.113.7 -> 451, refused 203.0.113.7",
			"enter 203.0.113.7 -> 403"}},
		{"rejectStatusCode of a status page", "status", "rejectStatusCode=404", "rejectStatusCode: 404", []string{
			"status 203.0.113.7 -> 404, refused 203.0.113.7"}},
		{"ipStrategy of a status page: whom it refuses", "status", "ipStrategy.depth=1; ipStrategy.ipv6Subnet=48", "ipStrategy: {depth: 1, ipv6Subnet: 48}", []string{
			"status 10.0.0.1 via 2001:db8:1:2::3 -> 403, refused 2001:db8:1::/48"}},
		{"an empty text is the default", "learn", "ttl=; maxIPs=; maxIPsPerIdentity=; allowPrivate=; rejectStatusCode=; proof=; identityHeader=; stateFile=", `ttl: "", maxIPs: "", maxIPsPerIdentity: "", allowPrivate: "", rejectStatusCode: "", proof: "", identityHeader: "", stateFile: ""`, []string{
			"learn phone@203.0.113.7 -> 200, learned cn:phone 203.0.113.7 for 24h0m0s",
			"learn phone@192.168.1.2 -> 200, not learned cn:phone 192.168.1.2"}},
	} {
		for _, s := range spellings {
			t.Run(c.name+"/"+s.name, func(t *testing.T) {
				labelStores++
				store := fmt.Sprintf("labels %d", labelStores) // no name of a test: a comma would make two of it
				handlers := map[string]map[string]any{}
				for handler, mode := range map[string]string{"learn": "learn", "enter": "enforce", "status": "status"} {
					labels, text := c.labels, c.yaml
					if c.to != handler && c.to != "both" {
						labels, text = "", ""
					}
					labels, text = complete(labels, text, "mode", mode)
					labels, text = complete(labels, text, "store", "STORE")
					options := check.Must(s.decode(t, strings.ReplaceAll(labels, "STORE", store), "{"+strings.ReplaceAll(text, "STORE", store)+"}"))(t)
					handlers[handler] = options
				}
				got := replay(t, handlers, c.want)
				if !slices.Equal(got, c.want) {
					t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(c.want, "\n\t"))
				}
			})
		}
	}
}

// complete adds an option, written in both ways, unless it is there.
func complete(labels, text, key, value string) (string, string) {
	if strings.Contains(", "+text, ", "+key+":") {
		return labels, text
	}
	return strings.TrimSuffix(key+"="+value+"; "+labels, "; "), strings.TrimSuffix(key+": "+value+", "+text, ", ")
}

// faultsOf returns the lines of the error with which options are refused, whether by Traefik's decoders or by New.
func faultsOf(t *testing.T, s spelling, labels, text string) []string {
	t.Helper()
	options, err := s.decode(t, labels, "{"+text+"}")
	if err == nil {
		_, err = build(sharedBuilder(t), options, "m@docker")
	}
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

func TestFaultsAreToldAllTogetherHoweverTheyAreWritten(t *testing.T) {
	const prefix = `mtlsallowlist: middleware "m@docker": `
	for _, c := range []struct {
		name   string
		labels string
		yaml   string
		want   []string // the beginning of each line
	}{
		{"no mode", "store=s", "store: s", []string{`mode: invalid value ""`}},
		{"a mode that doesn't exist", "mode=allow", "mode: allow", []string{`mode: invalid value "allow": want "learn", "enforce", "either" or "status"`}},
		{"a learner with two stores", "mode=learn; store=a, b", "mode: learn, store: [a, b]", []string{`store: invalid value "a,b": want exactly one in mode "learn"`}},
		{"an identity without a kind", "mode=learn; identities=phone", "mode: learn, identities: [phone]", []string{`identities: invalid value "phone": want kind:value`}},
		{"an identity with an empty part", "mode=learn; identities=cn:a,,cn:b", "mode: learn, identities: [cn:a, '', cn:b]", []string{`identities: invalid value "cn:a,,cn:b"`, `identities: invalid value ""`}},
		{"an empty list of stores", "mode=enforce; store=", "mode: enforce, store: []", []string{`store: invalid value "": want at least one`}},
		{"an empty list of identities", "mode=enforce; identities=", "mode: enforce, identities: []", []string{`identities: invalid value "": want at least one`}},
		{"an empty list of source ranges", "mode=enforce; sourceRange=", "mode: enforce, sourceRange: []", []string{`sourceRange: invalid value "": want at least one`}},
		{"an empty list of excluded IPs", "mode=enforce; ipStrategy.excludedIPs=", "mode: enforce, ipStrategy: {excludedIPs: []}", []string{`ipStrategy.excludedIPs: invalid value "": want at least one`}},
		{"a ttl with words", "mode=learn; ttl=5 minutes", "mode: learn, ttl: 5 minutes", []string{`ttl: invalid value "5 minutes": want a positive duration`}},
		{"a ttl of nothing", "mode=learn; ttl=0", "mode: learn, ttl: 0", []string{`ttl: invalid value "0"`}},
		{"a negative ttl", "mode=learn; ttl=-1", "mode: learn, ttl: -1", []string{`ttl: invalid value "-1"`}},
		{"a ttl of broken seconds", "mode=learn; ttl=1.5", "mode: learn, ttl: 1.5", []string{`ttl: invalid value "1.5`}},
		{"a ttl beyond all time", "mode=learn; ttl=9300000000", "mode: learn, ttl: 9300000000", []string{`ttl: invalid value "9300000000"`}},
		{"no whole number", "mode=learn; maxIPs=4.7", "mode: learn, maxIPs: 4.7", []string{`maxIPs: invalid value "4.7`}},
		{"no number", "mode=learn; maxIPs=ten", "mode: learn, maxIPs: ten", []string{`maxIPs: invalid value "ten": want a whole number from 1 to`}},
		{"no IP", "mode=learn; maxIPs=0", "mode: learn, maxIPs: 0", []string{`maxIPs: invalid value "0"`}},
		{"less than no IP", "mode=learn; maxIPs=-1", "mode: learn, maxIPs: -1", []string{`maxIPs: invalid value "-1"`}},
		{"more IPs than a number holds", "mode=learn; maxIPs=4294967297", "mode: learn, maxIPs: 4294967297", []string{`maxIPs: invalid value "4294967297"`}},
		{"less than no IP of an identity", "mode=learn; maxIPsPerIdentity=-1", "mode: learn, maxIPsPerIdentity: -1", []string{`maxIPsPerIdentity: invalid value "-1"`}},
		{"a space is no number", "mode=learn; maxIPs= ", `mode: learn, maxIPs: " "`, []string{`maxIPs: invalid value " "`}},
		{"neither true nor false", "mode=learn; allowPrivate=perhaps", "mode: learn, allowPrivate: perhaps", []string{`allowPrivate: invalid value "perhaps": want true or false`}},
		{"yes is no Boolean", "mode=learn; allowPrivate=yes", `mode: learn, allowPrivate: "yes"`, []string{`allowPrivate: invalid value "yes": want true or false`}},
		{"a source range that is no CIDR", "mode=enforce; sourceRange=10.0.0.0/8, home", "mode: enforce, sourceRange: [10.0.0.0/8, home]", []string{`sourceRange: invalid value "home": want a CIDR or an IP`}},
		{"a mask too long", "mode=enforce; sourceRange=10.0.0.0/33", "mode: enforce, sourceRange: [10.0.0.0/33]", []string{`sourceRange: invalid value "10.0.0.0/33"`}},
		{"an excluded IP that is none", "mode=enforce; ipStrategy.excludedIPs=proxy", "mode: enforce, ipStrategy: {excludedIPs: [proxy]}", []string{`ipStrategy.excludedIPs: invalid value "proxy"`}},
		{"a negative depth", "mode=enforce; ipStrategy.depth=-1", "mode: enforce, ipStrategy: {depth: -1}", []string{`ipStrategy.depth: invalid value "-1"`}},
		{"a depth that is no number", "mode=enforce; ipStrategy.depth=last", "mode: enforce, ipStrategy: {depth: last}", []string{`ipStrategy.depth: invalid value "last"`}},
		{"a subnet of no bits", "mode=enforce; ipStrategy.ipv6Subnet=0", "mode: enforce, ipStrategy: {ipv6Subnet: 0}", []string{`ipStrategy.ipv6Subnet: invalid value "0": want a whole number from 1 to 128`}},
		{"a subnet of too many bits", "mode=enforce; ipStrategy.ipv6Subnet=129", "mode: enforce, ipStrategy: {ipv6Subnet: 129}", []string{`ipStrategy.ipv6Subnet: invalid value "129"`}},
		{"a rejection with success", "mode=enforce; rejectStatusCode=200", "mode: enforce, rejectStatusCode: 200", []string{`rejectStatusCode: invalid value "200": want a whole number from 400 to 599`}},
		{"an option that a mode has no use for", "mode=enforce; ttl=1h; maxIPs=3", "mode: enforce, ttl: 1h, maxIPs: 3", []string{`ttl: invalid value "1h": has no meaning in mode "enforce"`, `maxIPs: invalid value "3": has no meaning`}},

		{"a proof that doesn't exist", "mode=learn; proof=token", "mode: learn, proof: token", []string{`proof: invalid value "token": want "certificate", "request" or "response"`}},
		{"a proof that doesn't exist, of a status page", "mode=status; proof=token", "mode: status, proof: token", []string{`proof: invalid value "token": want "certificate", "request" or "response"`}},
		{"a proof in capitals", "mode=learn; proof=Request", "mode: learn, proof: Request", []string{`proof: invalid value "Request": want "certificate", "request" or "response"`}},
		{"a space is no proof", "mode=learn; proof= ", `mode: learn, proof: " "`, []string{`proof: invalid value " ": want "certificate", "request" or "response"`}},
		{"every request is a proof to either", "mode=either; proof=request", "mode: either, proof: request", []string{`proof: invalid value "request": without identityHeader mode "either" would learn everybody`}},
		{"a response is no proof to either", "mode=either; proof=response", "mode: either, proof: response", []string{`proof: invalid value "response": has no meaning in mode "either": it is for learn`}},
		{"a response is no proof to a status page", "mode=status; proof=response", "mode: status, proof: response", []string{`proof: invalid value "response": has no meaning in mode "status": it is for learn`}},
		{"an enforcer asks for no proof", "mode=enforce; proof=certificate", "mode: enforce, proof: certificate", []string{`proof: invalid value "certificate": has no meaning in mode "enforce": it is for learn, either, status`}},
		{"a header for an enforcer", "mode=enforce; identityHeader=X-User", "mode: enforce, identityHeader: X-User", []string{`identityHeader: invalid value "X-User": has no meaning in mode "enforce": it is for learn, either, status`}},
		{"a header beside a certificate, on a learner", "mode=learn; identityHeader=X-User", "mode: learn, identityHeader: X-User", []string{`identityHeader: invalid value "X-User": has no meaning with proof "certificate"`}},
		{"a header that holds a password", "mode=learn; proof=request; identityHeader=authorization", "mode: learn, proof: request, identityHeader: authorization", []string{`identityHeader: invalid value "authorization": want a header without secrets`}},
		{"identities of answers without a header", "mode=learn; proof=response; identities=header:b", "mode: learn, proof: response, identities: header:b", []string{`identities: invalid value "header:b": without identityHeader a request has no identity`}},
		{"a header beside a certificate, on a status page", "mode=status; identityHeader=X-User; proof=certificate", "mode: status, identityHeader: X-User, proof: certificate", []string{`identityHeader: invalid value "X-User": has no meaning with proof "certificate"`}},
		{"a header that can't be one", "mode=status; proof=request; identityHeader=X User", "mode: status, proof: request, identityHeader: X User", []string{`identityHeader: invalid value "X User": want the name of a header`}},
		{"two headers", "mode=status; proof=request; identityHeader=X-User, X-Email", "mode: status, proof: request, identityHeader: 'X-User, X-Email'", []string{`identityHeader: invalid value "X-User, X-Email": want the name of a header`}},
		{"a space is no header", "mode=status; proof=request; identityHeader= ", `mode: status, proof: request, identityHeader: " "`, []string{`identityHeader: invalid value " ": want the name of a header`}},
		{"identities of requests without a header", "mode=status; proof=request; identities=cn:a,header:b", "mode: status, proof: request, identities: [cn:a, header:b]", []string{`identities: invalid value "cn:a,header:b": without identityHeader a request has no identity`}},
		{"a status page that learns", "mode=status; ttl=1h; maxIPs=3; maxIPsPerIdentity=1; allowPrivate=true", "mode: status, ttl: 1h, maxIPs: 3, maxIPsPerIdentity: 1, allowPrivate: 'true'", []string{
			`ttl: invalid value "1h": has no meaning in mode "status": it is for learn, either`, `maxIPs: invalid value "3": has no meaning`, `maxIPsPerIdentity: invalid value "1": has no meaning`, `allowPrivate: invalid value "true": has no meaning`}},
		{"a status page for source ranges", "mode=status; sourceRange=10.0.0.0/8,192.168.0.1", "mode: status, sourceRange: [10.0.0.0/8, 192.168.0.1]", []string{`sourceRange: invalid value "10.0.0.0/8,192.168.0.1": has no meaning in mode "status": it is for learn, enforce, either`}},
		{"a status page with a state file", "mode=status; stateFile=/tmp/state.json", "mode: status, stateFile: /tmp/state.json", []string{`stateFile: invalid value "/tmp/state.json": has no meaning in mode "status": it is for learn, either`}},
		{"an enforcer with a state file", "mode=enforce; stateFile=/tmp/state.json", "mode: enforce, stateFile: /tmp/state.json", []string{`stateFile: invalid value "/tmp/state.json": has no meaning in mode "enforce": it is for learn, either`}},
		{"either with two stores", "mode=either; store=a, b; stateFile=/tmp/state.json", "mode: either, store: [a, b], stateFile: /tmp/state.json", []string{`store: invalid value "a,b": want exactly one in mode "either"`}},
		{"a state file in no folder", "mode=learn; store=labels: no folder; stateFile=/no/such/folder/state.json", "mode: learn, store: 'labels: no folder', stateFile: /no/such/folder/state.json", []string{`stateFile: invalid value "/no/such/folder/state.json": open /no/such/folder/: no such file or directory`}},
		{"a state file that is a folder", "mode=learn; store=labels: a folder; stateFile=/proc/sys", "mode: learn, store: 'labels: a folder', stateFile: /proc/sys", []string{`stateFile: invalid value "/proc/sys": it is a directory: want a file`}},
		{"a space is no path", "mode=learn; stateFile= ", `mode: learn, stateFile: " "`, []string{`stateFile: invalid value " ": want a path`}},
		{"endpoints of Redis without ports", "mode=learn; redis.endpoints=a, b", "mode: learn, redis: {endpoints: [a, b]}", []string{`redis.endpoints: number 1: want host:port, e.g. "redis:6379"`, `redis.endpoints: number 2: want host:port`}},
		{"one endpoint of Redis, not as a list", "mode=enforce; redis.endpoints=redis", "mode: enforce, redis: {endpoints: redis}", []string{`redis.endpoints: want host:port`}},
		{"faults of all other options of Redis",
			"mode=either; redis.username=u; redis.passwordEnv=MTLSALLOWLIST_NO_SUCH; redis.db=-1; redis.readTimeout=0; redis.writeTimeout=x; redis.dialTimeout=-1s",
			"mode: either, redis: {username: u, passwordEnv: MTLSALLOWLIST_NO_SUCH, db: -1, readTimeout: 0, writeTimeout: x, dialTimeout: -1s}", []string{
				`redis.passwordEnv: want an environment variable of Traefik's that isn't empty`,
				`redis.db: want a whole number from 0 to 65535`, `redis.readTimeout: invalid value "0": want a positive duration`,
				`redis.writeTimeout: invalid value "x": want a positive duration`, `redis.dialTimeout: invalid value "-1s": want a positive duration`,
				`redis.username: want a password, too`}},
		{"faults of Redis's TLS",
			"mode=learn; redis.tls.ca=/no/such/ca.pem; redis.tls.cert=/no/such/cert.pem; redis.tls.key=/no/such/key.pem; redis.tls.insecureSkipVerify=maybe",
			"mode: learn, redis: {tls: {ca: /no/such/ca.pem, cert: /no/such/cert.pem, key: /no/such/key.pem, insecureSkipVerify: maybe}}", []string{
				`redis.tls.insecureSkipVerify: invalid value "maybe": want true or false`, `redis.tls.ca: want PEM, or the path of a file with it that can be read`,
				`redis.tls.cert: want PEM, or the path`, `redis.tls.key: want PEM, or the path of a file with it that can be read`}},
		{"a password file that isn't there", "mode=learn; redis.passwordFile=/run/secrets/no such file", "mode: learn, redis: {passwordFile: /run/secrets/no such file}", []string{`redis.passwordFile: no such file or directory`}},
		{"a file of Traefik's as a password", "mode=learn; redis.passwordFile=/run/secrets/../../etc/passwd", "mode: learn, redis: {passwordFile: /run/secrets/../../etc/passwd}", []string{`redis.passwordFile: want the path of a file below /run/secrets/`}},
		{"a variable of Traefik's as a password", "mode=learn; redis.passwordEnv=HOME", "mode: learn, redis: {passwordEnv: HOME}", []string{`redis.passwordEnv: want the name of an environment variable of Traefik's that begins with MTLSALLOWLIST_`}},
		{"a login in an endpoint", "mode=learn; redis.endpoints=redis://u:p@h:6379", "mode: learn, redis: {endpoints: ['redis://u:p@h:6379']}", []string{`redis.endpoints: want host:port, e.g. "redis:6379"; user and password belong in redis.username and redis.passwordFile`}},
		{"two passwords", "mode=learn; redis.password=secret; redis.passwordEnv=HOME", "mode: learn, redis: {password: secret, passwordEnv: HOME}", []string{`redis.password: want one of password, passwordFile and passwordEnv`}},
		{"a number as the password, and a db of a cluster", "mode=learn; redis.endpoints=a:1, b:1; redis.password=1234; redis.passwordEnv=HOME; redis.db=1", "mode: learn, redis: {endpoints: ['a:1', 'b:1'], password: 1234, passwordEnv: HOME, db: 1}", []string{
			`redis.password: want one of`, `redis.db: has no meaning in a cluster`}},
		{"a status page with Redis", "mode=status; redis.endpoints=a:1", "mode: status, redis: {endpoints: 'a:1'}", []string{`redis: has no meaning in mode "status": it is for learn, enforce, either`}},
		{"an option of Redis at the root", "mode=learn; endpoints=a:1", "mode: learn, endpoints: 'a:1'", []string{`endpoints: unknown option: did you mean "redis.endpoints"?`}},
		{"misspelt: redis.endpoint", "mode=status; redis.endpoint=a:1", "mode: status, redis: {endpoint: 'a:1'}", []string{`redis.endpoint: unknown option: did you mean "redis.endpoints"?`, `redis: has no meaning in mode "status"`}},
		{"misspelt: redis.tls.certs", "mode=status; redis.tls.certs=x", "mode: status, redis: {tls: {certs: x}}", []string{`redis.tls.certs: unknown option: did you mean "redis.tls.cert"?`, `redis: has no meaning in mode "status"`}},
		{"the name of the field that takes unknown keys", "mode=learn; unknown=1", "mode: learn, unknown: 1", []string{`unknown: unknown option`}},
		{"the name of the field that takes unknown keys, as a map", "mode=learn; unknown.maxIPs=1", "mode: learn, unknown: {maxIPs: 1}", []string{`unknown: unknown option`}},
		{"an option of ipStrategy at the root", "mode=learn; depth=1", "mode: learn, depth: 1", []string{`depth: unknown option: did you mean "ipStrategy.depth"?`}},
		{"an option of the root in ipStrategy", "mode=learn; ipStrategy.ttl=1h", "mode: learn, ipStrategy: {ttl: 1h}", []string{`ipstrategy.ttl: unknown option: did you mean "ttl"?`}},
		{"Traefik's old name of a list", "mode=learn; whiteList=10.0.0.0/8", "mode: learn, whiteList: 10.0.0.0/8", []string{`whitelist: unknown option: want one of mode, store,`}},
		{"misspelt: mod", "mod=learn", "mod: learn", []string{`mod: unknown option: did you mean "mode"?`, `mode: invalid value ""`}},
		{"misspelt: stores", "mode=learn; stores=a", "mode: learn, stores: a", []string{`stores: unknown option: did you mean "store"?`}},
		{"misspelt: identity", "mode=learn; identity=cn:a", "mode: learn, identity: cn:a", []string{`identity: unknown option: did you mean "identities"?`}},
		{"misspelt: tll", "mode=learn; tll=1h", "mode: learn, tll: 1h", []string{`tll: unknown option: did you mean "ttl"?`}},
		{"misspelt: maxIP", "mode=learn; maxIP=1", "mode: learn, maxIP: 1", []string{`maxip: unknown option: did you mean "maxips"?`}},
		{"misspelt: maxIPPerIdentity", "mode=learn; maxIPPerIdentity=1", "mode: learn, maxIPPerIdentity: 1", []string{`maxipperidentity: unknown option: did you mean "maxipsperidentity"?`}},
		{"misspelt: allowprivat", "mode=learn; allowprivat=true", "mode: learn, allowprivat: 'true'", []string{`allowprivat: unknown option: did you mean "allowprivate"?`}},
		{"misspelt: sourceRanges", "mode=learn; sourceRanges=10.0.0.1", "mode: learn, sourceRanges: 10.0.0.1", []string{`sourceranges: unknown option: did you mean "sourcerange"?`}},
		{"misspelt: prof", "mode=status; prof=request", "mode: status, prof: request", []string{`prof: unknown option: did you mean "proof"?`}},
		{"misspelt: proofs", "mode=status; proofs=request", "mode: status, proofs: request", []string{`proofs: unknown option: did you mean "proof"?`}},
		{"misspelt: identityHeaders", "mode=status; proof=request; identityHeaders=X-User", "mode: status, proof: request, identityHeaders: X-User", []string{`identityheaders: unknown option: did you mean "identityHeader"?`}},
		{"another name: authHeader", "mode=status; proof=request; authHeader=X-User", "mode: status, proof: request, authHeader: X-User", []string{`authheader: unknown option: want one of mode, store, proof, identityHeader,`}},
		{"misspelt: stateFiel", "mode=learn; stateFiel=/tmp/state.json", "mode: learn, stateFiel: /tmp/state.json", []string{`statefiel: unknown option: did you mean "stateFile"?`}},
		{"misspelt: state-file", "mode=learn; state-file=/tmp/state.json", "mode: learn, state-file: /tmp/state.json", []string{`state-file: unknown option: did you mean "stateFile"?`}},
		{"misspelt: ipStrategy.depht", "mode=learn; ipStrategy.depht=1", "mode: learn, ipStrategy: {depht: 1}", []string{`ipstrategy.depht: unknown option: did you mean "ipStrategy.depth"?`}},
		{"misspelt: ipStrategy.excludedIP", "mode=learn; ipStrategy.excludedIP=10.0.0.1", "mode: learn, ipStrategy: {excludedIP: 10.0.0.1}", []string{`ipstrategy.excludedip: unknown option: did you mean "ipStrategy.excludedIPs"?`}},
		{"misspelt: ipStrategy.ipv6SubNetBits", "mode=learn; ipStrategy.ipv6SubNetBits=64", "mode: learn, ipStrategy: {ipv6SubNetBits: 64}", []string{`ipstrategy.ipv6subnetbits: unknown option: did you mean "ipStrategy.ipv6Subnet"?`}},
		{"misspelt: ipStrategie", "mode=learn; ipStrategie.depth=1", "mode: learn, ipStrategie: {depth: 1}", []string{`ipstrategie: unknown option`}},
		{"misspelt: rejectStatus", "mode=learn; rejectStatus=404", "mode: learn, rejectStatus: 404", []string{`rejectstatus: unknown option: did you mean "rejectstatuscode"?`}},

		{"faults all over", "mode=no; tll=1h; maxIPs=0; sourceRange=x; ipStrategy.depth=x; ipStrategy.dept=1; rejectStatusCode=1", "mode: no, tll: 1h, maxIPs: 0, sourceRange: x, ipStrategy: {depth: x, dept: 1}, rejectStatusCode: 1", []string{
			`tll: unknown option`, `ipstrategy.dept: unknown option`, `mode: invalid value "no"`, `maxIPs: invalid value "0"`, `sourceRange: invalid value "x"`, `ipStrategy.depth: invalid value "x"`, `rejectStatusCode: invalid value "1"`}},

		// Traefik's own decoder refuses these before New sees them. Its sentence names the field.
		{"a map for a text", "mode.learn=true", "mode: {learn: 'true'}", []string{`failed to decode configuration: 1 error(s) decoding:`, "", `* 'Mode' expected type 'string', got unconvertible type 'map[string]interface {}'`}},
		{"a map for a list", "mode=learn; store.name=a", "mode: learn, store: {name: a}", []string{`failed to decode configuration: 1 error(s) decoding:`, "", `* 'Store[0]' expected type 'string', got unconvertible type 'map[string]interface {}'`}},
		{"a map for a number", "mode=learn; ttl.hours=1", "mode: learn, ttl: {hours: 1}", []string{`failed to decode configuration: 1 error(s) decoding:`, "", `* 'TTL' expected type 'string', got unconvertible type 'map[string]interface {}'`}},
		{"a list for a text", "mode[0]=learn", "mode: [learn]", []string{`failed to decode configuration: 1 error(s) decoding:`, "", `* 'Mode' expected type 'string', got unconvertible type '[]interface {}'`}},
		{"a list of maps for a list", "mode=learn; identities[0].cn=a", "mode: learn, identities: [{cn: a}]", []string{`failed to decode configuration: 1 error(s) decoding:`, "", `* 'Identities[0]' expected type 'string', got unconvertible type 'map[string]interface {}'`}},
		{"a text for ipStrategy", "mode=learn; ipStrategy=depth", "mode: learn, ipStrategy: depth", []string{`failed to decode configuration: 1 error(s) decoding:`, "", `* 'IPStrategy' expected a map, got 'string'`}},
		{"a switch for ipStrategy", "mode=learn; ipStrategy=true", "mode: learn, ipStrategy: 'true'", []string{`failed to decode configuration: 1 error(s) decoding:`, "", `* 'IPStrategy' expected a map, got 'string'`}},
		{"a map for a proof", "mode=status; proof.request=true", "mode: status, proof: {request: 'true'}", []string{`failed to decode configuration: 1 error(s) decoding:`, "", `* 'Proof' expected type 'string', got unconvertible type 'map[string]interface {}'`}},
		{"a map for a path", "mode=learn; stateFile.path=/tmp/state.json", "mode: learn, stateFile: {path: /tmp/state.json}", []string{`failed to decode configuration: 1 error(s) decoding:`, "", `* 'StateFile' expected type 'string', got unconvertible type 'map[string]interface {}'`}},
		{"a text for redis", "mode=learn; redis=redis:6379", "mode: learn, redis: 'redis:6379'", []string{`failed to decode configuration: 1 error(s) decoding:`, "", `* 'Redis' expected a map, got 'string'`}},
		{"a switch for Redis's TLS", "mode=learn; redis.tls=true", "mode: learn, redis: {tls: 'true'}", []string{`failed to decode configuration: 1 error(s) decoding:`, "", `* 'Redis.TLS' expected a map, got 'string'`}},
		{"a map for an endpoint", "mode=learn; redis.endpoints.host=a", "mode: learn, redis: {endpoints: {host: a}}", []string{`failed to decode configuration: 1 error(s) decoding:`, "", `* 'Redis.Endpoints[0]' expected type 'string', got unconvertible type 'map[string]interface {}'`}},
		{"several wrong shapes", "mode.x=1; ttl.y=2", "mode: {x: 1}, ttl: {y: 2}", []string{`failed to decode configuration: 2 error(s) decoding:`, "", `* 'Mode' expected type 'string'`, `* 'TTL' expected type 'string'`}},
	} {
		for _, s := range spellings {
			t.Run(c.name+"/"+s.name, func(t *testing.T) {
				got := faultsOf(t, s, c.labels, c.yaml)
				if len(got) == 0 {
					t.Fatal("got no fault")
				}
				if !strings.HasPrefix(c.want[0], "failed to decode") && !strings.HasPrefix(got[0], prefix) {
					t.Errorf("got %q, want it to begin with %q", got[0], prefix)
				}
				got[0] = strings.TrimPrefix(got[0], prefix)
				if len(got) != len(c.want) {
					t.Fatalf("got %d lines\n\t%s\nwant %d", len(got), strings.Join(got, "\n\t"), len(c.want))
				}
				for i, want := range c.want {
					// Labels keep the case that they are written in, so the text of a fault is compared without it.
					if !strings.HasPrefix(strings.ToLower(got[i]), strings.ToLower(want)) {
						t.Errorf("got %q, want it to begin with %q", got[i], want)
					}
				}
			})
		}
	}
}

// TestEmptyMapsOfOptions: of all providers, Kubernetes' alone hands an empty map on. The others make it an empty text, which
// Traefik's decoder refuses, so the router is down rather than on its own.
func TestEmptyMapsOfOptions(t *testing.T) {
	for _, c := range []struct{ name, labels, yaml, field string }{
		{"redis", "mode=status; redis=", "{mode: status, redis: {}}", "Redis"},
		{"TLS of Redis", "mode=status; redis.tls=", "{mode: status, redis: {tls: {}}}", "Redis.TLS"},
	} {
		for _, s := range spellings {
			t.Run(c.name+"/"+s.name, func(t *testing.T) {
				options, err := s.decode(t, c.labels, c.yaml)
				if err != nil {
					t.Fatal(err)
				}
				want := "* '" + c.field + "' expected a map, got 'string'"
				if s.name == "Kubernetes" { // it got there: a status page, which never connects, has no use for it
					want = `redis: has no meaning in mode "status"`
				}
				if _, err = build(sharedBuilder(t), options, "m@file"); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s", err, want)
				}
			})
		}
	}
}

func TestFaultOfOneKeyInTwoCases(t *testing.T) {
	options := map[string]any{"mode": "learn", "maxIPs": "3", "maxips": "4"}
	for range 20 { // the decoder takes either, in no fixed order, and leaves the other
		_, err := build(sharedBuilder(t), maps.Clone(options), "m@file")
		if err == nil || !strings.Contains(err.Error(), `unknown option: did you mean "maxIPs"?`) {
			t.Fatalf("got %v, want that one of them is unknown", err)
		}
	}
}
