package mtlsallowlist

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity/identitytest"
	"github.com/mtlsallowlist/mtlsallowlist/internal/wording"
)

// restart forgets what the process knows, and makes new middlewares.
func (h *house) restart(configs map[string]Config) {
	h.t.Helper()
	h.cancel()
	stores.mu.Lock()
	for path, file := range stores.files {
		if strings.HasPrefix(file.file.Store(), h.store("")) {
			delete(stores.files, path)
		}
	}
	for name := range stores.byName {
		if strings.HasPrefix(name, h.store("")) {
			delete(stores.byName, name)
			delete(stores.keeping, name)
		}
	}
	stores.mu.Unlock()
	h.handlers = h.reload(configs)
}

// A savedState is what a state file holds.
type savedState struct {
	Store   string
	Grants  []change.Change // the one proved last first
	Revoked []change.Change
	lines   []string
}

// saved reads a state file.
func saved(t *testing.T, path string) savedState {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, text, _ := strings.Cut(string(data), "\n")
	s := savedState{}
	if err := json.Unmarshal([]byte(head), &s); err != nil {
		t.Fatal(err)
	}
	all := []change.Change{}
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if line == "" {
			continue
		}
		c, err := change.Parse(line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, c)
		s.lines = append(s.lines, line)
	}
	later := map[string]bool{}
	for i := len(all) - 1; i >= 0; i-- {
		c := all[i]
		if later[c.Member()] {
			continue
		}
		later[c.Member()] = true
		switch c.Kind {
		case change.Granted:
			s.Grants = append(s.Grants, c)
		case change.Revoked:
			s.Revoked = append(s.Revoked, c)
		}
	}
	sort.SliceStable(s.Grants, func(i, j int) bool { return s.Grants[i].Stamp > s.Grants[j].Stamp })
	return s
}

// ips are those in a state file, the one proved last first.
func (s savedState) ips() string {
	texts := []string{}
	for _, g := range s.Grants {
		texts = append(texts, wording.ShortPrefix(g.IP.String()))
	}
	return strings.Join(texts, " ")
}

// stateOf returns a state file of a store with such lines.
func stateOf(store string, lines ...string) string {
	text := `{"format":1,"store":"` + store + `"}` + "\n"
	for _, line := range lines {
		text += line + "\n"
	}
	return text
}

// lineAt is a line for the grant of cn:phone at an IP, proved at t0, with a lifetime of ten years.
func lineAt(ip string) string {
	return granted(netip.MustParsePrefix(ip), named("cn:phone"), t0, t0, t0.AddDate(10, 0, 0)).Line()
}

func TestAStoreSurvivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	configs := map[string]Config{
		"learn":   {Mode: "learn", TTL: "1h", MaxIPs: "3", StateFile: path},
		"brief":   {Mode: "learn", TTL: "1s", MaxIPs: "3", StateFile: path}, // whichever is made first
		"enforce": {Mode: "enforce"},
		"status":  {Mode: "status", Proof: "request"},
	}
	h := newHouse(t, configs)
	if strings.Contains(h.log.String(), "msg=restored") {
		t.Errorf("something is told as restored from a file that isn't there: %s", h.log.String())
	}
	h.walk("before", "learn 203.0.113.9 cn:gone=200; wait 30m; learn 203.0.113.7 cn:phone dns:phone.lan=200; wait 10m; learn 2001:db8::7 cn:pad=200; wait 5m")
	before := h.listing("status", "203.0.113.7").Stores[0].Grants[:2]
	h.restart(configs)
	after := h.listing("status", "203.0.113.7").Stores[0].Grants[:2]
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("before %v, after %v", before, after)
	}
	h.walk("after", "enforce 203.0.113.7=200; enforce 2001:db8::8=200; enforce 203.0.113.9=200; enforce 203.0.113.8=403")
	h.now = h.now.Add(15 * time.Minute)
	h.restart(configs)
	h.walk("later", "enforce 203.0.113.9=403; enforce 203.0.113.7=200; wait 29m; enforce 203.0.113.7=200; wait 1m; enforce 203.0.113.7=403; enforce 2001:db8::8=200; wait 10m; enforce 2001:db8::8=403")
	for _, want := range []string{" grants=3 dropped=0 stateFile=", " grants=2 dropped=1 stateFile="} {
		if strings.Count(h.log.String(), "store="+h.store("default")+want+path) != 1 {
			t.Errorf("the log lacks %q, or has it twice: %s", want, h.log.String())
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", info.Mode(), err)
	}
}

func TestRestoredGrantsKeepTheirOrderAndTheLimits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	all := Config{Mode: "learn", TTL: "1h", AllowPrivate: "true", StateFile: path}
	h := newHouse(t, map[string]Config{"learn": all})
	for i, name := range []string{"a", "b", "a", "c", "c", "b"} {
		h.now = h.now.Add(time.Second)
		h.ask("learn", fmt.Sprint("203.0.113.", i), "cn:"+name)
	}
	h.walk("more", "wait 1s; learn 192.168.0.1 cn:d=200; wait 1s; learn 2001:db8::1 cn:e=200")
	for _, row := range []struct {
		name string
		now  Config
		want string
	}{
		{"as before", all, "2001:db8::/64 192.168.0.1 203.0.113.5 203.0.113.4 203.0.113.3 203.0.113.2 203.0.113.1 203.0.113.0"},
		{"fewer IPs", Config{MaxIPs: "3", AllowPrivate: "true"}, "2001:db8::/64 192.168.0.1 203.0.113.5"},
		{"fewer IPs per identity", Config{MaxIPsPerIdentity: "1", AllowPrivate: "true"}, "2001:db8::/64 192.168.0.1 203.0.113.5 203.0.113.4 203.0.113.2"},
		{"no private addresses", Config{}, "2001:db8::/64 203.0.113.5 203.0.113.4 203.0.113.3 203.0.113.2 203.0.113.1 203.0.113.0"},
		{"another subnet", Config{AllowPrivate: "true", IPStrategy: IPStrategy{IPv6Subnet: "56"}, MaxIPs: "2"}, "2001:db8::/56 192.168.0.1"},
	} {
		copied := filepath.Join(t.TempDir(), "copy.json")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if row.name == "another subnet" { // 2001:db8::/64 is no /56
			row.want = "192.168.0.1 203.0.113.5"
		}
		if err := os.WriteFile(copied, data, 0o600); err != nil {
			t.Fatal(err)
		}
		row.now.Mode, row.now.TTL, row.now.StateFile = "learn", "1h", copied
		h.restart(map[string]Config{"learn": row.now})
		if got := saved(t, copied).ips(); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
		kept := len(strings.Fields(row.want))
		log := h.log.String()
		if told := log[strings.LastIndex(log, "msg=restored"):]; !strings.Contains(told, fmt.Sprintf(" grants=%d dropped=%d ", kept, 8-kept)) {
			t.Errorf("%s: want %d of 8 told as restored, got %s", row.name, kept, told)
		}
	}
	// The next to go is the one whose proof is oldest.
	h.restart(map[string]Config{"learn": {Mode: "learn", TTL: "1h", MaxIPs: "8", AllowPrivate: "true", StateFile: path}})
	h.walk("evicting", "learn 203.0.113.77 cn:new=200")
	if got, want := saved(t, path).ips(), "203.0.113.77 2001:db8::/64 192.168.0.1 203.0.113.5 203.0.113.4 203.0.113.3 203.0.113.2 203.0.113.1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAClockSetBackProlongsNoGrantBeyondItsLifetime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	configs := map[string]Config{"learn": {Mode: "learn", TTL: "1h", StateFile: path}, "enforce": {Mode: "enforce"}}
	h := newHouse(t, configs)
	h.walk("before", "learn 203.0.113.7 cn:phone=200")
	h.now = h.now.AddDate(-10, 0, 0)
	h.restart(configs)
	h.walk("ten years earlier", "enforce 203.0.113.7=200; wait 59m; enforce 203.0.113.7=200; wait 1m; enforce 203.0.113.7=403")
}

