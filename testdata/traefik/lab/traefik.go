// Package lab is the laboratory in which the real Traefik runs with the plugin: it builds Traefik, starts it with
// free ports, reconfigures it, and has certificates, clients at made-up public addresses and backends to go with it.
//
// It serves the end-to-end tests and the demo, so it knows nothing of package testing, and every failure is an error.
// It never guesses by time: what it returns from has happened.
package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// patience bounds every wait for Traefik that the caller did not bound more tightly.
const patience = 30 * time.Second

// Traefik is a running Traefik process. Its methods, except Addr and those of its Log, are for one goroutine at a time.
type Traefik struct {
	options    Options
	addresses  map[string]string
	log        *Log
	process    *process
	generation int
}

// Start runs Traefik and returns when the first dynamic configuration is live on all entry points. Ctx bounds Start,
// not the process: the caller ends it with Stop or Kill.
func Start(ctx context.Context, o Options) (*Traefik, error) {
	if err := o.prepare(); err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		t, err := o.start(ctx)
		// A port can be taken between its choice and Traefik's bind, say by a laboratory next to this one: choose again.
		if err != nil && attempt < 5 && strings.Contains(err.Error(), "address already in use") {
			continue
		}
		return t, err
	}
}

func (o Options) start(ctx context.Context) (*Traefik, error) {
	t := &Traefik{options: o, log: newLog(), generation: 1}
	var err error
	if t.addresses, err = o.writeStatic(); err != nil {
		return nil, err
	}
	if err := writeDynamic(o.Dir, o.Dynamic, t.generation); err != nil {
		return nil, err
	}
	if err := t.launch(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

// launch runs a process on the configuration in the work directory; when that fails none is left behind.
func (t *Traefik) launch(ctx context.Context) error {
	p, err := startProcess(t.options.Binary, t.options.Dir, t.log, t.options.Output)
	if err != nil {
		return err
	}
	t.process = p
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := p.await(ctx, t.generation); err != nil {
		return t.explain(errors.Join(err, p.kill()))
	}
	return nil
}

// Configure replaces the dynamic configuration and returns when the new one is live on all entry points. One that
// Traefik cannot read, for an unknown key say, never gets there: the error then shows Traefik's complaint.
func (t *Traefik) Configure(dynamic any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	t.generation++
	if err := writeDynamic(t.options.Dir, dynamic, t.generation); err != nil {
		return err
	}
	if err := t.process.await(ctx, t.generation); err != nil {
		return t.explain(err)
	}
	return nil
}

// Addr returns the host:port of an entry point; empty for an unknown one.
func (t *Traefik) Addr(entryPoint string) string { return t.addresses[entryPoint] }

// Log returns what Traefik wrote on stdout and stderr, over all restarts.
func (t *Traefik) Log() *Log { return t.log }

// Pid returns the process id of the current or last process.
func (t *Traefik) Pid() int { return t.process.cmd.Process.Pid }

// Stop asks Traefik to end and waits; when ctx ends first it kills Traefik and returns an error. It also returns an
// error when Traefik had ended by itself.
func (t *Traefik) Stop(ctx context.Context) error {
	if err := t.process.stop(ctx); err != nil {
		return t.explain(err)
	}
	return nil
}

// Kill ends Traefik at once, without a chance to clean up, and waits.
func (t *Traefik) Kill() error { return t.process.kill() }

// Restart stops Traefik, unless it was stopped or killed, and starts it again on the same ports with the same
// dynamic configuration; it returns when that is live.
func (t *Traefik) Restart(ctx context.Context) error {
	if err := t.Stop(ctx); err != nil {
		return err
	}
	return t.launch(ctx)
}

func (t *Traefik) explain(err error) error {
	return fmt.Errorf("%w\nthe end of its log:\n%s", err, t.log.tail())
}
