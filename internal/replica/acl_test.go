package replica

import (
	"os"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis/redistest"
)

// exampleRules returns what examples/redis/redis.conf lets Traefik's user do.
func exampleRules(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile("../../examples/redis/redis.conf")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(data), "\nuser traefik on >change-me ")
	line, _, _ := strings.Cut(after, "\n")
	if !found {
		t.Fatal("examples/redis/redis.conf has no user traefik")
	}
	return strings.Fields(line)
}

// TestTheRulesOfTheExampleAreTheLeast has one user with all the rules, and one for each rule who lacks it. Each learns, and
// evicts, for a store of its own.
func TestTheRulesOfTheExampleAreTheLeast(t *testing.T) {
	s := redistest.Start(t)
	rules := exampleRules(t)
	nodes := map[string]*node{}
	for _, lacking := range append([]string{""}, rules...) {
		if lacking != "" && !strings.HasPrefix(lacking, "+") && !strings.HasPrefix(lacking, "~") {
			continue // it takes away
		}
		user := strings.Trim(lacking, "+~{}:*") + "user"
		command := []string{"ACL", "SETUSER", user, "on", ">secret"}
		for _, rule := range rules {
			if rule != lacking {
				command = append(command, rule)
			}
		}
		if answer := s.CLI(command...); answer != "OK" {
			t.Fatalf("%v: %s", command, answer)
		}
		r := newNode(t, user, optionsFor(s.Address))
		r.redis.Username = user
		r.redis.Password = "secret"
		nodes[lacking] = r
	}
	for user, rule := range map[string]string{"db": "+select", "db without select": "-select"} {
		name := strings.ReplaceAll(user, " ", "-")
		s.CLI(append(append([]string{"ACL", "SETUSER", name, "on", ">secret"}, rules...), rule)...)
		r := newNode(t, name, optionsFor(s.Address))
		r.redis.Username = name
		r.redis.Password = "secret"
		r.redis.DB = 1
		nodes[user] = r
	}
	if len(nodes) < 10 {
		t.Fatalf("got %d rules", len(nodes)-1)
	}
	for _, r := range nodes {
		r.learn(numbered(7))
		r.Run()
	}
	for lacking, r := range nodes {
		if lacking == "db" {
			eventually(t, "in another database with +select, it comes in sync", r.synced)
			continue
		}
		if lacking != "" {
			// With some it comes in sync, and fails when an address has to make room.
			eventually(t, "without "+lacking+", it fails", func() bool {
				if r.synced() {
					r.learn(numbered(7))
					r.make(change.Evicted, numbered(7))
					r.learn(numbered(8))
				}
				told := r.State().Failure // of a script, in other words
				return strings.Contains(told, "NOPERM") || strings.Contains(told, "can't run this command")
			})
			continue
		}
		eventually(t, "with all rules, it comes in sync", r.synced)
		r.make(change.Evicted, numbered(7))
		r.learn(numbered(8))
		r.make(change.Revoked, numbered(8))
		eventually(t, "Redis has the revocation alone", func() bool {
			all := s.CLI("HGETALL", r.keys[0])
			return strings.Contains(all, numbered(8).String()) && strings.Contains(all, " r ") && !strings.Contains(all, numbered(7).String())
		})
		if state := r.State(); !state.Synced || state.Failures != 0 {
			t.Errorf("with all rules: %+v", state)
		}
	}
}
