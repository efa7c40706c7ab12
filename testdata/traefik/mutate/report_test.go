package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEverySurvivorIsExplainedAndEveryExplanationIsNeeded(t *testing.T) {
	bound := place{"a.go", "f", "n < 3 -> <="}
	count := place{"a.go", "f", "n < 3: 3 -> 4"}
	other := place{"internal/b/b.go", "t.g", `drop case "x"`}
	for _, row := range []struct {
		name         string
		survivors    []place
		explanations string
		files        string
		want         bool
		says         string
	}{
		{"no survivor", nil, ``, "", true, "3 mutants: 3 killed, 0 timed out, 0 survived (0 not explained); 0 more do not compile"},
		{"a survivor without a word", []place{bound}, ``, "", false, "a.go:7: f\n    if n < 3 {\n    n < 3 -> <=\n    NOT EXPLAINED\n"},
		{"an explained one", []place{bound}, `{a.go: {f: {"n < 3 -> <=": it is the same}}}`, "", true, "<=\n    it is the same\n3 mutants: 2 killed"},
		{"another change to the same condition", []place{count}, `{a.go: {f: {"n < 3 -> <=": it is the same}}}`, "", false, "3 -> 4\n    NOT EXPLAINED"},
		{"an explanation of nothing", nil, `{a.go: {f: {"n < 3 -> <=": it is the same}}}`, "", false, "a.go: f: n < 3 -> <=\n    EXPLAINED, BUT NO SURVIVOR"},
		{"an explanation without words", []place{bound}, `{a.go: {f: {"n < 3 -> <=": " "}}}`, "", false, "EXPLAINED, BUT NO SURVIVOR"},
		{"a file as a whole", []place{bound, count}, `{a.go: {whole: seen elsewhere}}`, "", true, "<=\n    seen elsewhere\n"},
		{"a file as a whole without survivors", nil, `{a.go: {whole: seen elsewhere}}`, "", false, "a.go: whole\n    EXPLAINED, BUT NO SURVIVOR"},
		{"a file that was left out", []place{other}, `{a.go: {whole: x}, internal/b/b.go: {t.g: {'drop case "x"': y}}}`, "internal/b/b.go", true, "1 mutants: 0 killed"},
	} {
		path := filepath.Join(t.TempDir(), "explanations.yml")
		if err := os.WriteFile(path, []byte(row.explanations), 0o600); err != nil {
			t.Fatal(err)
		}
		known, err := readExplanations(path)
		if err != nil {
			t.Fatal(err)
		}
		chosen, err := newChoice(row.files, "")
		if err != nil {
			t.Fatal(err)
		}
		r := &runner{outcomes: map[*mutant]outcome{}}
		for _, p := range []place{bound, count, other} {
			if chosen.has(p) {
				m := &mutant{place: p, line: 7, code: "if n < 3 {"}
				r.mutants = append(r.mutants, m)
				r.outcomes[m] = outcome{Verdict: killed}
				for _, survivor := range row.survivors {
					if survivor == p {
						r.outcomes[m] = outcome{Verdict: survived}
					}
				}
			}
		}
		text := &strings.Builder{}
		if got := r.report(text, known, chosen.has); got != row.want || !strings.Contains(text.String(), row.says) {
			t.Errorf("%s: got %t, want %t and %q:\n%s", row.name, got, row.want, row.says, text)
		}
	}
}

func TestNoPlaceIsExplainedTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "explanations.yml")
	if err := os.WriteFile(path, []byte("a.go: {whole: x}\na.go: {whole: y}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readExplanations(path); err == nil {
		t.Error("want an error")
	}
}

func TestTheSamePlacesAreNumbered(t *testing.T) {
	mutants := []*mutant{{place: place{change: "a"}}, {place: place{change: "a"}}, {place: place{change: "b"}}, {place: place{change: "a"}}}
	number(mutants)
	got := ""
	for _, m := range mutants {
		got += m.change + ";"
	}
	if want := "a;a #2;b;a #3;"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
