package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// overQUIC is the plain household at the entry point with HTTP/3. There is no PROXY protocol over QUIC, so its clients
// come from loopback addresses.
func overQUIC(learner, enforcer options) household {
	h := plain(learner, enforcer)
	h.Plugins["learn"]["allowPrivate"] = true
	for i := range h.Routes {
		h.Routes[i].EntryPoint = "quic"
	}
	return h
}

// A caller asks hosts by HTTP/3, on a connection of its own to one of them.
type caller struct {
	bind  string
	tls   *tls.Config
	sni   string // the first label of the server name
	early bool
}

// dial opens the connection, which closes with the test.
func (c caller) dial(t *testing.T) (*lab.QUIC, error) {
	sni := c.sni
	if !strings.Contains(sni, ".") {
		sni += ".home.example"
	}
	conn, err := lab.DialQUIC(t.Context(), lab.QUICOptions{Local: c.bind, Target: home.traefik.Addr("quic"), TLS: c.tls, SNI: sni, Early: c.early})
	if err == nil {
		t.Cleanup(conn.Close)
	}
	return conn, err
}

// askQUIC asks a host on an open connection, and returns the status, or why there was none.
func askQUIC(t *testing.T, conn *lab.QUIC, host string) string {
	response, err := conn.Get(context.WithoutCancel(t.Context()), "https://"+host+".home.example/")
	switch {
	case err != nil:
		return err.Error()
	case response.Proto != "HTTP/3.0":
		return "an answer by " + response.Proto
	case response.Status == 200 && !strings.HasPrefix(response.Body, host+": GET "):
		return fmt.Sprintf("%s answered: %s", host, response.Body)
	}
	return fmt.Sprint(response.Status)
}

// A hop is a question by HTTP/3, or TCP.
type hop struct {
	over        string // QUIC or TCP
	bind        string
	certificate *tls.Certificate
	host        string
	want        string
}

func (h hop) String() string { return fmt.Sprintf("%s from %s over %s", h.host, h.bind, h.over) }
func (h hop) wanted() string { return h.want }

func (h hop) ask(t *testing.T) string {
	if h.over == "TCP" {
		return status(keep(t, lab.ClientOptions{Local: h.bind, Target: home.traefik.Addr("quic"), TLS: tlsConfig(h.certificate)}), h.host)
	}
	conn, err := caller{bind: h.bind, tls: tlsConfig(h.certificate), sni: h.host}.dial(t)
	if err != nil {
		return err.Error()
	}
	return askQUIC(t, conn, h.host)
}

// loggedOverQUIC is logged for a household at the entry point with HTTP/3.
func loggedOverQUIC(t *testing.T, substrings ...string) int {
	t.Helper()
	from := fmt.Sprint("127.0.1.", settled.Add(1))
	walk(t, hop{"TCP", from, nil, "photos", "403"})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := home.traefik.Log().Wait(ctx, "rejected "+from+":"); err != nil {
		t.Fatal(err)
	}
	return home.traefik.Log().Count(substrings...)
}

func TestAProofOverQUICOpensOverQUICAndTCP(t *testing.T) {
	overQUIC(nil, nil).live(t)
	walk(t,
		hop{"QUIC", "127.0.0.2", nil, "photos", "403"},
		hop{"QUIC", "127.0.0.2", &home.Phone, "ha", "200"},
		hop{"QUIC", "127.0.0.2", nil, "photos", "200"},
		hop{"TCP", "127.0.0.2", nil, "photos", "200"},
		hop{"QUIC", "127.0.0.2", nil, "files", "200"},
		hop{"QUIC", "127.0.0.3", nil, "photos", "403"},
		hop{"TCP", "127.0.0.3", nil, "photos", "403"},
		hop{"TCP", "127.0.0.3", &home.Phone, "ha", "200"},
		hop{"QUIC", "127.0.0.3", nil, "photos", "200"},
		hop{"TCP", "127.0.0.3", nil, "files", "200"},
		hop{"QUIC", "127.0.0.4", nil, "photos", "403"},
	)
	conn := check.Must(caller{bind: "127.0.0.2", tls: tlsConfig(&home.Phone), sni: "ha"}.dial(t))(t)
	for range 20 { // many requests on one connection
		if got := askQUIC(t, conn, "ha"); got != "200" {
			t.Errorf("got %s, want 200", got)
		}
	}
	if got := loggedOverQUIC(t, "msg=learned", "store="+storeOf(t, "default")); got != 2 {
		t.Errorf("got %d learned lines, want 2", got)
	}
	if got := loggedOverQUIC(t, "msg=learned", "store="+storeOf(t, "default"), " ip=127.0.0.2 ", "identity=cn:phone", fingerprint(home.Phone), serial(home.Phone)); got != 1 {
		t.Errorf("got %d learned lines of 127.0.0.2, want 1", got)
	}
}

