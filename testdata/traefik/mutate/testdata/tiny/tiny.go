// Package tiny is for the tests of mutate: what its own tests notice is known.
package tiny

import (
	"errors"
	"sync"

	"tiny/internal/inner"
)

const (
	most        = 3
	full  uint8 = 255
	limit uint8 = inner.Limit
)

var errEmpty = errors.New("empty")

type counter struct {
	mu sync.Mutex
	n  int
}

// check is tested, but neither at its bound nor for the empty name.
func (c *counter) check(names ...string) (_ int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		if name == "" || len(name) > most {
			return 0, errEmpty
		}
		c.n++
	}
	return c.n, nil
}

// sum never ends with i--, and may as well begin with 0.
func sum(n int) int {
	total := 0
	for i := 1; i <= n; i++ {
		total += i
	}
	return total
}

// even reports whether n has a half.
func even(n int) bool {
	_, exact := inner.Half(n)
	return exact
}

// idle isn't tested at all.
func idle(kind string) (string, uint8) {
	switch kind {
	case "a", "b":
		kind = "c"
	}
	return kind, 255
}
