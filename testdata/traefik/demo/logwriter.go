package main

import (
	"os"
	"strings"
	"sync"
)

// A logWriter takes Traefik's log lines, one per Write: all into a file, and the plugin's own to whoever listens.
type logWriter struct {
	file *os.File

	mu     sync.Mutex
	listen func(line string)
}

func newLogWriter(path string) (*logWriter, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	return &logWriter{file: file}, err
}

func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listen != nil && strings.Contains(string(line), " msg=") {
		w.listen(string(line))
	}
	return w.file.Write(line)
}

// follow has listen called with each of the plugin's lines from now on, one at a time; nil ends that.
func (w *logWriter) follow(listen func(line string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listen = listen
}
