package proof

import (
	"bufio"
	"net"
	"net/http"
)

// An Answer passes a response on. If its status is 2xx, it calls a function before the client sees any of it.
//
// Yaegi shows Traefik no methods of it but those of http.ResponseWriter and http.Hijacker. So nobody can ask it to
// flush, and it flushes whatever it passes on: streams need that, and the others bear it.
type Answer struct {
	rw        http.ResponseWriter
	succeeded func()
	begun     bool // the status is decided
}

// NewAnswer calls succeeded before it passes a status of 2xx on to rw.
func NewAnswer(rw http.ResponseWriter, succeeded func()) *Answer {
	return &Answer{rw: rw, succeeded: succeeded}
}

// Header returns the header of the response.
func (a *Answer) Header() http.Header {
	return a.rw.Header()
}

// WriteHeader passes a status on. Those below 200 come before the response's own, which a flush would make 200.
func (a *Answer) WriteHeader(status int) {
	if status >= 200 {
		a.Begin(status)
	}
	a.rw.WriteHeader(status)
	if status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified {
		a.flush()
	}
}

// Write passes data on.
func (a *Answer) Write(data []byte) (int, error) {
	a.Begin(http.StatusOK)
	n, err := a.rw.Write(data)
	a.flush()
	return n, err
}

// Hijack hands over the connection, of a WebSocket, say; it fails where that is impossible, as with HTTP/2.
func (a *Answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(a.rw).Hijack()
	if err == nil {
		a.begun = true
	}
	return conn, buffered, err
}

// Begin takes the first status from 200 on for that of the response, as net/http does.
func (a *Answer) Begin(status int) {
	if a.begun {
		return
	}
	a.begun = true
	if status < 300 {
		a.succeeded()
	}
}

func (a *Answer) flush() {
	_ = http.NewResponseController(a.rw).Flush() // where there is nothing to flush, nothing waits
}
