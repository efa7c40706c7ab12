package mtlsallowlist

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"sort"
	"strconv"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/option"
)

// stateFormat is the version of the state file's format.
const stateFormat = 1

// A state is what a store holds, as it stands in its file.
type state struct {
	Format  int               `json:"format"`
	Store   string            `json:"store"`
	Grants  []savedGrant      `json:"grants"`            // the one proved last first
	Revoked []savedRevocation `json:"revoked,omitempty"` // of which other replicas may not have heard
}

type savedGrant struct {
	IP      string    `json:"ip"`    // a prefix
	Names   []string  `json:"names"` // of the identity, the canonical one first
	Serial  string    `json:"serial"`
	Learned time.Time `json:"learned"`
	Proved  time.Time `json:"proved"`
	Expires time.Time `json:"expires"`
}

// maxHead is how much of a file is looked at to see whose it is, in bytes.
const maxHead = 4096

// stateHead is how a state file begins, of this format or a newer one: with its format and the name of its store. If the rest is
// damaged, it is still ours.
var stateHead = regexp.MustCompile(`^\s*\{\s*"format"\s*:\s*([^\s,{}\[\]]{1,20})\s*,\s*"store"\s*:\s*("(?:[^"\\]|\\.)*")?`)

// checkHead returns why what begins like that, unless it is empty, isn't the state file of a store.
func checkHead(data []byte, store string) error {
	if len(data) == 0 {
		return nil
	}
	parts := stateHead.FindSubmatch(data)
	if parts == nil {
		return errors.New("it isn't a state file of this plugin's: want a path where there is no file yet, or an empty one")
	}
	format, err := strconv.Atoi(string(parts[1]))
	if err == nil && format > stateFormat {
		return fmt.Errorf("its format %d is that of a newer version of the plugin: this one knows format %d", format, stateFormat)
	}
	var name string
	if err := json.Unmarshal(parts[2], &name); err == nil && name != store {
		return otherStore(name, store)
	}
	return nil
}

func otherStore(name, store string) error {
	return fmt.Errorf("it keeps the store %q, not %q: a store needs a file of its own", name, store)
}

// parseState reads a state file whose head has been checked.
func parseState(data []byte) (state, error) {
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return state{}, err
	}
	if s.Format != stateFormat {
		return state{}, fmt.Errorf(`want "format": %d`, stateFormat)
	}
	for i, g := range s.Grants {
		if err := g.check(); err != nil {
			return state{}, fmt.Errorf("grants[%d]: %w", i, err)
		}
	}
	for i, r := range s.Revoked {
		if err := r.check(); err != nil {
			return state{}, fmt.Errorf("revoked[%d]: %w", i, err)
		}
	}
	return s, nil
}

func (g savedGrant) check() error {
	if err := checkSaved(g.IP, g.Names); err != nil {
		return err
	}
	if err := identity.CheckSerial(g.Serial); err != nil {
		return err
	}
	if !isDated(g.Learned) || !isDated(g.Proved) || !isDated(g.Expires) {
		return errors.New("want the times learned, proved and expires, before the year 5138")
	}
	return nil
}

// isDated reports whether t is a time that anybody meant.
func isDated(t time.Time) bool {
	return !t.IsZero() && t.UnixMilli() <= maxStamp
}

// checkSaved checks whose grant it is.
func checkSaved(ip string, names []string) error {
	prefix, err := netip.ParsePrefix(ip)
	if err != nil || prefix != prefix.Masked() || prefix.Addr().Is4In6() {
		return fmt.Errorf("ip: invalid value %q: want an address with its prefix length", ip)
	}
	return identity.CheckNames(names)
}

// newest returns the latest time in the state at which something had happened.
func (s state) newest() time.Time {
	newest := time.Time{}
	for _, g := range s.Grants {
		if g.Proved.After(newest) {
			newest = g.Proved
		}
	}
	for _, r := range s.Revoked {
		if r.Revoked.After(newest) {
			newest = r.Revoked
		}
	}
	return newest
}

