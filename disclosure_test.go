package mtlsallowlist

import (
	"fmt"
	"strings"
	"testing"
)

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
