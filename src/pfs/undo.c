/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Crash safety of writing. recovery.c is the other half.
 *
 * The storage may lose power: of the writes since the last sync any subset has arrived, in any
 * order, torn at 512 bytes. Or the process alone dies: then all writes up to some point have
 * arrived.
 *
 * A commit turns version V on the storage into version W. It overwrites nodes of V, node 0 among
 * them, in place. Before that it writes an undo log: a header that names V (by its root tag), the
 * nodes of V that will be overwritten and the nodes that W adds, followed by the old content of the
 * former. Where the log lies is noted in the padding of node 0, in its last 512 bytes. The format
 * gives no meaning to the padding, nor to what follows the last node, which is where the log lies:
 * a reader that knows nothing of logs is not disturbed, and there is no second file to be created,
 * renamed, removed or lost.
 *
 * The steps of a commit, and what holds after each:
 *
 *   1 log and note written    V is untouched; the previous log, if V needs it, too
 *   2 sync                    V is durable, and so is the log: the previous log is not needed
 *   3 nodes, then node 0      each node of V is in place or in the log. If the process dies, node 0
 *                             is V's until everything else is written
 *   (a sync by the caller)    W is durable; the log is not needed
 *
 * Two slots for the notes: writing the next log leaves the one that is still needed alone, on the
 * storage and in the notes. Between two syncs the last sector of node 0 has at most the content of
 * V, of W, and W's with the next note: each has the note that is needed.
 *
 * A *fresh* file was never synced, so power loss may take it as a whole; a note in the padding says
 * so and in which boot of the host. It needs no step 2. A version that is found in a later boot is
 * believed only if every node verifies.
 *
 * Data nodes beyond those of V are written early, before a commit, but not where a version lies
 * that a power loss could bring back (below `guard`) nor over a log that is needed: those wait for
 * a sync.
 *
 * Cutting a file removes nothing from the storage before the smaller size is durable. On a full
 * disk a file that was emptied goes another way: blank.c.
 */
#include "internal.h"

/* The notes in the padding of node 0. Hints, all of them: nothing is trusted before it verifies. */
struct mark {
    uint8_t magic[8];
    uint8_t fresh;
    uint8_t reserved[7];
    uint8_t boot_id[PFS_BOOT_SIZE];
    uint8_t sum[GCM_TAG_SIZE];
    uint8_t slot[2][2][8];
    uint8_t blank[CMAC_SIZE]; /* blank.c; zeros: none */
};
_Static_assert(sizeof(struct mark) <= PADDING_SIZE, "the notes fit");
_Static_assert(sizeof(struct log_head) % 8 == 0, "numbers are aligned");

#define MARK_MAGIC UINT64_C(0x4b52414d54594441) /* "ADYTMARK" */
#define LOG_MAGIC  UINT64_C(0x4f444e5554594441) /* "ADYTUNDO" */
#define LEAVE      64 /* so many nodes, of logs mostly, may stay behind the file after close */

void pfs_mark_pack(const struct pfs *f, uint8_t pad[PADDING_SIZE])
{
    struct mark m = {.fresh = f->fresh};
    if (!f->fresh && !f->is_blank && !f->slot[0].nodes && !f->slot[1].nodes) {
        __builtin_memcpy(pad, f->padding, PADDING_SIZE);
        return;
    }
    store64(m.magic, MARK_MAGIC);
    if (f->fresh) {
        __builtin_memcpy(m.boot_id, f->boot_id, sizeof m.boot_id);
        __builtin_memcpy(m.sum, f->sum, sizeof m.sum);
    }
    if (f->is_blank)
        __builtin_memcpy(m.blank, f->blank, sizeof m.blank);
    for (int i = 0; i < 2; i++) {
        store64(m.slot[i][0], f->slot[i].first);
        store64(m.slot[i][1], f->slot[i].nodes);
    }
    __builtin_memset(pad, 0, PADDING_SIZE);
    __builtin_memcpy(pad, &m, sizeof m);
}

