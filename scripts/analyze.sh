#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
# gcc's -fanalyzer over the C files below src: what it says must be in scripts/analyze.known, which tells why it
# is not a mistake. It takes minutes. usage: scripts/analyze.sh BUILDDIR [FILE...]
set -eu
cd "$(dirname "$0")/.."
build=$1
shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# One compilation a line; each writes what the analyzer says of it to a file of its own.
/usr/bin/python3 scripts/sources.py --commands "$build" "$@" >"$scratch/commands"
export scratch
analyze() {
    sh -c "$1 -fanalyzer -fdiagnostics-plain-output -g0 -O1" 2>"$(mktemp "$scratch/said.XXXXXX")"
}
export -f analyze
(cd "$build" && xargs -d '\n' -P "$(nproc)" -I{} bash -c 'analyze "$1"' analyze {} <"$scratch/commands")

# PATH WARNING, without lines: they move.
cat "$scratch"/said.* | sed -n 's/^\(\.\.\/\)*\(src\/[^:]*\):.*\[-W\(analyzer-[a-z-]*\)\]$/\2 \3/p' | sort -u >"$scratch/found"
sed -n 's/^\(src\/[^ ]* analyzer-[a-z-]*\) .*/\1/p' scripts/analyze.known | sort -u >"$scratch/known"
if ! [ -s "$scratch/commands" ]; then echo "analyze: nothing to analyze in $build" >&2; exit 1; fi
new=$(comm -23 "$scratch/found" "$scratch/known")
[ -n "$new" ] || { echo "analyze: $(wc -l <"$scratch/commands") files, $(wc -l <"$scratch/found") known warnings"; exit 0; }
while read -r path warning; do
    grep -hE "$path:.*\[-W$warning\]" "$scratch"/said.*
done <<<"$new"
echo "analyze: mend these, or say in scripts/analyze.known why they are not mistakes"
exit 1
