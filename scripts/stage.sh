#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# Puts one built file at its place in the build tree, which mirrors the installed one:
#   stage.sh BUILD_ROOT bin/adyton BUILT_FILE STAMP
set -e
mkdir -p "$1/$(dirname "$2")"
ln -f "$3" "$1/$2" 2>/dev/null || cp -f "$3" "$1/$2"
: >"$4"
