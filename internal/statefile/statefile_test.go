package statefile

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// A memory is a source that holds the last change of each grant.
type memory struct {
	mu    sync.Mutex
	held  map[string]change.Change
	hook  func() // is called between two portions
	asked int    // how often for the number of them, which is once a write
}

func newMemory() *memory {
	return &memory{held: map[string]change.Change{}}
}

func (m *memory) apply(f *File, c change.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.Kind == change.Evicted {
		delete(m.held, c.Member())
	} else {
		m.held[c.Member()] = c
	}
	f.Changed(c)
}

func (m *memory) Each(_ int64, visit func(portion []change.Change)) {
	m.mu.Lock()
	all := []change.Change{}
	for _, c := range m.held {
		all = append(all, c)
	}
	m.mu.Unlock()
	for _, c := range all {
		visit([]change.Change{c})
		if m.hook != nil {
			m.hook()
		}
	}
}

func (m *memory) Alive() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	return len(m.held)
}

// text is what a memory holds, in order.
func (m *memory) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	lines := []string{}
	for _, c := range m.held {
		lines = append(lines, c.Line())
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func at(kind change.Kind, n int, stamp int64) change.Change {
	ip := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}), 32)
	return change.Change{Kind: kind, IP: ip, Identity: identity.Identity{Names: []string{"cn:phone"}}, Learned: stamp, Stamp: stamp, Proved: stamp, Expires: stamp + 3_600_000}
}

// open opens a file that must be ours, later than all of its changes, and with times that are those of the wall clock.
func open(t *testing.T, path string, source Source) (*File, Content) {
	t.Helper()
	const now = 1 << 40
	f, c, err := Open(path, "house", source, func(err error, _ bool) { t.Error(err) }, now, now)
	if err != nil {
		t.Fatal(err)
	}
	return f, c
}

// reread returns what a file holds, as a new process reads it.
func reread(t *testing.T, path string) (string, Content) {
	t.Helper()
	m := newMemory()
	_, c := open(t, path, m)
	for _, one := range c.Changes {
		m.held[one.Member()] = one
	}
	return m.text(), c
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(string(data), "\n")
}

// TestAFileTruncatedAtAnyByte is about a process that is killed while it writes, or a disk that loses the end.
func TestAFileTruncatedAtAnyByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := newMemory()
	f, _ := open(t, path, m)
	for i, c := range []change.Change{at('g', 1, 10), at('g', 2, 20), at('g', 1, 30), at('r', 2, 40), at('e', 1, 50), at('g', 3, 60)} {
		m.apply(f, c)
		f.Settle(1000+int64(i), 1000+int64(i))
	}
	whole := lines(t, path)
	text := strings.Join(whole, "")
	for n := len(whole[0]); n <= len(text); n++ {
		copied := filepath.Join(t.TempDir(), "copy")
		if err := os.WriteFile(copied, []byte(text[:n]), 0o600); err != nil {
			t.Fatal(err)
		}
		want, rest := newMemory(), text[:n]
		torn := !strings.HasSuffix(rest, "\n")
		for _, line := range strings.SplitAfter(rest, "\n")[1:] {
			c, err := change.Parse(strings.TrimSuffix(line, "\n"))
			if !strings.HasSuffix(line, "\n") || err != nil {
				continue
			}
			if c.Kind == change.Evicted {
				delete(want.held, c.Member())
			} else {
				want.held[c.Member()] = c
			}
		}
		got, content := reread(t, copied)
		if got != want.text() || content.Torn != torn || content.Damage != nil {
			t.Errorf("%d bytes: got %q, torn: %t, %v, want %q, %t", n, got, content.Torn, content.Damage, want.text(), torn)
		}
		again, content := reread(t, copied)
		if again != got || content.Torn {
			t.Errorf("%d bytes: the second time: got %q, torn: %t", n, again, content.Torn)
		}
	}
}

func TestAChangeIsALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := newMemory()
	f, _ := open(t, path, m)
	for n := 0; n < 50; n++ {
		m.apply(f, at('g', n, int64(n)))
		before := len(strings.Join(lines(t, path), ""))
		f.Settle(1000, 1000)
		text := strings.Join(lines(t, path), "")
		if got, want := text[before:], at('g', n, int64(n)).Line()+"\n"; got != want {
			t.Fatalf("number %d added %q, want %q", n, got, want)
		}
	}
	minor := at('g', 1, 100)
	minor.Minor = true
	f.Changed(minor)
	before := len(lines(t, path))
	f.Settle(1000, 1000)
	if after := len(lines(t, path)); after != before {
		t.Errorf("a minor change added %d lines", after-before)
	}
}

// TestSeveralWhoWaitShareOneWrite has all but the first wait for a write that doesn't end yet.
func TestSeveralWhoWaitShareOneWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := newMemory()
	f, _ := open(t, path, m)
	const n = 50
	f.writing.Lock() // as somebody who writes
	var waiting sync.WaitGroup
	settle := func() {
		defer waiting.Done()
		f.Settle(1000, 1000)
	}
	for i := 0; i < n; i++ {
		m.apply(f, at('g', i, int64(i)))
		waiting.Add(1)
		go settle()
	}
	f.writing.Unlock()
	waiting.Wait()
	if f.settled != n || m.asked != 1 {
		t.Errorf("%d changes are on disk by %d writes, want %d by 1", f.settled, m.asked, n)
	}
}

func TestCompaction(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := newMemory()
	f, _ := open(t, path, m)
	most := 0
	for i := 0; i < 800; i++ {
		kinds := []change.Kind{'g', 'g', 'r', 'e'}
		m.apply(f, at(kinds[i%4], i%40, int64(i)))
		f.Settle(int64(2000+i), int64(2000+i))
		awaitCompaction(f) // else more lines may be written meanwhile
		if f.lines > most {
			most = f.lines
		}
	}
	if limit := 2*40 + spareLines; most > limit {
		t.Errorf("it had %d lines, want %d at most", most, limit)
	}
	if got, _ := reread(t, path); got != m.text() {
		t.Errorf("it holds %.300q, want %.300q", got, m.text())
	}
}

// awaitCompaction waits until none is under way: it ends under the lock, so that somebody who waits for that comes next.
func awaitCompaction(f *File) {
	for under := true; under; {
		f.writing.Lock()
		under = f.compacts
		f.writing.Unlock()
	}
}

// TestWhenACompactionBegins has 102 lines be as many as there may be: two for the one that matters, and 100.
func TestWhenACompactionBegins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := newMemory()
	f, _ := open(t, path, m)
	f.retry = 3000
	for n := 0; n < 102; n++ {
		m.apply(f, at('g', 1, int64(n)))
	}
	for _, row := range []struct {
		name string
		now  int64
		want int
	}{
		{"as many lines as there may be", 3000, 102},
		{"more, but it isn't time to try again", 2999, 103},
		{"when it is", 3000, 1},
	} {
		f.Settle(row.now, row.now)
		awaitCompaction(f)
		if f.lines != row.want {
			t.Errorf("%s: got %d lines, want %d", row.name, f.lines, row.want)
		}
		m.apply(f, at('g', 1, 1000))
	}
}

// TestChangesDuringACompactionAreKept has every portion of the source be followed by changes of grants that were read already,
// and of those that weren't.
func TestChangesDuringACompactionAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := newMemory()
	f, _ := open(t, path, m)
	for i := 0; i < 30; i++ {
		m.apply(f, at('g', i, int64(i)))
	}
	f.Settle(1000, 1000)
	stamp := int64(1000)
	kinds := []change.Kind{'g', 'r', 'e'}
	m.hook = func() {
		stamp++
		m.apply(f, at(kinds[stamp%3], int(stamp*7%60), stamp))
		f.Settle(1000+stamp, 1000+stamp)
	}
	f.compacts = true
	f.compacting(1000)
	m.hook = nil
	if got, _ := reread(t, path); got != m.text() || stamp == 1000 {
		t.Errorf("it holds %.300q, want %.300q", got, m.text())
	}
}

