package e2e

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/config"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
)

const (
	catalogHost = "plugins.traefik.io"
	ownModule   = "github.com/mtlsallowlist/mtlsallowlist"
	otherModule = "example.com/nothing"
	archives    = "plugins-storage/archives" // in Traefik's working directory
)

// A catalog is Traefik's plugin catalog, as its client asks it. Traefik gets there by an HTTP proxy on loopback, which
// connects to nobody else.
type catalog struct {
	archives map[string][]byte // by module
	proxy    *httptest.Server
	server   *httptest.Server
	mu       sync.Mutex
	requests []string
}

// startCatalog also makes the test's environment lead to it.
func startCatalog(t *testing.T) *catalog {
	t.Helper()
	c := &catalog{archives: map[string][]byte{
		ownModule:   packed(t, filepath.Join("..", "..", "..")),
		otherModule: packed(t, filepath.Join("..", "bench", "nothing")),
	}}
	certificate := check.Must(home.CA.Issue(lab.Leaf{DNSNames: []string{catalogHost}, Server: true}))(t)
	c.server = httptest.NewUnstartedServer(c)
	c.server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	c.server.StartTLS()
	t.Cleanup(c.server.Close)
	c.proxy = httptest.NewServer(http.HandlerFunc(c.connect))
	t.Cleanup(c.proxy.Close)
	t.Setenv("HTTPS_PROXY", c.proxy.URL)
	t.Setenv("SSL_CERT_FILE", filepath.Join(home.Dir, "ca.pem"))
	return c
}

// connect is the proxy: it carries what Traefik and the catalog say to each other.
func (c *catalog) connect(rw http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodConnect || req.Host != catalogHost+":443" {
		http.Error(rw, "no", http.StatusForbidden)
		return
	}
	server, err := net.Dial("tcp", c.server.Listener.Addr().String())
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	client, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	fmt.Fprint(client, "HTTP/1.1 200 OK\r\n\r\n")
	carry(client, server)
}

// carry copies both ways until one of the sides ends.
func carry(one, other net.Conn) {
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{one, other}, {other, one}} {
		go func() {
			buffer := make([]byte, 32<<10)
			for {
				n, err := pair[0].Read(buffer)
				if _, failed := pair[1].Write(buffer[:n]); err != nil || failed != nil {
					break
				}
			}
			ended <- struct{}{}
		}()
	}
	<-ended
}

// ServeHTTP answers /public/download/<module>/<version> with the archive, or 304 if Traefik has it already, and
// /public/validate/… with 200 if the archive is the one that the catalog knows.
func (c *catalog) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	action, module, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/public/"), "/")
	module = strings.TrimSuffix(module, "/v0.1.0")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, action+" "+module)
	archive, known := c.archives[module]
	has := req.Header.Get("X-Plugin-Hash") == sumOf(archive)
	switch {
	case !known:
		http.NotFound(rw, req)
	case action == "download" && has:
		rw.WriteHeader(http.StatusNotModified)
	case action == "download":
		_, _ = rw.Write(archive)
	case !has:
		http.Error(rw, "another archive", http.StatusNotFound)
	}
}

// asked returns what was asked since the last call.
func (c *catalog) asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	requests := c.requests
	c.requests = nil
	slices.Sort(requests)
	return requests
}

func sumOf(archive []byte) string { return fmt.Sprintf("%x", sha256.Sum256(archive)) }

// packed returns an archive of the plugin in a folder, as the catalog has it of one with a vendor folder.
func packed(t *testing.T, root string) []byte {
	t.Helper()
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || name == "testdata" || name == "examples"):
			return filepath.SkipDir
		case !entry.Type().IsRegular(), strings.HasSuffix(name, "_test.go"):
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := w.Create("owner-plugin-0a1b2c3/" + filepath.ToSlash(name))
		if err != nil {
			return err
		}
		_, err = file.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

// A delivery is a Traefik that has the plugin from the catalog, and another one as well.
type delivery struct {
	*catalog
	dir string // Traefik's working directory
}

// start runs Traefik, with hashes for the two plugins ("": none), and returns what its routers answer to the phone: the
// learner's, the enforcer's, the other plugin's, and one without any middleware; and what an enforcer on a path of that
// one's host answers to a stranger.
func (d *delivery) start(t *testing.T, own, other string) (answers string, log *lab.Log) {
	t.Helper()
	traefik := check.Must(d.launch(t, own, other, false))(t)
	for _, host := range []string{"ha", "photos", "other", "files"} {
		c := keep(t, lab.ClientOptions{From: "203.0.113.7", Target: traefik.Addr("websecure"), TLS: tlsConfig(&home.Phone)})
		answers += fmt.Sprint(send(t, c, http.MethodGet, "https://"+host+".home.example/", "").Status, " ")
	}
	stranger := keep(t, lab.ClientOptions{From: "198.51.100.66", Target: traefik.Addr("websecure"), TLS: tlsConfig(nil)})
	answers += fmt.Sprint(send(t, stranger, http.MethodGet, "https://files.home.example/hidden", "").Status)
	if err := traefik.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	return answers, traefik.Log()
}

