// Command lego makes what testdata/traefik/go.mod has Traefik built with instead of lego, the ACME client that is a third
// of Traefik's compile time: lego of the same version, from the module proxy, without its DNS providers. So the ACME DNS
// challenge can't be used in this Traefik; nothing here needs it, and everything else of ACME is as it was. Some of what
// those providers import the module proxy doesn't have.
//
// It is a module of its own, since no go command works in testdata/traefik before it has run.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// kept are lego's folders that Traefik uses. lego's own programs are in the others.
var kept = []string{"acme", "certcrypto", "certificate", "challenge", "internal", "lego", "log", "platform", "registration"}

// providers is what stands for lego's package providers/dns.
const providers = `// Package dns stands for lego's DNS providers, which are left out.
package dns

import (
	"fmt"

	"github.com/go-acme/lego/v5/challenge"
)

// NewDNSChallengeProviderByName fails for each name.
func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	return nil, fmt.Errorf("DNS provider %q: this Traefik was built for tests, without DNS providers", name)
}
`

func main() {
	if err := run("../../.cache/make-lego"); err != nil {
		fmt.Fprintln(os.Stderr, "lego:", err)
		os.Exit(1)
	}
}

// run makes the folder of lego's version in the folder into, unless it is there.
func run(into string) error {
	// Without arguments that is all in go.mod: lego.
	output, err := exec.Command("go", "mod", "download", "-json").Output()
	var module struct{ Version, Dir, Error string }
	if err := errors.Join(err, json.Unmarshal(output, &module)); err != nil {
		return fmt.Errorf("go mod download: %w %s", err, module.Error)
	}
	folder := filepath.Join(into, module.Version)
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(into, 0o755); err != nil {
		return err
	}
	// Others may be making it, too: it appears as a whole or not at all.
	draft, err := os.MkdirTemp(into, "draft")
	if err != nil {
		return err
	}
	defer os.RemoveAll(draft)
	if err := fill(draft, module.Dir); err != nil {
		return err
	}
	if err := os.Rename(draft, folder); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// fill copies from the folder lego what is kept of it.
func fill(draft, lego string) error {
	for _, name := range kept {
		if err := os.CopyFS(filepath.Join(draft, name), os.DirFS(filepath.Join(lego, name))); err != nil {
			return err
		}
	}
	for _, name := range []string{"go.mod", "LICENSE"} {
		data, err := os.ReadFile(filepath.Join(lego, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(draft, name), data, 0o644); err != nil {
			return err
		}
	}
	folder := filepath.Join(draft, "providers", "dns")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "dns.go"), []byte(providers), 0o644)
}
