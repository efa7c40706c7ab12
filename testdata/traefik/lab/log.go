package lab

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
)

// Log collects the lines a process writes, all of them, for as long as it lives. It is safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced with every line
}

func newLog() *Log {
	return &Log{changed: make(chan struct{})}
}

func (l *Log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	close(l.changed)
	l.changed = make(chan struct{})
}

// since returns the lines from the index on, and a channel that is closed when there are more.
func (l *Log) since(index int) ([]string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines[index:len(l.lines):len(l.lines)], l.changed
}

// Lines returns a copy of all lines so far.
func (l *Log) Lines() []string {
	lines, _ := l.since(0)
	return append([]string(nil), lines...)
}

// Count returns how many lines so far contain all of the substrings.
func (l *Log) Count(substrings ...string) int {
	count := 0
	lines, _ := l.since(0)
	for _, line := range lines {
		if containsAll(line, substrings) {
			count++
		}
	}
	return count
}

// Wait returns the first line, past or future, that contains all of the substrings; or an error when ctx ends first.
func (l *Log) Wait(ctx context.Context, substrings ...string) (string, error) {
	for seen := 0; ; {
		lines, changed := l.since(seen)
		for _, line := range lines {
			if containsAll(line, substrings) {
				return line, nil
			}
		}
		seen += len(lines)
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("no log line contains %q: %w", substrings, context.Cause(ctx))
		}
	}
}

// tail returns the last lines as one text.
func (l *Log) tail() string {
	const most = 20
	lines := l.Lines()
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}

func containsAll(line string, substrings []string) bool {
	for _, substring := range substrings {
		if !strings.Contains(line, substring) {
			return false
		}
	}
	return true
}

// lineWriter cuts what is written to it into lines. It is not safe for concurrent use.
type lineWriter struct {
	line func(string)
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		w.line(string(line))
		w.rest = rest
	}
}

// flush hands on a last line without an end.
func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.line(string(w.rest))
		w.rest = nil
	}
}
