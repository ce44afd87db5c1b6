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

# Modules with Go code of ours besides this one, bench/ and test/configs/. lab/,
# lab/crds/ and tools/ only pin versions.
BEACON := examples/beacon

# Packages that start goroutines of their own. The race detector shares nothing with
# other builds, so each adds to a first run.
RACE_PACKAGES := ./internal/lab/supervisor/... ./internal/lab/gitserver/... ./internal/report/... ./internal/render/... ./internal/evidence/... ./internal/exporter/... ./internal/mirror/...

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
test: build test-unit test-configs test-updates test-site test-hosts test-hooks test-supplychain test-pipelines test-race test-macos lint-files test-e2e ## Run all tests: unit, the blueprint's configuration of other programs, its GitLab pipeline, updates with Renovate, its documentation site, machines on a simulated Proxmox, hooks before a commit, the pipeline of an app, race detector, YAML and scripts, end to end on labs of their own
	$(say) 'make test: done; what was left out is marked "not run" above'

.PHONY: check
check: build lint-go lint-files test-unit ## The quick gate before a commit: build, lint, unit tests

.PHONY: test-unit
test-unit: ## Unit tests of both modules; they also hold generated files, links and schemas against the code
	$(say) 'unit tests'
	@hack/packages.sh go git
	@hack/packages.sh --optional curl ruby ssh-keygen || [ -z "$$CI" ]
	go test ./...
	go -C $(BEACON) test ./...

.PHONY: test-configs
test-configs: ## Alert rules, Alertmanager and Alloy of the blueprint, against those programs' own code
	$(say) 'configuration in the blueprint, with promtool, Alertmanager and Alloy'
	@hack/packages.sh go git
	go -C test/configs test ./...

.PHONY: test-site
test-site: build ## The documentation site of an owner's repository: built by MkDocs, its Markdown, diagrams and links; the first time installs packages of Debian and npm (2 to 4 minutes)
	$(say) 'documentation site, with MkDocs, markdownlint and Mermaid'
	@hack/site.sh

.PHONY: test-hosts
test-hosts: bin/tools/tofu bin/tools/terraform-provider-proxmox ## The machines: OpenTofu and its provider for Proxmox, on a simulated Proxmox; the first time compiles both (5 to 10 minutes on 2 cores)
	$(say) 'hosts/proxmox, with OpenTofu, its provider for Proxmox and a simulated Proxmox'
	@hack/cloud-init-schema.sh
	go test -tags=e2e -run=Proxmox -timeout=20m ./test/hosts

.PHONY: test-updates
test-updates: ## Renovate itself on the blueprint: its validator, and what it finds; the first time installs it with npm (1 to 3 minutes)
	$(say) 'renovate.json5, with Renovate'
	@hack/packages.sh go git npm
	hack/updates.sh

.PHONY: test-hooks
test-hooks: build bin/tools/tofu ## Commits with the hooks of .pre-commit-config.yaml, which pre-commit installs: one mistake for each
	$(say) 'hooks before a commit, with pre-commit'
	@hack/packages.sh go git npm pre-commit
	@export PATH="$$PWD/bin:$$PWD/bin/tools:$$(hack/node.sh):$$PATH" PRE_COMMIT_HOME="$$PWD/build/pre-commit" && \
	  go test -tags=e2e -count=1 -run=Hooks ./test/review

.PHONY: test-supplychain
test-supplychain: bin/tools/cosign bin/tools/kube-linter ## The pipeline of examples/beacon, job by job: image, SBOM, signature, and what each job refuses; the first time compiles ko, Syft, Cosign and OSV-Scanner (10 to 20 minutes on 2 cores)
	$(say) 'the pipeline of examples/beacon, with gitlab-ci-local and a registry of its own'
	@hack/packages.sh go git npm gcc rsync curl
	hack/supplychain.sh

# bin/tools/shfmt comes with staticcheck, syft with cosign.
.PHONY: test-pipelines
test-pipelines: build bin/tools/staticcheck bin/tools/kube-linter bin/tools/cosign bin/tools/tofu bin/tools/terraform-provider-proxmox ## The blueprint's GitLab pipeline, job by job, on a repository made of it; the first time compiles kube-linter, OSV-Scanner and Gitleaks (5 to 10 minutes on 2 cores)
	$(say) 'blueprint/.gitlab-ci.yml, with gitlab-ci-local (details: build/pipelines.log)'
	hack/pipelines.sh

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

.PHONY: pictures
pictures: build bin/tools/freeze ## Draw docs/pictures anew, from what lumacore prints; starts a lab of its own
	hack/pictures.sh

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

bin/tools/cosign: tools/supplychain/go.mod tools/supplychain/go.sum
	@hack/packages.sh go
	go -C tools/supplychain build -o ../../bin/tools/ tool
	@touch $@

bin/tools/kube-linter: tools/pipelines/go.mod tools/pipelines/go.sum
	@hack/packages.sh go
	go -C tools/pipelines build -o ../../bin/tools/ tool
	@touch $@

bin/tools/tofu: tools/tofu/go.mod tools/tofu/go.sum
	@hack/packages.sh go
	go -C tools/tofu build -o ../../bin/tools/ tool
	@touch $@

bin/tools/terraform-provider-proxmox: tools/tofu-proxmox/go.mod tools/tofu-proxmox/go.sum
	@hack/packages.sh go
	go -C tools/tofu-proxmox build -o ../../bin/tools/ tool
	@touch $@

bin/tools/freeze: tools/pictures/go.mod tools/pictures/go.sum
	@hack/packages.sh go
	go -C tools/pictures build -o ../../bin/tools/ tool
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
	  /^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
