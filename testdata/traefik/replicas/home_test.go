// Package replicas tests what several Traefiks share through a real Redis: each is a process of its own with the plugin,
// and clients come from public addresses, which they announce by the PROXY protocol.
package replicas

import (
	"context"
	"fmt"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// home is what all Traefiks share.
var home struct {
	*lab.Home
	service *lab.Backend
}

func TestMain(m *testing.M) {
	check.Main(func() (int, error) { return runAtHome(m) })
}

func runAtHome(m *testing.M) (code int, err error) {
	if home.Home, err = lab.NewHome(context.Background()); err != nil {
		return 0, err
	}
	defer home.Close()
	if home.service, err = lab.StartBackend("service"); err != nil {
		return 0, err
	}
	defer home.service.Close()
	return m.Run(), nil
}

// address returns one of as many public addresses as one likes, and what it is learned as.
func address(n int) (from, prefix string) {
	if n%2 == 0 {
		from = fmt.Sprintf("5.%d.%d.%d", n>>16&255, n>>8&255, n&255)
		return from, from + "/32"
	}
	return fmt.Sprintf("2a00:%x:%x:1::7", n>>16+1, n&0xffff), fmt.Sprintf("2a00:%x:%x:1::/64", n>>16+1, n&0xffff)
}