static bool all_zero(const uint8_t *p, size_t n)
{
    uint8_t any = 0;
    while (n--)
        any |= *p++;
    return !any;
}

bool pfs_may_have_log(const uint8_t node0[PFS_NODE_SIZE])
{
    return load64(node0 + OFF_PAD) == MARK_MAGIC;
}

bool pfs_mark_unpack(struct pfs *f, const uint8_t pad[PADDING_SIZE], bool *same_boot)
{
    struct mark m;
    __builtin_memcpy(&m, pad, sizeof m);
    if (load64(m.magic) != MARK_MAGIC) {
        __builtin_memcpy(f->padding, pad, PADDING_SIZE);
        return false;
    }
    f->fresh = m.fresh == 1;
    __builtin_memcpy(f->sum, m.sum, sizeof f->sum);
    __builtin_memcpy(f->blank, m.blank, sizeof f->blank);
    f->is_blank = !all_zero(f->blank, sizeof f->blank);
    *same_boot = !all_zero(f->boot_id, PFS_BOOT_SIZE) &&
                 !__builtin_memcmp(m.boot_id, f->boot_id, PFS_BOOT_SIZE);
    for (int i = 0; i < 2; i++) {
        f->slot[i].first = load64(m.slot[i][0]);
        f->slot[i].nodes = load64(m.slot[i][1]);
    }
    return true;
}

int pfs_mark_write(struct pfs *f)
{
    uint8_t pad[PADDING_SIZE];
    pfs_mark_pack(f, pad);
    f->touched = true;
    return pfs_bytes_write(f, OFF_PAD, pad, sizeof pad);
}

void pfs_mark_sum(struct pfs *f, const uint8_t *raw, uint8_t sum[GCM_TAG_SIZE])
{
    uint8_t hash[SHA256_SIZE];
    vector_enter(f);
    sha256(raw, OFF_PAD, hash);
    vector_leave(f);
    __builtin_memcpy(sum, hash, GCM_TAG_SIZE);
}

void pfs_log_mac(struct pfs *f, struct log_head *head, size_t n, uint8_t mac[CMAC_SIZE])
{
    static const uint8_t label[16] = "ADYTON-UNDO-LOG";
    uint8_t key[AES128_KEY_SIZE], kept[CMAC_SIZE], made[CMAC_SIZE];
    __builtin_memcpy(kept, head->mac, CMAC_SIZE);
    __builtin_memset(head->mac, 0, CMAC_SIZE);
    vector_enter(f);
    aes128_cmac(f->wrap_key, label, sizeof label, key);
    aes128_cmac(key, head, n, made);
    vector_leave(f);
    __builtin_memcpy(head->mac, kept, CMAC_SIZE);
    __builtin_memcpy(mac, made, CMAC_SIZE);
    crypto_wipe(key, sizeof key);
}

const struct undo_entry *pfs_undo_find(const struct undo *u, uint64_t node)
{
    size_t low = 0, high = u->count; /* the first entry above `node` */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (u->entry[mid].node <= node)
            low = mid + 1;
        else
            high = mid;
    }
    return low && u->entry[low - 1].node == node ? &u->entry[low - 1] : NULL;
}

void pfs_undo_free(struct pfs *f)
{
    if (f->undo.entry)
        f->env.free(f->undo.entry, f->undo.limit * sizeof *f->undo.entry);
    f->undo = (struct undo){0};
}

static bool below(const struct undo_entry *a, const struct undo_entry *b)
{
    return a->node < b->node || (a->node == b->node && a->offset < b->offset);
}

static void sift(struct undo_entry *e, size_t i, size_t n)
{
    struct undo_entry moved = e[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && below(&e[child], &e[child + 1]))
            child++;
        if (!below(&moved, &e[child]))
            break;
        e[i] = e[child];
    }
    e[i] = moved;
}