// TestAFileThatHoldsAllIsNotWrittenTwice when it is read: it stays in the order in which somebody has put it.
func TestAFileThatHoldsAllIsNotWrittenTwice(t *testing.T) {
	for _, row := range []struct {
		name   string
		lines  int
		maxIPs string
		same   bool
	}{
		{"a few", 3, "1000", true},
		{"more than are handled at once", 2*change.PortionSize + 1, "1000", true},
		{"more than there may be", 3, "2", false},
	} {
		path := filepath.Join(t.TempDir(), "state.json")
		h := newHouse(t, nil)
		lines := []string{}
		for i := row.lines; i > 0; i-- { // the last one first
			at := t0.Add(time.Duration(i-row.lines) * time.Second)
			lines = append(lines, granted(numbered(i), named("cn:phone"), at, at, at.Add(time.Hour)).Line())
		}
		content := stateOf(h.store("default"), lines...)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		h.reload(map[string]Config{"learn": {Mode: "learn", TTL: "1h", MaxIPs: row.maxIPs, StateFile: path}})
		data, err := os.ReadFile(path)
		if err != nil || (string(data) == content) != row.same {
			t.Errorf("%s: %v; it is as it was: %t, want %t: %s", row.name, err, string(data) == content, row.same, data)
		}
	}
}

// TestALineThatIsOnlyHalfWrittenIsTold, and no other.
func TestALineThatIsOnlyHalfWrittenIsTold(t *testing.T) {
	for _, torn := range []string{"", lineAt("203.0.113.8/32")[:40]} {
		path := filepath.Join(t.TempDir(), "state.json")
		h := newHouse(t, nil)
		if err := os.WriteFile(path, []byte(stateOf(h.store("default"), lineAt("203.0.113.7/32"))+torn), 0o600); err != nil {
			t.Fatal(err)
		}
		h.reload(map[string]Config{"learn": {Mode: "learn", StateFile: path}})
		want := " grants=1 dropped=0 stateFile=" + path
		if torn != "" {
			want += ` reason="the last line was only half written, and is dropped"`
		}
		if !strings.Contains(h.log.String(), want+"\n") {
			t.Errorf("with %q at the end: want %s, got %s", torn, want, h.log.String())
		}
	}
}

// TestAFileThatIsMadeLaterIsTheStoresAtOnce, and no other is left behind.
func TestAFileThatIsMadeLaterIsTheStoresAtOnce(t *testing.T) {
	folder := t.TempDir()
	first, second := filepath.Join(folder, "first.json"), filepath.Join(folder, "second.json")
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn", TTL: "1h", StateFile: first}})
	h.walk("a phone", "learn 203.0.113.7 cn:phone=200")
	h.handlers = h.reload(map[string]Config{"learn": {Mode: "learn", TTL: "1h", StateFile: second}})
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 2 || strings.Contains(h.log.String(), "movedTo") {
		t.Errorf("got %v, %v and %s, want the two files", entries, err, h.log.String())
	}
	if got := saved(t, second).ips(); got != "203.0.113.7" {
		t.Errorf("the file holds %q", got)
	}
}

// TestWhatIsReadAfterASleepIsNoOlderForIt since the file goes by the wall clock.
func TestWhatIsReadAfterASleepIsNoOlderForIt(t *testing.T) {
	s := newStore(t.Name())
	s.notice(when(0))
	now := clocks.Reading{Wall: clocks.Epoch.Add(40 * time.Minute), Mono: time.Second}
	s.notSooner(0, now)
	restoreAll(s, []change.Change{{Kind: change.Granted, IP: home, Identity: cnA, Proved: s.At(now.Mono), Expires: s.At(now.Mono) + 3_600_000}}, hour, now.Mono)
	s.learnBy(terms{learner: true, limits: hour}, now)
	if !s.holds(home, clocks.Reading{Wall: now.Wall.Add(time.Hour - 1), Mono: now.Mono + time.Hour - 1}) {
		t.Error("it doesn't hold for its lifetime")
	}
}

// TestAFileThatComesLater is about the option being given to a running store, with a file from earlier that somebody
// has put into another order.
func TestAFileThatComesLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn", TTL: "1h", StateFile: path}})
	h.walk("earlier", "learn 203.0.113.1 cn:a=200; wait 1s; learn 203.0.113.2 cn:b=200; wait 1s; learn 203.0.113.3 cn:c=200; wait 1s")
	s := saved(t, path)
	content := stateOf(s.Store, s.lines[1], s.lines[2], s.lines[0])
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	h.restart(map[string]Config{"learn": {Mode: "learn", TTL: "1h", MaxIPs: "3"}, "enforce": {Mode: "enforce"}})
	h.walk("without the file", "learn 203.0.113.2 cn:b=200; enforce 203.0.113.3=403; enforce 203.0.113.3=403")
	enforcer := h.handlers["enforce"]
	h.handlers = h.reload(map[string]Config{"learn": {Mode: "learn", TTL: "1h", MaxIPs: "3", StateFile: path}})
	h.handlers["enforce"] = enforcer
	h.walk("with it", "enforce 203.0.113.3=200; enforce 203.0.113.1=200; wait 1s; learn 203.0.113.4 cn:d=200; enforce 203.0.113.1=403; enforce 203.0.113.3=200")
	if got, want := saved(t, path).ips(), "203.0.113.4 203.0.113.2 203.0.113.3"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestChangesAreOnDiskBeforeTheAnswer reads the file in the service behind the learner.
func TestChangesAreOnDiskBeforeTheAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	h := newHouse(t, nil)
	held := ""
	next := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		s := saved(t, path)
		held = s.ips()
	})
	config := &Config{Mode: "learn", Store: []string{h.store("a")}, MaxIPs: "2", MaxIPsPerIdentity: "1", TTL: "1h", StateFile: path}
	learner, err := newHandler(context.Background(), next, config, "learn", h.clock(), h.logger)
	if err != nil {
		t.Fatal(err)
	}
	h.handlers["learn"] = learner
	phone, pad, laptop := identitytest.Verified(identitytest.Certificate("cn:phone")), identitytest.Verified(identitytest.Certificate("cn:pad")), identitytest.Verified(identitytest.Certificate("cn:laptop"))
	for _, step := range []struct {
		name  string
		wait  time.Duration
		from  string
		state *tls.ConnectionState
		want  string
	}{
		{"learned", 0, "203.0.113.1:1", phone, "203.0.113.1"},
		{"learned too", time.Second, "203.0.113.2:1", pad, "203.0.113.2 203.0.113.1"},
		{"a mere renewal waits", 58 * time.Second, "203.0.113.1:1", phone, "203.0.113.2 203.0.113.1"},
		{"for a minute", 2 * time.Second, "203.0.113.1:1", phone, "203.0.113.1 203.0.113.2"},
		{"evicted by identity", time.Second, "203.0.113.3:1", pad, "203.0.113.3 203.0.113.1"},
		{"evicted by number", time.Second, "203.0.113.4:1", laptop, "203.0.113.4 203.0.113.3"},
		{"a renewal after a minute", time.Minute, "203.0.113.3:2", pad, "203.0.113.3 203.0.113.4"},
	} {
		h.now = h.now.Add(step.wait)
		rw := httptest.NewRecorder()
		learner.ServeHTTP(rw, &http.Request{RemoteAddr: step.from, TLS: step.state})
		if held != step.want {
			t.Errorf("%s: got %q, want %q", step.name, held, step.want)
		}
	}
}

// looks tells all of the files in a folder: name, mode, when it was changed, and what it holds or leads to.
func looks(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		data := []byte{}
		if info.Mode().IsRegular() {
			data, _ = os.ReadFile(path)
		}
		target, _ := os.Readlink(path)
		text += fmt.Sprintln(entry.Name(), info.Mode(), info.ModTime().UnixNano(), target, string(data))
	}
	return text
}

