package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// found has Traefik find a state file with contents, or a folder in its place, when it starts again.
func found(t *testing.T, path, contents string, folder bool) {
	t.Helper()
	err := stopped()
	if folder {
		err = errors.Join(err, os.Remove(path), os.Mkdir(path, 0o700))
	} else {
		err = errors.Join(err, os.WriteFile(path, []byte(contents), 0o600))
	}
	if err := errors.Join(err, home.traefik.Restart(context.Background())); err != nil {
		t.Fatal(err)
	}
}

// short finds a fingerprint.
var short = regexp.MustCompile(` -[0-9a-f]{64} `)

func TestAFileThatCantBeReadIsMovedAside(t *testing.T) {
	for _, row := range []struct {
		name string
		from func(whole string) string
	}{
		{"half of the first line", func(whole string) string { return whole[:30] }},
		{"zeros in the second line", func(whole string) string { return whole[:len(whole)/2] + strings.Repeat("\x00", len(whole)) + "\n" }},
		{"half a line before a whole one", func(whole string) string {
			half, _, _ := strings.Cut(whole, " g ")
			_, rest, _ := strings.Cut(whole, "\n")
			return half + "\n" + rest
		}},
		{"the file twice", func(whole string) string { return whole + whole }},
		{"a new file over a longer one", func(whole string) string { return whole + whole[len(whole)/2:] }},
		{"a negative format", func(whole string) string { return strings.Replace(whole, `"format":1`, `"format":-1`, 1) }},
		{"a format in words", func(whole string) string { return strings.Replace(whole, `"format":1`, `"format":"1"`, 1) }},
		{"an address that is none", func(whole string) string { return strings.Replace(whole, "203.0.113.7/32", "203.0.113.777/32", 1) }},
		{"all addresses", func(whole string) string { return strings.Replace(whole, "203.0.113.7/32", "203.0.113.7/0", 1) }},
		{"a name without its kind", func(whole string) string { return strings.ReplaceAll(whole, "cn:phone", "phone") }},
		{"a fingerprint that is too short", func(whole string) string { return short.ReplaceAllString(whole, " -abc ") }},
		{"a kind that nobody knows", func(whole string) string { return strings.Replace(whole, " g ", " x ", 1) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			path, store := stateFile(t), storeOf(t, "default")
			watched(options{"stateFile": path}, nil, nil).live(t)
			walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}, step{"203.0.113.7", nil, "photos", "200"})
			garbage := row.from(beside(t, path, "")[0])
			found(t, path, garbage, false)
			walk(t, step{"203.0.113.7", nil, "photos", "403"})
			if got := readState(t, path, store).ips(); got != "" {
				t.Errorf("the file has %s", got)
			}
			walk(t,
				step{"203.0.113.8", &home.Phone, "ha", "200"},
				step{"203.0.113.8", nil, "photos", "200"},
				step{"203.0.113.7", nil, "photos", "403"},
			)
			if got := listed(t, owner(t, false), "/grants").in(store) + " and " + readState(t, path, store).ips(); got != "203.0.113.8/32 and 203.0.113.8/32" {
				t.Errorf("the learner left %s", got)
			}
			if got := beside(t, path, ".*"); len(got) != 1 || got[0] != garbage {
				t.Errorf("beside the file: got %.300q, want what it was", got)
			}
			if got := logged(t, "level=ERROR msg=failed", "middleware=learn@file", "store=", filepath.Base(t.Name()), "stateFile="+path, "movedTo="+path+".unreadable-", "reason="); got != 1 {
				t.Errorf("got %d lines about it, want 1", got)
			}
			page := send(t, owner(t, false), http.MethodGet, "/", "").Body
			if !strings.Contains(page, "failed</b>") {
				t.Errorf("the page doesn't tell: %s", page)
			}
		})
	}
}

