// Package wording says durations, counts and names as people read them. It knows nothing of what they are about.
package wording

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ShownRunes is how much of a name is shown.
const ShownRunes = 120

// ShortPrefix leaves out the length of a prefix that is one IPv4 address.
func ShortPrefix(prefix string) string {
	return strings.TrimSuffix(prefix, "/32")
}

// Printable makes visible what would hide or turn text around, and leaves out what is too long to read.
func Printable(text string) string {
	quoted := strconv.Quote(text)
	runes := []rune(quoted[1 : len(quoted)-1])
	if len(runes) <= ShownRunes {
		return strings.ReplaceAll(string(runes), `\"`, `"`)
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ReplaceAll(string(runes[:ShownRunes]), `\"`, `"`), len(text))
}

// Ago says how long something is past.
func Ago(d time.Duration) string {
	if d < time.Second {
		return "just now"
	}
	return Span(d) + " ago"
}

// Span says a duration in its two largest units.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	minutes, hours := int(d.Round(time.Minute)/time.Minute), int(d.Round(time.Hour)/time.Hour)
	switch {
	case d.Round(time.Second) < time.Minute:
		return fmt.Sprintf("%d s", d.Round(time.Second)/time.Second)
	case minutes < 60:
		return fmt.Sprintf("%d min", minutes)
	case d.Round(time.Minute) <= day:
		return strings.TrimSuffix(fmt.Sprintf("%d h %d min", minutes/60, minutes%60), " 0 min")
	}
	return strings.TrimSuffix(Counted(hours/24, "day")+fmt.Sprintf(" %d h", hours%24), " 0 h")
}

// Counted says a number of things.
func Counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Percent returns the share of part in whole, from 0 to 100.
func Percent(part, whole int) int {
	switch {
	case part <= 0 || whole <= 0:
		return 0
	case part >= whole:
		return 100
	}
	return int(float64(part) / float64(whole) * 100)
}
