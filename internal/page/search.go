package page

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/wording"
)

// link returns the query for another page.
func link(find string, page int) string {
	query := url.Values{"page": {strconv.Itoa(page)}}
	if find != "" {
		query.Set("find", find)
	}
	return "?" + query.Encode()
}

// matching returns the grants that hold for the address that text is or, if it is none, of whose address or names it is a part.
// Case doesn't matter; without a text, all are returned.
func matching(grants []Grant, text string) []Grant {
	if text == "" {
		return grants
	}
	found := []Grant{}
	if addr, err := clientip.ParseAddress(text); err == nil {
		for _, g := range grants {
			if g.IP.Contains(addr) {
				found = append(found, g)
			}
		}
		return found
	}
	text = strings.ToLower(text)
	for _, g := range grants {
		all := g.IP.String() + "\n" + strings.ToLower(strings.Join(g.Identity.Names, "\n"))
		if strings.Contains(all, text) {
			found = append(found, g)
		}
	}
	return found
}

// rangeOf says which grants are shown.
func rangeOf(first, shown, found, all int) string {
	text := "None"
	if shown > 0 {
		text = fmt.Sprintf("%d to %d", first+1, first+shown)
	}
	if found < all {
		return fmt.Sprintf("%s of %d found, of %s.", text, found, wording.Counted(all, "grant"))
	}
	return fmt.Sprintf("%s of %s.", text, wording.Counted(all, "grant"))
}