void pfs_undo_sort(struct undo_entry *e, size_t n)
{
    for (size_t i = n / 2; i--;)
        sift(e, i, n);
    while (n > 1) {
        struct undo_entry last = e[--n];
        e[n] = e[0];
        e[0] = last;
        sift(e, 0, n);
    }
}

/* A log in the making. */
struct plan {
    struct undo_entry *entry; /* what will be overwritten, and where its old content is */
    size_t entries, limit;
    struct log_head *head;
    size_t added, bytes; /* of the header, whole nodes */
    uint64_t first;
};

static void plan_old(struct pfs *f, struct plan *p, uint64_t node)
{
    if (f->log_open && pfs_undo_find(&f->undo, node))
        return; /* the log that is open has it */
    p->entry[p->entries++] = (struct undo_entry){node, node * PFS_NODE_SIZE};
}

static void plan_node(struct pfs *f, struct plan *p, uint64_t node, bool old)
{
    uint8_t *numbers = (uint8_t *)(p->head + 1);
    if (old)
        plan_old(f, p, node);
    else
        store64(numbers + 8 * (p->limit - ++p->added), node);
}

/* Collects the dirty nodes: old ones in p->entry, added ones at the end of the header. */
static void plan_collect(struct pfs *f, struct plan *p)
{
    uint64_t hashes = pfs_hash_nodes(f->committed);
    for (size_t i = 0; f->log_open && i < f->undo.count; i++)
        p->entry[p->entries++] = f->undo.entry[i];
    plan_old(f, p, 0);
    for (struct link *l = f->hashes.next; l != &f->hashes; l = l->next) {
        const struct hash_node *h = HASH_OF(l);
        if (h->is_dirty)
            plan_node(f, p, group_start(h->number), h->number < hashes);
    }
    for (struct link *l = f->dirty_data.next; l != &f->dirty_data; l = l->next) {
        const struct data_node *n = DATA_OF(l);
        plan_node(f, p, group_start(n->owner->number) + 1 + n->slot,
                  n->owner->number * DATA_SLOTS + n->slot < f->committed);
    }
    pfs_undo_sort(p->entry, p->entries);
    uint8_t *numbers = (uint8_t *)(p->head + 1);
    for (size_t i = 0; i < p->entries; i++)
        store64(numbers + 8 * i, p->entry[i].node);
    if (p->added)
        __builtin_memmove(numbers + 8 * p->entries, numbers + 8 * (p->limit - p->added),
                          8 * p->added);
}

/* Behind everything that may be needed, the log that still is included. */
static uint64_t plan_place(const struct pfs *f, uint64_t nodes)
{
    uint64_t data = pfs_data_nodes(f->size);
    if (data < f->committed)
        data = f->committed;
    if (data < f->guard)
        data = f->guard;
    uint64_t first = pfs_extent(data);
    const struct log_slot *kept = &f->slot[f->newest];
    if ((f->live || f->log_open) && first < kept->first + kept->nodes &&
        kept->first < first + nodes)
        first = kept->first + kept->nodes;
    return first;
}

/* Reads old content of up to `n` nodes of the plan, from entry `i` on, into f->io. */
static int plan_fetch(struct pfs *f, const struct plan *p, size_t i, size_t n)
{
    for (size_t done = 0, run; done < n; done += run) {
        const struct undo_entry *e = &p->entry[i + done];
        for (run = 1; done + run < n && e[run].offset == e->offset + run * PFS_NODE_SIZE; run++)
            ;
        uint8_t *to = f->io + done * PFS_NODE_SIZE;
        int64_t got = pfs_nodes_read(f, e->offset / PFS_NODE_SIZE, run, to);
        if (got < 0)
            return (int)got;
        run = (size_t)got;
        if (got)
            continue;
        int64_t storage = f->backend.size(f->backend.ctx);
        if (!e->node || storage < 0 || (uint64_t)storage >= e->offset + PFS_NODE_SIZE)
            return clean_error(storage); /* the host fails */
        /* What is missing was damaged before; its undoing will not verify. */
        __builtin_memset(to, 0, PFS_NODE_SIZE);
        run = 1;
    }
    return 0;
}

