/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The commands of adyton-tools. Each is called with the name to show as argv[0] and its own
 * arguments behind it, and returns the exit status.
 */
#pragma once
#include "manifest/arena.h"

int cmd_manifest(int argc, char **argv);         /* gramine-manifest */
int cmd_manifest_check(int argc, char **argv);   /* gramine-manifest-check */
int cmd_trace(int argc, char **argv);            /* adyton trace */
int cmd_explain(int argc, char **argv);          /* adyton explain */
int cmd_diff(int argc, char **argv);             /* adyton diff */
int cmd_compile_manifest(int argc, char **argv); /* private to the launcher: FILE DESCRIPTOR */

/*
 * Appends the whole of the open file (`max` bytes at most) to `out`. Returns 0 or a negative errno,
 * -EFBIG when it is larger.
 */
int read_all(int fd, struct buffer *out, size_t max);

/* Writes all bytes; 0 or a negative errno. */
int write_all(int fd, const void *data, size_t len);

/*
 * Puts a file in place as a whole: written beside `path`, then renamed over it, with the
 * permissions a new file gets (or those of the file it replaces). Returns 0 or a negative errno.
 */
int replace_file(const char *path, const void *data, size_t len);