func TestFilesThatAreNotOurs(t *testing.T) {
	const newer = "its format 2 is that of a newer version of the plugin: this one knows format 1"
	const foreign = "it isn't a state file of this plugin's: want a path where there is no file yet, or an empty one"
	const head = "want the format and the store in the first line"
	line := lineAt("203.0.113.7/32")
	with := func(from, to string) string {
		if !strings.Contains(line, from) {
			t.Fatalf("%q lacks %q", line, from)
		}
		return strings.Replace(line, from, to, 1)
	}
	for _, row := range []struct {
		name, content string
		aside         string // why it is set aside; empty: the option is refused
		refused       string
	}{
		{"torn in its first line", `{"format":1,"store":"STORE"`, head, ""},
		{"torn in the store's name", `{"format":1,"store":"hou`, head, ""},
		{"its first line, and then zeros", `{"format":1,"store":"STORE"` + strings.Repeat("\x00", 9000), head, ""},
		{"written by hand", "\n {\n\t\"format\" : 1 ,\n\t\"store\" :\"STORE\",}", head, ""},
		{"no number for a format", "{\"format\":\"1\",\"store\":\"STORE\"}\n", head, ""},
		{"a format before all others", "{\"format\":0,\"store\":\"STORE\"}\n", head, ""},
		{"a blank line", stateOf("STORE", line, "", line), "line 3: not a change", ""},
		{"zeros between two lines", stateOf("STORE", line, strings.Repeat("\x00", 9000), line), "line 3: not a change", ""},
		{"two states", stateOf("STORE", line) + stateOf("STORE", line), "line 3: not a change", ""},
		{"half a line in between", stateOf("STORE", line, line[:40], line), "line 3: not a change", ""},
		{"a line of another kind", stateOf("STORE", with(" g ", " x ")), "line 2: not a change", ""},
		{"an address that is none", stateOf("STORE", with("203.0.113.7", "203.0.113.300")), "line 2: not a change", ""},
		{"an address without a length", stateOf("STORE", with("/32", "")), "line 2: not a change", ""},
		{"a mapped address", stateOf("STORE", with("203.0.113.7/32", "::ffff:203.0.113.7/128")), "line 2: not a change", ""},
		{"an address with more than its prefix", stateOf("STORE", with("/32", "/24")), "line 2: not a change", ""},
		{"a name without a kind", stateOf("STORE", strings.ReplaceAll(line, "cn:phone", "phone")), "line 2: not a change", ""},
		{"an unknown kind of name", stateOf("STORE", strings.ReplaceAll(line, "cn:", "user:")), "line 2: not a change", ""},
		{"a short fingerprint", stateOf("STORE", with(" - ", " -abc ")), "line 2: not a change", ""},
		{"names that are too long", stateOf("STORE", line+",dns:"+strings.Repeat("a", 4000)), "line 2: not a change", ""},
		{"a serial that is none", stateOf("STORE", with(" 0 ", " 0%3Cb%3E ")), "line 2: not a change", ""},
		{"a time that nobody means", stateOf("STORE", with(fmt.Sprint(t0.AddDate(10, 0, 0).UnixMilli()), "100000000000001")), "line 2: not a change", ""},
		{"no time", stateOf("STORE", with(fmt.Sprint(t0.UnixMilli()), "")), "line 2: not a change", ""},
		{"one good grant and a bad one", stateOf("STORE", line, strings.ReplaceAll(line, "cn:phone", "phone")), "line 3: not a change", ""},
		{"a newer format", `{"format":2,"store":7,"tables":{}}`, "", newer},
		{"a newer format of several lines", "{\"format\":2,\"store\":\"STORE\"}\n{\"granted\":7}\n", "", newer},
		{"a newer format, torn", `{"format":2,"store":"STO`, "", newer},
		{"another store's", stateOf("other"), "", `it keeps the store "other", not "STORE"`},
		{"another store's, torn", `{"format":1,"store":"ot\u0068er","gra`, "", `it keeps the store "other", not "STORE"`},
		{"ours, and another store's later", "{\"format\":1,\"store\":\"STORE\",\"store\":\"other\"}\n", "", `it keeps the store "other", not "STORE"`},
		{"Traefik's certificates", `{"letsencrypt":{"Account":{"PrivateKey":"..."}}}`, "", foreign},
		{"other JSON", `{"a":1}`, "", foreign},
		{"JSON with another format", `{"format":1,"version":2}`, "", foreign},
		{"JSON with a store, but no format before", `{"store":"STORE","format":1}`, "", foreign},
		{"JSON with ours in it", `{"a":{"format":1,"store":"STORE"}}`, "", foreign},
		{"ours in a list", "[" + stateOf("STORE") + "]", "", foreign},
		{"no more than the beginning of ours", `{"format":1,`, "", foreign},
		{"an empty object", "{}", "", foreign},
		{"a line feed", "\n", "", foreign},
		{"no JSON", "203.0.113.7\n", "", foreign},
		{"nothing but zeros", strings.Repeat("\x00", 9000), "", foreign},
		{"ours, but late", strings.Repeat(" ", 9000) + stateOf("STORE"), "", foreign},
	} {
		h := newHouse(t, nil)
		row.content = strings.ReplaceAll(row.content, "STORE", h.store("a"))
		folder := t.TempDir()
		path := filepath.Join(folder, "state.json")
		if err := os.WriteFile(path, []byte(row.content), 0o644); err != nil {
			t.Fatal(err)
		}
		neighbour := path + ".5.tmp"
		if row.aside == "" {
			if err := os.WriteFile(neighbour, []byte("whose?"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		before := looks(t, folder)
		config := &Config{Mode: "learn", Store: []string{h.store("a")}, StateFile: path}
		_, err := newHandler(context.Background(), http.NotFoundHandler(), config, "learn", h.clock(), h.logger)
		entries, _ := os.ReadDir(folder)
		if row.aside == "" {
			want := strings.ReplaceAll(row.refused, "STORE", h.store("a"))
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `stateFile: invalid value "`+path+`"`) {
				t.Errorf("%s: got error %v, want %q", row.name, err, want)
			}
			if after := looks(t, folder); after != before {
				t.Errorf("%s: got %s, want %s", row.name, after, before)
			}
			if stateFileOf(openStore(h.store("a"))) != nil {
				t.Errorf("%s: the store is kept in it", row.name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		aside, _ := filepath.Glob(path + ".unreadable-*")
		if len(aside) != 1 || len(entries) != 2 {
			t.Errorf("%s: the folder has %v, want the state and the file set aside", row.name, entries)
			continue
		}
		if data, _ := os.ReadFile(aside[0]); string(data) != row.content {
			t.Errorf("%s: set aside was %q", row.name, data)
		}
		if log := h.log.String(); strings.Count(log, "msg=failed") != 1 || !strings.Contains(log, row.aside) || !strings.Contains(log, "movedTo="+aside[0]) {
			t.Errorf("%s: the log says %q, want %q", row.name, log, row.aside)
		}
		if got := saved(t, path); len(got.Grants) != 0 || got.Store != h.store("a") {
			t.Errorf("%s: the state is now %v", row.name, got)
		}
	}
}

// TestWhatIsNoFileIsLeftAlone is about what else may stand at the path. Whoever opens a pipe waits for its other end: so if it
// is read, it holds a state, and New has no error.
func TestWhatIsNoFileIsLeftAlone(t *testing.T) {
	for _, row := range []struct {
		name string
		make func(path, ours, others string) error
		want string
	}{
		{"a folder", func(path, _, _ string) error { return os.Mkdir(path, 0o700) }, "it is a directory: want a file"},
		{"a link to the store's file", func(path, ours, _ string) error { return os.Symlink(ours, path) }, "it is a symbolic link, which would be replaced: want a file"},
		{"a link to somebody's file", func(path, _, others string) error { return os.Symlink(others, path) }, "it is a symbolic link"},
		{"a link to a folder", func(path, _, others string) error { return os.Symlink(filepath.Dir(others), path) }, "it is a symbolic link"},
		{"a link to nothing", func(path, _, _ string) error { return os.Symlink("nothing", path) }, "it is a symbolic link"},
		{"a link to a device", func(path, _, _ string) error { return os.Symlink("/dev/null", path) }, "it is a symbolic link"},
		{"a pipe", func(path, _, _ string) error { return exec.Command("mkfifo", path).Run() }, "it is a device, a pipe or a socket: want a file"},
		{"a socket", func(path, _, _ string) error { return bind(t, path) }, "it is a device, a pipe or a socket"},
		{"somebody's file by another name", func(path, _, others string) error { return os.Link(others, path) }, "it isn't a state file of this plugin's"},
	} {
		h := newHouse(t, nil)
		folder := t.TempDir()
		path, ours, others := filepath.Join(folder, "state.json"), filepath.Join(folder, "ours.json"), filepath.Join(folder, "others.json")
		state := stateOf(h.store("a"))
		err := errors.Join(os.WriteFile(ours, []byte(state), 0o600), os.WriteFile(others, []byte(`{"a":1}`), 0o640), row.make(path, ours, others), os.WriteFile(path+".5.tmp", nil, 0o600))
		if err != nil {
			t.Fatal(err)
		}
		before := looks(t, folder)
		fed := make(chan bool, 1)
		if row.name == "a pipe" {
			go feed(path, state, fed)
		}
		config := &Config{Mode: "learn", Store: []string{h.store("a")}, StateFile: path}
		_, err = newHandler(context.Background(), http.NotFoundHandler(), config, "learn", h.clock(), h.logger)
		if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), `middleware "learn": stateFile: invalid value "`+path+`"`) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
		if after := looks(t, folder); after != before {
			t.Errorf("%s: got %s, want %s", row.name, after, before)
		}
		if row.name == "a pipe" {
			reader, err := os.Open(path) // lets the feeder go
			if err != nil {
				t.Fatal(err)
			}
			<-fed
			_ = reader.Close()
		}
	}
}

// bind makes a socket, which stays when the listener goes.
func bind(t *testing.T, path string) error {
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = listener.Close() })
	return nil
}

// feed writes into a pipe once somebody reads it.
func feed(path, text string, done chan bool) {
	pipe, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, _ = pipe.WriteString(text)
		_ = pipe.Close()
	}
	done <- true
}

