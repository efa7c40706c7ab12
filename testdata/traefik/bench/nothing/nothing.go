// Package nothing is a Traefik plugin that only calls the next handler: the least that an interpreted middleware
// can cost, and what the benchmarks compare with.
package nothing

import (
	"context"
	"net/http"
)

// Config has no options.
type Config struct{}

// CreateConfig returns the configuration. Traefik calls it.
func CreateConfig() *Config { return &Config{} }

type handler struct{ next http.Handler }

func (h *handler) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	h.next.ServeHTTP(rw, req)
}

// New makes a middleware in front of next. Traefik calls it.
func New(_ context.Context, next http.Handler, _ *Config, _ string) (http.Handler, error) {
	return &handler{next: next}, nil
}
