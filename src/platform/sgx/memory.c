/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * platform/memory.h in an enclave without EDMM: all pages of `memory` are there, readable, writable
 * and executable for the processor, from the start, and hold what the host liked, so a page is
 * cleared before it is first used. What a mapping's protection says is asked of the host's page
 * tables: programs get the faults they rely on, but a host that lies enforces nothing.
 */
#include "platform/memory.h"
#include "host/host.h"
#include "platform/platform.h"
#include "platform/sgx/sgx.h"
#include <linux/mman.h>

#define REGION_SHARE 4            /* a quarter of the memory is the library OS's, */
#define REGION_MOST  (64UL << 30) /* at most this */

struct mem_ranges mem_ranges;

/*
 * A byte for each page, at the bottom of the library OS's part: PROT_* that the host was told, and
 * whether it is to be cleared when it becomes accessible; such pages are PROT_NONE. Changed under
 * mm->lock, or region_lock for those of the library OS.
 */
static uint8_t *pages;
#define STALE 8
#define PROTS (PROT_READ | PROT_WRITE | PROT_EXEC)
#define RW    (PROT_READ | PROT_WRITE)

static uint8_t *page_at(uintptr_t addr)
{
    return &pages[(addr - mem_ranges.app_start) / PAGE_SIZE];
}

/* What the host's page tables are to allow. */
static int tell_host(uintptr_t addr, size_t len, int prot)
{
    long r = sgx_special(SGX_CALL_PROTECT, (int64_t)addr, (int64_t)len, prot);
    return r ? (int)host_errno(r) : 0;
}

int mem_take(void)
{
    const struct enclave_info *info = enclave_info();
    struct mem_ranges *r = &mem_ranges;
    size_t size = info->memory_end - info->memory;
    r->app_start = info->memory;
    r->region_end = info->memory_end;
    r->region_start = r->app_end = r->region_end - PAGE_DOWN(MIN(REGION_MOST, size / REGION_SHARE));
    pages = (uint8_t *)r->region_start;
    r->region_start += PAGE_UP((r->region_end - r->app_start) / PAGE_SIZE);
    memset(pages, STALE, r->region_start - (uintptr_t)pages);
    /* The library OS's own pages stay as they were mapped. */
    memset(page_at(r->app_end), STALE | RW, (r->region_end - r->app_end) / PAGE_SIZE);
    return tell_host(r->app_start, r->app_end - r->app_start, PROT_NONE);
}

bool platform_owns(uintptr_t addr, size_t len)
{
    (void)addr, (void)len; /* the host changes no mapping */
    return false;
}

/* Pages of [addr, end) from `addr` on that are alike. */
static uintptr_t end_of_run(uintptr_t addr, uintptr_t end)
{
    uint8_t state = *page_at(addr);
    while (addr < end && *page_at(addr) == state)
        addr += PAGE_SIZE;
    return addr;
}

/* Tells the host of those pages that are otherwise now. */
static int set_prot(uintptr_t addr, size_t len, int prot)
{
    uintptr_t end = addr + len, from = addr;
    int err = 0;
    while (from < end && (*page_at(from) & PROTS) == prot)
        from += PAGE_SIZE;
    while (end > from && (*page_at(end - PAGE_SIZE) & PROTS) == prot)
        end -= PAGE_SIZE;
    if (from < end)
        err = tell_host(from, end - from, prot);
    for (uintptr_t at = from; !err && at < end; at += PAGE_SIZE)
        *page_at(at) = (uint8_t)((*page_at(at) & STALE) | prot);
    return err;
}

static void set_stale(uintptr_t addr, size_t len)
{
    for (uintptr_t at = addr; at < addr + len; at += PAGE_SIZE)
        *page_at(at) |= STALE;
}

/* Clears what is stale, before anybody can see it. */
static int make_fresh(uintptr_t addr, size_t len)
{
    uintptr_t end = addr + len, next;
    int err = 0;
    for (uintptr_t at = addr; !err && at < end; at = next) {
        next = end_of_run(at, end);
        if (!(*page_at(at) & STALE))
            continue;
        err = set_prot(at, next - at, RW);
        if (err)
            break;
        memset((void *)at, 0, next - at);
        memset(page_at(at), RW, (next - at) / PAGE_SIZE);
    }
    return err;
}

int mem_map(uintptr_t addr, size_t len, int prot)
{
    set_stale(addr, len);
    return mem_protect(addr, len, prot);
}

int mem_unmap(uintptr_t addr, size_t len)
{
    set_stale(addr, len);
    return addr < mem_ranges.app_end ? set_prot(addr, len, PROT_NONE) : 0;
}

int mem_protect(uintptr_t addr, size_t len, int prot)
{
    int err = prot == PROT_NONE ? 0 : make_fresh(addr, len);
    return err ? err : set_prot(addr, len, prot);
}

int mem_zero(uintptr_t addr, size_t len)
{
    uintptr_t end = addr + len, next;
    int err = 0;
    for (uintptr_t at = addr; !err && at < end; at = next) {
        next = end_of_run(at, end);
        int prot = *page_at(at) & PROTS;
        set_stale(at, next - at);
        err = prot == PROT_NONE ? 0 : mem_protect(at, next - at, prot);
    }
    return err;
}

static bool is_used(uintptr_t addr)
{
    uintptr_t map = (uintptr_t)pages;
    bool in_map = addr >= map && addr < mem_ranges.region_start;
    return in_map || !(*page_at(addr) & STALE);
}

bool sgx_memory_used(uintptr_t from, uintptr_t *start, uintptr_t *end)
{
    uintptr_t at = from, last = mem_ranges.region_end;
    while (at < last && !is_used(at))
        at += PAGE_SIZE;
    *start = at;
    while (at < last && is_used(at) && *page_at(at) == *page_at(*start))
        at += PAGE_SIZE;
    *end = at;
    return *start < *end;
}

int sgx_memory_open(uintptr_t start, uintptr_t end, bool open)
{
    int prot = *page_at(start) & PROTS;
    return prot & PROT_READ ? 0 : tell_host(start, end - start, open ? PROT_READ : prot);
}

int sgx_memory_in_child(void)
{
    uintptr_t at = mem_ranges.app_start, end = mem_ranges.app_end;
    int err = 0;
    while (!err && at < end) {
        uintptr_t next = at;
        int prot = *page_at(at) & PROTS;
        while (next < end && (*page_at(next) & PROTS) == prot)
            next += PAGE_SIZE;
        err = tell_host(at, next - at, prot);
        at = next;
    }
    return err;
}

void platform_forget_application(void)
{
}
