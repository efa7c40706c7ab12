// Package clientip finds out which address a request comes from, and compares addresses in one canonical form: it reads them,
// says which may be learned, and holds sets of prefixes. It knows no grants.
package clientip

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ForwardedFor is the header in which proxies name the clients that they come from.
const ForwardedFor = "X-Forwarded-For"

var errNoAddress = errors.New("no usable client address")

// Reader returns the address a request comes from, in canonical form. It fails with errNoAddress.
type Reader func(req *http.Request) (netip.Addr, error)

// NewReader chooses as Traefik's ipStrategy does: depth, if positive, goes before excluded,
// and without either the address is that of the connection. X-Forwarded-For is only as good as the
// entry point's forwardedHeaders.trustedIPs: Traefik drops the header from everybody else. Its entries may have
// ports.
func NewReader(depth int, excluded *Set) Reader {
	switch {
	case depth > 0:
		return func(req *http.Request) (netip.Addr, error) {
			return ParseAddress(Host(forwardedAt(req.Header.Get(ForwardedFor), depth)))
		}
	case excluded.Len() > 0:
		return func(req *http.Request) (netip.Addr, error) {
			return ParseAddress(Host(lastNotIn(req.Header.Get(ForwardedFor), excluded)))
		}
	default:
		return func(req *http.Request) (netip.Addr, error) {
			addrPort, err := netip.ParseAddrPort(req.RemoteAddr) // one call in nearly all cases
			if err != nil {
				return ParseAddress(Host(req.RemoteAddr))
			}
			return Canonical(addrPort.Addr()), nil
		}
	}
}

// Host returns the host part of "host:port", and anything else as it is.
func Host(text string) string {
	host, _, err := net.SplitHostPort(text)
	if err != nil {
		return text
	}
	return host
}

// forwardedAt returns the entry at depth, counted from the right and from one; empty if there are fewer.
func forwardedAt(header string, depth int) string {
	entries := strings.Split(header, ",")
	if len(entries) < depth {
		return ""
	}
	return strings.TrimSpace(entries[len(entries)-depth])
}

// lastNotIn returns the rightmost entry that is not in excluded; empty if there is none. A port doesn't count here
// either: ipAllowList compares with it, finds no excluded entry, and takes a proxy that writes ports for the client.
// An entry that is no address is in no set: what stands left of it was written by somebody whom nobody vouches for.
func lastNotIn(header string, excluded *Set) string {
	entries := strings.Split(header, ",")
	for i := len(entries) - 1; i >= 0; i-- {
		entry := strings.TrimSpace(entries[i])
		if entry == "" {
			continue
		}
		addr, err := ParseAddress(Host(entry))
		if err != nil || !excluded.Contains(addr) {
			return entry
		}
	}
	return ""
}

// ParseAddress reads an IP, and makes what is mapped or translated into IPv6 IPv4. It fails without one that can be a client's.
func ParseAddress(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, errNoAddress
	}
	return Canonical(addr), nil
}

// translated is where translators (NAT64, SIIT) put all of IPv4: an address in it ends with the IPv4 address that it stands
// for (RFC 6052). As IPv6, everybody whose address is translated would be in one and the same subnet.
var translated = netip.MustParsePrefix("64:ff9b::/96")

// Canonical returns addr in the one form in which addresses are compared: an IPv4 address that is mapped or translated
// into IPv6 is that IPv4 address, and there is no zone.
func Canonical(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if translated.Contains(addr) {
		bytes := addr.As16()
		addr, _ = netip.AddrFromSlice(bytes[12:]) // four bytes always are an address
	}
	return addr
}

// Prefix returns what a client is learned and matched as: an IPv4 address alone,
// an IPv6 address with all of its subnet of ipv6Subnet bits (1 to 128).
func Prefix(addr netip.Addr, ipv6Subnet int) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = ipv6Subnet
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // the zero prefix: no address is in it, and no grant has it
	}
	return prefix
}

var (
	// cgnat is the address space that carriers share among their customers (RFC 6598).
	cgnat = netip.MustParsePrefix("100.64.0.0/10")
	// translatedHere is where a network's own translators put IPv4 addresses, in whatever way (RFC 8215).
	translatedHere = netip.MustParsePrefix("64:ff9b:1::/48")
	// teredo is where all clients of a Teredo server have the same subnet of 64 bits (RFC 4380).
	teredo = netip.MustParsePrefix("2001::/32")
)

// IsPublic reports whether addr can belong to one client on the internet. Loopback, private (RFC 1918,
// RFC 4193), link-local, shared and locally translated addresses are those of a gateway or of a whole network.
func IsPublic(addr netip.Addr) bool {
	if !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return false
	}
	if addr.Is4() {
		return !cgnat.Contains(addr)
	}
	return !translatedHere.Contains(addr)
}

// IsUnicast reports whether addr can be a client's at all.
func IsUnicast(addr netip.Addr) bool {
	return addr.IsGlobalUnicast() || addr.IsValid() && !addr.IsUnspecified() && !addr.IsMulticast() // one call for nearly all
}
