package lab

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/traefik/traefik/v3/pkg/tls"
)

func TestConfigureReturnsWhenTheNextRequestSeesIt(t *testing.T) {
	for _, level := range []string{"ERROR", "DEBUG"} {
		r := open(t, Options{LogLevel: level})
		reused := NewClient(ClientOptions{From: friend, Target: r.Addr("web"), KeepAlive: true})
		t.Cleanup(reused.Close)
		for reload := range 30 {
			in, out := friend, stranger
			if reload%2 == 0 {
				in, out = stranger, friend
			}
			if err := r.Configure(r.allowing(t, in)); err != nil {
				t.Fatal(err)
			}
			expect := func(name string, client *Client, url string, want int) {
				t.Helper()
				if response := check.Must(client.Get(url))(t); response.Status != want {
					t.Errorf("%s, reload %d, %s: got %d, want %d", level, reload, name, response.Status, want)
				}
			}
			expect("websecure, out", r.secure(out, false), "https://"+host, 403)
			expect("web, out", r.plain(out), "http://"+host, 403)
			expect("websecure, in", r.secure(in, true), "https://"+host, 200)
			expect("web, in", r.plain(in), "http://"+host, 200)
			expect("web, reused", reused, "http://"+host, map[bool]int{true: 200, false: 403}[in == friend])
		}
		if n := r.Log().Count("lab-generation", " ERR "); n != 0 {
			t.Errorf("%s: %d of the laboratory's own lines in the log", level, n)
		}
	}
}

// The TLS side of an entry point is what Traefik switches last.
func TestConfigureSwitchesTLSOptions(t *testing.T) {
	r := open(t, Options{})
	for reload := range 30 {
		configuration := r.allowing(t, friend)
		if reload%2 == 0 {
			configuration.TLS.Options["mtls"] = tls.Options{}
		}
		if err := r.Configure(configuration); err != nil {
			t.Fatal(err)
		}
		_, err := r.secure(friend, true).Get("https://mtls.example/")
		if got, want := err == nil, reload%2 == 0; got != want {
			t.Errorf("reload %d: got in without a certificate %t (%v), want %t", reload, got, err, want)
		}
	}
}

func TestConfigureReportsAnEndedProcess(t *testing.T) {
	r := open(t, Options{})
	if err := check.Must(os.FindProcess(r.Pid()))(t).Kill(); err != nil {
		t.Fatal(err)
	}
	err := r.Configure(r.allowing(t, stranger))
	if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "Traefik version") {
		t.Errorf("got %v, want %v with the end of the log", err, errEnded)
	}
	if err := r.Stop(t.Context()); !errors.Is(err, errEnded) {
		t.Errorf("Stop: got %v, want %v", err, errEnded)
	}
	if err := errors.Join(r.Kill(), r.Restart(t.Context())); err != nil {
		t.Fatal(err)
	}
	if response := check.Must(r.plain(stranger).Get("http://" + host))(t); response.Status != 200 {
		t.Errorf("after the restart: got %d, want 200", response.Status)
	}
}

func TestRestartKeepsPortsAndConfiguration(t *testing.T) {
	r := open(t, Options{})
	addr, pid := r.Addr("web"), r.Pid()
	for _, end := range []func() error{func() error { return nil }, r.Kill} {
		if err := errors.Join(end(), r.Restart(t.Context())); err != nil {
			t.Fatal(err)
		}
		if r.Addr("web") != addr || r.Pid() == pid {
			t.Errorf("got %s pid %d, want %s and another pid than %d", r.Addr("web"), r.Pid(), addr, pid)
		}
		pid = r.Pid()
		if response := check.Must(r.plain(friend).Get("http://" + host))(t); response.Status != 200 {
			t.Errorf("got %d, want 200", response.Status)
		}
	}
	if n := r.Log().Count("Traefik version"); n != 3 {
		t.Errorf("got %d starts in the log, want 3", n)
	}
}

