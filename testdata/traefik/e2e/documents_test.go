package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/documents"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// documented returns the blocks of a document, or if name is empty of all, in a language.
func documented(t *testing.T, name, language string) []documents.Block {
	t.Helper()
	found := documents.Blocks(check.Must(documents.Read(check.Must(lab.Root())(t)))(t), name, language)
	if len(found) == 0 {
		t.Fatalf("%s: there is nothing in %s", name, language)
	}
	return found
}

// logPattern matches the lines that a documented one stands for: … is anything.
func logPattern(excerpt string) *regexp.Regexp {
	parts := strings.Split(strings.TrimSuffix(excerpt, "\n"), "…")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile(strings.Join(parts, ".*"))
}

// isDocumented wants one of a document's log lines to be one that this line of the log shows.
func isDocumented(t *testing.T, name, line string) {
	t.Helper()
	for _, block := range documented(t, name, "log") {
		for excerpt := range strings.Lines(block.Text) {
			if logPattern(excerpt).MatchString(line) {
				return
			}
		}
	}
	t.Errorf("%s doesn't show %s", name, line)
}
