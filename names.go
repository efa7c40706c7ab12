package mtlsallowlist

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// maxEntry is how large an entry may be as it is written, in bytes.
	maxEntry = 4 << 10
	// maxNames is how much of that the names of an identity may take: its address, serial and times fit into the rest.
	maxNames = maxEntry - 256
	// maxSerial is how many digits a serial may have; by RFC 5280 it has 40 at most.
	maxSerial = 128
)

const hexDigits = "0123456789abcdef"

// kindAnonymous is that of requests of which nobody tells whose they are. No pattern matches it.
const kindAnonymous = "anonymous"

var errLongName = errors.New("the name is too long: what is kept of an identity has 4 KiB at most")

// checkNames returns why names aren't those of an identity as the plugin makes them: anybody may have written them.
func checkNames(names []string) error {
	if len(names) == 0 {
		return errors.New("names: want at least one")
	}
	if size := sizeOf(names); size > maxNames {
		return fmt.Errorf("names: want %d bytes at most, not %d", maxNames, size)
	}
	for i, name := range names {
		kind, value, _ := strings.Cut(name, ":")
		if value == "" || kind != kindAnonymous && !slices.Contains(kinds, kind) {
			return fmt.Errorf("names: invalid value %q: want kind:value with one of the kinds %s", name, strings.Join(kinds, ", "))
		}
		if strings.HasPrefix(name, byFingerprint) && (i != len(names)-1 || !isSum(value)) {
			return fmt.Errorf(`names: invalid value %q: want 64 of the digits %s after %q, and nothing after them`, name, hexDigits, byFingerprint)
		}
	}
	return nil
}

// checkSerial returns why a text isn't the serial of a certificate.
func checkSerial(text string) error {
	if len(text) > maxSerial || !isHex(text) {
		return fmt.Errorf("serial: want %d of the digits %s at most", maxSerial, hexDigits)
	}
	return nil
}

// isSum reports whether a text is a SHA-256.
func isSum(text string) bool {
	return len(text) == 64 && isHex(text)
}

func isHex(text string) bool {
	return strings.Trim(text, hexDigits) == ""
}

// sizeOf returns how many bytes names take in an entry, which begins with the first of them.
func sizeOf(names []string) int {
	size := writtenSize(names[0])
	for _, name := range names {
		size += writtenSize(name) + 1
	}
	return size
}

// writtenSize returns how many bytes a name takes in an entry, at most: what is no UTF-8 comes back from a state file longer.
func writtenSize(name string) int {
	if !utf8.ValidString(name) {
		return len(url.QueryEscape("\uFFFD")) * len(name)
	}
	return len(url.QueryEscape(name))
}

// kept returns what grants keep of an identity, here, in a state file and in Redis alike: as many of its names as there is
// room for, but always the canonical one and the fingerprint. It fails if these don't fit.
func (id identity) kept() (identity, error) {
	if 18*len(strings.Join(id.names, ",")) <= maxNames { // as with most: whatever they are of, and the first of them twice
		return id, nil
	}
	last := len(id.names) - 1
	names := []string{id.names[0]}
	if last > 0 {
		names = append(names, id.names[last])
	}
	room := maxNames - sizeOf(names)
	if room < 0 {
		return identity{}, errLongName
	}
	names = names[:1]
	for i := 1; i < last; i++ {
		if size := writtenSize(id.names[i]) + 1; size <= room {
			names = append(names, id.names[i])
			room -= size
		}
	}
	if last > 0 {
		names = append(names, id.names[last])
	}
	id.names = names
	return id, nil
}
