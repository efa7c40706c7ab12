package mtlsallowlist

import (
	"fmt"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/wording"
)

// A linkState is how a link is doing at some moment.
type linkState struct {
	inStep   bool
	since    time.Time // inStep has been as it is
	failure  string    // why it isn't in step; empty if it is, or nothing has failed yet
	failures int       // times that Redis could not be reached, or refused
	skipped  int       // entries from Redis that made no sense; each counts whenever it is read
}

func (l *link) state() linkState {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := linkState{inStep: l.inStep, since: l.since, failures: l.failures, skipped: l.skipped}
	if !l.inStep {
		s.failure = l.failure
	}
	return s
}

// sharedState returns how a store is shared at the moment; nil if it isn't.
func sharedState(store *store) *linkState {
	shared := linkOf(store)
	if shared == nil {
		return nil
	}
	s := shared.state()
	return &s
}

// text says it for the status page, and whether it is a problem.
func (s *linkState) text(now time.Time) (text string, problem bool) {
	switch {
	case s.inStep:
		text = "Shared with the other replicas: in step."
	case s.failure == "":
		text = "Shared with the other replicas: not in step yet."
	default:
		text = "Not in step with the other replicas since " + wording.Span(now.Sub(s.since)) + ": " + wording.Printable(s.failure)
		problem = true
	}
	if s.skipped == 1 {
		text += " 1 entry in Redis made no sense."
	} else if s.skipped > 1 {
		text += fmt.Sprintf(" %d entries in Redis made no sense.", s.skipped)
	}
	return text, problem
}
