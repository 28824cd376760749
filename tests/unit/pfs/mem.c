/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

unsigned long mem_calls, mem_fail_at;
bool mem_fail_after;
size_t mem_allocated;

static bool fails(void)
{
    unsigned long call = __atomic_add_fetch(&mem_calls, 1, __ATOMIC_RELAXED);
    return mem_fail_at && (mem_fail_after ? call >= mem_fail_at : call == mem_fail_at);
}

static void *mem_alloc(size_t size)
{
    void *p = fails() ? NULL : malloc(size);
    if (p)
        __atomic_fetch_add(&mem_allocated, size, __ATOMIC_RELAXED);
    return p;
}

static void mem_free(void *p, size_t size)
{
    __atomic_fetch_sub(&mem_allocated, size, __ATOMIC_RELAXED);
    free(p);
}

static int mem_random(void *buf, size_t n)
{
    if (fails())
        return -EAGAIN;
    for (size_t done = 0; done < n;)
        done += (size_t)getrandom((char *)buf + done, n - done, 0);
    return 0;
}

static size_t chunk(const struct mem *m, size_t n)
{
    return m->max_io && n > m->max_io ? m->max_io : n;
}

static int64_t mem_read(void *ctx, void *buf, size_t n, uint64_t off)
{
    struct mem *m = ctx;
    m->reads++;
    if (fails())
        return -EIO;
    if (off >= m->size)
        return 0;
    n = chunk(m, n < m->size - off ? n : m->size - off);
    memcpy(buf, m->data + off, n);
    return (int64_t)n;
}

static int resize(struct mem *m, uint64_t size)
{
    if (m->limit && size > m->limit)
        return -ENOSPC;
    if (size > m->capacity) {
        m->capacity = size * 2;
        m->data = realloc(m->data, m->capacity);
    }
    if (size > m->size)
        memset(m->data + m->size, 0, size - m->size);
    m->size = size;
    return 0;
}

static int64_t mem_write(void *ctx, const void *buf, size_t n, uint64_t off)
{
    struct mem *m = ctx;
    m->writes++;
    if (fails())
        return -EIO;
    n = chunk(m, n);
    int rc = off + n > m->size ? resize(m, off + n) : 0;
    if (rc)
        return rc;
    memcpy(m->data + off, buf, n);
    for (size_t i = off / PFS_NODE_SIZE; m->written && i <= (off + n - 1) / PFS_NODE_SIZE; i++) {
        if (i < m->written_nodes)
            m->written[i] = true;
    }
    return (int64_t)n;
}

static int mem_truncate(void *ctx, uint64_t size)
{
    return fails() ? -EIO : resize(ctx, size);
}

static int64_t mem_size(void *ctx)
{
    struct mem *m = ctx;
    return fails() ? -EIO : (int64_t)m->size;
}

static int mem_sync(void *ctx)
{
    struct mem *m = ctx;
    m->syncs++;
    bool failed = fails();
    m->sync_failed |= failed;
    return failed ? -EIO : 0;
}

struct pfs_env mem_env(void)
{
    return (struct pfs_env){.alloc = mem_alloc, .free = mem_free, .random = mem_random};
}

struct pfs_backend mem_backend(struct mem *m)
{
    return (struct pfs_backend){.ctx = m,
                                .read_at = mem_read,
                                .write_at = mem_write,
                                .truncate = mem_truncate,
                                .size = mem_size,
                                .sync = mem_sync};
}

void mem_reset(struct mem *m)
{
    free(m->data);
    memset(m, 0, sizeof *m);
}

void mem_copy(struct mem *to, const struct mem *from)
{
    if (to->capacity < from->size) {
        free(to->data);
        to->data = malloc(from->size);
        to->capacity = from->size;
    }
    if (from->size)
        memcpy(to->data, from->data, from->size);
    to->size = from->size;
}

uint32_t test_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}
