package main

import (
	"context"
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

// withFactory has a measurement made with the handlers of a factory, whose log nobody reads.
func withFactory(measure func(*bench, *factory) error) func(context.Context, *bench) error {
	return func(_ context.Context, b *bench) error {
		speak, err := silence()
		if err != nil {
			return err
		}
		defer speak()
		f, err := b.newFactory()
		if err != nil {
			return err
		}
		return measure(b, f)
	}
}

func (b *bench) newFactory() (*factory, error) {
	f := &factory{}
	var err error
	if f.plugin, err = interpreted.Load(ownModule, b.root); err != nil {
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
	if f.withoutCounters, err = interpreted.Load(ownModule, folder); err != nil {
		return nil, err
	}
	if f.nothing, err = interpreted.Load(nothingModule, b.nothingFolder()); err != nil {
		return nil, err
	}
	issuer, err := newIdentities()
	if err != nil {
		return nil, err
	}
	f.proof, err = issuer.proof(1)
	return f, err
}

func (f *factory) handler(plugin *interpreted.Plugin, o options) http.Handler {
	if f.fault != nil {
		return nil
	}
	h, err := handler(plugin, o)
	f.fault = err
	return h
}

func (f *factory) learner(store string, maxIPs int) http.Handler {
	return f.handler(f.plugin, options{"mode": "learn", "store": store, "maxIPs": maxIPs})
}

// store makes a store with n grants, and returns its learner.
func (f *factory) store(name string, n int, address func(int) netip.Addr) http.Handler {
	learner := f.learner(name, n)
	if f.fault == nil {
		f.fault = teach(learner, f.proof, n, address)
	}
	return learner
}

// enforcer makes one of the store "home", unless more says otherwise.
func (f *factory) enforcer(more options) http.Handler {
	o := options{"mode": "enforce", "store": "home"}
	for key, value := range more {
		o[key] = value
	}
	return f.handler(f.plugin, o)
}
