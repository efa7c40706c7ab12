package mtlsallowlist

import (
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A redisServer is a real redis-server on a port of its own.
type redisServer struct {
	t       *testing.T
	address string
	args    []string
	command *exec.Cmd
}

func startRedis(t *testing.T, args ...string) *redisServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	s := &redisServer{t: t, address: address, args: args}
	s.start()
	t.Cleanup(func() { s.kill() })
	return s
}

func (s *redisServer) port() string {
	_, port, _ := strings.Cut(s.address, ":")
	return port
}

func (s *redisServer) start() {
	s.t.Helper()
	args := append([]string{"--bind", "127.0.0.1", "--port", s.port(), "--save", "", "--appendonly", "no", "--dir", s.t.TempDir()}, s.args...)
	s.command = exec.Command("redis-server", args...)
	if err := s.command.Start(); err != nil {
		s.t.Fatalf("redis-server is missing, which these tests need: install redis-server and try again: %v", err)
	}
	eventually(s.t, "Redis answers", func() bool { return s.cli("PING") == "PONG" })
}

func (s *redisServer) kill() {
	_ = s.command.Process.Kill()
	_ = s.command.Wait()
}

// signal sends a signal by its name: Yaegi has none but those that end a program.
func (s *redisServer) signal(name string) {
	s.t.Helper()
	if out, err := exec.Command("kill", "-"+name, strconv.Itoa(s.command.Process.Pid)).CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}

// cli returns what redis-cli prints.
func (s *redisServer) cli(args ...string) string {
	out, _ := exec.Command("redis-cli", append([]string{"-p", s.port()}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out))
}

// does has redis-cli do what must work.
func (s *redisServer) does(args ...string) {
	s.t.Helper()
	out := s.cli(args...)
	for _, wrong := range []string{"ERR", "NOAUTH", "WRONG", "Could not"} {
		if strings.Contains(out, wrong) {
			s.t.Fatalf("%v: got %s", args, out)
		}
	}
}

// connections returns how many there are but that of redis-cli.
func (s *redisServer) connections() int {
	return strings.Count(s.cli("CLIENT", "LIST", "TYPE", "NORMAL"), "id=") - 1
}

// eventually waits for an event, which must come within 20 seconds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("not in 20 s: %s", what)
}
