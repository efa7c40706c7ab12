package proof

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
)

// SiteHeader is where browsers since 2023 tell on whose behalf they send a request. No page can write it, and what is no
// browser leaves it out.
const (
	SiteHeader = "Sec-Fetch-Site"
	CrossSite  = "cross-site"
)

var errIntent = errors.New("request that another site has made the browser send")

// CheckIntent fails with errIntent if another site has a browser send req, with the proof that it adds by itself, and nobody
// sees it: a picture, a script's request, a frame, or what is fetched before somebody wants it. Whoever follows a link
// sees the document that they get. Within frames everything but the frame comes from its own site; Chromium tells of the
// frame by Sec-Fetch-Storage-Access, which it sends nowhere else. Of WebSockets it tells no more than the origin; they have
// connections of their own, so the fast path, which looks at SiteHeader alone, doesn't meet them.
func CheckIntent(req *http.Request) error {
	header := req.Header
	framed := header.Get("Sec-Fetch-Storage-Access") != ""
	seen := header.Get("Sec-Fetch-Mode") == "navigate" && header.Get("Sec-Fetch-Dest") == "document" && header.Get("Sec-Purpose") == ""
	site := header.Get(SiteHeader)
	if framed || site == CrossSite && !seen || site == "" && isForeign(header.Get("Origin"), req.Host) {
		return errIntent
	}
	return nil
}

// isForeign reports whether origin, if there is one, isn't on host; ports don't matter.
func isForeign(origin, host string) bool {
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Hostname(), clientip.Host(host))
}

// IsCrossSite reports whether a browser sends req on behalf of another site: it adds the proof by itself. Browsers
// since 2023 tell by Sec-Fetch-Site; older ones by Origin; what is no browser tells nothing.
func IsCrossSite(req *http.Request) bool {
	site := req.Header.Get("Sec-Fetch-Site")
	if site != "" && site != "same-origin" && site != "none" {
		return true
	}
	origin := req.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, req.Host)
}
