package e2e

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// authelia answers Traefik's forwardAuth by the client's cookie: one of a user, one that it lets pass as nobody.
func authelia(t *testing.T) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		session, err := req.Cookie("session")
		switch {
		case err != nil || session.Value == "":
			rw.WriteHeader(http.StatusUnauthorized)
		case session.Value != "nobody":
			rw.Header().Set("Remote-User", session.Value)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func TestWhoLogsInIsLearned(t *testing.T) {
	sum := sha1.Sum([]byte("secret"))
	password := ":{SHA}" + base64.StdEncoding.EncodeToString(sum[:]) + "\n"
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("alice"+password+"mallory"+password), 0o600); err != nil {
		t.Fatal(err)
	}
	login := func(user string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user))
	}
	liveExample(t, "login/dynamic.yml",
		"/etc/traefik/users", users,
		"http://authelia:9091", authelia(t).URL,
		"http://192.168.1.10:8123", home.backends["ha"].URL(),
		"http://192.168.1.10:3000", home.backends["ha"].URL(),
		"http://192.168.1.10:2283", home.backends["photos"].URL(),
		"http://192.168.1.10:8080", home.backends["files"].URL(),
	)
	rows := []struct {
		name          string
		from          string
		host          string
		headers       []string
		status        int
		photos, files int
		identity      string // "": nothing is learned
	}{
		{"basicAuth: nobody", "203.0.113.31", "home", nil, 401, 404, 404, ""},
		{"basicAuth: nobody who says alice", "203.0.113.32", "home", []string{"X-User: alice"}, 401, 404, 404, ""},
		{"basicAuth: a guess", "203.0.113.33", "home", []string{login("alice:guess"), "X-User: alice"}, 401, 404, 404, ""},
		{"basicAuth: alice", "203.0.113.34", "home", []string{login("alice:secret")}, 200, 200, 200, "header:alice"},
		{"basicAuth: mallory", "203.0.113.35", "home", []string{login("mallory:secret")}, 200, 200, 404, "header:mallory"},
		{"basicAuth: mallory who says alice", "203.0.113.36", "home", []string{login("mallory:secret"), "X-User: alice"}, 200, 200, 404, "header:mallory"},
		{"basicAuth: mallory who says alice in small letters", "203.0.113.37", "home", []string{login("mallory:secret"), "x-user: alice"}, 200, 200, 404, "header:mallory"},
		{"basicAuth: mallory who says alice with underscores", "203.0.113.38", "home", []string{login("mallory:secret"), "X_User: alice"}, 200, 200, 404, "header:mallory"},
		{"basicAuth: mallory who says alice twice", "203.0.113.39", "home", []string{login("mallory:secret"), "X-User: alice", "X-USER: alice"}, 200, 200, 404, "header:mallory"},
		{"basicAuth: mallory who has the header taken away", "203.0.113.40", "home", []string{login("mallory:secret"), "X-User: alice", "Connection: X-User"}, 200, 200, 404, "header:mallory"},
		{"forwardAuth: nobody", "203.0.113.41", "wiki", nil, 401, 404, 404, ""},
		{"forwardAuth: nobody who says alice", "203.0.113.42", "wiki", []string{"Remote-User: alice"}, 401, 404, 404, ""},
		{"forwardAuth: alice", "203.0.113.43", "wiki", []string{"Cookie: session=alice"}, 200, 200, 200, "header:alice"},
		{"forwardAuth: mallory who says alice", "203.0.113.44", "wiki", []string{"Cookie: session=mallory", "Remote-User: alice"}, 200, 200, 404, "header:mallory"},
		{"forwardAuth: mallory who says alice otherwise", "203.0.113.45", "wiki", []string{"Cookie: session=mallory", "remote-user: alice", "Remote_User: alice"}, 200, 200, 404, "header:mallory"},
		{"forwardAuth: let pass as nobody", "203.0.113.46", "wiki", []string{"Cookie: session=nobody"}, 403, 404, 404, ""},
		{"forwardAuth: let pass as nobody who says alice", "203.0.113.47", "wiki", []string{"Cookie: session=nobody", "Remote-User: alice"}, 403, 404, 404, ""},
		{"a certificate instead of a password", "203.0.113.48", "home", []string{"X-Forwarded-Tls-Client-Cert: alice"}, 401, 404, 404, ""},
	}
	for _, row := range rows {
		c := client(t, row.from, nil)
		for _, visit := range []struct {
			host    string
			headers []string
			want    int
		}{{row.host, row.headers, row.status}, {"photos", nil, row.photos}, {"files", nil, row.files}, {"photos", row.headers, row.photos}} {
			if got := send(t, c, http.MethodGet, "https://"+visit.host+".example.com/", "", visit.headers...).Status; got != visit.want {
				t.Errorf("%s: %s: got %d, want %d", row.name, visit.host, got, visit.want)
			}
		}
	}
	// On one connection, as behind another proxy, each request is its own user's.
	c := keep(t, lab.ClientOptions{From: "203.0.113.49", Target: home.traefik.Addr("websecure"), TLS: tlsConfig(nil), KeepAlive: true, HTTP2: true})
	for _, visit := range []struct {
		host, header string
		want         int
	}{
		{"home", login("mallory:secret"), 200},
		{"files", "Accept: */*", 404},
		{"home", "Accept: */*", 401},
		{"home", login("alice:secret"), 200},
		{"files", "Accept: */*", 200},
	} {
		if got := send(t, c, http.MethodGet, "https://"+visit.host+".example.com/", "", visit.header).Status; got != visit.want {
			t.Errorf("on one connection, %s: got %d, want %d", visit.host, got, visit.want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	log := home.traefik.Log()
	if _, err := log.Wait(ctx, "msg=learned", "middleware=learn-", "ip=203.0.113.49 ", "identity=header:alice "); err != nil { // the last line of all
		t.Fatal(err)
	}
	for _, row := range rows {
		want := map[bool]int{true: 1, false: 0}[row.identity != ""]
		if all, own := log.Count("msg=learned", "middleware=learn-", "ip="+row.from+" "), log.Count("msg=learned", "middleware=learn-", "ip="+row.from+" ", "identity="+row.identity); all != want || own != want {
			t.Errorf("%s: got %d learned lines, %d of them of %q; want %d", row.name, all, own, row.identity, want)
		}
	}
}
