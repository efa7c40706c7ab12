package e2e

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

func TestNothingIsLearnedWithoutAVerifiedCertificate(t *testing.T) {
	foreign := check.Must(home.stranger.Issue(lab.Leaf{CommonName: "phone"}))(t)
	selfMade := check.Must(lab.NewCA("phone"))(t)
	selfSigned := check.Must(selfMade.Issue(lab.Leaf{CommonName: "phone"}))(t)
	expired := issue(t, lab.Leaf{CommonName: "phone", NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	forServers := issue(t, lab.Leaf{CommonName: "phone", Server: true})
	const ( // the alerts with which the handshake fails
		required = "tls: certificate required"
		unknown  = "tls: unknown certificate authority"
	)
	for _, row := range []struct {
		name        string
		tls         string
		entryPoint  string
		certificate *tls.Certificate
		want        string
	}{
		{"no certificate, where one is verified if given", "ifgiven", "", nil, "403"},
		{"no certificate, where one is required", "verified", "", nil, required},
		{"another CA's certificate, where one is verified if given", "ifgiven", "", &foreign, unknown},
		{"another CA's certificate, where any is taken", "any", "", &foreign, "403"},
		{"another CA's certificate, where one is asked for", "request", "", &foreign, "403"},
		{"a self-made certificate, where any is taken", "any", "", &selfSigned, "403"},
		{"a good certificate, where any is taken", "any", "", &home.Phone, "403"},
		{"a good certificate, where one is asked for", "request", "", &home.Phone, "403"},
		{"a good certificate that nobody asks for", "none", "", &home.Phone, "403"},
		{"a good certificate without TLS options", "", "", &home.Phone, "403"},
		{"an expired certificate", "verified", "", expired, "tls: expired certificate"},
		{"an expired certificate, where any is taken", "any", "", expired, "403"},
		{"a certificate for servers", "verified", "", forServers, "tls: bad certificate"},
		{"plain HTTP", "", "web", nil, "403"},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := plain(nil, nil)
			h.Routes[0].TLS = row.tls
			h.Routes[0].EntryPoint = row.entryPoint
			h.live(t)
			c := client(t, "203.0.113.7", row.certificate)
			url := "https://ha.home.example/"
			if row.entryPoint != "" {
				c = keep(t, lab.ClientOptions{From: "203.0.113.7", Target: home.traefik.Addr(row.entryPoint)})
				url = "http://ha.home.example/"
			}
			response, err := c.Get(url)
			got := fmt.Sprint(response.Status)
			if err != nil {
				got = alert(err)
			}
			if got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
			walk(t, step{"203.0.113.7", nil, "photos", "403"})
			if got := logged(t, "msg=learned", storeOf(t, "default")); got != 0 {
				t.Errorf("%d addresses were learned", got)
			}
		})
	}
}

// TestACertificateThatExpires waits for real time: it is a certificate's validity that ends, to the second.
func TestACertificateThatExpires(t *testing.T) {
	h := plain(nil, nil)
	h.Routes[0].TLS = "ifgiven"
	h.live(t)
	end := time.Now().Add(4 * time.Second).Truncate(time.Second)
	brief := issue(t, lab.Leaf{CommonName: "phone", NotAfter: end})
	open := map[string]*lab.Client{}
	// Each from an address of its own, so that the plugin remembers each connection.
	for protocol, from := range map[string]string{"HTTP/1.1": "203.0.113.7", "HTTP/2": "203.0.113.8"} {
		open[protocol] = keep(t, lab.ClientOptions{
			From: from, Target: home.traefik.Addr("websecure"), TLS: tlsConfig(brief), HTTP2: protocol == "HTTP/2", KeepAlive: true,
		})
	}
	resuming := map[string]*tls.Config{}
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		config := tlsConfig(brief)
		config.MinVersion, config.MaxVersion = version, version
		config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
		resuming[name] = config
	}
	resume := func(name string) (string, bool) {
		resumed := false
		config := resuming[name].Clone()
		config.VerifyConnection = func(state tls.ConnectionState) error {
			resumed = state.DidResume
			return nil
		}
		c := keep(t, lab.ClientOptions{From: "203.0.113.9", Target: home.traefik.Addr("websecure"), TLS: config})
		return status(c, "ha"), resumed
	}
	for protocol, c := range open {
		if got := status(c, "ha"); got != "200" {
			t.Errorf("%s while the certificate is valid: got %s", protocol, got)
		}
	}
	for name := range resuming {
		first, _ := resume(name)
		second, resumed := resume(name)
		if first != "200" || second != "200" || !resumed {
			t.Errorf("%s while the certificate is valid: got %s and %s (resumed: %v)", name, first, second, resumed)
		}
	}
	// Certificates hold through their last second. The grants, from before, live on: they would be renewed.
	time.Sleep(time.Until(end.Add(1100 * time.Millisecond)))
	for protocol, c := range open {
		if got := status(c, "ha"); got != "403" {
			t.Errorf("%s on a connection that outlived the certificate: got %s, want 403", protocol, got)
		}
	}
	for name, config := range resuming {
		// The client would rather not show its certificate any more.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }
		if got, resumed := resume(name); got != "403" {
			t.Errorf("%s with the old session: got %s (resumed: %v), want 403", name, got, resumed)
		}
	}
	if got := logged(t, "msg=learned", storeOf(t, "default")); got != 3 {
		t.Errorf("got %d learned lines, want the three from before", got)
	}
}

func TestTLSOptionsThatDisagreeForOneHost(t *testing.T) {
	h := plain(nil, nil)
	// Traefik then takes the default options for the host, which ask for no certificate.
	h.Routes = append(h.Routes, route{Host: "ha", Middleware: "learn", TLS: "none"})
	h.live(t)
	walk(t, step{"203.0.113.7", &home.Phone, "ha", "403"}, step{"203.0.113.7", nil, "ha", "403"}, step{"203.0.113.7", nil, "photos", "403"})
}

func TestHostAndServerNameThatDisagree(t *testing.T) {
	plain(nil, nil).live(t)
	for _, row := range []struct {
		name        string
		sni, host   string
		certificate *tls.Certificate
		want        string
	}{
		{"through the hidden host's handshake to the learner, no certificate", "photos.home.example", "ha", nil, "421"},
		{"through the hidden host's handshake to the learner, with one", "photos.home.example", "ha", &home.Phone, "421"},
		{"through the learner's handshake to the hidden host", "ha.home.example", "photos", &home.Phone, "421"},
		{"through an unknown host's handshake to the learner", "nobody.invalid", "ha", &home.Phone, "421"},
		{"through an unknown host's handshake to the hidden host", "nobody.invalid", "photos", nil, "403"},
	} {
		c := keep(t, lab.ClientOptions{From: "203.0.113.7", Target: home.traefik.Addr("websecure"), TLS: tlsConfig(row.certificate), SNI: row.sni})
		if got := status(c, row.host); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
	walk(t, step{"203.0.113.7", nil, "photos", "403"})
	if got := logged(t, "msg=learned", storeOf(t, "default")); got != 0 {
		t.Errorf("%d addresses were learned", got)
	}
}
