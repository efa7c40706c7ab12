package browser

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chromedp/chromedp"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// Options says whom the browser trusts, who it is, and what it reaches.
type Options struct {
	Dir         string          // work directory; exists, is empty, is the caller's to remove after Close
	CA          *lab.CA         // whose server certificates are trusted; nil: none are
	Certificate tls.Certificate // for every server that asks for one; zero: none
	// Hosts are the hosts that exist, each with the loopback address and port that it leads to, whatever port a URL
	// names: "home.example" or "*.example" to "127.0.0.1:8443". All other hosts, addresses too, are not found.
	Hosts map[string]string
}

// prepare lays out the work directory and returns what to start Chromium with. Scratch is for its temporary files.
func (o Options) prepare(ctx context.Context, scratch string) ([]chromedp.ExecAllocatorOption, error) {
	rules, err := o.resolverRules()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	home, profile := filepath.Join(dir, "home"), filepath.Join(dir, "profile")
	if err := errors.Join(os.Mkdir(home, 0o700), os.Mkdir(profile, 0o700)); err != nil {
		return nil, fmt.Errorf("work directory: %w", err)
	}
	if err := writeProfile(profile); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	if err := o.writeCertificates(ctx, home); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	flag := chromedp.Flag
	return []chromedp.ExecAllocatorOption{
		// Nothing else of the environment: XDG_… would lead out of the work directory, http_proxy off the machine.
		chromedp.NoInheritEnv,
		chromedp.Env("HOME="+home, "TMPDIR="+scratch, "PATH="+os.Getenv("PATH")),
		chromedp.UserDataDir(profile),
		flag("headless", "new"),
		flag("no-sandbox", true), // it needs rights that root in a container lacks; the pages are the tests' own
		flag("disable-gpu", true),
		flag("disable-dev-shm-usage", true), // shared memory in scratch: what a killed process left has been seen in /dev/shm
		flag("host-resolver-rules", rules),
		flag("no-proxy-server", true), // a proxy would resolve the hosts itself
		flag("disable-quic", true),
		flag("disable-background-networking", true),
		flag("disable-component-update", true),
		flag("disable-sync", true),
		flag("disable-extensions", true),
		flag("disable-breakpad", true),
		flag("no-first-run", true),
		flag("password-store", "basic"), // rather than the desktop's
		flag("hide-scrollbars", true),   // so that a page is as wide as its view
		flag("force-color-profile", "srgb"),
	}, nil
}

// resolverRules returns Hosts as Chromium takes them. The first rule that fits a host decides, so a longer one, which
// is more particular, comes first, and a name before a pattern.
func (o Options) resolverRules() (string, error) {
	var rules strings.Builder
	hosts := slices.SortedFunc(maps.Keys(o.Hosts), func(a, b string) int {
		return cmp.Or(len(b)-len(a), strings.Compare(b, a))
	})
	for _, host := range hosts {
		target, err := netip.ParseAddrPort(o.Hosts[host])
		if err != nil || !target.Addr().IsLoopback() {
			return "", fmt.Errorf("host %s: invalid target %q: want a loopback address with a port, e.g. 127.0.0.1:8443", host, o.Hosts[host])
		}
		fmt.Fprintf(&rules, "MAP %s %s, ", host, target)
	}
	return rules.String() + "MAP * ~NOTFOUND", nil
}
