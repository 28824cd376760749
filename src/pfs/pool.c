/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The memory that files share for their nodes. Each file counts its nodes in; when the limit is
 * reached, room is taken from the file that has been idle longest, else from the file itself.
 *
 * A context belongs to one thread at a time, its caller's; `busy` is what keeps another thread,
 * which looks for room, out of it. Whoever looks for room never waits for a busy file. The waits
 * that remain (for pool->lock, and of a file's user for whoever takes nodes from it) last a few
 * microseconds. Order: pool->lock inside busy; busy of a second file only tried, under pool->lock.
 */
#include "internal.h"

#define FILE_OF(l)  ((struct pfs *)(void *)((char *)(l)-offsetof(struct pfs, pool_link)))
#define STOLEN      32 /* nodes taken from another file at once */
#define IDLE_ROUNDS 8  /* a file not used for so many rounds of this is idle */
#define TRIES       4

static void pause_cpu(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static void pool_lock(struct pfs_pool *p)
{
    while (__atomic_exchange_n(&p->lock, true, __ATOMIC_ACQUIRE))
        pause_cpu();
}

static void pool_unlock(struct pfs_pool *p)
{
    __atomic_store_n(&p->lock, false, __ATOMIC_RELEASE);
}

static bool try_busy(struct pfs *f)
{
    return !__atomic_exchange_n(&f->busy, true, __ATOMIC_ACQUIRE);
}

void pfs_enter(struct pfs *f)
{
    while (!try_busy(f))
        pause_cpu();
    __atomic_store_n(&f->stamp, __atomic_load_n(&f->pool->round, __ATOMIC_RELAXED),
                     __ATOMIC_RELAXED);
}

void pfs_leave(struct pfs *f)
{
    __atomic_store_n(&f->busy, false, __ATOMIC_RELEASE);
}

void pfs_pool_join(struct pfs *f, struct pfs_pool *shared, size_t cache_bytes)
{
    f->pool = shared ? shared : &f->own_pool;
    if (!shared)
        f->own_pool.limit = cache_bytes ? cache_bytes : DEFAULT_CACHE;
    pool_lock(f->pool);
    if (!f->pool->limit)
        f->pool->limit = PFS_POOL_DEFAULT;
    struct link *first = f->pool->files;
    if (first) {
        f->pool_link.next = first;
        f->pool_link.prev = first->prev;
        f->pool_link.prev->next = first->prev = &f->pool_link;
    } else {
        list_init(&f->pool_link);
        f->pool->files = &f->pool_link;
    }
    f->pool->count++;
    pool_unlock(f->pool);
}

void pfs_pool_part(struct pfs *f)
{
    struct pfs_pool *p = f->pool;
    pool_lock(p);
    if (p->files == &f->pool_link)
        p->files = list_empty(&f->pool_link) ? NULL : f->pool_link.next;
    list_remove(&f->pool_link);
    p->count--;
    pool_unlock(p);
}

void pfs_pool_charge(struct pfs *f, size_t bytes)
{
    f->pool_bytes += bytes;
    __atomic_fetch_add(&f->pool->used, bytes, __ATOMIC_RELAXED);
}

void pfs_pool_return(struct pfs *f, size_t bytes)
{
    f->pool_bytes -= bytes;
    __atomic_fetch_sub(&f->pool->used, bytes, __ATOMIC_RELAXED);
}

bool pfs_pool_room(const struct pfs *f, size_t bytes)
{
    return __atomic_load_n(&f->pool->used, __ATOMIC_RELAXED) + bytes <= f->pool->limit;
}

/* The file idle longest, now busy for us; or NULL. */
static struct pfs *take_idle(struct pfs *f)
{
    struct pfs_pool *p = f->pool;
    struct pfs *oldest = NULL;
    bool large = f->pool_bytes > p->limit / p->count; /* more than our share */
    uint64_t before = large ? p->round - IDLE_ROUNDS : p->round, at = 0;
    for (struct link *l = f->pool_link.next; l != &f->pool_link; l = l->next) {
        struct pfs *g = FILE_OF(l);
        uint64_t stamp = __atomic_load_n(&g->stamp, __ATOMIC_RELAXED);
        if ((int64_t)(stamp - before) < 0 && (!oldest || (int64_t)(stamp - at) < 0)) {
            oldest = g;
            at = stamp;
        }
    }
    return oldest && try_busy(oldest) ? oldest : NULL;
}

bool pfs_pool_steal(struct pfs *f)
{
    struct pfs_pool *p = f->pool;
    for (int tries = 0; tries < TRIES; tries++) {
        pool_lock(p);
        uint64_t round = __atomic_add_fetch(&p->round, 1, __ATOMIC_RELAXED);
        struct pfs *other = take_idle(f);
        __atomic_store_n(&f->stamp, round, __ATOMIC_RELAXED);
        pool_unlock(p);
        if (!other)
            return false;
        bool given = pfs_cache_shrink(other, STOLEN);
        if (!given) /* not again soon */
            __atomic_store_n(&other->stamp, round, __ATOMIC_RELAXED);
        pfs_leave(other);
        if (given)
            return true;
    }
    return false;
}
