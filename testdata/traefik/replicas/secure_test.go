package replicas

import (
	"bytes"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
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
	ca := check.Must(lab.NewCA("Redis CA"))(t)
	for name, leaf := range map[string]lab.Leaf{
		"redis":   {CommonName: "redis", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Server: true},
		"traefik": {CommonName: "traefik"},
	} {
		certificate := check.Must(ca.Issue(leaf))(t)
		if err := lab.WriteCertificates(dir, name, ca, certificate); err != nil {
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

	t.Setenv("MTLSALLOWLIST_REDIS_PASSWORD", "correct horse")
	t.Setenv("MTLSALLOWLIST_SECRETS", dir)
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
		"passwordEnv":  "MTLSALLOWLIST_REDIS_PASSWORD",
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
	check.Eventually(t, "the replicas look whether all is well", func() bool { return strings.Contains(server.CLI("INFO", "commandstats"), "cmdstat_hmget:") })
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

// TestSecretsOfTraefikGoToNobodysHost has somebody who may write a middleware name a host of theirs for what Traefik knows.
func TestSecretsOfTraefikGoToNobodysHost(t *testing.T) {
	const secret = "correct-horse"
	dir := t.TempDir()
	t.Setenv("MTLSALLOWLIST_SECRETS", filepath.Join(dir, "secrets"))
	t.Setenv("MTLSALLOWLIST_PASSWORD", "meant for Redis")
	t.Setenv("CF_DNS_API_TOKEN", secret)
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"token", "secrets/token"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("eyJ."+secret+".x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../token", filepath.Join(dir, "secrets", "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secrets", "password"), []byte("meant for Redis\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	evil := startEar(t)
	at := func(option string, value any) household {
		return household{redis: options{"endpoints": evil.Addr().String(), option: value}}
	}
	r := start(t, household{})[0]
	for _, row := range []struct {
		name string
		h    household
		want string // in the log
	}{
		{"a variable", at("passwordEnv", "CF_DNS_API_TOKEN"), "redis.passwordEnv: want the name of an environment variable of Traefik's that begins with MTLSALLOWLIST_"},
		{"a file", at("passwordFile", filepath.Join(dir, "token")), "redis.passwordFile: want the path of a file below /run/secrets/"},
		{"a file by a way around", at("passwordFile", dir+"/secrets/../token"), "redis.passwordFile: want the path of a file below /run/secrets/"},
		{"a file by a link", at("passwordFile", filepath.Join(dir, "secrets", "link")), "redis.passwordFile: want the path of a file below /run/secrets/"},
		{"a token among the secrets", at("passwordFile", filepath.Join(dir, "secrets", "token")), "redis.passwordFile: want a password, not a token"},
		{"all variables", at("passwordFile", "/proc/self/environ"), "redis.passwordFile: want the path of a file below /run/secrets/"},
		{"what has no end", at("tls", options{"ca": "/dev/zero"}), "redis.tls.ca: want PEM, or the path of a file with it that can be read: want a regular file"},
		{"a key", at("tls", options{"key": filepath.Join(home.Dir, "server-key.pem"), "cert": filepath.Join(home.Dir, "server.pem")}), "redis.tls.key: want PEM, or the path of a file with it that can be read: want the path of a file below"},
	} {
		before := r.Log().Count(row.want)
		r.configure(row.h)
		if got := r.asks("203.0.113.1"); got != "404" {
			t.Errorf("%s: got %s, want no router", row.name, got)
		}
		r.awaitLines(before+1, row.want)
	}
	r.told(0, secret)
	if got := evil.heard(); got != "" {
		t.Errorf("the host heard %q, want nothing", got)
	}
	for option, value := range map[string]string{"passwordEnv": "MTLSALLOWLIST_PASSWORD", "passwordFile": filepath.Join(dir, "secrets", "password")} {
		r.configure(at(option, value))
		check.Eventually(t, "the host hears what "+option+" may tell", func() bool { return strings.Contains(evil.heard(), "AUTH\r\n$15\r\nmeant for Redis\r\n") })
		evil.forget()
	}
}

// An ear is a host that never answers.
type ear struct {
	net.Listener
	mu   sync.Mutex
	said bytes.Buffer
}

func startEar(t *testing.T) *ear {
	t.Helper()
	listener := check.Must(net.Listen("tcp", "127.0.0.1:0"))(t)
	e := &ear{Listener: listener}
	t.Cleanup(func() { _ = e.Close() })
	go func() {
		for {
			conn, err := e.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(e, conn) }()
		}
	}()
	return e
}

// Write takes what comes on any connection.
func (e *ear) Write(data []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.said.Write(data)
}

func (e *ear) heard() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.said.String()
}

func (e *ear) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.said.Reset()
}

// TestRedisIsNotTrusted has Traefiks refuse a server, or be refused, and go on alone.
func TestRedisIsNotTrusted(t *testing.T) {
	dir := t.TempDir()
	ca := check.Must(lab.NewCA("Redis CA"))(t)
	certificate := check.Must(ca.Issue(lab.Leaf{CommonName: "redis", DNSNames: []string{"redis.example"}, Server: true}))(t)
	if err := lab.WriteCertificates(dir, "redis", ca, certificate); err != nil {
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