// TestAFileThatIsTornAtItsEnd is about a Traefik that was killed while it wrote a line, or about a disk that lost it.
func TestAFileThatIsTornAtItsEnd(t *testing.T) {
	for _, row := range []struct {
		name string
		from func(whole string) string
		want string // who is let in
		told string
	}{
		{"an empty file", func(string) string { return "" }, "", "grants=0 dropped=0"},
		{"half of the last line", func(whole string) string { return whole[:len(whole)-40] }, "203.0.113.7/32", "only half written"},
		{"all but the last byte", func(whole string) string { return whole[:len(whole)-1] }, "203.0.113.7/32", "only half written"},
		{"half a line more", func(whole string) string { return whole + "203.0.113.9/32 cn" }, "203.0.113.8/32 203.0.113.7/32", "only half written"},
		{"zeros at the end", func(whole string) string { return whole + strings.Repeat("\x00", 4096) }, "203.0.113.8/32 203.0.113.7/32", "only half written"},
	} {
		t.Run(row.name, func(t *testing.T) {
			path, store := stateFile(t), storeOf(t, "default")
			watched(options{"stateFile": path}, nil, nil).live(t)
			walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}, step{"203.0.113.8", &home.Phone, "ha", "200"})
			found(t, path, row.from(beside(t, path, "")[0]), false)
			walk(t, step{"203.0.113.9", nil, "photos", "403"})
			if got := listed(t, owner(t, false), "/grants").in(store); got != row.want || readState(t, path, store).ips() != row.want {
				t.Errorf("the store has %s, the file %s, want %s", got, readState(t, path, store).ips(), row.want)
			}
			if got := logged(t, "level=INFO msg=restored", "stateFile="+path, row.told); got != 1 {
				t.Errorf("got %d lines that tell %q, want 1", got, row.told)
			}
			if got := beside(t, path, ".*"); len(got) > 0 {
				t.Errorf("beside the file: %.300q", got)
			}
		})
	}
}

func TestAFileThatIsNotOursIsLeftAloneAndClosesTheLearner(t *testing.T) {
	for _, row := range []struct {
		name   string
		from   func(whole string) string
		folder bool
		why    string
	}{
		{"the next format", func(whole string) string { return strings.Replace(whole, `"format":1`, `"format":2`, 1) }, false, "newer version of the plugin"},
		{"a far newer format", func(string) string { return `{"format": 99, "store": {"elsewhere": true}}` }, false, "newer version of the plugin"},
		{"a newer format of lines", func(whole string) string {
			return strings.Replace(whole, `"format":1`, `"format":2`, 1) + "{\"granted\":1}\n"
		}, false, "newer version of the plugin"},
		{"another store's file", func(whole string) string { return strings.Replace(whole, `"store":"`, `"store":"other `, 1) }, false, "a store needs a file of its own"},
		{"Traefik's certificates", func(string) string { return `{"letsencrypt":{"Account":{"PrivateKey":"..."}}}` }, false, "it isn't a state file of this plugin's"},
		{"no JSON", func(string) string { return "stores:\n- default\n" }, false, "it isn't a state file of this plugin's"},
		{"zeros", func(whole string) string { return strings.Repeat("\x00", len(whole)) }, false, "it isn't a state file of this plugin's"},
		{"an empty object", func(string) string { return "{}" }, false, "it isn't a state file of this plugin's"},
		{"a folder", func(string) string { return "" }, true, "is a directory"},
	} {
		t.Run(row.name, func(t *testing.T) {
			path, store := stateFile(t), storeOf(t, "default")
			watched(options{"stateFile": path}, nil, nil).live(t)
			walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}, step{"203.0.113.7", nil, "photos", "200"})
			contents := row.from(beside(t, path, "")[0])
			found(t, path, contents, row.folder)
			walk(t,
				step{"203.0.113.7", nil, "photos", "403"},
				step{"203.0.113.7", &home.Phone, "ha", "404"},
				step{"203.0.113.8", &home.Phone, "ha", "404"},
				step{"203.0.113.7", nil, "photos", "403"},
				step{"203.0.113.8", nil, "files", "403"},
			)
			if got := listed(t, owner(t, false), "/grants").in(store); got != "" {
				t.Errorf("the store has %s", got)
			}
			if got := complaints("ha", "learn@file", "stateFile: invalid value", path, row.why); got == 0 {
				t.Errorf("Traefik's log doesn't tell about it")
			}
			info, err := os.Stat(path)
			if err != nil || info.IsDir() != row.folder {
				t.Fatalf("got %v and %v", info, err)
			}
			if !row.folder && beside(t, path, "")[0] != contents {
				t.Errorf("the file was changed")
			}
			if got := beside(t, path, ".*"); len(got) > 0 {
				t.Errorf("beside the file: %.300q", got)
			}
		})
	}
}

// complaints counts the errors in Traefik's log about a router, with all of substrings.
func complaints(router string, substrings ...string) int {
	return home.traefik.Log().Count(append(substrings, " ERR ", fmt.Sprint("routerName=", router))...)
}
