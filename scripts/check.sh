#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
# Everything that must hold before a change is taken. The last line of output is "N passed, N failed, N skipped";
# exit status 1 if any failed.
# usage: scripts/check.sh [--full] [STAGE...]
#   lint      clang-format, clang-tidy, shellcheck, ruff, floors; asked for by name, or with --full, also a build
#             with clang and gcc's -fanalyzer (minutes)
#   unit      unit and system-call tests
#   sanitize  the unit tests under AddressSanitizer and UBSan
#   e2e       end-to-end tests
#   docs      what the documents claim
# Without a stage: all of them. --full adds long versions, fuzzing and stress.
set -u
cd "$(dirname "$0")/.." || exit

full=no
stages=
for argument; do
    case $argument in
    --full) full=yes ;;
    lint | unit | sanitize | e2e | docs) stages="$stages $argument" ;;
    *) sed -n 's/^# \(usage:.*\)/\1/p; s/^#   //p' "$0" >&2; exit 2 ;;
    esac
done
named=${stages:+yes}
stages=${stages:-lint unit sanitize e2e docs}
if [ $full = yes ]; then
    export ADYTON_FULL=1
    export ADYTON_RACE_RUNS=${ADYTON_RACE_RUNS:-2000}
    export ADYTON_ENCRYPTED_RUNS=${ADYTON_ENCRYPTED_RUNS:-60}
    export ADYTON_CRASH_WORKLOADS=${ADYTON_CRASH_WORKLOADS:-12000}
    E2E_SECONDS=${E2E_SECONDS:-21600}
fi
build=build
out=$build/check
passed=0 failed=0 skipped=0

add() { # add PASSED FAILED SKIPPED
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

step() { # step NAME COMMAND...: one check, its output shown
    echo "== $1"
    if "${@:2}" </dev/null; then add 1 0 0; else echo "FAILED: $1"; add 0 1 0; fi
}

counted() { # counted NAME COMMAND...: COMMAND writes "PASSED FAILED SKIPPED" to $out/counts
    echo "== $1"
    rm -f "$out/counts"
    "${@:2}" </dev/null
    local status=$? p=0 f=0 s=0
    [ -f "$out/counts" ] && read -r p f s <"$out/counts"
    # A run that failed without naming a failed test has failed all the same.
    [ $status -ne 0 ] && [ "$f" = 0 ] && f=1
    [ "$f" = 0 ] || echo "FAILED: $1"
    add "$p" "$f" "$s"
}

finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ $failed -eq 0 ]
    exit
}

meson_tests() { # meson_tests BUILDDIR [meson test options]
    local status
    meson test -C "$1" --no-rebuild --print-errorlogs "${@:2}" >"$out/meson.txt" 2>&1
    status=$?
    grep -vE '^(Ok|Expected Fail|Fail|Unexpected Pass|Skipped|Timeout): +0 *$' "$out/meson.txt"
    if grep -q '^No tests defined' "$out/meson.txt"; then echo "0 0 0" >"$out/counts"; return 0; fi
    /usr/bin/python3 scripts/count-tests.py meson "$1/meson-logs/testlog.json" >"$out/counts"
    return $status
}

pytest_run() { # pytest_run ARGS...
    local status
    rm -f "$out/pytest.xml"
    # Every test has its own time limit; this one only keeps a run in which all hang from lasting hours.
    timeout -k 10 "${E2E_SECONDS:-2700}" /usr/bin/python3 -m pytest -q -rs --junitxml="$out/pytest.xml" \
        -p no:cacheprovider "$@"
    status=$?
    [ -f "$out/pytest.xml" ] &&
        /usr/bin/python3 scripts/count-tests.py junit "$out/pytest.xml" >"$out/counts"
    return $status
}

# The suites under the rules of an enclave; what fails there stands in tests/e2e/closed-failures.txt.
closed_tests() {
    ADYTON_PLATFORM=closed ADYTON_RACE_RUNS=20 pytest_run tests/e2e/test_syscalls.py tests/e2e/test_programs.py tests/e2e/test_policy.py
}

