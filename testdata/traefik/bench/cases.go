package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
)

const (
	ok        = http.StatusOK
	forbidden = http.StatusForbidden
)

// nothingSubject is the measure of the others.
func (f *factory) nothingSubject(from []string) *subject {
	return open("do-nothing plugin", f.handler(f.nothing, options{}), from, ok)
}

// measureCases compares what one middleware meets: a small store, as at home.
func measureCases(b *bench, f *factory) error {
	const devices = 10
	unknown := func(number int) netip.Addr { return ipv4(1<<20 + number) }
	unknown6 := func(number int) netip.Addr { return ipv6(1<<20 + number) }
	f.store("home", devices, ipv4)
	f.store("home6", devices, ipv6)
	renewer := f.store("renewed", devices, ipv4)
	again := func(o options) func() http.Handler { return func() http.Handler { return f.enforcer(o) } }
	home6, four := options{"store": "home6"}, options{"sourceRange": sourceRanges(4)}
	plain, plain6 := f.enforcer(nil), f.enforcer(home6)
	proxied := f.enforcer(options{"ipStrategy": options{"depth": 1}})
	own := f.enforcer(options{"identities": []string{"cn:" + identityName(1)}})
	ranged := f.enforcer(four)
	newcomers := f.newcomers(b.fresh)
	hit, miss, renewal := limit{bound: 3, aim: 2.3}, limit{bound: 4}, limit{bound: 6}
	friends := connections(b.open, devices, ipv4)
	strangers := connections(b.open, b.open, unknown)
	hits := open("hit, IPv4", plain, friends, ok).atMost(hit, nil)
	misses := open("miss, IPv4", plain, strangers, forbidden).atMost(miss, nil)
	silenced := *f
	silenced.plugin = f.withoutCounters
	silenced.store("home", devices, ipv4)
	silent := silenced.enforcer(nil)
	if err := errors.Join(f.fault, silenced.fault); err != nil {
		return err
	}
	return b.compare(fmt.Sprintf("Requests in the interpreter, %d grants, %d open connections", devices, b.open), []*subject{
		f.nothingSubject(friends),
		hits,
		open("hit, IPv6", plain6, connections(b.open, devices, ipv6), ok).atMost(hit, nil),
		open("hit, IPv4-mapped IPv6", plain, connections(b.open, devices, mapped), ok),
		open("hit, identities", own, friends, ok),
		openForwarded("hit, X-Forwarded-For, depth 1", proxied, friends, ok),
		open("hit, one of 4 source ranges", ranged, connections(b.open, 4, inSourceRange), ok),
		misses,
		open("miss, IPv6", plain6, connections(b.open, b.open, unknown6), forbidden).atMost(miss, nil),
		openProving("renewal by a learner", renewer, f.proof, friends, ok).atMost(renewal, nil),
		open("hit, IPv4, not counted", silent, friends, ok).comparedWith(hits),
		open("miss, IPv4, not counted", silent, strangers, forbidden).comparedWith(misses),
		first("hit, IPv4", again(nil), nil, devices, ipv4, ok),
		first("hit, IPv6", again(home6), nil, devices, ipv6, ok),
		newcomers,
		first("hit, one of 4 source ranges", again(four), nil, 4, inSourceRange, ok),
		first("miss, IPv4", again(nil), nil, 10_000, unknown, forbidden),
		first("miss, IPv6", again(home6), nil, 10_000, unknown6, forbidden),
		first("renewal by a learner", func() http.Handler { return f.learner("renewed", devices) }, f.proof, devices, ipv4, ok),
	})
}

// newcomers is the subject of clients that have been learned, but not let in yet.
func (f *factory) newcomers(most int) *subject {
	learner, enforcer := f.learner("newcomers", 10*most), f.enforcer(options{"store": "newcomers"})
	learned := 0
	return &subject{name: "hit, IPv4, new client", most: most, prepare: func(calls int) (func(int) error, error) {
		from := make([]string, calls)
		rw, proof := &sink{header: http.Header{}}, request(f.proof)
		for i := range from {
			from[i] = netip.AddrPortFrom(ipv4(learned), 50000).String()
			learned++
			proof.RemoteAddr = from[i]
			if err := serve(learner, rw, proof, ok); err != nil {
				return nil, err
			}
		}
		req := request(nil)
		return func(i int) error {
			req.RemoteAddr = from[i]
			return serve(enforcer, rw, req, ok)
		}, nil
	}}
}

