package main

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A spread is the quartiles of some figures.
type spread struct{ low, median, high float64 }

func spreadOf[T ~int64 | ~float64](figures []T) spread {
	return spread{percentile(figures, 25), percentile(figures, 50), percentile(figures, 75)}
}

// ratio is that of each figure to the other of the same round.
func ratio(figures, to []float64) spread {
	var ratios []float64
	for i := range figures {
		ratios = append(ratios, figures[i]/to[i])
	}
	return spreadOf(ratios)
}

// percentile interpolates between the two figures next to it.
func percentile[T ~int64 | ~float64](figures []T, percent float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	at := percent / 100 * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return float64(sorted[below]) + (at-float64(below))*float64(sorted[above]-sorted[below])
}

// String writes the median with the quartiles behind it.
func (s spread) String() string {
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.median, s.low, s.high)
}

func milliseconds(d float64) string {
	return fmt.Sprintf("%.2f", d/float64(time.Millisecond))
}

func mebibytes(bytes float64) string {
	return fmt.Sprintf("%.1f", bytes/(1<<20))
}

// count writes an integer with commas between thousands.
func count(n int) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// processorTime is what the process has used so far, in steps of 10 ms; 0 where there is no /proc.
func processorTime(pid int) time.Duration {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// The name in parentheses, the second field, may have spaces. The times are the 14th and 15th field.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * (time.Second / 100)
}

// describeMachine says in one line on what the figures were measured.
func describeMachine(binary string) string {
	traefik, yaegi := "?", "?"
	if info, err := buildinfo.ReadFile(binary); err == nil {
		traefik = info.Main.Version
		if i := slices.IndexFunc(info.Deps, func(m *debug.Module) bool { return m.Path == "github.com/traefik/yaegi" }); i >= 0 {
			yaegi = info.Deps[i].Version
		}
	}
	return fmt.Sprintf("%s, %d cores, %s/%s, %s, Traefik %s, Yaegi %s",
		processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), traefik, yaegi)
}

func processor() string {
	data, _ := os.ReadFile("/proc/cpuinfo") // only Linux has it
	for line := range strings.Lines(string(data)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return cmp.Or(strings.TrimSpace(value), "unknown processor")
		}
	}
	return "unknown processor"
}
