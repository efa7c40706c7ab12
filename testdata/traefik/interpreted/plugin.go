// Package interpreted loads the plugin into Yaegi as Traefik does, but without Traefik around it: small enough to be
// compiled with the race detector, and to be measured.
package interpreted

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"reflect"

	"github.com/mitchellh/mapstructure"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"
)

// Plugin is a plugin in an interpreter of its own, so with package-level state of its own.
type Plugin struct {
	createConfig reflect.Value
	newHandler   reflect.Value
}

// Load interprets the plugin with the import path module that lies in folder. What it prints is dropped, which in
// Traefik would be lines at the level DEBUG.
func Load(module, folder string) (*Plugin, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	gopath, err := os.MkdirTemp("", "interpreted-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(gopath) // it isn't read again after the import
	link := filepath.Join(gopath, "src", filepath.FromSlash(module))
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return nil, err
	}
	if err := os.Symlink(folder, link); err != nil {
		return nil, err
	}
	i := interp.New(interp.Options{GoPath: gopath, Stdout: io.Discard, Stderr: os.Stderr})
	if err := i.Use(stdlib.Symbols); err != nil {
		return nil, err
	}
	if _, err := i.Eval(fmt.Sprintf("import %q", module)); err != nil {
		return nil, err
	}
	p := &Plugin{}
	if p.createConfig, err = i.Eval(path.Base(module) + ".CreateConfig"); err != nil {
		return nil, err
	}
	p.newHandler, err = i.Eval(path.Base(module) + ".New")
	return p, err
}

// Handler makes a middleware of the plugin, its configuration decoded as Traefik does it.
func (p *Plugin) Handler(next http.Handler, options map[string]any, name string) (http.Handler, error) {
	return p.HandlerIn(context.Background(), next, options, name)
}

// HandlerIn makes one that lasts as long as ctx, which Traefik cancels at the next reload.
func (p *Plugin) HandlerIn(ctx context.Context, next http.Handler, options map[string]any, name string) (http.Handler, error) {
	config := p.createConfig.Call(nil)[0]
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		DecodeHook:       mapstructure.StringToSliceHookFunc(","),
		WeaklyTypedInput: true,
		Result:           config.Interface(),
	})
	if err != nil {
		return nil, err
	}
	if err := decoder.Decode(options); err != nil {
		return nil, err
	}
	arguments := []reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(next), config, reflect.ValueOf(name)}
	results := p.newHandler.Call(arguments)
	if err, ok := results[1].Interface().(error); ok {
		return nil, err
	}
	handler, ok := results[0].Interface().(http.Handler)
	if !ok {
		return nil, errors.New("no handler came of New")
	}
	return handler, nil
}
