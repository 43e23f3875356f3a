# Everything there is to do with fanfare. `make` or `make help` lists it.

CARGO ?= cargo
LIB_DIR := build/lib
BENCH_DIR := build/bench
GUNGRAUN_VERSION := $(shell sed -n '/^name = "gungraun-runner"/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
GUNGRAUN_DIR := build/tools/gungraun-$(GUNGRAUN_VERSION)
GUNGRAUN_RUNNER := $(GUNGRAUN_DIR)/bin/gungraun-runner
RELEASE := target/release
DIST_DIR := build/dist

.DEFAULT_GOAL := help
.PHONY: help demo test lint fuzz capi dist header bench bench-all bench-c bench-micro bench-instructions bench-peers bench-record bench-render fmt clean setup

help: ## list what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: ## build, serve this machine's readings, print the URL; Ctrl-C ends it
	$(CARGO) build --release --locked --features cli
	$(RELEASE)/fanfare demo $(DEMO_ARGS)

test: setup ## install what the tests need, run all tests of all languages, end with a summary
	tests/run $(SUITES)

lint: setup ## all linters of all languages
	tests/lint

fuzz: ## a minute of coverage-guided fuzzing for each target; FUZZ_SECONDS sets another time
	fuzz/run $(FUZZ_TARGETS)

capi: ## build the C library into build/lib
	$(call c_library,release,$(LIB_DIR))

dist: ## build what is shipped, stripped: the program and the C libraries, into build/dist
	$(CARGO) build --profile dist --locked --features cli
	$(call c_library,dist,$(DIST_DIR))
	cp target/dist/fanfare include/fanfare.h $(DIST_DIR)/

# Builds the C library, shared and static, with a profile, into a folder. Without `tickets` it is two
# thirds as large, and lacks the functions of tokens and tickets.
CAPI_FEATURES ?= capi,tickets
define c_library
	$(CARGO) rustc --profile $(1) --locked --lib --features $(CAPI_FEATURES) \
		--crate-type cdylib -- -C link-arg=-Wl,-soname,libfanfare.so.0
	$(CARGO) rustc --profile $(1) --locked --lib --features $(CAPI_FEATURES) --crate-type staticlib
	mkdir -p $(2)
	cp target/$(1)/libfanfare.so $(2)/libfanfare.so.0
	ln -sf libfanfare.so.0 $(2)/libfanfare.so
	cp target/$(1)/libfanfare.a $(2)/
endef

bench-c: capi ## build the C program that `fanfare bench publish-call --c-program` measures
	mkdir -p $(BENCH_DIR)
	$(CC) -std=c99 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Werror -O2 -Iinclude \
		benches/c/publish.c -o $(BENCH_DIR)/publish \
		-L$(LIB_DIR) -Wl,-rpath,$(abspath $(LIB_DIR)) -lfanfare -lpthread

header: ## make include/fanfare.h anew from src/ffi, and the record of its layout
	FANFARE_HEADER_WRITE=1 $(CARGO) test --locked --features capi,tickets --test header -- current
	FANFARE_HEADER_WRITE=1 $(CARGO) test --locked --features capi,tickets --test layout -- record

bench: ## some minutes of benchmark, the results in build/bench; BENCH_ARGS goes to each scenario
	$(call bench,paced saturation unicast-under-broadcast connect-storm idle-memory,--repeat 3)

bench-all: bench-c ## all scenarios with all peers, some 25 minutes; see bench-peers, bench-record
	$(call bench,$$($(RELEASE)/fanfare-bench list --names),,$(WITH_PEERS))

# The scenarios that peers take part in, each with its floor.
WITH_PEERS := paced=floor-a saturation=floor-b connect-storm=floor-a idle-memory=floor-a

# Runs scenarios one after another, also when one has failed, and fails then. With the peers: those
# that a third argument gives a floor.
define bench
	$(CARGO) build --release --locked -p fanfare-bench
	mkdir -p $(BENCH_DIR)
	failed=""; for name in $(1); do \
		subjects=""; for floor in $(3); do \
			[ "$${floor%=*}" != "$$name" ] || subjects="--subjects $${floor#*=},fanfare,all-peers"; \
		done; \
		$(RELEASE)/fanfare-bench run $$name --json $(BENCH_DIR)/$$name.json $$subjects $(2) $(BENCH_ARGS) \
			|| failed="$$failed $$name"; \
	done; [ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }
endef

bench-micro: ## a minute or two of micro-benchmarks: the time of single steps of an event's way
	$(CARGO) bench --locked -p fanfare-bench --bench parts --bench publish

bench-instructions: $(GUNGRAUN_RUNNER) ## the same steps in instructions; fails when one takes more than is recorded
	GUNGRAUN_RUNNER=$(abspath $(GUNGRAUN_RUNNER)) python3 benches/instructions.py $(INSTRUCTIONS_ARGS)

# The runner has to be of the library's version, and is put into a folder of that name.
$(GUNGRAUN_RUNNER):
	$(CARGO) install --locked gungraun-runner --version $(GUNGRAUN_VERSION) --root $(GUNGRAUN_DIR)

bench-peers: ## install the servers that the benchmark compares with, into build/peers
	benches/peers/install

bench-record: ## keep the results in build/bench as a dated record, and render it
	benches/record/render --take $(BENCH_DIR)

bench-render: ## make the README's table, docs/results.md and docs/benchmark.svg of the newest record
	benches/record/render

fmt: ## format the code of all languages
	$(CARGO) fmt --all
	for crate in benches/peers/axum fuzz tests/loom; do $(CARGO) fmt --manifest-path $$crate/Cargo.toml; done
	gofmt -w bindings/go benches/peers/go-sse

setup: ## install what the tests need
	tests/setup

clean: ## remove everything that was built
	rm -rf target build .venv tests/browser/node_modules tests/clients/node_modules \
		bindings/node/node_modules bindings/node/build
