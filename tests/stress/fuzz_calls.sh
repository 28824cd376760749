#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
# A hundred million system calls with random and boundary arguments, over the mock host, under
# AddressSanitizer and UBSan: one run for each of two processors, with seeds never used before.
#   fuzz_calls.sh [BUILDDIR]     FUZZ_CALLS=N for another number
set -u
cd "$(dirname "$0")/../.." || exit 1
program=${1:-build}/tests/fuzz/libos_fuzz
calls=${FUZZ_CALLS:-100000000} shards=2 seed=$(date +%s%N) out=$(mktemp -d) status=0
trap 'rm -rf "$out"' EXIT
for ((i = 0; i < shards; i++)); do
    "$program" $(((calls + shards - 1) / shards)) $((seed + i)) >"$out/$i" 2>&1 &
    pids[i]=$!
done
for ((i = 0; i < shards; i++)); do
    wait "${pids[i]}" || status=1
    tail -n 60 "$out/$i"
done
exit $status
