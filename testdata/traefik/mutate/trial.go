package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// A verdict is what became of a mutant.
type verdict string

const (
	killed   verdict = "killed"
	timedOut verdict = "timed out" // killed, too
	unbuilt  verdict = "does not compile"
	survived verdict = "survived"
)

// A trial is the result of one mutant.
type trial struct {
	Verdict verdict `json:"verdict"`
	Test    string  `json:"test,omitempty"` // that was running when it was killed; empty if none was
}

// maxMemory is how much a mutant may take, in KiB of address space: one that never stops growing ends by it.
const maxMemory = 3 << 20

// tests are a package's, built.
type tests struct {
	path    string
	slow    []string // names of those that are left out
	timeout time.Duration
}

// measure runs the tests without a change. They must pass; a mutant gets ten times as long, and what timeout was before.
func (t *tests) measure(ctx context.Context) error {
	patience := t.timeout
	t.timeout = 10 * time.Minute
	start := time.Now()
	got, output, err := t.run(ctx, 0)
	if err != nil {
		return err
	}
	if got.Verdict != survived {
		return fmt.Errorf("without any change the tests don't pass: %s %s\n%s", got.Verdict, got.Test, output)
	}
	t.timeout = 10*time.Since(start) + patience
	return nil
}

// lastRun finds which test was running in the end.
var lastRun = regexp.MustCompile(`(?m)^=== RUN +(\w+)`)

// run starts the tests of a mutant in a folder of their own, which also holds what they leave behind. It also returns
// what they have printed.
func (t *tests) run(ctx context.Context, number int) (trial, string, error) {
	own, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return trial{}, "", err
	}
	defer os.RemoveAll(own)
	limited, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	// Without a timeout of Go's own, the runtime itself notices when all goroutines wait for each other.
	script := fmt.Sprintf(`ulimit -v %d && exec "$0" -test.failfast -test.v -test.timeout=0 -test.skip="$1"`, maxMemory)
	cmd := exec.CommandContext(limited, "sh", "-c", script, t.path, t.skipped())
	cmd.Dir = own
	cmd.Env = append(os.Environ(), "TMPDIR="+own, fmt.Sprintf("MUTANT=%d", number))
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Run()
	got := trial{Verdict: survived}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return trial{}, "", ctx.Err()
	case limited.Err() != nil:
		got.Verdict = timedOut
	case errors.As(err, &exit):
		got.Verdict = killed
	case err != nil:
		return trial{}, "", err
	}
	if runs := lastRun.FindAllSubmatch(output.Bytes(), -1); got.Verdict != survived && len(runs) > 0 {
		got.Test = string(runs[len(runs)-1][1])
	}
	return got, output.String(), nil
}

// skipped is a regular expression for what -test.skip leaves out; empty for nothing.
func (t *tests) skipped() string {
	if len(t.slow) == 0 {
		return ""
	}
	return "^(" + strings.Join(t.slow, "|") + ")$"
}
