// Package hosted tests the plugin as Traefik's own code hosts it, in the process of the test: Traefik's decoders read
// the configuration, Traefik's plugin builder interprets the plugin, and Traefik's ipAllowList stands beside it.
package hosted
