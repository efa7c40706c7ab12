package statefile

import (
	"os"
	"path/filepath"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
)

// WarmUp calls each method that several requests can call at once, before any can: Yaegi 0.16 fills a cache at the first call of
// each, and takes no lock for it. It returns a file that can't be written, so nothing is.
func WarmUp(source Source, c change.Change) *File {
	f := &File{path: filepath.Join(os.DevNull, "none"), source: source, report: func(error, bool) {}, size: -1}
	_, _, _ = parse(header("")+linesOf([]change.Change{c}, 0), "")
	f.Changed(c)
	f.ClockSet(0)
	f.Settle(0, 0)
	_ = f.Failure()
	_ = f.Keep(0, 0, true)
	return f
}
