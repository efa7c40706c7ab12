package statefile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
)

// rewrite writes all of the source into a new file, which takes the place of the old. The caller holds writing.
func (f *File) rewrite(now, ahead int64) error {
	if now < f.retry {
		return f.failed
	}
	if err := f.Check(); err != nil {
		return err
	}
	d, err := f.draft(now, ahead)
	if err != nil {
		if d != nil {
			f.retry = now + rewriteInterval // to write so much takes time
		}
		return err
	}
	if d.sets != f.clockSets() {
		_ = d.discard(nil)
		return errClockSet
	}
	return f.replace(d)
}

// errClockSet says that the source's clock was set while the file was being written, which is tried again.
var errClockSet = errors.New("the clock was set meanwhile")

// startCompacting does so in a goroutine. In Yaegi 0.16 that reads f later, so nothing may be assigned to it here.
func (f *File) startCompacting(now int64) {
	go f.compacting(now)
}

// clockSets returns how often the source's clock was set: what was written of it by then has other times.
func (f *File) clockSets() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sets
}

// compacting makes the file as short as it can be, beside those who write. Changes that come meanwhile are in the old file,
// behind what it had before, and are copied from there.
func (f *File) compacting(now int64) {
	var err error
	defer func() {
		if fault := recover(); fault != nil { // which isn't to end Traefik
			err = fmt.Errorf("a fault in the plugin; please report it: %v", fault)
		}
		f.compacted(now, err)
	}()
	start, ahead := f.position()
	if start < 0 {
		return
	}
	var d *draft
	d, err = f.draft(now, ahead)
	if err == nil {
		err = f.finish(d, start)
	}
}

// compacted takes note of how a compaction went. A failure is reported, the first in a row as news, and the compaction is tried again later.
func (f *File) compacted(now int64, err error) {
	f.writing.Lock()
	defer f.writing.Unlock()
	f.compacts = false
	news := !f.uncompacted
	f.uncompacted = err != nil
	if err != nil {
		f.retry = now + rewriteInterval
		f.report(err, news)
	}
}

// position returns how long the file is, and how far its time is ahead.
func (f *File) position() (size, ahead int64) {
	f.writing.Lock()
	defer f.writing.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	size = f.size
	ahead = f.ahead
	return size, ahead
}

// A draft is a new file that is being written.
type draft struct {
	file  *os.File
	size  int64
	lines int
	sets  int   // clockSets, before it was begun
	err   error // the first
}

func (d *draft) write(text string, lines int) {
	if d.err != nil {
		return
	}
	_, d.err = d.file.WriteString(text)
	d.size += int64(len(text))
	d.lines += lines
}

func (d *draft) sync() {
	if d.err == nil {
		d.err = d.file.Sync()
	}
}

// replaceBy writes a new file of lines.
func (f *File) replaceBy(lines []string) error {
	d, err := f.newDraft()
	if err != nil {
		return err
	}
	d.write(strings.Join(append(lines, ""), "\n"), len(lines))
	d.sync()
	if d.err != nil {
		return d.discard(d.err)
	}
	return f.replace(d)
}

// newDraft makes a temporary file of mode 0600, with the first line.
func (f *File) newDraft() (*draft, error) {
	folder, name := filepath.Split(f.path)
	file, err := os.CreateTemp(folder, name+".*.tmp")
	if err != nil {
		return nil, err
	}
	d := &draft{file: file, sets: f.clockSets()}
	d.write(header(f.store), 0)
	return d, nil
}

// draft writes all of the source into a temporary file of mode 0600. If it fails, that is gone; there was none if draft is nil.
func (f *File) draft(now, ahead int64) (*draft, error) {
	d, err := f.newDraft()
	if err != nil {
		return nil, err
	}
	f.source.Each(now, func(portion []change.Change) {
		d.write(linesOf(portion, ahead), len(portion))
	})
	d.sync()
	if d.err != nil {
		return d, d.discard(d.err)
	}
	return d, nil
}

// discard removes the temporary file after an error.
func (d *draft) discard(err error) error {
	return errors.Join(err, d.file.Close(), os.Remove(d.file.Name()))
}

// finish copies what has been written into the file since it was so long, and puts the draft in its place.
func (f *File) finish(d *draft, start int64) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	info, err := os.Lstat(f.path)
	if err != nil || f.size < start || info.Size() != f.size || !info.Mode().IsRegular() || d.sets != f.clockSets() {
		return d.discard(nil) // it was written anew meanwhile, or is to be; or the draft's times differ
	}
	if err := d.copyFrom(f.path, start, f.size-start); err != nil {
		return d.discard(err)
	}
	return f.replace(d)
}

// copyFrom adds a part of another file.
func (d *draft) copyFrom(path string, start, size int64) error {
	if size == 0 {
		return nil
	}
	old, err := os.Open(path)
	if err != nil {
		return err
	}
	defer old.Close()
	tail, err := io.ReadAll(io.NewSectionReader(old, start, size))
	if err != nil {
		return err
	}
	d.write(string(tail), strings.Count(string(tail), "\n"))
	d.sync()
	return d.err
}

// replace puts a draft in the place of the file.
func (f *File) replace(d *draft) error {
	if err := d.file.Close(); err != nil {
		return errors.Join(err, os.Remove(d.file.Name()))
	}
	if err := os.Rename(d.file.Name(), f.path); err != nil {
		return errors.Join(err, os.Remove(d.file.Name()))
	}
	f.size = d.size
	f.lines = d.lines
	return syncFolder(filepath.Dir(f.path))
}

// syncFolder makes a rename in folder last.
func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
