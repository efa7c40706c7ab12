package mtlsallowlist

import "sort"

// collect begins to put changes on the way for a link, and returns how many had been before.
func (s *store) collect(by int) (told int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sharing.by = by
	s.sharing.overflown = false
	return s.sharing.told
}

// drop ends that, and forgets those that are on the way, unless another link has taken over.
func (s *store) drop(by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sharing.by == by {
		s.sharing.by = 0
		s.sharing.pending = map[string]entry{}
	}
}

// drain takes what is on the way for a link, and returns how many changes had been put there, and whether there were too
// many to keep.
func (s *store) drain(by int) (entries []entry, told int, overflown bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries = []entry{}
	if s.sharing.by != by {
		return entries, 0, s.sharing.overflown
	}
	for _, e := range s.sharing.pending {
		entries = append(entries, e)
	}
	s.sharing.pending = map[string]entry{}
	return entries, s.sharing.told, false
}

// pends reports whether something is on the way.
func (s *store) pends() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sharing.pending) > 0
}

// told returns how many changes have been put on the way.
func (s *store) told() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sharing.told
}

// entries returns all that other replicas should know at now, the oldest first. It holds the lock for chunk grants at a time.
func (s *store) entries(now moment) []entry {
	entries, grants := s.ended(now)
	for len(grants) > 0 {
		n := len(grants)
		if n > chunk {
			n = chunk
		}
		entries = append(entries, s.held(grants[:n])...)
		grants = grants[n:]
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].stamp < entries[j].stamp })
	return entries
}

// ended returns what there is to tell of grants that hold no more, and the grants that do.
func (s *store) ended(now moment) ([]entry, []*grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list.removeExpired(now)
	s.sharing.tombstones.removeExpired(s.sharing.until(now))
	entries := s.sharing.tombstones.all()
	for _, e := range s.sharing.pending {
		if e.kind == entryEvicted {
			entries = append(entries, e)
		}
	}
	grants := append([]*grant{}, s.list.due...) // in a return of several, Yaegi 0.16 puts it in the first's place
	return entries, grants
}

// held returns what there is to tell of those grants that haven't been removed.
func (s *store) held(grants []*grant) []entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := []entry{}
	for _, g := range grants {
		if g.expires != over {
			entries = append(entries, s.sharing.entry(entryGrant, g))
		}
	}
	return entries
}
