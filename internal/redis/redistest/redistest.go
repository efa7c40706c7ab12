// Package redistest runs a real redis-server for a test. Nothing but tests may import it.
package redistest

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The ports of the servers. They are below those that Linux gives to whoever wants any (net.ipv4.ip_local_port_range): so
// nobody gets a server's port by chance while the server is down.
const (
	firstPort = 20_000
	lastPort  = 29_999
)

// A Server is a redis-server on a port of its own, which it keeps when it is killed and started again.
type Server struct {
	Address string   // "127.0.0.1:<port>"
	Args    []string // for redis-server, when it is started the next time

	t       *testing.T
	port    string
	command *exec.Cmd // nil: it doesn't run
	exited  chan bool // capacity 1: the command has ended
}

// Start starts a server that ends with the test. It skips the test with -short: then there is no server.
func Start(t *testing.T, args ...string) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs a redis-server, and -short is for tests without")
	}
	for port := firstPort; port <= lastPort; port++ {
		reservation, err := reserve(port)
		if err != nil {
			continue
		}
		s := &Server{Address: fmt.Sprint("127.0.0.1:", port), Args: args, t: t, port: strconv.Itoa(port)}
		if s.run() {
			t.Cleanup(s.Kill) // the port stays reserved: what is left of this test isn't to meet another's server
			return s
		}
		_ = reservation.Close()
	}
	t.Fatal("redis-server starts on no port")
	return nil
}

// reserve takes a port for one server among those of all test processes. It ends with the process.
func reserve(port int) (net.Listener, error) {
	return net.Listen("tcp", fmt.Sprint("127.0.0.2:", port))
}

// Start starts a server again that was killed.
func (s *Server) Start() {
	s.t.Helper()
	Eventually(s.t, "redis-server starts again", s.run)
}

// run starts redis-server, and reports whether it answers, rather than ends because another has the port.
func (s *Server) run() bool {
	s.t.Helper()
	args := append([]string{"--bind", "127.0.0.1", "--port", s.port, "--save", "", "--appendonly", "no", "--dir", s.t.TempDir()}, s.Args...)
	command := exec.Command("redis-server", args...)
	if err := command.Start(); err != nil {
		s.t.Fatalf("redis-server is missing, which these tests need: install redis-server and try again: %v", err)
	}
	exited := make(chan bool, 1)
	go func(command *exec.Cmd, exited chan bool) {
		_ = command.Wait()
		exited <- true
	}(command, exited)
	s.command = command
	s.exited = exited
	own := fmt.Sprintf("process_id:%d\r\n", command.Process.Pid)
	answers := false
	Eventually(s.t, "redis-server answers or ends", func() bool {
		answers = strings.Contains(s.CLI("INFO", "server"), own)
		return answers || len(exited) > 0
	})
	if !answers {
		s.Kill()
	}
	return answers
}

// Kill ends the server at once.
func (s *Server) Kill() {
	if s.command == nil {
		return
	}
	_ = s.command.Process.Kill()
	<-s.exited
	s.command = nil
}

// Signal sends a signal by its name: Yaegi has none but those that end a program.
func (s *Server) Signal(name string) {
	s.t.Helper()
	if out, err := exec.Command("kill", "-"+name, strconv.Itoa(s.command.Process.Pid)).CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}

// Port returns the port.
func (s *Server) Port() string {
	return s.port
}

// CLI returns what redis-cli prints.
func (s *Server) CLI(args ...string) string {
	out, _ := exec.Command("redis-cli", append([]string{"-p", s.port}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out))
}

// Do has redis-cli do what must work.
func (s *Server) Do(args ...string) {
	s.t.Helper()
	out := s.CLI(args...)
	for _, wrong := range []string{"ERR", "NOAUTH", "WRONG", "Could not"} {
		if strings.Contains(out, wrong) {
			s.t.Fatalf("%v: got %s", args, out)
		}
	}
}

// Clients returns the ids of all connections but that of redis-cli, as in "id=7".
func (s *Server) Clients() []string {
	ids := []string{}
	for _, line := range strings.Split(s.CLI("CLIENT", "LIST", "TYPE", "NORMAL"), "\n") {
		if strings.HasPrefix(line, "id=") && !strings.Contains(line, "cmd=client|list") {
			ids = append(ids, strings.Fields(line)[0])
		}
	}
	return ids
}

// Eventually waits for an event, which must come within 20 seconds.
func Eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("not in 20 s: %s", what)
}
