package e2e

import (
	"bufio"
	"context"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

func TestWebSocketsPassBothHandlers(t *testing.T) {
	plain(nil, nil).live(t)
	stranger := client(t, "203.0.113.8", nil)
	if _, response, err := stranger.WebSocket(context.Background(), "wss://photos.home.example/ws", nil); err == nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("a stranger's upgrade: got %v, want 403", err)
	}
	for _, row := range []struct {
		host string
		c    *lab.Client
	}{
		{"ha", client(t, "203.0.113.7", &home.Phone)},
		{"photos", client(t, "203.0.113.7", nil)},
	} {
		conn, _, err := row.c.WebSocket(context.Background(), "wss://"+row.host+".home.example/ws", nil)
		if err != nil {
			t.Fatalf("%s: %v", row.host, err)
		}
		for _, message := range []string{"hello", "again"} {
			if err := conn.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
				t.Fatal(err)
			}
			if _, got, err := conn.ReadMessage(); err != nil || string(got) != message {
				t.Errorf("%s: got %q and %v, want %q", row.host, got, err, message)
			}
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestStreamsPassAsTheyCome reads each chunk before the service is let go on to the next.
func TestStreamsPassAsTheyCome(t *testing.T) {
	plain(nil, nil).live(t)
	walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
	for _, http2 := range []bool{false, true} {
		c := keep(t, lab.ClientOptions{From: "203.0.113.7", Target: home.traefik.Addr("websecure"), TLS: tlsConfig(nil), HTTP2: http2})
		request := check.Must(http.NewRequest(http.MethodGet, "https://photos.home.example/stream?paced", nil))(t)
		response := check.Must(c.Open(request))(t)
		defer response.Body.Close()
		lines := bufio.NewScanner(response.Body)
		for chunk := 1; chunk <= 5; chunk++ {
			if !lines.Scan() {
				t.Fatalf("the stream ended before chunk %d: %v", chunk, lines.Err())
			}
			if chunk == 5 {
				break
			}
			next := check.Must(http.Get(home.backends["photos"].URL() + "/next"))(t)
			next.Body.Close()
		}
	}
}