# The same in an enclave, on the software device; what fails there stands in tests/e2e/sgx-failures.txt.
enclave_tests() {
    ADYTON_PLATFORM=sgx ADYTON_RACE_RUNS=3 pytest_run tests/e2e/test_syscalls.py
}

sanitized_unit_tests() {
    local status
    local dir=$build-sanitize
    if [ ! -f $dir/build.ninja ]; then
        meson setup $dir -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 \
            >"$out/setup-sanitize.txt" 2>&1 || { cat "$out/setup-sanitize.txt"; return 1; }
    fi
    ninja -C $dir build.ninja >"$out/setup-sanitize.txt" 2>&1 || { cat "$out/setup-sanitize.txt"; return 1; }
    # Only the hosted unit tests: the library OS itself cannot carry a sanitizer's run time.
    local names
    names=$(meson introspect --tests $dir | /usr/bin/python3 scripts/count-tests.py names tests/unit)
    [ -n "$names" ] || { echo "0 0 0" >"$out/counts"; return 0; }
    ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        meson test -C $dir --print-errorlogs $names >"$out/sanitize.txt" 2>&1
    status=$?
    if [ $status -eq 0 ]; then grep -E '^ *[0-9]+/' "$out/sanitize.txt"; else tail -n 80 "$out/sanitize.txt"; fi
    /usr/bin/python3 scripts/count-tests.py meson "$dir/meson-logs/testlog.json" >"$out/counts"
    return $status
}

# The files that the build compiles for the commands and the library OS, as clang reads them.
tidy() {
    local tool status
    tool=$(scripts/pypi-tool.sh clang-tidy) || return 1
    mkdir -p "$out/tidy"
    /usr/bin/python3 scripts/sources.py --database $build >"$out/tidy/compile_commands.json" || return 1
    /usr/bin/python3 scripts/sources.py $build |
        xargs -P "$(nproc)" -n 8 "$tool" -p "$out/tidy" --quiet >"$out/tidy.txt" 2>&1
    status=$?
    [ $status -eq 0 ] || grep -vE '^[0-9]+ warnings? ' "$out/tidy.txt"
    return $status
}

shell_scripts() {
    git ls-files -z -- '*.sh' .ci/run | xargs -0 -r shellcheck -S warning
}

python_scripts() {
    local tool
    tool=$(scripts/pypi-tool.sh ruff) && "$tool" check --no-cache --quiet --output-format concise .
}

clang_build() {
    [ -f $build-clang/build.ninja ] || CC=clang CXX=clang++ meson setup $build-clang >/dev/null || return 1
    ninja -C $build-clang >"$out/clang.txt" 2>&1 || { tail -n 60 "$out/clang.txt"; return 1; }
}

