package hosted

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mitchellh/mapstructure"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/traefik/paerser/file"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"
	"go.yaml.in/yaml/v3"
	"golang.org/x/mod/modfile"
)

// catalogPatience is how long Traefik's plugin catalog (github.com/traefik/piceus) waits for a plugin to load.
const catalogPatience = 10 * time.Second

// manifest has the fields of .traefik.yml that the catalog reads.
type manifest struct {
	DisplayName string         `yaml:"displayName"`
	Type        string         `yaml:"type"`
	Runtime     string         `yaml:"runtime"`
	Import      string         `yaml:"import"`
	BasePkg     string         `yaml:"basePkg"`
	Summary     string         `yaml:"summary"`
	IconPath    string         `yaml:"iconPath"`
	BannerPath  string         `yaml:"bannerPath"`
	UseUnsafe   bool           `yaml:"useUnsafe"`
	TestData    map[string]any `yaml:"testData"`
}

// readManifest reads the manifest as the catalog does: all but testData as YAML, testData with Traefik's file decoder.
func readManifest(t *testing.T) manifest {
	t.Helper()
	data := check.Must(os.ReadFile(filepath.Join(root, ".traefik.yml")))(t)
	var m manifest
	if err := yaml.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	var decoded manifest
	if err := file.DecodeContent(string(data), ".yaml", &decoded); err != nil {
		t.Fatal(err)
	}
	m.TestData = decoded.TestData
	return m
}

func TestCatalogAcceptsManifest(t *testing.T) {
	m := readManifest(t)
	for _, c := range []struct {
		name string
		ok   bool
		got  any
	}{
		{"it is a middleware", m.Type == "middleware", m.Type},
		{"it is interpreted", m.Runtime == "" || m.Runtime == "yaegi", m.Runtime},
		{"it needs nothing unsafe, so users need not allow it", !m.UseUnsafe, m.UseUnsafe},
		{"it has an import path", m.Import != "", m.Import},
		{"its import path is the repository's", strings.HasPrefix(m.Import, pluginModule), m.Import},
		{"it has a display name", m.DisplayName != "", m.DisplayName},
		{"it has a summary", m.Summary != "", m.Summary},
		{"it has test data", m.TestData != nil, m.TestData},
		{"its icon is in the repository, or there is none", m.IconPath == "" || isFile(m.IconPath), m.IconPath},
		{"its banner is in the repository, or there is none", m.BannerPath == "" || isFile(m.BannerPath), m.BannerPath},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !c.ok {
				t.Errorf("got %v", c.got)
			}
		})
	}
}

func isFile(name string) bool {
	info, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
	return err == nil && info.Mode().IsRegular()
}

// checkModule refuses what the catalog refuses: parts of Traefik as dependencies, and an import path elsewhere.
func checkModule(goMod []byte, importPath string) error {
	mod, err := modfile.Parse("go.mod", goMod, nil)
	if err != nil {
		return err
	}
	for _, require := range mod.Require {
		for _, owner := range []string{"containous", "traefik"} {
			for _, part := range []string{"yaegi", "traefik", "maesh", "mesh"} {
				if strings.Contains(require.Mod.Path, "github.com/"+owner+"/"+part) {
					return fmt.Errorf("a plugin can't depend on %s", require.Mod.Path)
				}
			}
		}
	}
	asPackage := strings.NewReplacer("-", "_")
	if !strings.HasPrefix(asPackage.Replace(importPath), asPackage.Replace(mod.Module.Mod.Path)) {
		return fmt.Errorf("import %q is not in module %q", importPath, mod.Module.Mod.Path)
	}
	return nil
}

