package e2e

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// startRelayed runs the example "vps" but for nginx. The VPS is 127.0.0.1.
func startRelayed(t *testing.T) *outpost {
	t.Helper()
	return startExample(t, "vps", "10.8.0.1/32", "127.0.0.1/32")
}

// relay runs nginx as on the VPS, and returns both addresses that it listens at.
func relay(t *testing.T, traefik string) []string {
	t.Helper()
	addresses := check.Must(lab.FreeAddresses(2))(t)
	// The test's alone: by these two directives nginx takes the clients' public addresses, which they can't have here,
	// from a PROXY header, as those of their connections.
	const announced = " proxy_protocol;\n        set_real_ip_from 127.0.0.1;"
	runNginx(t, replaced(t, exampleFile(t, "vps/nginx.conf"),
		"pid /run/nginx.pid;", "pid "+filepath.Join(t.TempDir(), "nginx.pid")+";",
		"error_log /var/log/nginx/error.log;", "error_log stderr;",
		"10.8.0.2:443;", traefik+";",
		"listen 443;", "listen "+addresses[0]+announced,
		"listen [::]:443;", "listen "+addresses[1]+" proxy_protocol;", // IPv4 as well: not every machine has IPv6
	), addresses...)
	return addresses
}

func TestBehindARelayThatPassesTLSThrough(t *testing.T) {
	o := startRelayed(t)
	traefik := o.Addr("websecure")
	nginx := relay(t, traefik)
	const phone, stranger = "203.0.113.7", "198.51.100.66"
	walk(t,
		visit{"before any proof", "", phone, nginx[0], nil, "photos", nil, "404"},
		visit{"without a certificate", "", phone, nginx[0], nil, "home", nil, "certificate required"},
		visit{"no connection has let it in", "", phone, nginx[0], nil, "photos", nil, "404"},
		visit{"the proof", "", phone, nginx[0], &home.Phone, "home", nil, "200"},
		visit{"the next request", "", phone, nginx[0], nil, "photos", nil, "200"},
		visit{"at nginx's other address", "", phone, nginx[1], nil, "photos", nil, "200"},
		visit{"a stranger", "", stranger, nginx[0], nil, "photos", nil, "404"},
		visit{"the proof over IPv6", "", "2001:db8:1:2::7", nginx[0], &home.Phone, "home", nil, "200"},
		visit{"the same network", "", "2001:db8:1:2::8", nginx[0], nil, "photos", nil, "200"},
		visit{"another network", "", "2001:db8:1:3::7", nginx[0], nil, "photos", nil, "404"},
		visit{"the VPS itself", "", "", traefik, nil, "photos", nil, "404"},

		// What follows comes past nginx. Traefik reads a PROXY header from whomever, but doesn't believe it.
		visit{"a forged address", "127.0.0.2", phone, traefik, nil, "photos", nil, "404"},
		visit{"a forged address with a certificate", "127.0.0.2", "203.0.113.99", traefik, &home.Phone, "home", nil, "200"},
		visit{"the address that was forged", "", "203.0.113.99", nginx[0], nil, "photos", nil, "404"},
		visit{"who forged it", "127.0.0.2", "", traefik, nil, "photos", nil, "404"},

		visit{"a host of Traefik's that nginx doesn't know", "", phone, nginx[0], nil, "other", nil, "no answer"},
		visit{"the same past nginx", "", phone, traefik, nil, "other", nil, "404"},
	)
	if got, want := o.learned(t), []string{phone, "2001:db8:1:2::/64"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got learned %v, want %v", got, want)
	}
}

// TestARelayPassesNoHeaderOfTheClientsOn is about a client that writes a PROXY header itself, as the first bytes that it
// sends to nginx.
func TestARelayPassesNoHeaderOfTheClientsOn(t *testing.T) {
	o := startRelayed(t)
	nginx := relay(t, o.Addr("websecure"))[0]
	const phone, stranger = "203.0.113.7", "198.51.100.66"
	walk(t, visit{"the proof", "", phone, nginx, &home.Phone, "home", nil, "200"})
	for _, row := range []struct {
		name   string
		forged []string
		want   string
	}{
		{"no header", nil, ""},
		{"one", []string{phone}, "no handshake"},
		{"two", []string{phone, phone}, "no handshake"},
	} {
		conn := check.Must(net.Dial("tcp", nginx))(t)
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for _, address := range append([]string{stranger}, row.forged...) { // the first is the test's
			if _, err := lab.ProxyHeader(netip.MustParseAddr(address)).WriteTo(conn); err != nil {
				t.Fatal(err)
			}
		}
		config := tlsConfig(nil)
		config.ServerName = "photos.example.com"
		got := ""
		if err := tls.Client(conn, config).Handshake(); err != nil {
			got = "no handshake"
		}
		if got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

// TestBehindARelayThatHidesAddresses is about what Docker's user-land proxy does, and socat: everybody who comes has the
// relay's address.
func TestBehindARelayThatHidesAddresses(t *testing.T) {
	for _, row := range []struct{ name, relay string }{
		{"whose PROXY headers would be believed", "127.0.0.1"},
		{"whom nobody knows", "127.0.0.2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := startRelayed(t)
			addresses := check.Must(lab.FreeAddresses(1))(t)
			listen := "TCP-LISTEN:" + addresses[0][strings.LastIndex(addresses[0], ":")+1:] + ",bind=127.0.0.1,reuseaddr,fork"
			runProgram(t, "socat", addresses, "socat", listen, "TCP:"+o.Addr("websecure")+",bind="+row.relay)
			walk(t,
				visit{"with a certificate", "127.0.0.7", "", addresses[0], &home.Phone, "home", nil, "200"},
				visit{"the same client without", "127.0.0.7", "", addresses[0], nil, "photos", nil, "404"},
				visit{"a stranger", "127.0.0.8", "", addresses[0], nil, "photos", nil, "404"},
			)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			line := check.Must(o.Log().Wait(ctx, `msg="not learned"`, " ip="+row.relay+" ", "identity=cn:phone"))(t)
			isDocumented(t, "docs/proxies.md", line)
			if got := o.learned(t); len(got) != 0 {
				t.Errorf("got learned %v, want none", got)
			}
		})
	}
}
