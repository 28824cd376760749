/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/encrypted_map.h"
#include "host/host.h"

#define MOST_REFRESHED (64L << 20) /* bytes; longer mappings keep what they show */

struct enc_map {
    int fd;
    uint64_t *have; /* a bit for each page that holds the file's content */
    size_t words;
    int64_t size;  /* of the file, as this process knows it */
    int64_t limit; /* end of the mapping that reaches farthest */
    bool stores;   /* a mapping may have made pages newer than the file */
};

/* Invariant: every page below the end of the file that is mapped is had. */

static bool has(const struct enc_map *m, int64_t page)
{
    return (size_t)(page / 64) < m->words && m->have[page / 64] >> (page % 64) & 1;
}

static void mark(struct enc_map *m, int64_t from, int64_t to)
{
    for (int64_t p = from; p < to; p++)
        m->have[p / 64] |= 1UL << (p % 64);
}

static int64_t page_of(int64_t pos)
{
    return pos / (int64_t)PAGE_SIZE;
}

/* The first page at or behind `end`. */
static int64_t page_end(int64_t end)
{
    return (int64_t)(((uint64_t)end + PAGE_MASK) / PAGE_SIZE);
}

/* Room for the bits of all pages below `end`. */
static int reserve(struct enc_map *m, int64_t end)
{
    size_t words = (size_t)page_end(end) / 64 + 1;
    if (words <= m->words)
        return 0;
    words = MAX(words, m->words * 2);
    uint64_t *have = heap_realloc(m->have, words * sizeof(*have));
    if (!have)
        return -ENOMEM;
    memset(have + m->words, 0, (words - m->words) * sizeof(*have));
    m->have = have;
    m->words = words;
    return 0;
}

static int full_pwrite(int fd, const char *buf, size_t n, int64_t pos)
{
    for (size_t done = 0; done < n;) {
        ssize r = host_pwrite(fd, buf + done, n - done, pos + (int64_t)done);
        if (r <= 0)
            return r ? (int)r : -EIO;
        done += (size_t)r;
    }
    return 0;
}

static int full_pread(int fd, char *buf, size_t n, int64_t pos)
{
    for (size_t done = 0; done < n;) {
        ssize r = host_pread(fd, buf + done, n - done, pos + (int64_t)done);
        if (r <= 0)
            return r ? (int)r : -EIO;
        done += (size_t)r;
    }
    return 0;
}

static int read_file(struct enc_node *n, char *buf, size_t len, int64_t pos)
{
    for (size_t done = 0; done < len;) {
        int64_t r = pfs_read(n->pfs, (uint64_t)pos + done, buf + done, len - done);
        if (r <= 0)
            return r ? (int)enc_io_result(r) : -EIO;
        done += (size_t)r;
    }
    return 0;
}

/* Pages from `page` on that are had, or not, as `want` says; up to `end`. */
static int64_t run_of(const struct enc_map *m, int64_t page, int64_t end, bool want)
{
    int64_t p = page;
    while (p < end && has(m, p) == want)
        p++;
    return p - page;
}

static int fill(struct enc_node *n, int64_t off, int64_t end)
{
    struct enc_map *m = n->map;
    char *bounce = enc_bounce(n, ENC_BOUNCE);
    if (!bounce)
        return -ENOMEM;
    int64_t last = page_end(end);
    for (int64_t p = page_of(off); p < last;) {
        int64_t count = run_of(m, p, MIN(last, p + (int64_t)(ENC_BOUNCE / PAGE_SIZE)), false);
        if (!count) {
            p++;
            continue;
        }
        int64_t pos = p * (int64_t)PAGE_SIZE;
        size_t len = (size_t)MIN(count * (int64_t)PAGE_SIZE, end - pos);
        int err = read_file(n, bounce, len, pos);
        if (!err)
            err = full_pwrite(m->fd, bounce, len, pos);
        if (err)
            return err;
        mark(m, p, p + count);
        p += count;
    }
    return 0;
}

