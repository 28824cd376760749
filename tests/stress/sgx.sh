#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
# The software SGX device for a long time: a million hostile sequences, ten million transitions under
# a hundred thousand signals, the example again and again under random interruption.
# usage: sgx.sh [BUILD]
set -eu
cd "$(dirname "$0")/../.."
build=$(realpath "${1:-build}")
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp examples/sgx-hello/*.[chS] examples/sgx-hello/*.l* examples/sgx-hello/Makefile "$work"
cd "$work"
make -s BUILD="$build" ROOT="$root"
for name in storm fuzz; do
    cc -std=gnu17 -O2 -w -I"$root/src" -I. -o $name "$root/tests/unit/sgx/programs/$name.c" host.c enter.S \
        "$build/src/sgx/libsgx_host.a" "$build/src/sgx/libsgx_layout.a" "$build/src/sgx/libsgx_arch.a" "$build/src/crypto/libadyton_crypto.a" -lcrypto -lpthread
done
device() { timeout -k 5 3000 "$build/bin/adyton" sgxemu --quiet --fuses fuses "$@"; }

for seed in 1 2 3 4 5; do
    device ./fuzz $((seed * 1000 + 1)) 100000
    device --no-rewrite ./fuzz $((seed * 1000 + 2)) 50000
    device --inject-aex 200 ./fuzz $((seed * 1000 + 3)) 50000
done
device --stats ./storm 2500000 25
device --stats --inject-aex 100 ./storm 1000000
device --no-rewrite --stats ./storm 100000
for _ in $(seq 100); do
    for options in "" --no-rewrite; do
        rm -f sealed
        device $options --inject-aex 200 ./hello sealed >out
        grep -q 'fork: child fine, parent sees +5' out
    done
done
echo "sgx: all fine"
