// Command build makes the real Traefik, or, with the argument step, step-ca and step, or brings them up to date, and
// shows how far it is.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

func main() {
	build := lab.Build
	if len(os.Args) == 2 && os.Args[1] == "step" {
		build = lab.BuildStep
	}
	if _, err := build(context.Background(), os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
