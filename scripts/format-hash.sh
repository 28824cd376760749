#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# usage: format-hash.sh SOURCE...
# Prints the C source of mf_format (src/manifest/compiled.h), a hash of the sources in the order of names.
set -eu
hash=$(printf '%s\n' "$@" | LC_ALL=C sort | xargs cat | sha256sum | cut -c1-16)
echo '#include "manifest/compiled.h"'
echo "const uint64_t mf_format = 0x$hash;"
