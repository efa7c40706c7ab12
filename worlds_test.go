package mtlsallowlist

import (
	"fmt"
	"math/rand"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/statefile"
)

// convergenceRounds is how many worlds are tried, each with a seed of its own.
const convergenceRounds = 300

// A world has three stores, and what each has told the others and they haven't heard yet. Time is the same for all, but
// for what each takes for Redis's clock.
type world struct {
	random *rand.Rand
	limits limits
	stores []*store
	boxes  []*mailbox        // what each has to tell
	mail   [][]change.Change // by receiver
	now    clocks.Moment
	proofs map[string]int64 // the stamp of the last proof that somebody gave, by member
	ends   map[string]int64 // that of the last revocation

	t       *testing.T
	folder  string // of the state files; empty: there are none
	crashes int
}

// newWorld makes a world, whose replicas have state files if there is a folder for them.
func newWorld(t *testing.T, seed int64, folder string) *world {
	w := &world{t: t, folder: folder, random: rand.New(rand.NewSource(seed)), now: time.Second, mail: make([][]change.Change, 3), proofs: map[string]int64{}, ends: map[string]int64{}}
	w.limits = limits{ttl: time.Minute, maxIPs: 1 + w.random.Intn(7), maxIPsPerIdentity: w.random.Intn(4)}
	for i := 0; i < 3; i++ {
		s := newStore(fmt.Sprint(i))
		s.learnBy(terms{learner: true, limits: w.limits}, when(0))
		s.Compare(clockAt0+int64(w.random.Intn(40)), 0, replicaTolerance)
		w.boxes = append(w.boxes, collect(s))
		w.stores = append(w.stores, s)
		w.keep(i)
	}
	return w
}

// keep has a replica's store kept in its file, with what that holds.
func (w *world) keep(i int) {
	if w.folder == "" {
		return
	}
	s, now := w.stores[i], when(w.now)
	failed := func(err error, _ bool) { w.t.Error(err) }
	file, content, err := statefile.Open(w.path(i), s.name, s, failed, now.Wall.UnixMilli(), s.At(now.Mono))
	if err != nil || content.Damage != nil {
		data, _ := os.ReadFile(w.path(i))
		w.t.Fatalf("%v, %v: %s", err, content.Damage, data)
	}
	s.restore(content.Changes, &settings{limits: w.limits, ipv6Subnet: 64}, now.Mono)
	s.observe(observerFile, file)
	if err := file.Keep(now.Wall.UnixMilli(), s.At(now.Mono), len(content.Changes) == s.Alive()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) path(i int) string {
	return filepath.Join(w.folder, fmt.Sprint(i))
}

// crash ends a replica's process, which may have been writing a line, for something that nobody has been answered to. Then it
// comes back, and hears from another replica what it has missed.
func (w *world) crash(i int, ip netip.Prefix, id identity.Identity) {
	s := w.stores[i]
	s.settle(when(w.now))
	before, err := os.Stat(w.path(i))
	if err != nil {
		w.t.Fatal(err)
	}
	if w.random.Intn(2) == 0 {
		s.revoke(ip, id.Name(), when(w.now))
	} else {
		w.learn(s, ip, id)
	}
	s.settle(when(w.now))
	if after, err := os.Stat(w.path(i)); err == nil && os.SameFile(before, after) && after.Size() > before.Size() {
		if err := os.Truncate(w.path(i), before.Size()+w.random.Int63n(after.Size()-before.Size())); err != nil {
			w.t.Fatal(err)
		}
		w.crashes++
	} else {
		w.note(s)
	}
	again := newStore(s.name)
	again.learnBy(terms{learner: true, limits: w.limits}, when(w.now))
	w.stores[i] = again
	w.keep(i)
	again.Compare(clockAt0+w.now.Milliseconds()+int64(w.random.Intn(40)), w.now, replicaTolerance)
	w.boxes[i] = collect(again)
	w.mail[i] = nil
	w.deliver(i, w.all(w.random.Intn(3)))
}

func (w *world) learn(s *store, ip netip.Prefix, id identity.Identity) {
	g, _, _, _ := s.learn(ip, id, w.limits, when(w.now))
	w.proofs[change.Member(ip, id)] = later(w.proofs[change.Member(ip, id)], g.stamp)
}

// note takes note of the revocations that a store knows.
func (w *world) note(s *store) {
	for _, e := range allOf(s, w.now) {
		if e.Kind == change.Revoked {
			w.ends[e.Member()] = later(w.ends[e.Member()], e.Stamp)
		}
	}
}

// step has something happen.
func (w *world) step() {
	w.now += time.Duration(w.random.Intn(3)) * time.Duration(w.random.Intn(4000)) * time.Millisecond
	i := w.random.Intn(3)
	s := w.stores[i]
	ip := netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + w.random.Intn(8))}), 32)
	id := identity.Identity{Names: []string{fmt.Sprint("cn:", w.random.Intn(2))}}
	events := 11
	if w.folder != "" {
		events = 12
	}
	switch w.random.Intn(events) {
	case 0, 1, 2, 3:
		w.learn(s, ip, id)
	case 4, 10:
		s.revoke(ip, id.Name(), when(w.now))
		w.note(s)
	case 11:
		w.crash(i, ip, id)
	case 5, 6:
		w.send(i)
	case 7: // who was away hears everything at once
		w.deliver(i, w.all(w.random.Intn(3)))
	case 8: // a connection breaks: what was on the way to all is lost
		w.boxes[i].drain()
		w.mail[i] = nil
	case 9:
		for _, j := range w.random.Perm(len(w.mail[i])) {
			w.deliver(i, w.mail[i][j:j+1])
		}
		w.mail[i] = nil
	}
}

