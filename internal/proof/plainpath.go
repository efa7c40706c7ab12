package proof

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

var errPath = errors.New("ambiguous path: the service may take it for one outside the learner's router")

// nameSigns are letters, digits and the signs that mean nothing in a path.
const nameSigns = `\pL\p{Nd}\-_~!$&'()*,=@`

// plainPath is a decoded path that can be read in one way only. In each of its segments one of nameSigns comes before
// any colon or accent, so that no segment is "", "." or "..", or becomes so without its blanks, accents or the name of
// a stream. There is no percent sign, which could be decoded again, no backslash, no semicolon, nothing invisible, and no
// other character that stands for a dot or a slash.
var plainPath = regexp.MustCompile(`^/$|^(?:/[ .+]*[` + nameSigns + `][` + nameSigns + ` .+:\pM]*)+/?$`)

// CheckPath fails with errPath unless every service reads the path of req as the router does, whether it decodes paths
// never, once or again and again, cleans them, takes \ for /, or cuts off ;parameters. By any other path it may answer
// from outside of the router's prefix. What it gets is RequestURI, if there is one, and not URL.
func CheckPath(req *http.Request) error {
	if !isPlain(req.URL) {
		return errPath
	}
	if req.RequestURI != "" {
		sent, err := url.ParseRequestURI(req.RequestURI)
		if err != nil || !isPlain(sent) {
			return errPath
		}
	}
	return nil
}

// isPlain reports whether the path of u is plain. An encoded dot or slash makes it another, even where it does no harm:
// whoever writes it so means somebody to overlook it.
func isPlain(u *url.URL) bool {
	escaped := strings.ToLower(u.EscapedPath())
	return u.Opaque == "" && !strings.Contains(escaped, "%2e") && !strings.Contains(escaped, "%2f") && plainPath.MatchString(u.Path)
}
