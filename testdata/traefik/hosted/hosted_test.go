package hosted

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/rs/zerolog"
	"github.com/traefik/traefik/v3/pkg/plugins"
)

const (
	pluginModule = "github.com/mtlsallowlist/mtlsallowlist"
	pluginName   = "mtlsallowlist" // in the static configuration, and so below "plugin:" in the dynamic one
)

// root is the repository's root; TestMain leaves it for a folder that looks to Traefik like its own.
var root string

func TestMain(m *testing.M) {
	check.Main(func() (int, error) { return runIn(m) })
}

func runIn(m *testing.M) (code int, err error) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // Traefik logs every rejection
	if root, err = filepath.Abs(filepath.Join("..", "..", "..")); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "hosted")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	// Traefik looks for local plugins in ./plugins-local, relative to the working directory.
	link := filepath.Join(dir, "plugins-local", "src", filepath.FromSlash(pluginModule))
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return 0, err
	}
	if err := os.Symlink(root, link); err != nil {
		return 0, err
	}
	if err := os.Chdir(dir); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// newBuilder makes Traefik interpret the plugin anew: with stores of its own, as at Traefik's start.
func newBuilder(t *testing.T) *plugins.Builder {
	t.Helper()
	local := map[string]plugins.LocalDescriptor{pluginName: {ModuleName: pluginModule}}
	if err := plugins.SetupLocalPlugins(local); err != nil {
		t.Fatal(err)
	}
	builder := check.Must(plugins.NewBuilder(nil, nil, local))(t)
	return builder
}

var shared struct {
	once    sync.Once
	builder *plugins.Builder
}

// sharedBuilder is for tests that need no interpreter of their own, only stores of their own.
func sharedBuilder(t *testing.T) *plugins.Builder {
	t.Helper()
	shared.once.Do(func() { shared.builder = newBuilder(t) })
	if shared.builder == nil {
		t.Fatal("the plugin did not load: see the first test")
	}
	return shared.builder
}

// build makes a handler of the plugin in front of a service that answers 200.
func build(builder *plugins.Builder, options map[string]any, name string) (http.Handler, error) {
	constructor, err := builder.Build(pluginName, options, name)
	if err != nil {
		return nil, err
	}
	return constructor(context.Background(), service)
}

func mustBuild(t *testing.T, builder *plugins.Builder, options map[string]any, name string) http.Handler {
	t.Helper()
	handler := check.Must(build(builder, options, name))(t)
	return handler
}

var service = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusOK) })

// status returns what handler answers to a request from remoteAddr.
func status(handler http.Handler, remoteAddr string, forwardedFor []string, state *tls.ConnectionState) int {
	req := request(http.MethodGet, "/", remoteAddr, state)
	if forwardedFor != nil {
		req.Header["X-Forwarded-For"] = forwardedFor
	}
	return answer(handler, req).Code
}

func request(method, target, remoteAddr string, state *tls.ConnectionState) *http.Request {
	req := httptest.NewRequest(method, target, nil)
	req.Host, req.RemoteAddr, req.TLS = "app.example.com", remoteAddr, state
	return req
}

func answer(handler http.Handler, req *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, req)
	return recorder
}

var certificates sync.Map // *tls.ConnectionState by CN

// proof returns the state of a connection with a verified client certificate for cn and the DNS name cn+".lan".
func proof(t *testing.T, cn string) *tls.ConnectionState {
	t.Helper()
	if state, ok := certificates.Load(cn); ok {
		return state.(*tls.ConnectionState)
	}
	key := check.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(cn)) + 7),
		Subject:      pkix.Name{CommonName: cn},
		DNSNames:     []string{cn + ".lan"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der := check.Must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	leaf := check.Must(x509.ParseCertificate(der))(t)
	state := &tls.ConnectionState{
		HandshakeComplete: true,
		PeerCertificates:  []*x509.Certificate{leaf},
		VerifiedChains:    [][]*x509.Certificate{{leaf}},
	}
	certificates.Store(cn, state)
	return state
}

// events runs f, and returns what the handlers made in it log: what they write to the process's output.
func events(t *testing.T, f func(read func() []string)) {
	t.Helper()
	file := check.Must(os.CreateTemp(t.TempDir(), "stdout"))(t)
	defer file.Close()
	stdout := os.Stdout
	os.Stdout = file
	defer func() { os.Stdout = stdout }()
	seen := 0
	f(func() []string {
		data := check.Must(os.ReadFile(file.Name()))(t)
		lines := strings.Split(strings.TrimSpace(string(data[seen:])), "\n")
		seen = len(data)
		if lines[0] == "" {
			return nil
		}
		return lines
	})
}

// field returns the value of key in a line of slog's TextHandler.
func field(line, key string) string {
	_, after, found := strings.Cut(" "+line, " "+key+"=")
	if !found {
		return ""
	}
	if strings.HasPrefix(after, `"`) {
		value, _, _ := strings.Cut(after[1:], `"`)
		return value
	}
	value, _, _ := strings.Cut(after, " ")
	return value
}

// summary tells an event of the plugin's log without what differs from run to run.
func summary(line string) string {
	text := field(line, "msg")
	for _, key := range []string{"identity", "ip"} {
		if value := field(line, key); value != "" {
			text += " " + value
		}
	}
	if expires := field(line, "expires"); expires != "" {
		at, _ := time.Parse(time.RFC3339Nano, field(line, "time"))
		until, err := time.Parse(time.RFC3339Nano, expires)
		if err != nil {
			return text + " for " + err.Error()
		}
		// A learner reads the clock once, a little before its log does.
		text += fmt.Sprintf(" for %v", until.Sub(at).Round(time.Second))
	}
	return text
}