func later(a, b int64) int64 {
	if a > b {
		return a
	}
	return b
}

// send puts into the others' mail what a store has to tell.
func (w *world) send(from int) {
	entries := w.boxes[from].drain()
	for i := range w.stores {
		if i != from {
			w.mail[i] = append(w.mail[i], entries...)
		}
	}
}

// deliver has a store hear entries as anybody would write them down.
func (w *world) deliver(to int, entries []change.Change) {
	all := []change.Change{}
	for _, e := range entries {
		heard, err := change.Parse(e.Line())
		if err != nil {
			panic(err)
		}
		all = append(all, heard)
	}
	change.SortOldestFirst(all)
	w.stores[to].applyRemote(all, w.now)
}

// all returns what a replica tells when it reconciles: all that it holds, and the evictions that it hasn't told yet.
func (w *world) all(i int) []change.Change {
	all := allOf(w.stores[i], w.now)
	for _, c := range w.boxes[i].changes {
		if c.Kind == change.Evicted {
			all = append(all, c)
		}
	}
	return all
}

// settle exchanges everything, until nobody hears anything new.
func (w *world) settle() {
	before := "-"
	for round := 0; round < 10 && before != w.held(); round++ {
		before = w.held()
		for i := range w.stores {
			w.send(i)
		}
		for i := range w.stores {
			w.deliver(i, w.mail[i])
			w.mail[i] = nil
			for other := range w.stores {
				w.deliver(i, w.all(other))
			}
		}
	}
}

// waitForNoEnd lets time pass until nothing is about to end: in that moment it holds for some, whose clocks differ a little.
func (w *world) waitForNoEnd() {
	for again := true; again; {
		again = false
		for _, s := range w.stores {
			for _, e := range allOf(s, w.now) {
				again = again || e.Expires <= s.list.At(w.now)+100
			}
		}
		w.now += 100 * time.Millisecond
	}
}

func (w *world) held() string {
	all := ""
	for _, s := range w.stores {
		all += heldBy(s, w.now) + "\n\n"
	}
	return all
}

