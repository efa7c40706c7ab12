package main

import (
	"fmt"
	"io"
)

// report prints the result, and reports whether every survivor is explained and every explanation is needed.
func (r *runner) report(w io.Writer, known explanations, looked func(place) bool) bool {
	count := map[verdict]int{}
	survivors := []*mutant{}
	unexplained := 0
	for _, m := range r.mutants {
		verdict := r.outcomes[m].Verdict
		count[verdict]++
		if verdict != survived {
			continue
		}
		survivors = append(survivors, m)
		why := known.of(m.place)
		if why == "" {
			why = "NOT EXPLAINED"
			unexplained++
		}
		fmt.Fprintf(w, "%s:%d: %s\n    %s\n    %s\n    %s\n", m.file, m.line, m.function, m.code, m.change, why)
	}
	stale := known.stale(survivors, looked)
	for _, place := range stale {
		fmt.Fprintf(w, "%s\n    EXPLAINED, BUT NO SURVIVOR\n", place)
	}
	fmt.Fprintf(w, "%d mutants: %d killed, %d timed out, %d survived (%d not explained); %d more do not compile\n",
		len(r.mutants)-count[unbuilt], count[killed], count[timedOut], count[survived], unexplained, count[unbuilt])
	if len(stale) > 0 {
		fmt.Fprintf(w, "%d explanations without a survivor\n", len(stale))
	}
	return unexplained == 0 && len(stale) == 0
}
