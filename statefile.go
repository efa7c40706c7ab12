package mtlsallowlist

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// renewalInterval is how long a state file may lack a mere renewal.
const renewalInterval = time.Minute

// maxState is the largest state file that is read, in bytes: some 200,000 grants.
const maxState = 1 << 26

// A stateFile keeps a store across restarts of Traefik. It is written to a new file which then takes the old one's
// place, so that it is whole at every moment. It is safe for concurrent use.
type stateFile struct {
	path  string
	store string // the name; not the store itself, since Yaegi 0.16 mixes up types that refer to each other

	// Whose option it is, as long as the context isn't done: guarded by stores.mu.
	middleware string
	owner      context.Context

	mu     sync.Mutex // held while writing; taken before the store's
	tried  int        // how many of the store's changes it has, or should have
	at     time.Time  // when it was last written, or could not be
	failed error      // why it could not be written the last time
	kept   bool       // it was written since it became the store's
}

// openStateFile has the store of a learner kept in the file that s asks for, from now on and by all of its learners. At
// first, what the file holds is put into the store. The error says what is wrong with the option: that the file can't be
// written is an error only as long as it never could be. A disk that is full later closes no router, whatever reloads come.
//
// The file stays the store's when the option goes, until there is another: a revoked grant isn't to come back with the
// option.
func openStateFile(ctx context.Context, t teller, s *settings, now reading) error {
	path, err := filepath.Abs(s.stateFile)
	if err != nil {
		return err
	}
	stores.mu.Lock()
	defer stores.mu.Unlock()
	f := stores.files[path]
	if f != nil && f.store != t.store.name && f.owner.Err() == nil {
		return fmt.Errorf("it keeps the store %q already, for middleware %q: a store needs a file of its own", f.store, f.middleware)
	}
	before := t.store.stateFile()
	if before != nil && before.path != path && before.owner.Err() == nil {
		return fmt.Errorf("the store %q is kept in %q already, for middleware %q: a store has one file", t.store.name, before.path, before.middleware)
	}
	if f == nil || f.store != t.store.name {
		f = &stateFile{path: path, store: t.store.name}
		if err := f.restore(t, s, before == nil, now); err != nil { // has restored nothing then
			return err
		}
	} else if f != before {
		if _, err := f.read(); err != nil && !errors.Is(err, os.ErrNotExist) { // somebody else's may be there by now
			return err
		}
	}
	// Also if it can't be written: what was restored is in the store, and isn't to be restored again.
	f.middleware, f.owner = s.name, ctx
	stores.files[path] = f
	t.store.keepIn(f)
	if f != before || f.failure() != nil {
		f.age(f != before)
	}
	err = f.keep(t, now)
	if f.wasKept() {
		return nil
	}
	return err
}

// restore reads the file into the store if that is new to files. If it isn't, what the file holds is older than what the
// store does, and may have been revoked since. Until it is clear that the path is the store's, nothing is touched.
func (f *stateFile) restore(t teller, s *settings, isNew bool, now reading) error {
	data, err := f.read()
	if errors.Is(err, os.ErrNotExist) {
		return f.clear()
	}
	if err != nil {
		return err
	}
	saved, damage := parseState(data)
	if damage == nil && saved.Store != f.store { // the head was too long to tell
		return otherStore(saved.Store, f.store)
	}
	_ = f.clear() // where a folder can't be listed, what was being written stays
	if damage != nil {
		return f.setAside(t, "unreadable", damage, now.wall)
	}
	if !isNew {
		return f.setAside(t, "replaced", errors.New("the store has newer grants"), now.wall)
	}
	t.store.notBefore(saved.newest(), now)
	restored := t.store.restore(saved.Grants, s, now)
	t.store.restoreRevoked(saved.Revoked, now)
	t.tell(slog.LevelInfo, event{at: now.wall, what: "restored"}, "grants", restored, "dropped", len(saved.Grants)-restored, "stateFile", f.path)
	return nil
}

// read returns what the file holds. It fails if that isn't the store's: whatever else stands at the path is somebody's, and
// opening a pipe would wait.
func (f *stateFile) read() ([]byte, error) {
	info, err := os.Lstat(f.path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is %s: want a file, or a path where there is nothing yet", kindOf(info.Mode()))
	}
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	buffered := bufio.NewReaderSize(file, maxHead)
	head, err := buffered.Peek(maxHead)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := checkHead(head, f.store); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(buffered, maxState+1))
	if err == nil && len(data) > maxState {
		err = fmt.Errorf("it is larger than %d bytes", maxState)
	}
	return data, err
}

func kindOf(mode os.FileMode) string {
	if mode.IsDir() {
		return "a directory"
	}
	if mode&os.ModeSymlink != 0 {
		return "a symbolic link, which would be replaced"
	}
	return "a device, a pipe or a socket"
}

// setAside renames the file, since the state is going to be written in its place.
func (f *stateFile) setAside(t teller, as string, why error, now time.Time) error {
	aside := f.path + "." + as + "-" + now.UTC().Format("20060102T150405.000000000")
	if err := os.Rename(f.path, aside); err != nil {
		return err
	}
	t.tell(slog.LevelError, event{at: now, what: "failed", why: why.Error()}, "stateFile", f.path, "movedTo", aside)
	return nil
}

// keep writes the store, unless the file has its changes, and its renewals of a minute ago. What the store held when
// keep was called is on disk when it returns without an error; several who wait are served by one write.
func (f *stateFile) keep(t teller, now reading) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tried == t.store.changed() && now.wall.Sub(f.at) < renewalInterval {
		return f.failed
	}
	saved, changes := t.store.state(now)
	f.tried, f.at = changes, now.wall
	before := f.failed
	f.failed = f.write(saved)
	if f.failed != nil {
		t.store.unsaved()
	} else {
		f.kept = true
	}
	if f.failed != nil && before == nil {
		t.tell(slog.LevelError, event{at: now.wall, what: "failed", why: f.failed.Error()}, "stateFile", f.path)
	}
	return f.failed
}

// age lets the next keep write the file, which may be new to the store.
func (f *stateFile) age(isNew bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = time.Time{}
	if isNew {
		f.kept = false
	}
}

// wasKept reports whether the file was written since it became the store's.
func (f *stateFile) wasKept() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.kept
}

// fresh returns until when a renewal need not be written.
func (f *stateFile) fresh() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at.Add(renewalInterval)
}

// failure returns why the file could not be written the last time; nil if it could.
func (f *stateFile) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

func (f *stateFile) write(saved state) error {
	data, err := json.MarshalIndent(saved, "", " ")
	if err != nil {
		return err
	}
	folder, name := filepath.Split(f.path)
	temporary, err := os.CreateTemp(folder, name+".*.tmp") // of mode 0600
	if err != nil {
		return err
	}
	_, err = temporary.Write(append(data, '\n'))
	if err == nil {
		err = temporary.Sync()
	}
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return syncFolder(folder)
}

// syncFolder makes a rename in folder last.
func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// clear removes what was being written when Traefik was killed. If it can't, that stays: no more is lost than room.
func (f *stateFile) clear() error {
	folder, name := filepath.Split(f.path)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		middle, ours := strings.CutPrefix(entry.Name(), name+".")
		number, temporary := strings.CutSuffix(middle, ".tmp")
		if ours && temporary && number != "" && strings.Trim(number, "0123456789") == "" && entry.Type().IsRegular() {
			_ = os.Remove(filepath.Join(folder, entry.Name()))
		}
	}
	return nil
}
