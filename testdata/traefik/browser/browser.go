// Package browser drives the real Chromium, as Debian packages it, against a server on this machine: for end-to-end
// tests of a web page behind mutual TLS. It trusts the laboratory's authority as a user would, presents a client
// certificate without asking, clicks, takes pictures, and collects everything that goes wrong in the page.
//
// It needs Debian's packages chromium and libnss3-tools, no display and no rights beyond the user's. Outside of
// its work directory it leaves nothing behind, and it reaches no host but those it is given, all on loopback. It does
// not look into frames of other sites, further tabs or dialogs. Like package lab it knows nothing of package testing.
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// patience bounds every wait for Chromium.
const patience = 30 * time.Second

// Browser is a running Chromium with one tab. Its methods are for one goroutine at a time; any number of browsers can
// run side by side.
type Browser struct {
	tab      context.Context // chromedp's handle of the tab; ends with Chromium
	kill     func() error    // ends Chromium at once, unless it has ended, waits and cleans up
	problems *problems
}

// Start runs Chromium and returns when its tab, empty and 1280 pixels wide in light colours, takes orders. Ctx bounds
// Start, not the browser: the caller ends it with Close.
func Start(ctx context.Context, o Options) (*Browser, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	program, err := lookUp("chromium", "chromium")
	if err != nil {
		return nil, err
	}
	// Not in the work directory, whose path may be too long for the socket that Chromium makes there.
	scratch, err := os.MkdirTemp("", "chromium")
	if err != nil {
		return nil, err
	}
	flags, err := o.prepare(ctx, scratch)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(scratch))
	}
	allocator, release := chromedp.NewExecAllocator(context.Background(), append(flags, chromedp.ExecPath(program))...)
	tab, end := chromedp.NewContext(allocator)
	b := &Browser{tab: tab, kill: func() error {
		end()
		release()
		return os.RemoveAll(scratch)
	}}
	unbind := context.AfterFunc(ctx, end)
	err = b.begin()
	if !unbind() {
		err = ctx.Err() // rather than what its end has caused
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting Chromium: %w", err), b.kill())
	}
	return b, nil
}

// begin starts the process and makes the tab ready.
func (b *Browser) begin() error {
	// On the tab itself, as here, and on no context with a time limit: Chromium lives as long as this one.
	if err := chromedp.Do(b.tab); err != nil {
		return err
	}
	b.problems = newProblems(chromedp.FromContext(b.tab).Target.TargetID)
	if err := chromedp.Listen(b.tab, b.problems.see); err != nil {
		return err
	}
	if _, err := run(b, command(audits.Enable, cdp.Empty{})); err != nil {
		return err
	}
	return b.View(1280, Light)
}

// Close ends Chromium and waits until its processes have ended. It is called once.
func (b *Browser) Close() error {
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	if err := errors.Join(chromedp.Cancel(ctx), b.kill()); err != nil {
		return fmt.Errorf("closing Chromium: %w", err)
	}
	return nil
}

// run runs action in b's tab.
func run[T any](b *Browser, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer in %v: %w", patience, err)
	}
	return result, err
}

// command makes an action of one command of Chromium's DevTools protocol.
func command[P, R any](command cdp.Command[P, R], params P) chromedp.Action[R] {
	return func(ctx context.Context, t *chromedp.Target) (R, error) {
		return cdp.Call(ctx, t, command, params)
	}
}

// lookUp returns the path of program, which is part of a package of Debian.
func lookUp(program, debian string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is missing, install the Debian package %s: %w", program, debian, err)
	}
	return path, nil
}
