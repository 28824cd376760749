/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * platform/memory.h in an enclave without EDMM: all pages of `memory` are there, readable, writable
 * and executable, from the start, and hold what the host liked, so a page is cleared before it is
 * first used. What a mapping's protection says cannot be enforced: see docs/compatibility.md.
 */
#include "platform/memory.h"
#include "libos/lib/lock.h"
#include "platform/platform.h"
#include "platform/sgx/sgx.h"
#include <linux/mman.h>

#define REGION_SHARE 4            /* a quarter of the memory is the library OS's, */
#define REGION_MOST  (64UL << 30) /* at most this */

struct mem_ranges mem_ranges;

/*
 * A bit for each page of the application's range: it is to be cleared when it becomes accessible.
 * At the bottom of the library OS's part. Changed under mm->lock and region_lock, in different
 * words, so atomically.
 */
static uint64_t *stale;

static size_t stale_size(size_t pages)
{
    return PAGE_UP((pages + 63) / 64 * 8);
}

int mem_take(void)
{
    const struct enclave_info *info = enclave_info();
    struct mem_ranges *r = &mem_ranges;
    size_t size = info->memory_end - info->memory;
    r->app_start = info->memory;
    r->region_end = info->memory_end;
    r->region_start = r->app_end = r->region_end - PAGE_DOWN(MIN(REGION_MOST, size / REGION_SHARE));
    stale = (uint64_t *)r->region_start;
    r->region_start += stale_size((r->region_end - r->app_start) / PAGE_SIZE);
    memset(stale, 0xff, r->region_start - (uintptr_t)stale);
    return 0;
}

bool platform_owns(uintptr_t addr, size_t len)
{
    (void)addr, (void)len; /* the host changes no mapping */
    return false;
}

static bool test_and_set(uintptr_t addr, bool to)
{
    size_t page = (addr - mem_ranges.app_start) / PAGE_SIZE;
    uint64_t bit = 1UL << page % 64;
    uint64_t was = to ? __atomic_fetch_or(&stale[page / 64], bit, __ATOMIC_RELAXED)
                      : __atomic_fetch_and(&stale[page / 64], ~bit, __ATOMIC_RELAXED);
    return was & bit;
}

static void set_stale(uintptr_t addr, size_t len)
{
    for (uintptr_t at = addr; at < addr + len; at += PAGE_SIZE)
        test_and_set(at, true);
}

static void make_fresh(uintptr_t addr, size_t len)
{
    for (uintptr_t at = addr; at < addr + len; at += PAGE_SIZE)
        if (test_and_set(at, false))
            memset((void *)at, 0, PAGE_SIZE);
}

int mem_map(uintptr_t addr, size_t len, int prot)
{
    set_stale(addr, len);
    return mem_protect(addr, len, prot);
}

int mem_unmap(uintptr_t addr, size_t len)
{
    set_stale(addr, len);
    return 0;
}

int mem_protect(uintptr_t addr, size_t len, int prot)
{
    if (prot != PROT_NONE)
        make_fresh(addr, len);
    return 0;
}

int mem_zero(uintptr_t addr, size_t len)
{
    memset((void *)addr, 0, len);
    return 0;
}

void platform_forget_application(void)
{
}
