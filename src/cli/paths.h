/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Where the program stands: bin/ beside lib/adyton/, in the build tree as once installed. Nothing
 * is compiled in; the answers come from /proc/self/exe.
 */
#pragma once
#include <stddef.h>

/*
 * Writes the absolute path of PREFIX/lib/adyton/`name` ("" for the directory itself). Works in a
 * program in bin/ and in one in lib/adyton/. Returns 0, or -1 when it does not fit or /proc is not
 * there.
 */
int private_path(char *out, size_t cap, const char *name);

/*
 * Occupies those of the descriptors 0, 1 and 2 that are closed, until the next exec, so that no
 * file opened later gets a message written into it. Reading and writing them still fails with
 * EBADF.
 */
void hold_standard_descriptors(void);
