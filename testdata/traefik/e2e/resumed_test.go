package e2e

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/config"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// A pocket keeps the last TLS session, and shows it to every host.
type pocket struct{ session *tls.ClientSessionState }

func (p *pocket) Get(string) (*tls.ClientSessionState, bool) { return p.session, p.session != nil }

func (p *pocket) Put(_ string, session *tls.ClientSessionState) {
	if session != nil {
		p.session = session
	}
}

// TestASessionProvesNothingElsewhere is about TLS sessions, which carry a client's certificate, when they are shown to
// another host. Before 3.7.13, Traefik had one key for the sessions of all hosts over QUIC, and resumed them there.
func TestASessionProvesNothingElsewhere(t *testing.T) {
	foreign := check.Must(home.stranger.Issue(lab.Leaf{CommonName: "phone"}))(t)
	for _, row := range []struct {
		name        string
		certificate *tls.Certificate
		firstTLS    string // of the host files, where the session begins
		learnerTLS  string // of the host ha
		then        string // where the session is resumed
		want        string // the learner's answer
	}{
		{"without a certificate, where one is required", nil, "", "verified", "ha", "tls: certificate required"},
		{"without a certificate, where one is verified if given", nil, "", "ifgiven", "ha", "403"},
		{"another authority's, where one is required", &foreign, "foreign", "verified", "ha", "tls: unknown certificate authority"},
		{"another authority's, where one is verified if given", &foreign, "foreign", "ifgiven", "ha", "tls: unknown certificate authority"},
		{"another authority's, where nobody asks for one", &foreign, "foreign", "none", "ha", "403"},
		{"another authority's, at its own host, for the learner's", &foreign, "foreign", "verified", "files", "421"},
		// Nothing would tell the learner of these two that it isn't this host that has verified it.
		{"another authority's, where any is taken", &foreign, "foreign", "any", "ha", "403"},
		{"another authority's, where one is asked for", &foreign, "foreign", "request", "ha", "403"},
	} {
		for _, over := range []string{"QUIC", "TCP"} {
			t.Run(row.name+", over "+over, func(t *testing.T) {
				h := overQUIC(nil, nil)
				h.Routes[0].TLS, h.Routes[2].TLS, h.Routes[2].Middleware = row.learnerTLS, row.firstTLS, ""
				trusting(t, h, "foreign", home.stranger)
				v := newVisitor(t, over, "127.0.0.2", row.certificate)
				for range 2 {
					if got := v.ask("files", "files"); got != "200" {
						t.Fatalf("where the session begins: got %s, want 200", got)
					}
				}
				if !v.resumed {
					t.Fatal("it isn't resumed where it began")
				}
				if got := v.ask(row.then, "ha"); !strings.Contains(got, row.want) {
					t.Errorf("got %s (resumed: %v), want %s", got, v.resumed, row.want)
				}
				walk(t, hop{over, "127.0.0.2", nil, "photos", "403"})
				if got := loggedOverQUIC(t, "msg=learned", "store="+storeOf(t, "default")); got != 0 {
					t.Errorf("%d addresses were learned, want none", got)
				}
			})
		}
	}
}

// TestAnAuthorityThatIsNoLongerTrusted is about a reload that takes an authority out of the learner's options.
func TestAnAuthorityThatIsNoLongerTrusted(t *testing.T) {
	foreign := check.Must(home.stranger.Issue(lab.Leaf{CommonName: "phone"}))(t)
	for _, over := range []string{"QUIC", "TCP"} {
		t.Run(over, func(t *testing.T) {
			h := overQUIC(nil, nil)
			h.Routes[0].TLS = "changing"
			trusting(t, h, "changing", home.stranger)
			v := newVisitor(t, over, "127.0.0.2", &foreign)
			for range 2 {
				if got := v.ask("ha", "ha"); got != "200" {
					t.Fatalf("while it is trusted: got %s, want 200", got)
				}
			}
			if !v.resumed {
				t.Fatal("the session isn't resumed while it is trusted")
			}
			open := stays(t, over, "127.0.0.4", &foreign)
			if got := open(); got != "200" {
				t.Fatalf("while it is trusted: got %s, want 200", got)
			}
			trusting(t, h, "changing", home.CA)
			if got := open(); got != "200" { // docs/security.md says so
				t.Errorf("on a connection that has stayed open: got %s, want 200", got)
			}
			v.bind = "127.0.0.3"
			if got := v.ask("ha", "ha"); !strings.Contains(got, "tls: unknown certificate authority") {
				t.Errorf("with a session from before: got %s (resumed: %v), want no connection", got, v.resumed)
			}
			walk(t, hop{over, "127.0.0.3", nil, "photos", "403"})
		})
	}
}

// stays opens a connection to the learner's host with the first question, and asks it again with each one.
func stays(t *testing.T, over, bind string, certificate *tls.Certificate) (ask func() string) {
	t.Helper()
	if over == "TCP" {
		c := keep(t, lab.ClientOptions{Local: bind, Target: home.traefik.Addr("quic"), TLS: tlsConfig(certificate), KeepAlive: true})
		return func() string { return status(c, "ha") }
	}
	conn := check.Must(caller{bind: bind, tls: tlsConfig(certificate), sni: "ha"}.dial(t))(t)
	return func() string { return askQUIC(t, conn, "ha") }
}

// A visitor makes a new connection for each question, and shows the last session.
type visitor struct {
	t          *testing.T
	over, bind string
	tls        *tls.Config
	resumed    bool // whether the last connection did
}

func newVisitor(t *testing.T, over, bind string, certificate *tls.Certificate) *visitor {
	v := &visitor{t: t, over: over, bind: bind, tls: tlsConfig(certificate)}
	v.tls.ClientSessionCache = &pocket{}
	v.tls.VerifyConnection = func(state tls.ConnectionState) error {
		v.resumed = state.DidResume
		return nil
	}
	return v
}

// ask asks a host on a connection made to the server name sni, and returns the status, or why there was none.
func (v *visitor) ask(sni, host string) string {
	if v.over == "TCP" {
		o := lab.ClientOptions{Local: v.bind, Target: home.traefik.Addr("quic"), TLS: v.tls, SNI: sni + ".home.example"}
		return status(keep(v.t, o), host)
	}
	conn, err := caller{bind: v.bind, tls: v.tls, sni: sni}.dial(v.t)
	if err != nil {
		return err.Error()
	}
	return askQUIC(v.t, conn, host)
}

// trusting makes h Traefik's configuration, with TLS options that require a certificate of an authority.
func trusting(t *testing.T, h household, name string, ca *lab.CA) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	configuration := h.dynamic(t)
	configuration.TLS.Options[name] = config.ClientAuth("RequireAndVerifyClientCert", file)
	live(t, configuration)
}
