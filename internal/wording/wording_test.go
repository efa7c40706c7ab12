package wording

import (
	"strings"
	"testing"
	"time"
)

func TestSpans(t *testing.T) {
	for text, want := range map[string]string{
		"0s": "0 s", "400ms": "0 s", "1s": "1 s", "59s": "59 s", "59.6s": "1 min", "1m": "1 min", "89s": "1 min", "91s": "2 min", "59m29s": "59 min",
		"59m31s": "1 h", "1h": "1 h", "1h1m": "1 h 1 min", "23h59m29s": "23 h 59 min", "23h59m58s": "24 h", "24h": "24 h", "24h31m": "1 day 1 h",
		"47h29m": "1 day 23 h", "47h31m": "2 days", "49h": "2 days 1 h", "876000h": "36500 days",
	} {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := Span(d); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	for _, row := range []struct {
		d    time.Duration
		want string
	}{{0, "just now"}, {time.Second - 1, "just now"}, {time.Second, "1 s ago"}, {90 * time.Minute, "1 h 30 min ago"}} {
		if got := Ago(row.d); got != row.want {
			t.Errorf("%v: got %q, want %q", row.d, got, row.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"cn:phone":               "cn:phone",
		`a "b" \`:                `a "b" \\`,
		"Zoë Καλλ 家 🔒":           "Zoë Καλλ 家 🔒",
		"a\u202eb\u200b\u00a0":   `a\u202eb\u200b\u00a0`,
		"\x00\r\n\x1b\xff":       `\x00\r\n\x1b\xff`,
		strings.Repeat("é", 120): strings.Repeat("é", 120),
		strings.Repeat("é", 121): strings.Repeat("é", 120) + "… (242 bytes)",
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestPercent(t *testing.T) {
	for _, row := range [][3]int{{0, 10, 0}, {1, 10, 10}, {10, 10, 100}, {11, 10, 100}, {-1, 10, 0}, {1, 0, 0}, {1, 1, 100}, {1 << 40, 1 << 41, 50}, {999, 1000, 99}} {
		if got := Percent(row[0], row[1]); got != row[2] {
			t.Errorf("%d of %d: got %d, want %d", row[0], row[1], got, row[2])
		}
	}
}
