/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reading, writing and changing the size. */
#include "internal.h"

#define CUT_LATER 256 /* so many nodes may stay on the storage for a while */

/* Where a plaintext offset at or above INLINE_SIZE lies. */
struct place {
    uint64_t node; /* data node number */
    unsigned slot; /* in its hash node */
    size_t off;    /* in the node */
};

static struct place place_of(uint64_t off)
{
    uint64_t rel = off - INLINE_SIZE;
    return (struct place){.node = rel / PFS_NODE_SIZE,
                          .slot = (unsigned)(rel / PFS_NODE_SIZE % DATA_SLOTS),
                          .off = rel % PFS_NODE_SIZE};
}

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Nodes to fetch at a miss that needs `need` of them. */
static size_t fetch_size(struct pfs *f, bool sequential, size_t need)
{
    if (!sequential) {
        f->readahead = 0;
        return need;
    }
    f->readahead = f->readahead ? min(f->readahead * 2, DATA_SLOTS) : READAHEAD_MIN;
    return need > f->readahead ? need : f->readahead;
}

/* Decrypts up to `count` nodes from `src` to `dst`, which may be the same; returns how many are
 * good. */
static size_t open_nodes(struct pfs *f, const struct entry *e, size_t count, const uint8_t *src,
                         uint8_t *dst)
{
    size_t good = 0;
    vector_enter(f);
    while (good < count &&
           !pfs_open_node(&e[good], src + good * PFS_NODE_SIZE, dst + good * PFS_NODE_SIZE))
        good++;
    vector_leave(f);
    return good;
}

/* Reads whole uncached nodes straight into the caller's buffer, and with the same call the node
 * after them into the cache if `tail`. Returns bytes or an error. */
static int64_t read_direct(struct pfs *f, struct hash_node *h, unsigned slot, size_t count,
                           bool tail, uint8_t *dst)
{
    struct data_node *last = NULL;
    if (tail && (pfs_io_reserve(f, count + 1) || pfs_data_take(f, &last)))
        last = NULL;
    uint8_t *src = last ? f->io : dst;
    size_t want = count + (last != NULL);
    int64_t got = pfs_nodes_read(f, group_start(h->number) + 1 + slot, want, src);
    size_t have = got < 0 ? 0 : (size_t)got < count ? (size_t)got : count;
    size_t good = open_nodes(f, &h->entries[slot], have, src, dst);
    if (last) {
        unsigned at = slot + (unsigned)count;
        if (good == count && (size_t)got > count &&
            open_nodes(f, &h->entries[at], 1, src + count * PFS_NODE_SIZE, last->bytes))
            pfs_data_insert(f, last, h, at);
        else
            pfs_data_release(f, last);
    }
    if (got < 0)
        return got;
    if (good < have || !have) {
        int rc = pfs_corrupt(f);
        if (!good)
            return rc;
    }
    return (int64_t)good * PFS_NODE_SIZE;
}

/* Reads at least one byte of [off, off + n), which is below the size and above the inline area. */
static int64_t read_some(struct pfs *f, uint64_t off, uint8_t *dst, size_t n, bool sequential)
{
    if (f->failed)
        return f->failed;
    struct place at = place_of(off);
    struct hash_node *h;
    int rc = pfs_hash_get(f, at.node / DATA_SLOTS, &h);
    if (rc)
        return rc;
    if (!h->data[at.slot]) {
        size_t touched =
            min((at.off + n + PFS_NODE_SIZE - 1) / PFS_NODE_SIZE, DATA_SLOTS - at.slot);
        size_t whole = at.off ? 0 : min(n / PFS_NODE_SIZE, touched);
        for (size_t i = 1; i < touched; i++) {
            if (h->data[at.slot + i])
                touched = i;
        }
        whole = min(whole, touched);
        if (whole >= (sequential ? DIRECT_READ : 2))
            return read_direct(f, h, at.slot, whole, touched > whole, dst);
        rc = pfs_data_fetch(f, h, at.slot, fetch_size(f, sequential, touched));
        if (rc)
            return rc;
    }
    struct data_node *node = h->data[at.slot];
    size_t len = min(n, PFS_NODE_SIZE - at.off);
    __builtin_memcpy(dst, node->bytes + at.off, len);
    if (!node->is_dirty) {
        /* Read to its end in passing, it is the first to go. */
        node->streamed = sequential && at.off + len == PFS_NODE_SIZE;
        list_remove(&node->link);
        list_push(node->streamed ? f->clean.prev : &f->clean, &node->link);
    }
    return (int64_t)len;
}

