package hosted

import (
	"testing"

	"github.com/go-acme/lego/v5/providers/dns"
)

// The demo says so.
func TestTheTraefikUnderTestHasNoDNSProviders(t *testing.T) {
	_, err := dns.NewDNSChallengeProviderByName("cloudflare")
	const want = `DNS provider "cloudflare": this Traefik was built for tests, without DNS providers`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}
