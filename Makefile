# make demo   the main job in the real Traefik, printed as it happens
# make test   all tests: compiled with -race, interpreted by Yaegi, end to end in the real Traefik. First it installs the
#             Debian packages that they need, as root or by sudo without a password, or says what to install
# make lint   formatting, vet, staticcheck, vendor folder in sync
# make fuzz   each fuzz target for FUZZTIME (1m)
# make soak   two replicas and a Redis that fails again and again, under load for SOAKTIME (10m)
# make pictures  those of the status page, in .cache/pictures; one of them is the readme's
# make mutate  change the plugin in one place at a time, and see that its tests notice (an hour the first time; then only
#             what may have changed). MUTATE="-files enforcer.go" for some of it; -help tells more
# make bench  what it costs, in ratios (12 minutes); its table in the readme is made by it, too

MODULE   := github.com/mtlsallowlist/mtlsallowlist
TRAEFIK  := testdata/traefik
GOPATH_  := .cache/gopath
FUZZTIME ?= 1m
SOAKTIME ?= 10m
MUTATE   ?=

# Without cgo, the tests in the nested module share their compiled packages with the real Traefik.
nested   := cd $(TRAEFIK) && CGO_ENABLED=0 go

.PHONY: demo test compiled interpreted traefik lego step end-to-end lint fuzz soak mutate bench pictures announcement packages progress need-go
# In this order, whatever MAKEFLAGS say: nothing is built before the packages are there.
.NOTPARALLEL:

demo: need-go
	@echo "The demo takes half a minute. The first time it downloads 160 MB of Go modules and builds the real Traefik: about 5 minutes on 2 cores."
	@$(nested) run ./demo

test: need-go announcement packages compiled interpreted end-to-end

announcement:
	@echo "All tests take about 15 minutes on 2 cores. The first time, Traefik and step-ca are built from source: about 15 more."

packages: need-go
	@testdata/packages.sh

compiled: packages progress
	@echo "== compiled, with the race detector"
	.cache/progress -race ./...

interpreted: packages progress
	@echo "== interpreted by Yaegi"
	@mkdir -p $(GOPATH_)/src/$(dir $(MODULE)) && ln -sfn "$(CURDIR)" $(GOPATH_)/src/$(MODULE)
	yaegi="$$($(nested) tool -n yaegi)" && GOPATH="$(CURDIR)/$(GOPATH_)" "$$yaegi" test -unrestricted $(MODULE) >.cache/yaegi.log \
		|| { cat .cache/yaegi.log; exit 1; } # it prints what Traefik would log at DEBUG, too
	@tail -n 1 .cache/yaegi.log
	@echo "== many at once in Yaegi, with the race detector (the first time it compiles Yaegi: about 2 minutes)"
	cd $(TRAEFIK) && CGO_ENABLED=1 ../../.cache/progress -count=1 -race ./interpreted

progress: need-go
	@$(nested) build -o ../../.cache/progress ./progress

traefik: need-go
	@$(nested) run ./lab/build

# The folder whose absence go names when it needs Traefik's packages and nothing has been built yet.
lego: need-go
	@cd testdata/lego && CGO_ENABLED=0 go run .

step: need-go
	@$(nested) run ./lab/build step

end-to-end: packages progress traefik step
	@echo "== in the real Traefik" # -count=1, for Go does not see that the interpreted files change
	cd $(TRAEFIK) && CGO_ENABLED=0 ../../.cache/progress -count=1 -timeout 30m ./...

lint: need-go lego
	@unformatted="$$(gofmt -l *.go testdata)"; [ -z "$$unformatted" ] || { echo "gofmt would change: $$unformatted"; exit 1; }
	go mod tidy -diff
	go mod vendor -o .cache/vendor && diff -r .cache/vendor vendor
	go vet ./...
	cd testdata/lego && go vet .
	$(nested) vet ./...
	staticcheck="$$($(nested) tool -n staticcheck)" && "$$staticcheck" ./... && (cd testdata/lego && "$$staticcheck" .) && cd $(TRAEFIK) && CGO_ENABLED=0 "$$staticcheck" ./...

fuzz: need-go
	@for target in $$(go test -list '^Fuzz' . | grep '^Fuzz'); do \
		echo "== $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) . || exit 1; \
	done

soak: packages traefik
	$(nested) test -count=1 -v -timeout 0 -run TestSoak ./replicas -soak $(SOAKTIME)

mutate: need-go
	@$(nested) run ./mutate $(MUTATE)

bench: traefik
	@$(nested) run ./bench -readme ../../readme.md

pictures: packages traefik
	@mkdir -p .cache/pictures
	$(nested) test -count=1 -run TestTheStatusPageInChromium ./e2e -pictures "$(CURDIR)/.cache/pictures"
	cp .cache/pictures/status-1280-light.png .assets/status.png

need-go:
	@command -v go >/dev/null || { echo "Go is missing: install Go 1.26 or newer from https://go.dev/dl/ and try again."; exit 1; }
