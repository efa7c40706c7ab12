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
	return strings.TrimSuffix(counted(hours/24, "day")+fmt.Sprintf(" %d h", hours%24), " 0 h")
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
