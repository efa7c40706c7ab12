// Package redis runs real Redis servers for tests.
package redis

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// patience bounds every wait for a server, or for redis-cli.
const patience = 20 * time.Second

// A Server is a redis-server on a port of its own. It keeps nothing on disk but what makes it part of a cluster, and ends
// with its test. Its methods are for one goroutine at a time, except CLI and Clients.
type Server struct {
	Address string   // host:port
	Args    []string // of redis-server; a configuration file comes first. With --tls-port, it speaks nothing but TLS
	CLIArgs []string // of redis-cli
	Clock   *Clock   // nil: that of the machine
	t       testing.TB
	dir     string
	process *exec.Cmd    // nil: none runs
	output  bytes.Buffer // to be read when none runs
}

// Start runs a server with some arguments, and returns when it answers.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := New(t, args...)
	s.Start()
	return s
}

// New returns a server that doesn't run yet.
func New(t testing.TB, args ...string) *Server {
	t.Helper()
	addresses, err := lab.FreeAddresses(1)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Address: addresses[0], Args: args, t: t, dir: t.TempDir()}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("Redis wrote:\n%s", s.output.String())
		}
	})
	return s
}

// Port returns that of Address.
func (s *Server) Port() string {
	_, port, _ := net.SplitHostPort(s.Address)
	return port
}

// Start runs the server, empty, and returns when it answers.
func (s *Server) Start() {
	s.t.Helper()
	port := s.Port()
	if slices.Contains(s.Args, "--tls-port") {
		port = "0"
	}
	args := slices.Concat(s.Args, []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", s.dir})
	s.process = exec.Command(s.program("redis-server"), args...)
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if s.Clock != nil {
		s.process.Env = append(os.Environ(), s.Clock.variables()...)
	}
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	said := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		said = s.CLI("PING")
		if said == "PONG" || strings.Contains(said, "NOAUTH") {
			return
		}
	}
	s.t.Fatalf("redis-server doesn't answer: %s", said)
}

// Kill ends the server at once, if it runs, and waits.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait() // killed
	s.process = nil
}

// Hang stops the server: its connections stay, and new ones are accepted by the kernel, but nobody answers.
func (s *Server) Hang() { s.signal(syscall.SIGSTOP) }

// GoOn ends that.
func (s *Server) GoOn() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(signal os.Signal) {
	s.t.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// CLI runs a command by redis-cli, and returns what it prints, without the end of the last line. What fails, it prints.
func (s *Server) CLI(command ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args := slices.Concat([]string{"-p", s.Port()}, s.CLIArgs, command)
	out, _ := exec.CommandContext(ctx, s.program("redis-cli"), args...).CombinedOutput()
	return strings.TrimRight(string(out), "\n")
}

// program returns the path of a program of Redis.
func (s *Server) program(name string) string {
	s.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		s.t.Fatalf("%s is missing, which these tests need: install redis-server and try again", name)
	}
	return path
}

// Clients returns the connections, but for redis-cli's own, as CLIENT LIST tells of them.
func (s *Server) Clients() []string {
	s.t.Helper()
	clients := []string{}
	for line := range strings.Lines(s.CLI("CLIENT", "LIST", "TYPE", "normal")) {
		if strings.HasPrefix(line, "id=") && !strings.Contains(line, " cmd=client|list ") {
			clients = append(clients, strings.TrimSpace(line))
		}
	}
	return clients
}