// TestACompactionGivesWay to whatever happens to the file meanwhile.
func TestACompactionGivesWay(t *testing.T) {
	for _, row := range []struct {
		name string
		do   func(f *File) error
	}{
		{"removed", func(f *File) error { return os.Remove(f.path) }},
		{"shortened", func(f *File) error { return os.Truncate(f.path, f.size-1) }},
		{"a link that is as long", func(f *File) error {
			return errors.Join(os.Remove(f.path), os.Symlink(strings.Repeat("x", int(f.size)), f.path))
		}},
		{"written anew, and shorter", func(f *File) error { return f.replaceBy(nil) }},
		{"the clock was set", func(f *File) error {
			f.ClockSet(0)
			return nil
		}},
	} {
		path := filepath.Join(t.TempDir(), "state")
		m := newMemory()
		f, _ := open(t, path, m)
		m.apply(f, at('g', 1, 1))
		f.Settle(1000, 1000)
		m.apply(f, at('e', 1, 2))
		m.apply(f, at('g', 2, 3))
		f.Settle(1000, 1000)
		after := ""
		m.hook = func() {
			if err := row.do(f); err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
			after = state(path)
		}
		f.compacts = true
		f.compacting(1000)
		if got := state(path); got != after || f.compacts || temporaries(t, path) != 0 {
			t.Errorf("%s: afterwards there is %q, want %q; %d files are left", row.name, got, after, temporaries(t, path))
		}
	}
}

func TestAFileThatIsToBeWrittenAnewIsNotCompacted(t *testing.T) {
	m := newMemory()
	f, _ := open(t, filepath.Join(t.TempDir(), "state"), m)
	m.apply(f, at('g', 1, 1))
	m.hook = func() { t.Error("it reads the source in vain") }
	f.size = -1
	f.compacting(1000)
}

// state is what stands at a path.
func state(path string) string {
	target, _ := os.Readlink(path)
	data, err := os.ReadFile(path)
	return fmt.Sprint(target, string(data), err)
}

// temporaries returns how many temporary files there are beside a file.
func temporaries(t *testing.T, path string) int {
	t.Helper()
	found, err := filepath.Glob(path + ".*.tmp")
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

func TestACompactionThatFailsIsReportedAndTriedLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := newMemory()
	reports := []string{}
	f, _, err := Open(path, "house", m, func(err error, news bool) { reports = append(reports, fmt.Sprint(news, " ", err)) }, 1000, 1000)
	if err != nil {
		t.Fatal(err)
	}
	m.apply(f, at('g', 1, 1))
	f.Settle(1000, 1000)
	drop := func() {
		found, _ := filepath.Glob(path + ".*.tmp")
		for _, name := range found {
			_ = os.Remove(name)
		}
	}
	for i, row := range []struct {
		name string
		hook func() // is called while it reads the source
		want string // how the report begins; empty: there is none
		says string // what it contains
	}{
		{"a fault", func() { panic("a fault") }, "true ", "a fault in the plugin; please report it: "},
		{"it can't take its place", drop, "false ", "no such file"},
		{"it works", nil, "", ""},
		{"it can't take its place again", drop, "true ", "no such file"},
	} {
		m.hook = row.hook
		reports = nil
		now := int64(1000 * i)
		f.retry = 0
		f.compacts = true
		f.compacting(now)
		if row.want == "" && (len(reports) != 0 || f.retry != 0) || f.compacts {
			t.Errorf("%s: got %q, to be tried again at %d", row.name, reports, f.retry)
		}
		if row.want != "" && (len(reports) != 1 || !strings.HasPrefix(reports[0], row.want) || !strings.Contains(reports[0], row.says) || f.retry != now+rewriteInterval) {
			t.Errorf("%s: got %q, to be tried again at %d, want %s%s at %d", row.name, reports, f.retry, row.want, row.says, now+rewriteInterval)
		}
	}
	f.path = filepath.Join(filepath.Dir(path), "gone", "state")
	reports = nil
	f.compacting(1000)
	if len(reports) != 1 || !strings.Contains(reports[0], "no such file") {
		t.Errorf("in a folder that is gone: got %q", reports)
	}
}