/* Copies old content of up to `n` nodes of the plan, from entry `i` on, to node `at`, as far as the
 * storage does that by itself; returns how many. */
static size_t plan_copy(struct pfs *f, const struct plan *p, size_t i, size_t n, uint64_t at)
{
    size_t done = 0;
    while (done < n && f->backend.copy) {
        const struct undo_entry *e = &p->entry[i + done];
        size_t run = 1;
        while (done + run < n && e[run].offset == e->offset + run * PFS_NODE_SIZE)
            run++;
        int64_t got = f->backend.copy(f->backend.ctx, e->offset, (at + done) * PFS_NODE_SIZE,
                                      run * PFS_NODE_SIZE);
        if (got < PFS_NODE_SIZE || (uint64_t)got > run * PFS_NODE_SIZE)
            break;
        done += (size_t)got / PFS_NODE_SIZE;
    }
    return done;
}

/* Writes the log of the plan. p->entry leads into it afterwards. */
static int plan_write(struct pfs *f, struct plan *p)
{
    uint64_t at = p->first + p->bytes / PFS_NODE_SIZE;
    int rc = pfs_io_reserve(f, p->entries < GROUP_NODES ? p->entries : GROUP_NODES);
    for (size_t i = 0, n; !rc && i < p->entries; i += n) {
        n = p->entries - i < GROUP_NODES ? p->entries - i : GROUP_NODES;
        size_t copied = plan_copy(f, p, i, n, at + i);
        i += copied;
        n -= copied;
        if (!n)
            continue;
        rc = plan_fetch(f, p, i, n);
        if (!rc)
            rc = pfs_nodes_write(f, at + i, n, f->io);
    }
    if (rc)
        return rc;
    for (size_t i = 0; i < p->entries; i++)
        p->entry[i].offset = (at + i) * PFS_NODE_SIZE;
    struct log_head *h = p->head;
    store64(h->magic, LOG_MAGIC);
    store64(h->seq, f->log_seq + 1);
    store64(h->first, p->first);
    store64(h->old, p->entries);
    store64(h->added, p->added);
    store64(h->committed, f->committed);
    __builtin_memcpy(h->tag, f->tag, sizeof h->tag);
    pfs_log_mac(f, h, sizeof *h + 8 * (p->entries + p->added), h->mac);
    return pfs_nodes_write(f, p->first, p->bytes / PFS_NODE_SIZE, h);
}

/* Notes where the log is; durable on return, unless the file is fresh. */
static int plan_publish(struct pfs *f, const struct plan *p)
{
    unsigned other = !f->newest;
    struct log_slot before = f->slot[other];
    f->slot[other] = (struct log_slot){p->first, p->bytes / PFS_NODE_SIZE + p->entries};
    int rc = pfs_mark_write(f);
    if (!rc && !f->fresh)
        rc = pfs_sync(f);
    if (rc) {
        f->slot[other] = before;
        return rc;
    }
    f->newest = other;
    f->live = true;
    f->log_seq++;
    return 0;
}

static int plan_run(struct pfs *f, struct plan *p)
{
    plan_collect(f, p);
    p->bytes = sizeof *p->head + 8 * (p->entries + p->added);
    p->bytes = (p->bytes + PFS_NODE_SIZE - 1) / PFS_NODE_SIZE * PFS_NODE_SIZE;
    p->first = plan_place(f, p->bytes / PFS_NODE_SIZE + p->entries);
    int rc = plan_write(f, p);
    if (!rc)
        rc = plan_publish(f, p);
    if (rc)
        return rc;
    pfs_undo_free(f);
    f->undo = (struct undo){p->entry, p->entries, p->limit, &f->backend};
    p->entry = NULL;
    f->log_open = true;
    return 0;
}

