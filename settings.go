package mtlsallowlist

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/traefik/paerser/types"
)

const (
	modeLearn   = "learn"
	modeEnforce = "enforce"
	modeEither  = "either"
	modeStatus  = "status"
)

// secretHeaders hold what must not stand in a log.
var secretHeaders = []string{"Authorization", "Proxy-Authorization", "Cookie"}

// headerBytes are what a header's name is made of (RFC 9110, token).
const headerBytes = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// maxTTL keeps deadlines countable.
const maxTTL = 100 * 365 * 24 * time.Hour

// settings are a Config that has been read: valid, typed and complete.
type settings struct {
	name             string // of the middleware
	mode             string
	stores           []*store // exactly one if the mode is learn or either
	proof            string
	identityHeader   string // empty: none
	identities       patterns
	limits           limits
	allowPrivate     bool
	sourceRange      *prefixSet
	address          addressReader
	direct           bool // whether address is that of the connection
	ipv6Subnet       int
	rejectStatusCode int
	stateFile        string         // empty: none
	redis            *redisSettings // nil: none
}

// An error isn't to fill the log: that is how many faults are told, and how many bytes of a key or a value.
const (
	maxFaults = 50
	maxQuoted = 100
)

// A reader reads texts, and collects the faults that it finds on the way.
type reader struct {
	faults []error // maxFaults, and one more for those after them
}

// parse reads config without changing it. Its error joins all faults, each with key, value and what is wanted.
func parse(config *Config) (*settings, error) {
	r := &reader{}
	r.unknown("", config.Unknown)
	r.unknown("ipStrategy.", config.IPStrategy.Unknown)
	s := &settings{mode: r.mode(config)}
	names := r.list("store", config.Store, "default")
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			r.fault("store", strings.Join(names, ","), "want each once")
			break
		}
	}
	if len(names) > 1 && (s.mode == modeLearn || s.mode == modeEither) {
		r.fault("store", strings.Join(names, ","), "want exactly one in mode %q", s.mode)
	}
	for _, text := range r.list("identities", config.Identities) {
		pattern, err := parsePattern(text)
		if err != nil {
			r.fault("identities", text, "%v", err)
		}
		s.identities = append(s.identities, pattern)
	}
	r.proof(config, s)
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
	s.stateFile = strings.TrimSpace(config.StateFile)
	if config.StateFile != "" && s.stateFile == "" {
		r.fault("stateFile", config.StateFile, "want a path")
	}
	s.redis = r.redis(config.Redis)
	if s.redis != nil && s.mode == modeStatus {
		r.fault("redis", "", "has no meaning in mode %q: it is for %s, %s, %s", s.mode, modeLearn, modeEnforce, modeEither)
	}
	if len(r.faults) > 0 {
		return nil, errors.Join(r.faults...)
	}
	for _, name := range names {
		s.stores = append(s.stores, openStore(name))
	}
	return s, nil
}

// fault tells what is wrong with the value of a key. It quotes the value, unless somebody may have put a secret there.
func (r *reader) fault(key, value, format string, args ...any) {
	why := fmt.Sprintf(format, args...)
	if mayHoldSecret(key) {
		r.refuse(key, why)
		return
	}
	r.refuse(key, fmt.Sprintf("invalid value %q: %s", shortened(value), why))
}

// refuse tells what is wrong with a key, whatever its value.
func (r *reader) refuse(key, why string) {
	switch {
	case len(r.faults) < maxFaults:
		r.faults = append(r.faults, errors.New(shortened(key)+": "+why))
	case len(r.faults) == maxFaults:
		r.faults = append(r.faults, errors.New("and more faults"))
	}
}

func shortened(text string) string {
	if len(text) > maxQuoted {
		return text[:maxQuoted] + "…"
	}
	return text
}

