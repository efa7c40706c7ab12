package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
)

// curlAt makes a folder whose curl settings lead every host to the home's Traefik, and returns it with curl's variable for it.
func curlAt(t *testing.T) (folder, variable string) {
	t.Helper()
	folder = t.TempDir()
	settings := fmt.Sprintf("insecure\nconnect-to = \"::%s\"\n", home.traefik.Addr("websecure"))
	if err := os.WriteFile(filepath.Join(folder, ".curlrc"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder, "CURL_HOME=" + folder
}

// TestHostsThatAreChecked runs the script of docs/checking.md in a household in which one hidden host has been forgotten.
func TestHostsThatAreChecked(t *testing.T) {
	h := plain(nil, nil)
	h.Routes[2].Middleware = ""
	h.live(t)
	folder, variable := curlAt(t)
	c := command(t, folder, []string{variable}, "checking/hosts.sh", "ha.home.example", "photos.home.example", "files.home.example")
	got := string(check.Must(c.Output())(t))
	if want := "000 ha.home.example\n403 photos.home.example\n200 files.home.example\n"; got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

// TestAnEntryPointThatIsGuarded is about the example "entrypoint": its routers have no middleware.
func TestAnEntryPointThatIsGuarded(t *testing.T) {
	o := startExample(t, "entrypoint", "    http:\n", "    proxyProtocol: {trustedIPs: [127.0.0.1/32]}\n    http:\n")
	const phone, stranger = "203.0.113.7", "198.51.100.66"
	traefik := o.Addr("websecure")
	if got := o.Log().Count("rejected"); got != 0 {
		t.Errorf("got %d rejections in the log before anybody has come", got)
	}
	walk(t,
		visit{"before any proof", "", phone, traefik, nil, "photos", nil, "404"},
		visit{"without a certificate", "", phone, traefik, nil, "home", nil, "certificate required"},
		visit{"the proof", "", phone, traefik, &home.Phone, "home", nil, "200"},
		visit{"the next request", "", phone, traefik, nil, "photos", nil, "200"},
		visit{"a stranger", "", stranger, traefik, nil, "photos", nil, "404"},
	)
	if got := o.learned(t); len(got) != 1 || got[0] != phone {
		t.Errorf("got learned %v, want %s", got, phone)
	}
}
