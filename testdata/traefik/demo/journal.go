package main

import (
	"os"
	"strings"
	"sync"
)

// A journal takes Traefik's log lines, one per Write: all into a file, and the plugin's own to whoever listens.
type journal struct {
	file *os.File

	mu     sync.Mutex
	listen func(line string)
}

func newJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	return &journal{file: file}, err
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.listen != nil && strings.Contains(string(line), " msg=") {
		j.listen(string(line))
	}
	return j.file.Write(line)
}

// follow has listen called with each of the plugin's lines from now on, one at a time; nil ends that.
func (j *journal) follow(listen func(line string)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.listen = listen
}
