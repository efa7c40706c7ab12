package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/interpreted"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

const (
	ownModule     = "github.com/mtlsallowlist/mtlsallowlist"
	nothingModule = "example.com/nothing"
)

type options = map[string]any

func (b *bench) nothingFolder() string {
	return filepath.Join(b.root, "testdata", "traefik", "bench", "nothing")
}

// sink is a ResponseWriter that costs next to nothing and remembers the status.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(status int) { s.status = status }

func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

var service = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusOK) })

// handler makes a middleware of plugin in front of the service.
func handler(plugin *interpreted.Plugin, o options) (http.Handler, error) {
	h, err := plugin.Handler(service, o, "bench")
	if err != nil {
		return nil, fmt.Errorf("%v: %w", o, err)
	}
	return h, nil
}

// silence lets the plugin's log, which goes to the process's own output, go nowhere until speak is called. It is in
// force for the handlers made meanwhile.
func silence() (speak func(), err error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	stdout := os.Stdout
	os.Stdout = null
	return func() { os.Stdout = stdout }, nil // the handlers keep the file
}

// identities issues client certificates of one authority.
type identities struct {
	ca   *x509.Certificate
	leaf []byte // DER, with the common name device-0000000
}

const templateName = "device-0000000"

func newIdentities() (*identities, error) {
	ca, err := lab.NewCA("Home CA")
	if err != nil {
		return nil, err
	}
	leaf, err := ca.Issue(lab.Leaf{CommonName: templateName, EmailAddresses: []string{"alice@home.example"}})
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(ca.PEM())
	parsed, err := x509.ParseCertificate(block.Bytes)
	return &identities{ca: parsed, leaf: leaf.Certificate[0]}, err
}

// name is the canonical name of the identity with the number.
func identityName(number int) string { return fmt.Sprintf("device-%07d", number) }

// proof is the state of a connection on which Traefik verified the certificate of the identity with that number.
// The certificate is made by writing the name into another's DER: its signature is wrong, which only Traefik looks at.
func (i *identities) proof(number int) (*tls.ConnectionState, error) {
	leaf, err := x509.ParseCertificate(bytes.ReplaceAll(i.leaf, []byte(templateName), []byte(identityName(number))))
	if err != nil {
		return nil, err
	}
	return &tls.ConnectionState{
		Version:           tls.VersionTLS13,
		HandshakeComplete: true,
		ServerName:        "ha.home.example",
		PeerCertificates:  []*x509.Certificate{leaf},
		VerifiedChains:    [][]*x509.Certificate{{leaf, i.ca}},
	}, nil
}

// ipv4 is one of 256 × 2¹⁶ public addresses, scattered over the address space.
func ipv4(number int) netip.Addr {
	n := uint32(20<<24) + uint32(number)*257
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// ipv6 is a public address in a /64 of its own.
func ipv6(number int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x2a, 0, byte(number >> 16), byte(number >> 8), byte(number), 0, 0, 1, 15: 9})
}

func mapped(number int) netip.Addr { return netip.AddrFrom16(ipv4(number).As16()) }

// connections are so many RemoteAddr texts, with random ports, of the first n addresses in random order.
func connections(number, n int, address func(int) netip.Addr) []string {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	order := random.Perm(n)
	texts := make([]string, number)
	for i := range texts {
		texts[i] = netip.AddrPortFrom(address(order[i%n]), uint16(1024+random.IntN(60000))).String()
	}
	return texts
}

// request is one of a browser, as Traefik hands it to a middleware.
func request(state *tls.ConnectionState) *http.Request {
	req, err := http.NewRequest(http.MethodGet, "https://photos.home.example/api/assets?page=2", nil)
	if err != nil {
		panic(err) // a constant
	}
	req.TLS = state
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	req.Header.Set("Accept", "*/*")
	req.RemoteAddr = "192.0.2.1:1024"
	return req
}

// serve has the handler answer, and fails unless it does so with the wanted status.
func serve(h http.Handler, rw *sink, req *http.Request, want int) error {
	rw.status = 0
	h.ServeHTTP(rw, req)
	if rw.status != want {
		return fmt.Errorf("request from %s %s: got %d, want %d", req.RemoteAddr, req.Header["X-Forwarded-For"], rw.status, want)
	}
	return nil
}

// teach proves an identity at the first n addresses.
func teach(learner http.Handler, proof *tls.ConnectionState, n int, address func(int) netip.Addr) error {
	rw, req := &sink{header: http.Header{}}, request(proof)
	for i := range n {
		req.RemoteAddr = netip.AddrPortFrom(address(i), 50000).String()
		if err := serve(learner, rw, req, ok); err != nil {
			return err
		}
	}
	return nil
}