func TestCatalogChecksModule(t *testing.T) {
	goMod := check.Must(os.ReadFile(filepath.Join(root, "go.mod")))(t)
	own := readManifest(t).Import
	for _, c := range []struct {
		name       string
		require    string
		importPath string
		want       string
	}{
		{"the plugin's module is accepted", "", own, ""},
		{"one that requires Yaegi is refused", "require github.com/traefik/yaegi v0.16.1", own, "can't depend on github.com/traefik/yaegi"},
		{"one that requires Traefik is refused", "require github.com/traefik/traefik/v3 v3.7.13", own, "can't depend on github.com/traefik/traefik/v3"},
		{"one that requires old Traefik is refused", "require github.com/containous/traefik v1.7.34", own, "can't depend on github.com/containous/traefik"},
		{"one that requires Yaegi indirectly is refused", "require github.com/traefik/yaegi v0.16.1 // indirect", own, "can't depend on github.com/traefik/yaegi"},
		{"one that is imported from elsewhere is refused", "", "github.com/somebody/else", `import "github.com/somebody/else" is not in module`},
	} {
		t.Run(c.name, func(t *testing.T) {
			copied := append(append([]byte{}, goMod...), "\n"+c.require+"\n"...)
			err := checkModule(copied, c.importPath)
			if c.want == "" && err != nil {
				t.Errorf("got %v, want no error", err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Yaegi downloads nothing: what the plugin imports must be in vendor/.
func TestCatalogFindsDependenciesVendored(t *testing.T) {
	goMod := check.Must(os.ReadFile(filepath.Join(root, "go.mod")))(t)
	mod := check.Must(modfile.Parse("go.mod", goMod, nil))(t)
	for _, require := range mod.Require {
		if info, err := os.Stat(filepath.Join(root, "vendor", filepath.FromSlash(require.Mod.Path))); err != nil || !info.IsDir() {
			t.Errorf("%s is not in vendor/: %v", require.Mod.Path, err)
		}
	}
}

func TestCatalogLoadsPluginUnderYaegi(t *testing.T) {
	m := readManifest(t)
	ctx, cancel := context.WithTimeout(context.Background(), catalogPatience)
	defer cancel()
	start := time.Now()
	interpreter := interp.New(interp.Options{GoPath: "plugins-local"})
	if err := interpreter.Use(stdlib.Symbols); err != nil {
		t.Fatal(err)
	}
	if _, err := interpreter.EvalWithContext(ctx, fmt.Sprintf("import %q", m.Import)); err != nil {
		t.Fatalf("load: %v", err)
	}
	t.Logf("loaded under Yaegi in %v, of %v that the catalog allows", time.Since(start).Round(time.Millisecond), catalogPatience)

	name := m.BasePkg
	if name == "" {
		name = strings.ReplaceAll(path.Base(m.Import), "-", "_")
	}
	config, err := interpreter.EvalWithContext(ctx, name+".CreateConfig()")
	if err != nil {
		t.Fatalf("CreateConfig: %v", err)
	}
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		DecodeHook:       mapstructure.StringToSliceHookFunc(","),
		WeaklyTypedInput: true,
		Result:           config.Interface(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := decoder.Decode(m.TestData); err != nil {
		t.Fatalf("decode testData: %v", err)
	}
	construct, err := interpreter.EvalWithContext(ctx, name+".New")
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	if err := checkSignature(construct.Type(), config.Type()); err != nil {
		t.Fatalf("signature of New: %v", err)
	}
	if err := callNew(ctx, construct, config); err != nil {
		t.Errorf("New(testData): %v", err)
	}
	t.Logf("checked in %v", time.Since(start).Round(time.Millisecond))
}

// checkSignature wants func(context.Context, http.Handler, *Config, string) (http.Handler, error).
func checkSignature(construct, config reflect.Type) error {
	if construct.NumIn() != 4 || construct.NumOut() != 2 {
		return fmt.Errorf("%d arguments and %d results, want 4 and 2", construct.NumIn(), construct.NumOut())
	}
	handler := reflect.TypeFor[http.Handler]()
	for _, c := range []struct {
		what string
		ok   bool
	}{
		{"the 1st argument is a context", construct.In(0).Implements(reflect.TypeFor[context.Context]())},
		{"the 2nd argument is a handler", construct.In(1).Implements(handler)},
		{"the 3rd argument is what CreateConfig returns", construct.In(2).AssignableTo(config)},
		{"the 4th argument is a string", construct.In(3).Kind() == reflect.String},
		{"the 1st result is a handler", construct.Out(0).Implements(handler)},
		{"the 2nd result is an error", construct.Out(1).Implements(reflect.TypeFor[error]())},
	} {
		if !c.ok {
			return fmt.Errorf("want that %s", c.what)
		}
	}
	return nil
}

func callNew(ctx context.Context, construct, config reflect.Value) error {
	result := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				result <- fmt.Errorf("panic: %v", r)
			}
		}()
		results := construct.Call([]reflect.Value{
			reflect.ValueOf(ctx), reflect.ValueOf(service), config, reflect.ValueOf("test"),
		})
		if err, _ := results[1].Interface().(error); err != nil {
			result <- err
			return
		}
		if _, ok := results[0].Interface().(http.Handler); !ok {
			result <- errors.New("New returned no http.Handler")
			return
		}
		result <- nil
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
