# Tessera's everyday commands; `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
IMAGE ?= tessera
# Profile of cargo-nextest, see .config/nextest.toml.
NEXTEST_PROFILE ?= default
# Arguments for `make run`: make run ARGS="--listen 0.0.0.0:8080"
ARGS ?=
# How often `make soak` runs its tests.
RUNS ?= 3
# How long `make soak` draws offers, packets and messages for each of its properties.
FUZZ_SECONDS ?= 600
# How long `make soak` has fuzzers and honest people side by side on one server.
SOAK_SECONDS ?= 3600

.PHONY: help run test test-rust test-client lint fmt-check lint-client clippy doc deny bench doctor
.PHONY: soak types image packages-run packages-test packages-lint packages-system

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \2/p' $(MAKEFILE_LIST) | \
		awk '{ printf "  %s %-10s", $$1, $$2; $$1 = $$2 = ""; print }'

run: packages-run ## install what is missing, build, and start the demo
	$(CARGO) run --release --locked -- demo $(ARGS)

test: packages-test test-rust test-client ## install what tests need and run every test

# Doc tests first: they are few, and the summary of the others should be the last thing seen.
test-rust:
	$(CARGO) test --locked --doc
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		set -x; $(CARGO) nextest run --locked --profile $(NEXTEST_PROFILE); \
	else \
		echo 'no cargo-nextest here: cargo test, one test at a time, for media tests share the cores'; \
		set -x; $(CARGO) test --locked --lib --bins --tests -- --test-threads=1; \
	fi

# Each run tells how long each test took; what they print of freezes and rates goes to the log.
soak: packages-test ## judge what the real clock judges, RUNS times, and fuzz (a quiet machine, please)
	TESSERA_FUZZ_SECONDS=$(FUZZ_SECONDS) $(CARGO) test --locked --lib -- fuzz_
	TESSERA_SOAK_SECONDS=$(SOAK_SECONDS) TESSERA_QUIET_MACHINE=1 $(CARGO) nextest run --locked \
		--profile siege --success-output final
	@for run in $$(seq $(RUNS)); do \
		echo "run $$run of $(RUNS)"; \
		TESSERA_QUIET_MACHINE=1 $(CARGO) nextest run --locked --profile soak --success-output final; \
	done

# The page has no build step, so Node is not needed to run Tessera: only these tests want it.
test-client:
	node --test tests/client/*.test.mjs

lint: packages-run fmt-check lint-client clippy doc deny ## formatting, types, clippy, rustdoc, licences, advisories

fmt-check:
	$(CARGO) fmt --check

# The page's scripts. What is installed from npm checks them and is no part of them.
client_tools := tests/client/node_modules
client_scripts := assets/js 'tests/client/*.mjs' 'tests/interop/node/*.mjs' tests/common/browser/probe.js
client_scripts += tests/client/types/browser.d.ts tests/client/types/elements.d.ts

lint-client: $(client_tools)/.package-lock.json
	$(client_tools)/.bin/prettier --check $(client_scripts)
	$(client_tools)/.bin/tsc --project tests/client

# Also when the lock file has changed since.
$(client_tools)/.package-lock.json: tests/client/package-lock.json | packages-lint
	npm ci --prefix tests/client --no-audit --no-fund
	touch $@

types: packages-run ## write the protocol's types for the page's type checker
	TESSERA_WRITE_TYPES=1 $(CARGO) test --locked --lib protocol_types

clippy:
	$(CARGO) clippy --locked --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items

deny:
	scripts/check-dependencies

bench: packages-run ## print the figures of docs/PERFORMANCE.md (a quiet machine, please)
	$(CARGO) bench --locked

doctor: packages-run ## list the GStreamer elements and what is missing
	$(CARGO) run --locked --quiet -- doctor

image: ## build the container image
	docker build --tag $(IMAGE) .

packages-run:
	@scripts/check-rust
	@scripts/install-packages runtime build

packages-lint:
	@scripts/install-packages lint

# WebRTC stacks of others, see tests/interop.
interop_node := tests/interop/node/node_modules
interop_python := target/interop

packages-test: packages-system $(interop_node)/.package-lock.json $(interop_python)/installed

packages-system:
	@scripts/check-rust
	@scripts/install-packages runtime build test

# Each again when its list has changed since.
$(interop_node)/.package-lock.json: tests/interop/node/package-lock.json | packages-system
	npm ci --prefix tests/interop/node --no-audit --no-fund
	touch $@

# Debian's Python, whose version the packages are known to have wheels for.
$(interop_python)/installed: tests/interop/aiortc/requirements.txt | packages-system
	/usr/bin/python3 -m venv --clear $(interop_python)
	$(interop_python)/bin/pip install --quiet --disable-pip-version-check --only-binary :all: \
		--require-hashes --requirement $<
	touch $@