// TestWhatIsKnownOfTheFile is its length and its lines, and how far its time is ahead, however it was written.
func TestWhatIsKnownOfTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := newMemory()
	begin := func(wall, now int64) *File {
		f, _, err := Open(path, "house", m, func(err error, _ bool) { t.Error(err) }, wall, now)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := begin(5000, 1000)
	check := func(name string, want int) {
		t.Helper()
		all := lines(t, path)
		if f.lines != want || len(all)-2 != want || f.size != int64(len(strings.Join(all, ""))) {
			t.Errorf("%s: %d lines of %d are known, want %d; %d bytes", name, f.lines, len(all)-2, want, f.size)
		}
		for _, line := range all[1 : len(all)-1] {
			if c, err := change.Parse(strings.TrimSuffix(line, "\n")); err != nil || c.Proved != 5000 {
				t.Errorf("%s: got %q and %v, want proofs at 5000", name, line, err)
			}
		}
	}
	check("a new file", 0)
	for n := 1; n <= 3; n++ {
		m.apply(f, at('g', 1, 1000))
		m.apply(f, at('g', n, 1000))
	}
	f.Settle(5000, 1000)
	check("lines added", 6)
	f.compacts = true
	f.compacting(1000)
	check("compacted", 3)
	added := false
	m.hook = func() {
		if !added {
			added = true
			m.apply(f, at('g', 4, 1000))
			m.apply(f, at('g', 5, 1000))
			f.Settle(5000, 1000)
		}
	}
	f.compacts = true
	f.compacting(1000)
	check("compacted while lines were added", 5)
	m.hook = nil
	if err := f.Keep(5000, 1000, false); err != nil {
		t.Error(err)
	}
	check("written anew", 5)
	f = begin(5000, 1000)
	check("opened again", 5)
}

// TestWhatOthersDoToTheFile is about somebody who removes, shortens, lengthens or replaces it while Traefik runs.
func TestWhatOthersDoToTheFile(t *testing.T) {
	for _, row := range []struct {
		name string
		do   func(path string) error
	}{
		{"removed", os.Remove},
		{"emptied", func(path string) error { return os.Truncate(path, 0) }},
		{"shortened", func(path string) error { return os.Truncate(path, 60) }},
		{"half a line added", func(path string) error {
			file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = file.WriteString("203.0.113")
			return err
		}},
	} {
		path := filepath.Join(t.TempDir(), "state")
		m := newMemory()
		f, _ := open(t, path, m)
		m.apply(f, at('g', 1, 1))
		f.Settle(1000, 1000)
		if err := row.do(path); err != nil {
			t.Fatal(err)
		}
		m.apply(f, at('g', 2, 2))
		f.Settle(1000, 1000)
		if got, content := reread(t, path); got != m.text() || content.Torn || content.Damage != nil {
			t.Errorf("%s: it holds %q, want %q; %+v", row.name, got, m.text(), content)
		}
	}
}

// TestAFileOfSomebodyElseThatTookItsPlace isn't replaced, however long Traefik has kept its own there.
func TestAFileOfSomebodyElseThatTookItsPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := newMemory()
	f, _, err := Open(path, "house", m, func(error, bool) {}, 1000, 1000)
	if err != nil {
		t.Fatal(err)
	}
	const foreign = "somebody's letters"
	if err := os.WriteFile(path, []byte(foreign), 0o600); err != nil {
		t.Fatal(err)
	}
	m.apply(f, at('g', 1, 1))
	f.Settle(1000, 1000)
	if text := strings.Join(lines(t, path), ""); text != foreign || f.Failure() == nil {
		t.Errorf("the file holds %q, and the failure is %v", text, f.Failure())
	}
}

