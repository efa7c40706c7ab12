package lab

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// Options says which Traefik to run and how.
type Options struct {
	Binary string // the Traefik binary, as from Build
	Dir    string // work directory; exists, is the caller's to remove
	// Plugins are the local plugins: import path to folder, each under the last part of its import path as name.
	// Nil: this repository's plugin alone; empty: none.
	Plugins map[string]string
	// Static is merged into the laboratory's static configuration. An entry point without an address gets a free one.
	// Log format and level must keep ERROR lines as they are: the laboratory reads them.
	Static map[string]any
	// OwnEntryPoints leaves out the laboratory's web and websecure, which trust the PROXY protocol from loopback: then
	// Traefik has those of Static, as they stand there, and that of its API.
	OwnEntryPoints bool
	// Dynamic is the first dynamic configuration: YAML text, or anything that marshals to a YAML map.
	Dynamic  any
	LogLevel string    // default INFO
	Output   io.Writer // gets a copy of every log line; nil: none
}

// prepare fills in defaults and lays out the work directory.
func (o *Options) prepare() error {
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	if o.Binary, err = filepath.Abs(o.Binary); err != nil {
		return err
	}
	if o.Plugins == nil {
		root, err := Root()
		if err != nil {
			return err
		}
		o.Plugins = map[string]string{pluginModule: root}
	}
	for module, folder := range o.Plugins {
		if folder, err = filepath.Abs(folder); err != nil {
			return err
		}
		link := filepath.Join(o.Dir, "plugins-local", "src", filepath.FromSlash(module))
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return err
		}
		// There is one already when the work directory served before.
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Symlink(folder, link); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(o.Dir, dynamicFolder), 0o755)
}
