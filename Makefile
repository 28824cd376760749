# SPDX-License-Identifier: LGPL-3.0-or-later
# A thin front of meson and ninja. The commands land in $(BUILD)/bin.

BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
ROWS ?=

.PHONY: all deps demo check check-full coverage bench install clean format format-check

all: $(BUILD)/build.ninja
	ninja -C $(BUILD) -j $(JOBS)

$(BUILD)/build.ninja:
	@command -v meson >/dev/null || { echo "meson is missing: run scripts/install-deps.sh first" >&2; exit 1; }
	meson setup --prefix=$(PREFIX) $(BUILD)

deps:
	@scripts/install-deps.sh

demo: deps
	@$(MAKE) --no-print-directory all
	@scripts/demo.sh $(BUILD)

check:
	@scripts/check.sh

check-full:
	@scripts/check.sh --full

coverage:
	@scripts/coverage.sh

bench: deps
	@$(MAKE) --no-print-directory all
	@/usr/bin/python3 bench/bench.py --build $(BUILD) $(ROWS)

install: all
	meson configure $(BUILD) --prefix=$(PREFIX)
	meson install -C $(BUILD)

clean:
	rm -rf $(BUILD) $(BUILD)-sanitize $(BUILD)-clang $(BUILD)-coverage

format:
	scripts/format.sh -i

format-check:
	scripts/format.sh --dry-run --Werror