// TestADiskThatIsFull for a while: /dev/full stands for it, which takes no byte.
func TestADiskThatIsFull(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "state")
	m := newMemory()
	failures, news := 0, 0
	f, _, err := Open(path, "house", m, func(_ error, isNews bool) {
		failures++
		if isNews {
			news++
		}
	}, 1000, 1000)
	if err != nil {
		t.Fatal(err)
	}
	m.apply(f, at('g', 1, 1))
	f.Settle(1000, 1000)
	away := folder + "-away"
	if err := os.Rename(folder, away); err != nil {
		t.Fatal(err)
	}
	for n := 2; n < 5; n++ {
		m.apply(f, at('g', n, int64(n)))
		f.Settle(1000, 1000)
	}
	if failures != 3 || news != 1 || f.Failure() == nil {
		t.Errorf("got %d failures, %d of them news, %v, want 3 and 1", failures, news, f.Failure())
	}
	if err := os.Rename(away, folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil { // all of it has to be written, which isn't put off
		t.Fatal(err)
	}
	m.apply(f, at('g', 5, 5))
	f.Settle(1000, 1000)
	if got, _ := reread(t, path); got != m.text() || f.Failure() != nil {
		t.Errorf("it holds %q, want %q; %v", got, m.text(), f.Failure())
	}
}

func TestAllIsWrittenAnewOnlyAfterAWhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := newMemory()
	f, _, err := Open(path, "house", m, func(error, bool) {}, 1000, 1000)
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("the disk is full")
	f.failed = full
	f.retry = 3000
	f.size = -1
	m.apply(f, at('g', 1, 1))
	f.Settle(2999, 2999)
	if got, _ := reread(t, path); got != "" || !errors.Is(f.Failure(), full) {
		t.Errorf("before it is time, it holds %q, and the failure is %v", got, f.Failure())
	}
	f.Settle(3000, 3000)
	if got, _ := reread(t, path); got != m.text() || f.Failure() != nil {
		t.Errorf("when it is time, it holds %q, want %q; %v", got, m.text(), f.Failure())
	}
}

func TestAClockThatIsSetWhileAllIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := newMemory()
	f, _, err := Open(path, "house", m, func(error, bool) {}, 1000, 1000)
	if err != nil {
		t.Fatal(err)
	}
	m.apply(f, at('g', 1, 1))
	f.size = -1
	m.hook = func() { f.ClockSet(0) }
	f.Settle(1000, 1000)
	if got := len(lines(t, path)) - 2; got != 0 || !errors.Is(f.Failure(), errClockSet) || temporaries(t, path) != 0 {
		t.Errorf("it has %d lines, the failure is %v, and %d files are left", got, f.Failure(), temporaries(t, path))
	}
	m.hook = nil
	f.Settle(1000, 1000)
	if got, _ := reread(t, path); got != m.text() || f.Failure() != nil {
		t.Errorf("the next time it holds %q, want %q; %v", got, m.text(), f.Failure())
	}
}

func TestANameWithoutRoomForATemporaryFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("x", 255))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	f, content, err := Open(path, "house", m, func(error, bool) {}, 1000, 1000)
	if err != nil || content.Damage != nil {
		t.Fatal(err, content.Damage)
	}
	m.apply(f, at('g', 1, 1))
	f.Settle(1000, 1000)
	if f.Failure() == nil || f.Keep(1000, 1000, true) == nil {
		t.Errorf("the failure is %v", f.Failure())
	}
	if got := strings.Join(lines(t, path), ""); got != "" {
		t.Errorf("it holds %q, which has no head", got)
	}
}

// closedDraft is one that can't be written: it stands for a disk that is full.
func closedDraft(t *testing.T) *draft {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "draft"))
	if err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	return &draft{file: file}
}

