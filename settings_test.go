package mtlsallowlist

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/option"
)

var faultRows = []struct {
	name   string
	config Config
	want   string // all of these, separated by " & "
}{
	{"no mode", Config{}, `mode: invalid value "": want "learn", "enforce", "either" or "status"`},
	{"a misspelt mode", Config{Mode: "Learn"}, `mode: invalid value "Learn"`},
	{"a duration in words", Config{Mode: "learn", TTL: "5 minutes"}, `ttl: invalid value "5 minutes": want a positive duration, e.g. "90s", "24h" or a number of seconds`},
	{"no time at all", Config{Mode: "learn", TTL: "0"}, `ttl: invalid value "0"`},
	{"a negative duration", Config{Mode: "learn", TTL: "-1h"}, `ttl: invalid value "-1h"`},
	{"seconds beyond measure", Config{Mode: "learn", TTL: "18446744074"}, `ttl: invalid value "18446744074"`},
	{"seconds that come round to one", Config{Mode: "learn", TTL: "4611686018427387905"}, `ttl: invalid value "4611686018427387905"`},
	{"more than a hundred years", Config{Mode: "learn", TTL: "876001h"}, `ttl: invalid value "876001h"`},
	{"hours beyond measure", Config{Mode: "learn", TTL: "9999999999h"}, `ttl: invalid value`},
	{"a number in words", Config{Mode: "learn", MaxIPs: "ten"}, `maxIPs: invalid value "ten": want a whole number from 1 to`},
	{"a fraction", Config{Mode: "learn", MaxIPs: "4.7"}, `maxIPs: invalid value "4.7"`},
	{"a store for nobody", Config{Mode: "learn", MaxIPs: "0"}, `maxIPs: invalid value "0"`},
	{"a negative limit", Config{Mode: "learn", MaxIPsPerIdentity: "-1"}, `maxIPsPerIdentity: invalid value "-1"`},
	{"neither true nor false", Config{Mode: "learn", AllowPrivate: "yes"}, `allowPrivate: invalid value "yes": want true or false`},
	{"a range that is none", Config{Mode: "learn", SourceRange: []string{"10.0.0.0/33"}}, `sourceRange: invalid value "10.0.0.0/33": want a CIDR or an IP`},
	{"all translated addresses for a range", Config{Mode: "enforce", SourceRange: []string{"64:ff9b::/96"}}, `sourceRange: invalid value "64:ff9b::/96": an address in 64:ff9b::/96 counts as the IPv4 address in it: want 0.0.0.0/0 or a longer prefix`},
	{"more than that as excluded IPs", Config{Mode: "learn", IPStrategy: IPStrategy{ExcludedIPs: []string{"64:ff9b::/32"}}}, `ipStrategy.excludedIPs: invalid value "64:ff9b::/32": an address in 64:ff9b::/96 counts as the IPv4 address in it`},
	{"a name for a range", Config{Mode: "enforce", SourceRange: []string{"10.0.0.0/8", "home.lan"}}, `sourceRange: invalid value "home.lan"`},
	{"an identity without a kind", Config{Mode: "learn", Identities: []string{"phone"}}, `identities: invalid value "phone": want kind:value`},
	{"identities that came out empty", Config{Mode: "learn", Identities: []string{}}, `identities: invalid value "": want at least one`},
	{"a hole in a list", Config{Mode: "learn", Identities: []string{"cn:a", " ", "cn:b"}}, `identities: invalid value "cn:a, ,cn:b": want no empty parts`},
	{"stores that came out empty", Config{Mode: "enforce", Store: []string{}}, `store: invalid value`},
	{"a learner with two stores", Config{Mode: "learn", Store: []string{"a", "b"}}, `store: invalid value "a,b": want exactly one in mode "learn"`},
	{"either with two stores", Config{Mode: "either", Store: []string{"a", "b"}}, `want exactly one in mode "either"`},
	{"a negative depth", Config{Mode: "learn", IPStrategy: IPStrategy{Depth: "-1"}}, `ipStrategy.depth: invalid value "-1"`},
	{"excluded IPs that are none", Config{Mode: "learn", IPStrategy: IPStrategy{ExcludedIPs: []string{"x"}}}, `ipStrategy.excludedIPs: invalid value "x"`},
	{"no subnet", Config{Mode: "learn", IPStrategy: IPStrategy{IPv6Subnet: "0"}}, `ipStrategy.ipv6Subnet: invalid value "0": want a whole number from 1 to 128`},
	{"a subnet too long", Config{Mode: "learn", IPStrategy: IPStrategy{IPv6Subnet: "129"}}, `ipStrategy.ipv6Subnet: invalid value "129"`},
	{"a status that rejects nobody", Config{Mode: "enforce", RejectStatusCode: "200"}, `rejectStatusCode: invalid value "200": want a whole number from 400 to 599`},
	{"an option without meaning in its mode", Config{Mode: "enforce", TTL: "1h"}, `ttl: invalid value "1h": has no meaning in mode "enforce"`},
	{"an unknown option", Config{Mode: "enforce", Unknown: map[string]any{"vault": "/x"}}, `vault: unknown option: want one of mode, store`},
	{"proof in a mode without", Config{Mode: "enforce", Proof: "certificate"}, `proof: invalid value "certificate": has no meaning in mode "enforce"`},
	{"an unknown proof", Config{Mode: "status", Proof: "cookie"}, `proof: invalid value "cookie": want "certificate", "request" or "response"`},
	{"no proof but a space", Config{Mode: "status", Proof: " "}, `proof: invalid value " ": want "certificate", "request" or "response"`},
	{"a response as proof, where none is awaited", Config{Mode: "either", Proof: "response"}, `proof: invalid value "response": has no meaning in mode "either": it is for learn`},
	{"a response as proof in a misspelt mode", Config{Mode: "lern", Proof: "response"}, `mode: invalid value "lern" & proof: invalid value "response": has no meaning in mode "lern": it is for learn`},
	{"a response as proof for a page", Config{Mode: "status", Proof: "response"}, `proof: invalid value "response": has no meaning in mode "status": it is for learn`},
	{"either where everybody has a proof", Config{Mode: "either", Proof: "request"}, `proof: invalid value "request": without identityHeader mode "either" would learn everybody`},
	{"a header of certificates for a learner", Config{Mode: "learn", IdentityHeader: "X-User"}, `identityHeader: invalid value "X-User": has no meaning with proof "certificate"`},
	{"a header in a mode without", Config{Mode: "enforce", IdentityHeader: "X-User"}, `identityHeader: invalid value "X-User": has no meaning in mode "enforce"`},
	{"a header with a password", Config{Mode: "learn", Proof: "request", IdentityHeader: "authorization"}, `identityHeader: invalid value "authorization": want a header without secrets`},
	{"a header with a session", Config{Mode: "learn", Proof: "response", IdentityHeader: "Cookie"}, `identityHeader: invalid value "Cookie": want a header without secrets`},
	{"identities of nobody for a learner", Config{Mode: "learn", Proof: "response", Identities: []string{"header:*"}}, `identities: invalid value "header:*": without identityHeader`},
	{"a header for certificates", Config{Mode: "status", IdentityHeader: "X-User"}, `identityHeader: invalid value "X-User": has no meaning with proof "certificate"`},
	{"a header that is none", Config{Mode: "status", Proof: "request", IdentityHeader: "X-User: "}, `identityHeader: invalid value "X-User: ": want the name of a header`},
	{"an empty header", Config{Mode: "status", Proof: "request", IdentityHeader: " "}, `identityHeader: invalid value " "`},
	{"identities of nobody", Config{Mode: "status", Proof: "request", Identities: []string{"header:alice"}}, `identities: invalid value "header:alice": without identityHeader`},
	{"a lifetime on a status page", Config{Mode: "status", TTL: "1h"}, `ttl: invalid value "1h": has no meaning in mode "status": it is for learn, either`},
	{"a source range on a status page", Config{Mode: "status", SourceRange: []string{"10.0.0.0/8"}}, `sourceRange: invalid value "10.0.0.0/8": has no meaning in mode "status"`},
	{"a state file without a learner", Config{Mode: "enforce", StateFile: "/x"}, `stateFile: invalid value "/x": has no meaning in mode "enforce"`},
	{"a state file of spaces", Config{Mode: "learn", StateFile: " "}, `stateFile: invalid value " ": want a path`},
	{"a store twice", Config{Mode: "enforce", Store: []string{"a", "b", "a"}}, `store: invalid value "a,b,a": want each once`},
	{"a misspelt option", Config{Mode: "enforce", Unknown: map[string]any{"sourceRnage": "x"}}, `did you mean "sourceRange"?`},
	{"an option at the wrong depth", Config{Mode: "enforce", Unknown: map[string]any{"depth": 1}}, `depth: unknown option: did you mean "ipStrategy.depth"?`},
	{"a misspelt option of ipStrategy", Config{Mode: "enforce", IPStrategy: IPStrategy{Unknown: map[string]any{"dept": 1}}}, `ipStrategy.dept: unknown option: did you mean "ipStrategy.depth"?`},
	{"an unknown option with a secret below it", Config{Mode: "enforce", Unknown: map[string]any{"vault": map[string]any{"password": "x"}}}, `vault: unknown option`},
	{"Redis without a port", Config{Mode: "learn", Redis: &Redis{Endpoints: []string{"redis"}}}, `redis.endpoints: want host:port, e.g. "redis:6379"`},
	{"Redis without a host", Config{Mode: "learn", Redis: &Redis{Endpoints: []string{":6379"}}}, `redis.endpoints: want host:port`},
	{"Redis at a port too high", Config{Mode: "learn", Redis: &Redis{Endpoints: []string{"redis:65536"}}}, `redis.endpoints: want host:port`},
	{"Redis at a port by name", Config{Mode: "learn", Redis: &Redis{Endpoints: []string{"redis:redis"}}}, `redis.endpoints: want host:port`},
	{"a second Redis without a port", Config{Mode: "learn", Redis: &Redis{Endpoints: []string{"[::1]:6379", "::1"}}}, `redis.endpoints: number 2: want host:port`},
	{"Redis nowhere", Config{Mode: "learn", Redis: &Redis{Endpoints: []string{}}}, `redis.endpoints: want at least one`},
	{"a URL with a password", Config{Mode: "learn", Redis: &Redis{Endpoints: []string{"redis://a:hunter2@redis:6379/0"}}}, `redis.endpoints: want host:port`},
	{"a database of a cluster", Config{Mode: "learn", Redis: &Redis{Endpoints: []string{"a:1", "b:1"}, DB: "1"}}, `redis.db: has no meaning in a cluster`},
	{"a database by name", Config{Mode: "learn", Redis: &Redis{DB: "main"}}, `redis.db: want a whole number from 0 to 65535`},
	{"a user without a password", Config{Mode: "learn", Redis: &Redis{Username: "traefik"}}, `redis.username: want a password, too`},
	{"two passwords", Config{Mode: "learn", Redis: &Redis{Password: "hunter2", PasswordEnv: "HOME"}}, `redis.password: want one of password, passwordFile and passwordEnv`},
	{"a password in no file", Config{Mode: "learn", Redis: &Redis{PasswordFile: "/run/secrets/no such file"}}, `redis.passwordFile: no such file`},
	{"a password in a file that is no secret", Config{Mode: "learn", Redis: &Redis{PasswordFile: os.DevNull}}, `redis.passwordFile: want the path of a file below /run/secrets/`},
	{"a password in an empty variable", Config{Mode: "learn", Redis: &Redis{PasswordEnv: "MTLSALLOWLIST_UNSET"}}, `redis.passwordEnv: want an environment variable`},
	{"a wait in words", Config{Mode: "learn", Redis: &Redis{ReadTimeout: "soon"}}, `redis.readTimeout: invalid value "soon": want a positive duration`},
	{"waiting for ever", Config{Mode: "learn", Redis: &Redis{WriteTimeout: "0", DialTimeout: "-1s"}}, `redis.writeTimeout: invalid value "0" & redis.dialTimeout: invalid value "-1s"`},
	{"an authority that is none", Config{Mode: "learn", Redis: &Redis{TLS: &RedisTLS{CA: "-----BEGIN hunter2"}}}, `redis.tls.ca: want certificates in PEM, or the path of a file with them`},
	{"an authority in no file", Config{Mode: "learn", Redis: &Redis{TLS: &RedisTLS{CA: "/nowhere/ca.pem"}}}, `redis.tls.ca: want PEM, or the path of a file with it that can be read`},
	{"a client's certificate without its key", Config{Mode: "learn", Redis: &Redis{TLS: &RedisTLS{Cert: "-----BEGIN CERTIFICATE-----"}}}, `redis.tls.cert, redis.tls.key: want a certificate and its key in PEM`},
	{"a client's key that is none", Config{Mode: "learn", Redis: &Redis{TLS: &RedisTLS{Key: "hunter2"}}}, `redis.tls.key: want PEM, or the path of a file with it`},
	{"neither verified nor not", Config{Mode: "learn", Redis: &Redis{TLS: &RedisTLS{InsecureSkipVerify: "maybe"}}}, `redis.tls.insecureSkipVerify: invalid value "maybe": want true or false`},
	{"the size of a pool", Config{Mode: "learn", Redis: &Redis{Unknown: map[string]any{"poolSize": 10}}}, `redis.poolSize: has no meaning here: a store has two connections to Redis`},
	{"a pool as labels give it", Config{Mode: "learn", Redis: &Redis{Unknown: map[string]any{"minidleconns": "1", "maxActiveConns": "2"}}}, `redis.minIdleConns: has no meaning here & redis.maxActiveConns: has no meaning here`},
	{"a misspelt password", Config{Mode: "learn", Redis: &Redis{Unknown: map[string]any{"pasword": "hunter2"}}}, `redis.pasword: unknown option: did you mean "redis.password"?`},
	{"a misspelt option of Redis's TLS", Config{Mode: "learn", Redis: &Redis{TLS: &RedisTLS{Unknown: map[string]any{"certt": "hunter2"}}}}, `redis.tls.certt: unknown option: did you mean "redis.tls.cert"?`},
	{"Redis on a status page", Config{Mode: "status", Redis: &Redis{}}, `redis: has no meaning in mode "status": it is for learn, enforce, either`},
	{"several faults at once", Config{Mode: "lern", TTL: "x", MaxIPs: "y", Unknown: map[string]any{"a": 1, "b": 2}}, `mode: & ttl: & maxIPs: & a: & b: `},
}

