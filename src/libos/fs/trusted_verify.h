/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Is this what the manifest says? Reads untrusted bytes of a trusted file, and of the interior of
 * its Merkle tree (manifest/tree.h), through callbacks, and compares digests. Knows nothing of
 * files, locks or what was verified before: that is trusted.c.
 *
 * Freestanding, no allocation. Vector registers are used: the caller brackets the calls.
 */
#pragma once
#include "manifest/tree.h"

/* How many data blocks are hashed side by side (sha256_many). */
#define VERIFY_LANES 16u

struct verify_source {
    /* Each returns how many bytes came (fewer than `n`, also 0, where there are no more) or a
     * negative errno. */
    int64_t (*file)(void *ctx, void *buf, size_t n, uint64_t off);
    int64_t (*interior)(void *ctx, void *buf, size_t n, uint64_t off); /* from its start */
    void *ctx;
};

/* Memory for one verification at a time. */
struct verify_scratch {
    uint8_t data[VERIFY_LANES * TREE_DATA_BLOCK];
    uint8_t leaf[TREE_HASH_BLOCK]; /* verified by verify_leaf, used by verify_blocks */
    uint8_t next[TREE_HASH_BLOCK];
};

/*
 * The whole file against its SHA-256. Returns 0, -EPERM when it is another one, or what the source
 * returned.
 */
int verify_whole(const struct verify_source *src, uint64_t size, const uint8_t want[32],
                 struct verify_scratch *w);

/*
 * Fetches hash block `index` of level 0 into w->leaf, checked up to `root`. Returns 0, -EBADMSG
 * when the interior does not lead to the root, or what the source returned.
 */
int verify_leaf(const struct verify_source *src, const struct tree_shape *s, const uint8_t root[32],
                uint64_t index, struct verify_scratch *w);

/*
 * Data blocks [first, first + count) against w->leaf, which covers them all; count is 1 to
 * VERIFY_LANES. On success w->data holds them. Returns 0, -EPERM when one is another, or what the
 * source returned.
 */
int verify_blocks(const struct verify_source *src, const struct tree_shape *s, uint64_t first,
                  unsigned count, struct verify_scratch *w);
