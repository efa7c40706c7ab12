package main

import "context"

// A visit is one step of the walk-through: a request, and what should come of it.
type visit struct {
	title     string
	before    func(context.Context, *walkthrough) error // what happens first; nil: nothing
	who, from string
	shows     string // the certificate's name; empty: none
	forged    string // the X-Forwarded-For header it sends; empty: none
	host      string
	method    string   // empty: GET
	path      string   // without the slash at its start
	timed     bool     // tell how long after the answer before this one came
	want      string   // as answer.result
	log       []string // per line the plugin should log: words that stand in it
	why       string
}

const (
	allowed       = "200 OK"
	forbidden     = "403 Forbidden"
	noCertificate = "refused in the TLS handshake: certificate required"
	unknownCA     = "refused in the TLS handshake: unknown certificate authority"
)

const (
	aliceHome   = "203.0.113.7"
	aliceMobile = "198.51.100.23"
	aliceCafe   = "192.0.2.80"
	strangers   = "198.51.100.66"
	bobHome     = "2001:db8:b0b:1::a1"
	bobPrivacy  = "2001:db8:b0b:1:5c1d:9e07:44aa:3f2b"
	bobNext     = "2001:db8:b0b:2::a1"
)

func story() []visit {
	return []visit{
		{
			title: "A stranger tries Photos",
			who:   "a stranger", from: strangers, host: "photos", want: forbidden,
			why: "The allowlist is empty, so nobody gets in.",
		},
		{
			title: "Alice's Photos app isn't let in either, yet",
			who:   "Alice's phone, Photos app", from: aliceHome, host: "photos", want: forbidden,
			why: "The app has no way to send a client certificate, and nothing is known about its address.",
		},
		{
			title: "Alice opens her Home Assistant app, which has a certificate",
			who:   "Alice's phone, Home Assistant app", from: aliceHome, shows: alice, host: "ha", want: allowed,
			log: []string{"msg=learned ip=" + aliceHome + " identity=cn:" + alice},
			why: "Traefik has checked the certificate against the household's CA. So the plugin puts the address it " +
				"came from onto the allowlist, for 24 hours (ttl), and lets the request through.",
		},
		{
			title: "The very next request: the Photos app again, still without a certificate",
			who:   "Alice's phone, Photos app", from: aliceHome, host: "photos", timed: true, want: allowed,
			why: "It comes from the address that was learned in step 3. What is learned holds with the next request.",
		},
		{
			title: "Files, too",
			who:   "Alice's phone, Files app", from: aliceHome, host: "files", want: allowed,
			why: "Files is Alice's alone (identities: cn:alice-phone), and it was her certificate that got the address learned.",
		},
		{
			title: "A guest on Alice's WLAN opens Photos",
			who:   "a guest's laptop behind Alice's router", from: aliceHome, host: "photos", want: allowed,
			why: "LET IN, and you should know it: everybody behind the same router (NAT) has the same address, so all of " +
				"them are let in. The allowlist is a second lock that keeps the rest of the internet away from the " +
				"service's login page. It is not a login; the services keep their own.",
		},
		{
			title: "The guest tries Home Assistant",
			who:   "a guest's laptop behind Alice's router", from: aliceHome, host: "ha", want: noCertificate,
			why: "This router asks everybody for a certificate, from whatever address.",
		},
		{
			title: "A stranger shows a counterfeit: the right names, but from another CA",
			who:   "a stranger", from: strangers, shows: counterfeit, host: "ha", want: unknownCA,
			why: "Traefik verifies certificates before the plugin sees a request. Nothing was learned, as step 9 shows.",
		},
		{
			title: "The stranger pretends to come from Alice's address",
			who:   "a stranger", from: strangers, forged: aliceHome, host: "photos", want: forbidden,
			why: "The plugin goes by the address of the connection. It looks at X-Forwarded-For only if it is told to " +
				"(ipStrategy), and Traefik drops that header unless it is told to trust the sender.",
		},
		{
			title: "Bob comes over IPv6",
			who:   "Bob's phone, Home Assistant app", from: bobHome, shows: bob, host: "ha", want: allowed,
			log: []string{"msg=learned ip=2001:db8:b0b:1::/64 identity=cn:" + bob},
			why: "With IPv6 a household has a whole network, so all of it is learned: the /64.",
		},
		{
			title: "Bob's Photos app uses another of the phone's IPv6 addresses (privacy extensions)",
			who:   "Bob's phone, Photos app", from: bobPrivacy, host: "photos", want: allowed,
			why: "Phones change their IPv6 address all the time, but within the same /64.",
		},
		{
			title: "Bob's neighbour",
			who:   "a laptop in the next network", from: bobNext, host: "photos", want: forbidden,
			why: "The neighbour has another /64.",
		},
		{
			title: "Bob tries Files",
			who:   "Bob's phone, Files app", from: bobHome, host: "files", want: forbidden,
			why: "His address is on the allowlist, but Files only counts what was learned from cn:alice-phone.",
		},
		{
			title:  "Traefik is restarted, and Bob's Photos app asks again",
			before: func(ctx context.Context, w *walkthrough) error { return w.home.restart(ctx) },
			who:    "Bob's phone, Photos app", from: bobPrivacy, host: "photos", want: allowed,
			log: []string{"msg=restored grants=2"},
			why: "The state file has kept what was learned, with its deadline.",
		},
		{
			title: "Alice looks at the status page",
			who:   "Alice's phone, browser", from: aliceHome, shows: alice, host: "allowlist", want: allowed,
			why: "It shows who may come in, from where and until when, to whoever has a certificate. (Its address for your " +
				"own browser comes at the end.)",
		},
		{
			title: "A stranger wants to see it, too",
			who:   "a stranger", from: strangers, host: "allowlist", want: noCertificate,
			why: "The status page asks for a certificate, as Home Assistant does.",
		},
		{
			title: "Bob has lost his phone: Alice revokes what it was granted",
			who:   "Alice's phone, browser", from: aliceHome, shows: alice, host: "allowlist",
			method: "DELETE", path: "grants?identity=cn:" + bob, want: allowed,
			log: []string{"msg=revoked ip=2001:db8:b0b:1::/64 identity=cn:" + bob + " by=cn:" + alice},
			why: "One grant has ended. On the page it is a button. (The certificate still holds: identities takes it out for good.)",
		},
		{
			title: "The finder of Bob's phone, still on Bob's network, opens Photos",
			who:   "Bob's phone, Photos app", from: bobPrivacy, host: "photos", timed: true, want: forbidden,
			why: "What is revoked is shut with the next request, and after a restart, too.",
		},
		{
			title: "Alice leaves the house: her phone changes from WLAN to the mobile network",
			who:   "Alice's phone, Home Assistant app", from: aliceMobile, shows: alice, host: "ha", want: allowed,
			log: []string{
				"msg=learned ip=" + aliceMobile + " identity=cn:" + alice,
				"msg=evicted ip=" + aliceHome + " identity=cn:" + alice,
			},
			why: "The new address is learned, and it replaces the old one (maxIPsPerIdentity: 1).",
		},
		{
			title: "The guest is still on Alice's WLAN",
			who:   "a guest's laptop behind Alice's router", from: aliceHome, host: "photos", want: forbidden,
			why: "The old address is off the allowlist.",
		},
		{
			title:  "The configuration is changed (ttl: 2s), and Traefik reloads it",
			before: func(_ context.Context, w *walkthrough) error { return w.home.reload("2s") },
			who:    "Alice's phone, Photos app", from: aliceMobile, host: "photos", want: allowed,
			why: "Traefik has made every middleware anew, and what was learned is still there; it keeps the 24 hours it " +
				"was learned with.",
		},
		{
			title: "Alice opens Home Assistant in a café",
			who:   "Alice's phone, Home Assistant app", from: aliceCafe, shows: alice, host: "ha", want: allowed,
			log: []string{"msg=learned ip=" + aliceCafe + " identity=cn:" + alice},
			why: "Learned as before, but now for 2 seconds.",
		},
		{
			title:  "Two seconds later, somebody else in the café",
			before: func(ctx context.Context, w *walkthrough) error { return w.waitForExpiry(ctx) },
			who:    "a stranger in the café", from: aliceCafe, host: "photos", want: forbidden,
			why: "The time is up, and nobody has shown a certificate from there since. Only that starts the time anew; " +
				"being let in doesn't.",
		},
		{
			title: "Is anything open? A stranger asks each hidden host: Photos",
			who:   "a stranger", from: strangers, host: "photos", want: forbidden,
			why: "A router without its enforcer lets in everybody, and nothing complains. So ask your own hosts like this " +
				"after every change: from outside, without a certificate (docs/checking.md).",
		},
		{
			title: "And Files",
			who:   "a stranger", from: strangers, host: "files", want: forbidden,
			why: "Had it been 200, the service would have answered: its router would have no enforcer.",
		},
	}
}
