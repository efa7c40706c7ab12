package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// debian are stand-ins for what make test calls, by name. Each tells on calls what it was called for.
var debian = map[string]string{
	"go":         `if [ "$*" = "env CC" ]; then echo gcc; else echo "go $*" >>"$calls"; exit 1; fi`, // so nothing is built
	"id":         `echo "${uid:-0}"`,
	"dpkg-query": `case " $lacking " in *" $4 "*) ! [ -e "$installed" ] || printf installed;; *) printf installed;; esac`,
	"apt-get": `echo "apt-get $* (frontend $DEBIAN_FRONTEND)" >>"$calls"; [ -z "$offline" ] || exit 100
if [ "$1" = install ]; then >"$installed"; for program in $brings; do /bin/cp "$0" "${0%/*}/$program"; done; fi`,
	"sudo":     `echo "sudo $1 $2" >>"$calls"; [ "$1" = -n ] && [ -z "$password" ] || exit 1; shift; exec "$@"`,
	"sh":       `exec /bin/sh "$@"`,
	"true":     ``,
	"chromium": ``, "curl": ``, "certutil": ``, "nginx": ``, "openssl": ``, "redis-server": ``, "redis-cli": ``, "socat": ``, "gcc": ``,
}

func TestMakeTestInstallsWhatIsMissing(t *testing.T) {
	const (
		update  = "apt-get update -q (frontend )\n"
		install = "apt-get install -qy --no-install-recommends"
		quiet   = " (frontend noninteractive)\n"
		command = "sh -c 'apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends"
		build   = "go build -o ../../.cache/progress ./progress\n" // the first of make test's own
	)
	for _, row := range []struct {
		name, missing string // programs
		env           []string
		calls, says   string
	}{
		{"nothing is missing", "", nil, build, ""},
		{
			"root lacks programs, and packages that bring none", "chromium certutil gcc", []string{"lacking=libc6-dev libnginx-mod-stream"},
			update + install + " gcc libc6-dev chromium libnss3-tools libnginx-mod-stream" + quiet + build,
			"installing Debian packages: gcc libc6-dev chromium libnss3-tools libnginx-mod-stream",
		},
		{"root lacks one of a package's programs", "redis-cli", nil, update + install + " redis-server" + quiet + build, "packages: redis-server"},
		{
			"others with a sudo that asks nothing", "socat", []string{"uid=1000"},
			"sudo -n true\nsudo -n sh\n" + update + install + " socat" + quiet + build, "installing Debian packages: socat",
		},
		{
			"others with a sudo that asks for a password", "curl openssl", []string{"uid=1000", "password=yes"},
			"sudo -n true\n", "    sudo " + command + " curl openssl'\n",
		},
		{"others without sudo", "socat sudo", []string{"uid=1000"}, "", "    su - " + command[3:] + " socat'\n"},
		{
			"no Debian", "socat chromium apt-get dpkg-query", nil, "",
			"These programs are missing, which the tests need: chromium socat. Install them (Debian's packages: chromium socat) and try again.\n",
		},
		{"a package that brings nothing", "socat", []string{"brings="}, update + install + " socat" + quiet, "These are still missing: socat.\n"},
		{"no network", "socat", []string{"offline=yes"}, update, "Installing these packages failed, see above: socat.\n"},
		{"no Go", "go", nil, "", "Go is missing"},
	} {
		t.Run(row.name, func(t *testing.T) {
			output, calls := makeIn(t, row.missing, row.env, "test")
			if calls != row.calls {
				t.Errorf("got the calls\n%s\nwant\n%s\nmake wrote\n%s", calls, row.calls, output)
			}
			if !strings.Contains(output, row.says) {
				t.Errorf("got\n%s\nwant %q", output, row.says)
			}
		})
	}
}

func TestTheDemoNeedsOnlyGo(t *testing.T) {
	output, calls := makeIn(t, "chromium curl certutil nginx openssl redis-server redis-cli socat gcc apt-get sudo", nil, "demo")
	if calls != "go run ./lab/build\n" { // the first of make demo's own
		t.Errorf("got the calls\n%s\nmake wrote\n%s", calls, output)
	}
}

func TestMakeSaysHowLongItTakes(t *testing.T) {
	for _, target := range []string{"demo", "test"} {
		output, _ := makeIn(t, "", nil, target)
		if line, _, _ := strings.Cut(output, "\n"); !strings.Contains(line, "minutes") || !strings.Contains(line, "first time") {
			t.Errorf("make %s begins with %q, want how long it takes", target, line)
		}
	}
}

// makeIn runs make for a target at the repository root, on a Debian of stand-ins from which the missing programs are taken,
// and returns what it writes, and what was called.
func makeIn(t *testing.T, missing string, env []string, target string) (output, calls string) {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	tool, err := exec.LookPath("make")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, script := range debian {
		if strings.Contains(" "+missing+" ", " "+name+" ") {
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	record := filepath.Join(t.TempDir(), "calls")
	cmd := exec.Command(tool, target)
	cmd.Dir = root
	cmd.Env = append([]string{
		"PATH=" + folder, "calls=" + record, "installed=" + filepath.Join(folder, "installed"), "brings=" + missing,
	}, env...)
	written, err := cmd.CombinedOutput()
	if err == nil { // go fails
		t.Errorf("make %s went well", target)
	}
	called, err := os.ReadFile(record)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(written), string(called)
}
