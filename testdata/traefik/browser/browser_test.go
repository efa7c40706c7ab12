package browser

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
)

func TestStartFails(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	path := os.Getenv("PATH")
	for _, row := range []struct {
		name  string
		ctx   context.Context
		path  string
		hosts map[string]string
		fault string
	}{
		{"without Chromium", t.Context(), "", nil, "chromium is missing, install the Debian package chromium: "},
		{"after the end of the context", ended, path, nil, "context canceled"},
		{
			"with a host elsewhere", t.Context(), path, map[string]string{"*.example": "192.0.2.1:443"},
			`host *.example: invalid target "192.0.2.1:443": want a loopback address with a port, e.g. 127.0.0.1:8443`,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("PATH", row.path)
			_, err := Start(row.ctx, Options{Dir: t.TempDir(), Hosts: row.hosts})
			if err == nil || !strings.Contains(err.Error(), row.fault) {
				t.Errorf("got %v, want %s", err, row.fault)
			}
		})
	}
	t.Run("in a used work directory", func(t *testing.T) {
		options := Options{Dir: t.TempDir()}
		if err := check.Must(Start(t.Context(), options))(t).Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Start(t.Context(), options); !errors.Is(err, fs.ErrExist) {
			t.Errorf("got %v, want %v", err, fs.ErrExist)
		}
	})
}

func TestTheContextBoundsStartOnly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := check.Must(Start(ctx, Options{Dir: t.TempDir()}))(t)
	cancel()
	if got := check.Must(Evaluate[int](b, "1 + 1"))(t); got != 2 {
		t.Errorf("got %d, want 2", got)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestABrowserThatHasEnded(t *testing.T) {
	b := check.Must(Start(t.Context(), Options{Dir: t.TempDir()}))(t)
	if err := chromedp.FromContext(b.tab).Browser.Process().Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open("about:blank"); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("got %v, want the signal", err)
	}
	if problems := b.Problems(); len(problems) != 1 || !strings.HasPrefix(problems[0], "browser: ") {
		t.Errorf("got problems %q, want the browser's end", problems)
	}
	if err := b.Close(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestResolverRules(t *testing.T) {
	options := Options{Hosts: map[string]string{
		"*.example": "127.0.0.1:1", "*.home.example": "127.0.0.1:2", "a.example": "127.0.0.1:3", "b.home.example": "[::1]:4",
	}}
	const want = "MAP b.home.example [::1]:4, MAP *.home.example 127.0.0.1:2, " +
		"MAP a.example 127.0.0.1:3, MAP *.example 127.0.0.1:1, MAP * ~NOTFOUND"
	if got := check.Must(options.resolverRules())(t); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
