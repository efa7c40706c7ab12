package main

import (
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// rows are the first cells of each table, by its title or by the head of its first column.
var rows = map[string][]string{
	"grants in the interpreter": {
		"1,000, of one identity", "1,000, of one identity, each let in since",
		"1,000, each of its own identity", "1,000, each of its own identity, each let in since",
	},
	"loading the plugin into Yaegi": {
		"all of it: an interpreter, our files, CreateConfig and New looked up", "the same for the do-nothing plugin",
		"an interpreter with the standard library's symbols",
		"the same, and importing what is vendored, github.com/traefik/paerser/types",
		"only parsing our files", "a learner: CreateConfig, decoding, New", "an enforcer: CreateConfig, decoding, New",
		"the difference to all of it: our own files",
	},
	"request": {
		"do-nothing plugin", "hit, IPv4", "hit, IPv6", "hit, IPv4-mapped IPv6", "hit, identities",
		"hit, X-Forwarded-For, depth 1", "hit, one of 4 source ranges", "miss, IPv4", "miss, IPv6", "renewal by a learner", "hit, IPv4, not counted", "miss, IPv4, not counted",
		"hit, IPv4, new connection", "hit, IPv6, new connection", "hit, IPv4, new client",
		"hit, one of 4 source ranges, new connection", "miss, IPv4, new connection", "miss, IPv6, new connection",
		"renewal by a learner, new connection",
		"do-nothing plugin", "hit, any of 1 grants", "hit, any of 1 grants, new connection",
		"hit, any of 10 grants", "hit, any of 10 grants, new connection",
		"hit, any of 100 grants", "hit, any of 100 grants, new connection",
		"hit, any of 1,000 grants", "hit, any of 1,000 grants, new connection",
		"hit, any of 1 source ranges", "hit, any of 1 source ranges, new connection",
		"hit, any of 10 source ranges", "hit, any of 10 source ranges, new connection",
		"hit, any of 1,000 source ranges", "hit, any of 1,000 source ranges, new connection",
		"do-nothing plugin", "new address, empty store", "new address, full store of 1,000",
		"do-nothing plugin", "new address, 10 grants in the state file", "new address, 300 grants in the state file",
	},
	"a learner starts with a state file": {"empty", "of 300 grants"},
	"an enforcer, 300 grants":            {"nobody reads", "page, JSON and metrics of another store are read in a loop", "those of the enforcer's store"},
	"router": {
		"no middleware", "ipAllowList, match in the last of 4", "do-nothing plugin", "enforcer, hit",
		"ipAllowList, match in the last of 100", "enforcer, source range of the same 100",
		"no middleware", "ipAllowList, match in the last of 4", "do-nothing plugin", "enforcer, hit",
		"ipAllowList, match in the last of 100", "enforcer, source range of the same 100",
	},
	"new connection, TLS handshake, first answer; 5 times": {
		"hidden router, from the answer to the proof on", "router without middleware",
	},
	"reloads": {"0", "2", "4", "6"},
	"growth after 6 reloads and 600 requests": {"heap", "goroutines"},
}

func TestEveryRowIsThereAndHasItsFigures(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out, io.Discard, quickly, "", ""); err != nil {
		t.Fatalf("%v, after\n%s", err, out.String())
	}
	got := tables(out.String())
	for head, names := range rows {
		if len(got[head]) != len(names) {
			t.Errorf("%s: got %d rows, want %d", head, len(got[head]), len(names))
			continue
		}
		for i, cells := range got[head] {
			if cells[0] != names[i] {
				t.Errorf("%s: got row %q, want %q", head, cells[0], names[i])
			}
			if strings.HasPrefix(head, "growth") || head == "reloads" && i == 0 {
				continue
			}
			for _, cell := range cells[1:3] {
				if figure(cell) <= 0 && cell != "HTTP" && cell != "TLS" {
					t.Errorf("%s, %s: got %q, want more than 0", head, cells[0], cell)
				}
			}
		}
	}
	if !regexp.MustCompile(`(?m)^\d+ of 24 limits kept; `).MatchString(out.String()) {
		t.Errorf("got no 24 limits in\n%s", out.String())
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// tables returns the cells of all Markdown rows, by the first cell of their table's head.
func tables(text string) map[string][][]string {
	found, head := map[string][][]string{}, ""
	for line := range strings.Lines(text) {
		inside, isRow := strings.CutPrefix(strings.TrimSpace(line), "| ")
		if !isRow {
			head = ""
			continue
		}
		cells := strings.Split(strings.TrimSuffix(inside, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case head == "":
			head = cells[0]
		case !strings.HasPrefix(cells[0], "---"):
			found[head] = append(found[head], cells)
		}
	}
	return found
}

// figure is the number that a cell begins with; 0 without one.
func figure(cell string) float64 {
	number := regexp.MustCompile(`^[0-9,.]+`).FindString(cell)
	value, _ := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
	return value
}

func TestAWrongAnswerFailsTheRun(t *testing.T) {
	b, err := startBackend()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for want, fault := range map[int]string{200: "", 403: `got "HTTP/1.1 200 OK\r\n", want status 403`} {
		c, err := connectAll(t.Context(), 2, address{target: b.Addr().String(), host: "x", from: friend, want: want})
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		took, err := c.run(t.Context(), func(asked int) bool { return asked < 3 })
		if fault == "" && (err != nil || len(took) != 6) || fault != "" && (err == nil || !strings.HasPrefix(err.Error(), fault)) {
			t.Errorf("want %d: got %d requests and %v, want 6 or %q", want, len(took), err, fault)
		}
	}
}

func TestLimitsTable(t *testing.T) {
	judged := []judgement{
		{"hit", "2.10 (2.00–2.20)", limit{bound: 3, aim: 2.3}, true},
		{"requests", "0.90 (0.80–1.00)", limit{bound: 0.93, atLeast: true}, false},
	}
	const table = "a machine\n\n" +
		"| what     |         measured |         limit |\n" +
		"| -------- | ---------------: | ------------: |\n" +
		"| hit      | 2.10 (2.00–2.20) | ≤ 3 (aim 2.3) |\n" +
		"| requests | 0.90 (0.80–1.00) |   ≥ 0.93 over |\n"
	if got := limitsTable("a machine", judged); got != table {
		t.Errorf("got\n%s, want\n%s", got, table)
	}
	for _, row := range []struct{ text, want string }{
		{"a\n<!-- bench -->\nold\n<!-- /bench -->\nz\n", "a\n<!-- bench -->\n\nnew\n\n<!-- /bench -->\nz\n"},
		{"a\n<!-- bench -->\n<!-- /bench -->\n", "a\n<!-- bench -->\n\nnew\n\n<!-- /bench -->\n"},
		{"a\n<!-- bench -->\nold\n", ""},
		{"a\n<!-- /bench -->\n", ""},
	} {
		got, err := replaceBetweenMarks(row.text, "new\n")
		if got != row.want || (err == nil) != (row.want != "") {
			t.Errorf("%q: got %q %v, want %q", row.text, got, err, row.want)
		}
	}
}

func TestFigures(t *testing.T) {
	for _, row := range []struct {
		figures []float64
		want    spread
	}{
		{[]float64{7}, spread{7, 7, 7}},
		{[]float64{3, 1, 2}, spread{1.5, 2, 2.5}},
		{[]float64{5, 1, 2, 4, 3}, spread{2, 3, 4}},
	} {
		if got := spreadOf(row.figures); got != row.want {
			t.Errorf("%v: got %v, want %v", row.figures, got, row.want)
		}
	}
	if got, want := ratio([]float64{2, 9, 4}, []float64{1, 3, 4}), (spread{1.5, 2, 2.5}); got != want {
		t.Errorf("ratio: got %v, want %v", got, want)
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for _, row := range []struct {
		only, into, want string
	}{
		{"", "speed.md", "-into wants a whole run"},
		{"memory,memroy", "", `no part "memroy"`},
	} {
		err := run(t.Context(), io.Discard, io.Discard, quickly, row.only, row.into)
		if err == nil || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("%q %q: got %v, want %s", row.only, row.into, err, row.want)
		}
	}
}
