# SPDX-License-Identifier: MIT
# The few commands; CMakeLists.txt is the build itself.

BUILD  ?= build
PREFIX ?= /usr/local
JOBS   ?= $(shell nproc)

configure = cmake -S . -B '$(BUILD)' -DCMAKE_INSTALL_PREFIX='$(PREFIX)'

.PHONY: all abi demo test prove bench plots picture install uninstall clean \
	format tidy help product

all: ## build the library and the weir command into build/
	@scripts/deps build
	@$(MAKE) --no-print-directory product
	@echo "built: $(BUILD)/; try 'make demo', 'make test', 'make help'"

demo: all ## build, then show what weir does (build/weir demo)
	@$(BUILD)/weir demo

test: ## every test: gcc, clang, address, undefined and thread sanitizers
	@scripts/deps test
	@scripts/test-all

prove: ## every test, then the long forms; 75 minutes on two CPUs
	@scripts/deps prove
	@scripts/prove

bench: ## measure weir beside other libraries; under 15 minutes
	@scripts/deps bench
	@$(MAKE) --no-print-directory product
	@cmake --build $(BUILD) --parallel $(JOBS) --target weir_bench
	@$(BUILD)/weir bench --output $(BUILD)/bench.json $(BENCH)

plots: ## draw what was measured, and write the tables of docs/performance.md
	@scripts/deps bench
	@scripts/plots $(BUILD)/bench.json

picture: product ## draw docs/top.svg, a screen of weir top, from a real run
	@cmake --build $(BUILD) --parallel $(JOBS) --target tour_load
	@scripts/picture $(BUILD)

install: product ## install below PREFIX (/usr/local), staged by DESTDIR
	@cmake --install '$(BUILD)'
	@[ -n "$$DESTDIR" ] || scripts/after-install '$(BUILD)' '$(PREFIX)'

uninstall: product ## remove what `make install` put below PREFIX
	@scripts/uninstall '$(BUILD)' '$(PREFIX)'

abi: product ## describe the ABI anew, after a release (CONTRIBUTING.md)
	@scripts/check-abi --refresh '$(BUILD)/libweir.so'

clean: ## remove build/ and the test builds
	rm -rf $(BUILD) build-asan build-tsan build-clang

format: ## lay out every source file by .clang-format
	@git ls-files '*.c' '*.h' | xargs clang-format -i

tidy: product ## clang-tidy must find nothing in the library
	@scripts/check-tools tidy

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | \
		expand -t 16

# As `all`, without looking for packages first.
product:
	@$(configure)
	@cmake --build '$(BUILD)' --parallel $(JOBS) --target weir_product
