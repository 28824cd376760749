/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The region: one reserved range of addresses out of which all memory of the library OS comes, so
 * that "is this the application's?" is a comparison. Page runs are handed out first fit; free runs
 * are kept in an array sorted by address.
 */
#include "host/host.h"
#include "libos/lib/lock.h"
#include "libos/lib/region.h"
#include "libos/log.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include <linux/mman.h>

#define REGION_LARGEST  (64UL << 30)
#define REGION_SMALLEST (256UL << 20)
#define MAX_RUNS        4096

struct run_free {
    uintptr_t start, end;
};

/* Lock order: leaf (below every other lock). */
static struct lock region_lock;
static uintptr_t region_start, region_end;
static uintptr_t region_used, region_top; /* between them: never used */
static struct run_free runs[MAX_RUNS];
static size_t run_count;

#if PLATFORM_HOST_TRUSTED

void region_init(void)
{
    for (size_t size = REGION_LARGEST; size >= REGION_SMALLEST; size /= 2) {
        long p = host_mmap(0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (!IS_ERR(p)) {
            region_start = region_used = (uintptr_t)p;
            region_end = region_top = region_start + size;
            return;
        }
    }
    panic("no address space for the library OS (is RLIMIT_AS below 256 MiB?)");
}

static int commit(uintptr_t start, size_t size)
{
    return IS_ERR(host_mmap(start, size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0))
               ? -ENOMEM
               : 0;
}

static void forget(uintptr_t start, size_t size)
{
    host_mmap(start, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
              0);
}

bool user_range_ok(const void *addr, size_t len)
{
    uintptr_t a = (uintptr_t)addr;
    return a <= USER_TOP && len <= USER_TOP - a && !libos_range(addr, len);
}

#else

void region_init(void)
{
    if (mem_take())
        panic("no address space for the library OS (is RLIMIT_AS below 2 GiB?)");
    region_start = region_used = mem_ranges.region_start;
    region_end = region_top = mem_ranges.region_end;
}

static int commit(uintptr_t start, size_t size)
{
    return mem_map(start, size, PROT_READ | PROT_WRITE);
}

static void forget(uintptr_t start, size_t size)
{
    mem_unmap(start, size);
}

/* Above the application's part all is ours or the host's. */
bool user_range_ok(const void *addr, size_t len)
{
    uintptr_t a = (uintptr_t)addr;
    return a <= mem_ranges.app_end && len <= mem_ranges.app_end - a;
}

#endif

static uintptr_t take_run(size_t size)
{
    for (size_t i = 0; i < run_count; i++) {
        if (runs[i].end - runs[i].start < size)
            continue;
        uintptr_t p = runs[i].start;
        runs[i].start += size;
        if (runs[i].start == runs[i].end) {
            run_count--;
            memmove(&runs[i], &runs[i + 1], (run_count - i) * sizeof(runs[0]));
        }
        return p;
    }
    if (region_top - region_used < size)
        return 0;
    uintptr_t p = region_used;
    region_used += size;
    return p;
}

void *region_alloc(size_t size)
{
    assert(size && !(size & PAGE_MASK));
    lock(&region_lock);
    uintptr_t p = take_run(size);
    unlock(&region_lock);
    if (!p || commit(p, size))
        return NULL;
    return (void *)p;
}

void *region_reserve_top(size_t size)
{
    assert(size && !(size & PAGE_MASK));
    lock(&region_lock);
    bool fits = region_top - region_used >= size;
    region_top -= fits ? size : 0;
    unlock(&region_lock);
    return fits ? (void *)region_top : NULL;
}

static void give_run(uintptr_t start, uintptr_t end)
{
    size_t i = 0;
    while (i < run_count && runs[i].start < start)
        i++;
    bool joins_left = i > 0 && runs[i - 1].end == start;
    bool joins_right = i < run_count && runs[i].start == end;
    if (joins_left && joins_right) {
        runs[i - 1].end = runs[i].end;
        run_count--;
        memmove(&runs[i], &runs[i + 1], (run_count - i) * sizeof(runs[0]));
    } else if (joins_left) {
        runs[i - 1].end = end;
    } else if (joins_right) {
        runs[i].start = start;
    } else if (run_count < MAX_RUNS) { /* else: the addresses are lost, not the memory */
        memmove(&runs[i + 1], &runs[i], (run_count - i) * sizeof(runs[0]));
        runs[i] = (struct run_free){start, end};
        run_count++;
    }
}

void region_free(void *p, size_t size)
{
    uintptr_t start = (uintptr_t)p;
    assert(start >= region_start && start + size <= region_used && !(start & PAGE_MASK));
    forget(start, size);
    lock(&region_lock);
    give_run(start, start + size);
    unlock(&region_lock);
}

bool libos_range(const void *addr, size_t len)
{
    uintptr_t a = (uintptr_t)addr, end = a + len < a ? UINTPTR_MAX : a + len;
#if !PLATFORM_HOST_TRUSTED
    return end >
           mem_ranges.app_end; /* also threads' stacks, which an enclave has above its image */
#else
    return (end > region_start && a < region_end) ||
           (end > (uintptr_t)libos_image_start && a < (uintptr_t)libos_image_end);
#endif
}

void region_hold(void)
{
    lock(&region_lock);
}

void region_release(void)
{
    unlock(&region_lock);
}

void region_bounds(uintptr_t *start, uintptr_t *end)
{
    *start = region_start;
    *end = region_end;
}
