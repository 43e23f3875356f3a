# Everything there is to do with fanfare. `make` or `make help` lists it.

CARGO ?= cargo
LIB_DIR := build/lib
BENCH_DIR := build/bench
GUNGRAUN_VERSION := $(shell sed -n '/^name = "gungraun-runner"/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
GUNGRAUN_DIR := build/tools/gungraun-$(GUNGRAUN_VERSION)
GUNGRAUN_RUNNER := $(GUNGRAUN_DIR)/bin/gungraun-runner
RELEASE := target/release
DIST_DIR := build/dist

# Where `make install` puts the C library; DESTDIR is put in front, for those that make packages.
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
VERSION := $(shell sed -n '/^\[workspace.package\]/,/^$$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
# The SONAME has the ABI's number: programs are linked to an ABI, not to a release.
ABI := $(shell sed -n 's/^\#define FANFARE_ABI_VERSION \([0-9]*\)$$/\1/p' include/fanfare.h)
SONAME := libfanfare.so.$(ABI)
# What a program that is linked with the static library needs besides.
STATIC_LIBS := -lutil -lrt -lpthread -lm -ldl

.DEFAULT_GOAL := help
.PHONY: always help demo demo-cluster test lint fuzz capi dist go-dist install uninstall wheel musl arm64 cross header bench bench-all bench-c bench-micro bench-instructions bench-peers bench-record bench-render fmt clean setup

help: ## list what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: ## build, serve this machine's readings, print the URL; Ctrl-C ends it
	$(CARGO) build --release --locked --features cli
	$(RELEASE)/fanfare demo $(DEMO_ARGS)

demo-cluster: ## the same with a Redis server and three nodes; needs redis-server
	@examples/demo-cluster --check
	$(CARGO) build --release --locked --features cli
	@FANFARE_BIN=$(RELEASE)/fanfare examples/demo-cluster

test: setup ## install what the tests need, run all tests of all languages, end with a summary
	tests/run $(SUITES)

lint: setup ## all linters of all languages
	tests/lint

fuzz: ## a minute of coverage-guided fuzzing for each target; FUZZ_SECONDS sets another time
	fuzz/run $(FUZZ_TARGETS)

capi: ## build the C library into build/lib
	$(call c_library,release,$(LIB_DIR))

dist: $(DIST_DIR)/libfanfare.a ## build what is shipped, stripped: the program and the C libraries, into build/dist
	$(CARGO) build --profile dist --locked --features cli
	cp target/dist/fanfare include/fanfare.h include/fanfare.hpp $(DIST_DIR)/

# Installing builds nothing where nothing has changed, so that root may do it without Cargo.
LIBRARY_SOURCES := Cargo.toml Cargo.lock Makefile include/fanfare.h $(shell find src -name '*.rs')

# The features that the library is built with: written only when they are others than before.
$(DIST_DIR)/.features: always
	@mkdir -p $(@D)
	@[ "$$(cat $@ 2>/dev/null)" = '$(CAPI_FEATURES)' ] || echo '$(CAPI_FEATURES)' > $@

$(DIST_DIR)/libfanfare.a: $(LIBRARY_SOURCES) $(DIST_DIR)/.features
	$(call c_library,dist,$(DIST_DIR))
	strip --strip-unneeded $@

install: $(DIST_DIR)/libfanfare.a ## install the C library: headers, shared, static, fanfare.pc; PREFIX=/usr/local DESTDIR=
	install -d $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 include/fanfare.h include/fanfare.hpp $(DESTDIR)$(INCLUDEDIR)/
	install -m 755 $(DIST_DIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libfanfare.so
	install -m 644 $(DIST_DIR)/libfanfare.a $(DESTDIR)$(LIBDIR)/
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' 'Name: fanfare' \
		'Description: Fan-out of Server-Sent Events to very many clients' 'Version: $(VERSION)' \
		'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -lfanfare' 'Libs.private: $(STATIC_LIBS)' \
		> $(DESTDIR)$(LIBDIR)/pkgconfig/fanfare.pc
	chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/fanfare.pc

uninstall: ## remove what `make install` has installed with the same PREFIX and DESTDIR
	rm -f $(DESTDIR)$(INCLUDEDIR)/fanfare.h $(DESTDIR)$(INCLUDEDIR)/fanfare.hpp \
		$(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/libfanfare.so $(DESTDIR)$(LIBDIR)/libfanfare.a \
		$(DESTDIR)$(LIBDIR)/pkgconfig/fanfare.pc

WHEELS_DIR := build/wheels
WHEEL_PROFILE ?= dist

wheel: ## build the Python package: a wheel for every CPython, and its sources, into build/wheels
	rm -rf $(WHEELS_DIR)
	bindings/python/native/licences bindings/python/LICENSE-CRATES
	cd bindings/python && $(MATURIN) build --locked --strip --profile $(WHEEL_PROFILE) --out $(abspath $(WHEELS_DIR)) --interpreter $(PYTHON)
	@# Without -m it looks for a Cargo.toml here first, and says that there is none.
	cd bindings/python && $(MATURIN) sdist -m native/Cargo.toml --out $(abspath $(WHEELS_DIR))

# maturin compiles the declarations with the cffi of this interpreter.
PYTHON := $(abspath .venv/bin/python)
MATURIN := $(abspath .venv/bin/maturin)

MUSL := x86_64-unknown-linux-musl

musl: ## build the static library for musl, x86-64, stripped, into build/musl
	tests/cross/cargo rustc --target $(MUSL) --profile dist --locked --lib --features $(CAPI_FEATURES) --crate-type staticlib
	mkdir -p build/musl
	$(call sealed_archive,target/cross/$(MUSL)/dist/libfanfare.a,build/musl)
	strip --strip-unneeded build/musl/libfanfare.a

ARM64 := aarch64-unknown-linux-gnu

arm64: ## build the static library for Linux on arm64, stripped, into build/arm64; needs Debian's gcc-aarch64-linux-gnu
	tests/cross/cargo rustc --target $(ARM64) --profile dist --locked --lib --features $(CAPI_FEATURES) --crate-type staticlib
	mkdir -p build/arm64
	$(call sealed_archive,target/cross/$(ARM64)/dist/libfanfare.a,build/arm64,aarch64-linux-gnu-)
	aarch64-linux-gnu-strip --strip-unneeded build/arm64/libfanfare.a

go-dist: $(DIST_DIR)/libfanfare.a musl ## make the modules that Go programs get, with their libraries, into build/go-dist
	tests/cross/setup unwinder
	bindings/go/scripts/dist

cross: setup ## check that the library compiles for other systems and with its oldest Rust; run it with musl
	tests/run cross

# Without `tickets` the library lacks the functions of tokens and tickets, and without `cluster` it makes no hub
# of a cluster; docs/installing.md says how large it is then.
CAPI_FEATURES ?= capi,tickets,cluster

# Builds the C library, shared and static, with a profile, into a folder. Of the shared one Rust's
# linker exports the functions of the ABI alone. The static one becomes a single object in which
# they alone can be seen, so that a program may have other libraries with Rust in them.
define c_library
	$(CARGO) rustc --profile $(1) --locked --lib --features $(CAPI_FEATURES) --crate-type cdylib,staticlib \
		-- -C link-arg=-Wl,-soname,$(SONAME)
	mkdir -p $(2)
	# A program that has the old one loaded keeps it.
	rm -f $(2)/$(SONAME)
	cp target/$(1)/libfanfare.so $(2)/$(SONAME)
	ln -sf $(SONAME) $(2)/libfanfare.so
	$(call sealed_archive,target/$(1)/libfanfare.a,$(2))
endef

# Makes libfanfare.a in a folder of the one that Cargo has built, with the binutils of a prefix.
define sealed_archive
	@$(LD) --version 2>/dev/null | grep -q '^GNU ld' || { \
		echo "this needs GNU's linker; elsewhere: cargo cinstall (docs/installing.md)" >&2; exit 1; }
	$(3)$(LD) -r --gc-sections --force-group-allocation -o $(2)/fanfare.o \
		$$($(3)nm --defined-only $(1) 2>/dev/null | sed -n 's/.* T \(fanfare_\)/-u \1/p') $(1)
	$(3)objcopy --wildcard --keep-global-symbol='fanfare_*' --remove-section=.llvmbc \
		--remove-section=.llvmcmd $(2)/fanfare.o
	rm -f $(2)/libfanfare.a
	$(3)$(AR) rcs $(2)/libfanfare.a $(2)/fanfare.o
	rm $(2)/fanfare.o
endef

bench-c: capi ## build the C program that `fanfare bench publish-call --c-program` measures
	mkdir -p $(BENCH_DIR)
	$(CC) -std=c99 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Werror -O2 -Iinclude \
		benches/c/publish.c -o $(BENCH_DIR)/publish \
		-L$(LIB_DIR) -Wl,-rpath,$(abspath $(LIB_DIR)) -lfanfare -lpthread

header: ## make include/fanfare.h anew from src/ffi, its copy for Go, and the record of its layout
	FANFARE_HEADER_WRITE=1 $(CARGO) test --locked --features capi,tickets,cluster --test header -- current
	cp include/fanfare.h bindings/go/include/
	FANFARE_HEADER_WRITE=1 $(CARGO) test --locked --features capi,tickets,cluster --test layout -- record

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

# The runner has to be of the library's version, and is put into a folder of that name. It starts valgrind and
# reads what that wrote, so it is built without optimisation, which would take minutes.
$(GUNGRAUN_RUNNER):
	$(CARGO) install --locked --debug gungraun-runner --version $(GUNGRAUN_VERSION) --root $(GUNGRAUN_DIR)

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
		bindings/node/node_modules bindings/node/test/runtimes/node_modules \
		bindings/node/examples/*/node_modules bindings/node/prebuilds bindings/node/packed
