package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"go/ast"
	"os"
	"path/filepath"
	"sync"
)

// A cache keeps the outcomes of earlier runs. Each counts as long as the mutant's own file is the same and, of a killed
// one, the test that killed it. One that has survived is run again after any change to the code or the tests of any
// package. It is safe for concurrent use.
type cache struct {
	path  string            // empty: it isn't kept
	whole string            // a hash of all packages with their tests
	tests map[string]string // hashes of the tests by qualified name

	mu       sync.Mutex
	outcomes map[string]cached // by the hash of the changed file
	used     map[string]bool
}

type cached struct {
	outcome
	Of string `json:"of"` // a hash of what it depends on, besides the changed file
}

func openCache(path string, packages []*pkg) (*cache, error) {
	c := &cache{path: path, tests: map[string]string{}, outcomes: map[string]cached{}, used: map[string]bool{}}
	all := []byte{}
	for _, p := range packages {
		for _, file := range append(append([]*source{}, p.code...), p.tests...) {
			all = append(all, hash([]byte(file.name), file.text)...)
		}
		for _, file := range p.tests {
			for _, decl := range file.tree.Decls {
				if function, ok := decl.(*ast.FuncDecl); ok && function.Recv == nil {
					c.tests[p.qualified(function.Name.Name)] = hash([]byte(file.node(function)))
				}
			}
		}
	}
	c.whole = hash(all)
	data, err := os.ReadFile(path)
	if path == "" || errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	return c, json.Unmarshal(data, &c.outcomes)
}

func hash(parts ...[]byte) string {
	sum := sha256.New()
	for _, part := range parts {
		sum.Write(part)
		sum.Write([]byte{0})
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}

func keyOf(m *mutant) string {
	return hash([]byte(m.file), []byte(m.whole()))
}

// dependsOn is a hash of what decides whether a mutant would have the same outcome again.
func (c *cache) dependsOn(o outcome) string {
	if o.Verdict == unbuilt {
		return "" // to build them all again takes too long
	}
	if test, ok := c.tests[o.Test]; ok {
		return test
	}
	return c.whole
}

// find returns the outcome of a mutant, if there is one that still counts.
func (c *cache) find(m *mutant) (outcome, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := keyOf(m)
	c.used[key] = true
	was, ok := c.outcomes[key]
	return was.outcome, ok && was.Of == c.dependsOn(was.outcome)
}

func (c *cache) add(m *mutant, o outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcomes[keyOf(m)] = cached{outcome: o, Of: c.dependsOn(o)}
}

// forget leaves out what no mutant of this run has asked for.
func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.outcomes {
		if !c.used[key] {
			delete(c.outcomes, key)
		}
	}
}

func (c *cache) save() error {
	if c.path == "" {
		return nil
	}
	c.mu.Lock()
	data, err := json.MarshalIndent(c.outcomes, "", " ")
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(c.path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(c.path+".new", c.path)
}
