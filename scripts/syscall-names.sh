#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# Prints a C array with the names of all x86-64 system calls, sorted: syscall-names.sh CC...
set -e
echo '/* Generated from <asm/unistd.h>. */'
echo 'static const char *const syscall_names[] = {'
echo '#include <asm/unistd.h>' | "$@" -m64 -E -dM - |
    sed -n 's/^#define __NR_\([a-z0-9_]*\) [0-9]*$/\1/p' | LC_ALL=C sort -u |
    sed 's/.*/    "&",/'
echo '};'
