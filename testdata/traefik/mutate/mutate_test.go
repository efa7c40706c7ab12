package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// tinyOutcomes are those of all mutants of testdata/tiny, in order.
const tinyOutcomes = `
survived: package: most = 3: 3 -> 4
survived: package: most = 3: 3 -> 2
does not compile: package: full uint8 = 255: 255 -> 256
survived: package: full uint8 = 255: 255 -> 254
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
killed by TestCheck: counter.check: return 0, errEmpty: 0 -> 1
killed by TestCheck: counter.check: return 0, errEmpty: 0 -> -1
killed by TestCheck: counter.check: c.n++ -> --
killed by TestCheck: counter.check: return c.n -> 0
killed by TestSum: sum: total := 0: 0 -> 1
killed by TestSum: sum: total := 0: 0 -> -1
killed by TestSum: sum: i <= n -> false
killed by TestSum: sum: i := 1: 1 -> 2
survived: sum: i := 1: 1 -> 0
killed by TestSum: sum: i <= n -> <
timed out by TestSum: sum: i++ -> --
killed by TestSum: sum: drop total += i
killed by TestSum: sum: total += i -> -=
killed by TestSum: sum: return total -> 0
killed by TestEven: even: return exact -> !(exact)
survived: idle: drop case "a", "b"
survived: idle: drop case "a"
survived: idle: drop case "b"
survived: idle: not assigned: kind = "c"
survived: idle: return kind -> ""
does not compile: idle: return kind, 255: 255 -> 256
survived: idle: return kind, 255: 255 -> 254
does not compile: package: Limit = 255: 255 -> 256
survived: package: Limit = 255: 255 -> 254
killed by internal/inner.TestHalf: Half: return n / 2 -> 0
killed by TestEven: Half: return n%2 == 0 -> !(n%2 == 0)
killed by internal/inner.TestHalf: Half: n / 2 -> *
killed by internal/inner.TestHalf: Half: n / 2: 2 -> 3
killed by internal/inner.TestHalf: Half: n / 2: 2 -> 1
killed by TestEven: Half: n%2 == 0 -> !=
survived: Half: n%2 -> *
killed by TestEven: Half: n%2: 2 -> 3
killed by TestEven: Half: n%2: 2 -> 1
killed by TestEven: Half: n%2 == 0: 0 -> 1
survived: Half: n%2 == 0: 0 -> -1
`

// newRunner returns a runner of all mutants of a module, which tells its progress to a text.
func newRunner(t *testing.T, folder, cached string) (*runner, *strings.Builder) {
	t.Helper()
	packages, err := readModule(context.Background(), folder)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := openCache(cached, packages)
	if err != nil {
		t.Fatal(err)
	}
	progress := &strings.Builder{}
	r := &runner{root: packages[0], builder: &builder{dir: t.TempDir(), extra: 2 * time.Second}, cache: cache, progress: progress}
	for _, p := range packages {
		for _, file := range p.code {
			r.mutants = append(r.mutants, find(file)...)
		}
	}
	return r, progress
}

// of leaves a runner with the mutants of some files.
func (r *runner) of(files ...string) *runner {
	r.mutants = slices.DeleteFunc(r.mutants, func(m *mutant) bool { return !slices.Contains(files, m.file) })
	return r
}

// told returns the outcomes of all mutants, a line each.
func (r *runner) told() string {
	text := &strings.Builder{}
	for _, m := range r.mutants {
		text.WriteString(string(r.outcomes[m].Verdict))
		if r.outcomes[m].Test != "" {
			text.WriteString(" by " + r.outcomes[m].Test)
		}
		text.WriteString(": " + m.function + ": " + m.change + "\n")
	}
	return text.String()
}

// copyTiny makes a module of testdata/tiny that may be changed.
func copyTiny(t *testing.T) string {
	t.Helper()
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(folder, os.DirFS("testdata/tiny")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "go.mod"), "module tiny\n\ngo 1.22\n")
	return folder
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, path, from, to string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), from) {
		t.Fatalf("%s has no %q: %v", path, from, err)
	}
	write(t, path, strings.Replace(string(data), from, to, 1))
}

func TestEveryMutantIsRun(t *testing.T) {
	r, _ := newRunner(t, copyTiny(t), "")
	if err := r.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := "\n" + r.told(); got != tinyOutcomes {
		t.Errorf("got %s\nwant %s", got, tinyOutcomes)
	}
}

func TestAPackageWithoutTestsIsSeenByTheRootsAlone(t *testing.T) {
	folder := copyTiny(t)
	if err := os.Remove(filepath.Join(folder, "internal/inner/inner_test.go")); err != nil {
		t.Fatal(err)
	}
	r, _ := newRunner(t, folder, "")
	if err := r.of("internal/inner/inner.go").run(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := r.told()
	for _, line := range []string{"survived: Half: return n / 2 -> 0\n", "killed by TestEven: Half: n%2 == 0 -> !=\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("want %q, got\n%s", line, got)
		}
	}
}

