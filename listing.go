package mtlsallowlist

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
)

// A listing is what the status page tells to programs.
type listing struct {
	Stores []listedStore `json:"stores"`
	You    listedViewer  `json:"you"`
}

type listedStore struct {
	Name   string        `json:"name"`
	MaxIPs int           `json:"maxIPs"` // 0: nobody learns for it
	Redis  *listedRedis  `json:"redis,omitempty"`
	Grants []listedGrant `json:"grants"` // the one proved last first
}

// A listedRedis is how a store is shared.
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

func (p *status) listing(req *http.Request, now reading) listing {
	l := listing{Stores: []listedStore{}}
	for _, store := range p.stores {
		grants := store.claims(now)
		listed := listedStore{Name: store.name, MaxIPs: store.limitIPs(), Grants: []listedGrant{}}
		if shared := sharedState(store); shared != nil {
			listed.Redis = &listedRedis{InStep: shared.inStep, Since: inUTC(shared.since), Error: shared.failure, Skipped: shared.skipped}
		}
		for _, g := range grants {
			listed.Grants = append(listed.Grants, listedGrant{
				IP: g.ip.String(), Identity: g.identity.Name(), Fingerprint: g.identity.Fingerprint(), Serial: g.identity.Serial,
				Learned: inUTC(g.learned), Proved: inUTC(g.proved), Expires: inUTC(g.expires),
			})
		}
		l.Stores = append(l.Stores, listed)
	}
	if ip := p.viewerIP(req); ip.IsValid() {
		l.You = listedViewer{IP: ip.String(), Admitted: p.admitted(ip, now)}
	}
	return l
}

// inUTC rounds to what a reader needs.
func inUTC(t time.Time) time.Time {
	return t.UTC().Round(time.Millisecond)
}

// viewerIP returns what the viewer would be learned as; the zero prefix if there is no usable address.
func (p *status) viewerIP(req *http.Request) netip.Prefix {
	addr, err := p.address(req)
	if err != nil {
		return netip.Prefix{}
	}
	return clientip.Prefix(addr, p.ipv6Subnet)
}

func writeJSON(rw http.ResponseWriter, answer any) {
	data, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	_, _ = rw.Write(append(data, '\n')) // whoever has left reads no answer
}
