#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# clang-format over the tree's own C and C++ files. usage: scripts/format.sh -i | --dry-run --Werror
set -eu
cd "$(dirname "$0")/.."
tool=$(scripts/pypi-tool.sh clang-format)
git ls-files -z --cached --others --exclude-standard -- '*.c' '*.h' '*.cc' '*.cpp' '*.hpp' |
    xargs -0 -r "$tool" "$@"
