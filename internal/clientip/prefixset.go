package clientip

import (
	"errors"
	"net/netip"
	"strings"
)

// A Set is a set of IP prefixes that doesn't change once made: the CIDRs behind sourceRange and
// excludedIPs. A look-up costs one map access per distinct prefix length, however many prefixes there are.
// The zero value is empty. It is safe for concurrent use.
type Set struct {
	prefixes map[netip.Prefix]bool
	bits4    []int // the distinct lengths of its IPv4 prefixes
	bits6    []int // the same for IPv6
}

// ErrTranslated is ParsePrefix's error about IPv4 prefixes that are written as IPv6.
var ErrTranslated = errors.New("an address in 64:ff9b::/96 counts as the IPv4 address in it: want 0.0.0.0/0 or a longer prefix")

// ParsePrefix reads a CIDR or an IP. What is mapped or translated into IPv6 becomes IPv4, host bits are dropped. All of the
// translated addresses at once are refused with ErrTranslated: whoever means their own network by it would let in all of
// IPv4.
func ParsePrefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := ParseAddress(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	addr, bits := prefix.Addr(), prefix.Bits()
	if translated.Contains(addr) && bits <= 96 {
		return netip.Prefix{}, ErrTranslated
	}
	if plain := Canonical(addr); plain != addr {
		addr = plain // two statements: Yaegi gets the tuple wrong
		bits -= 96
	}
	if bits < 0 {
		return netip.Prefix{}, errors.New("an IPv4-mapped prefix is at least 96 bits long")
	}
	return netip.PrefixFrom(addr, bits).Masked(), nil
}

// NewSet returns the set of some prefixes, as ParsePrefix returns them.
func NewSet(prefixes []netip.Prefix) *Set {
	s := &Set{prefixes: map[netip.Prefix]bool{}}
	lengths4, lengths6 := map[int]bool{}, map[int]bool{}
	for _, prefix := range prefixes {
		s.prefixes[prefix] = true
		bits := prefix.Bits()
		switch {
		case prefix.Addr().Is4() && !lengths4[bits]:
			lengths4[bits] = true
			s.bits4 = append(s.bits4, bits)
		case prefix.Addr().Is6() && !lengths6[bits]:
			lengths6[bits] = true
			s.bits6 = append(s.bits6, bits)
		}
	}
	return s
}

// Len returns how many prefixes are in the set.
func (s *Set) Len() int {
	return len(s.prefixes)
}

// Contains reports whether addr, in canonical form, is in one of the prefixes.
func (s *Set) Contains(addr netip.Addr) bool {
	lengths := s.bits6
	if addr.Is4() {
		lengths = s.bits4
	}
	for _, bits := range lengths {
		prefix, err := addr.Prefix(bits)
		if err == nil && s.prefixes[prefix] {
			return true
		}
	}
	return false
}
