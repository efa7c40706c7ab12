package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/config"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

func TestOneProofOpensTheHiddenRouters(t *testing.T) {
	for _, row := range []struct {
		name, proof, same, other string
		http2                    bool
	}{
		{"IPv4 over HTTP/1.1", "203.0.113.7", "203.0.113.7", "203.0.113.8", false},
		{"IPv4 over HTTP/2", "203.0.113.9", "203.0.113.9", "203.0.113.10", true},
		{"IPv6 is its /64", "2001:db8:1:2::7", "2001:db8:1:2:ffff::1", "2001:db8:1:3::7", false},
		{"IPv6 over HTTP/2", "2001:db8:2:2::7", "2001:db8:2:2::8", "2001:db8:2:1::7", true},
		{"IPv4-mapped IPv6 is IPv4", "::ffff:203.0.113.11", "203.0.113.11", "203.0.113.12", false},
		{"IPv4 is its mapped IPv6", "203.0.113.13", "::ffff:203.0.113.13", "::ffff:203.0.113.14", false},
		{"a translated IPv4 address is IPv4", "64:ff9b::203.0.113.15", "203.0.113.15", "64:ff9b::203.0.113.16", false},
		{"IPv4 is its translated IPv6", "203.0.113.17", "64:ff9b::203.0.113.17", "64:ff9b::203.0.113.18", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := plain(nil, nil)
			h.live(t)
			at := func(from string, proof bool) *lab.Client {
				options := lab.ClientOptions{From: from, Target: home.traefik.Addr("websecure"), TLS: tlsConfig(nil), HTTP2: row.http2}
				if proof {
					options.TLS = tlsConfig(&home.Phone)
				}
				return keep(t, options)
			}
			check := func(when string, c *lab.Client, host, want string) {
				t.Helper()
				if got := status(c, host); got != want {
					t.Errorf("%s: %s: got %s, want %s", when, host, got, want)
				}
			}
			check("a stranger", at(row.same, false), "photos", "403")
			check("the proof", at(row.proof, true), "ha", "200")
			for _, host := range []string{"photos", "files"} {
				check("the next request", at(row.same, false), host, "200")
				check("another address", at(row.other, false), host, "403")
			}
			h.live(t)
			check("after a reload", at(row.same, false), "photos", "200")
			check("another address after a reload", at(row.other, false), "photos", "403")
		})
	}
}

func TestManyClientsAtOnceAreToldApart(t *testing.T) {
	plain(options{"maxIPs": 100}, nil).live(t)
	done := make(chan string, 40)
	for i := range 40 {
		from := []string{"198.51.100.", "2001:db8:5:"}[i%2]
		from += string(rune('1'+i/10)) + string(rune('0'+i%10))
		if i%2 == 1 {
			from += "::1"
		}
		go func() {
			proves := i < 20
			if proves {
				if got := status(client(t, from, &home.Phone), "ha"); got != "200" {
					done <- from + " got " + got + " for its proof"
					return
				}
			}
			want := map[bool]string{true: "200", false: "403"}[proves]
			if got := status(client(t, from, nil), "photos"); got != want {
				done <- from + " got " + got + ", want " + want
				return
			}
			done <- ""
		}()
	}
	for range 40 {
		if fault := <-done; fault != "" {
			t.Error(fault)
		}
	}
}

func TestARestartForgets(t *testing.T) {
	plain(nil, nil).live(t)
	walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}, step{"203.0.113.7", nil, "photos", "200"})
	if err := home.traefik.Restart(context.Background()); err != nil {
		t.Fatal(err)
	}
	walk(t,
		step{"203.0.113.7", nil, "photos", "403"},
		step{"203.0.113.7", &home.Phone, "ha", "200"},
		step{"203.0.113.7", nil, "photos", "200"},
	)
}

func TestEitherLearnsWithAProofAndEnforcesWithout(t *testing.T) {
	h := household{config.Site{
		Plugins: map[string]options{
			"either":  {"mode": "either", "identities": "cn:phone"},
			"enforce": {"mode": "enforce"},
		},
		Routes: []route{{Host: "ha", Middleware: "either", TLS: "ifgiven"}, {Host: "photos", Middleware: "enforce"}},
	}}
	h.live(t)
	tablet := issue(t, lab.Leaf{CommonName: "tablet"})
	walk(t,
		step{"203.0.113.7", nil, "ha", "403"},
		step{"203.0.113.7", &home.Phone, "ha", "200"},
		step{"203.0.113.7", nil, "ha", "200"},
		step{"203.0.113.7", nil, "photos", "200"},
		step{"203.0.113.7", tablet, "ha", "403"},
		step{"203.0.113.8", nil, "ha", "403"},
	)
}

func TestTheLearnedLineIsLoggedOnce(t *testing.T) {
	plain(nil, nil).live(t)
	for range 20 {
		walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
	}
	line := []string{"msg=learned", "middleware=learn@file", "store=" + storeOf(t, "default"), " ip=203.0.113.7 ", "identity=cn:phone", "fingerprint=" + fingerprint(home.Phone), "serial=" + serial(home.Phone)}
	if got := logged(t, "msg=learned", storeOf(t, "default")); got != 1 {
		t.Errorf("got %d learned lines, want 1", got)
	}
	for _, logged := range home.traefik.Log().Lines() {
		if strings.Contains(logged, "msg=learned") && strings.Contains(logged, "store="+storeOf(t, "default")+" ") {
			isDocumented(t, "docs/status.md", logged)
		}
	}
	if got := logged(t, line...); got != 1 {
		t.Errorf("got %d lines with all of %q, want 1", got, line)
	}
}

func TestPrivateAddressesAreNotLearnedAndTheLogSaysSoOnce(t *testing.T) {
	plain(nil, nil).live(t)
	for _, from := range []string{"192.168.1.5", "10.0.0.5", "172.16.0.5", "127.0.0.5", "169.254.0.5", "100.64.0.5", "::1", "fe80::5", "fd00::5", "64:ff9b::10.0.0.6", "64:ff9b:1::203.0.113.5"} {
		walk(t, step{from, nil, "photos", "403"}, step{from, &home.Phone, "ha", "200"}, step{from, nil, "photos", "403"})
	}
	if got := logged(t, "not learned", storeOf(t, "default"), "private address"); got != 1 {
		t.Errorf("got %d lines about it, want 1", got)
	}
	plain(options{"allowPrivate": true, "store": storeOf(t, "private")}, options{"store": storeOf(t, "private")}).live(t)
	walk(t, step{"192.168.1.5", &home.Phone, "ha", "200"}, step{"192.168.1.5", nil, "photos", "200"}, step{"192.168.1.6", nil, "photos", "403"})
}

func TestATeredoAddressIsNotLearnedAndTheLogSaysWhy(t *testing.T) {
	plain(options{"allowPrivate": true}, nil).live(t)
	const from, other = "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:0:4136:e378:8000:1111:1111:1111" // of one Teredo server
	walk(t, step{from, &home.Phone, "ha", "200"}, step{from, nil, "photos", "403"}, step{other, nil, "photos", "403"})
	if got := logged(t, "not learned", storeOf(t, "default"), "shared address: all clients of a Teredo server have the same subnet"); got != 1 {
		t.Errorf("got %d lines about it, want 1", got)
	}
}
