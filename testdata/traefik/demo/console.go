package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

const (
	width  = 100 // columns of a line at most, unless one word is longer
	indent = 10  // columns before the text of a field
)

// A console lays out what the demo says, as plain text; on a terminal some of it in colour.
type console struct {
	out     io.Writer
	colours bool
}

// newConsole writes on file, in colours if that is a terminal and nobody minds (https://no-color.org).
func newConsole(file *os.File) *console {
	colours := isTerminal(file) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return &console{out: file, colours: colours}
}

func isTerminal(file *os.File) bool {
	return term.IsTerminal(int(file.Fd()))
}

// The colours' numbers (ECMA-48, SGR).
const (
	bold  = 1
	faint = 2
	red   = 31
	green = 32
)

func (c *console) paint(colour int, text string) string {
	if !c.colours {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, text)
}

// title starts a section.
func (c *console) title(text string) {
	fmt.Fprintf(c.out, "\n%s\n", c.paint(bold, text))
}

// text writes a paragraph.
func (c *console) text(text string) {
	for _, line := range wrap(text, width) {
		fmt.Fprintln(c.out, line)
	}
}

// verbatim writes text as it stands, on a line of its own.
func (c *console) verbatim(text string) {
	fmt.Fprintln(c.out, text)
}

// field writes text beside its label.
func (c *console) field(label, text string) {
	c.labelled("  ", label, text)
}

// verdict is a field with a mark that tells whether it is as it should be.
func (c *console) verdict(good bool, label, text string) {
	c.labelled(c.mark(good), label, text)
}

// summary is a verdict on a line of its own.
func (c *console) summary(good bool, text string) {
	fmt.Fprintln(c.out, c.mark(good)+" "+c.paint(bold, text))
}

func (c *console) mark(good bool) string {
	if good {
		return c.paint(green, " ✓")
	}
	return c.paint(red, " ✗")
}

func (c *console) labelled(mark, label, text string) {
	start := mark + " " + c.paint(faint, fmt.Sprintf("%-*s", indent-3, label))
	for _, line := range wrap(text, width-indent) {
		fmt.Fprintln(c.out, start+line)
		start = strings.Repeat(" ", indent)
	}
}

// wrap breaks text at its spaces into lines of at most columns runes; a longer word has a line of its own.
func wrap(text string, columns int) []string {
	lines := []string{}
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= columns:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
