// Package replicas tests what several Traefiks share through a real Redis: each is a process of its own with the plugin,
// and clients come from public addresses, which they announce by the PROXY protocol.
package replicas

import (
	"context"
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