// TestBehindARelayQUICHasTheRelaysAddress is about an entry point behind one that speaks the PROXY protocol, over TCP.
func TestBehindARelayQUICHasTheRelaysAddress(t *testing.T) {
	h := overQUIC(nil, nil)
	delete(h.Plugins["learn"], "allowPrivate")
	h.live(t)
	relayed := func(certificate *tls.Certificate, host, want string) {
		t.Helper()
		c := keep(t, lab.ClientOptions{From: "203.0.113.7", Target: home.traefik.Addr("quic"), TLS: tlsConfig(certificate)})
		if got := status(c, host); got != want {
			t.Errorf("%s over TCP: got %s, want %s", host, got, want)
		}
	}
	walk(t, hop{"QUIC", "127.0.0.1", &home.Phone, "ha", "200"}, hop{"QUIC", "127.0.0.1", nil, "photos", "403"})
	relayed(nil, "photos", "403")
	relayed(&home.Phone, "ha", "200")
	relayed(nil, "photos", "200")
	walk(t, hop{"QUIC", "127.0.0.1", nil, "photos", "403"})
	if got := loggedOverQUIC(t, "not learned", "store="+storeOf(t, "default"), "remote=127.0.0.1:", "private address"); got != 1 {
		t.Errorf("got %d lines about it, want 1", got)
	}
	if got := loggedOverQUIC(t, "msg=learned", "store="+storeOf(t, "default")); got != 1 {
		t.Errorf("got %d learned lines, want that of 203.0.113.7", got)
	}
}

func TestNothingIsLearnedOverQUICWithoutAVerifiedCertificate(t *testing.T) {
	foreign := check.Must(home.stranger.Issue(lab.Leaf{CommonName: "phone"}))(t)
	expired := issue(t, lab.Leaf{CommonName: "phone", NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	// By these alerts the handshake fails, so nobody learns anything.
	const (
		required = "tls: certificate required"
		unknown  = "tls: unknown certificate authority"
		tooLate  = "tls: expired certificate"
	)
	for _, row := range []struct {
		name        string
		tls         string
		certificate *tls.Certificate
		want        string
	}{
		{"no certificate, where one is verified if given", "ifgiven", nil, "403"},
		{"no certificate, where one is required", "verified", nil, required},
		{"another CA's certificate, where one is required", "verified", &foreign, unknown},
		{"another CA's certificate, where one is verified if given", "ifgiven", &foreign, unknown},
		{"another CA's certificate, where any is taken", "any", &foreign, "403"},
		{"another CA's certificate, where one is asked for", "request", &foreign, "403"},
		{"a good certificate, where any is taken", "any", &home.Phone, "403"},
		{"a good certificate, where one is asked for", "request", &home.Phone, "403"},
		{"a good certificate that nobody asks for", "none", &home.Phone, "403"},
		{"a good certificate without TLS options", "", &home.Phone, "403"},
		{"an expired certificate", "verified", expired, tooLate},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := overQUIC(nil, nil)
			h.Routes[0].TLS = row.tls
			h.live(t)
			got := ""
			conn, err := caller{bind: "127.0.0.2", tls: tlsConfig(row.certificate), sni: "ha"}.dial(t)
			if err != nil {
				got = err.Error()
			} else {
				got = askQUIC(t, conn, "ha")
			}
			if !strings.Contains(got, row.want) {
				t.Errorf("got %s, want %s", got, row.want)
			}
			walk(t, hop{"QUIC", "127.0.0.2", nil, "photos", "403"}, hop{"TCP", "127.0.0.2", nil, "photos", "403"})
			if got := loggedOverQUIC(t, "msg=learned", "store="+storeOf(t, "default")); got != 0 {
				t.Errorf("%d addresses were learned", got)
			}
		})
	}
}

