// Package ext stands in for the local module of the same path in Traefik's own tree: the empty
// extension points of Traefik's dynamic configuration, which a module outside that tree can't import.
package ext

// HTTP extends Traefik's dynamic HTTP configuration with nothing.
type HTTP struct{}

// Router extends Traefik's dynamic router configuration with nothing.
type Router struct{}
