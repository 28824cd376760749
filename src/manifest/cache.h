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
 * Opens the compiled form of the text with this hash: a read-only descriptor (close-on-exec), with
 * the fixed start of the block in `image`. Returns -1 when there is none, or one that is not ours
 * alone, was made from another text, or is damaged. Only small blocks are checked as a whole; the
 * library OS opens every block with mf_open() anyway.
 */
int cache_open(const uint8_t text_sha256[32], struct mf_image *image);

/* The same check for a descriptor from elsewhere: 0 or -1. */
int cache_check(int fd, const uint8_t text_sha256[32], struct mf_image *image);

/* Keeps a block; failures are silent. The file appears complete or not at all. */
void cache_store(const void *block, size_t len);

/* "DIR/adyton/NAME" below the user's cache directory, which is made if `make`; 0 or -1. */
int cache_path(char *out, size_t cap, const char *name, int make);
