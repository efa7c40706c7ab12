package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tinyTrials are what becomes of each change to testdata/tiny, in order.
const tinyTrials = `
survived: package: 3 -> 4
survived: package: 3 -> 2
does not compile: package: 255 -> 256
survived: package: 255 -> 254
killed by TestCheck: counter.check: drop c.mu.Lock()
killed by TestCheck: counter.check: drop defer c.mu.Unlock()
killed by TestCheck: counter.check: no round of for _, name := range names
killed by TestCheck: counter.check: drop c.n++
killed by TestCheck: counter.check: name == "" || len(name) > most -> true
killed by TestCheck: counter.check: name == "" || len(name) > most -> false
killed by TestCheck: counter.check: name == "" || len(name) > most -> &&
killed by TestCheck: counter.check: name == "" || len(name) > most -> (name == "")
survived: counter.check: name == "" || len(name) > most -> (len(name) > most)
killed by TestCheck: counter.check: name == "" -> !=
survived: counter.check: len(name) > most -> >=
killed by TestCheck: counter.check: len(name) > most -> <=
killed by TestCheck: counter.check: return errEmpty -> nil
killed by TestCheck: counter.check: 0 -> 1
killed by TestCheck: counter.check: 0 -> -1
killed by TestCheck: counter.check: c.n++ -> --
killed by TestCheck: counter.check: return c.n -> 0
killed by TestSum: sum: 0 -> 1
killed by TestSum: sum: 0 -> -1
killed by TestSum: sum: i <= n -> false
killed by TestSum: sum: 1 -> 2
survived: sum: 1 -> 0
killed by TestSum: sum: i <= n -> <
timed out by TestSum: sum: i++ -> --
killed by TestSum: sum: drop total += i
killed by TestSum: sum: total += i -> -=
killed by TestSum: sum: return total -> 0
survived: idle: drop case "a", "b"
survived: idle: drop case "a"
survived: idle: drop case "b"
survived: idle: not assigned: kind = "c"
survived: idle: return kind -> ""
does not compile: idle: 255 -> 256
survived: idle: 255 -> 254
`

// try tries all changes to a package, and returns the series and what it has told of its progress.
func try(t *testing.T, folder, recorded string) (*series, string) {
	t.Helper()
	code, tests, err := readPackage(folder)
	if err != nil {
		t.Fatal(err)
	}
	results, err := openRecord(recorded, code, tests)
	if err != nil {
		t.Fatal(err)
	}
	progress := &strings.Builder{}
	s := &series{bench: &workbench{folder: folder, own: t.TempDir(), patience: 2 * time.Second}, results: results, progress: progress}
	for _, file := range code {
		s.mutants = append(s.mutants, find(file)...)
	}
	if err := s.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s, progress.String()
}

// copyTiny makes a module of testdata/tiny that may be changed.
func copyTiny(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("testdata/tiny")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "go.mod"), []byte("module tiny\n\ngo 1.22\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func edit(t *testing.T, path, from, to string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), from) {
		t.Fatalf("%s has no %q: %v", path, from, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), from, to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEveryChangeIsTried(t *testing.T) {
	folder, err := filepath.Abs("testdata/tiny")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := try(t, folder, "")
	text := &strings.Builder{}
	text.WriteString("\n")
	for _, m := range s.mutants {
		text.WriteString(string(s.trials[m].Verdict))
		if s.trials[m].Test != "" {
			text.WriteString(" by " + s.trials[m].Test)
		}
		text.WriteString(": " + m.function + ": " + m.change + "\n")
	}
	if got := text.String(); got != tinyTrials {
		t.Errorf("got %s\nwant %s", got, tinyTrials)
	}
}

func TestOnlyWhatMayHaveChangedIsTriedAgain(t *testing.T) {
	folder := copyTiny(t)
	record := filepath.Join(t.TempDir(), "record.json")
	for _, row := range []struct {
		name, file, from, to string
		want                 string
	}{
		{"at first", "tiny.go", "", "", "38 changes, 38 of them to try\n"},
		{"without any change", "tiny.go", "", "", "38 changes, 0 of them to try\n"},
		{"with another test, the survivors", "tiny_test.go", `import "testing"`, "import \"testing\"\n\nfunc TestMore(*testing.T) {}", "38 changes, 12 of them to try\n"},
		{"with a test changed, what it has killed", "tiny_test.go", "sum(3); got != 6", "sum(4); got != 10", "38 changes, 21 of them to try\n"},
		{"with the file changed, all", "tiny.go", "sum never ends", "sum doesn't end", "38 changes, 38 of them to try\n"},
	} {
		edit(t, filepath.Join(folder, row.file), row.from, row.to)
		if _, got := try(t, folder, record); !strings.HasPrefix(got, row.want) {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestTestsThatFailAnyway(t *testing.T) {
	folder := copyTiny(t)
	edit(t, filepath.Join(folder, "tiny_test.go"), "got != 6", "got == 6")
	code, tests, err := readPackage(folder)
	if err != nil {
		t.Fatal(err)
	}
	results, err := openRecord("", code, tests)
	if err != nil {
		t.Fatal(err)
	}
	s := &series{bench: &workbench{folder: folder, own: t.TempDir(), patience: 2 * time.Second}, results: results, mutants: find(code[0]), progress: &strings.Builder{}}
	if err := s.run(context.Background()); err == nil || !strings.Contains(err.Error(), "without any change the tests don't pass: killed TestSum") {
		t.Errorf("got %v", err)
	}
}

func TestFilesAlikeAreTriedOneAfterTheOther(t *testing.T) {
	folder := copyTiny(t)
	for _, name := range []string{"a", "b"} {
		text := "package tiny\n\nconst " + name + " = 1\n"
		if err := os.WriteFile(filepath.Join(folder, name+".go"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := try(t, folder, "")
	for _, m := range s.mutants[:4] {
		if got := s.trials[m].Verdict; got != survived {
			t.Errorf("%s: %s: got %s, want %s", m.file, m.change, got, survived)
		}
	}
}

func TestSlowTestsAreLeftOut(t *testing.T) {
	folder := copyTiny(t)
	edit(t, filepath.Join(folder, "tiny_test.go"), "got != 6", "got == 6") // it fails
	code, tests, err := readPackage(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		slow, fault string
	}{
		{"", "without any change the tests don't pass: killed TestSum"},
		{"check", "without any change the tests don't pass: killed TestSum"},
		{"sum", ""},
	} {
		bench := &workbench{folder: folder, own: t.TempDir(), slow: testsThatCall(row.slow, tests)}
		built, _, err := bench.buildBatch(context.Background(), &batch{source: code[0]})
		if err != nil {
			t.Fatal(err)
		}
		err = built.measure(context.Background())
		if (err == nil) != (row.fault == "") || err != nil && !strings.HasPrefix(err.Error(), row.fault) {
			t.Errorf("without those that call %q: got %v, want %q", row.slow, err, row.fault)
		}
	}
}
