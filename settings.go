package mtlsallowlist

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/option"
	"github.com/mtlsallowlist/mtlsallowlist/internal/proof"
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

// options lists the keys that Config and IPStrategy know.
var options = []string{
	"mode", "store", "proof", "identityHeader", "identities", "ttl", "maxIPs", "maxIPsPerIdentity", "allowPrivate", "sourceRange",
	"ipStrategy.depth", "ipStrategy.excludedIPs", "ipStrategy.ipv6Subnet", "rejectStatusCode",
	"stateFile",
	"redis.endpoints", "redis.username", "redis.password", "redis.passwordFile", "redis.passwordEnv", "redis.db",
	"redis.tls.ca", "redis.tls.cert", "redis.tls.key", "redis.tls.insecureSkipVerify",
	"redis.readTimeout", "redis.writeTimeout", "redis.dialTimeout",
}

// settings are a Config that has been read: valid, typed and complete.
type settings struct {
	name             string // of the middleware
	mode             string
	stores           []*store // exactly one if the mode is learn or either
	proof            string
	identityHeader   string // empty: none
	identities       identity.Patterns
	limits           limits
	allowPrivate     bool
	sourceRange      *clientip.Set
	address          clientip.Reader
	direct           bool // whether address is that of the connection
	ipv6Subnet       int
	rejectStatusCode int
	stateFile        string         // empty: none
	redis            *redisSettings // nil: none
}

// parse reads config without changing it. Its error joins all faults, each with key, value and what is wanted.
func parse(config *Config) (*settings, error) {
	r := option.New(options)
	readUnknown(r, config)
	s := &settings{mode: readMode(r, config)}
	names := r.List("store", config.Store, "default")
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			r.Fault("store", strings.Join(names, ","), "want each once")
			break
		}
	}
	if len(names) > 1 && (s.mode == modeLearn || s.mode == modeEither) {
		r.Fault("store", strings.Join(names, ","), "want exactly one in mode %q", s.mode)
	}
	for _, text := range r.List("identities", config.Identities) {
		pattern, err := identity.ParsePattern(text)
		if err != nil {
			r.Fault("identities", text, "%v", err)
		}
		s.identities = append(s.identities, pattern)
	}
	readProof(r, config, s)
	s.limits = limits{
		ttl:               r.Duration("ttl", config.TTL, 24*time.Hour),
		maxIPs:            r.Number("maxIPs", config.MaxIPs, 10, 1, 1<<31-1),
		maxIPsPerIdentity: r.Number("maxIPsPerIdentity", config.MaxIPsPerIdentity, 0, 0, 1<<31-1),
	}
	s.allowPrivate = r.Flag("allowPrivate", config.AllowPrivate)
	s.sourceRange = r.Prefixes("sourceRange", config.SourceRange)
	depth := r.Number("ipStrategy.depth", config.IPStrategy.Depth, 0, 0, 1<<31-1)
	excluded := r.Prefixes("ipStrategy.excludedIPs", config.IPStrategy.ExcludedIPs)
	s.address = clientip.NewReader(depth, excluded)
	s.direct = depth == 0 && excluded.Len() == 0
	s.ipv6Subnet = r.Number("ipStrategy.ipv6Subnet", config.IPStrategy.IPv6Subnet, 64, 1, 128)
	s.rejectStatusCode = r.Number("rejectStatusCode", config.RejectStatusCode, http.StatusForbidden, 400, 599)
	s.stateFile = strings.TrimSpace(config.StateFile)
	if config.StateFile != "" && s.stateFile == "" {
		r.Fault("stateFile", config.StateFile, "want a path")
	}
	s.redis = readRedis(r, config.Redis)
	if s.redis != nil && s.mode == modeStatus {
		r.Fault("redis", "", "has no meaning in mode %q: it is for %s, %s, %s", s.mode, modeLearn, modeEnforce, modeEither)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	for _, name := range names {
		s.stores = append(s.stores, openStore(name))
	}
	return s, nil
}

// readUnknown finds the keys that are no option. That comes first: the option that such a key was meant for is missing, which is
// another fault only because of this one.
func readUnknown(r *option.Reader, config *Config) {
	r.Unknown("", config.Unknown)
	r.Unknown("ipStrategy.", config.IPStrategy.Unknown)
	if config.Redis == nil {
		return
	}
	r.Unknown("redis.", unpooled(r, config.Redis.Unknown))
	if config.Redis.TLS != nil {
		r.Unknown("redis.tls.", config.Redis.TLS.Unknown)
	}
}

// readMode also finds the options that the mode has no use for: who sets them expects something of them.
func readMode(r *option.Reader, config *Config) string {
	learning := []string{modeLearn, modeEither}
	if !slices.Contains([]string{modeLearn, modeEnforce, modeEither, modeStatus}, config.Mode) {
		r.Fault("mode", config.Mode, "want %q, %q, %q or %q", modeLearn, modeEnforce, modeEither, modeStatus)
		return option.Shortened(config.Mode)
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
			r.Fault(option.key, option.value, "has no meaning in mode %q: it is for %s", config.Mode, strings.Join(option.modes, ", "))
		}
	}
	return config.Mode
}

// readProof reads what counts as proof, and whose it is.
func readProof(r *option.Reader, config *Config, s *settings) {
	s.proof = strings.TrimSpace(config.Proof)
	s.identityHeader = strings.TrimSpace(config.IdentityHeader)
	if config.Proof == "" {
		s.proof = proof.Certificate
	}
	if s.mode == modeEnforce {
		return // readMode has found them already
	}
	switch s.proof {
	case proof.Certificate, proof.Request:
	case proof.Response:
		if s.mode != modeLearn {
			r.Fault("proof", config.Proof, "has no meaning in mode %q: it is for %s", s.mode, modeLearn)
		}
	default:
		r.Fault("proof", config.Proof, "want %q, %q or %q", proof.Certificate, proof.Request, proof.Response)
	}
	anonymous := s.identityHeader == "" && s.proof != proof.Certificate
	header := headerName(config.IdentityHeader)
	switch {
	case config.IdentityHeader != "" && s.proof == proof.Certificate:
		r.Fault("identityHeader", header, "has no meaning with proof %q", proof.Certificate)
	case strings.Trim(s.identityHeader, headerBytes) != "" || config.IdentityHeader != "" && s.identityHeader == "":
		r.Fault("identityHeader", header, `want the name of a header, e.g. "X-Forwarded-User"`)
	case slices.Contains(secretHeaders, http.CanonicalHeaderKey(s.identityHeader)):
		r.Fault("identityHeader", header, `want a header without secrets, e.g. "X-Forwarded-User": it is logged`)
	case anonymous && len(config.Identities) > 0:
		r.Fault("identities", strings.Join(config.Identities, ","), "without identityHeader a request has no identity")
	case anonymous && s.mode == modeEither && s.proof == proof.Request:
		r.Fault("proof", config.Proof, "without identityHeader mode %q would learn everybody: want identityHeader or mode %q", modeEither, modeLearn)
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
