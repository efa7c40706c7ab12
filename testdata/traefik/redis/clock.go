package redis

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	_ "embed"
)

//go:embed clock/clock.c
var clockSource []byte

// A Clock is one that can be set, of the servers that are started with it.
type Clock struct {
	library string
	offset  string
	t       testing.TB
}

// NewClock makes a clock that shows the right time. It needs a C compiler.
func NewClock(t testing.TB) *Clock {
	t.Helper()
	dir := t.TempDir()
	c := &Clock{library: filepath.Join(dir, "clock.so"), offset: filepath.Join(dir, "offset"), t: t}
	source := filepath.Join(dir, "clock.c")
	if err := os.WriteFile(source, clockSource, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O2", "-o", c.library, source).CombinedOutput(); err != nil {
		t.Fatalf("the clock can't be compiled: install gcc and libc6-dev and try again: %v\n%s", err, out)
	}
	c.Set(0)
	return c
}

// Set sets the clock so far ahead of the right time, in whole seconds, or behind it.
func (c *Clock) Set(ahead time.Duration) {
	c.t.Helper()
	next := c.offset + ".next"
	if err := os.WriteFile(next, []byte(strconv.Itoa(int(ahead/time.Second))), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(next, c.offset); err != nil { // the server reads either this or the one before
		c.t.Fatal(err)
	}
}

func (c *Clock) variables() []string {
	return []string{"LD_PRELOAD=" + c.library, "CLOCK_OFFSET_FILE=" + c.offset}
}
