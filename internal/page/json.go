package page

import (
	"encoding/json"
	"io"
	"time"
)

// A listing is the status page for programs.
type listing struct {
	Stores []listedStore `json:"stores"`
	You    listedViewer  `json:"you"`
}

type listedStore struct {
	Name   string        `json:"name"`
	MaxIPs int           `json:"maxIPs"` // 0: the store has no learner
	Redis  *listedRedis  `json:"redis,omitempty"`
	Grants []listedGrant `json:"grants"` // the one proved last first
}

// A listedRedis is how a store is replicated.
type listedRedis struct {
	InStep  bool      `json:"inStep"` // with the other replicas
	Since   time.Time `json:"since"`  // it has been so
	Error   string    `json:"error"`  // why not; empty if it is in step, or hasn't been yet
	Skipped int       `json:"skipped"`
}

type listedGrant struct {
	IP          string    `json:"ip"` // a prefix
	Identity    string    `json:"identity"`
	Fingerprint string    `json:"fingerprint"`
	Serial      string    `json:"serial"`
	Learned     time.Time `json:"learned"`
	Proved      time.Time `json:"proved"`
	Expires     time.Time `json:"expires"`
}

// A listedViewer is who asks. Without a usable address, IP is empty.
type listedViewer struct {
	IP       string `json:"ip"` // a prefix
	Admitted bool   `json:"admitted"`
}

// WriteGrants writes all grants of the stores, as JSON.
func WriteGrants(w io.Writer, viewer Viewer, stores []Store) error {
	l := listing{Stores: []listedStore{}}
	for _, store := range stores {
		listed := listedStore{Name: store.Name, MaxIPs: store.MaxIPs, Grants: []listedGrant{}}
		if r := store.Replication; r != nil {
			listed.Redis = &listedRedis{InStep: r.Synced, Since: inUTC(r.Since), Error: r.Failure, Skipped: r.Invalid}
		}
		for _, g := range store.Grants {
			listed.Grants = append(listed.Grants, listedGrant{
				IP: g.IP.String(), Identity: g.Identity.Name(), Fingerprint: g.Identity.Fingerprint(), Serial: g.Identity.Serial,
				Learned: inUTC(g.Learned), Proved: inUTC(g.Proved), Expires: inUTC(g.Expires),
			})
		}
		l.Stores = append(l.Stores, listed)
	}
	if viewer.IP.IsValid() {
		l.You = listedViewer{IP: viewer.IP.String(), Admitted: viewer.Admitted}
	}
	return WriteJSON(w, l)
}

// inUTC rounds to what a reader needs.
func inUTC(t time.Time) time.Time {
	return t.UTC().Round(time.Millisecond)
}

// WriteJSON writes a value as JSON.
func WriteJSON(w io.Writer, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(data, '\n'))
	return err
}
