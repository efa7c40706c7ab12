package replicas

import (
	"context"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/redis"
)

// startCluster runs a Redis Cluster of three masters with a replica each, which takes over half a second after its master
// has gone.
func startCluster(t *testing.T) []*redis.Server {
	t.Helper()
	nodes, addresses := []*redis.Server{}, []string{}
	for range 6 {
		bus := check.Must(lab.FreeAddresses(1))(t)
		_, port, _ := net.SplitHostPort(bus[0])
		node := redis.Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "500", "--cluster-port", port, "--repl-diskless-sync-delay", "0")
		nodes, addresses = append(nodes, node), append(addresses, node.Address)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := append([]string{"--cluster", "create", "--cluster-replicas", "1", "--cluster-yes"}, addresses...)
	create := exec.CommandContext(ctx, "redis-cli", args...)
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, out)
	}
	check.Eventually(t, "all nodes of the cluster are well, and each master has a replica", func() bool {
		for _, node := range nodes {
			info := node.CLI("CLUSTER", "INFO") + node.CLI("INFO", "replication")
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "master_link_status:up") && !strings.Contains(info, "state=online") {
				return false
			}
		}
		return true
	})
	return nodes
}

// masterOf returns the node that serves the keys of the default store, as node sees it; empty: none does.
func masterOf(t *testing.T, node *redis.Server) (address string) {
	t.Helper()
	slot := node.CLI("CLUSTER", "KEYSLOT", "{mtlsallowlist:default}:grants")
	for line := range strings.Lines(node.CLI("CLUSTER", "NODES")) {
		words := strings.Fields(line)
		if len(words) < 9 || !strings.Contains(words[2], "master") || strings.Contains(words[2], "fail") {
			continue
		}
		for _, slots := range words[8:] {
			first, last, _ := strings.Cut(slots, "-")
			if number(t, first) <= number(t, slot) && number(t, slot) <= number(t, last) {
				address, _, _ = strings.Cut(words[1], "@")
			}
		}
	}
	return address
}

func number(t *testing.T, digits string) int {
	t.Helper()
	return check.Must(strconv.Atoi(digits))(t)
}

func TestARedisCluster(t *testing.T) {
	nodes := startCluster(t)
	before := masterOf(t, nodes[0])
	var master *redis.Server
	others := []*redis.Server{}
	for _, node := range nodes {
		if node.Address == before {
			master = node
		} else {
			others = append(others, node)
		}
	}
	if master == nil {
		t.Fatalf("no node serves the keys: %s", nodes[0].CLI("CLUSTER", "NODES"))
	}
	// Some of the endpoints do; the first isn't the one that has the keys.
	fleet := startShared(t, 2, household{redis: redisOptions(others[0], others[1], master)})
	a, b := fleet[0], fleet[1]
	usual := time.Duration(0)
	for i := range 20 {
		from, _ := lab.Address(i)
		fleet[i%2].learn(from)
		usual = max(usual, fleet[1-i%2].awaits("200", from))
	}
	a.learn("203.0.113.1")
	b.awaits("200", "203.0.113.1")
	b.revoke("203.0.113.1")
	a.awaits("403", "203.0.113.1")
	for _, r := range fleet {
		r.told(0, "msg=failed")
		r.told(1, `msg="in step"`)
	}
	// redis-cli without -c gets what the node itself has.
	if got := master.CLI("HLEN", "{mtlsallowlist:default}:grants"); got != "21" {
		t.Errorf("the master holds %s entries, want 20 and a revocation", got)
	}

	// New clients are learned all along.
	var next atomic.Int64
	var over atomic.Bool
	var learning sync.WaitGroup
	next.Store(20)
	for _, r := range fleet {
		learning.Go(func() {
			for !over.Load() {
				from, _ := lab.Address(int(next.Add(1)) - 1)
				if got := r.proves(from); got != "200" {
					t.Errorf("learning %s: got %s, want 200", from, got)
				}
				if got := r.asks(from); got != "200" {
					t.Errorf("asking from %s: got %s, want 200", from, got)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	master.Kill()
	killed := time.Now()
	check.Eventually(t, "another node takes over", func() bool {
		now := masterOf(t, others[0])
		return now != "" && now != before && strings.Contains(others[0].CLI("CLUSTER", "INFO"), "cluster_state:ok")
	})
	tookOver := time.Now()
	t.Logf("%s takes over from %s after %v", masterOf(t, others[0]), before, tookOver.Sub(killed))
	for _, r := range fleet {
		r.awaitInStep(2)
	}
	wantWithin(t, "both are in step", time.Since(tookOver), 2*time.Second, usual)
	over.Store(true)
	learning.Wait()
	n := int(next.Load())
	ips := agree(t, n, a, b)
	for i := range n {
		if _, prefix := lab.Address(i); !ips[prefix] {
			t.Errorf("%s is lost", prefix)
		}
	}
	for _, r := range fleet {
		r.want("403", "203.0.113.1")
		r.told(1, "msg=failed", "redis: ")
		r.told(2, `msg="in step"`)
	}
	// And the node that was killed comes back, as a replica.
	master.Start()
	check.Eventually(t, "the node is a replica, and all know it", func() bool {
		known := strings.Contains(master.CLI("INFO", "replication"), "master_link_status:up")
		for _, node := range others { // else the master would pay no attention to its request below
			known = known && regexp.MustCompile(master.Address+`@\d+ slave `).MatchString(node.CLI("CLUSTER", "NODES"))
		}
		return known
	})
	from, _ := lab.Address(n)
	a.learn(from)
	b.awaits("200", from)
	// Then it is made the master again, as for maintenance.
	if got := master.CLI("CLUSTER", "FAILOVER"); got != "OK" {
		t.Errorf("CLUSTER FAILOVER: got %s", got)
	}
	check.Eventually(t, "the node is the master", func() bool { return masterOf(t, others[0]) == before })
	from, _ = lab.Address(n + 1)
	b.learn(from)
	wantWithin(t, "after a planned failover, another replica lets in", a.awaits("200", from), 2*time.Second, usual)
	agree(t, n+2, a, b)
}