/* Whether the commit at hand overwrites anything that a crash may not mix. */
static bool log_needed(const struct pfs *f)
{
    if (f->untracked)
        return false;
    /* A single write of node 0 is all or nothing where there is no power loss to think of. */
    return !f->fresh || f->log_open || f->force_log ||
           (f->committed && f->root && f->root->is_dirty);
}

int pfs_log_begin(struct pfs *f)
{
    if (!log_needed(f))
        return 0;
    struct plan p = {.limit =
                         1 + f->dirty_hashes + f->dirty_count + (f->log_open ? f->undo.count : 0)};
    size_t head =
        (sizeof *p.head + 8 * p.limit + PFS_NODE_SIZE - 1) / PFS_NODE_SIZE * PFS_NODE_SIZE;
    if (head > LOG_LIMIT)
        return -ENOMEM;
    p.entry = f->env.alloc(p.limit * sizeof *p.entry);
    p.head = p.entry ? f->env.alloc(head) : NULL;
    int rc = -ENOMEM;
    if (p.head) {
        __builtin_memset(p.head, 0, head);
        rc = plan_run(f, &p);
        f->env.free(p.head, head);
    }
    if (p.entry)
        f->env.free(p.entry, p.limit * sizeof *p.entry);
    return rc;
}

void pfs_log_end(struct pfs *f)
{
    pfs_undo_free(f);
    f->log_open = false;
    f->unsynced = true;
}

int pfs_before_early(struct pfs *f, const struct hash_node *h)
{
    if (f->untracked)
        return 0;
    if (f->log_open) /* the log may be in the way */
        return pfs_commit(f);
    if (f->fresh || !f->unsynced)
        return 0;
    const struct log_slot *log = &f->slot[f->newest];
    uint64_t first = group_start(h->number);
    bool over = f->live && first < log->first + log->nodes && log->first < first + GROUP_NODES;
    return over || h->number * DATA_SLOTS < f->guard ? pfs_sync(f) : 0;
}

int pfs_settle(struct pfs *f)
{
    int rc = pfs_sync(f);
    if (!rc && f->fresh && !f->readonly) {
        /* If power fails before this arrives, the file is verified once more than necessary. */
        bool blank = f->is_blank;
        f->fresh = f->is_blank = false;
        rc = pfs_mark_write(f);
        f->fresh = rc;
        f->is_blank = rc && blank;
    }
    return rc;
}

/* Nodes on the storage from `need` on, which is a length in nodes. */
static uint64_t surplus(struct pfs *f, uint64_t need)
{
    int64_t nodes = f->backend.size(f->backend.ctx) / PFS_NODE_SIZE;
    return nodes > 0 && (uint64_t)nodes > need ? (uint64_t)nodes - need : 0;
}

void pfs_trim(struct pfs *f)
{
    int64_t need = (int64_t)pfs_host_size(f->size);
    if (f->backend.size(f->backend.ctx) > need)
        f->backend.truncate(f->backend.ctx, (uint64_t)need);
}

void pfs_give_back(struct pfs *f)
{
    if (f->log_open)
        return;
    uint64_t need = pfs_extent(f->committed < f->guard ? f->guard : f->committed);
    const struct log_slot *log = &f->slot[f->newest];
    if (f->live && need < log->first + log->nodes)
        need = log->first + log->nodes;
    if (surplus(f, need))
        f->backend.truncate(f->backend.ctx, need * PFS_NODE_SIZE);
}

int pfs_tidy(struct pfs *f)
{
    int rc = 0;
    if (!f->touched)
        return 0;
    if (!f->fresh && !f->untracked && f->unsynced &&
        surplus(f, pfs_host_size(f->size) / PFS_NODE_SIZE) > LEAVE)
        rc = pfs_sync(f);
    if (rc || (!f->untracked && !f->fresh && f->unsynced))
        return rc;
    if (f->slot[0].nodes || f->slot[1].nodes) {
        f->slot[0] = f->slot[1] = (struct log_slot){0};
        rc = pfs_mark_write(f);
    }
    pfs_trim(f);
    return rc;
}
