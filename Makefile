MODULE   := github.com/mtlsallowlist/mtlsallowlist
TRAEFIK  := testdata/traefik
GOPATH_  := .cache/gopath
FUZZTIME ?= 1m
SOAKTIME ?= 10m
MUTATE   ?=
PACKAGES ?= ./...
RUN      ?=

# Without cgo, the tests in the nested module share their compiled packages with the real Traefik.
nested   := cd $(TRAEFIK) && CGO_ENABLED=0 go
lint     := cd testdata/lint && CGO_ENABLED=0 go

.PHONY: help demo test compiled interpreted concurrent traefik lego step end-to-end lint fuzz soak mutate bench pictures announcement packages progress need-go
# In this order, whatever MAKEFLAGS say: nothing is built before the packages are there.
.NOTPARALLEL:

help: ## these lines
	@sed -n 's/^\([a-z-]*\):[^#]*## /make \1\t/p' Makefile | expand -t 18

demo: need-go ## the main job in the real Traefik, printed as it happens
	@echo "The demo takes half a minute. The first time it downloads 160 MB of Go modules and builds the real Traefik: about 5 minutes on 2 cores."
	@$(nested) run ./lab/build # first: the demo needs packages of Traefik's
	@$(nested) run ./demo

test: need-go announcement packages compiled interpreted concurrent end-to-end ## all tests. First installs the Debian packages that they need, or says which

announcement:
	@echo "All tests take about 15 minutes on 2 cores. The first time, Traefik and step-ca are built from source: about 15 more."

packages: need-go
	@testdata/packages.sh

compiled: packages progress ## the tests of the plugin, with the race detector
	@echo "== compiled, with the race detector"
	.cache/progress -race $(if $(RUN),-run '$(RUN)') $(PACKAGES)

interpreted: packages progress ## the same, interpreted by Yaegi. PACKAGES=./internal/change RUN=TestOfTwoChangesOneHolds for some
	@echo "== interpreted by Yaegi"
	@mkdir -p $(GOPATH_)/src/$(dir $(MODULE)) && ln -sfn "$(CURDIR)" $(GOPATH_)/src/$(MODULE)
	@yaegi="$$($(nested) tool -n yaegi)" && packages="$$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' $(PACKAGES))" && \
	for package in $$packages; do \
		GOPATH="$(CURDIR)/$(GOPATH_)" "$$yaegi" test -unrestricted $(if $(RUN),-run '$(RUN)') "$$package" >.cache/yaegi.log \
			|| { cat .cache/yaegi.log; echo "FAIL $$package"; exit 1; }; \
		echo "$$package: $$(tail -n 1 .cache/yaegi.log)"; \
	done # the log also has what Traefik would log at DEBUG

concurrent: progress
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

end-to-end: packages progress traefik step ## the tests in the real Traefik. PACKAGES=./e2e RUN=TestBackingOut for some
	@echo "== in the real Traefik" # -count=1, for Go does not see that the interpreted files change
	cd $(TRAEFIK) && CGO_ENABLED=0 ../../.cache/progress -count=1 -timeout 30m $(if $(RUN),-run '$(RUN)') $(PACKAGES)

lint: need-go lego ## formatting, vet, staticcheck, golangci-lint, vendor folder in sync, a test file in each package
	@unformatted="$$(find . \( -path ./vendor -o -path ./.cache \) -prune -o -name '*.go' -exec gofmt -l {} +)" && \
		[ -z "$$unformatted" ] || { echo "gofmt would change: $$unformatted"; exit 1; }
	@untested="$$(go list -f '{{if not (or .TestGoFiles .XTestGoFiles)}}{{.ImportPath}}{{end}}' ./...)" && \
		[ -z "$$untested" ] || { echo "no test file: $$untested"; exit 1; }
	go mod tidy -diff
	go mod vendor -o .cache/vendor && diff -r .cache/vendor vendor
	@echo "The first time, golangci-lint is built from source: about 2 minutes on 2 cores."
	@staticcheck="$$($(nested) tool -n staticcheck)" && golangci="$$($(lint) tool -n golangci-lint)" && but= && \
	for module in . testdata/lego $(TRAEFIK)/stub/ext $(TRAEFIK); do \
		echo "vet, staticcheck, golangci-lint: $$module"; \
		(cd "$$module" && export CGO_ENABLED=0 && go vet ./... && "$$staticcheck" ./... && \
			"$$golangci" run --config "$(CURDIR)/testdata/lint/golangci.yml" $$but ./...) || exit 1; \
		but="--disable gosec"; \
	done # gosec is for the plugin: the other modules are tests and tools

fuzz: need-go ## each fuzz target of each package for FUZZTIME (1m)
	@packages="$$(go list ./...)" && for package in $$packages; do \
		targets="$$(go test -list '^Fuzz' "$$package")" || { echo "$$targets"; exit 1; }; \
		for target in $$(echo "$$targets" | grep '^Fuzz'); do \
			echo "== $$package: $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" || exit 1; \
		done; \
	done

soak: packages traefik ## two replicas and a Redis that fails again and again, under load for SOAKTIME (10m)
	$(nested) test -count=1 -v -timeout 0 -run TestSoak ./replicas -soak $(SOAKTIME)

mutate: need-go ## change the plugin in one place at a time, and see that its tests notice. MUTATE="-files enforcer.go"; -help tells more
	@$(nested) run ./mutate $(MUTATE)

bench: traefik ## what it costs, in ratios (12 minutes); writes the table in docs/speed.md
	@$(nested) run ./bench -into ../../docs/speed.md

pictures: packages traefik ## those of the status page, in .cache/pictures; one of them is the readme's
	@mkdir -p .cache/pictures
	$(nested) test -count=1 -run TestTheStatusPageInChromium ./e2e -pictures "$(CURDIR)/.cache/pictures"
	cp .cache/pictures/status-1280-light.png docs/pictures/status.png

need-go:
	@command -v go >/dev/null || { echo "Go is missing: install Go 1.26 or newer from https://go.dev/dl/ and try again."; exit 1; }
