/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The cached part of the tree: finding, loading, evicting. */
#include "internal.h"

void pfs_hash_mark_dirty(struct pfs *f, struct hash_node *h)
{
    f->dirty = true;
    for (; h && !h->is_dirty; h = h->parent) {
        h->is_dirty = true;
        f->dirty_hashes++;
    }
}

void pfs_hash_mark_clean(struct pfs *f, struct hash_node *h)
{
    if (h->is_dirty)
        f->dirty_hashes--;
    h->is_dirty = false;
}

static bool is_new(const struct pfs *f, const struct data_node *n)
{
    return n->owner->number * DATA_SLOTS + n->slot >= f->committed;
}

void pfs_data_mark_dirty(struct pfs *f, struct data_node *n)
{
    if (!n->is_dirty) {
        n->is_dirty = true;
        f->dirty_count++;
        f->dirty_new += is_new(f, n);
        list_remove(&n->link);
        list_push(&f->dirty_data, &n->link);
    }
    pfs_hash_mark_dirty(f, n->owner);
}

void pfs_data_mark_clean(struct pfs *f, struct data_node *n)
{
    n->is_dirty = false;
    f->dirty_count--;
    f->dirty_new -= is_new(f, n);
    list_remove(&n->link);
    list_push(n->streamed ? f->clean.prev : &f->clean, &n->link);
}

void pfs_data_insert(struct pfs *f, struct data_node *n, struct hash_node *h, unsigned slot)
{
    n->owner = h;
    n->slot = slot;
    n->is_dirty = n->streamed = false;
    h->data[slot] = n;
    h->kids++;
    list_push(&f->clean, &n->link);
}

/* Takes a node out of the tree and its list; the memory is the caller's. */
static void data_detach(struct pfs *f, struct data_node *n)
{
    if (n->is_dirty) {
        f->dirty_count--;
        f->dirty_new -= is_new(f, n);
    }
    if (f->partial == n)
        f->partial = NULL;
    list_remove(&n->link);
    n->owner->data[n->slot] = NULL;
    n->owner->kids--;
}

void pfs_data_release(struct pfs *f, struct data_node *n)
{
    crypto_wipe(n->bytes, sizeof n->bytes);
    f->env.free(n, sizeof *n);
    f->data_count--;
    pfs_pool_return(f, sizeof *n);
}

int pfs_data_take(struct pfs *f, struct data_node **out)
{
    struct data_node *last = list_empty(&f->clean) ? NULL : DATA_OF(f->clean.prev);
    bool reuse = false;
    if (last && f->data_count >= f->data_floor) {
        bool scan = last->streamed && f->size > f->pool->limit / 2;
        reuse = scan || (!pfs_pool_room(f, sizeof *last) && (last->streamed || !pfs_pool_steal(f)));
    }
    *out = reuse ? NULL : f->env.alloc(sizeof **out);
    if (*out) {
        f->data_count++;
        pfs_pool_charge(f, sizeof **out);
        return 0;
    }
    if (!last)
        return -ENOMEM;
    data_detach(f, last);
    *out = last;
    return 0;
}

static void hash_release(struct pfs *f, struct hash_node *h)
{
    pfs_hash_mark_clean(f, h);
    list_remove(&h->link);
    if (f->last == h)
        f->last = NULL;
    crypto_wipe(h->entries, sizeof h->entries);
    f->env.free(h, sizeof *h);
    f->hash_count--;
    pfs_pool_return(f, sizeof *h);
}

static bool hash_evictable(const struct hash_node *h, const struct hash_node *keep)
{
    return h->parent && !h->kids && !h->is_dirty && h != keep;
}

static void hash_evict(struct pfs *f, struct hash_node *h)
{
    h->parent->child[h->parent_slot] = NULL;
    h->parent->kids--;
    hash_release(f, h);
}

static bool evict_some_hash(struct pfs *f, const struct hash_node *keep)
{
    for (struct link *l = f->hashes.prev; l != &f->hashes; l = l->prev) {
        if (hash_evictable(HASH_OF(l), keep)) {
            hash_evict(f, HASH_OF(l));
            return true;
        }
    }
    return false;
}

static bool evict_some_data(struct pfs *f)
{
    if (list_empty(&f->clean))
        return false;
    struct data_node *n = DATA_OF(f->clean.prev);
    data_detach(f, n);
    pfs_data_release(f, n);
    return true;
}

