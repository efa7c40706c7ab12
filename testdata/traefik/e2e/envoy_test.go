package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	rbac "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	filter "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/authz"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	rpc "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// An envoy judges requests by a policy of Envoy's: it is gRPC's engine for such policies, in a server on loopback that
// asks for certificates. What is a host to Envoy is a service to gRPC.
type envoy struct {
	address string
}

func startEnvoy(t *testing.T, policy string) envoy {
	t.Helper()
	interceptor := check.Must(authz.NewStatic(translate(t, readPolicy(t, policy))))(t)
	certificate := check.Must(home.CA.Issue(lab.Leaf{CommonName: "envoy", DNSNames: []string{"envoy.home.example"}, Server: true}))(t)
	listener := check.Must(net.Listen("tcp", "127.0.0.1:0"))(t)
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{certificate}, ClientCAs: home.CA.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
		})),
		grpc.StreamInterceptor(interceptor.StreamInterceptor),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error { return stream.SendMsg(&emptypb.Empty{}) }),
	)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return envoy{listener.Addr().String()}
}

// admits reports whether the policy lets in a certificate on a host.
func (e envoy) admits(t *testing.T, certificate *tls.Certificate, host string) bool {
	t.Helper()
	config := tlsConfig(certificate)
	config.ServerName = "envoy.home.example"
	connection, err := grpc.NewClient("passthrough:///"+e.address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err = connection.Invoke(ctx, "/"+host+"/request", &emptypb.Empty{}, &emptypb.Empty{})
	if err != nil && rpc.Code(err) != codes.PermissionDenied {
		t.Fatal(err)
	}
	return err == nil
}

// readPolicy reads the HTTP filter as Envoy does: strictly, and with the checks of its API.
func readPolicy(t *testing.T, text string) *rbac.RBAC {
	t.Helper()
	var httpFilter struct {
		Name        string         `yaml:"name"`
		TypedConfig map[string]any `yaml:"typed_config"`
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&httpFilter); err != nil {
		t.Fatal(err)
	}
	data := check.Must(json.Marshal(httpFilter.TypedConfig))(t)
	typed, config := &anypb.Any{}, &filter.RBAC{}
	if err := protojson.Unmarshal(data, typed); err != nil {
		t.Fatal(err)
	}
	if err := typed.UnmarshalTo(config); err != nil {
		t.Fatal(err)
	}
	if err := config.ValidateAll(); err != nil {
		t.Fatal(err)
	}
	if httpFilter.Name != "envoy.filters.http.rbac" || config.GetRules().GetAction() != rbac.RBAC_ALLOW {
		t.Fatalf("got filter %q with action %v", httpFilter.Name, config.GetRules().GetAction())
	}
	return config.GetRules()
}

// translate writes a policy in gRPC's form, which becomes one of Envoy's again within the engine. It knows exact hosts,
// and exact names and prefixes of them.
func translate(t *testing.T, rules *rbac.RBAC) string {
	t.Helper()
	type object = map[string]any
	allowed := []object{}
	for name, policy := range rules.GetPolicies() {
		paths, principals := []string{}, []string{}
		for _, permission := range policy.GetPermissions() {
			header := permission.GetHeader()
			if header.GetName() != ":authority" || header.GetStringMatch().GetExact() == "" {
				t.Fatalf("policy %s: no translation of permission %v", name, permission)
			}
			paths = append(paths, "/"+header.GetStringMatch().GetExact()+"/request")
		}
		for _, principal := range policy.GetPrincipals() {
			id := principal.GetAuthenticated().GetPrincipalName()
			switch {
			case id.GetIgnoreCase() || strings.Contains(id.GetExact()+id.GetPrefix(), "*"):
				t.Fatalf("policy %s: no translation of principal %v", name, principal)
			case id.GetExact() != "":
				principals = append(principals, id.GetExact())
			case id.GetPrefix() != "":
				principals = append(principals, id.GetPrefix()+"*")
			default:
				t.Fatalf("policy %s: no translation of principal %v", name, principal)
			}
		}
		allowed = append(allowed, object{"name": name, "source": object{"principals": principals}, "request": object{"paths": paths}})
	}
	data := check.Must(json.Marshal(object{"name": "example", "allow_rules": allowed}))(t)
	return string(data)
}