func TestAllReplicasComeToHoldTheSame(t *testing.T) {
	held, revoked, crashes := 0, 0, 0
	for seed := int64(1); seed <= convergenceRounds; seed++ {
		folder := ""
		if seed%5 == 0 {
			folder = t.TempDir()
		}
		w := newWorld(t, seed, folder)
		for i := 0; i < 60; i++ {
			w.step()
		}
		w.waitForNoEnd()
		w.settle()
		first := w.stores[0]
		want := heldBy(first, w.now)
		for i, s := range w.stores {
			if got := heldBy(s, w.now); got != want {
				t.Fatalf("seed %d: store %d holds\n%s\nwant\n%s", seed, i, got, want)
			}
			if n := len(s.list.addresses); n > w.limits.maxIPs {
				t.Errorf("seed %d: store %d holds %d addresses, want %d at most", seed, i, n, w.limits.maxIPs)
			}
			for _, g := range s.list.due {
				about := change.Member(g.address.ip, g.identity)
				if w.proofs[about] <= w.ends[about] {
					t.Errorf("seed %d: store %d holds %s, which was revoked", seed, i, about)
				}
				if g.expires < g.due || g.stamp < s.list.Until(g.proved)-40-restoredLag {
					t.Errorf("seed %d: store %d: %s is due %v, expires %v", seed, i, about, g.due, g.expires)
				}
				held++
			}
			for e := s.list.recency.Front(); e != nil && e.Next() != nil; e = e.Next() {
				if !addressBefore(e.Value.(*address), e.Next().Value.(*address)) {
					t.Errorf("seed %d: store %d isn't in order", seed, i)
				}
			}
		}
		revoked += len(w.ends)
		crashes += w.crashes
	}
	if held < convergenceRounds || revoked < convergenceRounds || crashes < convergenceRounds/5 {
		t.Errorf("%d grants held, %d revoked and %d crashes in %d worlds: they are too empty to tell anything", held, revoked, crashes, convergenceRounds)
	}
}

// clockWorlds is how many worlds are tried, each with a seed of its own.
const clockWorlds = 300

// clockSlack is how much longer than its lifetime a grant may seem to hold: clocks are compared no more exactly than that.
const clockSlack = 2*replicaTolerance*time.Millisecond + clocks.ClockTolerance

// A clockWorld has three replicas and a Redis, whose clocks are set, and which sleep and restart. Real time is what none of
// them knows.
type clockWorld struct {
	t        *testing.T
	random   *rand.Rand
	seed     int64
	limits   limits
	now      time.Duration // real time
	stores   []*store
	asleep   []time.Duration          // how long each replica's monotonic clock has stood still
	dozed    []bool                   // whether it hasn't exchanged anything since
	wall     []time.Duration          // how far its wall clock is off
	redis    time.Duration            // how far Redis's clock is off
	behind   int64                    // how far the replicas have told Redis that it is
	content  map[string]change.Change // of Redis
	proofs   map[string]time.Duration
	revoked  map[string]time.Duration
	outlived int // checks of a grant that held
}

func newClockWorld(t *testing.T, seed int64) *clockWorld {
	w := &clockWorld{t: t, seed: seed, random: rand.New(rand.NewSource(seed)), now: time.Second, content: map[string]change.Change{}, proofs: map[string]time.Duration{}, revoked: map[string]time.Duration{}}
	w.limits = limits{ttl: time.Minute, maxIPs: 10}
	w.stores = make([]*store, 3)
	w.asleep = make([]time.Duration, 3)
	w.dozed = make([]bool, 3)
	w.wall = make([]time.Duration, 3)
	for i := 0; i < 3; i++ {
		w.restart(i)
	}
	return w
}

// exchangeAwake has those exchange that compare the clocks each second: who has slept isn't back yet.
func (w *clockWorld) exchangeAwake() {
	for i := range w.stores {
		if !w.dozed[i] {
			w.exchange(i)
		}
	}
}

func (w *clockWorld) reading(i int) clocks.Reading {
	return clocks.Reading{Wall: clocks.EpochTime.Add(w.now + w.wall[i]), Mono: w.now - w.asleep[i]}
}

func (w *clockWorld) restart(i int) {
	s := newStore(fmt.Sprint(i))
	s.learnBy(terms{learner: true, limits: w.limits}, w.reading(i))
	w.stores[i] = s
	w.exchange(i)
}

