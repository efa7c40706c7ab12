package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// errEnded says that the process ended when it was still needed.
var errEnded = errors.New("Traefik has ended early")

// process is one run of the Traefik binary.
type process struct {
	cmd   *exec.Cmd
	marks *Log            // the lines that say which generation of the dynamic configuration is live
	alive context.Context // ends with the process, after its last line was read
	exit  error           // what Wait returned; set when alive ends
	asked bool            // to end
}

// startProcess runs binary in dir with the static configuration of that folder; its lines go to log and out.
func startProcess(binary, dir string, log *Log, out io.Writer) (*process, error) {
	alive, end := context.WithCancelCause(context.Background())
	p := &process{cmd: exec.Command(binary, "--configFile="+staticFile), marks: newLog(), alive: alive}
	output := &lineWriter{line: func(line string) {
		if isMark(line) {
			p.marks.add(line) // ours, and the error it reports is none
			return
		}
		log.add(line)
		if out != nil {
			fmt.Fprintln(out, line)
		}
	}}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = output, output
	if err := p.cmd.Start(); err != nil {
		end(err)
		return nil, fmt.Errorf("starting Traefik: %w", err)
	}
	go func() {
		p.exit = p.cmd.Wait()
		output.flush()
		end(errEnded)
	}()
	return p, nil
}

// await returns when the dynamic configuration of that generation is live, or an error when the process or ctx ends
// first.
func (p *process) await(ctx context.Context, generation int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.alive, func() { cancel(errEnded) })()
	_, err := p.marks.Wait(ctx, markerRouter(generation)+"@file")
	if errors.Is(err, errEnded) {
		return fmt.Errorf("%w: %w", errEnded, p.exit)
	}
	if err != nil {
		return fmt.Errorf("Traefik has not applied its dynamic configuration: %w", err)
	}
	return nil
}

// stop asks the process to end and waits; when ctx ends first it is killed.
func (p *process) stop(ctx context.Context) error {
	if p.alive.Err() != nil {
		if p.asked {
			return nil
		}
		return fmt.Errorf("%w: %w", errEnded, p.exit)
	}
	p.asked = true
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping Traefik: %w", err)
	}
	select {
	case <-p.alive.Done():
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("stopping Traefik: %w", ctx.Err()), p.kill())
	}
	if p.exit != nil {
		return fmt.Errorf("stopping Traefik: %w", p.exit)
	}
	return nil
}

// kill ends the process at once and waits.
func (p *process) kill() error {
	p.asked = true
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing Traefik: %w", err)
	}
	<-p.alive.Done()
	return nil
}