// mode also finds the options that the mode has no use for: who sets them expects something of them.
func (r *reader) mode(config *Config) string {
	learning := []string{modeLearn, modeEither}
	if !slices.Contains([]string{modeLearn, modeEnforce, modeEither, modeStatus}, config.Mode) {
		r.fault("mode", config.Mode, "want %q, %q, %q or %q", modeLearn, modeEnforce, modeEither, modeStatus)
		return shortened(config.Mode)
	}
	for _, option := range []struct {
		key, value string
		modes      []string
	}{
		{"proof", config.Proof, []string{modeLearn, modeEither, modeStatus}},
		{"identityHeader", headerName(config.IdentityHeader), []string{modeLearn, modeEither, modeStatus}},
		{"ttl", config.TTL, learning},
		{"maxIPs", config.MaxIPs, learning},
		{"maxIPsPerIdentity", config.MaxIPsPerIdentity, learning},
		{"allowPrivate", config.AllowPrivate, learning},
		{"stateFile", config.StateFile, learning},
		{"sourceRange", strings.Join(config.SourceRange, ","), []string{modeLearn, modeEnforce, modeEither}},
	} {
		if option.value != "" && !slices.Contains(option.modes, config.Mode) {
			r.fault(option.key, option.value, "has no meaning in mode %q: it is for %s", config.Mode, strings.Join(option.modes, ", "))
		}
	}
	return config.Mode
}

// proof reads what counts as proof, and whose it is.
func (r *reader) proof(config *Config, s *settings) {
	s.proof = strings.TrimSpace(config.Proof)
	s.identityHeader = strings.TrimSpace(config.IdentityHeader)
	if config.Proof == "" {
		s.proof = proofCertificate
	}
	if s.mode == modeEnforce {
		return // mode has found them already
	}
	switch s.proof {
	case proofCertificate, proofRequest:
	case proofResponse:
		if s.mode != modeLearn {
			r.fault("proof", config.Proof, "has no meaning in mode %q: it is for %s", s.mode, modeLearn)
		}
	default:
		r.fault("proof", config.Proof, "want %q, %q or %q", proofCertificate, proofRequest, proofResponse)
	}
	anonymous := s.identityHeader == "" && s.proof != proofCertificate
	header := headerName(config.IdentityHeader)
	switch {
	case config.IdentityHeader != "" && s.proof == proofCertificate:
		r.fault("identityHeader", header, "has no meaning with proof %q", proofCertificate)
	case strings.Trim(s.identityHeader, headerBytes) != "" || config.IdentityHeader != "" && s.identityHeader == "":
		r.fault("identityHeader", header, `want the name of a header, e.g. "X-Forwarded-User"`)
	case slices.Contains(secretHeaders, http.CanonicalHeaderKey(s.identityHeader)):
		r.fault("identityHeader", header, `want a header without secrets, e.g. "X-Forwarded-User": it is logged`)
	case anonymous && len(config.Identities) > 0:
		r.fault("identities", strings.Join(config.Identities, ","), "without identityHeader a request has no identity")
	case anonymous && s.mode == modeEither && s.proof == proofRequest:
		r.fault("proof", config.Proof, "without identityHeader mode %q would learn everybody: want identityHeader or mode %q", modeEither, modeLearn)
	}
}

// headerName returns what may be logged of a header's name: somebody may have put its value behind it.
func headerName(text string) string {
	name, value, _ := strings.Cut(text, ":")
	if strings.TrimSpace(value) != "" {
		return name
	}
	return text
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
		trimmed = append(trimmed, strings.TrimSpace(text))
	}
	if slices.Contains(trimmed, "") {
		r.fault(key, strings.Join(texts, ","), "want no empty parts")
	}
	return trimmed
}

func (r *reader) prefixes(key string, texts []string) *prefixSet {
	prefixes := []netip.Prefix{}
	for _, text := range r.list(key, texts) {
		prefix, err := parsePrefix(text)
		if errors.Is(err, errTranslated) {
			r.fault(key, text, "%v", err)
		} else if err != nil {
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
