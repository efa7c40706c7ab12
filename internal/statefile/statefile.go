// Package statefile keeps the changes of a store on disk: a log with a line for each, which is compacted into a new file when
// it has become too long. It doesn't know what a store does with changes, nor who may have which file.
package statefile

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
)

const (
	// maxQueue is how many changes wait for the disk at most. If there are more, all of the store is written instead.
	maxQueue = 10_000
	// spareLines is how many lines a log may have besides two for each that matters.
	spareLines = 100
	// rewriteInterval is how long a file isn't written anew after it couldn't be, in milliseconds.
	rewriteInterval = 10_000
)

// A Source is what a file keeps.
type Source interface {
	// Each calls visit with all that holds at a time by the source's clock, in portions.
	Each(now int64, visit func(portion []change.Change))
	// Alive returns how many changes that are.
	Alive() int
}

// A File keeps a source's changes across restarts. It goes by the wall clock, but never back: by the latest time it has seen.
// It is safe for concurrent use.
type File struct {
	path   string
	store  string
	source Source
	report func(err error, news bool) // called for each failure, with whether it is the first in a row

	mu     sync.Mutex
	ahead  int64           // how far the file's time is ahead of the source's, in milliseconds
	queue  []change.Change // that aren't on disk
	queued int             // how many there ever were
	sets   int             // how often the source's clock was set

	writing     sync.Mutex // held while writing; taken before mu
	size        int64      // of the file as we know it; -1: it has to be written anew
	lines       int        // in it, without the header
	settled     int        // how many of the queued are on disk
	failed      error      // why the last attempt to write failed
	retry       int64      // not to be written anew before this time by the source's clock
	compacts    bool       // a compaction is under way
	uncompacted bool       // the last one failed
	kept        bool       // it could be written since it was opened
}

// Path returns the path of the file.
func (f *File) Path() string {
	return f.path
}

// Store returns the name of the store that the file keeps.
func (f *File) Store() string {
	return f.store
}

// Changed queues a change, unless it is a minor one.
func (f *File) Changed(c change.Change) {
	if c.Minor {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queued++
	if len(f.queue) <= maxQueue {
		f.queue = append(f.queue, c)
	}
}

// ClockSet takes note that the source's clock was set ahead by so many milliseconds.
func (f *File) ClockSet(by int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sets++
	f.ahead -= by
	for i := range f.queue {
		f.queue[i] = f.queue[i].Shifted(by)
	}
}

// Settle returns when the changes that were queued before are on disk, or can't be, which is reported. Several who wait share
// one write. Times are those of the wall clock, and of the source's.
func (f *File) Settle(wall, now int64) {
	upTo := f.follow(wall, now)
	f.writing.Lock()
	defer f.writing.Unlock()
	if f.settled >= upTo {
		return
	}
	f.writeLocked(now)
}

// follow has the file's time go on to that of the wall clock, and returns how many changes were queued.
func (f *File) follow(wall, now int64) (queued int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if wall-now > f.ahead {
		f.ahead = wall - now
	}
	return f.queued
}

// take empties the queue, and returns how many changes there ever were in it, and how far the file's time is ahead.
func (f *File) take() (changes []change.Change, queued int, ahead int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changes = f.queue
	f.queue = nil
	queued = f.queued
	ahead = f.ahead
	return changes, queued, ahead
}

// putBack queues changes again, before all others.
func (f *File) putBack(changes []change.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(changes, f.queue...)
}

// writeLocked writes what is queued. The caller holds writing.
func (f *File) writeLocked(now int64) {
	changes, queued, ahead := f.take()
	if len(changes) > maxQueue {
		f.size = -1
	}
	err := errRewrite
	if f.size >= 0 {
		err = f.appendLines(changes, ahead)
	}
	if errors.Is(err, errRewrite) {
		err = f.rewrite(now, ahead)
	}
	before := f.failed
	f.failed = err
	if err != nil {
		f.putBack(changes)
		f.report(err, before == nil)
		return
	}
	f.kept = true
	f.settled = queued
	if f.lines > 2*f.source.Alive()+spareLines && !f.compacts && now >= f.retry {
		f.compacts = true
		f.startCompacting(now)
	}
}

// errRewrite says that the file isn't as it was left, so that a line at its end would be of no use.
var errRewrite = errors.New("the state file was changed by others")

// appendLines adds a line for each change to the file.
func (f *File) appendLines(changes []change.Change, ahead int64) error {
	info, err := os.Lstat(f.path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != f.size {
		return errRewrite
	}
	text := linesOf(changes, ahead)
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err != nil {
		_ = os.Truncate(f.path, f.size) // if half a line stays, the file is written anew
		return err
	}
	f.size += int64(len(text))
	f.lines += len(changes)
	return nil
}

// linesOf returns the lines of changes, by the file's time.
func linesOf(changes []change.Change, ahead int64) string {
	text := &strings.Builder{}
	for _, c := range changes {
		text.WriteString(c.Shifted(ahead).Line())
		text.WriteByte('\n')
	}
	return text.String()
}

// header is the first line of a file.
func header(store string) string {
	return fmt.Sprintf("{\"format\":%d,\"store\":%s}\n", format, quote(store))
}

// Failure returns why the file could not be written the last time; nil if it could.
func (f *File) Failure() error {
	f.writing.Lock()
	defer f.writing.Unlock()
	return f.failed
}

// Keep retries what failed, and writes all of the source unless the file is complete. It fails if the file never could be
// written since it was opened, or wasn't complete.
func (f *File) Keep(wall, now int64, complete bool) error {
	_ = f.follow(wall, now)
	f.writing.Lock()
	defer f.writing.Unlock()
	if !complete {
		f.size = -1
		f.kept = false
	}
	if f.kept && f.failed == nil && f.size >= 0 {
		return nil
	}
	f.retry = now
	f.writeLocked(now)
	if f.kept {
		return nil
	}
	return f.failed
}