static int create(struct enc_node *n)
{
    struct enc_map *m = heap_zalloc(sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->size = (int64_t)pfs_size(n->pfs);
    m->fd = host_memfd("encrypted", 0);
    int err = m->fd < 0 ? m->fd : host_ftruncate(m->fd, m->size);
    if (err) {
        if (m->fd >= 0)
            host_close(m->fd);
        heap_free(m);
        return err;
    }
    n->map = m;
    return 0;
}

int enc_map_prepare(struct enc_node *n, int64_t off, size_t len, bool stores)
{
    int64_t end, size = (int64_t)pfs_size(n->pfs);
    if (__builtin_add_overflow(off, len, &end))
        return -EOVERFLOW;
    int err = n->map ? 0 : create(n);
    if (!err)
        err = reserve(n->map, MIN(end, size));
    if (!err && off < size)
        err = fill(n, off, MIN(end, size));
    if (err)
        return err;
    n->map->limit = MAX(n->map->limit, end);
    n->map->stores |= stores;
    return n->map->fd;
}

int enc_map_grow(struct enc_node *n, int64_t old, int64_t size)
{
    static const char zeros[PAGE_SIZE];
    struct enc_map *m = n->map;
    if (!m)
        return 0;
    int64_t tail = MIN((int64_t)PAGE_UP((uint64_t)old), size);
    int err = reserve(m, MIN(size, m->limit));
    if (!err)
        err = host_ftruncate(m->fd, size);
    /* What was stored behind the end of the file is not part of it. */
    if (!err && tail > old && has(m, page_of(old)))
        err = full_pwrite(m->fd, zeros, (size_t)(tail - old), old);
    if (err) {
        host_ftruncate(m->fd, old);
        return err;
    }
    mark(m, page_end(old), page_end(MIN(size, m->limit)));
    m->size = size;
    return 0;
}

static void forget_behind(struct enc_map *m, int64_t size)
{
    m->size = size;
    for (size_t p = (size_t)page_end(size); p / 64 < m->words; p++) {
        if (p % 64 == 0 && !m->have[p / 64])
            p += 63;
        else
            m->have[p / 64] &= ~(1UL << (p % 64));
    }
}

void enc_map_cut(struct enc_node *n, int64_t size)
{
    if (!n->map)
        return;
    host_ftruncate(n->map->fd, size);
    forget_behind(n->map, size);
}

int enc_map_wrote(struct enc_node *n, int64_t pos, const char *buf, size_t len)
{
    struct enc_map *m = n->map;
    if (!m)
        return 0;
    int64_t end = pos + (int64_t)len, last = page_end(end);
    for (int64_t p = page_of(pos); p < last; p++) {
        int64_t count = run_of(m, p, last, true);
        if (!count)
            continue;
        int64_t from = MAX(pos, p * (int64_t)PAGE_SIZE);
        int64_t to = MIN(end, (p + count) * (int64_t)PAGE_SIZE);
        int err = full_pwrite(m->fd, buf + (from - pos), (size_t)(to - from), from);
        if (err)
            return err;
        p += count;
    }
    return 0;
}

/* Writes those pages of [pos, pos + len) that differ from the file. */
static int store_run(struct enc_node *n, int64_t pos, size_t len)
{
    char *ours = enc_bounce(n, ENC_BOUNCE);
    if (!ours)
        return -ENOMEM;
    char *old = ours + ENC_BOUNCE / 2;
    int err = full_pread(n->map->fd, ours, len, pos);
    if (!err)
        err = read_file(n, old, len, pos);
    for (size_t at = 0; !err && at < len; at += PAGE_SIZE) {
        size_t part = MIN(len - at, PAGE_SIZE);
        if (memcmp(ours + at, old + at, part) == 0)
            continue;
        n->touched = true;
        int64_t r = pfs_write(n->pfs, (uint64_t)pos + at, ours + at, part);
        err = r < 0 ? (int)enc_io_result(r) : (size_t)r < part ? -EIO : 0;
    }
    return err;
}

int enc_map_store(struct enc_node *n, int64_t off, int64_t len)
{
    struct enc_map *m = n->map;
    if (!m || !m->stores)
        return 0;
    int64_t size = (int64_t)pfs_size(n->pfs), end;
    if (__builtin_add_overflow(off, len, &end) || end > size)
        end = size;
    int64_t last = page_end(end), most = (int64_t)(ENC_BOUNCE / 2 / PAGE_SIZE);
    for (int64_t p = page_of(off); p < last;) {
        int64_t count = run_of(m, p, MIN(last, p + most), true);
        int64_t pos = p * (int64_t)PAGE_SIZE;
        if (!count) {
            p++;
            continue;
        }
        int err = store_run(n, pos, (size_t)MIN(count * (int64_t)PAGE_SIZE, end - pos));
        if (err)
            return err;
        p += count;
    }
    return 0;
}

bool enc_map_has_stores(const struct enc_node *n)
{
    return n->map && n->map->stores;
}

/* With stores, only processes that share the pages write, and they wrote the pages, too. */
int enc_map_refresh(struct enc_node *n)
{
    struct enc_map *m = n->map;
    int64_t size = (int64_t)pfs_size(n->pfs);
    if (!m)
        return 0;
    int err = reserve(m, MIN(size, m->limit));
    if (err)
        return err;
    if (m->stores) {
        mark(m, page_end(m->size), page_end(MIN(size, m->limit)));
        forget_behind(m, size);
        return 0;
    }
    forget_behind(m, size);
    err = host_ftruncate(m->fd, size);
    if (err || m->limit > MOST_REFRESHED)
        return err;
    memset(m->have, 0, m->words * sizeof(*m->have));
    return size ? fill(n, 0, MIN(size, m->limit)) : 0;
}

size_t enc_map_where(struct enc_node *n, int64_t pos, size_t len, int *fd)
{
    const struct enc_map *m = n->map;
    *fd = -1;
    if (!m || !m->stores || !len)
        return len;
    int64_t p = page_of(pos), end = page_end(pos + (int64_t)len);
    bool here = has(m, p);
    if (here)
        *fd = m->fd;
    int64_t to = (p + run_of(m, p, end, here)) * (int64_t)PAGE_SIZE;
    return (size_t)MIN(to - pos, (int64_t)len);
}

void enc_map_drop(struct enc_node *n)
{
    struct enc_map *m = n->map;
    if (!m)
        return;
    host_close(m->fd);
    heap_free(m->have);
    heap_free(m);
    n->map = NULL;
}