func TestTheStoresFileByAnotherNameIsTakenOver(t *testing.T) {
	folder := t.TempDir()
	first, second := filepath.Join(folder, "first.json"), filepath.Join(folder, "second.json")
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn", TTL: "1h", StateFile: first}})
	h.walk("a phone", "learn 203.0.113.7 cn:phone=200")
	if err := os.Link(first, second); err != nil {
		t.Fatal(err)
	}
	h.restart(map[string]Config{"learn": {Mode: "learn", TTL: "1h", StateFile: second}})
	h.walk("a pad", "wait 1s; learn 203.0.113.8 cn:pad=200")
	if got, want := saved(t, second).ips()+", "+saved(t, first).ips(), "203.0.113.8 203.0.113.7, 203.0.113.7"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRevocationsStayInTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	h := newHouse(t, nil)
	revoked := revokedAt(netip.MustParsePrefix("203.0.113.7/32"), named("cn:phone"), t0, t0.AddDate(0, 0, 1))
	if err := os.WriteFile(path, []byte(stateOf(h.store("default"), revoked.Line())), 0o600); err != nil {
		t.Fatal(err)
	}
	h.handlers = h.reload(map[string]Config{"learn": {Mode: "learn", StateFile: path}})
	h.walk("a pad", "learn 203.0.113.8 cn:pad=200")
	if got := saved(t, path); got.ips() != "203.0.113.8" || len(got.Revoked) != 1 || got.Revoked[0].IP.String() != "203.0.113.7/32" {
		t.Errorf("the file holds %v, want the pad and the revocation", got)
	}
}

// TestAFileFromBeforeMayBeSomebodysByNow is about the option that names another file, and then the first again.
func TestAFileFromBeforeMayBeSomebodysByNow(t *testing.T) {
	for _, row := range []struct{ content, want string }{
		{`{"a":1}`, "it isn't a state file of this plugin's"},
		{`{"format":2,"store":"x"}`, "newer version of the plugin"},
		{stateOf("x"), `it keeps the store "x"`},
		{`{"format":1,"store":"STORE","gra`, ""},
		{"", ""},
	} {
		folder := t.TempDir()
		first, second := filepath.Join(folder, "first.json"), filepath.Join(folder, "second.json")
		h := newHouse(t, map[string]Config{"learn": {Mode: "learn", TTL: "1h", StateFile: first}})
		h.handlers = h.reload(map[string]Config{"learn": {Mode: "learn", TTL: "1h", StateFile: second}})
		content := strings.ReplaceAll(row.content, "STORE", h.store("default"))
		if err := os.WriteFile(first, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		h.cancel()
		config := &Config{Mode: "learn", Store: []string{h.store("default")}, StateFile: first}
		_, err := newHandler(context.Background(), http.NotFoundHandler(), config, "learn", h.clock(), h.logger)
		if row.want == "" {
			if got := saved(t, first); err != nil || got.Store != h.store("default") {
				t.Errorf("%s: got %v and %v", row.content, err, got)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.content, err, row.want)
		}
		if got := stateFileOf(openStore(h.store("default"))).Path(); got != second {
			t.Errorf("%s: the store is kept in %s, want %s as before", row.content, got, second)
		}
		if data, _ := os.ReadFile(first); string(data) != content {
			t.Errorf("%s: the file is now %q", row.content, data)
		}
	}
}

func TestStateFilesThatCannotBe(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, path, want string }{
		{"no such folder", filepath.Join(folder, "none", "state.json"), "no such file or directory"},
		{"a folder that is a file", filepath.Join(file, "state.json"), "not a directory"},
		{"a folder", folder, "is a directory"},
		{"a folder that can't be written", "/proc/state.json", ""},
	} {
		h := newHouse(t, nil)
		config := &Config{Mode: "learn", Store: []string{h.store("a")}, StateFile: row.path}
		for _, time := range []string{"first", "second"} { // the second time as the first
			_, err := newHandler(context.Background(), http.NotFoundHandler(), config, "learn", h.clock(), h.logger)
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), `middleware "learn": stateFile: invalid value "`+row.path+`"`) {
				t.Errorf("%s, the %s time: got %v", row.name, time, err)
			}
		}
	}
}

func TestAHugeFileIsNotRead(t *testing.T) {
	for size, want := range map[int64]string{67_108_865: "it is larger than 67108864 bytes", 67_108_864: ""} {
		path := filepath.Join(t.TempDir(), "state.json")
		h := newHouse(t, nil)
		if err := os.WriteFile(path, []byte(`{"format":1,"store":"`+h.store("a")+`",`), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		config := &Config{Mode: "learn", Store: []string{h.store("a")}, StateFile: path}
		_, err := newHandler(context.Background(), http.NotFoundHandler(), config, "learn", h.clock(), h.logger)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d bytes: got %v, want %q", size, err, want)
		}
		if info, err := os.Stat(path); want != "" && (err != nil || info.Size() != size) {
			t.Errorf("the file was touched: %v", err)
		}
	}
}

