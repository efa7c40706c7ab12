package replicas

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/redis"
)

// leastCommands are all that the plugin's user of Redis has to be allowed, on keys that begin with "{mtlsallowlist:".
// With a db, SELECT comes to them.
var leastCommands = []string{
	"eval", "xread", "hmget", // the plugin's own, and what its scripts call:
	"time", "hget", "hset", "hsetnx", "hdel", "hincrby", "hgetall", "zadd", "zrem", "zrangebyscore", "zrevrange", "xadd", "xrevrange", "pexpireat",
}

func TestTLSWithAClientCertificateAndTheLeastRules(t *testing.T) {
	dir := t.TempDir()
	ca, err := lab.NewCA("Redis CA")
	if err != nil {
		t.Fatal(err)
	}
	for name, leaf := range map[string]lab.Leaf{
		"redis":   {CommonName: "redis", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Server: true},
		"traefik": {CommonName: "traefik"},
	} {
		certificate, err := ca.Issue(leaf)
		if err != nil {
			t.Fatal(err)
		}
		if err := writeCertificates(dir, name, ca, certificate); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	server := redis.New(t)
	server.Args = []string{
		"--tls-port", server.Port(), "--tls-auth-clients", "yes",
		"--tls-cert-file", at("redis.pem"), "--tls-key-file", at("redis-key.pem"), "--tls-ca-cert-file", at("ca.pem"),
	}
	server.CLIArgs = []string{"--tls", "--cert", at("traefik.pem"), "--key", at("traefik-key.pem"), "--cacert", at("ca.pem")}
	server.Start()
	rule := []string{"ACL", "SETUSER", "traefik", "on", ">correct horse", "resetkeys", "~{mtlsallowlist:*", "-@all"}
	for _, command := range append(leastCommands, "select") {
		rule = append(rule, "+"+command)
	}
	if got := server.CLI(rule...); got != "OK" {
		t.Fatalf("%q: got %s", rule, got)
	}
	server.CLI("ACL", "SETUSER", "default", "resetkeys", "-@write") // nobody else writes
	server.CLI("CONFIG", "RESETSTAT")

	t.Setenv("REDIS_PASSWORD", "correct horse")
	shared := redisOptions(server)
	shared["username"] = "traefik"
	shared["db"] = 3
	shared["tls"] = options{"ca": at("ca.pem"), "cert": at("traefik.pem"), "key": at("traefik-key.pem")}
	if err := os.WriteFile(at("password"), []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	households := []household{}
	for key, value := range map[string]string{
		"password":     "correct horse",
		"passwordEnv":  "REDIS_PASSWORD",
		"passwordFile": at("password"),
	} {
		own := maps.Clone(shared)
		own[key] = value
		households = append(households, household{redis: own, learner: options{"maxIPs": 2, "ttl": "5s"}})
	}
	fleet := start(t, households...)
	for _, r := range fleet {
		r.awaitInStep(1)
	}
	// All that the plugin does: learn, renew, evict, revoke, let expire, and find that nothing happens.
	fleet[0].learn("203.0.113.1")
	fleet[1].learn("203.0.113.1", "203.0.113.2", "203.0.113.3")
	fleet[2].awaits("200", "203.0.113.3")
	fleet[2].want("200", "203.0.113.2")
	fleet[2].awaits("403", "203.0.113.1")
	fleet[0].awaits("200", "203.0.113.2")
	fleet[0].revoke("203.0.113.2")
	fleet[2].awaits("403", "203.0.113.2")
	fleet[1].awaits("403", "203.0.113.3")
	fleet[2].learn("203.0.113.4")
	fleet[1].awaits("200", "203.0.113.4")
	fleet[0].awaits("403", "203.0.113.4")
	eventually(t, "the replicas look whether all is well", func() bool { return strings.Contains(server.CLI("INFO", "commandstats"), "cmdstat_hmget:") })
	for _, r := range fleet {
		r.told(0, "msg=failed")
		r.told(1, `msg="in step"`)
	}
	if got := server.CLI("ACL", "LOG"); got != "" {
		t.Errorf("got %s in the log of what was forbidden, want nothing", got)
	}
	called := []string{}
	for line := range strings.Lines(server.CLI("INFO", "commandstats")) {
		if command, ours := strings.CutPrefix(line, "cmdstat_"); ours {
			command, _, _ = strings.Cut(command, ":")
			called = append(called, command)
		}
	}
	called = slices.DeleteFunc(called, func(command string) bool { // what needs no rule, and redis-cli's
		return slices.Contains([]string{"auth", "select", "info", "config|resetstat", "acl|log", "acl|setuser", "ping", "client|list"}, command)
	})
	slices.Sort(called)
	slices.Sort(leastCommands)
	if !slices.Equal(called, leastCommands) {
		t.Errorf("the plugin calls\n%v, want\n%v", called, leastCommands)
	}
	if got := strings.Count(strings.Join(server.Clients(), "\n"), "user=traefik"); got != 6 {
		t.Errorf("got %d connections of the user, want 2 of each Traefik: %q", got, server.Clients())
	}
	if got := strings.Count(strings.Join(server.Clients(), "\n"), "db=3"); got != 6 {
		t.Errorf("got %d connections with that db, want 2 of each Traefik: %q", got, server.Clients())
	}
}

// TestRedisIsNotTrusted has Traefiks refuse a server, or be refused, and go on alone.
func TestRedisIsNotTrusted(t *testing.T) {
	dir := t.TempDir()
	ca, err := lab.NewCA("Redis CA")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := ca.Issue(lab.Leaf{CommonName: "redis", DNSNames: []string{"redis.example"}, Server: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := writeCertificates(dir, "redis", ca, certificate); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	server := redis.New(t)
	server.Args = []string{
		"--tls-port", server.Port(), "--tls-auth-clients", "optional", "--requirepass", "correct horse",
		"--tls-cert-file", at("redis.pem"), "--tls-key-file", at("redis-key.pem"), "--tls-ca-cert-file", at("ca.pem"),
	}
	server.CLIArgs = []string{"--tls", "--cacert", at("ca.pem"), "--sni", "redis.example", "--no-auth-warning", "-a", "correct horse"}
	server.Start()
	for _, row := range []struct {
		name  string
		redis options
		want  string // in the log
	}{
		{"no TLS", options{"password": "correct horse"}, "redis: read tcp"},
		{"TLS with the system's authorities", options{"password": "correct horse", "tls": options{"insecureSkipVerify": false}}, "certificate"},
		{"TLS, but for another name", options{"password": "correct horse", "tls": options{"ca": at("ca.pem")}}, "certificate"},
		{"a wrong password", options{"password": "wrong", "tls": options{"insecureSkipVerify": true}}, "WRONGPASS"},
		{"no password", options{"tls": options{"insecureSkipVerify": true}}, "NOAUTH"},
		{"any certificate", options{"password": "correct horse", "tls": options{"insecureSkipVerify": true}}, `msg="in step"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			shared := redisOptions(server)
			maps.Copy(shared, row.redis)
			r := start(t, household{redis: shared})[0]
			r.awaitLines(1, row.want)
			r.learn("203.0.113.1")
			r.want("200", "203.0.113.1")
			if row.want != `msg="in step"` {
				r.told(1, "msg=failed", "redis: ")
				r.told(0, "correct horse")
			}
		})
	}
}
