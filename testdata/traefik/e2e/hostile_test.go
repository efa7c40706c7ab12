package e2e

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

var (
	form  = regexp.MustCompile(`(?s)<form method="post">(.*?)</form>`)
	field = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// forms returns what the page's forms would send.
func forms(page string) []url.Values {
	all := []url.Values{}
	for _, inner := range form.FindAllString(page, -1) {
		values := url.Values{}
		for _, parts := range field.FindAllStringSubmatch(inner, -1) {
			values.Add(parts[1], html.UnescapeString(parts[2]))
		}
		all = append(all, values)
	}
	return all
}

// TestHostileNamesAreShownAsText is about names that come from certificates, and from the configuration.
func TestHostileNamesAreShownAsText(t *testing.T) {
	path, store := stateFile(t), storeOf(t, `"><img src=x onerror=alert(1)>'&amp;\`)
	for _, row := range []struct{ name, shown string }{
		{`<script>alert(1)</script>`, `&lt;script&gt;alert(1)&lt;/script&gt;`},
		{`"><form action="https://evil.example">`, `&#34;&gt;&lt;form action=&#34;https://evil.example&#34;&gt;`},
		{`' autofocus onfocus='alert(1)`, `&#39; autofocus onfocus=&#39;alert(1)`},
		{"phone\u202egpj.exe", `phone\u202egpj.exe`},
		{"\u2066phone\u2069\u200b\ufeff", `\u2066phone\u2069\u200b\ufeff`},
		{"two\nlines\r\nSet-Cookie: x=1", `two\nlines\r\nSet-Cookie: x=1`},
		{"\x1b[31mred\x00\x7f\b", `\x1b[31mred\x00\x7f\b`},
		{"{{.Stores}}${7*7}%s%n</style>", `{{.Stores}}${7*7}%s%n&lt;/style&gt;`},
		{"&lt;b&gt;", `&amp;lt;b&amp;gt;`},
		{"&ip=0.0.0.0/0", `&amp;ip=0.0.0.0/0`},
		{"Anna's Telefon, größer ☎", `Anna&#39;s Telefon, größer ☎`},
		{strings.Repeat("<b>", 250), `… (753 bytes)`},
	} {
		t.Run(row.shown, func(t *testing.T) {
			watched(options{"store": []string{store}, "stateFile": path}, options{"store": []string{store}}, options{"store": []string{store}}).live(t)
			certificate := issue(t, lab.Leaf{CommonName: row.name})
			walk(t, step{"203.0.113.7", certificate, "ha", "200"}, step{"203.0.113.8", &home.Phone, "ha", "200"})
			page := owner(t, false)
			text := send(t, page, http.MethodGet, "/?revoked=%3Cscript%3E", "", "Accept: text/html").Body
			if !strings.Contains(text, row.shown) || !strings.Contains(text, `&lt;img src=x onerror=alert(1)&gt;&#39;&amp;amp;\\`) {
				t.Errorf("the page shows %s", text)
			}
			for _, bad := range []string{"<script", "<img", "<b><b>", "<form action", "onfocus='", "</style></style>", "\u202e", "\u2066", "\u200b", "\ufeff", "\x1b", "\x00", "\x7f", "ZgotmplZ"} {
				if strings.Contains(text, bad) {
					t.Errorf("the page contains %q", bad)
				}
			}
			listing := send(t, page, http.MethodGet, "/grants", "").Body
			if got := listed(t, page, "/grants").Stores[0]; len(got.Grants) != 2 || got.Grants[1].Identity != "cn:"+row.name || got.Name != store || strings.ContainsAny(listing, "<>") {
				t.Errorf("the listing has %.300s", listing)
			}
			if got := metrics(t, page, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(store)); got["mtlsallowlist_grants"] != "2" {
				t.Errorf("the metrics are %v", got)
			}
			if got := logged(t, "msg=learned", "ip=203.0.113.7 ", "fingerprint="+fingerprint(*certificate)); got != 1 {
				t.Errorf("got %d learned lines, want 1", got)
			}
			for _, values := range forms(text) {
				if values.Get("ip") == "203.0.113.7/32" && values.Has("identity") {
					if got := send(t, page, http.MethodPost, "/", values.Encode()).Header.Get("Location"); got != "/?revoked=1" {
						t.Errorf("the form leads to %s", got)
					}
				}
			}
			walk(t, step{"203.0.113.7", nil, "photos", "403"}, step{"203.0.113.8", nil, "photos", "200"})
			if got := len(readState(t, path, store).Grants); got != 1 {
				t.Errorf("the file has %d grants, want 1", got)
			}
		})
	}
	noPanic(t)
}
