package e2e

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runProgram runs a program of Debian's that listens, until the test ends, and returns when it accepts connections at all
// of addresses. Packages are those that it comes with.
func runProgram(t *testing.T, packages string, addresses []string, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath(filepath.Join("/usr/sbin", name)) // which is on root's PATH only
	}
	if err != nil {
		t.Fatalf("%s is missing: install it (Debian: apt-get install %s) and try again", name, packages)
	}
	var output bytes.Buffer // to be read when the program has ended
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that its children end with it
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var exit error
	go func() {
		defer close(ended)
		exit = cmd.Wait()
	}()
	t.Cleanup(func() {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		<-ended
		if err != nil { // there was nobody to ask
			t.Errorf("%s ended early: %v", name, exit)
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, output.String())
		}
	})
	deadline := time.After(30 * time.Second)
	for _, address := range addresses {
		for {
			conn, err := net.Dial("tcp", address)
			if err == nil {
				conn.Close()
				break
			}
			select {
			case <-ended:
				t.Fatalf("%s doesn't run: has this machine all of its packages (Debian: apt-get install %s)?", name, packages)
			case <-deadline:
				t.Fatalf("%s doesn't listen at %s: %v", name, address, err)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}

// runNginx runs nginx with configuration, which doesn't say where it complains.
func runNginx(t *testing.T, configuration string, addresses ...string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nginx.conf")
	if err := os.WriteFile(path, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	runProgram(t, "nginx libnginx-mod-stream", addresses, "nginx", "-e", "stderr", "-c", path, "-g", "daemon off;")
}

// replaced replaces all of each first text by the second. It is a mistake if there is none.
func replaced(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("there is no %q in:\n%s", pairs[i], text)
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}