func TestAStoreHasOneFileAndAFileOneStore(t *testing.T) {
	folder := t.TempDir()
	one, two := filepath.Join(folder, "one.json"), filepath.Join(folder, "two.json")
	h := newHouse(t, map[string]Config{"first": {Mode: "learn", TTL: "1h", StateFile: one}})
	first, live := h.cancel, context.Background()
	build := func(name, store, path string) error {
		config := &Config{Mode: "learn", TTL: "1h", Store: []string{h.store(store)}, StateFile: path}
		handler, err := newHandler(live, http.NotFoundHandler(), config, name, h.clock(), h.logger)
		h.handlers[name] = handler
		return err
	}
	if err := build("again", "default", filepath.Join(folder, ".", "one.json")); err != nil {
		t.Errorf("the same file for the same store: %v", err)
	}
	if err := build("second", "default", two); err == nil || !strings.Contains(err.Error(), `middleware "second"`) || !strings.Contains(err.Error(), `for middleware "again"`) {
		t.Errorf("two files for one store: got %v", err)
	}
	if err := build("third", "other", one); err == nil || !strings.Contains(err.Error(), `middleware "third"`) || !strings.Contains(err.Error(), `for middleware "again"`) {
		t.Errorf("one file for two stores: got %v", err)
	}
	first()

	// After a reload another file may take over. What the old one still holds doesn't come back with it.
	h = newHouse(t, map[string]Config{"first": {Mode: "learn", TTL: "1h", StateFile: two}})
	h.walk("first", "first 203.0.113.7 cn:phone=200")
	h.handlers = h.reload(map[string]Config{"first": {Mode: "learn", TTL: "1h", StateFile: filepath.Join(folder, "three.json")}})
	if got := saved(t, filepath.Join(folder, "three.json")).ips(); got != "203.0.113.7" {
		t.Errorf("the new file holds %q", got)
	}
	h.handlers = h.reload(map[string]Config{"first": {Mode: "learn", TTL: "1h", StateFile: two}})
	if got := saved(t, two).ips(); got != "203.0.113.7" {
		t.Errorf("back in the old file there is %q", got)
	}
	h.handlers = h.reload(map[string]Config{"first": {Mode: "learn", TTL: "1h", StateFile: filepath.Join(folder, "three.json")}})
	copied, err := os.ReadFile(two)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(folder, "four.json"), copied, 0o600), os.Remove(two)); err != nil {
		t.Fatal(err)
	}
	h.handlers = h.reload(map[string]Config{"first": {Mode: "learn", TTL: "1h", StateFile: two}})
	if got := saved(t, two).ips(); got != "203.0.113.7" {
		t.Errorf("back in the old file, which was removed, there is %q", got)
	}
	h.handlers = h.reload(map[string]Config{"first": {Mode: "learn", TTL: "1h", StateFile: filepath.Join(folder, "three.json")}})
	openStore(h.store("default")).revoke(clientip.Prefix(ipOf("\x07").Addr(), 64), "", atTime(h.now))
	h.handlers = h.reload(map[string]Config{"first": {Mode: "learn", TTL: "1h", StateFile: filepath.Join(folder, "four.json")}})
	if got := saved(t, filepath.Join(folder, "four.json")).ips(); got != "" {
		t.Errorf("a copy has brought back %q", got)
	}
	if aside, _ := filepath.Glob(filepath.Join(folder, "four.json.replaced-*")); len(aside) != 1 {
		t.Errorf("set aside are %v", aside)
	}
	h.handlers = h.reload(map[string]Config{"first": {Mode: "learn", TTL: "1h", StateFile: two}})
	if got := saved(t, two).ips(); got != "" {
		t.Errorf("the old file has brought back %q", got)
	}
}

func TestAFailingDiskFailsNoRequest(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "state.json")
	h := newHouse(t, map[string]Config{
		"learn":   {Mode: "learn", TTL: "1h", StateFile: path},
		"enforce": {Mode: "enforce"},
		"status":  {Mode: "status", Proof: "request"},
	})
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	for _, steps := range []string{"learn 203.0.113.1 cn:a=200; enforce 203.0.113.1=200", "learn 203.0.113.2 cn:b=200; enforce 203.0.113.2=200"} {
		h.walk("without a disk", steps)
		if log := h.log.String(); strings.Count(log, "msg=failed") != 1 || !strings.Contains(log, path) {
			t.Errorf("the log says %s", log)
		}
	}
	if page := h.get("status", "/", "text/html").Body.String(); !strings.Contains(page, "The state can&#39;t be written") {
		t.Errorf("the page doesn't show the failure: %s", page)
	}
	if metrics := h.get("status", "/metrics", "").Body.String(); !strings.Contains(metrics, `mtlsallowlist_state_file_failures_total{store="`+h.store("default")+`"} 2`) {
		t.Errorf("the metrics say %s", metrics)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if stateFileOf(openStore(h.store("default"))).Failure() == nil {
		t.Error("what isn't on disk is said to be")
	}
	h.walk("with a disk", "learn 203.0.113.3 cn:c=200")
	if got := saved(t, path).ips(); len(strings.Fields(got)) != 3 {
		t.Errorf("the file holds %q, want all three", got)
	}
	if page := h.get("status", "/", "text/html").Body.String(); strings.Contains(page, "can&#39;t be written") {
		t.Error("the page still shows the failure")
	}
}

// TestAReloadWhileTheDiskFails is about a disk that is full, or gone, after the file was written once.
func TestAReloadWhileTheDiskFails(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "state.json")
	configs := map[string]Config{
		"learn":   {Mode: "learn", TTL: "1h", StateFile: path},
		"enforce": {Mode: "enforce"},
		"status":  {Mode: "status", Proof: "request"},
	}
	h := newHouse(t, configs)
	h.walk("with a disk", "learn 203.0.113.1 cn:a=200")
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, steps string }{
		{"a reload before anything was written", "wait 2m; learn 203.0.113.2 cn:b=200; enforce 203.0.113.2=200"},
		{"a reload after a failure", "learn 203.0.113.3 cn:c=200; enforce 203.0.113.3=200"},
		{"a reload a minute later", "wait 1m; enforce 203.0.113.1=200; enforce 203.0.113.3=200"},
	} {
		h.now = h.now.Add(2 * time.Minute)
		h.handlers = h.reload(configs)
		h.walk(row.name, row.steps)
		if log := h.log.String(); strings.Count(log, "msg=failed") != 1 || !strings.Contains(log, path) {
			t.Errorf("%s: the log says %s", row.name, log)
		}
		if page := h.get("status", "/", "text/html").Body.String(); !strings.Contains(page, "The state can&#39;t be written") {
			t.Errorf("%s: the page doesn't show the failure: %s", row.name, page)
		}
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	h.walk("with a disk again", "learn 203.0.113.4 cn:d=200")
	if got, want := saved(t, path).ips(), "203.0.113.4 203.0.113.3 203.0.113.2 203.0.113.1"; got != want {
		t.Errorf("the file holds %q, want %q", got, want)
	}
	if page := h.get("status", "/", "text/html").Body.String(); strings.Contains(page, "can&#39;t be written") {
		t.Error("the page still shows the failure")
	}
}