int64_t pfs_read(struct pfs *f, uint64_t off, void *buf, size_t n)
{
    IN_USE(f);
    int rc = f->failed ? f->failed : pfs_data_complete(f);
    if (rc)
        return rc;
    if (off >= f->size)
        return 0;
    n = min(n, f->size - off);
    bool sequential = off == f->next_off;
    uint8_t *dst = buf;
    size_t done = 0;
    if (off < INLINE_SIZE) {
        done = min(n, INLINE_SIZE - off);
        __builtin_memcpy(dst, f->meta.data + off, done);
    }
    while (done < n) {
        int64_t rc = read_some(f, off + done, dst + done, n - done, sequential);
        if (rc < 0 && !done)
            return rc;
        if (rc < 0)
            break;
        done += (size_t)rc;
    }
    f->next_off = off + done;
    return (int64_t)done;
}

static void copy_in(uint8_t *dst, const uint8_t *src, size_t n)
{
    if (src)
        __builtin_memcpy(dst, src, n);
    else
        __builtin_memset(dst, 0, n);
}

/* Puts a new node for `at` into the cache, for `len` bytes that the caller will put at its start.
 */
static int data_new(struct pfs *f, struct hash_node *h, struct place at, size_t len,
                    struct data_node **out)
{
    int rc = pfs_data_take(f, out);
    if (rc)
        return rc;
    __builtin_memset((*out)->bytes + len, 0, PFS_NODE_SIZE - len);
    pfs_data_insert(f, *out, h, at.slot);
    return 0;
}

/* Whether something must be written before more data may become dirty. */
static bool too_dirty(const struct pfs *f, bool sequential)
{
    size_t limit = f->data_limit / 3 * 2;
    if (sequential && (f->fresh || f->untracked) && limit > OLD_NODES)
        limit = OLD_NODES;
    if (f->dirty_count >= limit)
        return true;
    return f->dirty_count >= f->data_floor / 3 * 2 && list_empty(&f->clean) &&
           !pfs_pool_room(f, sizeof(struct data_node));
}

/* Makes data node `at.node` cached for writing `count` bytes from `at.off` on, there and beyond.
 * Old content that will be overwritten is not read, and what a sequence of writes will overwrite
 * soon is not read yet. */
static int data_for_write(struct pfs *f, struct hash_node *h, struct place at, size_t count,
                          bool sequential, struct data_node **out)
{
    size_t len = min(count, PFS_NODE_SIZE - at.off);
    struct data_node *n = h->data[at.slot];
    int rc;
    if (!(n && n->is_dirty) && (f->dirty_new >= f->new_limit || too_dirty(f, sequential))) {
        rc = pfs_write_back(f);
        if (!rc && too_dirty(f, sequential))
            rc = pfs_commit(f);
        if (rc)
            return rc;
        f->new_limit = f->dirty_new + NEW_NODES;
    }
    *out = n;
    if (n)
        return 0;
    uint64_t start = INLINE_SIZE + at.node * PFS_NODE_SIZE;
    bool whole = at.off == 0 && (len == PFS_NODE_SIZE || start + len >= f->size);
    if (whole || (sequential && at.off == 0)) {
        rc = data_new(f, h, at, len, out);
        if (!rc && !whole) {
            f->partial = *out;
            f->partial_end = 0;
        }
        return rc;
    }
    /* A short write over a boundary needs both nodes. */
    bool both = count > len && count - len < PFS_NODE_SIZE;
    rc = pfs_data_fetch(f, h, at.slot, fetch_size(f, sequential, 1 + both));
    *out = h->data[at.slot];
    return rc;
}

/* Copies those of `count` bytes that fit node `at` into the cache. f->partial is continued or
 * completed. */
static int write_cached(struct pfs *f, struct hash_node *h, struct place at, const uint8_t *src,
                        size_t count, bool sequential)
{
    struct data_node *n;
    size_t len = min(count, PFS_NODE_SIZE - at.off);
    int rc = 0;
    if (f->partial && (f->partial != h->data[at.slot] || f->partial_end != at.off))
        rc = pfs_data_complete(f);
    if (!rc)
        rc = data_for_write(f, h, at, count, sequential, &n);
    if (rc)
        return rc;
    copy_in(n->bytes + at.off, src, len);
    pfs_data_mark_dirty(f, n);
    n->streamed = sequential && at.off + len == PFS_NODE_SIZE;
    if (f->partial) {
        f->partial_end += len;
        if (f->partial_end == PFS_NODE_SIZE)
            f->partial = NULL;
    }
    return 0;
}