func TestADraftThatCantBeWrittenTakesNoPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := newMemory()
	f, _ := open(t, path, m)
	m.apply(f, at('g', 1, 1))
	f.Settle(1000, 1000)
	before, size := state(path), f.size
	for _, row := range []struct {
		name string
		do   func(d *draft) error
		want string
	}{
		{"it can't be closed", f.replace, "close "},
		{"it can't take what was added", func(d *draft) error { return f.finish(d, 5) }, "write "},
	} {
		d := closedDraft(t)
		err := row.do(d)
		if err == nil || !strings.HasPrefix(err.Error(), row.want) || state(path) != before || f.size != size {
			t.Errorf("%s: got %v, want %s; the file holds %q", row.name, err, row.want, state(path))
		}
		if _, err := os.Lstat(d.file.Name()); err == nil {
			t.Errorf("%s: it is still there", row.name)
		}
	}
	if err := syncFolder(filepath.Join(path, "none")); err == nil {
		t.Error("a folder that isn't there is on disk")
	}
}

func TestACopyThatFails(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "old")
	if err := os.WriteFile(file, []byte("a line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good, err := os.Create(filepath.Join(folder, "new"))
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	for _, row := range []struct {
		name string
		from string
		size int64
		to   *draft
		ok   bool
	}{
		{"nothing", filepath.Join(folder, "none"), 0, &draft{file: good}, true},
		{"from a file that is gone", filepath.Join(folder, "none"), 1, &draft{file: good}, false},
		{"from what can't be read", folder, 1, &draft{file: good}, false},
		{"to what can't be written", file, 7, closedDraft(t), false},
		{"a line", file, 7, &draft{file: good}, true},
	} {
		if err := row.to.copyFrom(row.from, 0, row.size); (err == nil) != row.ok {
			t.Errorf("%s: got %v", row.name, err)
		}
	}
}

func TestADraftKeepsItsFirstError(t *testing.T) {
	d := closedDraft(t)
	d.write("one", 1)
	first := d.err
	d.write("two", 1)
	d.sync()
	if first == nil || d.err.Error() != first.Error() || d.size != 3 || d.lines != 1 {
		t.Errorf("got %v after %v, and %d bytes", d.err, first, d.size)
	}
	d = closedDraft(t)
	d.sync()
	if d.err == nil {
		t.Error("what can't be made last has no error")
	}
}

func TestWhatWaitsForTheDiskIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := newMemory()
	f, _ := open(t, path, m)
	for n := 0; n < 3*maxQueue; n++ {
		m.apply(f, at('g', n%100, int64(n)))
	}
	if len(f.queue) > maxQueue+1 {
		t.Errorf("%d changes wait, want %d at most", len(f.queue), maxQueue+1)
	}
	f.Settle(1000, 1000)
	if got, _ := reread(t, path); got != m.text() {
		t.Errorf("it holds %.300q, want %.300q", got, m.text())
	}
}

// TestTimesInAFileNeverGoBack has clocks be set between the changes and between processes.
func TestTimesInAFileNeverGoBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := newMemory()
	now, wall := int64(1000), int64(1000)
	f, _, err := Open(path, "house", m, func(err error, _ bool) { t.Error(err) }, wall, now)
	if err != nil {
		t.Fatal(err)
	}
	proved := func() int64 {
		c, err := change.Parse(strings.TrimSpace(lines(t, path)[len(lines(t, path))-2]))
		if err != nil {
			t.Fatal(err)
		}
		return c.Proved
	}
	for _, row := range []struct {
		name      string
		now, wall int64 // how much they go on
		set       int64 // how much the source's clock is set ahead before
		want      int64 // how much the file's time goes on
	}{
		{"both go on", 100, 100, 0, 100},
		{"the wall clock is set ahead", 100, 5000, 0, 5000},
		{"the wall clock is set back", 100, -3000, 0, 100},
		{"and goes on", 100, 100, 0, 100},
		{"the source's clock is set ahead", 9100, 100, 9000, 100},
		{"the source's clock is set back", -1900, 100, -2000, 100},
	} {
		before := now
		if m.Alive() > 0 {
			before = proved()
		}
		f.ClockSet(row.set)
		now += row.now
		wall += row.wall
		m.apply(f, at('g', 1, now))
		f.Settle(wall, now)
		if got := proved() - before; got != row.want {
			t.Errorf("%s: the file's time went on by %d, want %d", row.name, got, row.want)
		}
	}
	last := proved()
	_, content, err := Open(path, "house", m, func(err error, _ bool) { t.Error(err) }, 50, 50)
	if err != nil || content.Newest != last || content.Changes[0].Proved != 50 {
		t.Errorf("where the clocks are behind, it holds %+v, and its newest time is %d, want %d; %v", content.Changes, content.Newest, last, err)
	}
}

