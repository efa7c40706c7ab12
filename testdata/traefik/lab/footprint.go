package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
)

// Footprint is what Traefik's process takes.
type Footprint struct {
	Heap       int64 // bytes that are alive after a garbage collection
	Resident   int64 // bytes; 0 where the system doesn't tell
	Goroutines int
}

var (
	heapAlloc      = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)
	goroutineTotal = regexp.MustCompile(`^goroutine profile: total (\d+)\n`)
	residentSize   = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)
)

// Footprint measures the process. Traefik's static configuration needs api.debug, with which it serves Go's profiles.
func (t *Traefik) Footprint(ctx context.Context) (Footprint, error) {
	var f Footprint
	for range 2 { // since the first garbage collection leaves what pools keep
		heap, err := t.profile(ctx, "heap?gc=1&debug=1", heapAlloc)
		if err != nil {
			return f, err
		}
		f.Heap = heap
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", t.Pid()))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	if match := residentSize.FindSubmatch(status); match != nil {
		kilobytes, _ := strconv.ParseInt(string(match[1]), 10, 64) // digits
		f.Resident = kilobytes << 10
	}
	goroutines, err := t.profile(ctx, "goroutine?debug=1", goroutineTotal)
	f.Goroutines = int(goroutines)
	return f, err
}

// profile returns the number that the expression finds in one of Traefik's profiles.
func (t *Traefik) profile(ctx context.Context, name string, number *regexp.Regexp) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.Addr(apiEntryPoint)+"/debug/pprof/"+name, nil)
	if err != nil {
		return 0, err
	}
	request.Close = true // or the connection's goroutines would be counted as well
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	match := number.FindSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("profile %s: got %d without %s: %.200q", name, response.StatusCode, number, text)
	}
	return strconv.ParseInt(string(match[1]), 10, 64)
}
