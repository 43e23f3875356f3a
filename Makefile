# Everything there is to do with fanfare. `make` or `make help` lists it.

CARGO ?= cargo
LIB_DIR := build/lib
BENCH_DIR := build/bench
GUNGRAUN_VERSION := $(shell sed -n '/^name = "gungraun-runner"/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
GUNGRAUN_DIR := build/tools/gungraun-$(GUNGRAUN_VERSION)
GUNGRAUN_RUNNER := $(GUNGRAUN_DIR)/bin/gungraun-runner
RELEASE := target/release

.DEFAULT_GOAL := help
.PHONY: help demo test lint capi header bench bench-c bench-micro bench-instructions bench-peers bench-record bench-render fmt clean setup

help: ## list what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: ## build, serve this machine's readings, print the URL; Ctrl-C ends it
	$(CARGO) build --release --locked
	$(RELEASE)/fanfare demo $(DEMO_ARGS)

test: setup ## install what the tests need, run all tests of all languages, end with a summary
	tests/run $(SUITES)

lint: setup ## all linters of all languages
	tests/lint

capi: ## build the C library into build/lib
	$(CARGO) rustc --release --locked --lib --no-default-features --features capi \
		--crate-type cdylib -- -C link-arg=-Wl,-soname,libfanfare.so.0
	$(CARGO) rustc --release --locked --lib --no-default-features --features capi \
		--crate-type staticlib
	mkdir -p $(LIB_DIR)
	cp $(RELEASE)/libfanfare.so $(LIB_DIR)/libfanfare.so.0
	ln -sf libfanfare.so.0 $(LIB_DIR)/libfanfare.so
	cp $(RELEASE)/libfanfare.a $(LIB_DIR)/

bench-c: capi ## build the C program that `fanfare bench publish-call --c-program` measures
	mkdir -p $(BENCH_DIR)
	$(CC) -std=c99 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Werror -O2 -Iinclude \
		benches/c/publish.c -o $(BENCH_DIR)/publish \
		-L$(LIB_DIR) -Wl,-rpath,$(abspath $(LIB_DIR)) -lfanfare

header: ## make include/fanfare.h anew from src/ffi
	FANFARE_HEADER_WRITE=1 $(CARGO) test --locked --features capi --test header

bench: ## a few minutes of benchmark: the engine beside bare loops; the results in build/bench
	$(CARGO) build --release --locked
	mkdir -p build/bench
	$(RELEASE)/fanfare bench saturation --repeat 5 --json build/bench/saturation.json
	$(RELEASE)/fanfare bench paced --repeat 3 --json build/bench/paced.json
	$(RELEASE)/fanfare bench unicast --subjects fanfare
	$(RELEASE)/fanfare bench connect --repeat 5 --json build/bench/connect.json
	$(RELEASE)/fanfare bench idle-memory --subjects fanfare --json build/bench/idle-memory.json
	$(RELEASE)/fanfare bench sinks
	$(RELEASE)/fanfare bench topics-sinks
	$(RELEASE)/fanfare bench publish-call

bench-micro: ## a minute or two of micro-benchmarks: the time of single steps of an event's way
	$(CARGO) bench --locked --bench parts --bench publish

bench-instructions: $(GUNGRAUN_RUNNER) ## the same steps in instructions; fails when one takes more than is recorded
	GUNGRAUN_RUNNER=$(abspath $(GUNGRAUN_RUNNER)) python3 benches/instructions.py $(INSTRUCTIONS_ARGS)

# The runner has to be of the library's version, and is put into a folder of that name.
$(GUNGRAUN_RUNNER):
	$(CARGO) install --locked gungraun-runner --version $(GUNGRAUN_VERSION) --root $(GUNGRAUN_DIR)

bench-peers: ## install the servers that the benchmark compares with, into build/peers
	benches/peers/install

bench-record: ## keep the results in build/bench as a dated record, and render it
	benches/record/render --take build/bench

bench-render: ## make the README's tables and docs/benchmark.svg of the newest record
	benches/record/render

fmt: ## format the code of all languages
	$(CARGO) fmt
	$(CARGO) fmt --manifest-path benches/peers/axum/Cargo.toml
	gofmt -w bindings/go benches/peers/go-sse

setup: ## install what the tests need
	tests/setup

clean: ## remove everything that was built
	rm -rf target build .venv tests/browser/node_modules tests/clients/node_modules \
		bindings/node/node_modules bindings/node/build
