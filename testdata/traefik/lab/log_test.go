package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestLog(t *testing.T) {
	log := newLog()
	w := &lineWriter{line: log.add}
	found := make(chan string)
	go func() {
		line, _ := log.Wait(t.Context(), "b", "c")
		found <- line
	}()
	for _, part := range []string{"a b\na", " b ", "c\n", "d"} {
		fmt.Fprint(w, part)
	}
	w.flush()
	if got := <-found; got != "a b c" {
		t.Errorf("Wait: got %q, want %q", got, "a b c")
	}
	if got, want := log.Lines(), []string{"a b", "a b c", "d"}; !slices.Equal(got, want) {
		t.Errorf("Lines: got %q, want %q", got, want)
	}
	if got := log.Count("a", "b"); got != 2 {
		t.Errorf("Count: got %d, want 2", got)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := log.Wait(ended, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: got %v, want %v", err, context.Canceled)
	}
}
