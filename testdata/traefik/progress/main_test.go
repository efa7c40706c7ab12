package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestItPrintsWhatGoTestDoes(t *testing.T) {
	const imports = "package p\n\nimport \"testing\"\n\n"
	many := ""
	for i := range 2*interval + 1 {
		many += fmt.Sprintf("func TestA%d(t *testing.T) { t.Log(\"unseen\"); t.Run(\"sub\", func(*testing.T) {}) }\n", i)
	}
	const end = `FAIL	example.com/p	[0-9.]+s\n`
	for _, row := range []struct{ name, code, want string }{
		{"passing tests", imports + many, `\.\.\. 20 tests have ended\n\.\.\. 40 tests have ended\nok  	example.com/p	[0-9.]+s\n`},
		{"no test", "package p\n", `\?   	example.com/p	\[no test files\]\n`},
		{
			"a test that fails", imports + "func TestA(t *testing.T) { t.Log(\"unseen\") }\n\n" +
				"func TestB(t *testing.T) { t.Run(\"sub\", func(t *testing.T) { t.Error(\"seen\") }) }\n",
			`=== RUN   TestB\n=== RUN   TestB/sub\n +p_test.go:7: seen\n--- FAIL: .*\n--- FAIL: .*\nFAIL\n` + end,
		},
		{"a panic", imports + "func TestA(*testing.T) { panic(\"seen\") }\n", `(?s:.*)panic: seen(?s:.*)` + end},
		{"an exit", imports + "import \"os\"\n\nfunc TestA(*testing.T) { os.Exit(3) }\n", `(?s:.*)` + end},
		{"a fault", imports + "func TestA(t *testing.T) { seen() }\n", `(?s:.*)undefined: seen(?s:.*)FAIL	example.com/p \[build failed\]\n`},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			file := "p_test.go"
			if !strings.Contains(row.code, "testing") {
				file = "p.go"
			}
			for name, text := range map[string]string{"go.mod": "module example.com/p\n", file: row.code} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Chdir(dir)
			var out strings.Builder
			err := run(&out, []string{"-count=1", "./..."})
			if !regexp.MustCompile("^" + row.want + "$").MatchString(out.String()) {
				t.Errorf("got\n%s\nwant\n%s", out.String(), row.want)
			}
			if fails := strings.Contains(row.want, "FAIL"); (err != nil) != fails {
				t.Errorf("got the error %v, want one: %v", err, fails)
			}
		})
	}
}
