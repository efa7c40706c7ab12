package mtlsallowlist

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// shownRunes is how much of a name is shown.
const shownRunes = 120

// shortPrefix leaves out the length of a prefix that is one IPv4 address.
func shortPrefix(prefix string) string {
	return strings.TrimSuffix(prefix, "/32")
}

// printable makes visible what would hide or turn text around, and leaves out what is too long to read.
func printable(text string) string {
	quoted := strconv.Quote(text)
	runes := []rune(quoted[1 : len(quoted)-1])
	if len(runes) <= shownRunes {
		return strings.ReplaceAll(string(runes), `\"`, `"`)
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ReplaceAll(string(runes[:shownRunes]), `\"`, `"`), len(text))
}

func ago(d time.Duration) string {
	if d < time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

// span says a duration in its two largest units.
func span(d time.Duration) string {
	seconds := int((d + time.Second - 1) / time.Second)
	switch {
	case seconds < 60:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%d min", seconds/60)
	case seconds < 24*3600:
		return strings.TrimSuffix(fmt.Sprintf("%d h %d min", seconds/3600, seconds/60%60), " 0 min")
	}
	return strings.TrimSuffix(counted(seconds/(24*3600), "day")+fmt.Sprintf(" %d h", seconds/3600%24), " 0 h")
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// percent returns the share of part in whole, from 0 to 100.
func percent(part, whole int) int {
	switch {
	case part <= 0 || whole <= 0:
		return 0
	case part >= whole:
		return 100
	}
	return int(float64(part) / float64(whole) * 100)
}
