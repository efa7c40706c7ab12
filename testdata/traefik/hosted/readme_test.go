package hosted

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
)

func readme(t *testing.T) string {
	t.Helper()
	data := check.Must(os.ReadFile(filepath.Join(root, "readme.md")))(t)
	return string(data)
}

func TestEverySnippetOfTheReadmeStandsInAnExample(t *testing.T) {
	var examples []string
	err := filepath.WalkDir(filepath.Join(root, "examples"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		examples = append(examples, string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	snippets := regexp.MustCompile("(?s)```(?:yaml|toml|nginx|sh)\n(.*?)```").FindAllStringSubmatch(readme(t), -1)
	if len(snippets) == 0 {
		t.Error("the readme has no snippets")
	}
	for _, snippet := range snippets {
		if !slices.ContainsFunc(examples, func(example string) bool { return strings.Contains(example, snippet[1]) }) {
			t.Errorf("in no example:\n%s", snippet[1])
		}
	}
}

func TestTheReadmeClaimsTheTraefikThatIsTested(t *testing.T) {
	data := check.Must(os.ReadFile(filepath.Join(root, "testdata/traefik/go.mod")))(t)
	tested := regexp.MustCompile(`github.com/traefik/traefik/v3 v(\S+)`).FindStringSubmatch(string(data))
	claimed := regexp.MustCompile(`Tested with Traefik (\d+\.\d+\.\d+)`).FindStringSubmatch(readme(t))
	if tested == nil || claimed == nil || tested[1] != claimed[1] {
		t.Errorf("go.mod has %q, the readme claims %q", tested, claimed)
	}
}

// optionNames lists the options as New knows them, which is what its complaint about an unknown one tells.
func optionNames(t *testing.T) []string {
	t.Helper()
	_, err := build(sharedBuilder(t), map[string]any{"mode": "learn", "xxxxxxxxxxxx": 1}, "options")
	if err == nil {
		t.Fatal("an unknown option was taken")
	}
	_, list, found := strings.Cut(err.Error(), "want one of ")
	if !found {
		t.Fatalf("got %v, want a list of the options", err)
	}
	return strings.Split(list, ", ")
}

func TestTheReadmeHasEveryOptionOnce(t *testing.T) {
	var got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Za-z0-9.]+)` \\|").FindAllStringSubmatch(readme(t), -1) {
		got = append(got, row[1])
	}
	want := optionNames(t)
	slices.Sort(got)
	slices.Sort(want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
