#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
# Which lines the unit tests and fuzzers run: a summary, and build-coverage/report/index.html. The library OS is
# measured over the mock host; what only programs inside reach is not seen. usage: scripts/coverage.sh  (make coverage)
set -eu
cd "$(dirname "$0")/.."
build="build-coverage"
command -v gcovr >/dev/null || { echo "coverage: gcovr is missing: apt-get install gcovr" >&2; exit 1; }
[ -f $build/build.ninja ] || meson setup $build -Db_coverage=true -Db_lundef=false >/dev/null
ninja -C $build build.ninja >/dev/null
names=$(meson introspect --tests $build | /usr/bin/python3 scripts/count-tests.py names tests/unit)
find $build -name '*.gcda' -delete
mkdir -p $build/report
# shellcheck disable=SC2086 # a list of names
meson test -C $build --print-errorlogs $names >$build/report/tests.txt 2>&1 || { tail -n 60 $build/report/tests.txt; exit 1; }
# Later releases want to be told that one function may stand at several lines (macros, headers).
separate=
! gcovr --help | grep -q merge-mode-functions || separate=--merge-mode-functions=separate
gcovr --root . --filter 'src/' --exclude '.*/test/' $separate $build \
    --html-details $build/report/index.html --print-summary >$build/report/summary.txt
cat $build/report/summary.txt
echo "coverage: every line in $build/report/index.html"
