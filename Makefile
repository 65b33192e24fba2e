# What people and CI type. The README explains the first two.
GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@latest

# SQLite syncs with fdatasync only if it is told that there is one: it does not
# write down when a file was changed, which is another write to the disk.
ifeq ($(shell uname -s),Linux)
SQLITE = -DHAVE_FDATASYNC=1
endif
demo build bench: export CGO_CFLAGS ?= -O2 -g $(SQLITE)

# For the tests SQLite is compiled in a third of the time, and everything once:
# with the race detector, also for what only reads the code.
test lint unit fuzz soak: export CGO_CFLAGS ?= -O1 -g0 $(SQLITE)
unit soak: export GORACE ?= atexit_sleep_ms=0

.PHONY: demo test build test-setup lint unit fuzz bench soak generate govulncheck clean

demo: build ## start the host with the demo plugin and print a URL to sign in
	@scripts/demo

test: test-setup lint unit fuzz ## everything that CI runs

build: ## the host and the demo plugin, in build/
	@scripts/need-compiler
	umask 022 && $(GO) build -o build/datasette-secrets ./cmd/datasette-secrets
	umask 022 && $(GO) build -o build/plugins/datasette-secrets-plugin-demo ./plugins/demo

test-setup: ## what the tests need and the machine lacks
	@scripts/test-setup

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not formatted: $$unformatted"; exit 1; }
	$(GO) vet -race -tags bench ./...
	@mkdir -p build
	GOBIN=$(CURDIR)/build $(GO) install $(STATICCHECK)
	GOFLAGS=-race build/staticcheck -tags bench ./...

unit:
	$(GO) test -race -vet=off -timeout 15m ./...

fuzz: ## every fuzz target for 500 inputs
	@scripts/fuzz

soak: test-setup ## the long runs: campaigns whole (harness.Soak), every fuzz target for two minutes, all tests five times
	SOAK=1 $(GO) test -race -count 1 -timeout 120m ./...
	@FUZZTIME=2m scripts/fuzz
	$(GO) test -race -count 5 -timeout 120m ./...

bench: test-setup ## figures as ratios; rewrites the table in docs/performance.md
	$(GO) test -tags bench -count 1 -v ./tests/bench

generate: test-setup ## the code of the protos; Go's needs protoc and its two Go plugins
	.venv/bin/python sdk/python/generate.py
	$(GO) generate ./internal/pluginpb
	cd sdk/node && npm run generate

govulncheck:
	$(GO) run $(GOVULNCHECK) ./...

clean:
	rm -rf build
