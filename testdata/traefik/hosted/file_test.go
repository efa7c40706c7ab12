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
	"text/template"

	"github.com/BurntSushi/toml"
	"github.com/traefik/paerser/file"
	"github.com/traefik/traefik/v3/cmd"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	fileprovider "github.com/traefik/traefik/v3/pkg/provider/file"
	"go.yaml.in/yaml/v3"
)

func readFile(files fs.FS) (example, error) {
	return readFolder(files, "file")
}

func readFolder(files fs.FS, folder string) (example, error) {
	return readFiles(files, folder+"/traefik.yml", folder+"/dynamic.yml")
}

// readBesideFile reads a folder that has a dynamic configuration, for the static one of the folder "file".
func readBesideFile(files fs.FS, folder string) (example, error) {
	return readFiles(files, "file/traefik.yml", folder+"/dynamic.yml")
}

// readTOML wants the very configurations that the YAML files are.
func readTOML(files fs.FS) (example, error) {
	e, err := readFiles(files, "file/traefik.toml", "file/dynamic.toml")
	if err != nil {
		return e, err
	}
	want, err := readFile(files)
	if err != nil {
		return e, err
	}
	name := e.static.Providers.File.Filename
	want.static.Providers.File.Filename = name // checked by readFiles
	if !reflect.DeepEqual(e.static, want.static) {
		return e, fmt.Errorf("traefik.toml is not traefik.yml: got %s, want %s", shown(e.static), shown(want.static))
	}
	if !reflect.DeepEqual(e.dynamic, want.dynamic) {
		return e, fmt.Errorf("dynamic.toml is not dynamic.yml: got %s, want %s", shown(e.dynamic), shown(want.dynamic))
	}
	return e, nil
}

// readFiles reads a static file, which names the dynamic one, and that.
func readFiles(files fs.FS, staticName, dynamicName string) (example, error) {
	e := example{static: cmd.NewTraefikConfiguration()}
	data, err := fs.ReadFile(files, staticName)
	if err != nil {
		return e, err
	}
	if err := checkRootKeys(staticName, data, *e.static); err != nil {
		return e, err
	}
	if err := file.DecodeContent(string(data), path.Ext(staticName), e.static); err != nil {
		return e, err
	}
	if e.static.Providers.File == nil || path.Base(e.static.Providers.File.Filename) != path.Base(dynamicName) {
		return e, fmt.Errorf("the file provider reads %v, want %s", e.static.Providers.File, path.Base(dynamicName))
	}
	configuration, err := readDynamic(files, dynamicName)
	e.dynamic = map[string]*dynamic.Configuration{"file": configuration}
	return e, err
}

// readDynamic reads a file as the file provider does, templates included, without the files that it names.
func readDynamic(files fs.FS, name string) (*dynamic.Configuration, error) {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	if err := checkRootKeys(name, data, dynamic.Configuration{}); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "examples")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	copied := filepath.Join(dir, path.Base(name))
	if err := os.WriteFile(copied, data, 0o600); err != nil {
		return nil, err
	}
	return (&fileprovider.Provider{}).CreateConfiguration(context.Background(), copied, template.FuncMap{}, false)
}

// checkRootKeys finds keys that are no field of into. Traefik's file decoder passes over those at the root in silence.
func checkRootKeys(name string, data []byte, into any) error {
	unmarshal := yaml.Unmarshal
	if path.Ext(name) == ".toml" {
		unmarshal = toml.Unmarshal
	}
	var keys map[string]any
	if err := unmarshal(data, &keys); err != nil {
		return err
	}
	fields := reflect.VisibleFields(reflect.TypeOf(into))
	for key := range keys {
		if !slices.ContainsFunc(fields, func(field reflect.StructField) bool { return strings.EqualFold(field.Name, key) }) {
			return fmt.Errorf("%T has no %s", into, key)
		}
	}
	return nil
}

// shown is configuration as text, for people who look for what differs.
func shown(configuration any) string {
	data, err := yaml.Marshal(configuration)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