# Every libFuzzer target of tests/fuzz, each for $FUZZ_SECONDS (pfs_fuzz, attest_fuzz: $FUZZ_RUNS executions);
# tests/fuzz/NAME.corpus holds its seeds.
fuzz() {
    local source name seeds
    for source in tests/fuzz/*.c; do
        [ -f "$source" ] || continue
        name=$(basename "$source" .c)
        seeds=tests/fuzz/$name.corpus
        [ -d "$seeds" ] || seeds=
        mkdir -p "$build-clang/corpus/$name"
        if [ "$name" = pfs_fuzz ] || [ "$name" = attest_fuzz ]; then
            step "fuzz $name" fuzz_counted $build-clang "$name"
        else
            step "fuzz $name" fuzz_one $build-clang "$name" $seeds
        fi
    done
}

# Encrypted files come from hostile storage, quotes from anybody: so many executions, however long that takes.
fuzz_counted() { # fuzz_counted BUILDDIR NAME
    local jobs i pid pids='' status=0
    jobs=$(nproc)
    ninja -C "$1" "tests/fuzz/$2" >"$out/fuzz-build.txt" 2>&1 || { tail -n 40 "$out/fuzz-build.txt"; return 1; }
    for i in $(seq "$jobs"); do
        "$1/tests/fuzz/$2" -runs=$((${FUZZ_RUNS:-10000000} / jobs + 1)) -seed="$i" -reload=1 -timeout=20 \
            -max_len=160 -rss_limit_mb=4096 -print_final_stats=1 -artifact_prefix="$out/" "$1/corpus/$2" \
            >"$out/fuzz-$2.$i.txt" 2>&1 &
        pids="$pids $!"
    done
    i=0
    for pid in $pids; do
        i=$((i + 1))
        wait "$pid" || { status=1; tail -n 60 "$out/fuzz-$2.$i.txt"; }
        grep -E 'number_of_executed_units|new_units_added' "$out/fuzz-$2.$i.txt"
    done
    return $status
}

fuzz_one() { # fuzz_one BUILDDIR NAME [SEEDS]
    ninja -C "$1" "tests/fuzz/$2" >"$out/fuzz-build.txt" 2>&1 || { tail -n 40 "$out/fuzz-build.txt"; return 1; }
    # Full paths: some targets change their directory.
    "$1/tests/fuzz/$2" -max_total_time="${FUZZ_SECONDS:-300}" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="$PWD/$out/" "$PWD/$1/corpus/$2" ${3:+"$PWD/$3"} >"$out/fuzz-$2.txt" 2>&1 || { tail -n 60 "$out/fuzz-$2.txt"; return 1; }
    grep -E 'number_of_executed_units|new_units_added' "$out/fuzz-$2.txt"
}

if ! scripts/install-deps.sh; then
    echo "FAILED: installing what the tests need"
    failed=1
    finish
fi
echo "== build"
if ! make --no-print-directory BUILD=$build all; then
    echo "FAILED: build"
    failed=1
    finish
fi
mkdir -p $out
rm -f "$out/counts-fuzz"

wanted() { # wanted STAGE
    case " $stages " in *" $1 "*) ;; *) return 1 ;; esac
}

if wanted lint; then
    step "format" scripts/format.sh --dry-run --Werror
    step "clang-tidy" tidy
    step "shellcheck" shell_scripts
    step "ruff" python_scripts
    step "floors of the library OS" /usr/bin/python3 scripts/floors.py $build
    step "raw calls of the host" /usr/bin/python3 scripts/host-uses.py
    if [ "$named" = yes ] || [ $full = yes ]; then
        step "build with clang" clang_build
        step "gcc -fanalyzer" scripts/analyze.sh $build
    fi
fi
wanted unit && counted "unit and system-call tests" meson_tests $build
wanted sanitize && counted "unit tests under AddressSanitizer and UBSan" sanitized_unit_tests
fuzzing=
if [ $full = yes ] && wanted unit; then
    # Beside the end-to-end tests, which mostly keep one processor busy. Output and counts follow later.
    clang_build && { passed=0 failed=0 skipped=0; fuzz; echo "$passed $failed $skipped" >"$out/counts-fuzz"; } \
        >"$out/fuzz.txt" 2>&1 &
    fuzzing=yes
fi
if wanted e2e; then
    counted "end-to-end tests" pytest_run tests/e2e --ignore=tests/e2e/test_docs.py
    counted "end-to-end tests on platform closed" closed_tests
    counted "end-to-end tests in an enclave" enclave_tests
fi
wanted docs && counted "documents" pytest_run tests/e2e/test_docs.py
if [ -n "$fuzzing" ]; then
    wait
    cat "$out/fuzz.txt"
    if [ -s "$out/counts-fuzz" ]; then read -r p f s <"$out/counts-fuzz"; add "$p" "$f" "$s"; else add 0 1 0; fi
    for script in tests/stress/*.sh; do
        [ -x "$script" ] && step "$script" "$script" $build
    done
fi
finish