/* Writes at least one byte at `off`, at most at the size and above the inline area. */
static int64_t write_some(struct pfs *f, uint64_t off, const uint8_t *src, size_t n,
                          bool sequential)
{
    struct place at = place_of(off);
    struct hash_node *h;
    int rc = 0;
    if (f->failed)
        return f->failed;
    if (f->dirty_hashes > f->hash_limit / 2 ||
        (f->dirty_hashes > HASH_FLOOR / 2 && list_empty(&f->clean) &&
         !pfs_pool_room(f, sizeof(struct hash_node))))
        rc = pfs_commit(f);
    if (!rc && !f->root)
        rc = pfs_root_load(f, true);
    if (!rc)
        rc = pfs_hash_get(f, at.node / DATA_SLOTS, &h);
    if (rc)
        return rc;
    size_t whole = at.off ? 0 : min(n / PFS_NODE_SIZE, DATA_SLOTS - at.slot);
    size_t len;
    if (whole >= DIRECT_WRITE && off == f->size && at.node >= f->committed) {
        len = whole * PFS_NODE_SIZE;
        rc = pfs_append_direct(f, h, at.slot, whole, src);
    } else {
        len = min(n, PFS_NODE_SIZE - at.off);
        rc = write_cached(f, h, at, src, n, sequential);
    }
    if (rc)
        return rc;
    if (off + len > f->size)
        f->size = off + len;
    return (int64_t)len;
}

/* Writes [off, off + n) from `src` (NULL: zeros), `off` at most at the size. */
static int64_t write_range(struct pfs *f, uint64_t off, const uint8_t *src, uint64_t n)
{
    bool sequential = off == f->next_off;
    uint64_t done = 0;
    while (done < n) {
        uint64_t pos = off + done;
        const uint8_t *p = src ? src + done : NULL;
        int64_t rc;
        if (pos < INLINE_SIZE) {
            rc = (int64_t)min(n - done, INLINE_SIZE - pos);
            copy_in(f->meta.data + pos, p, (size_t)rc);
            f->dirty = true;
            if (pos + (uint64_t)rc > f->size)
                f->size = pos + (uint64_t)rc;
        } else {
            rc = write_some(f, pos, p, n - done, sequential);
        }
        if (rc < 0 && !done)
            return rc;
        if (rc < 0)
            break;
        done += (uint64_t)rc;
    }
    f->next_off = off + done;
    return (int64_t)done;
}

/* Gives up an extension: what lies beyond `size` is forgotten. */
static void take_back(struct pfs *f, uint64_t size)
{
    pfs_cache_cut(f, size);
    f->size = size;
    f->dirty = true;
}

/* What is cut off stays on the storage until the smaller size is safe there: `now`, or when it is
 * little, later. */
static int cut(struct pfs *f, uint64_t size, bool now)
{
    bool much = now || pfs_data_nodes(f->size) - pfs_data_nodes(size) > CUT_LATER;
    pfs_cache_cut(f, size);
    f->emptied |= !size;
    if (size < INLINE_SIZE)
        crypto_wipe(f->meta.data + size, INLINE_SIZE - size);
    f->size = size;
    f->dirty = true;
    if (!much)
        return 0;
    int rc = pfs_commit(f);
    if (!rc && !f->fresh && !f->untracked)
        rc = pfs_sync(f);
    if (!rc)
        pfs_trim(f);
    return rc;
}

/* Zero-extends; on failure the size is the old one. */
static int extend(struct pfs *f, uint64_t size)
{
    uint64_t old = f->size;
    while (f->size < size) {
        int64_t rc = write_range(f, f->size, NULL, size - f->size);
        if (rc < 0) {
            cut(f, old, true); /* what was written of it is given back to a full disk */
            return (int)rc;
        }
    }
    return 0;
}

int64_t pfs_write(struct pfs *f, uint64_t off, const void *buf, size_t n)
{
    IN_USE(f);
    if (f->failed)
        return f->failed;
    if (f->readonly)
        return -EROFS;
    if (!n)
        return 0;
    if (off > PFS_MAX_SIZE || n > PFS_MAX_SIZE - off)
        return -EFBIG;
    uint64_t old = f->size, next = f->next_off;
    if (off > old) {
        int rc = extend(f, off);
        if (rc)
            return rc;
        f->next_off = next;
    }
    int64_t rc = write_range(f, off, buf, n);
    if (rc < 0 && off > old)
        take_back(f, old);
    return rc;
}

int pfs_set_size(struct pfs *f, uint64_t size)
{
    IN_USE(f);
    if (f->failed)
        return f->failed;
    if (f->readonly)
        return -EROFS;
    if (size > PFS_MAX_SIZE)
        return -EFBIG;
    if (size == f->size)
        return 0;
    return size < f->size ? cut(f, size, false) : extend(f, size);
}
