package e2e

import (
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// startBehindCDN runs the example "cdn". The CDN is 127.0.0.2, at the address returned; clients who come past it
// announce their addresses to Traefik by the PROXY protocol.
func startBehindCDN(t *testing.T) (o *outpost, cdn string) {
	t.Helper()
	o = startExample(t, "cdn",
		"    forwardedHeaders:\n", "    proxyProtocol: {trustedIPs: [127.0.0.1/32]}\n    forwardedHeaders:\n",
		"173.245.48.0/20", "127.0.0.2/32",
	)
	addresses := check.Must(lab.FreeAddresses(1))(t)
	runNginx(t, strings.NewReplacer(
		"LISTEN", addresses[0], "TRAEFIK", o.Addr("websecure"), "DIR", o.dir, "TEMP", filepath.Join(t.TempDir(), "nginx"),
	).Replace(cdnConfiguration), addresses[0])
	return o, addresses[0]
}

// cdnConfiguration makes nginx an HTTP proxy that does with X-Forwarded-For what CDNs do: it adds the client's address.
const cdnConfiguration = `
pid TEMP.pid;
error_log stderr info;
events {}
http {
    access_log off;
    client_body_temp_path TEMP-body;
    proxy_temp_path TEMP-proxy;
    fastcgi_temp_path TEMP-fastcgi;
    uwsgi_temp_path TEMP-uwsgi;
    scgi_temp_path TEMP-scgi;
    server {
        listen LISTEN ssl proxy_protocol;
        set_real_ip_from 127.0.0.1;
        real_ip_header proxy_protocol;
        ssl_certificate DIR/server.pem;
        ssl_certificate_key DIR/server-key.pem;
        location / {
            proxy_bind 127.0.0.2;
            proxy_pass https://TRAEFIK;
            proxy_ssl_server_name on;
            proxy_ssl_name $host;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }
    }
}
`

func TestBehindACDN(t *testing.T) {
	o, cdn := startBehindCDN(t)
	traefik := o.Addr("websecure")
	const phone, stranger = "203.0.113.7", "198.51.100.66"
	walk(t,
		visit{"before any proof", "", phone, cdn, nil, "photos", nil, "404"},
		visit{"a certificate doesn't get through", "", phone, cdn, &home.Phone, "home", nil, "502"},
		visit{"it has let nobody in", "", phone, cdn, nil, "photos", nil, "404"},
		visit{"the proof", "", phone, traefik, &home.Phone, "home", nil, "200"},
		visit{"the next request", "", phone, cdn, nil, "photos", nil, "200"},
		visit{"a stranger", "", stranger, cdn, nil, "photos", nil, "404"},
		visit{"past the CDN", "", phone, traefik, nil, "photos", nil, "404"},
		visit{"the proof over IPv6", "", "2001:db8:1:2::7", traefik, &home.Phone, "home", nil, "200"},
		visit{"the same network", "", "2001:db8:1:2::8", cdn, nil, "photos", nil, "200"},
		visit{"another network", "", "2001:db8:1:3::7", cdn, nil, "photos", nil, "404"},
	)
	for _, header := range forgeries(phone) {
		walk(t,
			visit{"forged before the CDN", "", stranger, cdn, nil, "photos", header, "404"},
			visit{"forged past the CDN", "", stranger, traefik, nil, "photos", header, "404"},
			visit{"forged past the CDN, from an address of this machine's", "127.0.0.3", "", traefik, nil, "photos", header, "404"},
		)
	}
	if got, want := o.learned(t), []string{phone, "2001:db8:1:2::/64"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got learned %v, want %v", got, want)
	}
}

// TestTheLearnerBesideACDNBelievesNoHeader is about who has a certificate, and would let in another address than the own.
func TestTheLearnerBesideACDNBelievesNoHeader(t *testing.T) {
	o, cdn := startBehindCDN(t)
	const prover, other = "203.0.113.7", "203.0.113.99"
	for _, header := range append(forgeries(other), http.Header{}) {
		walk(t, visit{"the proof", "", prover, o.Addr("websecure"), &home.Phone, "home", header, "200"})
	}
	walk(t,
		visit{"the address of the connection", "", prover, cdn, nil, "photos", nil, "200"},
		visit{"the address in the headers", "", other, cdn, nil, "photos", nil, "404"},
	)
	if got, want := o.learned(t), []string{prover}; !reflect.DeepEqual(got, want) {
		t.Errorf("got learned %v, want %v", got, want)
	}
}
