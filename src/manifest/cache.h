/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Compiled manifests kept between runs, in $XDG_CACHE_HOME/adyton/manifest or
 * ~/.cache/adyton/manifest, one file for each text: <SHA-256 of the text>-v<format>.bin. The cache
 * is a convenience: whatever is wrong with it, the manifest is compiled again.
 */
#pragma once
#include "manifest/compiled.h"

/* Increased with every change of what the compiler makes of a text. */
#define CACHE_REVISION 1

/*
 * Opens the compiled form of the text with this hash. Returns a read-only descriptor
 * (close-on-exec) with the whole block mapped behind `m`, or -1 when there is none, or one that is
 * not ours alone, damaged or made from another text.
 */
int cache_open(const uint8_t text_sha256[32], struct mf *m);

/* Keeps a block; failures are silent. The file appears complete or not at all. */
void cache_store(const void *block, size_t len);

/*
 * Maps the `len` bytes of compiled manifest behind `fd` and checks that they come from this text.
 * Returns 0 or a negative errno; the mapping stays until the process ends.
 */
int cache_map(int fd, size_t len, const uint8_t text_sha256[32], struct mf *m);

/* "DIR/adyton/NAME" below the user's cache directory, which is made if `make`; 0 or -1. */
int cache_path(char *out, size_t cap, const char *name, int make);
