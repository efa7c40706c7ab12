module github.com/mtlsallowlist/mtlsallowlist

go 1.22.0
