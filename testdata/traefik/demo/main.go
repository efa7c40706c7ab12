// Command demo shows what the plugin does, in the real Traefik: it runs a household with the plugin, walks
// through a day of it, and prints what really happens. Each step is checked; the exit status is 0 if all came
// out as they should, else 1. On a terminal Traefik then stays up, to be tried with curl, until Ctrl-C.
package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/gofrs/flock"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// errInterrupted says that somebody, by Ctrl-C say, ended the demo before it was through.
var errInterrupted = errors.New("interrupted")

func main() {
	// Whatever ends the demo, a terminal that is closed included, Traefik must not stay behind.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// Otherwise the demo would end at once when nobody reads on, as in "make demo | head".
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	err := run(ctx)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "demo:", err)
	if errors.Is(err, errInterrupted) {
		os.Exit(130) // as shells have it
	}
	os.Exit(1)
}

func run(ctx context.Context) error {
	root, err := lab.Root()
	if err != nil {
		return err
	}
	binary, err := lab.Build(ctx, os.Stderr)
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return err
	}
	dir, leave, err := enter(filepath.Join(root, ".cache", "demo"))
	if err != nil {
		return err
	}
	defer leave() //nolint:errcheck // the folder is a temporary one
	visitors := func(ctx context.Context, c *console, h *household) error {
		if !isTerminal(os.Stdin) || !isTerminal(os.Stdout) {
			return nil
		}
		return h.invite(ctx, c, root)
	}
	h, err := open(ctx, binary, dir, services())
	if err != nil && ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return err
	}
	return show(ctx, newConsole(os.Stdout), h, visitors)
}

// enter makes dir anew, for one demo at a time: leave lets the next one in.
func enter(dir string) (_ string, leave func() error, err error) {
	lock := flock.New(dir + ".lock")
	free, err := lock.TryLock()
	if err != nil {
		return "", nil, err
	}
	if !free {
		return "", nil, errors.New("another demo is running: press Ctrl-C there first")
	}
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		return "", nil, errors.Join(err, lock.Unlock())
	}
	return dir, lock.Unlock, nil
}

// show walks through the story in h and, if that went well, lets the visitors in. When it returns, Traefik has ended.
func show(ctx context.Context, c *console, h *household, visitors func(context.Context, *console, *household) error) (err error) {
	defer func() {
		closing := h.close()
		if ctx.Err() != nil {
			// The terminal has sent Ctrl-C to Traefik as well: it may have ended before it was asked to.
			closing = h.traefik.Kill()
		}
		err = errors.Join(err, closing)
	}()
	introduce(c, h)
	err = (&walkthrough{home: h, console: c}).run(ctx, story())
	switch {
	case errors.Is(err, errInterrupted):
		return err
	case err != nil:
		return fmt.Errorf("%w; Traefik's log: %s", err, filepath.Join(h.dir, logFile))
	}
	return visitors(ctx, c, h)
}

func introduce(c *console, h *household) {
	version := "Traefik"
	if info, err := buildinfo.ReadFile(h.binary); err == nil {
		version += " " + info.Main.Version
	}
	c.title("mtlsallowlist in the real " + version)
	c.text("This Traefik is built without its DNS providers, which saves a third of the build: all works but the ACME DNS challenge.")
	c.verbatim("")
	c.text("Alice and Bob have three services at home. Their phones have client certificates, but only the Home Assistant " +
		"app can use one; the Photos and Files apps can't. So Home Assistant's router learns the address a certificate " +
		"was shown from, and the others let in only addresses that were learned:")
	c.verbatim("")
	for _, s := range h.services {
		c.verbatim(fmt.Sprintf("  %-22s %s, %s", s.host+"."+domain, s.name, s.note))
		if s.guard != nil {
			c.verbatim(fmt.Sprintf("  %-22s %s", "", c.paint(faint, plugin(h.options(s.guard, announced)))))
		}
	}
	c.verbatim("")
	c.text("Everything below happens now: real TLS connections to a real Traefik on this machine. The clients announce " +
		"made-up addresses by the PROXY protocol, as a load balancer in front of Traefik would.")
}

// plugin writes the plugin's options on one line.
func plugin(options map[string]any) string {
	text := ""
	for _, key := range []string{"mode", "store", "identities", "ttl", "maxIPsPerIdentity"} {
		if value, given := options[key]; given {
			text += fmt.Sprintf(", %s: %v", key, value)
		}
	}
	return "plugin {" + text[2:] + "}"
}
