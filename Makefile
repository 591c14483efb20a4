# Duckwire. `make` lists the targets. They need Go, gcc, git and make. make test also needs Node.js 20 with npm, and make
# test-all installs everything else.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help

# Tags of every build and test, so that all share one build cache: no loadable extensions in SQLite, and Go's own
# resolver. TAGS_EXTRA=otlp adds traces.
PLAIN   := sqlite_omit_load_extension,netgo,osusergo
comma   := ,
TAGS    := $(PLAIN)$(addprefix $(comma),$(TAGS_EXTRA))
export GOFLAGS := $(strip $(GOFLAGS) -tags=$(TAGS))

# Without a git tag, Go derives the version from the commit.
VERSION := $(shell git describe --tags --dirty 2>/dev/null)
LDFLAGS := -s -w $(if $(VERSION),-X main.version=$(VERSION))

# Linters and the test runner, pinned in tools/go.mod. Go caches their binaries.
TOOL := go tool -modfile=tools/go.mod

# All packages except interop, where the server is a separate process, which -race and coverage do not cover.
PACKAGES = $(shell go list ./... | grep -v /handlers/interop)

# Flags and packages for the build with traces.
TRACED     := -tags=$(PLAIN),otlp
TRACED_PKG := ./middleware/tracing/... ./cmd/duckwire

FUZZTIME ?= 10s
FAULTTIME ?= 5m
BENCHFLAGS ?= --duration 5s --rounds 3
ARGS     ?=
RUN      ?=
PKG      ?=

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build and start the server for development: it prints a line to paste (ARGS="--addr :4001")
	./bin/duckwire serve --dev $(ARGS)

.PHONY: build
build: ## build ./bin/duckwire (TAGS_EXTRA=otlp: with OpenTelemetry traces)
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/duckwire ./cmd/duckwire

.PHONY: test
test: ## run the tests that need Go, gcc and Node.js alone; with RUN=TestName, PKG=./folder or both: those, heavy ones too
ifeq ($(RUN)$(PKG),)
	@$(MAKE) -s packages LOCKS="handlers/interop web/client"
	@.ci/test quick
else
	@.ci/test one '$(RUN)' $(PKG)
endif

.PHONY: test-all
test-all: needs ## run every test: other people's clients and proxies, Chromium, kill loops, faults below SQLite, real Redis, soak
	@TRACED='$(TRACED) $(TRACED_PKG)' .ci/test all

.PHONY: race
race: ## run the quick tests with the race detector
	@.ci/test race

.PHONY: locks
locks: ## run the quick tests of what has locks, and check the order in which they are taken (hub/lock)
	@LOCKORDER=-tags=$(PLAIN),lockorder .ci/test locks

.PHONY: check
check: lint race ## lint, and run the quick tests with the race detector

.PHONY: lint
lint: ## check format and code
	@unformatted=$$($(TOOL) gofumpt -l .); if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go vet $(TRACED) $(TRACED_PKG)
	$(TOOL) staticcheck ./...
	$(TOOL) staticcheck $(TRACED) $(TRACED_PKG)
	@linked=$$(go list -tags=$(PLAIN) -deps ./cmd/duckwire | grep -m 3 opentelemetry || true); if [ -n "$$linked" ]; then echo "linked without the tag otlp:"; echo "$$linked"; exit 1; fi

.PHONY: fmt
fmt: ## format the code
	$(TOOL) gofumpt -w .

.PHONY: bench
bench: build ## measure: Go benchmarks, then servers of our own under load beside a bare loop or a reverse proxy (BENCHFLAGS="--duration 10s --rounds 5")
	go test -run '^$$' -bench . -benchmem $(PACKAGES)
	./bin/duckwire bench fanout $(BENCHFLAGS)
	./bin/duckwire bench fanout --transport ws $(BENCHFLAGS)
	./bin/duckwire bench fanout --max $(BENCHFLAGS)
	./bin/duckwire bench fanout --stalled 1 $(BENCHFLAGS)
	./bin/duckwire bench streams $(BENCHFLAGS)
	./bin/duckwire bench streams --batch 5 $(BENCHFLAGS)
	./bin/duckwire bench idle
	./bin/duckwire bench idle --transport ws --readers 9000
	./bin/duckwire bench reconnect
	./bin/duckwire bench reconnect --transport ws --missed 50
	./bin/duckwire bench completions --tokens 60

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (10s)
	.ci/fuzz $(FUZZTIME)

