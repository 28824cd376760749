#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# clang-format over the tree's own C and C++ files. usage: scripts/format.sh -i | --dry-run --Werror
#
# Releases of clang-format disagree, so one is used everywhere: the system's where it is that one, else the
# wheel from PyPI, fetched once into the user's cache and checked against its SHA-256.
set -eu
cd "$(dirname "$0")/.."

version=14.0.6
sha256=d7c1c5e404c58e55f0170f01b3c5611dce6c119e62b5d1020347e0ad97d5a047
cache=${XDG_CACHE_HOME:-${HOME:-$PWD/build}/.cache}/adyton
tool=$cache/clang-format-$version

is_it() { # is_it PROGRAM: whether it is there and of that version
    "$1" --version 2>/dev/null | grep -qF "clang-format version $version"
}

fetch() {
    mkdir -p "$cache"
    scratch=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 1' HUP INT TERM
    echo "clang-format==$version --hash=sha256:$sha256" >"$scratch/requirements"
    /usr/bin/python3 -m venv "$scratch/venv"
    "$scratch/venv/bin/pip" install -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        --target "$scratch/wheel" -r "$scratch/requirements"
    mv "$scratch/wheel/clang_format/data/bin/clang-format" "$tool"
}

if is_it clang-format; then
    tool=clang-format
elif ! is_it "$tool"; then
    (fetch) >&2 || {
        echo "format: clang-format $version is neither installed nor could it be fetched from PyPI (see above)." >&2
        echo "format: connect to the network once, or put that version first on PATH." >&2
        exit 1
    }
fi
git ls-files -z --cached --others --exclude-standard -- '*.c' '*.h' '*.cc' '*.cpp' '*.hpp' |
    xargs -0 -r "$tool" "$@"
