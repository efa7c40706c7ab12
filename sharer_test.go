package mtlsallowlist

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A sharing household makes middlewares one by one, each with a context of its own.
type sharers struct {
	t      *testing.T
	h      *house
	cancel map[string]context.CancelFunc
}

func newSharers(t *testing.T) *sharers {
	s := &sharers{t: t, h: newHouse(t, nil), cancel: map[string]context.CancelFunc{}}
	t.Cleanup(func() {
		for _, cancel := range s.cancel {
			cancel()
		}
	})
	return s
}

// make makes a middleware of these stores, separated by blanks, and returns the fault; empty for none.
func (s *sharers) make(name, names string, redis Redis) string {
	s.t.Helper()
	if redis.Endpoints == nil {
		redis.Endpoints = []string{"127.0.0.1:1"}
	}
	own := []string{}
	for _, store := range strings.Fields(names) {
		own = append(own, s.h.store(store))
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err := newHandler(ctx, http.NotFoundHandler(), &Config{Mode: "enforce", Store: own, Redis: &redis}, name, s.h.clock(), s.h.logger)
	if err != nil {
		cancel()
		return strings.ReplaceAll(err.Error(), fmt.Sprint("house-", s.h.number, "-"), "")
	}
	s.cancel[name] = cancel
	return ""
}

func TestTheMiddlewaresOfAStoreHaveOneRedis(t *testing.T) {
	cert, key := clientCertificate(t)
	t.Setenv("MTLSALLOWLIST_PASSWORD", "hunter2")
	t.Setenv("MTLSALLOWLIST_OTHER", "hunter3")
	for _, row := range []struct {
		name          string
		first, second Redis
		want          string // the keys that differ; empty: none
	}{
		{"the same", Redis{Password: "hunter2", DB: "1"}, Redis{Password: "hunter2", DB: "1"}, ""},
		{"the same, as numbers", Redis{ReadTimeout: "2s", DB: "01"}, Redis{ReadTimeout: "2", DB: "1"}, ""},
		{"the same by default", Redis{}, Redis{ReadTimeout: "3s", WriteTimeout: "3s", DialTimeout: "5s", DB: "0"}, ""},
		{"the same in another order", Redis{Endpoints: []string{"127.0.0.1:1", "127.0.0.1:2"}}, Redis{Endpoints: []string{"127.0.0.1:2", "127.0.0.1:1"}}, ""},
		{"the same password from elsewhere", Redis{Password: "hunter2"}, Redis{PasswordEnv: "MTLSALLOWLIST_PASSWORD"}, ""},
		{"another server", Redis{}, Redis{Endpoints: []string{"127.0.0.1:2"}}, "redis.endpoints"},
		{"one server more", Redis{}, Redis{Endpoints: []string{"127.0.0.1:1", "127.0.0.1:2"}}, "redis.endpoints"},
		{"another user", Redis{Username: "hunter2", Password: "hunter2"}, Redis{Username: "hunter3", Password: "hunter2"}, "redis.username"},
		{"another password", Redis{Password: "hunter2"}, Redis{Password: "hunter3"}, "redis.password"},
		{"another variable", Redis{PasswordEnv: "MTLSALLOWLIST_PASSWORD"}, Redis{PasswordEnv: "MTLSALLOWLIST_OTHER"}, "redis.password"},
		{"no password", Redis{Password: "hunter2"}, Redis{}, "redis.password"},
		{"another database", Redis{}, Redis{DB: "1"}, "redis.db"},
		{"other waits", Redis{}, Redis{ReadTimeout: "1s", WriteTimeout: "1s", DialTimeout: "1s"}, "redis.readTimeout, redis.writeTimeout, redis.dialTimeout"},
		{"TLS", Redis{}, Redis{TLS: &RedisTLS{}}, "redis.tls.insecureSkipVerify"},
		{"no TLS", Redis{TLS: &RedisTLS{InsecureSkipVerify: "true"}}, Redis{}, "redis.tls.insecureSkipVerify"},
		{"another authority", Redis{TLS: &RedisTLS{}}, Redis{TLS: &RedisTLS{CA: cert}}, "redis.tls.ca"},
		{"a certificate", Redis{TLS: &RedisTLS{}}, Redis{TLS: &RedisTLS{Cert: cert, Key: key}}, "redis.tls.cert, redis.tls.key"},
		{"what would be the same if joined", Redis{Username: "a\nb", Password: "c"}, Redis{Username: "a", Password: "b\nc"}, "redis.username, redis.password"},
	} {
		s := newSharers(t)
		links := stores.linkID
		if got := s.make("first@file", "x", row.first); got != "" {
			t.Errorf("%s: the first: got %s", row.name, got)
		}
		want := ""
		if row.want != "" {
			want = `mtlsallowlist: middleware "second@docker": redis: the store "x" is shared by other settings already, for middleware "first@file": they differ in ` + row.want + `; a store has one Redis`
		}
		if got := s.make("second@docker", "x", row.second); got != want {
			t.Errorf("%s: got %q, want %q", row.name, got, want)
		}
		if got := stores.linkID - links; got != 1 {
			t.Errorf("%s: got %d links, want one", row.name, got)
		}
	}
}

func TestOtherSettingsOfRedisAreTakenWhenNobodyLivesWhoHasThose(t *testing.T) {
	a, b := Redis{Endpoints: []string{"127.0.0.1:1"}}, Redis{Endpoints: []string{"127.0.0.1:2"}}
	s := newSharers(t)
	taken := func(name, stores string, redis Redis) {
		t.Helper()
		if got := s.make(name, stores, redis); got != "" {
			t.Errorf("%s: got %s, want it taken", name, got)
		}
	}
	refused := func(name, stores string, redis Redis, wants ...string) {
		t.Helper()
		got := s.make(name, stores, redis)
		for _, want := range append(wants, `middleware "`+name+`"`) {
			if !strings.Contains(got, want) {
				t.Errorf("%s: got %q, want it refused with %s", name, got, want)
			}
		}
	}
	taken("one", "x", a)
	taken("two", "x", a)
	s.cancel["two"]()
	refused("three", "x", b, `store "x"`, `for middleware "one"`)
	refused("one", "x", b, `for middleware "one"`) // of the same name
	s.cancel["one"]()
	taken("three", "x", b)
	refused("four", "x", a, `for middleware "three"`)

	taken("elsewhere", "y", a)
	refused("of two", "free x y", a, `store "x"`, `for middleware "three"`)
	refused("of both", "free x y", Redis{DB: "1"}, `store "x"`, `for middleware "three"`, "\n", `store "y"`, `for middleware "elsewhere"`)
	taken("of the free", "free", b) // since who was refused shares nothing
	s.cancel["three"]()
	taken("of two", "x y", a)
	refused("late", "x", b, `for middleware "of two"`)

	// As Traefik reloads: first all that there were end, then the others are made.
	for n, redis := range []Redis{b, a, b} {
		for _, cancel := range s.cancel {
			cancel()
		}
		taken(fmt.Sprint("learn", n), "x", redis)
		taken(fmt.Sprint("enforce", n), "x y", redis)
	}
}

// TestAPasswordThatIsReplacedDuringAReload is about a file whose content changes between two middlewares: the newer one counts.
func TestAPasswordThatIsReplacedDuringAReload(t *testing.T) {
	v := newVault(t)
	s := newSharers(t)
	for _, password := range []string{"of yesterday", "of today"} {
		v.write("secrets/password", password)
		if got := s.make(password, "x", Redis{PasswordFile: v.at("secrets/password")}); got != "" {
			t.Error(got)
		}
	}
	if got := linkOf(openStore(s.h.store("x"))).redis.Password; got != "of today" {
		t.Errorf("got the password %s, want that of today", got)
	}
	if got := s.make("other", "x", Redis{Password: "of yesterday"}); !strings.Contains(got, "redis.password") {
		t.Errorf("got %q, want it refused", got)
	}
}

func TestWhoSharesAStoreIsRememberedOnceAndWhileItLives(t *testing.T) {
	s := newSharers(t)
	for i, row := range []struct {
		name   string
		cancel string // whose context is done before
		want   int
	}{{"a", "", 1}, {"a", "", 1}, {"b", "", 2}, {"c", "b", 2}, {"a", "a", 2}} {
		if row.cancel != "" {
			s.cancel[row.cancel]()
		}
		if got := s.make(row.name, "x", Redis{}); got != "" {
			t.Errorf("%d: got %s", i, got)
		}
		if got := len(stores.sharers[s.h.store("x")]); got != row.want {
			t.Errorf("%d: got %d middlewares, want %d", i, got, row.want)
		}
	}
	if got := s.make("d", "x", Redis{DB: "1"}); strings.Count(got, "already") != 1 {
		t.Errorf("got %q, want one of the two that differ", got)
	}
}
