#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
# What the library OS wants of a platform, and what the platform uses of it: from the objects of the platform
# `direct`. usage: scripts/platform-symbols.sh [BUILDDIR]
set -eu
cd "$(dirname "$0")/.."
cd "${1:-build}/src/libos/adyton-direct.p"
shopt -s dotglob
platform=(*platform_direct*.o)
libos=()
for object in *.o; do
    [[ $object == *platform_direct* ]] || libos+=("$object")
done
wanted() { nm -u "$@" | awk '$1 == "U" || $1 == "w" { print $2 }' | sort -u; }
defined() { nm --defined-only "$@" | awk 'NF == 3 { print $3 }' | sort -u; }
echo "the platform gives:"
comm -12 <(wanted "${libos[@]}") <(defined "${platform[@]}") | sed 's/^/    /'
echo "the platform is given:"
comm -12 <(wanted "${platform[@]}") <(defined "${libos[@]}") | sed 's/^/    /'