// TestOnlyAFileThatIsNewToItsStoreClosesTheLearner tries each twice: a second router, or reload, is no reason to give in.
func TestOnlyAFileThatIsNewToItsStoreClosesTheLearner(t *testing.T) {
	folder := t.TempDir()
	gone, there := filepath.Join(folder, "gone"), filepath.Join(folder, "there.json")
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn", StateFile: filepath.Join(gone, "state.json")}})
	h.handlers = h.reload(map[string]Config{"learn": {Mode: "learn", StateFile: there}})
	if err := os.RemoveAll(gone); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, path string
		fails      bool
	}{
		{"a new file where there is no disk", filepath.Join(gone, "new.json"), true},
		{"one that can be written", there, false},
		{"back in a file from before, where there is no disk any more", filepath.Join(gone, "state.json"), true},
		{"one that can be written, again", there, false},
	} {
		for _, when := range []string{"first", "second"} {
			h.cancel()
			var ctx context.Context
			ctx, h.cancel = context.WithCancel(context.Background())
			config := &Config{Mode: "learn", Store: []string{h.store("default")}, StateFile: row.path}
			if _, err := newHandler(ctx, http.NotFoundHandler(), config, "learn", h.clock(), h.logger); (err != nil) != row.fails {
				t.Errorf("%s, the %s time: got %v", row.name, when, err)
			}
		}
	}
}

func TestAllLearnersOfAStoreKeepItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	with, without := Config{Mode: "learn", TTL: "1h", StateFile: path}, Config{Mode: "either", TTL: "1h", MaxIPs: "2"}
	h := newHouse(t, map[string]Config{"with": with, "without": without})
	h.walk("both", "with 203.0.113.1 cn:a=200; wait 1s; without 203.0.113.2 cn:b=200; wait 1s; without 203.0.113.3 cn:c=200")
	if got, want := saved(t, path).ips(), "203.0.113.3 203.0.113.2"; got != want {
		t.Errorf("with both: got %s, want %s", got, want)
	}
	// The option goes and comes back.
	h.handlers = h.reload(map[string]Config{"without": without})
	h.walk("without", "wait 1s; without 203.0.113.4 cn:d=200")
	if got, want := saved(t, path).ips(), "203.0.113.4 203.0.113.3"; got != want {
		t.Errorf("without the option: got %s, want %s", got, want)
	}
	h.handlers = h.reload(map[string]Config{"with": with})
	if got, want := saved(t, path).ips(), "203.0.113.4 203.0.113.3"; got != want {
		t.Errorf("with the option again: got %s, want %s", got, want)
	}
}

// TestAFileThatCanBeReadButNotWritten is about a name that is just not too long for the file system.
func TestAFileThatCanBeReadButNotWritten(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, strings.Repeat("x", 250))
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn", TTL: "1h", StateFile: filepath.Join(folder, "short")}})
	h.walk("before", "learn 203.0.113.7 cn:phone=200")
	if err := os.Rename(filepath.Join(folder, "short"), path); err != nil {
		t.Fatal(err)
	}
	h.restart(map[string]Config{"enforce": {Mode: "enforce"}})
	config := &Config{Mode: "learn", TTL: "1h", Store: []string{h.store("default")}, StateFile: path}
	for _, want := range []int{200, 403} {
		_, err := newHandler(context.Background(), http.NotFoundHandler(), config, "learn", h.clock(), h.logger)
		if err == nil || !strings.Contains(err.Error(), "file name too long") {
			t.Errorf("got %v, want the name to be too long", err)
		}
		if got := h.ask("enforce", "203.0.113.7", ""); got != want {
			t.Errorf("got %d, want %d: what was revoked doesn't come back", got, want)
		}
		openStore(h.store("default")).revoke(clientip.Prefix(ipOf("\x07").Addr(), 64), "", atTime(h.now))
	}
}

// TestWhatWasBeingWrittenIsCleared is about what a killed Traefik has left, and about what only looks like it.
func TestWhatWasBeingWrittenIsCleared(t *testing.T) {
	for _, content := range []string{"", "whole"} { // no file, and one with a phone
		folder := t.TempDir()
		path := filepath.Join(folder, "state.json")
		h := newHouse(t, map[string]Config{"learn": {Mode: "learn", TTL: "1h", StateFile: path}})
		h.walk("a phone", "learn 203.0.113.7 cn:phone=200")
		if content == "" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"state.json.123.tmp", "state.json.4294967295.tmp", "state.json.tmp.bak", "other.json.5.tmp", "state.json.b.tmp", "state.json.json.5.tmp", "state.json..tmp"} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := errors.Join(os.Mkdir(path+".6.tmp", 0o700), os.MkdirAll(path+".7.tmp/full", 0o700), os.Symlink("other.json.5.tmp", path+".8.tmp"))
		if err != nil {
			t.Fatal(err)
		}
		h.restart(map[string]Config{"learn": {Mode: "learn", TTL: "1h", StateFile: path}, "enforce": {Mode: "enforce"}})
		entries, err := os.ReadDir(folder)
		names := []string{}
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		want := "other.json.5.tmp state.json state.json..tmp state.json.6.tmp state.json.7.tmp state.json.8.tmp state.json.b.tmp state.json.json.5.tmp state.json.tmp.bak"
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("beside %q: got %s, %v, want %s", content, got, err, want)
		}
		if content != "" {
			h.walk("and the file is read", "enforce 203.0.113.7=200")
		}
	}
}

func TestParallelProofsAreAllOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn", MaxIPs: "1000", StateFile: path}})
	var busy sync.WaitGroup
	proves := func(first int) {
		defer busy.Done()
		for n := first; n < first+10; n++ {
			ip := fmt.Sprint("203.0.113.", n)
			h.handlers["learn"].ServeHTTP(httptest.NewRecorder(), &http.Request{RemoteAddr: ip + ":1", TLS: identitytest.Verified(identitytest.Certificate("cn:a"))})
			data, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(data), "\n"+ip+"/32 ") {
				t.Errorf("%s was answered, and isn't on disk: %v", ip, err)
			}
		}
	}
	for i := 0; i < 8; i++ {
		busy.Add(1)
		go proves(i * 10)
	}
	busy.Wait()
	if got := len(saved(t, path).Grants); got != 80 {
		t.Errorf("got %d grants, want 80", got)
	}
}

