# The menu of this repository: `make` lists it. Every target may be repeated, and
# sets up what it needs.
#
# Everything is compiled without cgo and without -trimpath: lumacore, its tests and
# the programs of the lab share what they have in common in Go's build cache, and
# those flags are part of its keys.
export CGO_ENABLED := 0

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Modules with Go code of ours besides this one and bench/. lab/, lab/crds/ and
# tools/ only pin versions.
BEACON := examples/beacon

# Packages that start goroutines of their own. The race detector shares nothing with
# other builds, so each adds to a first run.
RACE_PACKAGES := ./internal/lab/supervisor/... ./internal/lab/gitserver/... ./internal/report/... ./internal/render/...

# One group of benchmarks instead of all: make bench ONLY=check
ONLY ?=

# How long each fuzz target runs.
FUZZTIME ?= 30s

# Time limit and further arguments of the end-to-end tests:
# make test-e2e E2E="-run TestPush"
E2E_TIMEOUT ?= 40m
E2E ?=

say = @printf '\n== %s\n'

##@ Use

.PHONY: up
up: build ## Start the lab with the blueprint on it; the first time compiles its programs (10 to 20 minutes on 2 cores)
	bin/lumacore lab up

.PHONY: build
build: ## Build bin/lumacore
	@hack/packages.sh go git
	go build -buildvcs=auto -o bin/lumacore ./cmd/lumacore

##@ Check

.PHONY: test
test: build test-unit test-race test-macos lint-files test-e2e ## Run all tests: unit, race detector, configuration files, end to end on labs of their own
	$(say) 'make test: done; what was left out is marked "not run" above'

.PHONY: check
check: build lint-go lint-files test-unit ## The quick gate before a commit: build, lint, unit tests

.PHONY: test-unit
test-unit: ## Unit tests of both modules; they also hold generated files, links and schemas against the code
	$(say) 'unit tests'
	@hack/packages.sh go git
	go test ./...
	go -C $(BEACON) test ./...

.PHONY: test-race
test-race: ## Unit tests under the race detector, where goroutines are; needs gcc
	$(say) 'race detector'
	@if hack/packages.sh --optional gcc; then set -x; \
	  CGO_ENABLED=1 go test -race $(RACE_PACKAGES) && \
	  CGO_ENABLED=1 go -C $(BEACON) test -race ./...; \
	elif [ -n "$$CI" ]; then exit 1; fi

.PHONY: fuzz
fuzz: ## Fuzz every parser for 30 seconds each (make fuzz FUZZTIME=5m)
	hack/fuzz.sh $(FUZZTIME)

.PHONY: test-macos
test-macos: ## Compile for macOS; what comes out is not run
	$(say) 'compile for macOS (not run: there is no Mac here)'
	GOOS=darwin go build -o /dev/null ./cmd/lumacore

.PHONY: test-e2e
test-e2e: build ## End-to-end tests, which start labs in temporary folders; takes E2E="-run NAME"
	$(say) 'end-to-end tests (details: build/e2e.log)'
	bin/lumacore lab build
	@hack/e2e.sh -timeout=$(E2E_TIMEOUT) $(E2E)

.PHONY: lint
lint: lint-go lint-files lint-release ## All static checks: Go code, modules, YAML, shell scripts, release configuration

.PHONY: lint-go
lint-go: bin/tools/staticcheck
	$(say) 'Go code and modules'
	@hack/lint-go.sh

.PHONY: lint-files
lint-files: bin/tools/staticcheck
	$(say) 'YAML and shell scripts'
	@hack/lint-files.sh

.PHONY: lint-release
lint-release: bin/tools/goreleaser
	$(say) 'release configuration'
	bin/tools/goreleaser check

##@ Measure

.PHONY: bench
bench: build ## Measure everything into build/bench.json; one group: make bench ONLY=check
	go -C bench build -o ../build/bench/ .
	build/bench/bench --only "$(ONLY)"

##@ Make

.PHONY: generate
generate: ## Make the generated files anew: sources of the lab's programs, reference of the command line
	go generate ./...

.PHONY: docs
docs: generate ## Make the reference of the command line anew and check every link of the documentation
	go test -count=1 ./docs/

.PHONY: fmt
fmt: bin/tools/staticcheck ## Format Go code and shell scripts
	bin/tools/gofumpt -w .
	hack/lint-files.sh --write

.PHONY: tools
tools: bin/tools/staticcheck bin/tools/goreleaser ## Build the pinned development tools into bin/tools

# One go build makes all tools of a module; the stamp is one of them.
bin/tools/staticcheck: tools/go.mod tools/go.sum
	@hack/packages.sh go
	go -C tools build -o ../bin/tools/ tool
	@touch $@

bin/tools/goreleaser: tools/release/go.mod tools/release/go.sum
	@hack/packages.sh go
	go -C tools/release build -o ../../bin/tools/ tool
	@touch $@

.PHONY: clean
clean: ## Delete bin/, build/ and dist/; a lab and compiled programs stay
	rm -rf bin build dist
	@echo 'A running lab and its data stay (lumacore lab down --purge), and so do compiled programs in the cache of your user.'

##@ Help

.PHONY: help
help: ## Show this
	@awk 'BEGIN { FS = ":.*## "; print "Usage: make TARGET" } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
