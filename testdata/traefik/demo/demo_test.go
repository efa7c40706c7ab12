package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

func TestEveryStepComesOutAndEveryCurlLineWorks(t *testing.T) {
	visited := false
	output, err := demonstrate(t, services(), func(_ context.Context, _ *console, h *household) error {
		visited = true
		checkCommands(t, h)
		return nil
	})
	if err != nil || !visited || !strings.HasSuffix(output, "\n ✓ 25 of 25 steps came out as they should\n") {
		t.Fatalf("got %v and\n%s", err, output)
	}
	for line := range strings.Lines(output) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width || strings.Contains(line, "\x1b") {
			t.Errorf("got a line of %d columns: %q", n, line)
		}
	}
}

// checkCommands runs the commands as people would, from the repository root.
func checkCommands(t *testing.T, h *household) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("curl is missing: install it (Debian: apt-get install curl)")
	}
	root := check.Must(lab.Root())(t)
	for _, command := range check.Must(h.commands(root))(t) {
		shell := exec.Command("sh", "-c", command.line)
		shell.Dir = root
		output, err := shell.Output()
		_, rest, _ := strings.Cut(string(output), " ")
		got, _, _ := strings.Cut(rest, " ")
		if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
			got += string(failed.Stderr)
			if strings.Contains(got, "alert certificate required") {
				got = certificateRequired
			}
		}
		if got != command.want {
			t.Errorf("%s: got %q %v, want %q\n%s", command.line, got, err, command.want, output)
		}
	}
}

func TestABrokenHouseholdIsNoticed(t *testing.T) {
	for _, row := range []struct {
		name  string
		which int
		spoil func(*service)
		want  string
	}{
		{"no enforcer in front of Photos", 1, func(s *service) { s.guard = nil }, "only 17 of 25"},
		{"Files open to Bob", 2, func(s *service) { s.guard = map[string]any{"mode": "enforce"} }, "only 24 of 25"},
		{"the ttl doesn't change", 0, func(s *service) { s.guard["ttl"] = "24h" }, "only 24 of 25"},
		{"Home Assistant doesn't ask for a certificate", 0, func(s *service) { s.tls = "" }, "only 12 of 25"},
	} {
		broken := services()
		row.spoil(&broken[row.which])
		output, err := demonstrate(t, broken, func(context.Context, *console, *household) error {
			t.Errorf("%s: visitors were let in", row.name)
			return nil
		})
		if err == nil || !strings.HasPrefix(err.Error(), row.want) || !strings.Contains(output, " ✗ WRONG") {
			t.Errorf("%s: got %v, want %s; and\n%s", row.name, err, row.want, output)
		}
	}
}

func TestAnInterruptEndsTraefik(t *testing.T) {
	for _, row := range []struct {
		when string
		want error
	}{{"\n4. ", errInterrupted}, {"visitors", nil}} {
		when, want := row.when, row.want
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		h := check.Must(open(ctx, check.Must(lab.Build(ctx, os.Stderr))(t), t.TempDir(), services()))(t)
		out := observer(func(text string) {
			if strings.HasPrefix(text, when) {
				cancel()
			}
		})
		err := show(ctx, &console{out: out}, h, func(ctx context.Context, c *console, _ *household) error {
			c.verbatim("visitors")
			<-ctx.Done()
			return nil
		})
		if !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", when, err, want)
		}
		if err := syscall.Kill(h.traefik.Pid(), 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%q: Traefik, process %d: got %v, want %v", when, h.traefik.Pid(), err, syscall.ESRCH)
		}
	}
}

// An observer is shown what is written.
type observer func(text string)

func (o observer) Write(text []byte) (int, error) {
	o(string(text))
	return len(text), nil
}

// demonstrate shows a household of those services, and returns what was printed.
func demonstrate(t *testing.T, services []service, visitors func(context.Context, *console, *household) error) (string, error) {
	t.Helper()
	h := check.Must(open(t.Context(), check.Must(lab.Build(t.Context(), os.Stderr))(t), t.TempDir(), services))(t)
	var out strings.Builder
	err := show(t.Context(), &console{out: &out}, h, visitors)
	return out.String(), err
}