// TestAClockThatIsSetWhileChangesWait for the disk doesn't change their times in the file.
func TestAClockThatIsSetWhileChangesWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := newMemory()
	f, _, err := Open(path, "house", m, func(err error, _ bool) { t.Error(err) }, 1000, 1000)
	if err != nil {
		t.Fatal(err)
	}
	m.apply(f, at('g', 1, 900))
	m.apply(f, at('g', 2, 950))
	f.ClockSet(5000)
	f.Settle(1000, 6000)
	if got, want := strings.Join(lines(t, path)[1:], ""), at('g', 1, 900).Line()+"\n"+at('g', 2, 950).Line()+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheLastOfEachGrantIsKeptInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f, _ := open(t, path, newMemory())
	for i, n := range []int{1, 2, 3, 1, 4, 5, 5} {
		f.Changed(at('g', n, int64(10+i)))
	}
	f.Settle(1<<40, 1<<40)
	want := ""
	for i, n := range []int{2, 3, 1, 4, 5} {
		want += at('g', n, []int64{11, 12, 13, 14, 16}[i]).Line() + "\n"
	}
	_, content := open(t, path, newMemory())
	got := ""
	for _, c := range content.Changes {
		got += c.Line() + "\n"
	}
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := strings.Join(lines(t, path)[1:], ""); got != want {
		t.Errorf("the file holds %q, want %q", got, want)
	}
}

func TestFirstLines(t *testing.T) {
	for _, store := range []string{"house", `a"b\c`, "größe", "line\nfeed", strings.Repeat("x", 9000)} {
		path := filepath.Join(t.TempDir(), "state")
		for round := 0; round < 2; round++ {
			f, content, err := Open(path, store, newMemory(), func(err error, _ bool) { t.Error(err) }, 1, 1)
			if err != nil || content.Damage != nil || content.Exists != (round == 1) {
				t.Fatalf("%.20q: %v, %+v", store, err, content)
			}
			if err := f.Keep(1, 1, true); err != nil {
				t.Errorf("%.20q: %v", store, err)
			}
		}
		if _, _, err := Open(path, store+"2", newMemory(), nil, 1, 1); err == nil || !strings.Contains(err.Error(), "it keeps the store") {
			t.Errorf("%.20q: another store gets %v", store, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add("{\"format\":1,\"store\":\"house\"}\n" + at('g', 1, 5).Line() + "\n" + at('r', 1, 6).Line() + "\n" + at('e', 2, 7).Line() + "\n")
	f.Add("{\"format\":1,\"store\":\"house\"}\n" + at('g', 1, 5).Line())
	f.Add("{\"format\":2,\"store\":\"house\"}\n")
	f.Add(`{"format":1,"store":"ho`)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, content, err := Open(path, "house", newMemory(), func(error, bool) {}, 1000, 1000)
		data, unread := os.ReadFile(path)
		switch {
		case unread != nil:
			t.Fatal(unread)
		case (err != nil || content.Damage != nil) && string(data) != text:
			t.Errorf("%q, which isn't taken over, is now %q", text, data)
		case err == nil && content.Damage == nil:
			again := fmt.Sprint(content.Changes)
			_, reread, err := Open(path, "house", newMemory(), func(error, bool) {}, 1000, 1000)
			if err != nil || reread.Damage != nil || reread.Torn || fmt.Sprint(reread.Changes) != again {
				t.Errorf("%q held %s, and then %+v, %v", text, again, reread, err)
			}
		}
	})
}
