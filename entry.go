package mtlsallowlist

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

// What an entry is about.
const (
	entryGrant   = 'g' // a grant holds
	entryRevoked = 'r' // it was revoked, and proofs from before don't count
	entryEvicted = 'e' // it had to make room
)

var errEntry = errors.New("no entry")

// An entry is what the replicas tell each other about the grant of one identity for one IP. Of two about the same grant
// the one with the later stamp holds, on every replica, in whatever order they come; of two with the same, a revocation.
// Times are in milliseconds since 1970 by the replicas' clock: see sharing.
type entry struct {
	kind     byte
	ip       netip.Prefix
	identity identity.Identity
	learned  int64
	stamp    int64 // orders the entries about one grant: when it was last proved, revoked or evicted, or a little later
	proved   int64 // when the proof was given
	expires  int64 // the first moment at which neither the grant nor its revocation matters any more
}

// member is what an entry is about, in one word each: the IP, the identity's name, and its fingerprint after a "-".
func (e entry) member() string {
	return member(e.ip, e.identity)
}

func member(ip netip.Prefix, id identity.Identity) string {
	about := ip.String() + " " + url.QueryEscape(id.Name()) + " -"
	if len(id.Names) > 1 {
		about += url.QueryEscape(id.Fingerprint())
	}
	return about
}

// rest is what an entry says besides member, stamp and expires: kind, learned, proved, serial and all names, but for the
// fingerprint.
func (e entry) rest() string {
	names := []string{}
	for i, name := range e.identity.Names {
		if i == 0 || i < len(e.identity.Names)-1 || e.identity.Fingerprint() == "" {
			names = append(names, url.QueryEscape(name))
		}
	}
	return fmt.Sprintf("%c %d %d %s %s", e.kind, e.learned, e.proved, url.QueryEscape("0"+e.identity.Serial), strings.Join(names, ","))
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

// parseEntry reads "<member> <stamp> <expires> <rest>", as anybody may have written it.
func parseEntry(line string) (entry, error) {
	if len(line) > identity.MaxEntry {
		return entry{}, errEntry
	}
	words := strings.Split(strings.Clone(line), " ") // what is kept of it isn't to keep all that was read with it
	if len(words) != 10 || len(words[5]) != 1 {
		return entry{}, errEntry
	}
	e := entry{kind: words[5][0]}
	ip, err := netip.ParsePrefix(words[0])
	if err != nil || ip != ip.Masked() || clientip.Canonical(ip.Addr()) != ip.Addr() || ip.Addr().Is4() && ip.Bits() != 32 || !clientip.IsUnicast(ip.Addr()) {
		return entry{}, errEntry
	}
	e.ip = ip
	numbers := []int64{}
	for _, word := range []string{words[3], words[4], words[6], words[7]} {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || n < 0 || n > maxStamp || decimal(n) != word {
			return entry{}, errEntry
		}
		numbers = append(numbers, n)
	}
	e.stamp = numbers[0]
	e.expires = numbers[1]
	e.learned = numbers[2]
	e.proved = numbers[3]
	serial, err := url.QueryUnescape(words[8])
	if err != nil || !strings.HasPrefix(serial, "0") || identity.CheckSerial(serial[1:]) != nil {
		return entry{}, errEntry
	}
	e.identity.Serial = serial[1:]
	for _, word := range strings.Split(words[9], ",") {
		name, err := url.QueryUnescape(word)
		if err != nil {
			return entry{}, errEntry
		}
		e.identity.Names = append(e.identity.Names, name)
	}
	fingerprint, err := url.QueryUnescape(words[2])
	if err != nil {
		return entry{}, errEntry
	}
	if len(fingerprint) > 1 {
		e.identity.Names = append(e.identity.Names, identity.ByFingerprint+fingerprint[1:])
	}
	if identity.CheckNames(e.identity.Names) != nil || e.member() != strings.Join(words[:3], " ") || strings.IndexByte("gre", e.kind) < 0 {
		return entry{}, errEntry
	}
	return e, nil
}

// maxStamp is the year 5138: what is later is no time that anybody meant.
const maxStamp = 100_000_000_000_000

func decimal(n int64) string {
	return strconv.FormatInt(n, 10)
}
