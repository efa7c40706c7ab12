package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A limit bounds a figure from above or, with atLeast, from below.
type limit struct {
	bound   float64
	aim     float64 // what is hoped for; 0: no more than the bound
	atLeast bool
	unit    string
}

func (l limit) String() string {
	sign := "≤"
	if l.atLeast {
		sign = "≥"
	}
	text := fmt.Sprintf("%s %.4g%s", sign, l.bound, l.unit)
	if l.aim != 0 {
		text += fmt.Sprintf(" (aim %.4g)", l.aim)
	}
	return text
}

func (l limit) holds(value float64) bool {
	if l.atLeast {
		return value >= l.bound
	}
	return value <= l.bound
}

// A judgement is a figure with its limit.
type judgement struct {
	what, figure string
	limit        limit
	ok           bool
}

func (j judgement) verdict() string {
	if j.ok {
		return "ok"
	}
	return "**over**"
}

// A report is printed while it is made.
type report struct {
	out     io.Writer
	log     io.Writer // gets what goes on
	started time.Time
	judged  []judgement
}

// progress tells what goes on.
func (r *report) progress(format string, arguments ...any) {
	fmt.Fprintf(r.log, "%4.0f s  %s\n", time.Since(r.started).Seconds(), fmt.Sprintf(format, arguments...))
}

func (r *report) line(format string, arguments ...any) {
	fmt.Fprintf(r.out, format+"\n\n", arguments...)
}

// table prints a title and a Markdown table with columns of even width.
func (r *report) table(title string, rows ...[]string) {
	fmt.Fprintf(r.out, "## %s\n\n%s\n", title, markdown(rows))
}

// judge notes whether the value, written as figure, keeps the limit, and returns the table's last two cells.
func (r *report) judge(what, figure string, value float64, l limit) []string {
	j := judgement{what, figure, l, l.holds(value)}
	r.judged = append(r.judged, j)
	return []string{l.String(), j.verdict()}
}

// conclude lists the limits that are over.
func (r *report) conclude() {
	over := 0
	for _, j := range r.judged {
		if !j.ok {
			over++
			fmt.Fprintf(r.out, "- over: %s: %s, limit %s\n", j.what, j.figure, j.limit)
		}
	}
	fmt.Fprintf(r.out, "%d of %d limits kept; the run took %s.\n", len(r.judged)-over, len(r.judged), time.Since(r.started).Round(time.Second))
}

// markdown lays out a table whose first row is its head. The first column stands left, the others right.
func markdown(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var text strings.Builder
	for i, row := range rows {
		for column, width := range widths {
			cell := ""
			if column < len(row) {
				cell = row[column]
			}
			padding := strings.Repeat(" ", width-len([]rune(cell)))
			if column == 0 {
				text.WriteString("| " + cell + padding + " |")
			} else {
				text.WriteString(" " + padding + cell + " |")
			}
		}
		text.WriteString("\n")
		if i > 0 {
			continue
		}
		for column, width := range widths {
			if column == 0 {
				text.WriteString("| " + strings.Repeat("-", width) + " |")
			} else {
				text.WriteString(" " + strings.Repeat("-", width-1) + ": |")
			}
		}
		text.WriteString("\n")
	}
	return text.String()
}

// writeTable replaces what stands between the marks of file by the machine and what was judged there.
func writeTable(file, machine string, judged []judgement) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text, err := replaceBetweenMarks(string(data), limitsTable(machine, judged))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

func limitsTable(machine string, judged []judgement) string {
	rows := [][]string{{"what", "measured", "limit"}}
	for _, j := range judged {
		limit := j.limit.String()
		if !j.ok {
			limit += " over"
		}
		rows = append(rows, []string{j.what, j.figure, limit})
	}
	return machine + "\n\n" + markdown(rows)
}

func replaceBetweenMarks(text, table string) (string, error) {
	const begin, end = "<!-- bench -->\n", "<!-- /bench -->"
	before, rest, begun := strings.Cut(text, begin)
	_, after, ended := strings.Cut(rest, end)
	if !begun || !ended {
		return "", fmt.Errorf("want a line %s and, below it, a line %s", strings.TrimSpace(begin), end)
	}
	return before + begin + "\n" + table + "\n" + end + after, nil
}