.PHONY: faults
faults: ## put faults below SQLite for FAULTTIME (5m), then lose power for as long
	FAULTTEST_FOR=$(FAULTTIME) go test -count=1 -timeout 0 -v -run '^(TestFaults|TestPowerLoss)$$' ./storage/sqlite/faulttest | grep -vE '^=== |^ +--- PASS'

ROUNDS ?= 2000
SOAK ?= 600

.PHONY: crash
crash: ## kill the server ROUNDS times (2000) while it works, and look at what is left
	go test -count=1 -timeout 0 -v ./cmd/duckwire/internal/crash -rounds $(ROUNDS)

CONNECTIONS ?= 5000

.PHONY: drain
drain: ## stop the server with SIGTERM under CONNECTIONS (5000) event streams and sockets
	go test -count=1 -timeout 5m -v -run '^TestDrain$$' ./cmd/duckwire/internal/crash -connections $(CONNECTIONS)

.PHONY: soak
soak: build packages ## mixed load for SOAK seconds (600), and what is left of it: goroutines, memory, files; a short form is in make test-all
	cd web/client && npm run --silent build && SOAK=$(SOAK) DUCKWIRE_BIN=$(CURDIR)/bin/duckwire NODE_NO_WARNINGS=1 node --experimental-eventsource --test --test-force-exit --test-reporter=spec test/soak.test.mjs

KILLS ?= 100

.PHONY: nodes
nodes: build needs ## kill one of three nodes behind nginx, or their Redis, KILLS times (100) under clients of each transport
	cd web/client && npm run --silent build && KILLS=$(KILLS) DUCKWIRE_BIN=$(CURDIR)/bin/duckwire NODE_NO_WARNINGS=1 node --experimental-eventsource --test --test-force-exit --test-reporter=spec test/nodes.test.mjs

.PHONY: eval
eval: ## measure the built-in completer
	go run ./hub/provider/local/eval $(ARGS)

.PHONY: cover
cover: ## tell how much of the code the tests reach, and write bin/cover.html
	@mkdir -p bin
	go test -coverpkg=./... -coverprofile=bin/cover.out $(PACKAGES)
	go tool cover -html=bin/cover.out -o bin/cover.html
	go tool cover -func=bin/cover.out | tail -1

# Folders with a package-lock.json.
LOCKS = $(shell git ls-files '*package-lock.json' | xargs -n 1 dirname)

.PHONY: packages
packages: ## install the npm packages that the tests use, where their lock files changed (LOCKS="web/client": of these folders)
	@for dir in $(LOCKS); do \
		cmp -s $$dir/package-lock.json $$dir/node_modules/.installed && continue; \
		echo "npm ci in $$dir"; \
		(cd $$dir && npm ci --ignore-scripts --no-audit --no-fund && cp package-lock.json node_modules/.installed); \
	done

# Programs that the tests run, each with its Debian package. CHROMIUM=... selects another browser.
BROWSER := $(if $(CHROMIUM),,chromium:chromium)
PROXIES := nginx:nginx-light haproxy:haproxy squid:squid c-icap:c-icap privoxy:privoxy lighttpd:lighttpd apache2:apache2-bin caddy:caddy
REDIS   := redis-server:redis-server

.PHONY: needs
needs: ## install what make test-all needs, where it is missing: Debian's packages, which it names first, and npm packages
	@.ci/need $(BROWSER) $(PROXIES) $(REDIS) systemd-analyze:systemd
	@$(MAKE) -s packages

.PHONY: matrix
matrix: needs ## take every way of reading through each proxy, and write the tables of web/docs/proxies.md
	go test -count=1 -run '^TestMatrix$$' ./handlers/interop/proxies -update

.PHONY: capabilities
capabilities: ## ask everything with every capability, and write the tables of handlers/testdata, which people then read
	go test -count=1 -run '^Test(Event)?CapabilityTable$$' ./handlers -update

.PHONY: generate
generate: ## make the committed files that are made from others: every generate.sh there is
	@for script in $$(find . -name node_modules -prune -o -name generate.sh -print); do echo $$script; (cd $$(dirname $$script) && ./generate.sh); done

.PHONY: pictures
pictures: needs ## take the pictures of the README anew
	PICTURES=$(CURDIR)/web/pictures go test -count=1 -run 'TestBrowser/console/pictures' ./handlers/interop

.PHONY: clean
clean: ## remove what was built and installed
	rm -rf bin $$(find . -name node_modules -prune -print)
