package lab

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBuildReports(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("PATH", folder)
	if _, err := Build(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "needs the go command") {
		t.Errorf("without go: got %v", err)
	}
	for _, row := range []struct {
		name, script, progress string // the script is what "go build" does
		fault                  string // empty: none
	}{
		{"up to date", "", "", ""},
		{
			"250 packages", "i=0; while [ $i -lt 250 ]; do echo example.com/p$i >&2; i=$((i+1)); done",
			"building Traefik from source: the first time this takes about 5 minutes on 2 cores ...\n" +
				"100 packages compiled\n200 packages compiled\n250 packages compiled, build ended\n", "",
		},
		{
			"110 modules, 2 packages",
			"i=0; while [ $i -lt 110 ]; do echo go: downloading example.com/m$i v1.0.0 >&2; i=$((i+1)); done; " +
				"echo example.com/p >&2; echo example.com/q >&2",
			"building Traefik from source: the first time this takes about 5 minutes on 2 cores ...\n" +
				"100 modules downloaded, 0 packages compiled\n110 modules downloaded, 2 packages compiled, build ended\n", "",
		},
		{
			"a fault", "echo example.com/p >&2; echo 'p.go:1:2: undefined: x' >&2; exit 1",
			"building Traefik from source: the first time this takes about 5 minutes on 2 cores ...\n" +
				"1 packages compiled, build ended\n", "building Traefik failed: exit status 1\np.go:1:2: undefined: x",
		},
	} {
		script := `#!/bin/sh
if [ "$*" = "run ." ] && [ "${PWD##*/}" = lego ]; then echo prepared >"${0%/*}/lego"; exit; fi
[ -e "${0%/*}/lego" ] || exit 2
` + row.script + "\n"
		if err := os.WriteFile(filepath.Join(folder, "go"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		var progress strings.Builder
		_, err := Build(t.Context(), &progress)
		if fault := fmt.Sprint(err); progress.String() != row.progress || fault != cmp.Or(row.fault, "<nil>") {
			t.Errorf("%s: got %q and %q, want %q and %q", row.name, progress.String(), fault, row.progress, row.fault)
		}
	}
}

func TestBuildStepReportsItself(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("PATH", folder)
	if err := os.WriteFile(filepath.Join(folder, "go"), []byte("#!/bin/sh\necho example.com/p >&2\necho $PWD $* >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var progress strings.Builder
	_, err := BuildStep(t.Context(), &progress)
	const reported = "building step-ca and step from source: the first time this takes about 2 minutes on 2 cores ...\n1 packages compiled, build ended\n"
	if progress.String() != reported {
		t.Errorf("got %q, want %q", progress.String(), reported)
	}
	for _, want := range []string{"building step-ca and step failed: exit status 1", "/testdata/stepca build -v -o ", "/.cache/step/ github.com/smallstep/certificates/cmd/step-ca github.com/smallstep/cli/cmd/step"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
