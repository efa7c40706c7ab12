// Package change is what happens to a grant, as memory, the state file and Redis hold it alike, with the one rule by which two
// changes merge, and its form as text. It applies nothing: the allowlist does.
package change

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"sort"
	"strconv"
	"strings"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// A Kind is what happened.
type Kind byte

// The kinds, as they are written.
const (
	Granted Kind = 'g' // a grant was learned or renewed
	Revoked Kind = 'r' // it was revoked, and proofs from before don't count
	Evicted Kind = 'e' // it had to make room
)

const (
	// MaxStamp is the year 5138, in milliseconds since 1970: nobody means a later time.
	MaxStamp = 100_000_000_000_000
	// MaxAhead is how far in the future a change may be, in milliseconds: another replica may have noticed first that Redis's
	// clock was set ahead.
	MaxAhead = 24 * 60 * 60 * 1000
)

// ErrInvalid says that a text is no change.
var ErrInvalid = errors.New("not a change")

// A Change is what happened to the grant of one identity for one IP. Times are in milliseconds since 1970.
type Change struct {
	Kind     Kind
	IP       netip.Prefix
	Identity identity.Identity
	Learned  int64 // when the identity was first seen at the IP
	Stamp    int64 // orders the changes of one grant: when it was last proved, revoked or evicted, or a little later
	Proved   int64 // when the last proof was given
	Expires  int64 // the first moment at which neither the grant nor its revocation matters any more

	// Minor says that the change only renews a grant whose last renewal was handed over less than a minute ago: what keeps
	// changes for long may leave it out. It isn't written.
	Minor bool
}

// Outweighs reports whether c holds rather than a change of the same grant with that stamp and kind: on every replica, in
// whatever order they come. Of two with the same stamp, a revocation or eviction holds.
func (c Change) Outweighs(stamp int64, kind Kind) bool {
	return c.Stamp > stamp || c.Stamp == stamp && c.Kind != Granted && kind == Granted
}

// Member returns which grant a change is of, in three words: the IP, the identity's name, and "-" with its fingerprint.
func (c Change) Member() string {
	return Member(c.IP, c.Identity)
}

// Member returns the words for the grant of an identity for an IP.
func Member(ip netip.Prefix, id identity.Identity) string {
	member := ip.String() + " " + url.QueryEscape(id.Name()) + " -"
	if len(id.Names) > 1 {
		member += url.QueryEscape(id.Fingerprint())
	}
	return member
}

// Rest returns what a change says besides Member, Stamp and Expires: kind, learned, proved, serial and all names but the
// fingerprint.
func (c Change) Rest() string {
	names := []string{}
	for i, name := range c.Identity.Names {
		if i == 0 || i < len(c.Identity.Names)-1 || c.Identity.Fingerprint() == "" {
			names = append(names, url.QueryEscape(name))
		}
	}
	return fmt.Sprintf("%c %d %d %s %s", c.Kind, c.Learned, c.Proved, url.QueryEscape("0"+c.Identity.Serial), strings.Join(names, ","))
}

// Line returns "<member> <stamp> <expires> <rest>", which Parse reads.
func (c Change) Line() string {
	return fmt.Sprintf("%s %d %d %s", c.Member(), c.Stamp, c.Expires, c.Rest())
}

// Shifted returns a change whose times are so many milliseconds later.
func (c Change) Shifted(by int64) Change {
	c.Learned += by
	c.Stamp += by
	c.Proved += by
	c.Expires += by
	return c
}

// SortLatestFirst puts changes in the order in which they are best applied: few have to make room on the way. It is stable.
func SortLatestFirst(changes []Change) {
	sort.SliceStable(changes, func(i, j int) bool { return changes[i].Stamp > changes[j].Stamp })
}

// Parse reads a line, as anybody may have written it. It fails with ErrInvalid.
func Parse(line string) (Change, error) {
	if len(line) > identity.MaxEntry {
		return Change{}, ErrInvalid
	}
	words := strings.Split(strings.Clone(line), " ") // what is kept of it isn't to keep all that was read with it
	if len(words) != 10 || len(words[5]) != 1 || strings.IndexByte("gre", words[5][0]) < 0 {
		return Change{}, ErrInvalid
	}
	c := Change{Kind: Kind(words[5][0])}
	ip, err := netip.ParsePrefix(words[0])
	if err != nil || ip != ip.Masked() || clientip.Canonical(ip.Addr()) != ip.Addr() || ip.Addr().Is4() && ip.Bits() != 32 || !clientip.IsUnicast(ip.Addr()) {
		return Change{}, ErrInvalid
	}
	c.IP = ip
	numbers := []int64{}
	for _, word := range []string{words[3], words[4], words[6], words[7]} {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || n < 0 || n > MaxStamp || Decimal(n) != word {
			return Change{}, ErrInvalid
		}
		numbers = append(numbers, n)
	}
	c.Stamp = numbers[0]
	c.Expires = numbers[1]
	c.Learned = numbers[2]
	c.Proved = numbers[3]
	serial, err := url.QueryUnescape(words[8])
	if err != nil || !strings.HasPrefix(serial, "0") || identity.CheckSerial(serial[1:]) != nil {
		return Change{}, ErrInvalid
	}
	c.Identity.Serial = serial[1:]
	for _, word := range strings.Split(words[9], ",") {
		name, err := url.QueryUnescape(word)
		if err != nil {
			return Change{}, ErrInvalid
		}
		c.Identity.Names = append(c.Identity.Names, name)
	}
	fingerprint, err := url.QueryUnescape(words[2])
	if err != nil {
		return Change{}, ErrInvalid
	}
	if len(fingerprint) > 1 {
		c.Identity.Names = append(c.Identity.Names, identity.ByFingerprint+fingerprint[1:])
	}
	if identity.CheckNames(c.Identity.Names) != nil || c.Member() != strings.Join(words[:3], " ") {
		return Change{}, ErrInvalid
	}
	return c, nil
}

// Decimal writes a number.
func Decimal(n int64) string {
	return strconv.FormatInt(n, 10)
}
