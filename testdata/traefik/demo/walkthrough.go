package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// patience is how long a log line may take from Traefik to here, and an expiry to come.
const patience = 5 * time.Second

// A walkthrough makes the visits of a story in a household, and tells what comes of them.
type walkthrough struct {
	home     *household
	console  *console
	answered time.Time // when the last answer had come
	learned  string    // the line in the last step with any that something was learned
}

// An answer is what came back.
type answer struct {
	result string // the status; without a status, what went wrong
	line   string // the body's first line
}

func (a answer) String() string {
	if a.line == "" {
		return a.result
	}
	return fmt.Sprintf("%s, %q", a.result, a.line)
}

// run makes all visits. It fails if one came out other than it should, and at once if one can't be made, because
// Traefik has ended or ctx has.
func (w *walkthrough) run(ctx context.Context, visits []visit) error {
	good := 0
	for i, v := range visits {
		w.console.title(fmt.Sprintf("%d. %s", i+1, v.title))
		well, err := w.visit(ctx, v)
		if err != nil {
			// Ctrl-C reaches Traefik as well as the demo, and perhaps Traefik first.
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
		if ctx.Err() != nil {
			return errInterrupted
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		if well {
			good++
		}
	}
	w.console.verbatim("")
	summary := fmt.Sprintf("%d of %d steps came out as they should", good, len(visits))
	w.console.summary(good == len(visits), summary)
	if good < len(visits) {
		return errors.New("only " + summary)
	}
	return nil
}

// visit makes one visit, and returns whether all came out as it should. It fails if nothing came out.
func (w *walkthrough) visit(ctx context.Context, v visit) (bool, error) {
	if v.before != nil {
		if err := v.before(ctx, w); err != nil {
			return false, err
		}
	}
	w.console.field("who", fmt.Sprintf("%s, at %s, %s", v.who, v.from, showing(v)))
	asks := v.url()
	if v.method != "" {
		asks = v.method + " " + asks
	}
	w.console.field("asks", asks)
	if v.forged != "" {
		w.console.field("sends", "X-Forwarded-For: "+v.forged)
	}
	before := w.answered
	got, err := w.ask(v)
	if err != nil {
		return false, err
	}
	w.console.verdict(got.result == v.want, "gets", got.String())
	if got.result != v.want {
		w.console.verdict(false, "WRONG", "this should have been: "+v.want)
		return false, nil
	}
	if v.timed {
		w.console.field("after", fmt.Sprintf("%.1f ms, from the last answer to this one, with a new TLS connection", w.answered.Sub(before).Seconds()*1000))
	}
	if len(v.log) > 0 {
		w.learned = ""
	}
	for _, words := range v.log {
		line, err := w.logged(ctx, words)
		if err != nil {
			w.console.verdict(false, "WRONG", err.Error())
			return false, nil
		}
		w.console.verdict(true, "log", line)
	}
	w.console.field("why", v.why)
	return true, nil
}

func (v visit) url() string { return "https://" + v.host + "." + domain + "/" + v.path }

func showing(v visit) string {
	switch {
	case v.shows == counterfeit:
		return fmt.Sprintf("with a certificate %q of another CA", alice)
	case v.shows != "":
		return fmt.Sprintf("with the certificate %q", v.shows)
	}
	return "without a certificate"
}

// ask sends v's request over a connection of its own.
func (w *walkthrough) ask(v visit) (answer, error) {
	request, err := http.NewRequest(cmp.Or(v.method, http.MethodGet), v.url(), nil)
	if err != nil {
		return answer{}, err
	}
	if v.forged != "" {
		request.Header.Set("X-Forwarded-For", v.forged)
	}
	config := &tls.Config{RootCAs: w.home.ca.Pool()}
	if v.shows != "" {
		certificate := w.home.certificates[v.shows]
		// Not Certificates: Go's client leaves those out that the server is going to refuse.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	}
	client := lab.NewClient(lab.ClientOptions{From: v.from, Target: w.home.traefik.Addr(announced), TLS: config})
	defer client.Close()
	response, err := client.Do(request)
	w.answered = time.Now()
	// "remote error" is what the other side said in a TLS alert.
	if refusal := (*net.OpError)(nil); errors.As(err, &refusal) && refusal.Op == "remote error" {
		return answer{result: "refused in the TLS handshake: " + strings.TrimPrefix(refusal.Err.Error(), "tls: ")}, nil
	}
	if err != nil {
		return answer{}, err
	}
	return answer{fmt.Sprintf("%d %s", response.Status, http.StatusText(response.Status)), gist(response.Body)}, nil
}

var (
	viewer = regexp.MustCompile(`<p class="you.*</p>`)
	markup = regexp.MustCompile(`<[^>]*>`)
)

// gist is what to print of a body: of the status page what it tells its viewer, of JSON all, else the first line.
func gist(body string) string {
	if found := viewer.FindString(body); found != "" {
		return html.UnescapeString(markup.ReplaceAllString(found, ""))
	}
	if strings.HasPrefix(body, "{") {
		return strings.Join(strings.Fields(body), " ")
	}
	line, _, _ := strings.Cut(body, "\n")
	return strings.TrimSpace(line)
}

// logged returns the line in Traefik's log that has all of the words; it fails if none comes.
func (w *walkthrough) logged(ctx context.Context, words string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	line, err := w.home.traefik.Log().Wait(ctx, strings.Fields(words)...)
	if strings.Contains(line, "msg=learned") {
		w.learned = line
	}
	return line, err
}

var expires = regexp.MustCompile(` expires=(\S+)`)

// waitForExpiry waits until what was learned last has expired: the plugin logs when that is, cut to milliseconds.
// Unless that is soon, a step has gone wrong before, and there is nothing to wait for.
func (w *walkthrough) waitForExpiry(ctx context.Context) error {
	match := expires.FindStringSubmatch(w.learned)
	if match == nil {
		return nil
	}
	deadline, err := time.Parse(time.RFC3339, match[1])
	if err != nil {
		return err
	}
	left := time.Until(deadline.Add(time.Millisecond))
	if left > patience {
		return nil
	}
	select {
	case <-time.After(left):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
