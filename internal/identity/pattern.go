package identity

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// kinds are those of an identity's names.
var kinds = []string{"cn", "dns", "email", "uri", "sha256", "header"}

// A Pattern matches names of one kind: those that begin with prefix and end with suffix, or, unless it is
// open, the name that is prefix.
type Pattern struct {
	Prefix string // begins with the kind
	suffix string
	open   bool // there was a "*"
}

// ParsePattern reads "kind:value", where value may have a "*" for the rest at its end or its start.
// Names are compared to the letter; but DNS names and fingerprints have no case (RFC 4343),
// and a fingerprint may have the colons that openssl prints.
func ParsePattern(text string) (Pattern, error) {
	kind, value, found := strings.Cut(text, ":")
	if !found || !slices.Contains(kinds, kind) {
		return Pattern{}, fmt.Errorf(`want kind:value with one of the kinds %s, e.g. "cn:phone"`, strings.Join(kinds, ", "))
	}
	switch kind {
	case "dns":
		value = strings.ToLower(value)
	case "sha256":
		value = strings.ToLower(strings.ReplaceAll(value, ":", ""))
		if !isFingerprintPattern(value) {
			return Pattern{}, errors.New(`want 64 hexadecimal digits after "sha256:", or fewer and a "*"`)
		}
	}
	before, after, open := strings.Cut(value, "*")
	if value == "" || strings.Contains(after, "*") || (before != "" && after != "") {
		return Pattern{}, fmt.Errorf(`want a value after %q, with at most one "*", at its end or its start`, kind+":")
	}
	return Pattern{Prefix: kind + ":" + before, suffix: after, open: open}, nil
}

func isFingerprintPattern(value string) bool {
	before, after, open := strings.Cut(value, "*")
	digits := before + after
	if len(digits)%2 == 1 {
		digits += "0" // DecodeString wants pairs
	}
	_, err := hex.DecodeString(digits)
	return err == nil && len(value) <= 64 && (open || len(value) == 64)
}

func (p Pattern) match(name string) bool {
	if !p.open {
		return name == p.Prefix
	}
	return len(name) >= len(p.Prefix)+len(p.suffix) && strings.HasPrefix(name, p.Prefix) && strings.HasSuffix(name, p.suffix)
}

// Patterns match an identity if one of them matches one of its names; without any, they match everybody.
type Patterns []Pattern

// Match reports whether they match an identity.
func (p Patterns) Match(id Identity) bool {
	if len(p) == 0 {
		return true
	}
	for _, pattern := range p {
		for _, name := range id.Names {
			if pattern.match(name) {
				return true
			}
		}
	}
	return false
}
