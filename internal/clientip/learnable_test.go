package clientip

import (
	"errors"
	"net/netip"
	"testing"
)

func TestWhichAddressesAreLearned(t *testing.T) {
	for _, row := range []struct {
		name, addr    string
		want, private error // private: if private addresses are allowed
	}{
		{"IPv4", "203.0.113.7", nil, nil},
		{"IPv6", "2001:db8::7", nil, nil},
		{"a private one", "192.168.0.7", errPrivate, nil},
		{"this machine", "127.0.0.1", errPrivate, nil},
		{"one of a carrier's many customers", "100.64.0.1", errPrivate, nil},
		{"one translated by the network", "64:ff9b:1::7", errPrivate, nil},
		{"a Teredo client", "2001:0:cb00:7107::1", errTeredo, errTeredo},
		{"the first beyond Teredo", "2001:1::1", nil, nil},
		{"many", "224.0.0.1", errNoAddress, errNoAddress},
		{"nobody", "::", errNoAddress, errNoAddress},
	} {
		addr := netip.MustParseAddr(row.addr)
		if err := CheckLearnable(addr, false); !errors.Is(err, row.want) {
			t.Errorf("%s: got %v, want %v", row.name, err, row.want)
		}
		if err := CheckLearnable(addr, true); !errors.Is(err, row.private) {
			t.Errorf("%s, private ones allowed: got %v, want %v", row.name, err, row.private)
		}
	}
	if err := CheckLearnable(netip.Addr{}, true); !errors.Is(err, errNoAddress) {
		t.Errorf("none: got %v", err)
	}
}