/* Makes room for a hash node below `keep`. One of them stands for 96 data nodes, so it is rather
 * data that goes. What is dirty stays, so the limit is soft. */
static void hash_make_room(struct pfs *f, const struct hash_node *keep)
{
    bool many = f->hash_count * sizeof(struct hash_node) > f->pool_bytes / 4 * 3;
    if (many && evict_some_hash(f, keep))
        return;
    size_t freed = 0;
    while (freed < sizeof(struct hash_node) && f->data_count > f->data_floor && evict_some_data(f))
        freed += sizeof(struct data_node);
    if (freed < sizeof(struct hash_node)) {
        while (!evict_some_hash(f, keep) && evict_some_data(f))
            ;
    }
}

bool pfs_cache_shrink(struct pfs *f, size_t count)
{
    size_t left = count;
    while (left && evict_some_data(f))
        left--;
    while (left && evict_some_hash(f, NULL))
        left--;
    return left < count;
}

/* A new hash node below `parent`, in no pointer of it yet; content undefined. */
static int hash_take(struct pfs *f, struct hash_node *parent, struct hash_node **out)
{
    if (f->hash_count >= HASH_FLOOR && !pfs_pool_room(f, sizeof **out) && !pfs_pool_steal(f))
        hash_make_room(f, parent);
    struct hash_node *h = f->env.alloc(sizeof *h);
    if (!h) {
        hash_make_room(f, parent);
        h = f->env.alloc(sizeof *h);
    }
    if (!h)
        return -ENOMEM;
    __builtin_memset(h, 0, offsetof(struct hash_node, entries));
    h->parent = parent;
    f->hash_count++;
    pfs_pool_charge(f, sizeof *h);
    list_push(&f->hashes, &h->link);
    *out = h;
    return 0;
}

/* Reads and verifies the content of `h`, or zeros it. */
static int hash_fill(struct pfs *f, struct hash_node *h, const struct entry *e, bool fresh)
{
    if (fresh) {
        __builtin_memset(h->entries, 0, sizeof h->entries);
        return 0;
    }
    int64_t got = pfs_nodes_read(f, group_start(h->number), 1, h->entries);
    if (got < 0)
        return (int)got;
    if (got == 0)
        return pfs_corrupt(f);
    vector_enter(f);
    int rc = pfs_open_node(e, (uint8_t *)h->entries, (uint8_t *)h->entries);
    vector_leave(f);
    return rc ? pfs_corrupt(f) : 0;
}

int pfs_root_load(struct pfs *f, bool fresh)
{
    struct hash_node *h;
    int rc = hash_take(f, NULL, &h);
    if (rc)
        return rc;
    rc = hash_fill(f, h, &f->meta.root, fresh);
    if (rc) {
        hash_release(f, h);
        return rc;
    }
    f->root = h;
    return 0;
}

static int hash_load(struct pfs *f, struct hash_node *parent, unsigned slot, uint64_t number,
                     struct hash_node **out)
{
    struct hash_node *h;
    int rc = hash_take(f, parent, &h);
    if (rc)
        return rc;
    h->number = number;
    h->parent_slot = slot;
    rc = hash_fill(f, h, &parent->entries[DATA_SLOTS + slot],
                   number >= pfs_hash_nodes(pfs_data_nodes(f->size)));
    if (rc) {
        hash_release(f, h);
        return rc;
    }
    parent->child[slot] = h;
    parent->kids++;
    *out = h;
    return 0;
}

int pfs_hash_get(struct pfs *f, uint64_t number, struct hash_node **out)
{
    if (f->last && f->last->number == number) {
        *out = f->last;
        return 0;
    }
    uint8_t path[MAX_DEPTH];
    unsigned depth = 0;
    for (uint64_t m = number; m; m = (m - 1) / CHILD_SLOTS)
        path[depth++] = (m - 1) % CHILD_SLOTS;
    struct hash_node *h = f->root;
    uint64_t at = 0;
    while (depth) {
        unsigned slot = path[--depth];
        at = at * CHILD_SLOTS + slot + 1;
        struct hash_node *c = h->child[slot];
        if (!c) {
            int rc = hash_load(f, h, slot, at, &c);
            if (rc)
                return rc;
        }
        h = c;
    }
    list_remove(&h->link);
    list_push(&f->hashes, &h->link);
    f->last = h;
    *out = h;
    return 0;
}