// exchange does what a link does: it compares the clocks, and takes over and tells everything.
func (w *clockWorld) exchange(i int) {
	s, now := w.stores[i], w.reading(i)
	w.dozed[i] = false
	s.notice(now)
	compare := func() {
		w.behind += s.Compare(w.redisTime(), now.Mono, replicaTolerance)
	}
	compare()
	all := []change.Change{}
	for about, e := range w.content {
		if e.Expires <= w.redisTime() {
			delete(w.content, about)
			continue
		}
		heard, err := change.Parse(e.Line())
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, heard)
	}
	change.SortOldestFirst(all)
	if skipped := s.applyRemote(all, now.Mono); skipped > 0 {
		w.t.Errorf("seed %d: %d skipped", w.seed, skipped)
	}
	compare()
	for _, e := range allOf(s, now.Mono) {
		if held, ok := w.content[e.Member()]; (!ok || e.Outweighs(held.Stamp, held.Kind)) && e.Expires > w.redisTime() {
			w.content[e.Member()] = e
		}
	}
}

// redisTime is what Redis's clock shows, and what the replicas have noted on top.
func (w *clockWorld) redisTime() int64 {
	return clockAt0 + int64((w.now+w.redis)/time.Millisecond) + w.behind
}

func (w *clockWorld) step() {
	w.now += time.Duration(w.random.Intn(8000)) * time.Millisecond
	i := w.random.Intn(3)
	s := w.stores[i]
	ip := netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + w.random.Intn(3))}), 32)
	id := identity.Identity{Names: []string{fmt.Sprint("cn:", w.random.Intn(2))}}
	step := time.Duration(w.random.Intn(120_000)) * time.Millisecond
	switch w.random.Intn(12) {
	case 0, 1, 2:
		s.learn(ip, id, w.limits, w.reading(i))
		w.proofs[change.Member(ip, id)] = w.now
	case 3:
		for j := range w.stores { // what is on the way to i has come
			w.exchange(j)
		}
		w.exchange(i)
		if len(s.revoke(ip, id.Name(), w.reading(i))) == 0 {
			break
		}
		w.exchange(i)
		for j := range w.stores {
			w.exchange(j)
		}
		w.revoked[change.Member(ip, id)] = w.now
	case 4, 5, 6, 7:
		w.exchange(i)
	case 8:
		w.redis += step
		w.exchangeAwake()
	case 9:
		w.redis -= step
		w.exchangeAwake()
	case 10:
		w.now += step
		w.asleep[i] += step
		w.dozed[i] = true
	case 11:
		w.wall[i] += 2*step - 2*time.Minute
	}
	if w.random.Intn(10) == 0 {
		w.restart(w.random.Intn(3))
	}
}

// check compares what every replica lets in on a new connection with what really happened.
func (w *clockWorld) check(step int) {
	for i, s := range w.stores {
		s.notice(w.reading(i))
		s.mu.Lock()
		for _, g := range s.list.due {
			about := change.Member(g.address.ip, g.identity)
			if g.expires <= w.reading(i).Mono {
				continue
			}
			w.outlived++
			if age := w.now - w.proofs[about]; age > w.limits.ttl+clockSlack {
				w.t.Errorf("seed %d, step %d: replica %d lets in %s %v after its proof", w.seed, step, i, about, age)
			}
			if w.revoked[about] > w.proofs[about] {
				w.t.Errorf("seed %d, step %d: replica %d lets in %s, which was revoked", w.seed, step, i, about)
			}
		}
		s.mu.Unlock()
	}
}

func TestNoGrantOutlivesItsProofWhateverTheClocksDo(t *testing.T) {
	held := 0
	for seed := int64(1); seed <= clockWorlds && !t.Failed(); seed++ {
		w := newClockWorld(t, seed)
		for i := 0; i < 100; i++ {
			w.step()
			w.check(i)
		}
		held += w.outlived
	}
	if held < 100*clockWorlds {
		t.Errorf("%d times a replica let somebody in, in %d worlds: they are too empty to tell anything", held, clockWorlds)
	}
}
