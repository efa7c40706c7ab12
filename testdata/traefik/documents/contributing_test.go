package documents

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
)

// TestTheQuickLoop types what CONTRIBUTING.md says.
func TestTheQuickLoop(t *testing.T) {
	blocks := Blocks(readAll(t), "CONTRIBUTING.md", "sh")
	if len(blocks) == 0 {
		t.Fatal("it says nothing")
	}
	for _, block := range blocks {
		for command := range strings.Lines(block.Text) {
			shell := exec.Command("sh", "-ec", command)
			shell.Dir = root
			for _, variable := range os.Environ() {
				if name, _, _ := strings.Cut(variable, "="); name != "CGO_ENABLED" && !strings.HasPrefix(name, "MAKE") && name != "MFLAGS" {
					shell.Env = append(shell.Env, variable) // but what the make around this test has set
				}
			}
			if output, err := shell.CombinedOutput(); err != nil {
				t.Errorf("%s%v\n%s", command, err, output)
			} else if strings.Contains(string(output), "no tests to run") {
				t.Errorf("%sruns no test:\n%s", command, output)
			}
		}
	}
}

// TestTheDocumentsNameTargetsThatExist is about "make something", wherever they say so.
func TestTheDocumentsNameTargetsThatExist(t *testing.T) {
	help := exec.Command("make", "help")
	help.Dir = root
	output := check.Must(help.Output())(t)
	var targets []string
	for _, line := range regexp.MustCompile(`(?m)^make (\S+) +\S`).FindAllStringSubmatch(string(output), -1) {
		targets = append(targets, line[1])
	}
	targets = append(targets, "help")
	named := 0
	for _, d := range readAll(t) {
		for _, name := range regexp.MustCompile("(?m)(?:`|^    |^)make ([a-z-]+)").FindAllStringSubmatch(d.Text, -1) {
			named++
			if !slices.Contains(targets, name[1]) {
				t.Errorf("%s: make %s: no such target in make help", d.Name, name[1])
			}
		}
	}
	if named == 0 || len(targets) < 10 {
		t.Errorf("got %d names of %d targets", named, len(targets))
	}
}

// TestTheMapHasEveryRoom wants each folder with code in CONTRIBUTING.md or docs/architecture.md.
func TestTheMapHasEveryRoom(t *testing.T) {
	text := ""
	for _, d := range readAll(t) {
		if d.Name == "CONTRIBUTING.md" || d.Name == "docs/architecture.md" {
			text += d.Text
		}
	}
	for _, pattern := range []string{"*.go", "internal/*", "testdata/*", "testdata/traefik/*"} {
		for _, found := range check.Must(filepath.Glob(filepath.Join(root, pattern)))(t) {
			name := filepath.Base(found)
			if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "go.") || name == "traefik" || name == "packages.sh" {
				continue
			}
			if !strings.Contains(text, name) {
				t.Errorf("the map lacks %s", found)
			}
		}
	}
}
