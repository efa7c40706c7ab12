module github.com/mtlsallowlist/mtlsallowlist/testdata/lego

go 1.26.0

// The version that Traefik's go.mod names. testdata/traefik/go.mod has it, too, in the name of a folder.
require github.com/go-acme/lego/v5 v5.4.1
