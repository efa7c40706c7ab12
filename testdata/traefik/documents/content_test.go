package documents

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
)

// root is the repository's.
var root = filepath.Join("..", "..", "..")

func readAll(t *testing.T) []Document {
	t.Helper()
	all := check.Must(Read(root))(t)
	if len(all) < 10 {
		t.Fatalf("got %d documents", len(all))
	}
	return all
}

// typed are the documents whose commands other tests type.
var typed = map[string]string{
	"readme.md":        "e2e/quickstart_test.go",
	"CONTRIBUTING.md":  "documents/contributing_test.go",
	"docs/restarts.md": "e2e/catalog_test.go",
}

// TestEveryBlockOfCodeIsTested wants each of them, by its language, to be what a test reads: an excerpt of an example, a
// command that is typed, or a line that is logged.
func TestEveryBlockOfCodeIsTested(t *testing.T) {
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
	for _, d := range readAll(t) {
		for _, block := range d.Blocks {
			switch block.Language {
			case "yaml", "toml", "nginx", "redis", "sh":
				if block.Language == "sh" && typed[d.Name] != "" {
					continue
				}
				if !slices.ContainsFunc(examples, func(example string) bool { return strings.Contains(example, block.Text) }) {
					t.Errorf("%s: in no example:\n%s", d.Name, block.Text)
				}
			case "log": // e2e/troubleshooting_test.go finds it in a log
			case "text", "mermaid": // pictures, for people
			default:
				t.Errorf("%s: no test reads code of the language %q:\n%s", d.Name, block.Language, block.Text)
			}
		}
	}
	for name, file := range typed {
		data, err := os.ReadFile(filepath.Join(root, "testdata", "traefik", file))
		if err != nil || !strings.Contains(string(data), `"`+name+`"`) {
			t.Errorf("%s doesn't read %s: %v", file, name, err)
		}
	}
}

// TestTheReadmeHasAllOfTheComposeFile wants what people copy from there to be complete.
func TestTheReadmeHasAllOfTheComposeFile(t *testing.T) {
	blocks := Blocks(readAll(t), "readme.md", "yaml")
	for _, name := range []string{"compose.yaml", "tls.yml"} {
		data := check.Must(os.ReadFile(filepath.Join(root, "examples/docker-compose", name)))(t)
		if !slices.ContainsFunc(blocks, func(b Block) bool { return b.Text == string(data) }) {
			t.Errorf("the readme lacks some of %s", name)
		}
	}
}

// TestEveryLinkLeadsSomewhere follows the links within the repository, also to headings.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	all := readAll(t)
	anchors := map[string]map[string]bool{}
	for _, d := range all {
		anchors[d.Name] = d.Anchors
	}
	linked := map[string]bool{}
	for _, d := range all {
		for _, link := range d.Links {
			if strings.HasPrefix(link, "https://") {
				continue
			}
			file, anchor, _ := strings.Cut(link, "#")
			target := d.Name
			if file != "" {
				target = path.Join(path.Dir(d.Name), file)
			}
			linked[target] = true
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(target))); err != nil {
				t.Errorf("%s: %s: %v", d.Name, link, err)
			} else if anchor != "" && !anchors[target][anchor] {
				t.Errorf("%s: %s: no such heading", d.Name, link)
			}
		}
	}
	for _, d := range all {
		if !linked[d.Name] && d.Name != "readme.md" {
			t.Errorf("nobody finds %s: no link leads to it", d.Name)
		}
	}
}

// TestWordsAreLinkedWhereTheyAreUsedFirst is about those that a reader may not have, in what users read.
func TestWordsAreLinkedWhereTheyAreUsedFirst(t *testing.T) {
	notText := regexp.MustCompile("(?ms)^ *```.*?^ *```$|`[^`]*`|^#[^\n]*$") // code and headings
	read := 0
	for _, d := range readAll(t) {
		if d.Name != "readme.md" && (path.Dir(d.Name) != "docs" || d.Name == "docs/architecture.md" || d.Name == "docs/glossary.md") {
			continue
		}
		read++
		text := notText.ReplaceAllString(d.Text, "")
		for _, word := range []string{"proof", "grant", "learner", "enforcer", "store", "allowlist"} {
			used := regexp.MustCompile(`(?i)\b` + word + `s?\b`).FindStringIndex(text)
			linked := regexp.MustCompile(`\[[^]]*\]\([^)]*glossary\.md#` + word + `\)`).FindStringIndex(text)
			if used != nil && (linked == nil || linked[0] > used[0]) {
				t.Errorf("%s doesn't link %q at its first use: … %s …", d.Name, word, text[used[0]:min(used[1]+40, len(text))])
			}
		}
	}
	if read < 10 {
		t.Errorf("got %d pages", read)
	}
}

func TestTheDocumentsClaimTheTraefikThatIsTested(t *testing.T) {
	data := check.Must(os.ReadFile(filepath.Join(root, "testdata/traefik/go.mod")))(t)
	tested := regexp.MustCompile(`github.com/traefik/traefik/v3 v(\S+)`).FindStringSubmatch(string(data))
	var claimed []string
	for _, d := range readAll(t) {
		for _, claim := range regexp.MustCompile(`Tested with Traefik (\d+\.\d+\.\d+)`).FindAllStringSubmatch(d.Text, -1) {
			claimed = append(claimed, claim[1])
		}
	}
	if len(claimed) == 0 || tested == nil || slices.ContainsFunc(claimed, func(version string) bool { return version != tested[1] }) {
		t.Errorf("go.mod has %q, the documents claim %q", tested, claimed)
	}
}
