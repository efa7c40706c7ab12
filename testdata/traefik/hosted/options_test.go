package hosted

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/documents"
)

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

func TestTheDocumentsHaveEveryOptionOnce(t *testing.T) {
	var got []string
	for _, d := range check.Must(documents.Read(root))(t) {
		for _, row := range regexp.MustCompile("(?m)^\\| `([A-Za-z0-9.]+)` \\|").FindAllStringSubmatch(d.Text, -1) {
			got = append(got, row[1])
		}
	}
	want := optionNames(t)
	slices.Sort(got)
	slices.Sort(want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
