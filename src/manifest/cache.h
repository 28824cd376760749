/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Compiled manifests kept between runs, in $XDG_CACHE_HOME/adyton/manifest or
 * ~/.cache/adyton/manifest, one file for each text: <SHA-256 of the text>-v<format>.bin. The cache
 * is a convenience: whatever is wrong with it, the manifest is compiled again.
 *
 * The folder must be the user's own and writable by nobody else, or it is not used. An entry is
 * made complete under another name, never changed, and removed while others may still have it open
 * or mapped; so any number of starts may read, add and remove at once without a lock.
 */
#pragma once
#include "manifest/compiled.h"

/* What is kept at most. The entries that were used longest ago go first, when one is added. */
#define CACHE_MAX_FILES 256
#define CACHE_MAX_BYTES (64ll << 20)

/*
 * Opens the compiled form of the text with this hash: a read-only descriptor (close-on-exec), with
 * the fixed start of the block in `image`. Returns -1 when there is none, or one that is not ours
 * alone, was made from another text, or is damaged.
 */
int cache_open(const uint8_t text_sha256[32], struct mf_image *image);

/* The same check for a descriptor from elsewhere: 0 or -1. */
int cache_check(int fd, const uint8_t text_sha256[32], struct mf_image *image);

/* Keeps a block; failures are silent. The file appears complete or not at all. */
void cache_store(const void *block, size_t len);
