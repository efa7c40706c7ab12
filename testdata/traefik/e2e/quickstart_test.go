package e2e

import (
	"crypto/tls"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// upstream makes a repository with the plugin and the examples as they are here, and returns git's variables that lead the
// readme's address to it.
func upstream(t *testing.T) []string {
	t.Helper()
	root, dir := check.Must(lab.Root())(t), t.TempDir()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := check.Must(filepath.Rel(root, path))(t)
		switch {
		case name == ".git" || name == ".cache" || name == "testdata":
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil // .git of a worktree
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(dir, name), 0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{
		{"init", "-q"},
		{"add", "-A", "-f"},
		{"-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgSign=false", "commit", "-q", "-m", "all"},
	} {
		git := exec.CommandContext(t.Context(), "git", arguments...)
		git.Dir = dir
		run(t, git)
	}
	return []string{
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url.file://" + dir + ".insteadOf",
		"GIT_CONFIG_VALUE_0=https://github.com/mtlsallowlist/mtlsallowlist",
	}
}

// TestTheQuickStart types what the readme says, in an empty folder, with the Traefik that was built, and wants the codes that
// the readme names. Only the port is another: somebody may have it.
func TestTheQuickStart(t *testing.T) {
	typed := documented(t, "readme.md", "sh")
	if len(typed) != 3 {
		t.Fatalf("got %d blocks of commands, want those that prepare, start and check", len(typed))
	}
	began, dir, programs := time.Now(), t.TempDir(), t.TempDir()
	if err := os.Symlink(home.Binary, filepath.Join(programs, "traefik")); err != nil {
		t.Fatal(err)
	}
	address := check.Must(lab.FreeAddresses(1))(t)[0]
	port := address[strings.LastIndex(address, ":"):]
	variables := append(upstream(t), "PATH="+programs+":"+os.Getenv("PATH"))
	shell := func(command string) *exec.Cmd {
		c := exec.CommandContext(t.Context(), "sh", "-ec", strings.ReplaceAll(command, ":8443", port))
		c.Dir, c.Env = dir, append(os.Environ(), variables...)
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // OpenSSL asks a terminal if there is one
		return c
	}

	prepare := shell(typed[0].Text)
	prepare.Stdin = strings.NewReader(p12Password + "\n" + p12Password + "\n")
	run(t, prepare)
	for _, name := range []string{"quickstart/traefik.yml", "quickstart/dynamic.yml"} {
		if got := string(check.Must(os.ReadFile(filepath.Join(dir, filepath.Base(name))))(t)); got != exampleFile(t, name) {
			t.Errorf("the folder has another %s than the examples:\n%s", filepath.Base(name), got)
		}
	}
	change := func(file, from, to string) {
		t.Helper()
		path := filepath.Join(dir, file)
		text := replaced(t, string(check.Must(os.ReadFile(path))(t)), from, to)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change("traefik.yml", ":8443", port)

	traefik := shell("exec " + typed[1].Text)
	traefik.Cancel = nil // it ends when the test says so
	log := check.Must(os.Create(filepath.Join(t.TempDir(), "log")))(t)
	defer log.Close()
	traefik.Stdout, traefik.Stderr = log, log
	logged := func() string { return string(check.Must(os.ReadFile(log.Name()))(t)) }
	if err := traefik.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := traefik.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := traefik.Wait(); t.Failed() {
			t.Logf("traefik ended with %v, and wrote:\n%s", err, logged())
		}
	})
	stranger := func() int {
		c := keep(t, lab.ClientOptions{Local: "127.0.0.3", Target: "127.0.0.1" + port, TLS: &tls.Config{InsecureSkipVerify: true}})
		response, err := c.Get("https://dashboard.localhost/api/overview")
		if err != nil {
			return 0
		}
		return response.Status
	}
	check.Eventually(t, "the enforcer is there", func() bool { return stranger() == http.StatusForbidden })

	expected := regexp.MustCompile(`# (\d{3}): (.*)`)
	for line := range strings.Lines(typed[2].Text) {
		want := expected.FindStringSubmatch(line)
		if want == nil {
			t.Fatalf("what does this say? %s", line)
		}
		got, err := shell(line).CombinedOutput()
		if err != nil || strings.TrimSpace(string(got)) != want[1] {
			t.Errorf("%s: got %s (%v), want %s", want[2], got, err, want[1])
		}
		if strings.Contains(want[2], "app") {
			t.Logf("from an empty folder to the app's answer: %.1f s", time.Since(began).Seconds())
		}
	}
	for line := range strings.Lines(logged()) {
		// The Traefik that was built here comes without the dashboard's pages.
		if strings.Contains(line, "ERR") && !strings.Contains(line, "Error appending dashboard to API router") {
			t.Errorf("Traefik complains: %s", line)
		}
	}

	change("dynamic.yml", "          # rejectStatusCode", "          rejectStatusCode")
	check.Eventually(t, "the last step: 404", func() bool { return stranger() == http.StatusNotFound })
}
