package e2e

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"flag"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/browser"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

var pictures = flag.String("pictures", "", "folder to write the pictures of the status page to")

// chromium starts the browser, at the address from, and ends it with the test. Beside the household it finds
// more hosts.
func chromium(t *testing.T, from string, certificate tls.Certificate, more map[string]string) *browser.Browser {
	t.Helper()
	relay := check.Must(browser.StartRelay(home.traefik.Addr("websecure"), from))(t)
	t.Cleanup(relay.Close)
	hosts := map[string]string{"*.home.example": relay.Addr()}
	for host, target := range more {
		hosts[host] = target
	}
	b := check.Must(browser.Start(t.Context(), browser.Options{Dir: t.TempDir(), CA: home.CA, Certificate: certificate, Hosts: hosts}))(t)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// reads wants the text of the page to contain each of the wants.
func reads(t *testing.T, b *browser.Browser, wants ...string) {
	t.Helper()
	text := check.Must(browser.Evaluate[string](b, `document.body.innerText.replace(/\s+/g, " ")`))(t)
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q: %s", want, text)
		}
	}
}

// families counts the households, each of which has a store of its own. The first one's is in the readme's picture.
var families int

// family is a household with a status page. Alice's laptop and Bob's tablet were proved in an earlier life of Traefik,
// and Alice's phone is now.
func family(t *testing.T) {
	t.Helper()
	now := time.Now()
	store := "home"
	if families++; families > 1 {
		store = fmt.Sprint("home ", families)
	}
	lines := []string{
		fmt.Sprintf(`{"format":1,"store":%q}`, store),
		grant(t, "2001:db8:b0b:1::/64", now.Add(-21*time.Hour), now.Add(-21*time.Hour), lab.Leaf{CommonName: "bob-tablet", URIs: []string{"spiffe://home.example/bob/tablet"}}),
		grant(t, "198.51.100.23/32", now.Add(-50*time.Hour), now.Add(-5*time.Hour), lab.Leaf{CommonName: "alice-laptop", EmailAddresses: []string{"alice@home.example"}}),
	}
	path := filepath.Join(t.TempDir(), "allowlist.json")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := watched(options{"store": store, "maxIPs": 6, "stateFile": path}, options{"store": store}, options{"store": store})
	h.Routes[len(h.Routes)-1].TLS = "verified"
	h.live(t)
	phone := issue(t, lab.Leaf{CommonName: "alice-phone", DNSNames: []string{"phone.alice.home.example"}})
	walk(t, step{"203.0.113.7", phone, "ha", "200"})
}

// grant is a line of a state file, for a day.
func grant(t *testing.T, ip string, learned, proved time.Time, leaf lab.Leaf) string {
	t.Helper()
	certificate := *issue(t, leaf)
	names := []string{}
	for _, uri := range leaf.URIs {
		names = append(names, "uri:"+uri)
	}
	names = append(names, "cn:"+leaf.CommonName)
	for _, address := range leaf.EmailAddresses {
		names = append(names, "email:"+address)
	}
	for i, name := range names {
		names[i] = url.PathEscape(name)
	}
	at := proved.UnixMilli()
	return fmt.Sprintf("%s %s -%s %d %d g %d %d 0%s %s", ip, names[0], fingerprint(certificate), at, proved.Add(24*time.Hour).UnixMilli(),
		learned.UnixMilli(), at, serial(certificate), strings.Join(names, ","))
}

