// Package inner is for the tests of mutate: its own tests notice some mutants, and those of tiny others.
package inner

// Limit can't be more where tiny uses it.
const Limit = 255

// Half returns half of n, and whether nothing is left.
func Half(n int) (half int, exact bool) {
	return n / 2, n%2 == 0
}
