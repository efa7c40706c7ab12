package mtlsallowlist

import (
	"io"
	"log/slog"
	"testing"
)

func TestTheRehearsalGoesAsWritten(t *testing.T) {
	l, err := rehearseSharing(slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Error(err)
	}
	if state := l.state(); !l.isEnded() || state.inStep || state.failures != 1 {
		t.Errorf("in the end its state is %+v", state)
	}
	if linkOf(l.store) != nil {
		t.Error("it is still in use")
	}
}
