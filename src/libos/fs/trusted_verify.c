/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/trusted_verify.h"

#include "crypto/crypto.h"

#include <asm/errno.h>

typedef int64_t read_fn(void *ctx, void *buf, size_t n, uint64_t off);

/* Exactly `n` bytes: 0; -ENODATA when there are fewer. */
static int read_exactly(read_fn *read, void *ctx, uint8_t *buf, size_t n, uint64_t off)
{
    size_t done = 0;
    while (done < n) {
        int64_t r = read(ctx, buf + done, n - done, off + done);
        if (r < 0)
            return (int)r;
        if (!r || (uint64_t)r > n - done)
            return -ENODATA;
        done += (size_t)r;
    }
    return 0;
}

static int file_bytes(const struct verify_source *src, uint8_t *buf, size_t n, uint64_t off)
{
    int err = read_exactly(src->file, src->ctx, buf, n, off);
    return err == -ENODATA ? -EPERM : err;
}

int verify_whole(const struct verify_source *src, uint64_t size, const uint8_t want[32],
                 struct verify_scratch *w)
{
    struct sha256 ctx;
    uint8_t got[SHA256_SIZE];
    sha256_init(&ctx);
    for (uint64_t off = 0; off < size;) {
        size_t n = size - off < sizeof(w->data) ? (size_t)(size - off) : sizeof(w->data);
        int err = file_bytes(src, w->data, n, off);
        if (err)
            return err;
        sha256_update(&ctx, w->data, n);
        off += n;
    }
    sha256_final(&ctx, got);
    return crypto_differs(got, want, sizeof(got)) ? -EPERM : 0;
}

static int hash_block(const struct verify_source *src, const struct tree_shape *s, unsigned level,
                      uint64_t index, uint8_t *buf)
{
    int err = read_exactly(src->interior, src->ctx, buf, TREE_HASH_BLOCK,
                           tree_hash_block(s, level, index));
    return err == -ENODATA ? -EBADMSG : err;
}

int verify_leaf(const struct verify_source *src, const struct tree_shape *s, const uint8_t root[32],
                uint64_t index, struct verify_scratch *w)
{
    unsigned level = s->levels - 1;
    if (index > (s->data_blocks - 1) / TREE_FANOUT)
        return -EINVAL;
    int err = hash_block(src, s, level, 0, w->leaf);
    if (!err && !tree_check_top(s, w->leaf, root))
        err = -EBADMSG;
    while (!err && level-- > 0) {
        uint64_t at = index;
        for (unsigned l = 0; l < level; l++)
            at /= TREE_FANOUT;
        err = hash_block(src, s, level, at, w->next);
        if (!err && !tree_check_hash_block(w->leaf, at % TREE_FANOUT, w->next))
            err = -EBADMSG;
        if (!err)
            __builtin_memcpy(w->leaf, w->next, sizeof(w->leaf));
    }
    return err;
}

static bool equal_blocks(const struct verify_scratch *w, uint64_t first, unsigned count)
{
    const void *data[VERIFY_LANES];
    uint8_t got[VERIFY_LANES][SHA256_SIZE];
    for (unsigned i = 0; i < count; i++)
        data[i] = w->data + (size_t)i * TREE_DATA_BLOCK;
    sha256_many(data, TREE_DATA_BLOCK, count, got);
    return !crypto_differs(got, w->leaf + first % TREE_FANOUT * TREE_DIGEST,
                           count * sizeof(got[0]));
}

int verify_blocks(const struct verify_source *src, const struct tree_shape *s, uint64_t first,
                  unsigned count, struct verify_scratch *w)
{
    if (!count || count > VERIFY_LANES || first >= s->data_blocks ||
        count > s->data_blocks - first || first % TREE_FANOUT + count > TREE_FANOUT)
        return -EINVAL;
    uint64_t last = first + count - 1;
    uint32_t last_length = tree_block_length(s, last);
    size_t before = (size_t)(count - 1) * TREE_DATA_BLOCK;
    int err = file_bytes(src, w->data, before + last_length, first * TREE_DATA_BLOCK);
    if (err)
        return err;
    if (last_length == TREE_DATA_BLOCK)
        return equal_blocks(w, first, count) ? 0 : -EPERM;
    if (count > 1 && !equal_blocks(w, first, count - 1))
        return -EPERM;
    return tree_check_data(w->leaf, last % TREE_FANOUT, w->data + before, last_length) ? 0 : -EPERM;
}