func TestAReloadWritesNothingUnlessTheLastWriteFailed(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "state.json")
	configs := map[string]Config{"learn": {Mode: "learn", StateFile: path}}
	h := newHouse(t, configs)
	h.walk("a phone", "learn 203.0.113.7 cn:phone=200")
	before := looks(t, folder)
	h.now = h.now.Add(time.Second)
	h.handlers = h.reload(configs)
	if after := looks(t, folder); after != before {
		t.Errorf("the reload wrote the file, or another: %s, before %s", after, before)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	h.walk("without a disk", "learn 203.0.113.8 cn:pad=200")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	h.handlers = h.reload(configs)
	if got := len(saved(t, path).Grants); got != 2 {
		t.Errorf("after the reload the file holds %d grants, want 2", got)
	}
}

func TestARelativePathInAFolderThatIsGone(t *testing.T) {
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.Chdir(folder); err != nil {
			t.Error(err)
		}
	}()
	gone := filepath.Join(t.TempDir(), "gone")
	if err := errors.Join(os.Mkdir(gone, 0o700), os.Chdir(gone), os.Remove(gone)); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, nil)
	config := &Config{Mode: "learn", Store: []string{h.store("a")}, StateFile: "state.json"}
	_, err = newHandler(context.Background(), http.NotFoundHandler(), config, "learn", h.clock(), h.logger)
	if err == nil || !strings.Contains(err.Error(), "getwd") || stateFileOf(openStore(h.store("a"))) != nil {
		t.Errorf("got %v, want that there is no such folder", err)
	}
}

func TestAFileOfAStoreThatIsGoneIsTakenOverOnlyIfItIsEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	h := newHouse(t, map[string]Config{"a": {Mode: "learn", TTL: "1h", Store: []string{"a"}, StateFile: path}})
	h.walk("a phone", "a 203.0.113.7 cn:phone=200")
	h.cancel()
	live := context.Background()
	take := func() error {
		config := &Config{Mode: "learn", TTL: "1h", Store: []string{h.store("b")}, StateFile: path}
		handler, err := newHandler(live, http.NotFoundHandler(), config, "b", h.clock(), h.logger)
		h.handlers["b"] = handler
		return err
	}
	if err := take(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("it keeps the store %q, not %q", h.store("a"), h.store("b"))) {
		t.Errorf("got %v, want that it is another store's", err)
	}
	if got := saved(t, path); got.Store != h.store("a") || got.ips() != "203.0.113.7" {
		t.Errorf("the file holds %v, want what it did", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 2; i++ {
		if err := take(); err != nil {
			t.Errorf("without the file: %v", err)
		}
	}
	h.answer("b", "203.0.113.8:1", identitytest.Verified(identitytest.Certificate("cn:pad")))
	if got := saved(t, path); got.Store != h.store("b") || got.ips() != "203.0.113.8" {
		t.Errorf("the file holds %v, want the pad alone", got)
	}
}

func TestAFileThatCantBeSetAside(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, strings.Repeat("x", 230)) // too long for more than a number at its end
	h := newHouse(t, nil)
	torn := `{"format":1,"store":"` + h.store("a") + `","gra`
	if err := os.WriteFile(path, []byte(torn), 0o600); err != nil {
		t.Fatal(err)
	}
	config := &Config{Mode: "learn", Store: []string{h.store("a")}, StateFile: path}
	_, err := newHandler(context.Background(), http.NotFoundHandler(), config, "learn", h.clock(), h.logger)
	if err == nil || !strings.Contains(err.Error(), "file name too long") {
		t.Errorf("got %v, want that the name is too long", err)
	}
	if data, _ := os.ReadFile(path); string(data) != torn {
		t.Errorf("the file is now %q", data)
	}
}

// TestAFileThatCantTakeItsPlace is about a folder that stands there.
func TestAFileThatCantTakeItsPlace(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "state.json")
	configs := map[string]Config{"learn": {Mode: "learn", StateFile: path}}
	h := newHouse(t, configs)
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	h.walk("a phone", "learn 203.0.113.7 cn:phone=200")
	h.handlers = h.reload(configs)
	h.walk("after a reload", "learn 203.0.113.7 cn:phone=200")
	if err := stateFileOf(openStore(h.store("default"))).Failure(); err == nil {
		t.Errorf("what isn't on disk is said to be")
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 1 {
		t.Errorf("the folder holds %v, want nothing that was being written", entries)
	}
}

func TestAFolderThatIsNotThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "state.json")
	h := newHouse(t, nil)
	config := &Config{Mode: "learn", Store: []string{h.store("a")}, StateFile: path}
	_, err := newHandler(context.Background(), http.NotFoundHandler(), config, "learn", h.clock(), h.logger)
	if err == nil || !strings.Contains(err.Error(), "no such file or directory") || stateFileOf(openStore(h.store("a"))) != nil {
		t.Errorf("got %v, want that there is no such folder, and no file for the store", err)
	}
}

// TestNoRevocationFromTheFutureSpoilsTheFile is about somebody who writes nonsense into Redis: the file's time isn't to be theirs.
func TestNoRevocationFromTheFutureSpoilsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	configs := map[string]Config{"learn": {Mode: "learn", TTL: "1h", StateFile: path}, "enforce": {Mode: "enforce"}}
	h := newHouse(t, configs)
	h.walk("before", "learn 203.0.113.7 cn:phone=200")
	s, moment := openStore(h.store("default")), at(h.now)
	for i, at := range []int64{change.MaxStamp, s.At(moment) + change.MaxAhead - 1} {
		s.applyRemote([]change.Change{{Kind: change.Revoked, IP: numbered(i), Identity: named("cn:x"), Learned: at, Stamp: at, Proved: at, Expires: change.MaxStamp}}, moment)
		s.applyRemote([]change.Change{{Kind: change.Granted, IP: numbered(i + 7), Identity: named("cn:y"), Learned: 1, Stamp: s.At(moment) + change.MaxAhead - 1, Proved: 1, Expires: change.MaxStamp}}, moment)
	}
	s.settle(atTime(h.now))
	h.now = h.now.Add(time.Minute)
	h.restart(configs)
	h.walk("after", "enforce 203.0.113.7=200; wait 58m; enforce 203.0.113.7=200; wait 1m; enforce 203.0.113.7=403")
}
