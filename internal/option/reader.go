// Package option reads the text of options, and collects all their faults. What an option means, it doesn't know.
package option

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/traefik/paerser/types"
)

// MaxDuration keeps deadlines countable.
const MaxDuration = 100 * 365 * 24 * time.Hour

// An error isn't to fill the log: that is how many faults are reported, and how many bytes of a key or a value.
const (
	maxFaults = 50
	maxQuoted = 100
)

// A Reader reads texts, and collects the faults that it finds on the way.
type Reader struct {
	known  []string // the keys that are options
	faults []error  // maxFaults, and one more for those after them
}

// New returns a Reader of a configuration that has these keys.
func New(known []string) *Reader {
	return &Reader{known: known}
}

// Err joins all faults, each with key, value and what is wanted; nil if there are none.
func (r *Reader) Err() error {
	return errors.Join(r.faults...)
}

// Fault reports what is wrong with the value of a key. It quotes the value, unless somebody may have put a secret there.
func (r *Reader) Fault(key, value, format string, args ...any) {
	why := fmt.Sprintf(format, args...)
	if mayHoldSecret(key) {
		r.Refuse(key, why)
		return
	}
	r.Refuse(key, fmt.Sprintf("invalid value %q: %s", Shortened(value), why))
}

// Refuse reports what is wrong with a key, whatever its value.
func (r *Reader) Refuse(key, why string) {
	switch {
	case len(r.faults) < maxFaults:
		r.faults = append(r.faults, errors.New(Shortened(key)+": "+why))
	case len(r.faults) == maxFaults:
		r.faults = append(r.faults, errors.New("and more faults"))
	}
}

// Shortened returns what is shown of a text: its first 100 bytes.
func Shortened(text string) string {
	if len(text) > maxQuoted {
		return text[:maxQuoted] + "…"
	}
	return text
}

// List trims the parts, which labels give as "a, b". A list that is there but empty is a fault: where the
// default is everything, it must not open what somebody meant to close.
func (r *Reader) List(key string, texts []string, byDefault ...string) []string {
	if texts == nil {
		return byDefault
	}
	if len(texts) == 0 {
		r.Fault(key, "", "want at least one, or no such key")
	}
	trimmed := []string{}
	for _, text := range texts {
		trimmed = append(trimmed, strings.TrimSpace(text))
	}
	if slices.Contains(trimmed, "") {
		r.Fault(key, strings.Join(texts, ","), "want no empty parts")
	}
	return trimmed
}

// Prefixes reads CIDRs and IPs.
func (r *Reader) Prefixes(key string, texts []string) *clientip.Set {
	prefixes := []netip.Prefix{}
	for _, text := range r.List(key, texts) {
		prefix, err := clientip.ParsePrefix(text)
		if errors.Is(err, clientip.ErrTranslated) {
			r.Fault(key, text, "%v", err)
		} else if err != nil {
			r.Fault(key, text, `want a CIDR or an IP, e.g. "192.168.1.0/24"`)
		}
		prefixes = append(prefixes, prefix)
	}
	return clientip.NewSet(prefixes)
}

// Number reads a whole number within bounds.
func (r *Reader) Number(key, text string, byDefault, least, most int) int {
	if text == "" {
		return byDefault
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < least || n > most {
		r.Fault(key, text, "want a whole number from %d to %d", least, most)
	}
	return n
}

// Flag reads a boolean as strconv.ParseBool does; none is false.
func (r *Reader) Flag(key, text string) bool {
	if text == "" {
		return false
	}
	on, err := strconv.ParseBool(strings.TrimSpace(text))
	if err != nil {
		r.Fault(key, text, "want true or false")
	}
	return on
}

// Duration reads a positive duration of at most MaxDuration, as Traefik's own options are: "90s", or a number of seconds.
func (r *Reader) Duration(key, text string, byDefault time.Duration) time.Duration {
	if text == "" {
		return byDefault
	}
	var d types.Duration
	err := d.Set(strings.TrimSpace(text))
	seconds, notSeconds := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	overflows := notSeconds == nil && seconds != int64(time.Duration(d)/time.Second)
	if err != nil || d <= 0 || time.Duration(d) > MaxDuration || overflows {
		r.Fault(key, text, `want a positive duration, e.g. "90s", "24h" or a number of seconds`)
	}
	return time.Duration(d)
}
