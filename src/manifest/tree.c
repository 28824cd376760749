/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "manifest/tree.h"

#include <asm/errno.h>

#include "crypto/crypto.h"

_Static_assert(sizeof(struct trees_header) == 32 && sizeof(struct trees_entry) == 48, "format");

int tree_shape(struct tree_shape *s, uint64_t file_size)
{
    if (file_size > 1ull << 62)
        return -EFBIG;
    *s = (struct tree_shape){.file_size = file_size};
    s->data_blocks = file_size ? (file_size - 1) / TREE_DATA_BLOCK + 1 : 1;
    uint64_t digests = s->data_blocks;
    for (;;) {
        uint64_t blocks = (digests - 1) / TREE_FANOUT + 1;
        s->digests[s->levels] = digests;
        s->offset[s->levels++] = s->size;
        s->size += blocks * TREE_HASH_BLOCK;
        if (blocks == 1)
            return 0;
        digests = blocks;
    }
}

uint32_t tree_block_length(const struct tree_shape *s, uint64_t block)
{
    uint64_t left = s->file_size - block * TREE_DATA_BLOCK;
    return left < TREE_DATA_BLOCK ? (uint32_t)left : TREE_DATA_BLOCK;
}

uint64_t tree_hash_block(const struct tree_shape *s, unsigned level, uint64_t index)
{
    return s->offset[level] + index * TREE_HASH_BLOCK;
}

/* Hash blocks are full of digests, so digest number n of a level simply stands at 32 * n. */
uint8_t *tree_leaf(const struct tree_shape *s, uint8_t *interior, uint64_t block)
{
    return interior + s->offset[0] + block * TREE_DIGEST;
}

static void compute_root(const struct tree_shape *s, const uint8_t *top, uint8_t root[32])
{
    struct {
        char magic[8];
        uint32_t data_block, hash_block;
        uint64_t file_size;
        uint8_t top[32];
    } d = {"", TREE_DATA_BLOCK, TREE_HASH_BLOCK, s->file_size, {0}};
    _Static_assert(sizeof(d) == 56, "no padding");
    __builtin_memcpy(d.magic, "ADYTREE1", sizeof(d.magic));
    sha256(top, TREE_HASH_BLOCK, d.top);
    sha256(&d, sizeof(d), root);
}

void tree_finish(const struct tree_shape *s, uint8_t *interior, uint8_t root[32])
{
    for (unsigned level = 1; level < s->levels; level++)
        for (uint64_t i = 0; i < s->digests[level]; i++)
            sha256(interior + tree_hash_block(s, level - 1, i), TREE_HASH_BLOCK,
                   interior + s->offset[level] + i * TREE_DIGEST);
    compute_root(s, interior + s->offset[s->levels - 1], root);
}

bool tree_check_top(const struct tree_shape *s, const uint8_t top[TREE_HASH_BLOCK],
                    const uint8_t root[32])
{
    uint8_t computed[32];
    compute_root(s, top, computed);
    return !crypto_differs(computed, root, sizeof(computed));
}

static bool check(const uint8_t *above, unsigned slot, const void *data, size_t len)
{
    uint8_t computed[32];
    if (slot >= TREE_FANOUT)
        return false;
    sha256(data, len, computed);
    return !crypto_differs(computed, above + slot * TREE_DIGEST, sizeof(computed));
}

bool tree_check_hash_block(const uint8_t above[TREE_HASH_BLOCK], unsigned slot,
                           const uint8_t block[TREE_HASH_BLOCK])
{
    return check(above, slot, block, TREE_HASH_BLOCK);
}

bool tree_check_data(const uint8_t leaf[TREE_HASH_BLOCK], unsigned slot, const void *data,
                     size_t len)
{
    return check(leaf, slot, data, len);
}

static int compare_roots(const uint8_t *a, const uint8_t *b)
{
    for (int i = 0; i < 32; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

int64_t trees_find(const void *sidecar, size_t len, const uint8_t root[32],
                   const struct tree_shape *s)
{
    struct trees_header h;
    if (len < sizeof(h) || len > INT64_MAX)
        return -EINVAL;
    __builtin_memcpy(&h, sidecar, sizeof(h));
    for (int i = 0; i < 8; i++)
        if (h.magic[i] != TREES_MAGIC[i])
            return -EINVAL;
    if (h.version != TREES_VERSION || h.count > (len - sizeof(h)) / sizeof(struct trees_entry))
        return -EINVAL;
    const uint8_t *index = (const uint8_t *)sidecar + sizeof(h);
    uint32_t lo = 0, hi = h.count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        struct trees_entry e;
        __builtin_memcpy(&e, index + (size_t)mid * sizeof(e), sizeof(e));
        int c = compare_roots(root, e.root);
        if (c < 0)
            hi = mid;
        else if (c > 0)
            lo = mid + 1;
        else if (e.file_size != s->file_size || e.offset > len || s->size > len - e.offset)
            return -ENOENT;
        else
            return (int64_t)e.offset;
    }
    return -ENOENT;
}