func (d *delivery) launch(t *testing.T, own, other string, abort bool) (*lab.Traefik, error) {
	t.Helper()
	h := plain(nil, nil)
	h.Routes[2].Middleware = ""
	h.Routes = append(h.Routes, route{Host: "other", Service: "files", Middleware: "other"}, route{Host: "files", Path: "/hidden", Middleware: "enforce"})
	h.Others = map[string]*dynamic.Middleware{"other": config.Plugin("nothing", options{"any": "thing"})}
	plugin := func(module, hash string) map[string]any {
		descriptor := map[string]any{"moduleName": module, "version": "v0.1.0"}
		if hash != "" {
			descriptor["hash"] = hash
		}
		return descriptor
	}
	return lab.Start(t.Context(), lab.Options{
		Binary: home.Binary, Dir: d.dir, Plugins: map[string]string{}, Dynamic: h.dynamic(t), LogLevel: "DEBUG",
		Static: map[string]any{"experimental": map[string]any{
			"plugins":              map[string]any{"mtlsallowlist": plugin(ownModule, own), "nothing": plugin(otherModule, other)},
			"abortOnPluginFailure": abort,
		}},
	})
}

// archive returns where Traefik keeps the plugin's archive.
func (d *delivery) archive() string {
	return filepath.Join(d.dir, archives, filepath.FromSlash(ownModule), "v0.1.0.zip")
}

func TestTheHashOfThePlugin(t *testing.T) {
	const (
		works    = "200 200 200 200 403"
		disabled = "404 404 404 200 200" // what has the enforcer is closed, but for what another router leads to
	)
	download := []string{"download " + otherModule, "download " + ownModule}
	validate := []string{"download " + otherModule, "download " + ownModule, "validate " + otherModule, "validate " + ownModule}
	d := &delivery{startCatalog(t), t.TempDir()}
	own, other := sumOf(d.archives[ownModule]), sumOf(d.archives[otherModule])
	begin := func(what, ownHash, otherHash, want string, lines ...string) {
		t.Helper()
		got, log := d.start(t, ownHash, otherHash)
		if got != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
		for _, line := range lines {
			if log.Count(line) == 0 {
				t.Errorf("%s: not logged: %s", what, line)
			}
		}
	}
	want := func(what string, want []string) {
		t.Helper()
		if got := d.asked(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the catalog was asked %q, want %q", what, got, want)
		}
	}

	begin("without a hash", "", "", works)
	want("without a hash", validate)
	kept := check.Must(os.ReadFile(d.archive()))(t)
	if got := sumOf(kept); got != own {
		t.Errorf("the archive that Traefik keeps has the sum %s, want %s", got, own)
	}
	for _, command := range documented(t, "docs/restarts.md", "sh") {
		shell := exec.CommandContext(t.Context(), "sh", "-ec", command.Text)
		shell.Dir = d.dir
		if got := string(check.Must(shell.Output())(t)); !strings.HasPrefix(got, own+" ") {
			t.Errorf("%s: got %s, want %s", command.Text, got, own)
		}
	}
	begin("with a hash", own, other, works)
	want("with a hash", download)

	refused := "invalid hash for plugin " + ownModule + ", expected "
	begin("with another hash", strings.Repeat("0", 64), other, disabled, "Plugins are disabled because an error has occurred.", refused)
	begin("with the hash in capitals", strings.ToUpper(own), other, disabled, refused)
	begin("with another hash for the other plugin", own, strings.Repeat("0", 64), disabled, "invalid hash for plugin "+otherModule)
	if left, err := filepath.Glob(filepath.Join(d.dir, archives, "*")); err != nil || len(left) > 0 {
		t.Errorf("there are still %v (%v), want no archives", left, err)
	}
	begin("again with the right ones", own, other, works)
	d.asked()

	// The catalog, or whoever is in between, delivers something else, and says that it is right.
	d.archives[ownModule] = append(slices.Clone(d.archives[ownModule]), 0)
	begin("another archive, without a hash", "", "", works)
	begin("another archive", own, other, disabled, refused)
	if _, err := d.launch(t, own, other, true); err == nil || !strings.Contains(err.Error(), refused) {
		t.Errorf("with abortOnPluginFailure: got %v, want that it doesn't start", err)
	}

	d.archives[ownModule] = d.archives[ownModule][:len(d.archives[ownModule])-1]
	begin("the first archive again", own, other, works)
	d.proxy.Close()
	begin("without the catalog", own, other, disabled, "unable to download plugin")
}
