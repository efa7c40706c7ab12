package mtlsallowlist

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sort"
	"strings"
	"time"
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

// parseState reads a state file. Of a newer format, it reads no more than the format.
func parseState(data []byte) (state, error) {
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return state{}, err
	}
	if version.Format < 1 {
		return state{}, errors.New(`it has no "format"`)
	}
	if version.Format > stateFormat {
		return state{Format: version.Format}, nil
	}
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return state{}, err
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
	if g.Learned.IsZero() || g.Proved.IsZero() || g.Expires.IsZero() {
		return errors.New("want the times learned, proved and expires")
	}
	return nil
}

// checkSaved checks whose grant it is.
func checkSaved(ip string, names []string) error {
	prefix, err := netip.ParsePrefix(ip)
	switch {
	case err != nil || prefix != prefix.Masked() || prefix.Addr().Is4In6():
		return fmt.Errorf("ip: invalid value %q: want an address with its prefix length", ip)
	case len(names) == 0:
		return errors.New("names: want at least one")
	}
	for _, name := range names {
		if !strings.Contains(name, ":") {
			return fmt.Errorf("names: invalid value %q: want kind:value", name)
		}
	}
	return nil
}

// state returns the grants that hold at now, and how many changes there had been.
func (s *store) state(now time.Time) (saved state, changes int) {
	saved = state{Format: stateFormat, Store: s.name, Grants: []savedGrant{}}
	grants, changes := s.grants(now)
	saved.Revoked = s.revocations(now)
	for _, g := range grants {
		saved.Grants = append(saved.Grants, savedGrant{
			IP: g.ip.String(), Names: g.identity.names, Serial: g.identity.serial,
			Learned: g.learned.UTC(), Proved: g.proved.UTC(), Expires: g.expires.UTC(),
		})
	}
	return saved, changes
}

// A heldGrant is a grant as it was at some time.
type heldGrant struct {
	ip                       netip.Prefix
	identity                 identity
	learned, proved, expires time.Time
}

// grants returns the grants that hold at now, the one proved last first, and how many changes there had been.
func (s *store) grants(now time.Time) (held []heldGrant, changes int) {
	held, changes = s.copy(now)
	sort.Slice(held, func(i, j int) bool {
		if held[i].proved.Equal(held[j].proved) {
			return held[i].ip.Addr().Less(held[j].ip.Addr())
		}
		return held[i].proved.After(held[j].proved)
	})
	return held, changes
}

func (s *store) copy(now time.Time) (held []heldGrant, changes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now.Sub(epoch)
	s.list.removeExpired(at)
	for _, g := range s.list.due {
		held = append(held, heldGrant{
			ip: g.address.ip, identity: g.identity,
			learned: now.Add(g.learned - at), proved: now.Add(g.proved - at), expires: now.Add(g.expires - at),
		})
	}
	return held, s.changes
}

// restore puts saved grants back, as far as the settings of their learner allow, and returns how many.
func (s *store) restore(saved []savedGrant, to *settings, now time.Time) int {
	sort.SliceStable(saved, func(i, j int) bool { return saved[i].Proved.After(saved[j].Proved) })
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now.Sub(epoch)
	restored := 0
	for _, g := range saved {
		ip := netip.MustParsePrefix(g.IP)
		if clientPrefix(ip.Addr(), to.ipv6Subnet) != ip || learnable(ip.Addr(), to.allowPrivate) != nil {
			continue
		}
		again := &grant{
			identity: identity{names: g.Names, serial: g.Serial},
			learned:  at - within(now.Sub(g.Learned), maxTTL),
			proved:   at - within(now.Sub(g.Proved), maxTTL),
			expires:  at + within(g.Expires.Sub(now), within(g.Expires.Sub(g.Proved), maxTTL)), // the clock may have been set back
		}
		if s.list.restore(ip, again, to.limits, at) && s.restoredLocked(again) {
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
