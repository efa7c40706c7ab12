package mtlsallowlist

import (
	"fmt"
	"os"
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
