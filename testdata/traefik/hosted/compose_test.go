package hosted

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/traefik/paerser/flag"
	"github.com/traefik/traefik/v3/cmd"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/label"
)

func readCompose(files fs.FS) (example, error) {
	e, _, err := readComposeFiles(files, "compose.yaml")
	return e, err
}

// readComposeLocal wants the flags of compose.yaml, but for the plugin's, and the plugin where Traefik looks for it.
func readComposeLocal(files fs.FS) (example, error) {
	e, traefik, err := readComposeFiles(files, "compose.yaml", "compose.local.yaml")
	if err != nil {
		return e, err
	}
	e.local = true
	want, _, err := readComposeFiles(files, "compose.yaml")
	if err != nil {
		return e, err
	}
	got := *e.static
	got.Experimental, want.static.Experimental = nil, nil
	if !reflect.DeepEqual(got, *want.static) {
		return e, fmt.Errorf("the flags are not those of compose.yaml: got %s, want %s", shown(got), shown(*want.static))
	}
	for _, plugin := range e.static.Experimental.LocalPlugins {
		target := "/plugins-local/src/" + plugin.ModuleName
		i := slices.IndexFunc(traefik.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == target })
		if i < 0 {
			return e, fmt.Errorf("nothing is mounted at %s", target)
		}
		clone := filepath.Join(root, "examples", "docker-compose", traefik.Volumes[i].Source)
		if _, err := os.Stat(filepath.Join(clone, ".traefik.yml")); err != nil {
			return e, fmt.Errorf("%s: no .traefik.yml: %w", traefik.Volumes[i].Source, err)
		}
	}
	return e, nil
}

// readComposeFiles has Docker Compose's own code merge the files, each over the ones before it.
func readComposeFiles(files fs.FS, names ...string) (e example, traefik types.ServiceConfig, err error) {
	var details types.ConfigDetails
	for _, name := range names {
		data, err := fs.ReadFile(files, "docker-compose/"+name)
		if err != nil {
			return e, traefik, err
		}
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: name, Content: data})
	}
	project, err := loader.LoadWithContext(context.Background(), details, func(options *loader.Options) {
		options.SetProjectName("example", true)
		options.ResolvePaths = false
	})
	if err != nil {
		return e, traefik, err
	}
	traefik = project.Services["traefik"]
	e = example{static: cmd.NewTraefikConfiguration(), dynamic: map[string]*dynamic.Configuration{}}
	if err := flag.Decode(traefik.Command, e.static); err != nil {
		return e, traefik, err
	}
	if e.dynamic["file"], err = readDynamic(files, "docker-compose/tls.yml"); err != nil {
		return e, traefik, err
	}
	if e.static.Providers.File == nil || !mounts(traefik, "./tls.yml", e.static.Providers.File.Filename) {
		return e, traefik, fmt.Errorf("the file provider reads %v, which is not the mounted tls.yml", e.static.Providers.File)
	}
	for _, options := range e.dynamic["file"].TLS.Options {
		for _, ca := range options.ClientAuth.CAFiles {
			if !mounts(traefik, "./"+path.Base(string(ca)), string(ca)) {
				return e, traefik, fmt.Errorf("no volume has %s", ca)
			}
		}
	}
	e.dynamic["docker"], err = labelsOf(project)
	return e, traefik, err
}

func mounts(service types.ServiceConfig, from, to string) bool {
	return slices.ContainsFunc(service.Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Type == types.VolumeTypeBind && v.Source == from && v.Target == to
	})
}

// labelsOf decodes the labels of all services as Traefik's Docker provider does.
func labelsOf(project *types.Project) (*dynamic.Configuration, error) {
	labels := map[string]string{}
	for name, service := range project.Services {
		own := map[string]string{}
		for key, value := range service.Labels {
			switch {
			case value == "":
				return nil, fmt.Errorf("service %s: label %q has no value", name, key)
			case key == "traefik.enable" && value == "true":
			case strings.HasPrefix(key, "traefik.http."):
				own[key] = value
			default:
				return nil, fmt.Errorf("service %s: unknown label %q", name, key)
			}
		}
		if len(own) == 0 {
			continue
		}
		// One container's labels alone: a router without a service gets the only one of its container.
		alone, err := label.DecodeConfiguration(own)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", name, err)
		}
		internal := strings.HasSuffix(own["traefik.http.routers.allowlist.service"], "@internal")
		if len(alone.HTTP.Routers) != 1 || len(alone.HTTP.Services) != 1 && !internal {
			return nil, fmt.Errorf("service %s: %d routers and %d services, want one of each", name, len(alone.HTTP.Routers), len(alone.HTTP.Services))
		}
		for router := range alone.HTTP.Routers {
			for service := range alone.HTTP.Services {
				own["traefik.http.routers."+router+".service"] = service
			}
		}
		for key, value := range own {
			if _, twice := labels[key]; twice {
				return nil, fmt.Errorf("label %s stands at two services", key)
			}
			labels[key] = value
		}
	}
	return label.DecodeConfiguration(labels)
}