func TestTLSOptionsThatDisagreeForOneHostOverQUIC(t *testing.T) {
	h := overQUIC(nil, nil)
	h.Routes = append(h.Routes, route{Host: "ha", Middleware: "learn", TLS: "none", EntryPoint: "quic"})
	h.live(t)
	walk(t,
		hop{"QUIC", "127.0.0.2", &home.Phone, "ha", "403"},
		hop{"QUIC", "127.0.0.2", nil, "ha", "403"},
		hop{"QUIC", "127.0.0.2", nil, "photos", "403"},
	)
}

func TestHostAndServerNameThatDisagreeOverQUIC(t *testing.T) {
	overQUIC(nil, nil).live(t)
	for _, row := range []struct {
		name        string
		sni, host   string
		certificate *tls.Certificate
		want        string
	}{
		{"through the hidden host's handshake to the learner, no certificate", "photos", "ha", nil, "421"},
		{"through the hidden host's handshake to the learner, with one", "photos", "ha", &home.Phone, "421"},
		{"through the learner's handshake to the hidden host", "ha", "photos", &home.Phone, "421"},
		{"through an unknown host's handshake to the learner", "nobody.invalid", "ha", &home.Phone, "421"},
		{"through an unknown host's handshake to the hidden host", "nobody.invalid", "photos", nil, "403"},
		{"through a hidden host's handshake to another", "files", "photos", nil, "403"},
	} {
		conn, err := caller{bind: "127.0.0.2", tls: tlsConfig(row.certificate), sni: row.sni}.dial(t)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if got := askQUIC(t, conn, row.host); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
	walk(t, hop{"QUIC", "127.0.0.2", nil, "photos", "403"})
	if got := loggedOverQUIC(t, "msg=learned", "store="+storeOf(t, "default")); got != 0 {
		t.Errorf("%d addresses were learned", got)
	}
}

// TestAReloadUnderAnOpenConnection is about a connection whose handshake asked for no certificate, when its host
// becomes the learner's.
func TestAReloadUnderAnOpenConnection(t *testing.T) {
	h := overQUIC(nil, nil)
	h.Routes[0].TLS = "none"
	h.live(t)
	conn := check.Must(caller{bind: "127.0.0.2", tls: tlsConfig(&home.Phone), sni: "ha"}.dial(t))(t)
	if got := askQUIC(t, conn, "ha"); got != "403" {
		t.Errorf("without a handshake for certificates: got %s, want 403", got)
	}
	h.Routes[0].TLS = "verified"
	h.live(t)
	if got := askQUIC(t, conn, "ha"); got != "421" {
		t.Errorf("on the connection from before: got %s, want 421", got)
	}
	walk(t, hop{"QUIC", "127.0.0.2", nil, "photos", "403"})
}

// TestACertificateThatExpiresOverQUIC waits for real time, as TestACertificateThatExpires does.
func TestACertificateThatExpiresOverQUIC(t *testing.T) {
	h := overQUIC(nil, nil)
	h.Routes[0].TLS = "ifgiven"
	h.live(t)
	end := time.Now().Add(4 * time.Second).Truncate(time.Second)
	brief := issue(t, lab.Leaf{CommonName: "phone", NotAfter: end})
	open := check.Must(caller{bind: "127.0.0.2", tls: tlsConfig(brief), sni: "ha"}.dial(t))(t)
	resuming := tlsConfig(brief)
	resuming.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	resume := func() (got string, resumed bool) {
		conn, err := caller{bind: "127.0.0.3", tls: resuming, sni: "ha"}.dial(t)
		if err != nil {
			return err.Error(), false
		}
		return askQUIC(t, conn, "ha"), conn.State().TLS.DidResume
	}
	if got := askQUIC(t, open, "ha"); got != "200" {
		t.Errorf("while the certificate is valid: got %s", got)
	}
	first, _ := resume()
	second, resumed := resume()
	if first != "200" || second != "200" || !resumed {
		t.Errorf("while the certificate is valid: got %s and %s (resumed: %v)", first, second, resumed)
	}
	time.Sleep(time.Until(end.Add(1100 * time.Millisecond)))
	if got := askQUIC(t, open, "ha"); got != "403" {
		t.Errorf("on a connection that outlived the certificate: got %s, want 403", got)
	}
	resuming.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }
	if got, resumed := resume(); got != "403" {
		t.Errorf("with the old session: got %s (resumed: %v), want 403", got, resumed)
	}
	if got := loggedOverQUIC(t, "msg=learned", "store="+storeOf(t, "default")); got != 2 {
		t.Errorf("got %d learned lines, want the two from before", got)
	}
}

