// Command build makes the real Traefik, or brings it up to date, and shows how far it is.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

func main() {
	if _, err := lab.Build(context.Background(), os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
