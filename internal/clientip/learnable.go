package clientip

import (
	"errors"
	"net/netip"
)

// Why an address may not be learned.
var (
	errPrivate = errors.New("private address: for your own network use sourceRange; a gateway hides who comes: see ipStrategy, PROXY protocol and allowPrivate")
	errTeredo  = errors.New("shared address: all clients of a Teredo server have the same subnet")
)

// CheckLearnable returns why addr may not be learned; nil if it may.
func CheckLearnable(addr netip.Addr, allowPrivate bool) error {
	switch {
	case teredo.Contains(addr):
		return errTeredo
	case IsPublic(addr): // as nearly all are
		return nil
	case !IsUnicast(addr):
		return errNoAddress
	case !allowPrivate:
		return errPrivate
	}
	return nil
}
