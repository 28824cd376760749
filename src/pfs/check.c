/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Verifying a whole file node by node, going on after a failure. */
#include "pfs/internal.h"

struct walk {
    struct pfs *f;
    uint64_t data_nodes, hash_nodes;
    void (*bad)(void *ctx, const struct pfs_damage *d);
    void *ctx;
    uint8_t *data; /* DATA_SLOTS nodes */
    struct level {
        struct entry entries[DATA_SLOTS + CHILD_SLOTS];
        uint64_t number;
        unsigned next; /* child to visit */
    } * levels[MAX_DEPTH];
};

static uint64_t content_end(const struct walk *w, uint64_t data_node)
{
    uint64_t end = INLINE_SIZE + data_node * PFS_NODE_SIZE;
    return end < w->f->size ? end : w->f->size;
}

/* Content bytes that hang below hash node `number`. */
static uint64_t bytes_below(const struct walk *w, uint64_t number)
{
    uint64_t sum = 0, first = number, last = number;
    while (first < w->hash_nodes) {
        uint64_t to = last < w->hash_nodes ? last + 1 : w->hash_nodes;
        sum += content_end(w, to * DATA_SLOTS) - content_end(w, first * DATA_SLOTS);
        first = first * CHILD_SLOTS + 1;
        last = last * CHILD_SLOTS + CHILD_SLOTS;
    }
    return sum;
}

static void report_hash(const struct walk *w, uint64_t number, bool missing)
{
    struct pfs_damage d = {.node = group_start(number),
                           .missing = missing,
                           .is_hash = true,
                           .offset = INLINE_SIZE + number * DATA_SLOTS * PFS_NODE_SIZE,
                           .bytes = bytes_below(w, number)};
    w->bad(w->ctx, &d);
}

static void report_data(const struct walk *w, uint64_t number, uint64_t node, bool missing)
{
    struct pfs_damage d = {.node = node,
                           .missing = missing,
                           .offset = content_end(w, number),
                           .bytes = content_end(w, number + 1) - content_end(w, number)};
    w->bad(w->ctx, &d);
}

static int check_data(struct walk *w, const struct level *l)
{
    uint64_t first = l->number * DATA_SLOTS, node = group_start(l->number) + 1;
    uint64_t left = w->data_nodes - first;
    size_t count = left < DATA_SLOTS ? (size_t)left : DATA_SLOTS;
    int64_t got = pfs_nodes_read(w->f, node, count, w->data);
    if (got < 0)
        return (int)got;
    if ((size_t)got < count) { /* the end of the storage, or an error further on? */
        int64_t more = pfs_nodes_read(w->f, node + (uint64_t)got, 1, w->f->scratch);
        if (more < 0)
            return (int)more;
    }
    bool good[DATA_SLOTS] = {false};
    vector_enter(w->f);
    for (size_t i = 0; i < (size_t)got; i++) {
        uint8_t *p = w->data + i * PFS_NODE_SIZE;
        good[i] = !pfs_open_node(&l->entries[i], p, p);
    }
    vector_leave(w->f);
    crypto_wipe(w->data, (size_t)got * PFS_NODE_SIZE);
    for (size_t i = 0; i < count; i++) {
        if (!good[i])
            report_data(w, first + i, node + i, i >= (size_t)got);
    }
    return 0;
}

/* Brings hash node `number` to level `depth`: 1, or 0 when it is damaged, or an error. */
static int enter(struct walk *w, unsigned depth, uint64_t number, const struct entry *e)
{
    struct level *l = w->levels[depth];
    if (!l) {
        l = w->levels[depth] = w->f->env.alloc(sizeof *l);
        if (!l)
            return -ENOMEM;
    }
    int64_t got = pfs_nodes_read(w->f, group_start(number), 1, l->entries);
    if (got < 0)
        return (int)got;
    vector_enter(w->f);
    bool good = got && !pfs_open_node(e, (uint8_t *)l->entries, (uint8_t *)l->entries);
    vector_leave(w->f);
    if (!good) {
        report_hash(w, number, !got);
        return 0;
    }
    l->number = number;
    l->next = 0;
    int rc = check_data(w, l);
    return rc ? rc : 1;
}

static int walk(struct walk *w)
{
    int rc = enter(w, 0, 0, &w->f->meta.root);
    unsigned depth = rc > 0;
    while (depth && rc >= 0) {
        struct level *l = w->levels[depth - 1];
        uint64_t child = l->number * CHILD_SLOTS + 1 + l->next;
        if (l->next == CHILD_SLOTS || child >= w->hash_nodes) {
            depth--;
            continue;
        }
        rc = enter(w, depth, child, &l->entries[DATA_SLOTS + l->next++]);
        depth += rc > 0;
    }
    return rc < 0 ? rc : 0;
}

int pfs_check(struct pfs *f, void (*bad)(void *ctx, const struct pfs_damage *d), void *ctx)
{
    IN_USE(f);
    if (f->dirty)
        return -EBUSY;
    struct walk w = {.f = f, .data_nodes = pfs_data_nodes(f->size), .bad = bad, .ctx = ctx};
    w.hash_nodes = pfs_hash_nodes(w.data_nodes);
    if (!w.hash_nodes)
        return 0;
    w.data = f->env.alloc(DATA_SLOTS * PFS_NODE_SIZE);
    int rc = w.data ? walk(&w) : -ENOMEM;
    for (unsigned i = 0; i < MAX_DEPTH && w.levels[i]; i++) {
        crypto_wipe(w.levels[i], sizeof *w.levels[i]);
        f->env.free(w.levels[i], sizeof *w.levels[i]);
    }
    if (w.data)
        f->env.free(w.data, DATA_SLOTS * PFS_NODE_SIZE);
    return rc;
}
