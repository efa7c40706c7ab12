package browser

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

func TestTheCertificateReachesTheServer(t *testing.T) {
	s := serve(t)
	intermediate := check.Must(s.clients.Intermediate("household"))(t)
	for _, row := range []struct {
		name   string
		issuer *lab.CA
	}{
		{"phone", s.clients},
		{"laptop", intermediate},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel() // each of two browsers keeps to its own certificate
			certificate := check.Must(row.issuer.Issue(lab.Leaf{CommonName: row.name}))(t)
			b := start(t, Options{CA: s.ca, Certificate: certificate, Hosts: s.hosts})
			response := check.Must(b.Open("https://home.example/"))(t)
			if response.Status != 200 || response.URL != "https://home.example/" {
				t.Errorf("got %d %s, want 200 and the page", response.Status, response.URL)
			}
			if got := check.Must(Evaluate[string](b, "document.querySelector('h1').innerText"))(t); got != "Hello "+row.name {
				t.Errorf("got %q, want Hello %s", got, row.name)
			}
		})
	}
}

func TestOpenFails(t *testing.T) {
	s := serve(t)
	phone := check.Must(s.clients.Issue(lab.Leaf{CommonName: "phone"}))(t)
	stranger := check.Must(check.Must(lab.NewCA("another CA"))(t).Issue(lab.Leaf{CommonName: "stranger"}))(t)
	nameless := start(t, Options{CA: s.ca, Hosts: s.hosts})
	foreign := start(t, Options{CA: s.ca, Certificate: stranger, Hosts: s.hosts})
	wary := start(t, Options{Certificate: phone, Hosts: s.hosts})
	friend := start(t, Options{CA: s.ca, Certificate: phone, Hosts: s.hosts})
	for _, row := range []struct {
		name  string
		b     *Browser
		url   string
		fault string
	}{
		// Which fault these two are depends on what arrives first, the server's complaint or the connection's end.
		{"no certificate", nameless, "https://home.example/", "net::ERR_"},
		{"another authority's certificate", foreign, "https://home.example/", "net::ERR_"},
		{"no trust in the server", wary, "https://home.example/", "net::ERR_CERT_AUTHORITY_INVALID"},
		{"a name the server cannot prove", friend, "https://other.example/", "net::ERR_CERT_COMMON_NAME_INVALID"},
		{"an unknown host", friend, "https://example.org/", "net::ERR_NAME_NOT_RESOLVED"},
		{"an address", friend, "https://192.0.2.1/", "net::ERR_NAME_NOT_RESOLVED"},
		{"status 403 without a body", friend, "https://home.example/empty", "net::ERR_HTTP_RESPONSE_CODE_FAILURE"},
	} {
		_, err := row.b.Open(row.url)
		if !errors.Is(err, chromedp.ErrPageLoad) || !strings.HasPrefix(err.Error(), row.url+": page load error "+row.fault) {
			t.Errorf("%s: got %v, want %v: %s", row.name, err, chromedp.ErrPageLoad, row.fault)
		}
		problems, want := row.b.Problems(), "request: "+row.url+": "+row.fault
		if len(problems) == 0 || !strings.HasPrefix(problems[len(problems)-1], want) {
			t.Errorf("%s: got problems %q, want the last to be %s", row.name, problems, want)
		}
	}
	if got := s.received(); !slices.Equal(got, []string{"GET /empty "}) {
		t.Errorf("got requests %q, want the last row's alone", got)
	}
}

func TestFollow(t *testing.T) {
	s := serve(t)
	b := s.visit(t, "phone")
	for _, row := range []struct {
		element  string
		requests []string
		status   int64
	}{
		{"Let me in", []string{"POST /admit name=phone", "GET /done "}, 200},
		{"#admit button", []string{"POST /admit name=phone", "GET /done "}, 200},
		{"Go away", []string{"GET /forbidden "}, 403},
	} {
		check.Must(b.Open("https://home.example/"))(t)
		before := len(s.received())
		response, err := b.Follow(row.element)
		if err != nil || response.Status != row.status {
			t.Errorf("%s: got %+v %v, want %d", row.element, response, err, row.status)
		}
		if got := s.received()[before:]; !slices.Equal(got, row.requests) {
			t.Errorf("%s: got requests %q, want %q", row.element, got, row.requests)
		}
	}
	if problems := b.Problems(); len(problems) > 0 {
		t.Errorf("got problems %q, want none", problems)
	}
}

func TestClick(t *testing.T) {
	b := serve(t).visit(t, "phone")
	check.Must(b.Open("https://home.example/"))(t)
	if err := b.Click("summary"); err != nil || !check.Must(Evaluate[bool](b, "document.querySelector('details').open"))(t) {
		t.Errorf("got %v, want the details open", err)
	}
	for _, row := range []struct{ element, fault string }{
		{"nothing", `clicking "nothing": no button or link has this name, and it selects 0 elements`},
		{"button", `clicking "button": no button or link has this name, and it selects 2 elements`},
		{"More of it", `clicking "More of it": 2 buttons and links have this name`},
		{"#hidden", `clicking "#hidden": `},
		{"Let me in!", `clicking "Let me in!": no button or link has this name, and as a selector: `},
	} {
		if err := b.Click(row.element); err == nil || !strings.HasPrefix(err.Error(), row.fault) {
			t.Errorf("%s: got %v, want %s", row.element, err, row.fault)
		}
	}
}

func TestEvaluate(t *testing.T) {
	b := serve(t).visit(t, "phone")
	check.Must(b.Open("https://home.example/inline"))(t)
	if got := check.Must(Evaluate[map[string]int](b, "Promise.resolve({a: 1})"))(t); len(got) != 1 || got["a"] != 1 {
		t.Errorf("got %v, want a: 1", got)
	}
	if _, err := Evaluate[int](b, "nothing.at.all"); err == nil || !strings.Contains(err.Error(), "nothing is not defined") {
		t.Errorf("got %v, want the exception", err)
	}
}