func TestConfigurationFaults(t *testing.T) {
	for _, row := range faultRows {
		_, err := parse(&row.config)
		if err == nil {
			t.Errorf("%s: no error", row.name)
			continue
		}
		for _, want := range strings.Split(row.want, " & ") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %q, want %q", row.name, err, want)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %q, which tells a secret", row.name, err)
		}
	}
}

func TestUnknownOptionsAreToldFirst(t *testing.T) {
	unknown := func(key string) map[string]any { return map[string]any{key: "x"} }
	_, err := parse(&Config{
		TTL: "x", Unknown: unknown("moode"), IPStrategy: IPStrategy{Depth: "x", Unknown: unknown("dept")},
		Redis: &Redis{DB: "x", Unknown: unknown("endpoint"), TLS: &RedisTLS{InsecureSkipVerify: "x", Unknown: unknown("certt")}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	got := ""
	for _, line := range strings.Split(err.Error(), "\n") {
		key, _, _ := strings.Cut(line, ":")
		got += key + " "
	}
	const want = "moode ipStrategy.dept redis.endpoint redis.tls.certt mode ttl ipStrategy.depth redis.db redis.tls.insecureSkipVerify "
	if got != want {
		t.Errorf("got faults of %s, want %s", got, want)
	}
}

func TestDefaults(t *testing.T) {
	s, err := parse(&Config{Mode: "learn"})
	if err != nil {
		t.Fatal(err)
	}
	if s.limits != (limits{24 * time.Hour, 10, 0}) || s.allowPrivate || s.ipv6Subnet != 64 || s.rejectStatusCode != 403 ||
		len(s.stores) != 1 || s.stores[0].name != "default" || len(s.identities) != 0 || s.sourceRange.Len() != 0 {
		t.Errorf("got %+v, want the defaults", s)
	}
}

func TestNumbersEndWhereTheirFaultsSay(t *testing.T) {
	const most = 1<<31 - 1
	for _, row := range []struct {
		key         string
		config      func(value string) Config
		least, most int
	}{
		{"maxIPs", func(v string) Config { return Config{Mode: "learn", MaxIPs: v} }, 1, most},
		{"maxIPsPerIdentity", func(v string) Config { return Config{Mode: "learn", MaxIPsPerIdentity: v} }, 0, most},
		{"ipStrategy.depth", func(v string) Config { return Config{Mode: "learn", IPStrategy: IPStrategy{Depth: v}} }, 0, most},
		{"ipStrategy.ipv6Subnet", func(v string) Config { return Config{Mode: "learn", IPStrategy: IPStrategy{IPv6Subnet: v}} }, 1, 128},
		{"rejectStatusCode", func(v string) Config { return Config{Mode: "learn", RejectStatusCode: v} }, 400, 599},
	} {
		for value, good := range map[int]bool{row.least - 1: false, row.least: true, row.most: true, row.most + 1: false} {
			config := row.config(fmt.Sprint(value))
			want := fmt.Sprintf("%s: invalid value %q: want a whole number from %d to %d", row.key, fmt.Sprint(value), row.least, row.most)
			if _, err := parse(&config); good && err != nil || !good && (err == nil || err.Error() != want) {
				t.Errorf("%s: %d: got %v, want it good: %t", row.key, value, err, good)
			}
		}
	}
}

func TestEachFaultIsToldOnce(t *testing.T) {
	for _, row := range []struct {
		config Config
		want   string
	}{
		{Config{Mode: "enforce", Store: []string{"a", "a", "b", "b", "a"}}, `store: invalid value "a,a,b,b,a": want each once`},
		{Config{Mode: "enforce", Proof: "x"}, `proof: invalid value "x": has no meaning in mode "enforce": it is for learn, either, status`},
		{Config{Mode: "enforce", Redis: &Redis{Endpoints: []string{"h:1", " "}}}, `redis.endpoints: want no empty parts`},
		{Config{Mode: "enforce", Redis: &Redis{Unknown: map[string]any{"poolSize": 1}}}, `redis.poolSize: has no meaning here: a store has two connections to Redis, whatever comes`},
	} {
		if _, err := parse(&row.config); err == nil || err.Error() != row.want {
			t.Errorf("got %v, want %s", err, row.want)
		}
	}
}

func TestValuesAsLabelsGiveThem(t *testing.T) {
	s, err := parse(&Config{
		Mode: "enforce", Store: []string{"a", " b "}, Identities: []string{"cn:x", " cn:y"}, SourceRange: []string{"10.0.0.1", " 10.0.0.2"},
		IPStrategy: IPStrategy{IPv6Subnet: " 56"}, RejectStatusCode: "404",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.stores) != 2 || s.stores[1].name != "b" || s.identities[1].Prefix != "cn:y" || s.sourceRange.Len() != 2 || s.ipv6Subnet != 56 || s.rejectStatusCode != 404 {
		t.Errorf("got %+v", s)
	}
	for _, row := range []struct {
		text string
		want time.Duration
	}{{"90s", 90 * time.Second}, {"3600", time.Hour}, {"1h30m", 90 * time.Minute}, {"1ns", 1}, {"876000h", option.MaxDuration}} {
		s, err := parse(&Config{Mode: "learn", TTL: row.text, AllowPrivate: "1"})
		if err != nil {
			t.Fatal(err)
		}
		if s.limits.ttl != row.want || !s.allowPrivate {
			t.Errorf("%s: got %v, want %v", row.text, s.limits.ttl, row.want)
		}
	}
}

func TestHowRedisIsReached(t *testing.T) {
	t.Setenv("MTLSALLOWLIST_SECRETS", t.TempDir())
	file := filepath.Join(os.Getenv("MTLSALLOWLIST_SECRETS"), "password")
	if err := os.WriteFile(file, []byte(" secret \r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MTLSALLOWLIST_PASSWORD", "from outside")
	for _, row := range []struct {
		name  string
		redis Redis
		want  string // endpoints, user, password, database, waits
	}{
		{"by default", Redis{}, "[localhost:6379]   0 3s 3s 5s"},
		{"with all there is", Redis{Endpoints: []string{"redis:6379"}, Username: "u", Password: "p", DB: "3", ReadTimeout: "1", WriteTimeout: "2s", DialTimeout: "100ms"}, "[redis:6379] u p 3 1s 2s 100ms"},
		{"as labels give a cluster", Redis{Endpoints: []string{"a:1", " [::1]:2"}, DB: "0"}, "[a:1 [::1]:2]   0 3s 3s 5s"},
		{"with a password in a file", Redis{PasswordFile: file}, "[localhost:6379]   secret 0 3s 3s 5s"},
		{"with a password of Traefik's environment", Redis{Username: "u", PasswordEnv: "MTLSALLOWLIST_PASSWORD"}, "[localhost:6379] u from outside 0 3s 3s 5s"},
	} {
		s, err := parse(&Config{Mode: "enforce", Redis: &row.redis})
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		r := s.redis
		got := fmt.Sprintf("%v %s %s %d %v %v %v", r.Endpoints, r.Username, r.Password, r.DB, r.ReadTimeout, r.WriteTimeout, r.DialTimeout)
		if got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestHowConnectionsToRedisAreEncrypted(t *testing.T) {
	cert, key := clientCertificate(t)
	for _, row := range []struct {
		name string
		tls  *RedisTLS
		want string
	}{
		{"not at all", nil, "not"},
		{"by default", &RedisTLS{}, "TLS 1.2, an authority: false, certificates: 0, unverified: false"},
		{"with all there is", &RedisTLS{CA: cert, Cert: cert, Key: key, InsecureSkipVerify: "true"}, "TLS 1.2, an authority: true, certificates: 1, unverified: true"},
	} {
		s, err := parse(&Config{Mode: "enforce", Redis: &Redis{TLS: row.tls}})
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		got := "not"
		if c := s.redis.TLS; c != nil {
			got = fmt.Sprintf("%s, an authority: %t, certificates: %d, unverified: %t", tls.VersionName(c.MinVersion), c.RootCAs != nil, len(c.Certificates), c.InsecureSkipVerify)
		}
		if got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}

func TestAFaultOfTheProofIsToldOnce(t *testing.T) {
	for _, proof := range []string{"response", "cookie"} {
		_, err := parse(&Config{Mode: "either", Proof: proof})
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one fault", proof, err)
		}
	}
}

func TestParseWritesNothingBack(t *testing.T) {
	fresh := func() *Config {
		return &Config{Mode: "enforce", Store: []string{" a"}, Identities: []string{" dns:A"}, SourceRange: []string{" ::ffff:10.0.0.1"}}
	}
	config := fresh()
	if _, err := parse(config); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(config, fresh()) {
		t.Errorf("got %+v, want it as it was", config)
	}
}

// ownName returns an option's own name, without its parent.
func ownName(key string) string {
	return strings.ToLower(key[strings.LastIndex(key, ".")+1:])
}

func TestEveryOptionIsKnownByItsName(t *testing.T) {
	fields := map[string]bool{}
	for _, config := range []any{Config{}, IPStrategy{}, Redis{}, RedisTLS{}} {
		typ := reflect.TypeOf(config)
		for i := 0; i < typ.NumField(); i++ {
			fields[strings.ToLower(typ.Field(i).Name)] = true
		}
	}
	delete(fields, "unknown")
	for _, parent := range []string{"ipstrategy", "redis", "tls"} {
		delete(fields, parent)
	}
	for _, option := range options {
		if !fields[ownName(option)] {
			t.Errorf("%s is no field of Config", option)
		}
		delete(fields, ownName(option))
	}
	if len(fields) > 0 {
		t.Errorf("options lacks %v", fields)
	}
}

func TestUnknownOptionsComeInOrder(t *testing.T) {
	values := map[string]any{"zz1": "x", "zz2": true, "zz3": 4, "zz4": int64(5), "zz5": 6.5, "zz6": []any{"x"}, "zz7": nil, "zz8": map[string]any{}}
	_, err := parse(&Config{Mode: "enforce", Unknown: values})
	if err == nil {
		t.Fatal("no error")
	}
	got := []string{}
	for _, line := range strings.Split(err.Error(), "\n") {
		fault, _, _ := strings.Cut(line, ": unknown option")
		got = append(got, fault)
	}
	want := "zz1, zz2, zz3, zz4, zz5, zz6, zz7, zz8"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
}

func TestSuggestions(t *testing.T) {
	for _, row := range []struct{ key, want string }{
		{"moxx", `did you mean "mode"?`}, // half of it is right
		{"mxxx", "want one of mode, store"},
		{"moore", `did you mean "mode"?`}, // "store" is as near, and comes later
	} {
		_, err := parse(&Config{Mode: "learn", Unknown: map[string]any{row.key: ""}})
		if got := strings.TrimPrefix(err.Error(), row.key+": unknown option: "); !strings.HasPrefix(got, row.want) {
			t.Errorf("%s: got %s, want %s", row.key, got, row.want)
		}
	}
}

func FuzzConfig(f *testing.F) {
	for _, row := range faultRows {
		c := row.config
		f.Add(c.Mode, c.TTL, c.MaxIPs, c.AllowPrivate, strings.Join(c.SourceRange, ","), strings.Join(c.Identities, ","), c.IPStrategy.IPv6Subnet, c.RejectStatusCode, "tttl")
	}
	f.Fuzz(func(t *testing.T, mode, ttl, maxIPs, allowPrivate, sourceRange, identities, ipv6Subnet, status, unknown string) {
		config := &Config{
			Mode: mode, TTL: ttl, MaxIPs: maxIPs, AllowPrivate: allowPrivate, SourceRange: strings.Split(sourceRange, ","),
			Identities: strings.Split(identities, ","), IPStrategy: IPStrategy{IPv6Subnet: ipv6Subnet}, RejectStatusCode: status,
		}
		s, err := parse(config)
		if err == nil && (s.limits.ttl <= 0 || s.limits.maxIPs < 1 || len(s.stores) != 1 || len(s.identities) == 0 ||
			s.ipv6Subnet < 1 || s.ipv6Subnet > 128 || s.rejectStatusCode < 400 || s.rejectStatusCode > 599) {
			t.Errorf("%+v became %+v", config, s)
		}
		config.Unknown = map[string]any{unknown: "x"}
		if _, err := parse(config); err == nil || !strings.Contains(err.Error(), option.Shortened(unknown)+": ") {
			t.Errorf("the unknown key %q gave %v", unknown, err)
		}
	})
}

// TestNoFaultTellsASecret puts a password wherever somebody may put it by mistake.
func TestNoFaultTellsASecret(t *testing.T) {
	const secret = "hunter2"
	unknown := func(key string, value any) Config {
		return Config{Mode: "enforce", Unknown: map[string]any{key: value}}
	}
	redis := func(redis Redis) Config { return Config{Mode: "enforce", Redis: &redis} }
	type row struct {
		name   string
		config Config
		want   string // all of these, separated by " & "
	}
	rows := []row{
		{"a password at the root", unknown("password", secret), `password: unknown option: did you mean "redis.password"?`},
		{"a password at the root, as one word", unknown("redisPassword", secret), `redisPassword: unknown option: did you mean "redis.password"?`},
		{"a password of a name that nothing is like", unknown("auth", secret), `auth: unknown option: want one of mode, store`},
		{"a password below an unknown key", unknown("vault", map[string]any{"token": map[string]any{"x": secret}}), `vault: unknown option`},
		{"passwords in a list", unknown("passwords", []any{secret}), `passwords: unknown option: did you mean "redis.password"?`},
		{"a login in a misspelt endpoint", unknown("endpoint", "redis://u:"+secret+"@h:6379"), `endpoint: unknown option: did you mean "redis.endpoints"?`},
		{"a password below ipStrategy", Config{Mode: "enforce", IPStrategy: IPStrategy{Unknown: map[string]any{"password": secret}}}, `ipStrategy.password: unknown option`},
		{"a misspelt password", redis(Redis{Unknown: map[string]any{"pasword": secret}}), `redis.pasword: unknown option: did you mean "redis.password"?`},
		{"the size of a pool", redis(Redis{Unknown: map[string]any{"poolSize": secret}}), `redis.poolSize: has no meaning here`},
		{"a misspelt key", redis(Redis{TLS: &RedisTLS{Unknown: map[string]any{"keys": secret}}}), `redis.tls.keys: unknown option: did you mean "redis.tls.key"?`},
		{"a password as the user", redis(Redis{Username: secret}), `redis.username: want a password, too`},
		{"a password as the database", redis(Redis{DB: secret}), `redis.db: want a whole number from 0 to 65535`},
		{"a password as the path of its file", redis(Redis{PasswordFile: secret}), `redis.passwordFile: want `},
		{"a password as the name of its variable", redis(Redis{PasswordEnv: secret}), `redis.passwordEnv: want `},
		{"a password twice", redis(Redis{Password: secret, PasswordFile: secret, PasswordEnv: secret}), `redis.password: want one of password, passwordFile and passwordEnv`},
		{"a password as an authority", redis(Redis{TLS: &RedisTLS{CA: secret}}), `redis.tls.ca: want PEM`},
		{"a password as a path to an authority", redis(Redis{TLS: &RedisTLS{CA: "/nowhere/" + secret}}), `redis.tls.ca: want PEM`},
		{"a password as a certificate", redis(Redis{TLS: &RedisTLS{Cert: secret}}), `redis.tls.cert: want PEM`},
		{"a password as a key", redis(Redis{TLS: &RedisTLS{Key: secret}}), `redis.tls.key: want PEM`},
		{"a key that is none", redis(Redis{TLS: &RedisTLS{Key: "-----BEGIN " + secret + "-----\n" + secret + "\n-----END " + secret + "-----"}}), `redis.tls.cert, redis.tls.key: want a certificate and its key in PEM`},
		{"a certificate that is none", redis(Redis{TLS: &RedisTLS{Cert: "-----BEGIN " + secret + "-----\nAAAA\n-----END " + secret + "-----"}}), `redis.tls.cert, redis.tls.key: want a certificate and its key in PEM`},
		{"a header with its value", Config{Mode: "learn", Proof: "request", IdentityHeader: "Authorization: Bearer " + secret}, `identityHeader: invalid value "Authorization": want the name of a header`},
		{"a header with its value, and a proof that has none", Config{Mode: "learn", IdentityHeader: "X-Token:" + secret}, `identityHeader: invalid value "X-Token": has no meaning`},
		{"a header with its value for an enforcer", Config{Mode: "enforce", IdentityHeader: "X-Token: " + secret}, `identityHeader: invalid value "X-Token": has no meaning in mode "enforce"`},
	}
	for _, endpoint := range []string{
		"redis://u:hunter2@h:6379", "redis://u:hunter2@h:6379/0", "rediss://:hunter2@h:6379", "redis://hunter2@h", "redis://h:6379?password=hunter2", "unix:///run/hunter2.sock",
		"hunter2@h:6379", "u:hunter2@h:6379", ":hunter2@h:6379", "hunter2@[::1]:6379", "[hunter2@::1]:6379", "hunter2@", "//hunter2@h:6379", "redis%3A%2F%2Fu:hunter2%40h:6379",
		"hunter2", "h:hunter2", "hunter2:0", "h:6379,password=hunter2", "password=hunter2:6379", "h:6379/hunter2", "h hunter2:6379", "hunter2\n:6379", "hunter2\x00:6379", "hunter2#:1", "u:hunter2@h:6379:6379", "[fe80::1%hunter2@]:6379",
	} {
		rows = append(rows, row{"the endpoint " + endpoint, redis(Redis{Endpoints: []string{endpoint}}), `redis.endpoints: want host:port, e.g. "redis:6379"`})
		rows = append(rows, row{"the second endpoint " + endpoint, redis(Redis{Endpoints: []string{"h:1", endpoint, ""}}), `redis.endpoints: number 2: want host:port & redis.endpoints: want no empty parts`})
		rows = append(rows, row{"on a status page, the endpoint " + endpoint, Config{Mode: "status", Redis: &Redis{Endpoints: []string{endpoint}}}, `redis: has no meaning in mode "status" & redis.endpoints: want host:port`})
	}
	for _, row := range rows {
		_, err := parse(&row.config)
		if err == nil {
			t.Errorf("%s: no error", row.name)
			continue
		}
		for _, want := range strings.Split(row.want, " & ") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %q, want %q", row.name, err, want)
			}
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %q, which tells a secret", row.name, err)
		}
	}
}

func TestWhoPutsALoginIntoAnEndpointIsToldWhereItBelongs(t *testing.T) {
	const want = `redis.endpoints: want host:port, e.g. "redis:6379"; user and password belong in redis.username and redis.passwordFile`
	for _, endpoint := range []string{"redis://u:hunter2@h:6379", "hunter2@h:6379", "u:hunter2@h:6379", "redis://h:6379"} {
		if _, err := parse(&Config{Mode: "enforce", Redis: &Redis{Endpoints: []string{endpoint}}}); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", endpoint, err, want)
		}
	}
	if _, err := parse(&Config{Mode: "enforce", Redis: &Redis{Endpoints: []string{"h"}}}); err == nil || err.Error() != `redis.endpoints: want host:port, e.g. "redis:6379"` {
		t.Errorf("without a login: got %v, want nothing said of one", err)
	}
	for _, endpoint := range []string{"h:6379", "redis-master.default.svc.cluster.local:6379", "my_redis:1", "192.0.2.1:65535", "[::1]:6379", "[fe80::1%eth0]:6379"} {
		if _, err := parse(&Config{Mode: "enforce", Redis: &Redis{Endpoints: []string{endpoint}}}); err != nil {
			t.Errorf("%s: got %v, want it taken", endpoint, err)
		}
	}
}

// TestFaultsDoNotFillTheLog has values, keys and faults of any size and number.
func TestFaultsDoNotFillTheLog(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	many := map[string]any{}
	for i := 0; i < 10_000; i++ {
		many[fmt.Sprint("key", i)] = 1
	}
	for _, row := range []struct {
		name   string
		config Config
		want   string
	}{
		{"a long value", Config{Mode: "learn", TTL: long}, `…": want a positive duration`},
		{"a long mode, told of by others", Config{Mode: long, Proof: "response", Store: []string{"a", "b"}}, `…": want "learn"`},
		{"a long unknown key", Config{Mode: "learn", Unknown: map[string]any{long: 1}}, `…: unknown option: want one of mode, store`},
		{"a long pattern", Config{Mode: "learn", Identities: []string{long}}, `…": want kind:value`},
		{"a long list of nothing", Config{Mode: "learn", Identities: strings.Split(strings.Repeat(",", 10_000), ",")}, `want no empty parts`},
		{"a long list of faults", Config{Mode: "enforce", SourceRange: strings.Split(strings.Repeat("x,", 10_000), ",")}, "\nand more faults"},
		{"many unknown keys", Config{Mode: "enforce", Unknown: many}, "\nand more faults"},
	} {
		_, err := parse(&row.config)
		if err == nil {
			t.Errorf("%s: no error", row.name)
			continue
		}
		if got := err.Error(); len(got) > 32<<10 || !strings.Contains(got, row.want) {
			t.Errorf("%s: got %d bytes %.300q, want at most 32 KiB with %q", row.name, len(got), got, row.want)
		}
	}
	if _, err := parse(&Config{Mode: "enforce", Unknown: map[string]any{"a": 1, "b": 2}}); err == nil || strings.Contains(err.Error(), "more faults") {
		t.Errorf("got %v, want two faults alone", err)
	}
}

// A vault is the folder of secrets in a folder that has others, too.
type vault struct {
	t   *testing.T
	dir string
}

func newVault(t *testing.T) *vault {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	v := &vault{t, dir}
	v.write("secrets/password", "correct horse\n")
	t.Setenv("MTLSALLOWLIST_SECRETS", v.at("secrets"))
	return v
}

func (v *vault) at(path string) string { return v.dir + "/" + path }

func (v *vault) write(path, text string) {
	v.t.Helper()
	if err := os.MkdirAll(filepath.Dir(v.at(path)), 0o700); err != nil {
		v.t.Fatal(err)
	}
	if err := os.WriteFile(v.at(path), []byte(text), 0o600); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) link(path, target string) {
	v.t.Helper()
	if err := os.Symlink(target, v.at(path)); err != nil {
		v.t.Fatal(err)
	}
}

// passwordFrom returns the password that is read from a path, or what is wrong with it.
func passwordFrom(path string) (password, fault string) {
	s, err := parse(&Config{Mode: "enforce", Redis: &Redis{PasswordFile: path}})
	if err != nil {
		return "", err.Error()
	}
	return s.redis.Password, ""
}

const outsideSecrets = "redis.passwordFile: want the path of a file below /run/secrets/, or instead below the folder that MTLSALLOWLIST_SECRETS in Traefik's environment names"

func TestAPasswordIsReadBelowTheFolderOfSecretsAlone(t *testing.T) {
	v := newVault(t)
	v.write("outside", "hunter2")
	v.write("secrets-too/password", "hunter2")
	v.write("secrets/below/password", "of below")
	v.write("secrets/..2026_01_02/password", "of Kubernetes")
	v.link("secrets/..data", "..2026_01_02")
	v.link("secrets/mounted", "..data/password")
	v.link("secrets/absolute", v.at("secrets/below/password"))
	v.link("secrets/leak", "../outside")
	v.link("secrets/folder", "..")
	v.link("secrets/far", "folder/outside")
	v.link("secrets/loop", "loop")
	v.link("secrets/proc", "/proc/self/environ")
	v.link("inward", "secrets/password")
	v.write("secrets/empty", "")
	v.write("secrets/spaces", " \n")
	v.write("secrets/key", "-----BEGIN hunter2\nhunter2\n")
	v.write("secrets/token", "eyJhbGciOiJSUzI1NiJ9.hunter2.hunter2\n")
	v.write("secrets/kubernetes.io/serviceaccount/token", "hunter2")
	v.write("secrets/large", "hunter2")
	if err := os.Truncate(v.at("secrets/large"), 1<<30); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfifo", v.at("secrets/pipe")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, row := range []struct {
		name, path string
		want       string // the password, or what is wrong
	}{
		{"a file in it", v.at("secrets/password"), "correct horse"},
		{"a file below it", v.at("secrets/below/password"), "of below"},
		{"slashes too many", v.at("secrets//below/./password"), "of below"},
		{"up and down within", v.at("secrets/below/../password"), "correct horse"},
		{"a secret of Kubernetes", v.at("secrets/mounted"), "of Kubernetes"},
		{"a link to where it is", v.at("secrets/absolute"), "of below"},

		{"another file", v.at("outside"), outsideSecrets},
		{"a file that isn't there", v.at("nowhere"), outsideSecrets},
		{"a file of Traefik's", "/proc/self/environ", outsideSecrets},
		{"no end", "/dev/zero", outsideSecrets},
		{"the folder by default", "/run/secrets/password", outsideSecrets},
		{"up and out", v.at("secrets/../outside"), outsideSecrets},
		{"up and out from below", v.at("secrets/below/../../outside"), outsideSecrets},
		{"a folder of a longer name", v.at("secrets-too/password"), outsideSecrets},
		{"a link out of it", v.at("secrets/leak"), outsideSecrets},
		{"a link to another folder", v.at("secrets/folder/outside"), outsideSecrets},
		{"a link to a link out of it", v.at("secrets/far"), outsideSecrets},
		{"out of it and in again", v.at("secrets/folder/secrets/password"), "correct horse"},
		{"a link to what isn't there in all systems", v.at("secrets/proc"), outsideSecrets},
		{"a link from outside", v.at("inward"), outsideSecrets},
		{"a relative path", "secrets/password", outsideSecrets},
		{"a relative path with dots", "../../../.." + v.at("secrets/password"), outsideSecrets},
		{"a URL", "file://" + v.at("secrets/password"), outsideSecrets},
		{"the folder itself", v.at("secrets"), outsideSecrets},
		{"the folder itself with a slash", v.at("secrets/"), outsideSecrets},
		{"by way of /proc", "/proc/self/root" + v.at("secrets/password"), outsideSecrets},

		{"no such file", v.at("secrets/nowhere"), "redis.passwordFile: no such file or directory"},
		{"a file below a file", v.at("secrets/password/x"), "redis.passwordFile: it can't be read"},
		{"no end of a name", v.at("secrets/" + strings.Repeat("x", 1<<20)), "redis.passwordFile: file name too long"},
		{"half a name", v.at("secrets/pass\x00word"), "redis.passwordFile: invalid argument"},
		{"a link to itself", v.at("secrets/loop"), "redis.passwordFile: it can't be read"},
		{"a folder", v.at("secrets/below"), "redis.passwordFile: want a regular file"},
		{"a pipe that nobody writes to", v.at("secrets/pipe"), "redis.passwordFile: want a regular file"},
		{"an empty file", v.at("secrets/empty"), "redis.passwordFile: it is empty"},
		{"nothing but white space", v.at("secrets/spaces"), "redis.passwordFile: want a file with a password"},
		{"a gigabyte", v.at("secrets/large"), "redis.passwordFile: it is larger than 1048576 bytes"},
		{"a key", v.at("secrets/key"), "redis.passwordFile: want a password of one line"},
		{"a token", v.at("secrets/token"), "redis.passwordFile: want a password, not a token"},
		{"the token that Kubernetes gives Traefik", v.at("secrets/kubernetes.io/serviceaccount/token"), "redis.passwordFile: want a password, not a token"},
	} {
		password, fault := passwordFrom(row.path)
		if got := password + fault; got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestWhereTheFolderOfSecretsIs(t *testing.T) {
	v := newVault(t)
	v.link("link", "secrets")
	const wrong = "redis.passwordFile: MTLSALLOWLIST_SECRETS in Traefik's environment: "
	for _, row := range []struct{ name, folder, path, want string }{
		{"a folder", v.at("secrets"), v.at("secrets/password"), "correct horse"},
		{"a folder with a slash", v.at("secrets/"), v.at("secrets/password"), "correct horse"},
		{"a roundabout way", v.at("secrets/../secrets/."), v.at("secrets/password"), "correct horse"},
		{"a link to a folder", v.at("link"), v.at("link/password"), "correct horse"},
		{"a link to a folder, and another way", v.at("link"), v.at("secrets/password"), outsideSecrets},
		{"an empty one", "", v.at("secrets/password"), wrong + "want the absolute path of a folder other than the root"},
		{"a relative one", "secrets", v.at("secrets/password"), wrong + "want the absolute path of a folder other than the root"},
		{"the root", "/", v.at("secrets/password"), wrong + "want the absolute path of a folder other than the root"},
		{"the root in disguise", "/tmp//..", v.at("secrets/password"), wrong + "want the absolute path of a folder other than the root"},
		{"a link to the root", v.at("slash"), v.at("slash/etc/passwd"), wrong + "want the absolute path of a folder other than the root"},
		{"none that is there", v.at("nowhere"), v.at("nowhere/password"), wrong + "no such file or directory"},
		{"a file", v.at("secrets/password"), v.at("secrets/password/x"), "redis.passwordFile: it can't be read"},
	} {
		if row.folder == v.at("slash") {
			v.link("slash", "/")
		}
		t.Setenv("MTLSALLOWLIST_SECRETS", row.folder)
		password, fault := passwordFrom(row.path)
		if got := password + fault; got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
	if err := os.Unsetenv("MTLSALLOWLIST_SECRETS"); err != nil { // t.Setenv restores it
		t.Fatal(err)
	}
	for _, row := range []struct{ name, path, want string }{
		{"by default, another folder", v.at("secrets/password"), outsideSecrets},
		{"by default, up and out", "/run/secrets/../.." + v.at("secrets/password"), outsideSecrets},
		{"by default, no such file", "/run/secrets/mtlsallowlist/no such file", "redis.passwordFile: no such file or directory"},
	} {
		password, fault := passwordFrom(row.path)
		if got := password + fault; got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestAPasswordIsReadFromVariablesOfThePluginAlone(t *testing.T) {
	const refused = "redis.passwordEnv: want the name of an environment variable of Traefik's that begins with MTLSALLOWLIST_"
	const empty = "redis.passwordEnv: want an environment variable of Traefik's that isn't empty"
	for name, value := range map[string]string{
		"CF_DNS_API_TOKEN": "hunter2", "MTLSALLOWLIST": "hunter2", "mtlsallowlist_password": "hunter2", "X_MTLSALLOWLIST_PASSWORD": "hunter2",
		"MTLSALLOWLIST_PASSWORD": "correct horse", "MTLSALLOWLIST_EMPTY": "",
	} {
		t.Setenv(name, value)
	}
	for _, row := range []struct{ name, want string }{
		{"MTLSALLOWLIST_PASSWORD", "correct horse"},
		{"MTLSALLOWLIST_EMPTY", empty},
		{"MTLSALLOWLIST_NOWHERE", empty},
		{"MTLSALLOWLIST_", empty},
		{"MTLSALLOWLIST_PASSWORD ", empty},
		{"MTLSALLOWLIST_PASSWORD=", empty},
		{"CF_DNS_API_TOKEN", refused},
		{"MTLSALLOWLIST", refused},
		{"mtlsallowlist_password", refused},
		{"X_MTLSALLOWLIST_PASSWORD", refused},
		{" MTLSALLOWLIST_PASSWORD", refused},
		{"${MTLSALLOWLIST_PASSWORD}", refused},
	} {
		got := ""
		s, err := parse(&Config{Mode: "enforce", Redis: &Redis{PasswordEnv: row.name}})
		if err != nil {
			got = err.Error()
		} else {
			got = s.redis.Password
		}
		if got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

// TestKeysAreReadBelowTheFolderOfSecretsAlone is about a key of Traefik's: who holds it is taken for Traefik. Certificates
// are no secrets, and may be anywhere.
func TestKeysAreReadBelowTheFolderOfSecretsAlone(t *testing.T) {
	v := newVault(t)
	cert, key := clientCertificate(t)
	for _, folder := range []string{"secrets", "outside"} {
		v.write(folder+"/cert.pem", cert)
		v.write(folder+"/key.pem", key)
	}
	v.write("secrets/byte", "x")
	v.link("secrets/leak.pem", "../outside/key.pem")
	v.link("loop", "loop")
	if out, err := exec.Command("mkfifo", v.at("pipe")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const refused = "redis.tls.key: want PEM, or the path of a file with it that can be read: want the path of a file below /run/secrets/"
	const unpaired = "redis.tls.cert, redis.tls.key: want a certificate and its key in PEM"
	for _, row := range []struct {
		name string
		tls  RedisTLS
		want string // empty: it is taken
	}{
		{"all in the folder", RedisTLS{CA: v.at("secrets/cert.pem"), Cert: v.at("secrets/cert.pem"), Key: v.at("secrets/key.pem")}, ""},
		{"the key alone", RedisTLS{CA: v.at("outside/cert.pem"), Cert: v.at("outside/cert.pem"), Key: v.at("secrets/key.pem")}, ""},
		{"the key as PEM", RedisTLS{Cert: cert, Key: key}, ""},
		{"another key of Traefik's", RedisTLS{Cert: cert, Key: v.at("outside/key.pem")}, refused},
		{"a link to another key of Traefik's", RedisTLS{Cert: cert, Key: v.at("secrets/leak.pem")}, refused},
		{"another key of Traefik's by a way around", RedisTLS{Cert: cert, Key: v.at("secrets/../outside/key.pem")}, refused},
		{"a file for a key that is no key", RedisTLS{Cert: cert, Key: v.at("secrets/password")}, unpaired},
		{"a byte for a certificate", RedisTLS{Cert: v.at("secrets/byte")}, unpaired},
		{"a byte for a key", RedisTLS{Key: v.at("secrets/byte")}, unpaired},
		{"a byte for an authority", RedisTLS{CA: v.at("secrets/byte")}, "redis.tls.ca: want certificates in PEM"},
		{"a pipe for an authority", RedisTLS{CA: v.at("pipe")}, "redis.tls.ca: want PEM, or the path of a file with it that can be read: want a regular file"},
		{"a pipe for a certificate", RedisTLS{Cert: v.at("pipe"), Key: key}, "redis.tls.cert: want PEM, or the path of a file with it that can be read: want a regular file"},
		{"a link to itself for an authority", RedisTLS{CA: v.at("loop")}, "redis.tls.ca: want PEM, or the path of a file with it that can be read: it can't be read"},
		{"no end for an authority", RedisTLS{CA: "/dev/zero"}, "redis.tls.ca: want PEM, or the path of a file with it that can be read: want a regular file"},
		{"what the kernel makes up for an authority", RedisTLS{CA: "/proc/self/environ"}, "redis.tls.ca: want PEM, or the path of a file with it that can be read: it is empty"},
		{"a folder for an authority", RedisTLS{CA: "/etc"}, "redis.tls.ca: want PEM, or the path of a file with it that can be read: want a regular file"},
	} {
		_, err := parse(&Config{Mode: "enforce", Redis: &Redis{TLS: &row.tls}})
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
		if err != nil && strings.Contains(err.Error(), "horse") {
			t.Errorf("%s: got %v, which tells a secret", row.name, err)
		}
	}
}

// clientCertificate makes a certificate and its key, in PEM.
func clientCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	at := t.TempDir() + "/"
	out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", "/CN=traefik", "-keyout", at+"key", "-out", at+"cert").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	texts := []string{}
	for _, name := range []string{"cert", "key"} {
		data, err := os.ReadFile(at + name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(data))
	}
	return texts[0], texts[1]
}

// TestSecretsOfTraefikGoToNobodysHost has somebody who may write a middleware name a host of theirs.
func TestSecretsOfTraefikGoToNobodysHost(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	heard := make(chan string, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			data := make([]byte, 1000)
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			n, _ := conn.Read(data)
			heard <- string(data[:n])
			_ = conn.Close()
		}
	}()
	v := newVault(t)
	v.write("token", "eyJhbGciOi-service-account-token\n")
	v.link("secrets/token", "../token")
	t.Setenv("CF_DNS_API_TOKEN", "hunter2")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := newHouse(t, nil)
	host := []string{listener.Addr().String()}
	for _, row := range []struct {
		name  string
		redis Redis
	}{
		{"a file", Redis{Endpoints: host, PasswordFile: v.at("token")}},
		{"a link to a file", Redis{Endpoints: host, PasswordFile: v.at("secrets/token")}},
		{"a variable", Redis{Endpoints: host, PasswordEnv: "CF_DNS_API_TOKEN"}},
		{"a variable, and a password of theirs", Redis{Endpoints: host, PasswordEnv: "CF_DNS_API_TOKEN", Password: "x"}},
	} {
		_, err := newHandler(ctx, http.NotFoundHandler(), &Config{Mode: "enforce", Store: []string{h.store(row.name)}, Redis: &row.redis}, "evil", h.clock(), h.logger)
		if err == nil {
			t.Errorf("%s: no error, and the host got %q", row.name, <-heard)
		}
	}
	select {
	case got := <-heard:
		t.Errorf("the host got %q", got)
	default:
	}
}
