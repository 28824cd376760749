/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Opening what a crash may have left; undo.c says how it comes about.
 *
 * Candidates are the storage as it is, then the version that the newer log leads back to, then the
 * older log's. The first one counts whose node 0 is authentic and stored for the right path, and in
 * which every node that one of the logs names verifies (every node at all, if the file was never
 * synced and the host was booted since; opened for writing, it is synced then). So a log that is
 * torn, outdated or forged decides nothing: it only proposes a version, and that one must
 * authenticate as a whole. A log leads to a version other than the one it was written for in no
 * case: it names that version's root tag.
 *
 * A rename stores the new path first, with a log: under the old path the version before is found.
 *
 * Gramine's logs (PATH.gramine.recovery: records of a node number and 4096 bytes of old content)
 * carry neither order nor name of a version; they count only while the pending-write flag is set.
 */
#include "internal.h"

#define RECORD (8 + PFS_NODE_SIZE) /* of a log of Gramine's */

struct log {
    struct log_head *head; /* and the numbers; NULL: no valid log */
    size_t bytes;
    uint64_t seq, data; /* offset of the old content */
    size_t old, added;
};

static bool same_path(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static uint64_t log_number(const struct log *l, size_t i)
{
    return load64((const uint8_t *)(l->head + 1) + 8 * i);
}

static void log_free(struct pfs *f, struct log *l)
{
    if (l->head)
        f->env.free(l->head, l->bytes);
    *l = (struct log){0};
}

/* Whether the header, read completely, is one of ours for this place. */
static bool log_valid(struct pfs *f, struct log *l, const struct log_slot *slot)
{
    struct log_head *h = l->head;
    uint8_t mac[CMAC_SIZE];
    size_t used = sizeof *h + 8 * (l->old + l->added);
    uint64_t nodes = (used + PFS_NODE_SIZE - 1) / PFS_NODE_SIZE;
    if (used > l->bytes || load64(h->first) != slot->first || nodes + l->old != slot->nodes)
        return false;
    pfs_log_mac(f, h, used, mac);
    if (crypto_differs(mac, h->mac, CMAC_SIZE) || !l->old || log_number(l, 0))
        return false;
    for (size_t i = 1; i < l->old; i++) {
        if (log_number(l, i) <= log_number(l, i - 1))
            return false;
    }
    l->data = (slot->first + nodes) * PFS_NODE_SIZE;
    return true;
}

/* Reads the header of a log; l->head stays NULL if there is none. */
static int log_read(struct pfs *f, const struct log_slot *slot, int64_t storage, struct log *l)
{
    uint64_t nodes = (uint64_t)storage / PFS_NODE_SIZE;
    if (!slot->nodes || slot->first >= nodes || slot->nodes > nodes - slot->first)
        return 0;
    int64_t got = pfs_nodes_read(f, slot->first, 1, f->scratch);
    if (got <= 0)
        return (int)got;
    const struct log_head *h = (const struct log_head *)(void *)f->scratch;
    uint64_t old = load64(h->old), added = load64(h->added);
    if (old > LOG_LIMIT / 8 || added > LOG_LIMIT / 8)
        return 0;
    l->old = (size_t)old;
    l->added = (size_t)added;
    l->seq = load64(h->seq);
    l->bytes =
        (sizeof *h + 8 * (l->old + l->added) + PFS_NODE_SIZE - 1) / PFS_NODE_SIZE * PFS_NODE_SIZE;
    if (l->bytes / PFS_NODE_SIZE > slot->nodes) {
        log_free(f, l);
        return 0;
    }
    l->head = f->env.alloc(l->bytes);
    if (!l->head)
        return -ENOMEM;
    got = pfs_nodes_read(f, slot->first, l->bytes / PFS_NODE_SIZE, l->head);
    if (got < 0 || (size_t)got * PFS_NODE_SIZE < l->bytes || !log_valid(f, l, slot))
        log_free(f, l);
    return got < 0 ? (int)got : 0;
}

static int overlay_from_log(struct pfs *f, const struct log *l)
{
    f->undo.entry = f->env.alloc(l->old * sizeof *f->undo.entry);
    if (!f->undo.entry)
        return -ENOMEM;
    f->undo.count = f->undo.limit = l->old;
    f->undo.from = &f->backend;
    for (size_t i = 0; i < l->old; i++)
        f->undo.entry[i] = (struct undo_entry){log_number(l, i), l->data + i * PFS_NODE_SIZE};
    f->overlay = true;
    return 0;
}

static void overlay_drop(struct pfs *f)
{
    f->overlay = false;
    pfs_undo_free(f);
}

/* Verifies node `p` of the file in the cache, if the file has it. */
static int verify_node(struct pfs *f, uint64_t p)
{
    struct hash_node *h;
    if (p == 0 || p >= pfs_extent(pfs_data_nodes(f->size)))
        return 0;
    uint64_t slot = (p - 1) % GROUP_NODES;
    int rc = pfs_hash_get(f, (p - 1) / GROUP_NODES, &h);
    if (rc || !slot || h->data[slot - 1])
        return rc;
    return pfs_data_fetch(f, h, (unsigned)slot - 1, 1);
}

static int verify_all(struct pfs *f)
{
    struct hash_node *h;
    uint64_t nodes = pfs_data_nodes(f->size);
    int rc = 0;
    for (uint64_t d = 0; !rc && d < nodes; d++) {
        rc = pfs_hash_get(f, d / DATA_SLOTS, &h);
        if (!rc && !h->data[d % DATA_SLOTS])
            rc = pfs_data_fetch(f, h, (unsigned)(d % DATA_SLOTS), DATA_SLOTS);
    }
    return rc;
}

static int verify_log(struct pfs *f, const struct log *l)
{
    int rc = 0;
    for (size_t i = 0; !rc && l->head && i < l->old + l->added; i++)
        rc = verify_node(f, log_number(l, i));
    return rc;
}

/* What keeps a candidate from being the file, as opposed to a failure of the host. */
static bool refused(int rc)
{
    return rc == -EBADMSG || rc == -EKEYREJECTED || rc == -EINVAL || rc == -EPROTONOSUPPORT ||
           rc == -EXDEV || rc == -EOVERFLOW;
}

/* Loads node 0 and the root through the overlay, if there is one. */
static int load(struct pfs *f, const struct pfs_open_args *args)
{
    char path[PFS_PATH_SIZE];
    pfs_cache_cut(f, 0);
    f->failed = 0;
    int rc = args->path ? pfs_normalize_path(args->path, path) : 0;
    if (!rc)
        rc = pfs_meta_read(f);
    if (rc)
        return rc;
    if (args->path && !same_path(path, f->meta.path))
        return -EXDEV;
    f->committed = pfs_data_nodes(f->size);
    if (args->flags & PFS_INSPECT) {
        f->failed = -EINVAL;
        return 0;
    }
    return f->size > INLINE_SIZE ? pfs_root_load(f, false) : 0;
}

static int try(struct pfs *f, const struct pfs_open_args *args, const struct log *logs, int undo,
               bool all)
{
    int rc = undo < 0 ? 0 : overlay_from_log(f, &logs[undo]);
    if (!rc)
        rc = load(f, args);
    if (!rc && undo >= 0 && crypto_differs(f->tag, logs[undo].head->tag, PFS_TAG_SIZE))
        rc = -EBADMSG;
    for (int i = 0; !rc && !all && i < 2; i++)
        rc = verify_log(f, &logs[i]);
    if (!rc && all)
        rc = verify_all(f);
    if (rc && undo >= 0)
        overlay_drop(f);
    return rc;
}

/* Makes the storage what the overlay shows. A crash meanwhile changes nothing: the log stays. */
static int apply(struct pfs *f)
{
    int rc = 0;
    f->info.recovered = true;
    if (f->readonly)
        return 0;
    for (size_t i = 0; !rc && i < f->undo.count; i++) {
        uint64_t node = f->undo.entry[i].node;
        if (i + 1 < f->undo.count && f->undo.entry[i + 1].node == node)
            continue;
        int64_t got = pfs_nodes_read(f, node, 1, f->scratch);
        if (node == 0 && got == 1) { /* but the notes of today: a crash now needs them */
            pfs_mark_sum(f, f->scratch, f->sum);
            pfs_mark_pack(f, f->scratch + OFF_PAD);
        }
        rc = got < 0 ? (int)got : got == 0 ? -EIO : pfs_nodes_write(f, node, 1, f->scratch);
    }
    f->touched = true;
    overlay_drop(f);
    return rc;
}

/* Whether a fresh file's node 0 never arrived completely. */
static bool torn(struct pfs *f)
{
    uint8_t sum[GCM_TAG_SIZE];
    if (pfs_nodes_read(f, 0, 1, f->scratch) != 1)
        return false;
    pfs_mark_sum(f, f->scratch, sum);
    return crypto_differs(sum, f->sum, sizeof sum);
}

/* No candidate is whole; `rc` is what speaks against the storage as it is. */
static int give_up(struct pfs *f, const struct pfs_open_args *args, int rc, bool all)
{
    bool renamed = rc == -EXDEV && (f->slot[0].nodes || f->slot[1].nodes);
    bool lost = all && (rc == -EBADMSG || renamed);
    int blank = lost || rc == -EKEYREJECTED ? pfs_open_blank(f, args->path) : -ENOENT;
    if (blank != -ENOENT)
        return blank;
    if (all && !f->is_blank && (lost || torn(f)))
        return -ENODATA;
    return rc == -EBADMSG ? load(f, args) : rc;
}

static int choose(struct pfs *f, const struct pfs_open_args *args, const struct log *logs, bool all)
{
    int first = try(f, args, logs, -1, all), rc = first;
    /* Power loss alone takes magic and version from no file that was ever synced. */
    if (!f->fresh && (rc == -EINVAL || rc == -EPROTONOSUPPORT))
        return rc;
    for (int i = 0; i < 2 && refused(rc); i++) {
        if (logs[i].head)
            rc = try(f, args, logs, i, all);
    }
    if (refused(rc))
        return give_up(f, args, first, all);
    if (!rc && f->overlay)
        rc = apply(f);
    if (!rc && all && !f->readonly) {
        f->info.unsettled = false;
        rc = pfs_settle(f);
    }
    return rc;
}

static int open_marked(struct pfs *f, const struct pfs_open_args *args, int64_t storage,
                       bool same_boot)
{
    struct log logs[2] = {0};
    f->info.unsettled = f->fresh && !same_boot;
    int rc = log_read(f, &f->slot[0], storage, &logs[0]);
    if (!rc)
        rc = log_read(f, &f->slot[1], storage, &logs[1]);
    f->newest = logs[1].head && (!logs[0].head || logs[1].seq > logs[0].seq);
    if (f->newest) {
        struct log newer = logs[1];
        logs[1] = logs[0];
        logs[0] = newer;
    }
    f->touched = !f->readonly; /* there may be something to tidy up */
    f->log_seq = logs[0].seq;
    f->unsynced = true;
    f->live = logs[0].head;
    for (int i = 0; i < 2; i++) {
        uint64_t data = logs[i].head ? load64(logs[i].head->committed) : 0;
        if (data <= PFS_MAX_SIZE / PFS_NODE_SIZE && data > f->guard)
            f->guard = data;
    }
    if (!rc)
        rc = choose(f, args, logs, f->info.unsettled && (args->boot_id || !f->readonly));
    log_free(f, &logs[0]);
    log_free(f, &logs[1]);
    return rc;
}

/* Reads the node numbers of Gramine's log. */
static int foreign_entries(struct pfs *f, int64_t size, uint64_t storage_nodes)
{
    size_t n = (size_t)(size / RECORD);
    f->undo.entry = f->env.alloc(n * sizeof *f->undo.entry);
    if (!f->undo.entry)
        return -ENOMEM;
    f->undo.count = f->undo.limit = n;
    for (size_t i = 0; i < n; i++) {
        uint8_t number[8];
        uint64_t at = i * RECORD;
        int64_t got = f->undo.from->read_at(f->undo.from->ctx, number, sizeof number, at);
        if (got != sizeof number)
            return got < 0 ? clean_error(got) : -EUCLEAN;
        if (load64(number) >= storage_nodes + n)
            return -EUCLEAN;
        f->undo.entry[i] = (struct undo_entry){load64(number), at + sizeof number};
    }
    pfs_undo_sort(f->undo.entry, n);
    return 0;
}

static int open_with_foreign_log(struct pfs *f, const struct pfs_open_args *args, int64_t storage)
{
    int64_t size = args->log->size(args->log->ctx);
    if (size < 0)
        return clean_error(size);
    if (size == 0 || size % RECORD || size / RECORD > LOG_LIMIT / 8)
        return -EUCLEAN;
    f->undo.from = args->log;
    int rc = foreign_entries(f, size, (uint64_t)storage / PFS_NODE_SIZE);
    f->overlay = !rc;
    if (!rc)
        rc = load(f, args);
    if (!rc && f->info.pending)
        rc = -EUCLEAN;
    if (!rc)
        rc = apply(f);
    if (!rc && !f->readonly)
        rc = pfs_sync(f); /* the caller may remove the log */
    f->info.pending = true;
    return refused(rc) ? -EUCLEAN : rc;
}

/* The pending-write flag is set: with the log, or if nothing was overwritten yet. */
static int open_pending(struct pfs *f, const struct pfs_open_args *args, int64_t storage)
{
    int rc = verify_all(f);
    if (!refused(rc))
        return rc;
    if (args->log)
        return open_with_foreign_log(f, args, storage);
    return args->flags & PFS_REFUSE_PENDING ? -EUCLEAN : load(f, args);
}

static int open_plain(struct pfs *f, const struct pfs_open_args *args, int64_t storage)
{
    int rc = load(f, args);
    bool pending = f->info.pending && (args->flags & PFS_REFUSE_PENDING || args->log);
    if (pending && (!rc || rc == -EBADMSG)) {
        if (rc) /* the root alone is bad: as good as any node */
            rc = args->log ? open_with_foreign_log(f, args, storage) : -EUCLEAN;
        else
            rc = open_pending(f, args, storage);
    }
    return rc;
}

/* Nothing but power loss in the middle of a creation leaves such a node 0. */
static bool unborn(const uint8_t *raw)
{
    static const uint8_t zero[512];
    return !__builtin_memcmp(raw + PFS_NODE_SIZE - sizeof zero, zero, sizeof zero) &&
           (pfs_has_magic(raw) || !__builtin_memcmp(raw, zero, sizeof zero));
}

int pfs_open_existing(struct pfs *f, const struct pfs_open_args *args, int64_t storage)
{
    bool same_boot = false;
    if (storage < PFS_NODE_SIZE)
        return storage % 512 ? -EINVAL : -ENODATA;
    int64_t got = pfs_nodes_read(f, 0, 1, f->scratch);
    if (got <= 0)
        return got < 0 ? (int)got : -EINVAL;
    if (unborn(f->scratch))
        return -ENODATA;
    /* Whoever set the flag keeps the padding and knows nothing of notes: they are outdated. */
    bool marked = !(args->flags & PFS_INSPECT) && !pfs_is_flagged(f->scratch) &&
                  pfs_mark_unpack(f, f->scratch + OFF_PAD, &same_boot);
    if (!marked && storage % PFS_NODE_SIZE)
        return -EINVAL;
    int rc = marked ? open_marked(f, args, storage, same_boot) : open_plain(f, args, storage);
    if (!rc && args->expected_tag && crypto_differs(args->expected_tag, f->tag, PFS_TAG_SIZE))
        rc = -ESTALE;
    return rc;
}

/* Whether the storage still has the version that is in memory. */
static int unchanged(struct pfs *f)
{
    int64_t got = pfs_nodes_read(f, 0, 1, f->scratch);
    if (got < 0)
        return (int)got;
    return got && !crypto_differs(f->scratch + OFF_TAGS, f->tag, PFS_TAG_SIZE);
}

int pfs_refresh(struct pfs *f, bool writable)
{
    IN_USE(f);
    char path[PFS_PATH_SIZE];
    if (f->failed)
        return f->failed;
    if (f->dirty || f->log_open)
        return -EBUSY;
    int rc = f->overlay ? 0 : unchanged(f);
    if (rc > 0 && (!writable || !f->readonly)) {
        f->readonly = !writable;
        return 0;
    }
    int64_t storage = rc < 0 ? rc : f->backend.size(f->backend.ctx);
    if (storage < 0)
        return clean_error(storage);
    const struct pfs_open_args args = {
        .path = path, .flags = PFS_REFUSE_PENDING, .boot_id = f->boot_id};
    __builtin_memcpy(path, f->meta.path, sizeof path);
    overlay_drop(f);
    f->slot[0] = f->slot[1] = (struct log_slot){0};
    f->newest = 0;
    f->log_seq = f->guard = f->next_off = 0;
    f->fresh = f->is_blank = f->unsynced = f->live = f->touched = false;
    f->readonly = !writable;
    f->info.unsettled = false;
    f->failed = pfs_open_existing(f, &args, storage);
    return f->failed;
}
