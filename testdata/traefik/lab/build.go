package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/term"
)

// pluginModule is the plugin's module path, also the folder Traefik looks for it under plugins-local.
const pluginModule = "github.com/mtlsallowlist/mtlsallowlist"

// Root returns the folder of the plugin's module: the repository root around the working directory.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		for line := range strings.Lines(string(data)) {
			if strings.TrimSpace(line) == "module "+pluginModule {
				return dir, nil
			}
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod of module %s in or above %s", pluginModule, start)
		}
	}
}

// A source is what programs are built from.
type source struct {
	name     string   // for people
	duration string   // of the first build, likewise
	module   string   // the nested module's folder in testdata
	packages []string // of the programs
	first    string   // the folder in testdata of a program that has to run before; empty: none
}

// Build makes the real Traefik from the nested module and returns the path of its binary. The first build takes
// minutes and is reported on progress; when everything is up to date nothing is written and it takes seconds.
func Build(ctx context.Context, progress io.Writer) (string, error) {
	return build(ctx, progress, "traefik", source{
		"Traefik", "about 5 minutes", "traefik", []string{"github.com/traefik/traefik/v3/cmd/traefik"}, "lego",
	})
}

// BuildStep makes the certificate authority step-ca and its client step, as Build does Traefik, and returns the folder
// that they are in.
func BuildStep(ctx context.Context, progress io.Writer) (string, error) {
	return build(ctx, progress, "step", source{
		"step-ca and step", "about 2 minutes", "stepca",
		[]string{"github.com/smallstep/certificates/cmd/step-ca", "github.com/smallstep/cli/cmd/step"}, "",
	})
}

// build makes the programs of s, and returns the path of output in the cache: the program, or their folder.
func build(ctx context.Context, progress io.Writer, output string, s source) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("building %s needs the go command: %w", s.name, err)
	}
	path := filepath.Join(root, ".cache", output)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	// go test runs packages side by side: the second to come waits for the first rather than compile all of it too.
	lock := flock.New(path + ".lock")
	if _, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		return "", fmt.Errorf("waiting for another build of %s: %w", s.name, err)
	}
	defer lock.Unlock() //nolint:errcheck // it ends with the process anyway

	if s.first != "" {
		cmd := exec.CommandContext(ctx, tool, "run", ".")
		cmd.Dir = filepath.Join(root, "testdata", s.first)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if complaints, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("preparing the build of %s failed: %w\n%s", s.name, err, complaints)
		}
	}
	output = path
	if len(s.packages) > 1 {
		output += string(filepath.Separator) // go's sign for a folder
	}
	arguments := append([]string{"build", "-v", "-o", output}, s.packages...)
	cmd := exec.CommandContext(ctx, tool, arguments...)
	cmd.Dir = filepath.Join(root, "testdata", s.module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	done, complaints := &counter{source: s, out: progress, terminal: isTerminal(progress)}, newLog()
	lines := &lineWriter{line: func(line string) {
		switch {
		case strings.HasPrefix(line, "go: downloading "):
			done.download()
		case strings.Contains(line, " "):
			complaints.add(line)
		default: // with -v a line without a space is the import path of a package that is being compiled
			done.compile()
		}
	}}
	cmd.Stdout, cmd.Stderr = lines, lines
	err = cmd.Run()
	lines.flush()
	done.end()
	if err != nil {
		return "", fmt.Errorf("building %s failed: %w\n%s", s.name, err, complaints.tail())
	}
	return path, nil
}

// counter shows how much was done: in place on a terminal, else a line now and then. With an empty module cache go
// first downloads some hundred modules.
type counter struct {
	source
	out               io.Writer
	terminal          bool
	modules, packages int
}

func (c *counter) download() {
	c.begin()
	c.modules++
	c.show(c.modules)
}

func (c *counter) compile() {
	c.begin()
	c.packages++
	c.show(c.packages)
}

func (c *counter) begin() {
	if c.modules+c.packages == 0 {
		fmt.Fprintf(c.out, "building %s from source: the first time this takes %s on 2 cores ...\n", c.name, c.duration)
	}
}

// show writes how much was done, after the count of one of both has changed.
func (c *counter) show(changed int) {
	switch {
	case c.terminal:
		fmt.Fprintf(c.out, "\r%s", c)
	case changed%100 == 0:
		fmt.Fprintln(c.out, c)
	}
}

func (c *counter) end() {
	switch {
	case c.modules+c.packages == 0:
	case c.terminal:
		fmt.Fprintln(c.out)
	default:
		fmt.Fprintf(c.out, "%s, build ended\n", c)
	}
}

func (c *counter) String() string {
	packages := fmt.Sprintf("%d packages compiled", c.packages)
	if c.modules == 0 {
		return packages
	}
	return fmt.Sprintf("%d modules downloaded, %s", c.modules, packages)
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
