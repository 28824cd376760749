/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Writing. All nodes but node 0 leave through group_write() and pfs_append_direct(); a commit
 * logs what it will overwrite (undo.c), then writes data nodes and hash nodes bottom up, node 1
 * last of them, then node 0.
 *
 * A node counts as clean only after its write succeeded. After a failure its entry in the parent
 * belongs to a ciphertext that may not be on the storage; that is harmless because the dirty node
 * stays in memory and is sealed again, under a new key, by the next attempt.
 */
#include "internal.h"

static struct entry *entry_of(struct pfs *f, struct hash_node *h)
{
    return h->parent ? &h->parent->entries[DATA_SLOTS + h->parent_slot] : &f->meta.root;
}

/* Whether data node `n` may be written outside a commit: new, and complete. */
static bool early(const struct pfs *f, const struct data_node *n)
{
    uint64_t d = n->owner->number * DATA_SLOTS + n->slot;
    return n != f->partial && d >= f->committed && INLINE_SIZE + (d + 1) * PFS_NODE_SIZE <= f->size;
}

/* Seals the chosen data nodes, and then `h` itself if `with_hash`, into f->io: `h` first, the data
 * nodes behind it without gaps. */
static int group_seal(struct pfs *f, struct hash_node *h, const bool *chosen, size_t count,
                      bool with_hash)
{
    uint8_t keys[GROUP_NODES][AES128_KEY_SIZE];
    size_t used = 0;
    int rc = pfs_io_reserve(f, count + with_hash);
    if (!rc)
        rc = pfs_random(f, keys, (count + with_hash) * AES128_KEY_SIZE);
    if (rc)
        return rc;
    vector_enter(f);
    for (unsigned i = 0; i < DATA_SLOTS; i++) {
        if (!chosen[i])
            continue;
        __builtin_memcpy(h->entries[i].key, keys[used], AES128_KEY_SIZE);
        pfs_seal_node(h->data[i]->bytes, f->io + (with_hash + used++) * PFS_NODE_SIZE,
                      &h->entries[i]);
    }
    if (with_hash) {
        struct entry *e = entry_of(f, h);
        __builtin_memcpy(e->key, keys[used], AES128_KEY_SIZE);
        pfs_seal_node((uint8_t *)h->entries, f->io, e);
    }
    vector_leave(f);
    crypto_wipe(keys, sizeof keys);
    return 0;
}

/* Writes dirty data nodes of `h`: all of them and `h` itself in a commit, else the early ones. */
static int group_write(struct pfs *f, struct hash_node *h, bool commit)
{
    bool present[GROUP_NODES + 1] = {commit};
    size_t count = 0;
    int rc = commit ? 0 : pfs_before_early(f, h);
    if (rc)
        return rc;
    for (unsigned i = 0; i < DATA_SLOTS; i++) {
        const struct data_node *n = h->data[i];
        present[1 + i] = n && n->is_dirty && (commit || early(f, n));
        count += present[1 + i];
    }
    rc = group_seal(f, h, present + 1, count, commit);
    if (rc)
        return rc;
    const uint8_t *io = f->io;
    for (unsigned i = 0, end; i < GROUP_NODES; i = end + 1) {
        for (end = i; present[end]; end++)
            ;
        if (end == i)
            continue;
        rc = pfs_nodes_write(f, group_start(h->number) + i, end - i, io);
        if (rc)
            return rc;
        io += (end - i) * PFS_NODE_SIZE;
    }
    for (unsigned i = 0; i < DATA_SLOTS; i++) {
        if (present[1 + i])
            pfs_data_mark_clean(f, h->data[i]);
    }
    if (commit)
        pfs_hash_mark_clean(f, h);
    return 0;
}

/* Visits the dirty hash nodes, children first. */
static int commit_tree(struct pfs *f)
{
    struct {
        struct hash_node *h;
        unsigned next;
    } stack[MAX_DEPTH];
    unsigned depth = 1;
    stack[0].h = f->root;
    stack[0].next = 0;
    while (depth) {
        struct hash_node *h = stack[depth - 1].h;
        unsigned i = stack[depth - 1].next;
        while (i < CHILD_SLOTS && !(h->child[i] && h->child[i]->is_dirty))
            i++;
        if (i < CHILD_SLOTS) {
            stack[depth - 1].next = i + 1;
            stack[depth].h = h->child[i];
            stack[depth++].next = 0;
            continue;
        }
        int rc = group_write(f, h, true);
        if (rc)
            return rc;
        depth--;
    }
    return 0;
}

int pfs_commit(struct pfs *f)
{
    if (!f->dirty)
        return 0;
    int rc = pfs_data_complete(f);
    if (!rc)
        rc = pfs_log_begin(f);
    if ((rc == -ENOSPC || rc == -EDQUOT) && f->emptied)
        rc = pfs_start_over(f);
    if (!rc && f->root && f->root->is_dirty)
        rc = commit_tree(f);
    if (!rc)
        rc = pfs_meta_write(f);
    if (rc)
        return rc;
    f->committed = pfs_data_nodes(f->size);
    f->dirty = f->emptied = false;
    pfs_log_end(f);
    return 0;
}

int pfs_write_back(struct pfs *f)
{
    struct link *l = f->dirty_data.next;
    while (l != &f->dirty_data) {
        struct data_node *n = DATA_OF(l);
        if (!early(f, n)) {
            l = l->next;
            continue;
        }
        int rc = group_write(f, n->owner, false);
        if (rc)
            return rc;
        l = f->dirty_data.next;
    }
    if (f->dirty_count > f->data_limit / 4)
        return pfs_commit(f);
    return 0;
}

int pfs_append_direct(struct pfs *f, struct hash_node *h, unsigned slot, size_t count,
                      const uint8_t *src)
{
    static const uint8_t zeros[PFS_NODE_SIZE];
    uint8_t keys[DATA_SLOTS][AES128_KEY_SIZE];
    int rc = pfs_before_early(f, h);
    if (!rc)
        rc = pfs_io_reserve(f, count);
    if (!rc)
        rc = pfs_random(f, keys, count * AES128_KEY_SIZE);
    if (rc)
        return rc;
    vector_enter(f);
    for (size_t i = 0; i < count; i++) {
        struct entry *e = &h->entries[slot + i];
        __builtin_memcpy(e->key, keys[i], AES128_KEY_SIZE);
        pfs_seal_node(src ? src + i * PFS_NODE_SIZE : zeros, f->io + i * PFS_NODE_SIZE, e);
    }
    vector_leave(f);
    crypto_wipe(keys, sizeof keys);
    pfs_hash_mark_dirty(f, h);
    return pfs_nodes_write(f, group_start(h->number) + 1 + slot, count, f->io);
}
