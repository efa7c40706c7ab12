package replicas

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
)

// flood is how many bytes an impostor says at most on each connection: far more than Traefik takes, and not so much that
// the machine would suffer from one that believes it.
const flood = 256 << 20

// An impostor listens in Redis's place. Without being asked, it says the same on a connection again and again, until the
// other side has enough.
type impostor struct {
	listener net.Listener
	says     []string // each on another connection, in turn

	mu    sync.Mutex
	conns []net.Conn
}

func startImpostor(t *testing.T, address string, says ...string) *impostor {
	t.Helper()
	i := &impostor{says: says}
	check.Eventually(t, "Redis's port is free", func() bool {
		var err error
		i.listener, err = net.Listen("tcp", address)
		return err == nil
	})
	t.Cleanup(i.close)
	go i.accept()
	return i
}

func (i *impostor) accept() {
	for {
		conn, err := i.listener.Accept()
		if err != nil {
			return
		}
		i.mu.Lock()
		says := i.says[len(i.conns)%len(i.says)]
		i.conns = append(i.conns, conn)
		i.mu.Unlock()
		go func() {
			defer conn.Close()
			chunk := bytes.Repeat([]byte(says), 64<<10/len(says))
			for n := 0; n < flood; n += len(chunk) {
				if _, err := conn.Write(chunk); err != nil {
					return
				}
			}
		}()
	}
}

// close ends the connections, too.
func (i *impostor) close() {
	_ = i.listener.Close()
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, conn := range i.conns {
		_ = conn.Close()
	}
}
