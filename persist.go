package mtlsallowlist

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/page"
	"github.com/mtlsallowlist/mtlsallowlist/internal/statefile"
)

// A keeping is a state file with whose option it is, as long as the context isn't done. It is guarded by stores.mu.
type keeping struct {
	file       *statefile.File
	middleware string
	owner      context.Context
}

// openStateFile has the store of a learner kept in the file that s asks for, from now on and by all of its learners. At
// first, what the file holds is put into the store. The error says what is wrong with the option: that the file can't be
// written is an error only as long as it never could be. A disk that is full later closes no router, whatever reloads come.
//
// The file stays the store's when the option goes, until there is another: a revoked grant isn't to come back with the
// option.
func openStateFile(ctx context.Context, r reporter, s *settings, now clocks.Reading) error {
	path, err := filepath.Abs(s.stateFile)
	if err != nil {
		return err
	}
	name := r.store.name
	stores.mu.Lock()
	defer stores.mu.Unlock()
	k := stores.files[path]
	if k != nil && k.file.Store() != name && k.owner.Err() == nil {
		return fmt.Errorf("it keeps the store %q already, for middleware %q: a store needs a file of its own", k.file.Store(), k.middleware)
	}
	before := stores.keeping[name]
	if before != nil && before.file.Path() != path && before.owner.Err() == nil {
		return fmt.Errorf("the store %q is kept in %q already, for middleware %q: a store has one file", name, before.file.Path(), before.middleware)
	}
	isOpened := k == nil || k.file.Store() != name
	content := statefile.Content{}
	if isOpened {
		k = &keeping{}
		k.file, content, err = openFile(r, path, before == nil, now)
	} else if k != before {
		err = k.file.Check() // somebody else's may be there by now
	}
	if err != nil {
		return err
	}
	// Also if it can't be written: what is restored is in the store, and isn't to be restored again.
	k.middleware, k.owner = s.name, ctx
	stores.files[path] = k
	stores.keeping[name] = k
	r.store.observe(observerFile, k.file) // before it is restored: requests go on meanwhile
	complete := k == before               // the file has all that the store holds
	if isOpened {
		complete = restore(r, s, path, content, now)
	}
	return k.file.Keep(now.Wall.UnixMilli(), r.store.At(now.Mono), complete)
}

// openFile opens the file. If it is damaged, it is set aside, and so it is if the store isn't new to files: then what the file
// holds is older than what the store does, and may have been revoked since. What is set aside has no content.
func openFile(r reporter, path string, isNew bool, now clocks.Reading) (*statefile.File, statefile.Content, error) {
	failed := func(err error, news bool) {
		r.store.unsaved()
		if news {
			r.report(slog.LevelError, page.Event{At: time.Now(), What: "failed", Why: err.Error()}, "stateFile", path)
		}
	}
	file, content, err := statefile.Open(path, r.store.name, r.store, failed, now.Wall.UnixMilli(), r.store.At(now.Mono))
	if err != nil {
		return nil, statefile.Content{}, err
	}
	if content.Damage != nil {
		return file, statefile.Content{}, setAside(r, file, "unreadable", content.Damage, now)
	}
	if !isNew && content.Exists {
		return file, statefile.Content{}, setAside(r, file, "replaced", errors.New("the store has newer grants"), now)
	}
	return file, content, nil
}

// restore reads the content of a file into the store, and reports whether both hold the same now.
func restore(r reporter, s *settings, path string, content statefile.Content, now clocks.Reading) bool {
	isEmpty := r.store.Alive() == 0
	r.store.notSooner(content.Newest, now)
	grants, restored, taken := r.store.restore(content.Changes, s, now.Mono)
	if content.Exists {
		e := page.Event{At: now.Wall, What: "restored"}
		if content.Torn {
			e.Why = "the last line was only half written, and is dropped"
		}
		r.report(slog.LevelInfo, e, "grants", restored, "dropped", grants-restored, "stateFile", path)
	}
	return isEmpty && taken == len(content.Changes)
}

// setAside renames a file, since another one is going to be written in its place.
func setAside(r reporter, file *statefile.File, as string, why error, now clocks.Reading) error {
	aside, err := file.SetAside(as, now.Wall.UnixMilli())
	if err != nil {
		return err
	}
	r.report(slog.LevelError, page.Event{At: now.Wall, What: "failed", Why: why.Error()}, "stateFile", file.Path(), "movedTo", aside)
	return nil
}

// restore applies what a state file holds, as far as the settings of its learner allow. It returns how many grants that were,
// how many of them hold now, and how many changes the store has taken.
func (s *store) restore(changes []change.Change, to *settings, now clocks.Moment) (grants, restored, taken int) {
	terms := terms{limits: to.limits, allowPrivate: to.allowPrivate, restoring: true}
	change.SortOldestFirst(changes)
	held := []*grant{}
	change.Portions(len(changes), func(first, last int) {
		fitting := []change.Change{}
		for _, c := range changes[first:last] {
			if c.Kind == change.Granted {
				grants++
				c.Stamp -= restoredLag
			} else {
				c.Stamp += restoredLag
			}
			if c.IP.Addr().Is4() || c.IP.Bits() == to.ipv6Subnet {
				fitting = append(fitting, c)
			}
		}
		before := s.Alive()
		applied, _ := s.apply(fitting, observerFile, terms, now)
		held = append(held, applied...)
		taken += s.Alive() - before
	})
	change.Portions(len(held), func(first, last int) {
		restored += s.remaining(held[first:last]) // later ones may have had earlier ones make room
	})
	return grants, restored, taken
}

// remaining returns how many of those grants there still are.
func (s *store) remaining(grants []*grant) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, g := range grants {
		if current(s.list, g) != nil {
			n++
		}
	}
	return n
}

// notSooner makes known a time that was in the past already at now, in milliseconds since 1970: a Raspberry Pi starts in the past.
func (s *store) notSooner(at int64, now clocks.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noticeLocked(now)
	s.wall.NotBefore(time.UnixMilli(at), now)
}

// stateFileOf returns the file that keeps a store; nil if there is none.
func stateFileOf(s *store) *statefile.File {
	stores.mu.Lock()
	defer stores.mu.Unlock()
	k := stores.keeping[s.name]
	if k == nil {
		return nil
	}
	return k.file
}
