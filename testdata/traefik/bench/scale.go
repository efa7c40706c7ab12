package main

import "time"

// A scale says how much is measured.
type scale struct {
	name string

	open   int           // connections that take turns at a handler
	grants []int         // in the stores that are compared; the last is also that of the full store
	ranges []int         // in the source ranges that are compared
	rounds int           // in which interpreted requests take turns
	window time.Duration // of one kind of request in a round
	saved  int           // grants in the state file that is compared with a small one
	fresh  int           // empty stores, or clients that were just learned, in a round
	loads  int           // of the plugin into Yaegi

	trafficRounds int           // in which routers take turns
	trafficWindow time.Duration // of one router in a round
	connections   int           // at once to a router
	listed        int           // ranges of the long source ranges

	openings int // mTLS requests that open the hidden router

	reloads, reloadsPerRow int
	requestsPerReload      int
}

var whole = scale{
	name:              "whole",
	open:              100,
	grants:            []int{1, 100, 10_000, 100_000},
	ranges:            []int{1, 100, 10_000},
	rounds:            31,
	window:            60 * time.Millisecond,
	saved:             10_000,
	fresh:             200,
	loads:             15,
	trafficRounds:     200,
	trafficWindow:     100 * time.Millisecond,
	connections:       16,
	listed:            1000,
	openings:          200,
	reloads:           500,
	reloadsPerRow:     50,
	requestsPerReload: 2000,
}

var quickly = scale{
	name:              "quick",
	open:              10,
	grants:            []int{1, 10, 100, 1000},
	ranges:            []int{1, 10, 1000},
	rounds:            3,
	window:            2 * time.Millisecond,
	saved:             300,
	fresh:             5,
	loads:             2,
	trafficRounds:     3,
	trafficWindow:     30 * time.Millisecond,
	connections:       4,
	listed:            100,
	openings:          5,
	reloads:           6,
	reloadsPerRow:     2,
	requestsPerReload: 100,
}
