package mtlsallowlist

import (
	"os"
	"strings"
	"testing"
	"time"
)

// exampleRules returns what examples/redis/redis.conf lets Traefik's user do.
func exampleRules(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile("examples/redis/redis.conf")
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
	s := startRedis(t)
	rules := exampleRules(t)
	readme, err := os.ReadFile("readme.md")
	if err != nil || !strings.Contains(string(readme), "\n    user traefik on >change-me "+strings.Join(rules, " ")+"\n") {
		t.Errorf("the readme has other rules than the example: %v", err)
	}
	replicas := map[string]*replica{}
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
		if answer := s.cli(command...); answer != "OK" {
			t.Fatalf("%v: %s", command, answer)
		}
		r := newReplica(t, user, &Redis{Endpoints: []string{s.address}, Username: user, Password: "secret"}, 0)
		replicas[lacking] = r
	}
	for user, rule := range map[string]string{"db": "+select", "db without select": "-select"} {
		name := strings.ReplaceAll(user, " ", "-")
		s.cli(append(append([]string{"ACL", "SETUSER", name, "on", ">secret"}, rules...), rule)...)
		replicas[user] = newReplica(t, name, &Redis{Endpoints: []string{s.address}, Username: name, Password: "secret", DB: "1"}, 0)
	}
	if len(replicas) < 10 {
		t.Fatalf("got %d rules", len(replicas)-1)
	}
	one := limits{ttl: time.Hour, maxIPs: 1}
	for _, r := range replicas {
		r.learnAs("203.0.113.7", "cn:phone", one)
		r.link.run()
	}
	for lacking, r := range replicas {
		if lacking == "db" {
			eventually(t, "in another database with +select, it comes in step", r.inStep)
			continue
		}
		if lacking != "" {
			// With some it comes in step, and fails when an address has to make room.
			eventually(t, "without "+lacking+", it fails", func() bool {
				if r.inStep() {
					r.learnAs("203.0.113.7", "cn:phone", one)
					r.learnAs("203.0.113.8", "cn:phone", one)
				}
				told := r.link.state().failure // of a script, in other words
				return strings.Contains(told, "NOPERM") || strings.Contains(told, "can't run this command")
			})
			continue
		}
		eventually(t, "with all rules, it comes in step", r.inStep)
		r.learnAs("203.0.113.8", "cn:phone", one)
		r.revoke("203.0.113.8")
		eventually(t, "Redis has the revocation alone", func() bool {
			all := s.cli("HGETALL", r.link.keys[0])
			return strings.Contains(all, "203.0.113.8/32") && strings.Contains(all, " r ") && !strings.Contains(all, "203.0.113.7/32")
		})
		if state := r.link.state(); !state.inStep || state.failures != 0 {
			t.Errorf("with all rules: %+v", state)
		}
	}
}
