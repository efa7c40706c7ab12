package browser

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
)

// Problems returns everything that went wrong in the pages since Start, in order and a line each: errors and warnings
// on the console, exceptions that nothing caught, violations of the Content-Security-Policy (also where it only
// reports), what else Chromium's audits find, and requests that failed or were answered with 400 and more.
//
// The answer to the page itself is not among the latter, for Open and Follow return it; and nothing that names
// /favicon.ico is, which Chromium asks for by itself, at its leisure.
func (b *Browser) Problems() []string {
	// What the page has done by now was reported before the answer to a question asked now.
	if _, err := Evaluate[bool](b, "true"); err != nil {
		b.problems.add("browser: %v", err)
	}
	b.problems.mu.Lock()
	defer b.problems.mu.Unlock()
	return slices.Clone(b.problems.lines)
}

// problems collects from the events of a tab, which come one at a time.
type problems struct {
	page cdp.FrameID                  // the frame of the page itself
	urls map[network.RequestID]string // of all requests

	mu    sync.Mutex
	lines []string
}

func newProblems(tab target.ID) *problems {
	return &problems{page: cdp.FrameID(tab), urls: map[network.RequestID]string{}}
}

func (p *problems) add(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if strings.Contains(line, "/favicon.ico") {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
}

// see takes an event and adds what is a problem.
func (p *problems) see(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		switch e.Type {
		case runtime.ConsoleAPICalledTypeError, runtime.ConsoleAPICalledTypeWarning, runtime.ConsoleAPICalledTypeAssert:
			p.add("console %s: %s", e.Type, text(e.Args))
		}
	case *runtime.EventExceptionThrown:
		thrown := e.ExceptionDetails
		p.add("exception: %s %s (%s:%d)", thrown.Text, text([]*runtime.RemoteObject{thrown.Exception}), thrown.URL, thrown.LineNumber+1)
	case *log.EventEntryAdded:
		switch {
		case e.Entry.NetworkRequestID != "": // it says once more that the request failed
		case e.Entry.Level == log.EntryLevelError, e.Entry.Level == log.EntryLevelWarning:
			p.add("%s %s: %s (%s)", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *audits.EventIssueAdded:
		// Bounce tracking is no fault of a page, but of the way that led there.
		if e.Issue.Code != audits.InspectorIssueCodeBounceTrackingIssue {
			details, _ := json.Marshal(e.Issue.Details) // it was JSON a moment ago
			p.add("issue %s: %s", e.Issue.Code, details)
		}
	case *inspector.EventTargetCrashed:
		p.add("browser: the page has crashed")
	case *network.EventRequestWillBeSent:
		p.urls[e.RequestID] = e.Request.URL
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 && !(e.Type == network.ResourceTypeDocument && e.FrameID == p.page) {
			p.add("request: %s: status %d", e.Response.URL, e.Response.Status)
		}
	case *network.EventLoadingFailed:
		switch {
		case e.BlockedReason != "":
			p.add("request: %s: blocked: %s", p.urls[e.RequestID], e.BlockedReason)
		case !e.Canceled:
			p.add("request: %s: %s", p.urls[e.RequestID], e.ErrorText)
		}
	}
}

// text returns values as the console shows them, more or less.
func text(values []*runtime.RemoteObject) string {
	var words []string
	for _, value := range values {
		var s string
		switch {
		case value == nil:
		case json.Unmarshal(value.Value, &s) == nil:
			words = append(words, s)
		case value.Description != "":
			words = append(words, value.Description)
		default:
			words = append(words, string(value.Value))
		}
	}
	return strings.Join(words, " ")
}
