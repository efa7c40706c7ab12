package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
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

// An outcome is what the tests made of a mutant.
type outcome struct {
	Verdict verdict `json:"verdict"`
	Test    string  `json:"test,omitempty"` // the one that was running when it was killed, qualified; empty if none was
}

// maxMemory is how much a mutant may take, in KiB of address space: one that never stops growing ends by it.
const maxMemory = 3 << 20

// A testBinary is a package's tests, built.
type testBinary struct {
	suite   *pkg
	path    string
	timeout time.Duration
}

// measure runs the tests without a change. They must pass; a mutant gets ten times as long, plus what timeout was before.
func (t *testBinary) measure(ctx context.Context) error {
	extra := t.timeout
	t.timeout = 10 * time.Minute
	start := time.Now()
	got, output, err := t.run(ctx, 0)
	if err != nil {
		return err
	}
	if got.Verdict != survived {
		return fmt.Errorf("without any change the tests don't pass: %s %s\n%s", got.Verdict, got.Test, output)
	}
	t.timeout = 10*time.Since(start) + extra
	return nil
}

// lastRun finds which test was running in the end.
var lastRun = regexp.MustCompile(`(?m)^=== RUN +(\w+)`)

// run starts the tests of a mutant in a folder of their own, which also holds what they leave behind. It also returns
// what they have printed.
func (t *testBinary) run(ctx context.Context, number int) (outcome, string, error) {
	own, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return outcome{}, "", err
	}
	defer os.RemoveAll(own)
	limited, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	// Without a timeout of Go's own, the runtime itself notices when all goroutines wait for each other.
	script := fmt.Sprintf(`ulimit -v %d && exec "$0" -test.failfast -test.short -test.v -test.timeout=0`, maxMemory)
	cmd := exec.CommandContext(limited, "sh", "-c", script, t.path)
	cmd.Dir = own
	cmd.Env = append(os.Environ(), "TMPDIR="+own, fmt.Sprintf("MUTANT=%d", number))
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Run()
	got := outcome{Verdict: survived}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return outcome{}, "", ctx.Err()
	case limited.Err() != nil:
		got.Verdict = timedOut
	case errors.As(err, &exit):
		got.Verdict = killed
	case err != nil:
		return outcome{}, "", err
	}
	if runs := lastRun.FindAllSubmatch(output.Bytes(), -1); got.Verdict != survived && len(runs) > 0 {
		got.Test = t.suite.qualified(string(runs[len(runs)-1][1]))
	}
	return got, output.String(), nil
}