func TestTheStatusPageInChromium(t *testing.T) {
	family(t)
	b := chromium(t, "203.0.113.7", home.Owner, nil)
	open(t, b, pageURL+"/", http.StatusOK)
	reads(t, b, "You come from 203.0.113.7, which is let in.", "3 of 6 addresses", "cn:alice-phone", "cn:alice-laptop",
		"uri:spiffe://home.example/bob/tablet", "2001:db8:b0b:1::/64", "24 h left", "19 h left", "3 h left", "2 days 2 h ago", "Kept across restarts in")
	for _, width := range []int{390, 1280} {
		for _, scheme := range []browser.Scheme{browser.Light, browser.Dark} {
			if err := b.View(width, scheme); err != nil {
				t.Fatal(err)
			}
			wide, err := browser.Evaluate[int](b, "document.documentElement.scrollWidth")
			if err != nil || wide > width {
				t.Errorf("at %d pixels the page is %d wide, %v", width, wide, err)
			}
			picture(t, b, fmt.Sprintf("status-%d-%s.png", width, scheme), 2*width)
		}
	}

	walk(t, step{"203.0.113.7", nil, "photos", "200"})
	follow(t, b, "Revoke cn:alice-phone at 203.0.113.7", http.StatusOK)
	walk(t, step{"203.0.113.7", nil, "photos", "403"})
	reads(t, b, "1 grant revoked.", "which isn’t on the list.", "2 of 6 addresses")
	if err := b.Click("section details:nth-of-type(1) summary"); err != nil {
		t.Fatal(err)
	}
	follow(t, b, "Revoke all of uri:spiffe://home.example/bob/tablet", http.StatusOK)
	walk(t, step{"2001:db8:b0b:1::b2", nil, "photos", "403"})
	follow(t, b, "Revoke cn:alice-laptop at 198.51.100.23", http.StatusOK)
	reads(t, b, "Nobody is on this list.", "revoked 198.51.100.23 cn:alice-laptop", "learned 203.0.113.7 cn:alice-phone")
	picture(t, b, "status-empty.png", 2*1280)
	follow(t, b, "JSON", http.StatusOK)
	if problems := b.Problems(); len(problems) > 0 {
		t.Errorf("the page had problems: %q", problems)
	}
}

func TestWithoutACertificateChromiumSeesNothing(t *testing.T) {
	family(t)
	b := chromium(t, "203.0.113.7", tls.Certificate{}, nil)
	if response, err := b.Open(pageURL + "/"); err == nil {
		t.Errorf("got %d, want no connection", response.Status)
	}
	text, err := browser.Evaluate[string](b, "document.documentElement ? document.documentElement.outerHTML : ''")
	if err != nil || strings.Contains(text, "alice") {
		t.Errorf("the browser shows %s, %v", text, err)
	}
}

// TestAFormOfAnotherSiteRevokesNothing is about a page that sends its visitor's browser, which has the certificate.
func TestAFormOfAnotherSiteRevokesNothing(t *testing.T) {
	family(t)
	for host, site := range map[string]string{"evil.invalid": "another site", "files2.home.example": "another host of the same site"} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(rw, `<form method="post" action="%s/"><input name="identity" value="cn:alice-phone"><button>Win</button></form>`, pageURL)
		}))
		certificate := check.Must(home.CA.Issue(lab.Leaf{CommonName: host, DNSNames: []string{host}, Server: true}))(t)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
		server.StartTLS()
		t.Cleanup(server.Close)
		b := chromium(t, "203.0.113.7", home.Owner, map[string]string{host: server.Listener.Addr().String()})
		open(t, b, "https://"+host+"/", http.StatusOK)
		follow(t, b, "Win", http.StatusForbidden)
		reads(t, b, "cross-site request")
		walk(t, step{"203.0.113.7", nil, "photos", "200"})
		open(t, b, pageURL+"/", http.StatusOK)
		reads(t, b, "3 of 6 addresses", "refused", "cross-site request")
		if t.Failed() {
			t.Logf("so it went from %s", site)
		}
	}
}

func open(t *testing.T, b *browser.Browser, url string, want int64) {
	t.Helper()
	response, err := b.Open(url)
	if err != nil || response.Status != want {
		t.Fatalf("%s: got %v, %v, want %d", url, response, err, want)
	}
}

func follow(t *testing.T, b *browser.Browser, element string, want int64) {
	t.Helper()
	response, err := b.Follow(element)
	if err != nil || response.Status != want {
		t.Fatalf("%s: got %v, %v, want %d", element, response, err, want)
	}
}

// picture takes one, and writes it if the flag asks for that.
func picture(t *testing.T, b *browser.Browser, name string, width int) {
	t.Helper()
	data := check.Must(b.Screenshot())(t)
	image, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil || image.Width != width {
		t.Errorf("%s: got %d pixels, %v, want %d", name, image.Width, err, width)
	}
	folder := cmp.Or(*pictures, t.TempDir())
	if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
		t.Error(err)
	}
}