func TestStart(t *testing.T) {
	t.Run("fails at once when Traefik does not start", func(t *testing.T) {
		static := map[string]any{"entryPoints": map[string]any{"web": map[string]any{"addrezz": ":0"}}}
		_, err := Start(t.Context(), Options{Binary: check.Must(binary())(t), Dir: t.TempDir(), Plugins: map[string]string{}, Static: static})
		if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "addrezz") {
			t.Errorf("got %v, want %v and the key", err, errEnded)
		}
	})
	t.Run("fails at once when a plugin does not load", func(t *testing.T) {
		plugins := map[string]string{"example.com/broken": t.TempDir()}
		_, err := Start(t.Context(), Options{Binary: check.Must(binary())(t), Dir: t.TempDir(), Plugins: plugins})
		if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "example.com/broken") {
			t.Errorf("got %v, want %v and the plugin", err, errEnded)
		}
	})
	t.Run("takes other ports when one is taken", func(t *testing.T) {
		// As Traefik on a taken port the first time, then as Traefik itself.
		script := "#!/bin/sh\nif mkdir tried; then echo listen: bind: address already in use; exit 1; fi\nexec " + check.Must(binary())(t) + " \"$@\"\n"
		wrapped := filepath.Join(t.TempDir(), "traefik")
		if err := os.WriteFile(wrapped, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		r := check.Must(Start(t.Context(), Options{Binary: wrapped, Dir: t.TempDir(), Plugins: map[string]string{}}))(t)
		if err := r.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("loads a plugin and serves more entry points", func(t *testing.T) {
		folder := t.TempDir()
		for name, text := range map[string]string{
			".traefik.yml": "displayName: Teapot\ntype: middleware\nimport: example.com/teapot\nsummary: s\ntestData: {a: b}\n",
			"teapot.go": `package teapot
import ("context"; "net/http"; "os")
type Config struct{}
func CreateConfig() *Config { return &Config{} }
func New(_ context.Context, _ http.Handler, _ *Config, _ string) (http.Handler, error) {
	os.Stdout.WriteString("teapot is ready\n")
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(299) }), nil
}`,
		} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := open(t, Options{
			Plugins: map[string]string{"example.com/teapot": folder},
			Static:  map[string]any{"entryPoints": map[string]any{"direct": map[string]any{}}},
		})
		if err := r.Configure(`
http:
  routers: {tea: {entryPoints: [direct], rule: PathPrefix("/"), service: noop@internal, middlewares: [tea]}}
  middlewares: {tea: {plugin: {teapot: {}}}}
`); err != nil {
			t.Fatal(err)
		}
		if n := r.Log().Count("teapot is ready"); n != 1 {
			t.Errorf("got %d lines of the plugin after Configure, want 1", n)
		}
		client := NewClient(ClientOptions{Target: r.Addr("direct")})
		if response := check.Must(client.Get("http://" + host))(t); response.Status != 299 {
			t.Errorf("got %d, want the plugin's 299", response.Status)
		}
	})
}

func TestOwnEntryPointsAreAsTheyStand(t *testing.T) {
	static := map[string]any{"entryPoints": map[string]any{"websecure": map[string]any{}}}
	for _, row := range []struct {
		name string
		own  bool
	}{
		{"beside the laboratory's", false},
		{"alone", true},
	} {
		r := open(t, Options{Static: static, OwnEntryPoints: row.own})
		if got := r.Addr("web") == ""; got != row.own {
			t.Errorf("%s: got no entry point web %t, want %t", row.name, got, row.own)
		}
		// Where it isn't read, the PROXY header is no beginning of TLS.
		_, err := r.secure(friend, false).Get("https://" + host)
		if got := err != nil; got != row.own {
			t.Errorf("%s: got the PROXY header refused %t (%v), want %t", row.name, got, err, row.own)
		}
	}
}