// TestZeroRTTIsNotTaken is about requests that a client sends before the handshake is complete: whoever has recorded one
// could send it again, from elsewhere.
func TestZeroRTTIsNotTaken(t *testing.T) {
	overQUIC(nil, nil).live(t)
	config := tlsConfig(&home.Phone)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	for _, row := range []struct {
		name    string
		resumed bool
	}{{"the first connection", false}, {"a resumed connection", true}, {"another", true}} {
		conn := check.Must(caller{bind: "127.0.0.2", tls: config, sni: "ha", early: true}.dial(t))(t)
		if got := askQUIC(t, conn, "ha"); got != "200" {
			t.Errorf("%s: got %s", row.name, got)
		}
		state := conn.State()
		if state.TLS.DidResume != row.resumed || state.Used0RTT {
			t.Errorf("%s: resumed %v, with 0-RTT %v, want %v and false", row.name, state.TLS.DidResume, state.Used0RTT, row.resumed)
		}
	}
}

// TestAConnectionThatMovesIsWhereItIs: QUIC connections go on from new addresses, once those have been proved.
func TestAConnectionThatMovesIsWhereItIs(t *testing.T) {
	overQUIC(nil, nil).live(t)
	phone := check.Must(caller{bind: "127.0.0.2", tls: tlsConfig(&home.Phone), sni: "ha"}.dial(t))(t)
	app := check.Must(caller{bind: "127.0.0.2", tls: tlsConfig(nil), sni: "photos"}.dial(t))(t)
	ask := func(when string, conn *lab.QUIC, host, want string) {
		t.Helper()
		if got := askQUIC(t, conn, host); got != want {
			t.Errorf("%s: %s: got %s, want %s", when, host, got, want)
		}
	}
	ask("before the proof", app, "photos", "403")
	ask("the proof", phone, "ha", "200")
	ask("after the proof", app, "photos", "200")
	if err := errors.Join(app.Move(t.Context(), "127.0.0.3"), phone.Move(t.Context(), "127.0.0.4")); err != nil {
		t.Fatal(err)
	}
	// The first packets after a move may still count as from before it.
	check.Eventually(t, "the app that has moved out", func() bool { return askQUIC(t, app, "photos") == "403" })
	ask("the app that has moved out", app, "photos", "403")
	check.Eventually(t, "the phone that has moved", func() bool {
		ask("the phone that has moved", phone, "ha", "200")
		return home.traefik.Log().Count("msg=learned", "store="+storeOf(t, "default"), " ip=127.0.0.4 ") > 0
	})
	walk(t,
		hop{"QUIC", "127.0.0.4", nil, "photos", "200"},
		hop{"QUIC", "127.0.0.2", nil, "photos", "200"},
		hop{"QUIC", "127.0.0.3", nil, "photos", "403"},
	)
	if got := loggedOverQUIC(t, "msg=learned", "store="+storeOf(t, "default")); got != 2 {
		t.Errorf("got %d learned lines, want 2", got)
	}
}