/* Decrypts `count` nodes from the transit buffer into the cache. Only the first must succeed. */
static int data_fill(struct pfs *f, struct hash_node *h, unsigned slot, size_t count)
{
    struct data_node *taken[DATA_SLOTS];
    size_t have = 0, good = 0;
    int rc = 0;
    while (have < count && !(rc = pfs_data_take(f, &taken[have])))
        have++;
    if (!have)
        return rc;
    vector_enter(f);
    while (good < have && !pfs_open_node(&h->entries[slot + good], f->io + good * PFS_NODE_SIZE,
                                         taken[good]->bytes))
        good++;
    vector_leave(f);
    for (size_t i = 0; i < have; i++) {
        if (i < good)
            pfs_data_insert(f, taken[i], h, slot + (unsigned)i);
        else
            pfs_data_release(f, taken[i]);
    }
    return good ? 0 : pfs_corrupt(f);
}

int pfs_data_fetch(struct pfs *f, struct hash_node *h, unsigned slot, size_t want)
{
    uint64_t first = h->number * DATA_SLOTS + slot;
    uint64_t exist = pfs_data_nodes(f->size) - first;
    if (want > f->data_limit / 3)
        want = f->data_limit / 3; /* so much is never dirty */
    if (want > DATA_SLOTS - slot)
        want = DATA_SLOTS - slot;
    if (want > exist)
        want = exist;
    for (size_t i = 1; i < want; i++) {
        if (h->data[slot + i])
            want = i;
    }
    if (pfs_io_reserve(f, want)) {
        int rc = pfs_io_reserve(f, 1);
        if (rc)
            return rc;
        want = 1;
    }
    int64_t got = pfs_nodes_read(f, group_start(h->number) + 1 + slot, want, f->io);
    if (got < 0)
        return (int)got;
    if (got == 0)
        return pfs_corrupt(f);
    return data_fill(f, h, slot, (size_t)got);
}

int pfs_data_complete(struct pfs *f)
{
    struct data_node *n = f->partial;
    if (!n)
        return 0;
    int64_t got = pfs_nodes_read(f, group_start(n->owner->number) + 1 + n->slot, 1, f->scratch);
    if (got < 0)
        return (int)got;
    if (got == 0)
        return pfs_corrupt(f);
    vector_enter(f);
    int rc = pfs_open_node(&n->owner->entries[n->slot], f->scratch, f->scratch);
    vector_leave(f);
    if (rc)
        return pfs_corrupt(f);
    __builtin_memcpy(n->bytes + f->partial_end, f->scratch + f->partial_end,
                     PFS_NODE_SIZE - f->partial_end);
    crypto_wipe(f->scratch, PFS_NODE_SIZE);
    f->partial = NULL;
    return 0;
}

void pfs_cache_cut(struct pfs *f, uint64_t size)
{
    uint64_t nd = pfs_data_nodes(size), nm = pfs_hash_nodes(nd);
    struct link *l, *next;
    for (l = f->hashes.next; l != &f->hashes; l = l->next) {
        struct hash_node *h = HASH_OF(l);
        for (unsigned i = 0; i < DATA_SLOTS && h->kids; i++) {
            if (h->data[i] && h->number * DATA_SLOTS + i >= nd) {
                struct data_node *n = h->data[i];
                data_detach(f, n);
                pfs_data_release(f, n);
            }
        }
        if (h->number >= nm && h->parent && h->parent->number < nm) {
            h->parent->child[h->parent_slot] = NULL;
            h->parent->kids--;
        }
    }
    for (l = f->hashes.next; l != &f->hashes; l = next) {
        next = l->next;
        if (HASH_OF(l)->number >= nm)
            hash_release(f, HASH_OF(l));
    }
    if (nm == 0) {
        f->root = NULL;
        crypto_wipe(&f->meta.root, sizeof f->meta.root);
    }
}

void pfs_cache_free(struct pfs *f)
{
    pfs_cache_cut(f, 0);
    if (f->io)
        f->env.free(f->io, f->io_nodes * PFS_NODE_SIZE);
    f->io = NULL;
    f->io_nodes = 0;
}
