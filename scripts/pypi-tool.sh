#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# Prints the path of a tool whose releases disagree and which is therefore the same one everywhere: the
# system's where it has that version, else PyPI's, fetched once into the user's cache and checked against its SHA-256.
# usage: scripts/pypi-tool.sh clang-format | clang-tidy | ruff
set -eu

name=${1:-}
case $name in
clang-format)
    version=14.0.6 program=clang_format/data/bin/clang-format
    sha256=d7c1c5e404c58e55f0170f01b3c5611dce6c119e62b5d1020347e0ad97d5a047 ;;
clang-tidy)
    version=18.1.8 program=clang_tidy/data/bin/clang-tidy
    sha256=c725a95c316d15df12f5bf7c1abfdf3cb9e4f3b9a9afb4cb6bb1e9df4e669493 ;;
ruff)
    version=0.15.22 program=bin/ruff
    sha256=365523eb91d9224e1bcb03b022fbf0facb8f9e23792a2c53d9d4b3924bdbdebb ;;
*)
    echo "usage: scripts/pypi-tool.sh clang-format | clang-tidy | ruff" >&2
    exit 2 ;;
esac
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-${HOME:-$PWD/build}/.cache}/adyton/tools
folder=$cache/$name-$version

right() { # right PROGRAM: whether it is there and of that version
    "$1" --version 2>/dev/null | grep -qwF "$version"
}

fetch() {
    mkdir -p "$cache" && scratch=$(mktemp -d "$cache/fetch.XXXXXX") || return 1
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 1' HUP INT TERM
    echo "$name==$version --hash=sha256:$sha256" >"$scratch/requirements"
    /usr/bin/python3 -m venv "$scratch/venv" &&
        "$scratch/venv/bin/pip" install -q --disable-pip-version-check --no-deps --only-binary :all: \
            --require-hashes --target "$scratch/wheel" -r "$scratch/requirements" || return 1
    # Whoever comes second at the same time finds the first one's.
    mv -T "$scratch/wheel" "$folder" || right "$folder/$program"
}

if right "$name"; then
    echo "$name"
elif right "$folder/$program"; then
    echo "$folder/$program"
elif (fetch) >&2; then
    echo "$folder/$program"
else
    echo "pypi-tool: $name $version is neither installed nor could it be fetched from PyPI (see above)." >&2
    echo "pypi-tool: connect to the network once, or put that version first on PATH." >&2
    exit 1
fi