func TestOnlyWhatMayHaveChangedIsRunAgain(t *testing.T) {
	folder := copyTiny(t)
	cached := filepath.Join(t.TempDir(), "cache.json")
	for _, row := range []struct {
		name, file, from, to string
		want                 string
	}{
		{"at first", "tiny.go", "", "", "52 mutants, 52 of them to run\n"},
		{"with a comment changed, none", "tiny.go", "sum never ends", "sum doesn't end", "52 mutants, 0 of them to run\n"},
		{"with another test of one package, all survivors", "internal/inner/inner_test.go", `import "testing"`, "import \"testing\"\n\nfunc TestMore(*testing.T) {}", "52 mutants, 15 of them to run\n"},
		{"with a test changed, what it has killed", "tiny_test.go", "sum(3); got != 6", "sum(4); got != 10", "52 mutants, 24 of them to run\n"},
		{"with a test of the root changed, what it has killed below it, too", "tiny_test.go", "even(3)", "even(9)", "52 mutants, 21 of them to run\n"},
		{"with a test changed, what it has killed in its own package", "internal/inner/inner_test.go", "Half(4); got != 2", "Half(6); got != 3", "52 mutants, 19 of them to run\n"},
		{"with a file changed, all of its mutants", "internal/inner/inner.go", "exact bool", "whole bool", "52 mutants, 25 of them to run\n"},
	} {
		edit(t, filepath.Join(folder, row.file), row.from, row.to)
		r, progress := newRunner(t, folder, cached)
		if err := r.run(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := progress.String(); !strings.HasPrefix(got, row.want) {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestTestsThatFailAnyway(t *testing.T) {
	for _, row := range []struct {
		code, file, from, to string
		want                 string
	}{
		{"tiny.go", "tiny_test.go", "got != 6", "got == 6", "TestSum"},
		{"internal/inner/inner.go", "internal/inner/inner_test.go", "got != 2", "got == 2", "internal/inner.TestHalf"},
	} {
		folder := copyTiny(t)
		edit(t, filepath.Join(folder, row.file), row.from, row.to)
		r, _ := newRunner(t, folder, "")
		if err := r.of(row.code).run(context.Background()); err == nil || !strings.Contains(err.Error(), "without any change the tests don't pass: killed "+row.want+"\n") {
			t.Errorf("%s: got %v", row.file, err)
		}
	}
}

func TestFilesAlikeAreRunOneAfterTheOther(t *testing.T) {
	folder := copyTiny(t)
	for _, name := range []string{"a", "b"} {
		write(t, filepath.Join(folder, name+".go"), "package tiny\n\nconst "+name+" = 1\n")
	}
	r, _ := newRunner(t, folder, "")
	if err := r.of("a.go", "b.go").run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(r.mutants) != 4 {
		t.Errorf("got %d mutants, want 4", len(r.mutants))
	}
	for _, m := range r.mutants {
		if got := r.outcomes[m].Verdict; got != survived {
			t.Errorf("%s: %s: got %s, want %s", m.file, m.change, got, survived)
		}
	}
}

// TestSlowTestsAreLeftOut is about those that skip themselves with -short.
func TestSlowTestsAreLeftOut(t *testing.T) {
	for _, row := range []struct {
		first, fault string // of a test that fails
	}{
		{"", "without any change the tests don't pass: killed TestSum"},
		{"if testing.Short() { t.Skip() }; ", ""},
	} {
		folder := copyTiny(t)
		edit(t, filepath.Join(folder, "tiny_test.go"), "func TestSum(t *testing.T) {", "func TestSum(t *testing.T) { "+row.first+`t.Error("slow")`)
		r, _ := newRunner(t, folder, "")
		built, _, err := r.builder.buildBatch(context.Background(), r.root, &batch{source: r.root.code[0]})
		if err != nil {
			t.Fatal(err)
		}
		err = built.measure(context.Background())
		if (err == nil) != (row.fault == "") || err != nil && !strings.HasPrefix(err.Error(), row.fault) {
			t.Errorf("%q: got %v, want %q", row.first, err, row.fault)
		}
	}
}

func TestFilesAreNamedAsSeenFromTheRoot(t *testing.T) {
	folder := copyTiny(t)
	for _, row := range []struct {
		files, explained string
		ok               bool
		fault            string
	}{
		{"inner.go", "{}", false, "inner.go: no such file in the plugin"},
		{"internal/inner/inner.go", "{}", false, ""},
		{"internal/inner/inner.go", "{internal/inner/inner.go: {whole: known}}", true, ""},
	} {
		explained := filepath.Join(t.TempDir(), "survivors.yml")
		write(t, explained, row.explained)
		ok, err := mutate(context.Background(), folder, explained, "", row.files, "n / 2|Limit", false)
		if ok != row.ok || (err == nil) != (row.fault == "") || err != nil && err.Error() != row.fault {
			t.Errorf("%s with %s: got %t, %v", row.files, row.explained, ok, err)
		}
	}
}

func TestKeysOutlastCommentsAndMovedLines(t *testing.T) {
	const before = `package p // of two words

/* The first function
is the only one. */
func f(a, b int) (bool, int) {
	for _, c := range []int{a, b} { // each
		go func() {
			// It says why.
			println(c + 1)
		}()
	}
	println(a + 1)
	println(b /* here */ + 1)
	return a < 0 || /* a
	comment */ b < 0, 5
}
`
	const after = `package p

func f(a, b int) (bool, int) {
	println(b + 1)

	println(a + 1) // another
	for _, c := range []int{a, b} {
		go func() {
			println(c + 1) // why not // at all
		}()
	}
	return a < 0 ||
		b < 0, 5 // "
}
`
	keys := func(text string) []string {
		path := filepath.Join(t.TempDir(), "p.go")
		write(t, path, text)
		file, err := readSource(path)
		if err != nil {
			t.Fatal(err)
		}
		list := []string{}
		for _, m := range find(file) {
			key := m.place.String()
			if strings.HasPrefix(m.code, "println") { // the key is to stay with its line
				key += " in " + brief(m.code)
			}
			list = append(list, key)
			if line := strings.Split(text, "\n")[m.line-1]; !strings.Contains(line, strings.Fields(m.code)[0]) {
				t.Errorf("%s is not in line %d: %s", m.code, m.line, line)
			}
		}
		slices.Sort(list)
		return list
	}
	was, is := keys(before), keys(after)
	if !slices.Equal(was, is) || len(was) < 20 {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(is, "\n"), strings.Join(was, "\n"))
	}
}
