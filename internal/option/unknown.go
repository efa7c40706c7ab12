package option

import (
	"fmt"
	"sort"
	"strings"
)

// Unknown finds keys that are no option, in order, and names the option that each may have been meant for. It never tells
// a value: what is misspelt, or at the wrong depth, may be a password.
func (r *Reader) Unknown(parent string, values map[string]any) {
	keys := []string{}
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		if len(r.faults) > maxFaults {
			return // no more are reported
		}
		r.Refuse(parent+key, "unknown option: "+r.suggestion(Shortened(parent+key)))
	}
}

// suggestion names the option whose own name, without its parent, is nearest to that of key, or, if none is
// near, all of them.
func (r *Reader) suggestion(key string) string {
	name := ownName(key)
	nearest, least := "", len(name)/2+1
	for _, option := range r.known {
		if d := editDistance(name, ownName(option)); d < least {
			nearest, least = option, d
		}
	}
	if nearest == "" {
		return "want one of " + strings.Join(r.known, ", ")
	}
	return fmt.Sprintf("did you mean %q?", nearest)
}

func ownName(key string) string {
	return strings.ToLower(key[strings.LastIndex(key, ".")+1:])
}

// editDistance counts the bytes to insert, delete or replace to make b of a (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			least := diagonal
			if a[i-1] != b[j-1] {
				least++
			}
			diagonal = row[j]
			if row[j]+1 < least {
				least = row[j] + 1
			}
			if row[j-1]+1 < least {
				least = row[j-1] + 1
			}
			row[j] = least
		}
	}
	return row[len(b)]
}

// mayHoldSecret reports whether somebody may have put a password at a key by mistake, so that its value isn't to be quoted.
func mayHoldSecret(key string) bool {
	return strings.HasPrefix(key+".", "redis.") && !strings.HasSuffix(key, "Timeout") && key != "redis.tls.insecureSkipVerify"
}