// sourceRanges are n ranges, no two of which could be written as one.
func sourceRanges(n int) []string {
	ranges := make([]string, n)
	for i := range ranges {
		ranges[i] = netip.PrefixFrom(rangeStart(i), 24).String()
	}
	return ranges
}

func rangeStart(number int) netip.Addr {
	return netip.AddrFrom4([4]byte{80 + byte(number>>15), byte(number >> 7), byte(number << 1), 0})
}

// inSourceRange is an address in the source range with the number.
func inSourceRange(number int) netip.Addr { return rangeStart(number).Next() }

// measureSizes compares stores and source ranges of different sizes. From each address comes at least one connection.
func measureSizes(b *bench, f *factory) error {
	subjects := []*subject{f.nothingSubject(connections(b.open, 1, ipv4))}
	compare := func(name string, sizes []int, address func(int) netip.Addr, enforcer func(n int) options) {
		var bases [2]*subject
		for at, n := range sizes {
			o := enforcer(n)
			opened := f.enforcer(o)
			visited := func() http.Handler { return f.enforcer(o) }
			if f.fault != nil {
				return
			}
			named := fmt.Sprintf(name, count(n))
			for i, s := range []*subject{
				open(named, opened, connections(max(b.open, n), n, address), ok),
				first(named, visited, nil, n, address, ok),
			} {
				switch at {
				case 0:
					bases[i] = s
				case len(sizes) - 1:
					s.atMost(limit{bound: 1.2}, bases[i])
				default:
					s.base = bases[i]
				}
				subjects = append(subjects, s)
			}
		}
	}
	compare("hit, any of %s grants", b.grants, ipv4, func(n int) options {
		name := fmt.Sprint("sized", n)
		f.store(name, n, ipv4)
		return options{"store": name}
	})
	compare("hit, any of %s source ranges", b.ranges, inSourceRange, func(n int) options {
		return options{"sourceRange": sourceRanges(n)}
	})
	if f.fault != nil {
		return f.fault
	}
	return b.compare(fmt.Sprintf("Requests in the interpreter, by size, %d open connections or as many as addresses", b.open), subjects)
}

// measureLearning compares learning an address in a store without any and in one that is full.
func measureLearning(b *bench, f *factory) error {
	full := b.grants[len(b.grants)-1]
	fullStore := f.store("full", full, ipv4)
	if f.fault != nil {
		return f.fault
	}
	rw := &sink{header: http.Header{}}
	stores, learned := 0, full
	// prepared makes requests, each on a connection of its own and from a new address.
	prepared := func(calls int) []*http.Request {
		requests := make([]*http.Request, calls)
		for i := range requests {
			proof := *f.proof
			requests[i] = request(&proof)
			requests[i].RemoteAddr = netip.AddrPortFrom(ipv4(learned), 50000).String()
			learned++
		}
		return requests
	}
	empty := &subject{name: "new address, empty store", most: b.fresh, prepare: func(calls int) (func(int) error, error) {
		requests, learners := prepared(calls), make([]http.Handler, calls)
		for i := range learners {
			stores++
			learners[i] = f.learner(fmt.Sprint("empty", stores), full)
		}
		runtime.GC() // making them leaves garbage that learning isn't to pay for
		return func(i int) error { return serve(learners[i], rw, requests[i], ok) }, f.fault
	}}
	filled := &subject{name: "new address, full store of " + count(full), prepare: func(calls int) (func(int) error, error) {
		requests := prepared(calls)
		return func(i int) error { return serve(fullStore, rw, requests[i], ok) }, nil
	}}
	from := connections(b.open, 10, ipv4)
	return b.compare("Learning in the interpreter", []*subject{f.nothingSubject(from), empty, filled.atMost(limit{bound: 5}, empty)})
}
