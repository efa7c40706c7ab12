package identity

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// MaxEntry is how large an entry may be as it is written, in bytes.
	MaxEntry = 4 << 10
	// MaxNames is how much of that the names of an identity may take: its address, serial and times fit into the rest.
	MaxNames = MaxEntry - 256
	// MaxSerial is how many digits a serial may have; by RFC 5280 it has 40 at most.
	MaxSerial = 128
)

const hexDigits = "0123456789abcdef"

// Anonymous is the name of requests without any identity. No pattern matches it.
const Anonymous = "anonymous"

var errLongName = errors.New("the name is too long: what is kept of an identity has 4 KiB at most")

// usual is how most lists of names look, with commas between them. Those that do are valid, whichever commas are part of a name:
// one call finds out what many would take long for in Yaegi.
var usual = regexp.MustCompile(`^((cn|dns|email|uri|header|anonymous):[^,]+(,(cn|dns|email|uri|header|anonymous):[^,]+)*(,sha256:[0-9a-f]{64})?|sha256:[0-9a-f]{64})$`)

// CheckNames returns why names aren't those of an identity as the plugin makes them: anybody may have written them.
func CheckNames(names []string) error {
	if len(names) == 0 {
		return errors.New("names: want at least one")
	}
	joined := strings.Join(names, ",")
	small := areSmall(len(joined))
	if small && usual.MatchString(joined) {
		return nil
	}
	if !small {
		if size := sizeOf(names); size > MaxNames {
			return fmt.Errorf("names: want %d bytes at most, not %d", MaxNames, size)
		}
	}
	for i, name := range names {
		kind, value, _ := strings.Cut(name, ":")
		if value == "" || kind != Anonymous && !slices.Contains(kinds, kind) {
			return fmt.Errorf("names: invalid value %q: want kind:value with one of the kinds %s", name, strings.Join(kinds, ", "))
		}
		if strings.HasPrefix(name, ByFingerprint) && (i != len(names)-1 || !IsFingerprint(value)) {
			return fmt.Errorf(`names: invalid value %q: want 64 of the digits %s after %q, and nothing after them`, name, hexDigits, ByFingerprint)
		}
	}
	return nil
}

// CheckSerial returns why a text isn't the serial of a certificate.
func CheckSerial(text string) error {
	if len(text) > MaxSerial || !isHex(text) {
		return fmt.Errorf("serial: want %d of the digits %s at most", MaxSerial, hexDigits)
	}
	return nil
}

// IsFingerprint reports whether a text is a SHA-256.
func IsFingerprint(text string) bool {
	return len(text) == 64 && isHex(text)
}

func isHex(text string) bool {
	return strings.Trim(text, hexDigits) == ""
}

// areSmall reports whether names of so many bytes with the commas between them take no more than MaxNames, whatever they are of, and
// the first of them twice, as most do.
func areSmall(size int) bool {
	return 18*size <= MaxNames
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
		return len(url.PathEscape("\uFFFD")) * len(name)
	}
	return len(url.PathEscape(name))
}

// Kept returns what grants keep of an identity, here, in a state file and in Redis alike: as many of its names as there is
// room for, but always the canonical one and the fingerprint. It fails if these don't fit.
func (id Identity) Kept() (Identity, error) {
	if areSmall(len(strings.Join(id.Names, ","))) {
		return id, nil
	}
	last := len(id.Names) - 1
	names := []string{id.Names[0]}
	if last > 0 {
		names = append(names, id.Names[last])
	}
	room := MaxNames - sizeOf(names)
	if room < 0 {
		return Identity{}, errLongName
	}
	names = names[:1]
	for i := 1; i < last; i++ {
		if size := writtenSize(id.Names[i]) + 1; size <= room {
			names = append(names, id.Names[i])
			room -= size
		}
	}
	if last > 0 {
		names = append(names, id.Names[last])
	}
	id.Names = names
	return id, nil
}