// state returns the grants that hold at now, and how many changes there had been. Its times are never before those of
// the state that was restored.
func (s *store) state(now reading) (saved state, changes int) {
	saved = state{Format: stateFormat, Store: s.name, Grants: []savedGrant{}}
	now = s.right(now)
	grants, changes := s.grants(now)
	saved.Revoked = s.revocations(now)
	for _, g := range grants {
		saved.Grants = append(saved.Grants, savedGrant{
			IP: g.ip.String(), Names: g.identity.Names, Serial: g.identity.Serial,
			Learned: g.learned.UTC(), Proved: g.proved.UTC(), Expires: g.expires.UTC(),
		})
	}
	return saved, changes
}

// A heldGrant is a grant as it was at some time.
type heldGrant struct {
	ip                       netip.Prefix
	identity                 identity.Identity
	learned, proved, expires time.Time
}

// grants returns the grants that hold at now, the one proved last first, and how many changes there had been.
func (s *store) grants(now reading) (held []heldGrant, changes int) {
	held, changes = s.copy(now)
	sort.Slice(held, func(i, j int) bool {
		if held[i].proved.Equal(held[j].proved) {
			return held[i].ip.Addr().Less(held[j].ip.Addr())
		}
		return held[i].proved.After(held[j].proved)
	})
	return held, changes
}

// claims returns what people see of the grants: those of an identity for an address as one, of the certificate that was
// proved last.
func (s *store) claims(now reading) []heldGrant {
	grants, _ := s.grants(now)
	places := map[string]int{}
	claims := []heldGrant{}
	for _, g := range grants {
		about := claim(g.ip, g.identity)
		at, found := places[about]
		if !found {
			places[about] = len(claims)
			claims = append(claims, g)
			continue
		}
		if g.learned.Before(claims[at].learned) {
			claims[at].learned = g.learned
		}
		if g.expires.After(claims[at].expires) {
			claims[at].expires = g.expires
		}
	}
	return claims
}

func (s *store) copy(now reading) (held []heldGrant, changes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list.removeExpired(now.mono)
	for _, g := range s.list.due {
		held = append(held, heldGrant{
			ip: g.address.ip, identity: g.identity,
			learned: now.timeOf(g.learned), proved: now.timeOf(g.proved), expires: now.timeOf(g.expires),
		})
	}
	return held, s.changes
}

// right returns now as a wall clock would show it that isn't known to be behind, after taking note of what this one shows.
func (s *store) right(now reading) reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noticeLocked(now)
	return s.wall.right(now)
}

// notBefore makes known a time that was in the past already at now.
func (s *store) notBefore(t time.Time, now reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noticeLocked(now)
	s.wall.notBefore(t, now)
}

// restore puts saved grants back, as far as the settings of their learner allow, and returns how many.
func (s *store) restore(saved []savedGrant, to *settings, now reading) int {
	sort.SliceStable(saved, func(i, j int) bool { return saved[i].Proved.After(saved[j].Proved) })
	now = s.right(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	restored := 0
	for _, g := range saved {
		ip := netip.MustParsePrefix(g.IP)
		if clientip.Prefix(ip.Addr(), to.ipv6Subnet) != ip || clientip.CheckLearnable(ip.Addr(), to.allowPrivate) != nil {
			continue
		}
		again := &grant{
			identity: identity.Identity{Names: g.Names, Serial: g.Serial},
			learned:  now.pastMomentOf(g.Learned),
			proved:   now.pastMomentOf(g.Proved),
			expires:  now.momentOf(g.Expires),
		}
		if latest := again.proved + within(g.Expires.Sub(g.Proved), option.MaxDuration); again.expires > latest {
			again.expires = latest
		}
		if s.list.restore(ip, again, to.limits, now.mono) && s.restoredLocked(again) {
			restored++
		}
	}
	if restored > 0 {
		s.changedLocked()
	}
	return restored
}

// within returns d, but no less than 0 and no more than most.
func within(d, most time.Duration) time.Duration {
	if d < 0 {
		return 0
	}
	if d > most {
		return most
	}
	return d
}

// changed returns how many changes there were.
func (s *store) changed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes
}

// unsaved counts that the state file could not be written.
func (s *store) unsaved() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.unsaved++
}
