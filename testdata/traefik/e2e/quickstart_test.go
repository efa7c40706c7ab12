package e2e

import (
	"crypto/tls"
	"fmt"
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

// curlAt makes a folder whose curl settings lead every host to the home's Traefik, and returns it with curl's variable for it.
func curlAt(t *testing.T) (folder, variable string) {
	t.Helper()
	folder = t.TempDir()
	settings := fmt.Sprintf("insecure\nconnect-to = \"::%s\"\n", home.traefik.Addr("websecure"))
	if err := os.WriteFile(filepath.Join(folder, ".curlrc"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder, "CURL_HOME=" + folder
}

// TestHostsThatAreChecked runs the script of docs/checking.md in a household in which one hidden host has been forgotten.
func TestHostsThatAreChecked(t *testing.T) {
	h := plain(nil, nil)
	h.Routes[2].Middleware = ""
	h.live(t)
	folder, variable := curlAt(t)
	c := command(t, folder, []string{variable}, "checking/hosts.sh", "ha.home.example", "photos.home.example", "files.home.example")
	got := string(check.Must(c.Output())(t))
	if want := "000 ha.home.example\n403 photos.home.example\n200 files.home.example\n"; got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

// TestRevokingByCurl runs the script of docs/status.md.
func TestRevokingByCurl(t *testing.T) {
	h := plain(options{"allowPrivate": true}, nil)
	h.Plugins["status"] = options{"mode": "status"}
	h.Routes = append(h.Routes, route{Host: "allowlist", Middleware: "status", TLS: "verified", Service: "noop@internal"})
	configuration := h.dynamic(t)
	configuration.HTTP.Routers["allowlist3"].Rule = "Host(`allowlist.example.com`)"
	live(t, configuration)
	folder, variable := curlAt(t)
	for name, pem := range map[string][]byte{"phone.crt": lab.CertPEM(home.Phone), "phone.key": check.Must(lab.KeyPEM(home.Phone))(t)} {
		if err := os.WriteFile(filepath.Join(folder, name), pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	walk(t, step{"", &home.Phone, "ha", "200"}, step{"", nil, "photos", "200"})
	got := string(check.Must(command(t, folder, []string{variable}, "status/revoke.sh").Output())(t))
	if !strings.Contains(got, `"ended": 1`) {
		t.Errorf("got %s, want one grant ended", got)
	}
	walk(t, step{"", nil, "photos", "403"})
}

// TestAnEntryPointThatIsGuarded is about the example "entrypoint": its routers have no middleware.
func TestAnEntryPointThatIsGuarded(t *testing.T) {
	o := startExample(t, "entrypoint", "    http:\n", "    proxyProtocol: {trustedIPs: [127.0.0.1/32]}\n    http:\n")
	const phone, stranger = "203.0.113.7", "198.51.100.66"
	traefik := o.Addr("websecure")
	if got := o.Log().Count("rejected"); got != 0 {
		t.Errorf("got %d rejections in the log before anybody has come", got)
	}
	walk(t,
		visit{"before any proof", "", phone, traefik, nil, "photos", nil, "404"},
		visit{"without a certificate", "", phone, traefik, nil, "home", nil, "certificate required"},
		visit{"the proof", "", phone, traefik, &home.Phone, "home", nil, "200"},
		visit{"the next request", "", phone, traefik, nil, "photos", nil, "200"},
		visit{"a stranger", "", stranger, traefik, nil, "photos", nil, "404"},
	)
	if got := o.learned(t); len(got) != 1 || got[0] != phone {
		t.Errorf("got learned %v, want %s", got, phone)
	}
}
