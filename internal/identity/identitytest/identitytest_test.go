package identitytest

import (
	"strings"
	"testing"
	"time"
)

func TestCertificate(t *testing.T) {
	leaf := Certificate("cn:phone dns:phone.lan email:a@b.c uri:spiffe://home/phone")
	names := []string{leaf.Subject.CommonName}
	names = append(names, leaf.DNSNames...)
	names = append(names, leaf.EmailAddresses...)
	for _, uri := range leaf.URIs {
		names = append(names, uri.String())
	}
	if got := strings.Join(names, " "); got != "phone phone.lan a@b.c spiffe://home/phone" {
		t.Errorf("got %q", got)
	}
	if T0.Before(leaf.NotBefore) || leaf.NotAfter.Before(T0.Add(40*24*time.Hour)) {
		t.Errorf("got one from %v to %v, want it valid at %v and 40 days later", leaf.NotBefore, leaf.NotAfter, T0)
	}
	if state := Verified(leaf); state.PeerCertificates[0] != leaf || state.VerifiedChains[0][0] != leaf || len(state.VerifiedChains[0]) != 2 {
		t.Errorf("got %+v, want the leaf and whoever signed it", state)
	}
}
