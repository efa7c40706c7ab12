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

// A record keeps the trials of earlier runs. A killed mutant stays killed as long as its own file and the test that killed
// it are the same; one that has survived is tried again after any change to the package or its tests. It is safe for
// concurrent use.
type record struct {
	path  string            // empty: it isn't kept
	whole string            // a hash of the package and its tests
	tests map[string]string // hashes of the tests by name

	mu     sync.Mutex
	trials map[string]recorded // by the hash of the changed file
	used   map[string]bool
}

type recorded struct {
	trial
	Of string `json:"of"` // a hash of what it depends on, besides the changed file
}

func openRecord(path string, code, tests []*source) (*record, error) {
	r := &record{path: path, tests: map[string]string{}, trials: map[string]recorded{}, used: map[string]bool{}}
	all := []byte{}
	for _, file := range append(append([]*source{}, code...), tests...) {
		all = append(all, hash([]byte(file.name), file.text)...)
	}
	r.whole = hash(all)
	for _, file := range tests {
		for _, decl := range file.tree.Decls {
			if function, ok := decl.(*ast.FuncDecl); ok {
				r.tests[function.Name.Name] = hash([]byte(file.node(function)))
			}
		}
	}
	data, err := os.ReadFile(path)
	if path == "" || errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	return r, json.Unmarshal(data, &r.trials)
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

// dependsOn is a hash of what decides whether a trial would come out again.
func (r *record) dependsOn(t trial) string {
	if t.Verdict == survived {
		return r.whole
	}
	return r.tests[t.Test]
}

// find returns the trial of a mutant, if there was one that still counts.
func (r *record) find(m *mutant) (trial, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := keyOf(m)
	r.used[key] = true
	was, ok := r.trials[key]
	return was.trial, ok && was.Of == r.dependsOn(was.trial)
}

func (r *record) add(m *mutant, t trial) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trials[keyOf(m)] = recorded{trial: t, Of: r.dependsOn(t)}
}

// forget leaves out what no mutant of this run has asked for.
func (r *record) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.trials {
		if !r.used[key] {
			delete(r.trials, key)
		}
	}
}

func (r *record) save() error {
	if r.path == "" {
		return nil
	}
	r.mu.Lock()
	data, err := json.MarshalIndent(r.trials, "", " ")
	r.mu.Unlock()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(r.path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(r.path+".new", r.path)
}
