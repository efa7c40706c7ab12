package mtlsallowlist

import (
	"fmt"
	"math/rand"
	"net/netip"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// clockWorlds is how many worlds are tried, each with a seed of its own.
const clockWorlds = 300

// clockSlack is how much longer than its lifetime a grant may seem to hold: clocks are compared no more exactly than that.
const clockSlack = 2*near*time.Millisecond + clockTolerance

// A clockWorld has three replicas and a Redis, whose clocks are set, and which sleep and restart. Real time is what none of
// them knows.
type clockWorld struct {
	t        *testing.T
	random   *rand.Rand
	seed     int64
	limits   limits
	now      time.Duration // real time
	stores   []*store
	asleep   []time.Duration  // how long each replica's monotonic clock has stood still
	dozed    []bool           // whether it hasn't exchanged anything since
	wall     []time.Duration  // how far its wall clock is off
	redis    time.Duration    // how far Redis's clock is off
	behind   int64            // how far the replicas have told Redis that it is
	content  map[string]entry // of Redis
	proofs   map[string]time.Duration
	revoked  map[string]time.Duration
	outlived int // checks of a grant that held
}

func newClockWorld(t *testing.T, seed int64) *clockWorld {
	w := &clockWorld{t: t, seed: seed, random: rand.New(rand.NewSource(seed)), now: time.Second, content: map[string]entry{}, proofs: map[string]time.Duration{}, revoked: map[string]time.Duration{}}
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

func (w *clockWorld) reading(i int) reading {
	return reading{wall: epochTime.Add(w.now + w.wall[i]), mono: w.now - w.asleep[i]}
}

func (w *clockWorld) restart(i int) {
	s := newStore(fmt.Sprint(i))
	s.share()
	s.learnBy(terms{learner: true, limits: w.limits}, w.reading(i))
	w.stores[i] = s
	w.exchange(i)
	s.collect(1)
}

// exchange does what a link does: it compares the clocks, and takes over and tells everything.
func (w *clockWorld) exchange(i int) {
	s, now := w.stores[i], w.reading(i)
	w.dozed[i] = false
	s.notice(now)
	compare := func() {
		w.behind += s.timeBy(w.redisTime(), now.mono, near)
	}
	compare()
	all := []entry{}
	for about, e := range w.content {
		if e.expires <= w.redisTime() {
			delete(w.content, about)
			continue
		}
		heard, err := parseEntry(line(e))
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, heard)
	}
	sortLatestFirst(all)
	if skipped := s.adopt(all, now.mono); skipped > 0 {
		w.t.Errorf("seed %d: %d skipped", w.seed, skipped)
	}
	compare()
	for _, e := range s.entries(now.mono) {
		if held, ok := w.content[e.member()]; (!ok || e.outweighs(held)) && e.expires > w.redisTime() {
			w.content[e.member()] = e
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
		w.proofs[member(ip, id)] = w.now
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
		w.revoked[member(ip, id)] = w.now
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
			about := member(g.address.ip, g.identity)
			if g.expires <= w.reading(i).mono {
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
