package mtlsallowlist

// counts are how often things happened to a store since Traefik started. They are guarded by the store's lock.
type counts struct {
	learned  int
	renewed  int
	evicted  int
	revoked  int
	admitted int             // requests that an enforcer let in
	rejected map[string]*int // requests, by the reason
	unsaved  int             // times that the state file could not be written
}

func newCounts() *counts {
	return &counts{rejected: map[string]*int{}}
}

// rejections returns the count of a reason, for the caller to add to. Reasons must be few and fixed.
func (c *counts) rejections(why string) *int {
	n := c.rejected[why]
	if n == nil {
		n = new(int)
		c.rejected[why] = n
	}
	return n
}

// A census is what a store holds and has counted at some moment.
type census struct {
	counts
	grants int
	ips    int
	maxIPs int
	shared *linkState // nil: it isn't
}

func (s *store) census(now moment) *census {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list.removeExpired(now)
	c := &census{counts: *s.counts, grants: s.list.claims, ips: len(s.list.addresses), maxIPs: s.limitIPsLocked()}
	c.rejected = map[string]*int{}
	for why, n := range s.counts.rejected {
		copied := *n
		c.rejected[why] = &copied
	}
	return c
}
