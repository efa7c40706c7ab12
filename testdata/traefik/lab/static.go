package lab

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

const (
	staticFile    = "traefik.yml"
	dynamicFolder = "dynamic"
	apiEntryPoint = "traefik" // the name Traefik itself gives the entry point of its API
)

// writeStatic writes the static configuration into the work directory; it returns the address of each entry point.
func (o Options) writeStatic() (map[string]string, error) {
	configuration, err := tree(o.Static)
	if err != nil {
		return nil, fmt.Errorf("static configuration: %w", err)
	}
	configuration = merge(o.defaultStatic(), configuration)
	addresses, err := fillEntryPoints(configuration)
	if err != nil {
		return nil, err
	}
	data, err := yaml.Marshal(configuration)
	if err != nil {
		return nil, fmt.Errorf("static configuration: %w", err)
	}
	return addresses, os.WriteFile(filepath.Join(o.Dir, staticFile), data, 0o600)
}

func (o Options) defaultStatic() map[string]any {
	behindProxy := func() map[string]any {
		return map[string]any{"proxyProtocol": map[string]any{"trustedIPs": []any{"127.0.0.1/32"}}}
	}
	entryPoints := map[string]any{apiEntryPoint: map[string]any{}}
	if !o.OwnEntryPoints {
		entryPoints["web"], entryPoints["websecure"] = behindProxy(), behindProxy()
	}
	configuration := map[string]any{
		"global":      map[string]any{"checkNewVersion": false, "sendAnonymousUsage": false},
		"entryPoints": entryPoints,
		// Without the dashboard: the Go module lacks its files, which would be an ERROR line at each reload.
		"api":  map[string]any{"insecure": true, "dashboard": false},
		"ping": map[string]any{},
		"log":  map[string]any{"level": cmp.Or(o.LogLevel, "INFO"), "format": "common", "noColor": true},
		"providers": map[string]any{
			// Traefik pauses this long after each configuration: its default of 2s would rule over the tests' time.
			"providersThrottleDuration": "10ms",
			"file":                      map[string]any{"directory": dynamicFolder, "watch": true},
		},
	}
	if len(o.Plugins) > 0 {
		plugins := map[string]any{}
		for module := range o.Plugins {
			plugins[path.Base(module)] = map[string]any{"moduleName": module}
		}
		configuration["experimental"] = map[string]any{
			"localPlugins": plugins,
			// A plugin that does not load ends Traefik, so Start fails instead of every request later.
			"abortOnPluginFailure": true,
		}
	}
	return configuration
}

// fillEntryPoints gives every entry point without an address a free one, and all of them a short end: by default
// Traefik waits 10 seconds for open connections.
func fillEntryPoints(configuration map[string]any) (map[string]string, error) {
	entryPoints, _ := configuration["entryPoints"].(map[string]any)
	free, err := FreeAddresses(len(entryPoints))
	if err != nil {
		return nil, err
	}
	addresses := map[string]string{}
	for name, value := range entryPoints {
		entryPoint := map[string]any{
			"address":   free[len(addresses)],
			"transport": map[string]any{"lifeCycle": map[string]any{"requestAcceptGraceTimeout": "0s", "graceTimeOut": "100ms"}},
		}
		given, _ := value.(map[string]any)
		entryPoints[name] = merge(entryPoint, given)
		addresses[name] = fmt.Sprint(entryPoint["address"])
	}
	return addresses, nil
}

// FreeAddresses returns n loopback addresses that nobody listens on right now.
func FreeAddresses(n int) ([]string, error) {
	var addresses []string
	for range 100 * (n + 1) {
		if len(addresses) == n {
			return addresses, nil
		}
		// Below the range that kernels take the ports of outgoing connections from: otherwise one of the clients'
		// own connections could sit on the port before Traefik listens, or while it restarts.
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		defer listener.Close() // not before all are found, so that they differ
		addresses = append(addresses, address)
	}
	return nil, fmt.Errorf("found only %d of %d free loopback ports", len(addresses), n)
}
