package main

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"os"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/interpreted"
)

// A factory makes handlers of an interpreted plugin. After a fault it makes nothing more, and fault tells it.
type factory struct {
	plugin, withoutCounters, nothing *interpreted.Plugin
	proof                            *tls.ConnectionState // of identity 1
	fault                            error
}

func (b *bench) newFactory() (*factory, error) {
	w := &factory{}
	var err error
	if w.plugin, err = interpreted.Load(ownModule, b.root); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder) // it isn't read again once loaded
	if err := b.withoutCounters(folder); err != nil {
		return nil, err
	}
	if w.withoutCounters, err = interpreted.Load(ownModule, folder); err != nil {
		return nil, err
	}
	if w.nothing, err = interpreted.Load(nothingModule, b.nothingFolder()); err != nil {
		return nil, err
	}
	issuer, err := newIdentities()
	if err != nil {
		return nil, err
	}
	w.proof, err = issuer.proof(1)
	return w, err
}

func (w *factory) handler(plugin *interpreted.Plugin, o options) http.Handler {
	if w.fault != nil {
		return nil
	}
	h, err := handler(plugin, o)
	w.fault = err
	return h
}

func (w *factory) learner(store string, maxIPs int) http.Handler {
	return w.handler(w.plugin, options{"mode": "learn", "store": store, "maxIPs": maxIPs})
}

// store makes a store with n grants, and returns its learner.
func (w *factory) store(name string, n int, address func(int) netip.Addr) http.Handler {
	learner := w.learner(name, n)
	if w.fault == nil {
		w.fault = teach(learner, w.proof, n, address)
	}
	return learner
}

// enforcer makes one of the store "home", unless more says otherwise.
func (w *factory) enforcer(more options) http.Handler {
	o := options{"mode": "enforce", "store": "home"}
	for key, value := range more {
		o[key] = value
	}
	return w.handler(w.plugin, o)
}
