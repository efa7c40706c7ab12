package redistest

import "testing"

func TestAServerKeepsItsPort(t *testing.T) {
	s := Start(t)
	s.Do("SET", "key", "value")
	if other := Start(t); other.Address == s.Address {
		t.Fatalf("both are at %s", s.Address)
	}
	s.Kill()
	if got := s.CLI("PING"); got == "PONG" {
		t.Error("it answers, although it was killed")
	}
	if other := Start(t); other.Address == s.Address {
		t.Errorf("another has got the port of one that is down: %s", s.Address)
	}
	s.Start()
	if got := s.CLI("GET", "key"); got != "" {
		t.Errorf("got %q, want it empty", got)
	}
}

// TestAPortThatIsTakenIsPassedOver is about a program that knows nothing of reservations.
func TestAPortThatIsTakenIsPassedOver(t *testing.T) {
	s := Start(t)
	other := &Server{Address: s.Address, t: t, port: s.port}
	if other.run() || other.command != nil {
		t.Error("it takes another's server for its own")
	}
}
