// Package mtlsallowlist is a Traefik middleware plugin that lets apps in which can't send a TLS client
// certificate, from wherever an app has just sent one.
//
// A middleware in mode learn stands on a router with mutual TLS. It lets in whoever has a verified client
// certificate, and puts the address of that client onto an allowlist. Middlewares in mode enforce stand on
// other routers, and let in the addresses on that list. What is learned holds with the next request.
//
// It is not a login. An address is shared by everybody behind the same router or carrier, so the services
// keep their own logins. It issues and revokes no certificates, asks for none (that is Traefik's
// tls.options), and believes no header but X-Forwarded-For, and that one only if ipStrategy says so.
package mtlsallowlist

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
)

// Config holds a middleware's options. Traefik fills it from any of its providers.
//
// Numbers, durations and switches stay text until New reads them: so that labels ("4") and YAML (4) come out
// the same, that Traefik's weak decoding doesn't round 4.7 or take "" for 0, and that all faults are
// reported together. An empty field means the default.
type Config struct {
	// Mode is "learn", "enforce", "either" (learn with a proof, else enforce) or "status" (answer with a page that
	// shows and revokes grants). Required.
	Mode string

	// Store names the store, any text. Default: "default". In mode enforce there may be several, and a
	// grant in one of them is enough; in mode status, all are shown.
	Store []string

	// Proof is what counts as proof: "certificate", a verified client certificate; "request", every request that gets this
	// far, so a login must stand before; "response", in mode learn only, a request that the service answers with 2xx.
	// Default: "certificate". Not in mode enforce.
	Proof string

	// IdentityHeader is, with proof "request" or "response", the header that an earlier middleware sets to the user:
	// whoever lacks it has given no proof, and the identity is "header:" and its value. Default: none, and all share one
	// identity. Not in mode enforce.
	IdentityHeader string

	// Identities are patterns of who may be learned or see the status page or, in mode enforce, whose grants count: "kind:value" with
	// the kinds cn, dns, email, uri, sha256 and header; a "*" at the end or the start of value stands for the
	// rest. Default: everybody.
	Identities []string

	// TTL is how long a grant lasts after its last proof: a positive duration ("90s", "24h") or a number of
	// seconds ("3600"). Default: "24h". Not in mode enforce.
	TTL string

	// MaxIPs is how many IPs the store holds, at least 1; the one whose last proof is oldest goes first.
	// Default: 10. Not in mode enforce.
	MaxIPs string

	// MaxIPsPerIdentity is how many IPs one identity holds; its least recently proved one goes first.
	// Default: 0, no limit of its own. Not in mode enforce.
	MaxIPsPerIdentity string

	// AllowPrivate is whether loopback, private, link-local, CGNAT and locally translated (64:ff9b:1::/48) addresses
	// may be learned.
	// Default: false. Not in mode enforce.
	AllowPrivate string

	// SourceRange are CIDRs or IPs that are always let in. A learner asks them for a proof all the same, but
	// spends no grant on them. Default: none.
	SourceRange []string

	// IPStrategy tells which address counts. Default: that of the connection.
	IPStrategy IPStrategy

	// RejectStatusCode is the HTTP status of a rejection, 400 to 599. With 404 the answer is Traefik's own to
	// a host that it doesn't know. Default: 403.
	RejectStatusCode string

	// StateFile is the path of the file that keeps the store across restarts; its folder must exist. A store has one
	// file, a file one store. Default: none. Only in the modes learn and either.
	StateFile string

	// Redis shares the store between the replicas of Traefik. All middlewares of a store that have it have the same.
	// Default: none. Not in mode status.
	Redis *Redis

	// Unknown takes the keys that are no option, so that New can refuse them.
	Unknown map[string]any `mapstructure:",remain"`
}

// IPStrategy tells which address a request comes from, like that of Traefik's ipAllowList.
type IPStrategy struct {
	// Depth takes the entry of X-Forwarded-For at this position from the right, from 1; it goes before
	// ExcludedIPs. Default: 0, not used.
	Depth string

	// ExcludedIPs are CIDRs or IPs; the rightmost entry of X-Forwarded-For outside them counts.
	// Default: none, not used.
	ExcludedIPs []string

	// IPv6Subnet is the length in bits, 1 to 128, of the prefix that stands for an IPv6 client. All
	// middlewares of a store need the same. Default: 64.
	IPv6Subnet string

	// Unknown takes the keys that are no option, so that New can refuse them.
	Unknown map[string]any `mapstructure:",remain"`
}

// CreateConfig returns the configuration with every option at its default. Traefik calls it.
func CreateConfig() *Config {
	return &Config{}
}

// New makes a middleware named name in front of next. Traefik calls it for each router and reload, and cancels ctx
// at the next reload. Its error names all faults of config; Traefik then takes the router down, so that nothing opens.
func New(ctx context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	return newHandler(ctx, next, config, name, clocks.Clock{Now: time.Now, Since: time.Since}, slog.New(slog.NewTextHandler(os.Stdout, nil)))
}

func newHandler(ctx context.Context, next http.Handler, config *Config, name string, clock clocks.Clock, log *slog.Logger) (http.Handler, error) {
	s, err := parse(config)
	if err != nil {
		return nil, fmt.Errorf("mtlsallowlist: middleware %q: %w", name, err)
	}
	s.name = name
	if err := claimRedis(ctx, s); err != nil {
		return nil, fmt.Errorf("mtlsallowlist: middleware %q: %w", name, err)
	}
	log = log.With("middleware", name)
	var unproven http.Handler
	switch s.mode {
	case modeEnforce:
		share(ctx, s, clock, log)
		return newEnforcer(*s, next, clock).handler(), nil
	case modeStatus:
		return newStatus(*s, clock, log), nil
	case modeEither:
		unproven = newEnforcer(*s, next, clock).handler()
	}
	reports := reporter{log: log, store: s.stores[0]}
	if s.stateFile != "" {
		if err := openStateFile(ctx, reports, s, clock.Read()); err != nil {
			return nil, fmt.Errorf("mtlsallowlist: middleware %q: stateFile: invalid value %q: %w", name, s.stateFile, err)
		}
	}
	learner := newLearner(*s, next, unproven, clock, reports)
	share(ctx, s, clock, log) // by the learner's terms, and with what the state file had
	return learner.handler(), nil
}

// share has the stores shared, if they are to be.
func share(ctx context.Context, s *settings, clock clocks.Clock, log *slog.Logger) {
	if s.redis == nil {
		return
	}
	for _, store := range s.stores {
		replicate(ctx, store, s.redis, clock, log)
	}
}
