# Everything there is to do with fanfare. `make` or `make help` lists it.

CARGO ?= cargo
LIB_DIR := build/lib
RELEASE := target/release

.DEFAULT_GOAL := help
.PHONY: help demo test lint capi header bench bench-all fmt clean setup

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

header: ## make include/fanfare.h anew from src/ffi
	FANFARE_HEADER_WRITE=1 $(CARGO) test --locked --features capi --test header

bench: ## a few minutes of benchmark: the engine beside bare loops; BENCH_ARGS goes to each scenario
	$(call bench,paced saturation unicast-under-broadcast connect-storm idle-memory,--repeat 3)

bench-all: ## all scenarios of the benchmark, half an hour; the results in build/bench
	$(call bench,$$($(RELEASE)/fanfare bench list --names))

# Runs scenarios one after another, also when one has failed, and fails then.
define bench
	$(CARGO) build --release --locked
	mkdir -p build/bench
	failed=""; for name in $(1); do \
		$(RELEASE)/fanfare bench run $$name --json build/bench/$$name.json $(2) $(BENCH_ARGS) \
			|| failed="$$failed $$name"; \
	done; [ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }
endef

fmt: ## format the code of all languages
	$(CARGO) fmt
	gofmt -w bindings/go

setup: ## install what the tests need
	tests/setup

clean: ## remove everything that was built
	rm -rf target build .venv tests/browser/node_modules tests/clients/node_modules \
		bindings/node/node_modules bindings/node/build
