/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A whole new file at once, by several threads. A group is a hash node and its 96 data nodes; the
 * groups are independent but for the hash nodes that have children, which wait in memory until all
 * groups are there. A group without children is written in one piece.
 */
#include "pfs/bulk.h"
#include "pfs/internal.h"

struct pfs_bulk {
    struct pfs file; /* for node 0 and the storage; no cache */
    uint64_t data_nodes, hash_nodes;
    uint64_t inner_count; /* hash nodes with children, which are the first ones; at least node 0 */
    struct entry (*inner)[DATA_SLOTS + CHILD_SLOTS];
};

static size_t inner_bytes(const struct pfs_bulk *b)
{
    return (size_t)b->inner_count * sizeof *b->inner;
}

void pfs_bulk_abort(struct pfs_bulk *b)
{
    struct pfs_env env = b->file.env;
    if (b->inner) {
        crypto_wipe(b->inner, inner_bytes(b));
        env.free(b->inner, inner_bytes(b));
    }
    crypto_wipe(b, sizeof *b);
    env.free(b, sizeof *b);
}

int pfs_bulk_begin(const struct pfs_env *env, const struct pfs_backend *backend,
                   const uint8_t key[PFS_KEY_SIZE], const char *path, uint64_t size,
                   struct pfs_bulk **out)
{
    if (size <= INLINE_SIZE)
        return -EINVAL;
    if (size > PFS_MAX_SIZE)
        return -EFBIG;
    struct pfs_bulk *b = env->alloc(sizeof *b);
    if (!b)
        return -ENOMEM;
    __builtin_memset(b, 0, sizeof *b);
    b->file.env = *env;
    b->file.backend = *backend;
    b->file.size = size;
    b->file.info.major = 2;
    __builtin_memcpy(b->file.wrap_key, key, PFS_KEY_SIZE);
    b->data_nodes = pfs_data_nodes(size);
    b->hash_nodes = pfs_hash_nodes(b->data_nodes);
    b->inner_count = 1 + (b->hash_nodes > 1 ? (b->hash_nodes - 2) / CHILD_SLOTS : 0);
    int rc = pfs_normalize_path(path, b->file.meta.path);
    if (!rc && b->inner_count > PFS_BULK_INNER_MAX)
        rc = -E2BIG;
    if (!rc) {
        b->inner = env->alloc(inner_bytes(b));
        rc = b->inner ? 0 : -ENOMEM;
    }
    if (rc) {
        pfs_bulk_abort(b);
        return rc;
    }
    __builtin_memset(b->inner, 0, inner_bytes(b));
    *out = b;
    return 0;
}

uint64_t pfs_bulk_groups(const struct pfs_bulk *b)
{
    return b->hash_nodes;
}

static struct entry *bulk_entry(struct pfs_bulk *b, uint64_t number)
{
    if (!number)
        return &b->file.meta.root;
    uint64_t parent = (number - 1) / CHILD_SLOTS;
    return &b->inner[parent][DATA_SLOTS + (number - 1) % CHILD_SLOTS];
}

static void seal_data(struct entry *entries, const uint8_t (*keys)[AES128_KEY_SIZE], size_t count,
                      uint8_t *nodes)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t *node = nodes + i * PFS_NODE_SIZE;
        __builtin_memcpy(entries[i].key, keys[i], AES128_KEY_SIZE);
        pfs_seal_node(node, node, &entries[i]);
    }
}

int pfs_bulk_group(struct pfs_bulk *b, uint64_t number, uint8_t *buf)
{
    uint8_t keys[GROUP_NODES][AES128_KEY_SIZE];
    uint64_t left = b->data_nodes - number * DATA_SLOTS;
    size_t count = left < DATA_SLOTS ? (size_t)left : DATA_SLOTS;
    bool leaf = number >= b->inner_count;
    struct entry *entries = leaf ? (struct entry *)(void *)buf : b->inner[number];
    size_t tail = (b->file.size - INLINE_SIZE) % PFS_NODE_SIZE;
    int rc = pfs_random(&b->file, keys, (count + leaf) * AES128_KEY_SIZE);
    if (rc)
        return rc;
    if (left <= DATA_SLOTS && tail)
        __builtin_memset(buf + count * PFS_NODE_SIZE + tail, 0, PFS_NODE_SIZE - tail);
    if (leaf)
        __builtin_memset(buf, 0, PFS_NODE_SIZE);
    vector_enter(&b->file);
    seal_data(entries, keys, count, buf + PFS_NODE_SIZE);
    if (leaf) {
        struct entry *e = bulk_entry(b, number);
        __builtin_memcpy(e->key, keys[count], AES128_KEY_SIZE);
        pfs_seal_node(buf, buf, e);
    }
    vector_leave(&b->file);
    crypto_wipe(keys, sizeof keys);
    return pfs_nodes_write(&b->file, group_start(number) + !leaf, count + leaf,
                           buf + !leaf * PFS_NODE_SIZE);
}

/* The hash nodes that waited for their children. */
static int write_inner(struct pfs_bulk *b)
{
    for (uint64_t number = b->inner_count; number--;) {
        struct entry *e = bulk_entry(b, number);
        int rc = pfs_random(&b->file, e->key, sizeof e->key);
        if (rc)
            return rc;
        vector_enter(&b->file);
        pfs_seal_node((const uint8_t *)b->inner[number], (uint8_t *)b->inner[number], e);
        vector_leave(&b->file);
        rc = pfs_nodes_write(&b->file, group_start(number), 1, b->inner[number]);
        if (rc)
            return rc;
    }
    return 0;
}

int pfs_bulk_end(struct pfs_bulk *b, const uint8_t start[PFS_INLINE_SIZE])
{
    __builtin_memcpy(b->file.meta.data, start, INLINE_SIZE);
    int rc = write_inner(b);
    if (!rc)
        rc = pfs_meta_write(&b->file);
    pfs_bulk_abort(b);
    return rc;
}
