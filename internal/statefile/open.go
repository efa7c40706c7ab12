package statefile

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
)

const (
	// format is the version of the file's format.
	format = 1
	// maxHead is how much of a file is looked at to see whose it is, in bytes.
	maxHead = 4096
	// maxSize is the largest file that is read, in bytes: some 200,000 changes.
	maxSize = 1 << 26
)

// A Content is what a file held when it was opened.
type Content struct {
	Exists  bool            // there was a file
	Changes []change.Change // the last of each grant, in the order of their lines; by the source's time
	Newest  int64           // the latest time in the file at which something was proved or revoked; 0: it is empty
	Torn    bool            // the last line was only half written, and is left out
	Damage  error           // why the file can't be read; then it holds nothing
}

// Open opens the file that keeps a store, which need not be there, and writes it anew without the lines that no longer matter.
// It fails if something stands at the path that isn't a state file of that store, and then touches nothing. Times are those of
// the wall clock, and of the source's.
func Open(path, store string, source Source, report func(err error, news bool), wall, now int64) (*File, Content, error) {
	f := &File{path: path, store: store, source: source, report: report, size: -1}
	data, err := f.read()
	isNew := errors.Is(err, os.ErrNotExist)
	if err != nil && !isNew {
		return nil, Content{}, err
	}
	c, lines, err := parse(string(data), store)
	if err != nil {
		return nil, Content{}, err
	}
	if err := f.clear(); err != nil && isNew { // where a folder can't be listed, what was being written stays
		return nil, Content{}, err
	}
	c.Exists = !isNew
	f.ahead = wall - now
	if c.Newest-now > f.ahead {
		f.ahead = c.Newest - now
	}
	for i := range c.Changes {
		c.Changes[i] = change.Change.Shifted(c.Changes[i], -f.ahead) // as a function: Yaegi calls it five times as fast
	}
	if c.Damage == nil {
		f.failed = f.replaceBy(lines)
		f.kept = f.failed == nil
	}
	return f, c, nil
}

// parse reads what a file holds, whose head has been checked. A last line without an end was being written when the process
// was killed: no request that waited for it was answered. It fails if the file keeps another store.
func parse(text, store string) (c Content, lines []string, err error) {
	if text == "" {
		return Content{}, nil, nil
	}
	first, rest, whole := strings.Cut(text, "\n")
	var head struct {
		Format int    `json:"format"`
		Store  string `json:"store"`
	}
	if err := json.Unmarshal([]byte(first), &head); err != nil || !whole || head.Format != format {
		return Content{Damage: errors.New("want the format and the store in the first line")}, nil, nil
	}
	if head.Store != store { // which stood too far behind for checkHead
		return Content{}, nil, otherStore(head.Store, store)
	}
	all := strings.Split(rest, "\n")
	content := Content{Torn: all[len(all)-1] != ""}
	kept := []string{}
	later := map[string]bool{} // members of which a later line was read
	for n := len(all) - 2; n >= 0; n-- {
		one, err := change.Parse(all[n])
		if err != nil {
			return Content{Damage: fmt.Errorf("line %d: %w", n+2, err)}, nil, nil
		}
		if one.Proved > content.Newest {
			content.Newest = one.Proved
		}
		member := change.Change.Member(one)
		if later[member] {
			continue
		}
		later[member] = true
		if one.Kind != change.Evicted {
			content.Changes = append(content.Changes, one)
			kept = append(kept, all[n])
		}
	}
	for i, j := 0, len(kept)-1; i < j; i, j = i+1, j-1 {
		content.Changes[i], content.Changes[j] = content.Changes[j], content.Changes[i]
		kept[i], kept[j] = kept[j], kept[i]
	}
	return content, kept, nil
}

// headOf is how a state file begins, of this format or a newer one: with its format and the name of its store. If the rest is
// damaged, it is still ours.
var headOf = regexp.MustCompile(`^\s*\{\s*"format"\s*:\s*([^\s,{}\[\]]{1,20})\s*,\s*"store"\s*:\s*("(?:[^"\\]|\\.)*")?`)

// checkHead returns why what begins like that, unless it is empty, isn't the state file of a store.
func checkHead(data []byte, store string) error {
	if len(data) == 0 {
		return nil
	}
	parts := headOf.FindSubmatch(data)
	if parts == nil {
		return errors.New("it isn't a state file of this plugin's: want a path where there is no file yet, or an empty one")
	}
	number, err := strconv.Atoi(string(parts[1]))
	if err == nil && number > format {
		return fmt.Errorf("its format %d is that of a newer version of the plugin: this one knows format %d", number, format)
	}
	var name string
	if err := json.Unmarshal(parts[2], &name); err == nil && name != store {
		return otherStore(name, store)
	}
	return nil
}

func otherStore(name, store string) error {
	return fmt.Errorf("it keeps the store %q, not %q: a store needs a file of its own", name, store)
}

// quote returns a name as JSON.
func quote(name string) string {
	data, _ := json.Marshal(name) // a text always can be
	return string(data)
}

// Check returns why what stands at the path isn't the store's; nil if nothing stands there.
func (f *File) Check() error {
	_, err := f.read()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// read returns what the file holds. It fails if that isn't the store's: whatever else stands at the path is somebody's, and
// opening a pipe would wait.
func (f *File) read() ([]byte, error) {
	info, err := os.Lstat(f.path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is %s: want a file, or a path where there is nothing yet", nameOf(info.Mode()))
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
	data, err := io.ReadAll(io.LimitReader(buffered, maxSize+1))
	if err == nil && len(data) > maxSize {
		err = fmt.Errorf("it is larger than %d bytes", maxSize)
	}
	return data, err
}

func nameOf(mode os.FileMode) string {
	if mode.IsDir() {
		return "a directory"
	}
	if mode&os.ModeSymlink != 0 {
		return "a symbolic link, which would be replaced"
	}
	return "a device, a pipe or a socket"
}

// SetAside renames the file, so that another one can be written in its place, and returns its new path.
func (f *File) SetAside(as string, wall int64) (path string, err error) {
	aside := f.path + "." + as + "-" + time.UnixMilli(wall).UTC().Format("20060102T150405.000000000")
	f.size = -1
	f.kept = false
	return aside, os.Rename(f.path, aside)
}

// clear removes what was being written when Traefik was killed. If it can't, that stays: no more is lost than room.
func (f *File) clear() error {
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
