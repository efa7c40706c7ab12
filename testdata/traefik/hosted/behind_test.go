package hosted

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// trusted returns the addresses that may tell other addresses, and fails unless they are some and few.
func trusted(texts []string, insecure bool) ([]netip.Prefix, error) {
	if len(texts) == 0 || insecure {
		return nil, fmt.Errorf("got trustedIPs %v and insecure %t, want some and no other", texts, insecure)
	}
	prefixes := []netip.Prefix{}
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		if prefix.Bits() < 8 {
			return nil, fmt.Errorf("%s is much to trust", prefix)
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

// behindProxy lets requests come to handler as through the HTTP proxy that the example trusts.
func behindProxy(e example, handler http.Handler) http.Handler {
	proxy := netip.MustParsePrefix(e.static.EntryPoints["websecure"].ForwardedHeaders.TrustedIPs[0]).Addr()
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		client, _, err := net.SplitHostPort(req.RemoteAddr)
		if err != nil {
			panic(err)
		}
		req.Header.Add("X-Forwarded-For", "203.0.113.7, "+client) // what the client wrote is there, too
		req.RemoteAddr = net.JoinHostPort(proxy.String(), "4711")
		handler.ServeHTTP(rw, req)
	})
}

func readCDN(files fs.FS) (example, error) {
	e, err := readFolder(files, "cdn")
	if err != nil {
		return e, err
	}
	entryPoint := e.static.EntryPoints["websecure"]
	if entryPoint.ProxyProtocol != nil {
		return e, errors.New("no CDN speaks the PROXY protocol")
	}
	_, err = trusted(entryPoint.ForwardedHeaders.TrustedIPs, entryPoint.ForwardedHeaders.Insecure)
	return e, err
}

// readVPS also wants that nginx and Traefik speak of the same hosts and addresses.
func readVPS(files fs.FS) (example, error) {
	e, err := readFolder(files, "vps")
	if err != nil {
		return e, err
	}
	entryPoint := e.static.EntryPoints["websecure"]
	if entryPoint.ProxyProtocol == nil {
		return e, errors.New("the entry point reads no PROXY header")
	}
	relays, err := trusted(entryPoint.ProxyProtocol.TrustedIPs, entryPoint.ProxyProtocol.Insecure)
	if err != nil {
		return e, err
	}
	if len(relays) != 1 || !relays[0].IsSingleIP() {
		return e, fmt.Errorf("got relays %v, want one address", relays)
	}
	data, err := fs.ReadFile(files, "vps/nginx.conf")
	if err != nil {
		return e, err
	}
	nginx := string(data)
	for _, directive := range []string{
		"map $ssl_preread_server_name $home {", "ssl_preread on;", "proxy_pass $home;", "proxy_protocol on;",
	} {
		if !regexp.MustCompile(`(?m)^ *` + regexp.QuoteMeta(directive)).MatchString(nginx) {
			return e, fmt.Errorf("nginx.conf lacks %s", directive)
		}
	}
	_, table, _ := strings.Cut(nginx, "$home {\n")
	table, _, _ = strings.Cut(table, "}")
	passed := []string{}
	for _, row := range regexp.MustCompile(`(?m)^\s*(\S+)\s+(\S+);$`).FindAllStringSubmatch(table, -1) {
		passed = append(passed, row[1])
		target, err := netip.ParseAddrPort(row[2])
		if err != nil {
			return e, err
		}
		if want := net.JoinHostPort("", fmt.Sprint(target.Port())); entryPoint.Address != want {
			return e, fmt.Errorf("nginx connects to port %d, and Traefik listens at %q", target.Port(), entryPoint.Address)
		}
		// Both ends of the tunnel are in its network.
		tunnel := netip.PrefixFrom(target.Addr(), 24).Masked()
		if !tunnel.Contains(relays[0].Addr()) || target.Addr() == relays[0].Addr() {
			return e, fmt.Errorf("nginx connects to %s, and Traefik trusts %s", target, relays[0])
		}
	}
	hosts := []string{}
	for _, router := range e.dynamic["file"].HTTP.Routers {
		hosts = append(hosts, strings.TrimSuffix(strings.TrimPrefix(router.Rule, "Host(`"), "`)"))
	}
	slices.Sort(hosts)
	slices.Sort(passed)
	if !reflect.DeepEqual(passed, hosts) {
		return e, fmt.Errorf("nginx passes on %v, and Traefik has routers for %v", passed, hosts)
	}
	return e, nil
}

func TestMistakesInExamplesBehindAProxyAreNoticed(t *testing.T) {
	for _, c := range []struct {
		name     string
		file     string
		old, new string
		want     string
	}{
		{"a relay that tells no address", "vps/nginx.conf", "        proxy_protocol on;", "        # proxy_protocol on;", "nginx.conf lacks proxy_protocol on;"},
		{"a relay that doesn't look for the host", "vps/nginx.conf", "ssl_preread on;", "ssl_preread off;", "nginx.conf lacks ssl_preread on;"},
		{"a relay that passes on everything", "vps/nginx.conf", "        home.example.com ", "        default ", "nginx passes on [default photos.example.com]"},
		{"a relay that misses a host", "vps/dynamic.yml", "Host(`photos.", "Host(`pictures.", "Traefik has routers for [home.example.com pictures.example.com]"},
		{"another port", "vps/nginx.conf", "10.8.0.2:443", "10.8.0.2:8443", `nginx connects to port 8443, and Traefik listens at ":443"`},
		{"another tunnel", "vps/nginx.conf", "10.8.0.2:443", "10.9.0.2:443", "nginx connects to 10.9.0.2:443, and Traefik trusts 10.8.0.1/32"},
		{"Traefik that trusts itself", "vps/traefik.yml", "10.8.0.1/32", "10.8.0.2/32", "nginx connects to 10.8.0.2:443, and Traefik trusts 10.8.0.2/32"},
		{"Traefik that trusts the tunnel", "vps/traefik.yml", "10.8.0.1/32", "10.8.0.0/24", "want one address"},
		{"Traefik that trusts everybody", "vps/traefik.yml", "    proxyProtocol:\n", "    proxyProtocol:\n      insecure: true\n", "want some and no other"},
		{"Traefik that reads no PROXY header", "vps/traefik.yml", "proxyProtocol:", "forwardedHeaders:", "reads no PROXY header"},
		{"a CDN that is everywhere", "cdn/traefik.yml", "173.245.48.0/20", "0.0.0.0/0", "0.0.0.0/0 is much to trust"},
		{"a CDN as if it were a relay", "cdn/traefik.yml", "    forwardedHeaders:", "    proxyProtocol:", "no CDN speaks the PROXY protocol"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data, err := fs.ReadFile(examplesFolder(), c.file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(data), c.old) {
				t.Fatalf("%s has no %q", c.file, c.old)
			}
			folder, _, _ := strings.Cut(c.file, "/")
			_, err = readers[folder](edited{examplesFolder(), c.file, []byte(strings.ReplaceAll(string(data), c.old, c.new))})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
