// Package change is what happens to a grant, as memory, the state file and Redis hold it alike, with the one rule by which two
// changes merge, and its form as text. It applies nothing: the allowlist does.
package change

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
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

	member string // as it was read; empty: it has to be made

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
	if c.member != "" {
		return c.member
	}
	return Member(c.IP, c.Identity)
}

// Member returns the words for the grant of an identity for an IP.
func Member(ip netip.Prefix, id identity.Identity) string {
	member := ip.String() + " " + url.PathEscape(id.Name()) + " -"
	if len(id.Names) > 1 {
		member += id.Fingerprint()
	}
	return member
}

// Rest returns what a change says besides Member, Stamp and Expires: kind, learned, proved, serial and all names but the
// fingerprint.
func (c Change) Rest() string {
	names := []string{}
	for i, name := range c.Identity.Names {
		if i == 0 || i < len(c.Identity.Names)-1 || c.Identity.Fingerprint() == "" {
			names = append(names, url.PathEscape(name))
		}
	}
	return fmt.Sprintf("%c %d %d %s %s", c.Kind, c.Learned, c.Proved, url.PathEscape("0"+c.Identity.Serial), strings.Join(names, ","))
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

// PortionSize is how many changes, or grants, are handled under one lock: no request waits for more of them.
const PortionSize = 50

// Portions calls handle for one portion after the other of so many, from the first up to, but without, the last.
func Portions(n int, handle func(first, last int)) {
	for first := 0; first < n; first += PortionSize {
		last := first + PortionSize
		if last > n {
			last = n
		}
		handle(first, last)
	}
}

// SortOldestFirst puts changes in the order in which a store without grants applies them fastest: each grant is the last to
// end, and the last that was proved.
func SortOldestFirst(changes []Change) {
	sorted := []Change{}
	for _, place := range byStamp(changes) {
		sorted = append(sorted, changes[place])
	}
	copy(changes, sorted)
}

// SortLatestFirst puts changes in the order in which a store that has grants of its own applies them fastest: each has its
// place close to the one applied before it, among the latest.
func SortLatestFirst(changes []Change) {
	places := byStamp(changes)
	sorted := []Change{}
	for i := len(places) - 1; i >= 0; i-- {
		sorted = append(sorted, changes[places[i]])
	}
	copy(changes, sorted)
}

// byStamp returns the places of changes, oldest first. It sorts texts: comparing in Yaegi would take ten times as long.
func byStamp(changes []Change) []int {
	texts := []string{}
	for i, c := range changes {
		texts = append(texts, fmt.Sprintf("%015d %09d", c.Stamp, i))
	}
	sort.Strings(texts)
	places := []int{}
	for _, text := range texts {
		place, _ := strconv.Atoi(text[len("000000000000000 "):])
		places = append(places, place)
	}
	return places
}

// form is that of a line: the member, which is the IP, the name and the fingerprint, the stamp, when it expires, the kind, when
// it was learned and proved, the serial behind a 0, and all names but the fingerprint. One call finds out what many would take
// long for in Yaegi.
var form = regexp.MustCompile(`^(([0-9a-f.:]+/[0-9]+) (\S+) -([0-9a-f]*)) (0|[1-9][0-9]{0,14}) (0|[1-9][0-9]{0,14}) ([gre]) (0|[1-9][0-9]{0,14}) (0|[1-9][0-9]{0,14}) 0([0-9a-f]*) (\S*)$`)

// Parse reads a line, as anybody may have written it. It fails with ErrInvalid.
func Parse(line string) (Change, error) {
	c := Change{}
	if !parse(&c, line) {
		return Change{}, ErrInvalid
	}
	return c, nil
}

func parse(c *Change, line string) bool {
	if len(line) > identity.MaxEntry {
		return false
	}
	words := form.FindStringSubmatch(strings.Clone(line)) // what is kept of it isn't to keep all that was read with it
	if words == nil {
		return false
	}
	ip, err := netip.ParsePrefix(words[2])
	if err != nil || !isClient(ip, words[2]) {
		return false
	}
	c.Kind = Kind(words[7][0])
	c.IP = ip
	c.member = words[1]
	c.Stamp, _ = strconv.ParseInt(words[5], 10, 64) // they are numbers by their form
	c.Expires, _ = strconv.ParseInt(words[6], 10, 64)
	c.Learned, _ = strconv.ParseInt(words[8], 10, 64)
	c.Proved, _ = strconv.ParseInt(words[9], 10, 64)
	if c.Stamp > MaxStamp || c.Expires > MaxStamp || c.Learned > MaxStamp || c.Proved > MaxStamp {
		return false
	}
	list := words[11]
	if words[4] != "" {
		list += "," + identity.ByFingerprint + words[4]
	}
	names := strings.Split(list, ",")
	if strings.Contains(list, "%") && !unescape(names) {
		return false
	}
	c.Identity.Names = names
	c.Identity.Serial = words[10]
	if len(words[10]) > identity.MaxSerial || url.PathEscape(names[0]) != words[3] || identity.CheckNames(names) != nil {
		return false
	}
	return words[4] != "" || len(names) == 1 || c.Identity.Fingerprint() == "" // else it stands among the names
}

// unescape reads names in place, and reports whether they can be.
func unescape(names []string) bool {
	for i, word := range names {
		name, err := url.PathUnescape(word)
		if err != nil {
			return false
		}
		names[i] = name
	}
	return true
}

// isClient reports whether a prefix is one that clients are learned as, and written as it should be.
func isClient(ip netip.Prefix, written string) bool {
	addr := ip.Addr()
	if addr.Is4() { // there is one way to write it
		return ip.Bits() == 32 && clientip.IsUnicast(addr)
	}
	return ip.String() == written && ip == ip.Masked() && clientip.Canonical(addr) == addr && clientip.IsUnicast(addr)
}

// Decimal writes a number.
func Decimal(n int64) string {
	return strconv.FormatInt(n, 10)
}
