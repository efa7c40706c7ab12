package lab

import (
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// How the laboratory knows that a dynamic configuration is live: every one gets a marker router that is named after
// its generation and asks for a certificate resolver that does not exist. Traefik complains about that in the last
// of its configuration listeners, which run one after another, so after the routers and the TLS configuration of
// every entry point were switched. The API and a marker route tell less: entry points are switched one by one in
// random order, and within each the TLS side last.
const markerComplaint = "Router uses a nonexistent certificate resolver"

func markerRouter(generation int) string {
	return fmt.Sprintf("lab-generation-%d", generation)
}

func marker(generation int) map[string]any {
	return map[string]any{"http": map[string]any{"routers": map[string]any{
		markerRouter(generation): map[string]any{
			// The API's entry point, so that the others stay exactly as the caller configured them.
			"entryPoints": []string{apiEntryPoint},
			"rule":        "Host(`lab.invalid`)",
			"service":     "noop@internal",
			"tls":         map[string]any{"certResolver": "lab"},
		},
	}}}
}

// isMark reports whether line says that a dynamic configuration is live. The whole message counts: at DEBUG the
// marker's name also stands in lines about a configuration that was received but not yet applied.
func isMark(line string) bool {
	return containsAll(line, []string{markerComplaint, "routerName=lab-generation-"})
}

// writeDynamic puts the dynamic configuration with its marker into dir in one step.
func writeDynamic(dir string, dynamic any, generation int) error {
	configuration, err := tree(dynamic)
	if err != nil {
		return fmt.Errorf("dynamic configuration: %w", err)
	}
	data, err := yaml.Marshal(merge(configuration, marker(generation)))
	if err != nil {
		return fmt.Errorf("dynamic configuration: %w", err)
	}
	// Written outside of the watched folder, so that Traefik sees one event, and never half a file.
	draft := filepath.Join(dir, "dynamic.yml.draft")
	if err := os.WriteFile(draft, data, 0o600); err != nil {
		return err
	}
	return os.Rename(draft, filepath.Join(dir, dynamicFolder, "dynamic.yml"))
}

// tree turns a configuration, given as YAML text or as anything that marshals to a YAML map, into nested maps.
func tree(configuration any) (map[string]any, error) {
	text, isText := configuration.(string)
	if !isText {
		data, err := yaml.Marshal(configuration)
		if err != nil {
			return nil, err
		}
		text = string(data)
	}
	var out map[string]any
	if err := yaml.Unmarshal([]byte(text), &out); err != nil {
		return nil, err
	}
	if out == nil { // nothing given
		out = map[string]any{}
	}
	return out, nil
}

// merge copies src into dst, map by map, and returns dst; anything but a map is replaced.
func merge(dst, src map[string]any) map[string]any {
	for key, value := range src {
		from, fromOK := value.(map[string]any)
		to, toOK := dst[key].(map[string]any)
		if fromOK && toOK {
			merge(to, from)
		} else {
			dst[key] = value
		}
	}
	return dst
}
