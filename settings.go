package mtlsallowlist

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/traefik/paerser/types"
)

const (
	modeLearn   = "learn"
	modeEnforce = "enforce"
	modeEither  = "either"
)

// maxTTL keeps deadlines countable.
const maxTTL = 100 * 365 * 24 * time.Hour

// settings are a Config that has been read: valid, typed and complete.
type settings struct {
	name             string // of the middleware
	mode             string
	stores           []*store // exactly one unless the mode is enforce
	identities       patterns
	limits           limits
	allowPrivate     bool
	sourceRange      *prefixSet
	address          addressReader
	direct           bool // whether address is that of the connection
	ipv6Subnet       int
	rejectStatusCode int
}

// A reader reads texts, and collects the faults that it finds on the way.
type reader struct {
	faults []error
}

// parse reads config without changing it. Its error joins all faults, each with key, value and what is wanted.
func parse(config *Config) (*settings, error) {
	r := &reader{}
	r.unknown("", config.Unknown)
	r.unknown("ipStrategy.", config.IPStrategy.Unknown)
	s := &settings{mode: r.mode(config)}
	names := r.list("store", config.Store, "default")
	if len(names) > 1 && s.mode != modeEnforce {
		r.fault("store", strings.Join(names, ","), "want exactly one in mode %q", s.mode)
	}
	for _, text := range r.list("identities", config.Identities) {
		pattern, err := parsePattern(text)
		if err != nil {
			r.fault("identities", text, "%v", err)
		}
		s.identities = append(s.identities, pattern)
	}
	s.limits = limits{
		ttl:               r.duration("ttl", config.TTL, 24*time.Hour),
		maxIPs:            r.number("maxIPs", config.MaxIPs, 10, 1, 1<<31-1),
		maxIPsPerIdentity: r.number("maxIPsPerIdentity", config.MaxIPsPerIdentity, 0, 0, 1<<31-1),
	}
	s.allowPrivate = r.flag("allowPrivate", config.AllowPrivate)
	s.sourceRange = r.prefixes("sourceRange", config.SourceRange)
	depth := r.number("ipStrategy.depth", config.IPStrategy.Depth, 0, 0, 1<<31-1)
	excluded := r.prefixes("ipStrategy.excludedIPs", config.IPStrategy.ExcludedIPs)
	s.address = newAddressReader(depth, excluded)
	s.direct = depth == 0 && excluded.len() == 0
	s.ipv6Subnet = r.number("ipStrategy.ipv6Subnet", config.IPStrategy.IPv6Subnet, 64, 1, 128)
	s.rejectStatusCode = r.number("rejectStatusCode", config.RejectStatusCode, http.StatusForbidden, 400, 599)
	if len(r.faults) > 0 {
		return nil, errors.Join(r.faults...)
	}
	for _, name := range names {
		s.stores = append(s.stores, openStore(name))
	}
	return s, nil
}

func (r *reader) fault(key, value, format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s: invalid value %q: %s", key, value, fmt.Sprintf(format, args...)))
}

// mode also finds the options that the mode has no use for: who sets them expects something of them.
func (r *reader) mode(config *Config) string {
	switch config.Mode {
	case modeLearn, modeEither:
	case modeEnforce:
		for _, option := range [][2]string{
			{"ttl", config.TTL},
			{"maxIPs", config.MaxIPs},
			{"maxIPsPerIdentity", config.MaxIPsPerIdentity},
			{"allowPrivate", config.AllowPrivate},
		} {
			if option[1] != "" {
				r.fault(option[0], option[1], "has no meaning in mode %q: set it where the address is learned", modeEnforce)
			}
		}
	default:
		r.fault("mode", config.Mode, "want %q, %q or %q", modeLearn, modeEnforce, modeEither)
	}
	return config.Mode
}

// list trims the parts, which labels give as "a, b". A list that is there but empty is a fault: where the
// default is everything, it must not open what somebody meant to close.
func (r *reader) list(key string, texts []string, byDefault ...string) []string {
	if texts == nil {
		return byDefault
	}
	if len(texts) == 0 {
		r.fault(key, "", "want at least one, or no such key")
	}
	trimmed := []string{}
	for _, text := range texts {
		text = strings.TrimSpace(text)
		if text == "" {
			r.fault(key, strings.Join(texts, ","), "want no empty parts")
		}
		trimmed = append(trimmed, text)
	}
	return trimmed
}

func (r *reader) prefixes(key string, texts []string) *prefixSet {
	prefixes := []netip.Prefix{}
	for _, text := range r.list(key, texts) {
		prefix, err := parsePrefix(text)
		if err != nil {
			r.fault(key, text, `want a CIDR or an IP, e.g. "192.168.1.0/24"`)
		}
		prefixes = append(prefixes, prefix)
	}
	return newPrefixSet(prefixes)
}

func (r *reader) number(key, text string, byDefault, least, most int) int {
	if text == "" {
		return byDefault
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < least || n > most {
		r.fault(key, text, "want a whole number from %d to %d", least, most)
	}
	return n
}

func (r *reader) flag(key, text string) bool {
	if text == "" {
		return false
	}
	on, err := strconv.ParseBool(strings.TrimSpace(text))
	if err != nil {
		r.fault(key, text, "want true or false")
	}
	return on
}

func (r *reader) duration(key, text string, byDefault time.Duration) time.Duration {
	if text == "" {
		return byDefault
	}
	var d types.Duration
	err := d.Set(strings.TrimSpace(text))
	seconds, notSeconds := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	overflows := notSeconds == nil && seconds != int64(time.Duration(d)/time.Second)
	if err != nil || d <= 0 || time.Duration(d) > maxTTL || overflows {
		r.fault(key, text, `want a positive duration, e.g. "90s", "24h" or a number of seconds`)
	}
	return time.Duration(d)
}
