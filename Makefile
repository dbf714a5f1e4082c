# Everything a person does with this project. `make help` lists it.

SHELL := /bin/bash
.DEFAULT_GOAL := help

CARGO ?= cargo
PROFILE ?= quick
TARGET := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET)/$(PROFILE)
DATA_DIR ?= .velocity
FUZZ_SECONDS ?= 600
FUZZ_SEED ?= $(shell date +%s)

.PHONY: help dev build test test-unit test-kubernetes test-oidc test-download bench lint fmt docs generate data tools clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

dev: tools build ## build and start everything on this machine (Ctrl-C stops it; the data stays in .velocity)
	@echo 'The CLI is $(BIN)/velocity; put it on your PATH: export PATH="$(abspath $(BIN)):$$PATH"'
	@$(BIN)/velocityd dev --data-dir $(DATA_DIR)

build: tools ## build both binaries
	$(CARGO) build --locked --profile $(PROFILE) -p velocityd -p velocity

test: tools lint-fast ## run every test that needs nothing but this machine
	$(CARGO) test --locked --workspace --all-features --no-fail-fast

test-unit: tools ## run the tests that need no servers
	$(CARGO) test --locked --workspace --lib --bins

test-kubernetes: tools ## run the suites about Kubernetes against a real API server, built once with Go
	@scripts/test-kubernetes.sh

test-oidc: tools ## run the suites about sign-in against a certified OpenID Connect provider, in a real browser
	@scripts/test-oidc.sh

test-download: tools ## fetch the pinned Postgres for real and start it (needs the network)
	$(CARGO) test --locked -p velocity-localpg --features download --test it -- --ignored download

.PHONY: fuzz
fuzz: tools ## feed the parsers of tokens, cookies, headers, keys and scopes for ten minutes (FUZZ_SECONDS, FUZZ_SEED)
	VELOCITY_FUZZ_SECONDS=$(FUZZ_SECONDS) VELOCITY_FUZZ_SEED=$(FUZZ_SEED) \
		$(CARGO) test --locked -p velocity-access --test it -- --nocapture nothing_that_strangers_send

bench: tools ## measure requests against the same SQL through pgbench, and import
	scripts/bench.sh

lint: tools lint-fast ## clippy and rustfmt over everything
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings

.PHONY: lint-fast
lint-fast:
	$(CARGO) fmt --all --check

fmt: ## format the code
	$(CARGO) fmt --all

docs: tools ## build the API documentation of the crates
	$(CARGO) doc --locked --workspace --no-deps

generate: tools ## write the generated files again: CRDs, the table of errors
	$(CARGO) run --locked -q -p velocity-contract --features crd --bin generate-crds
	$(CARGO) run --locked -q -p velocity-contract --bin generate-error-docs

data: ## fetch the large tables of examples/nycflights
	scripts/nycflights-data.sh

tools: ## check that what the build needs is there
	@scripts/check-tools.sh

clean: ## remove what was built; data folders stay
	$(CARGO) clean
