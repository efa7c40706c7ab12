// Package check has what the tests of several packages need, and nothing of what they test.
package check

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// Must is used as Must(f())(t): the value, or the end of the test.
func Must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// Eventually waits until something holds, and returns how long that took; at most 20 seconds.
func Eventually(t testing.TB, what string, holds func() bool) time.Duration {
	t.Helper()
	return Within(t, 20*time.Second, what, holds)
}

// Within waits until something holds, and returns how long that took; at most so long.
func Within(t testing.TB, timeout time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	for began := time.Now(); time.Since(began) < timeout; time.Sleep(time.Millisecond) {
		if holds() {
			return time.Since(began)
		}
	}
	t.Fatalf("not within %v: %s", timeout, what)
	return 0
}

// Main is the TestMain of tests with something around them, which run makes, and ends when it returns.
func Main(run func() (code int, err error)) {
	code, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
