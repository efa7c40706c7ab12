package mtlsallowlist

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"sort"
	"strconv"
	"strings"
)

// What an entry is about.
const (
	entryGrant   = 'g' // a grant holds
	entryRevoked = 'r' // it was revoked, and proofs from before don't count
	entryEvicted = 'e' // it had to make room
)

// maxNames is how many names an identity of another replica may have: URIs, CN, DNS names, e-mail addresses, fingerprint.
const maxNames = 1000

var errEntry = errors.New("no entry")

// An entry is what the replicas tell each other about the grant of one identity for one IP. Of two about the same grant
// the one with the later stamp holds, on every replica, in whatever order they come; of two with the same, a revocation.
// Times are in milliseconds since 1970 by Redis's clock.
type entry struct {
	kind     byte
	ip       netip.Prefix
	identity identity
	learned  int64
	stamp    int64 // when it was last proved, revoked or evicted
	expires  int64 // the first moment at which neither the grant nor its revocation matters any more
}

// member is what an entry is about, in one word each: the IP, and the identity's name.
func (e entry) member() string {
	return member(e.ip, e.identity.name())
}

func member(ip netip.Prefix, name string) string {
	return ip.String() + " " + url.QueryEscape(name)
}

// rest is what an entry says besides member, stamp and expires: kind, learned, serial and all names.
func (e entry) rest() string {
	names := []string{}
	for _, name := range e.identity.names {
		names = append(names, url.QueryEscape(name))
	}
	return fmt.Sprintf("%c %d %s %s", e.kind, e.learned, url.QueryEscape("0"+e.identity.serial), strings.Join(names, ","))
}

// outweighs reports whether e holds rather than other, which is about the same grant.
func (e entry) outweighs(other entry) bool {
	return e.stamp > other.stamp || e.stamp == other.stamp && e.kind != entryGrant && other.kind == entryGrant
}

// sortLatestFirst puts entries in the order in which a store best takes them over: what makes no room is there before
// what has to.
func sortLatestFirst(entries []entry) {
	sort.Slice(entries, func(i, j int) bool { return entries[i].stamp > entries[j].stamp })
}

// parseEntry reads "<ip> <name> <stamp> <expires> <rest>", as anybody may have written it.
func parseEntry(line string) (entry, error) {
	words := strings.Split(strings.Clone(line), " ") // what is kept of it isn't to keep all that was read with it
	if len(words) != 8 || len(words[4]) != 1 {
		return entry{}, errEntry
	}
	e := entry{kind: words[4][0]}
	ip, err := netip.ParsePrefix(words[0])
	if err != nil || ip != ip.Masked() || ip.Addr().Is4In6() || ip.Addr().Is4() && ip.Bits() != 32 || !isUnicast(ip.Addr()) {
		return entry{}, errEntry
	}
	e.ip = ip
	numbers := []int64{}
	for _, word := range []string{words[2], words[3], words[5]} {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || n < 0 || n > maxStamp || decimal(n) != word {
			return entry{}, errEntry
		}
		numbers = append(numbers, n)
	}
	e.stamp = numbers[0]
	e.expires = numbers[1]
	e.learned = numbers[2]
	serial, err := url.QueryUnescape(words[6])
	if err != nil || !strings.HasPrefix(serial, "0") {
		return entry{}, errEntry
	}
	e.identity.serial = serial[1:]
	names := strings.Split(words[7], ",")
	if len(names) > maxNames || strings.IndexByte("gre", e.kind) < 0 {
		return entry{}, errEntry
	}
	for _, word := range names {
		name, err := url.QueryUnescape(word)
		if err != nil || !strings.Contains(name, ":") {
			return entry{}, errEntry
		}
		e.identity.names = append(e.identity.names, name)
	}
	if e.member() != words[0]+" "+words[1] {
		return entry{}, errEntry
	}
	return e, nil
}

// maxStamp is the year 5138: what is later is no time that anybody meant.
const maxStamp = 100_000_000_000_000

func decimal(n int64) string {
	return strconv.FormatInt(n, 10)
}
