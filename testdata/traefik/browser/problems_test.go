package browser

import (
	"slices"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
)

func TestProblems(t *testing.T) {
	b := serve(t).visit(t, "phone")
	seen := 0
	for _, row := range []struct {
		path string
		want []string // how the problems begin; Chromium tells some of them twice
	}{
		{"/", nil},
		{"/clean", nil},
		{"/forbidden", nil}, // its status is Open's to return
		{"/console", []string{"console assert: odd", "console error: no 5 Object", "console warning: careful"}},
		{"/exception", []string{"exception: Uncaught ReferenceError: nothing is not defined"}},
		{"/rejection", []string{"exception: Uncaught (in promise) Error: lost"}},
		{"/inline", []string{
			`issue ContentSecurityPolicyIssue: {"contentSecurityPolicyIssueDetails":{"violatedDirective":"script-src-elem"`,
			"security error: Executing inline script violates the following Content Security Policy directive 'default-src 'none''",
		}},
		{"/reported", []string{
			`issue ContentSecurityPolicyIssue: {"contentSecurityPolicyIssueDetails":{"violatedDirective":"script-src-elem","isReportOnly":true`,
		}},
		{"/missing", []string{
			"request: https://elsewhere.test/x.png: net::ERR_NAME_NOT_RESOLVED",
			"request: https://home.example/forbidden: status 403",
		}},
		{"/unlabeled", []string{`issue GenericIssue: {"genericIssueDetails":{"errorType":"FormLabelForMatchesNonExistingIdError"`}},
	} {
		check.Must(b.Open("https://home.example" + row.path))(t)
		problems := b.Problems()[seen:]
		seen += len(problems)
		slices.Sort(problems)
		problems = slices.Compact(problems)
		if !slices.EqualFunc(problems, row.want, strings.HasPrefix) {
			t.Errorf("%s: got %q, want %q", row.path, problems, row.want)
		}
	}
}
