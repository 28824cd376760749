/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* platform/memory.h, by the host's anonymous mappings at fixed places. */
#include "platform/memory.h"
#include "host/host.h"
#include "platform/platform.h"
#include <linux/mman.h>

/* As an enclave's at address 0 would be; what the host itself has mapped is far above. */
#define LOWEST         0x10000UL /* below it nobody may map */
#define RANGE_LARGEST  (1UL << 40)
#define RANGE_SMALLEST (1UL << 30)
#define REGION_MOST    (64UL << 30)

#define PLACE (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)

struct mem_ranges mem_ranges;

int mem_take(void)
{
    struct mem_ranges *r = &mem_ranges;
    long p = -ENOMEM;
    for (size_t size = RANGE_LARGEST; IS_ERR(p) && size >= RANGE_SMALLEST; size /= 2) {
        r->region_end = size;
        p = host_mmap(LOWEST, size - LOWEST, PROT_NONE, PLACE | MAP_FIXED_NOREPLACE | MAP_NORESERVE,
                      -1, 0);
    }
    r->app_start = LOWEST;
    r->region_start = r->app_end = r->region_end - MIN(REGION_MOST, r->region_end / 4);
    return IS_ERR(p) ? (int)p : 0;
}

bool platform_owns(uintptr_t addr, size_t len)
{
    uintptr_t end = mem_ranges.region_end;
    return addr >= LOWEST && addr <= end && len <= end - addr;
}

int mem_map(uintptr_t addr, size_t len, int prot)
{
    long p = host_mmap(addr, len, prot, PLACE, -1, 0);
    return IS_ERR(p) ? (int)p : 0;
}

int mem_unmap(uintptr_t addr, size_t len)
{
    long p = host_mmap(addr, len, PROT_NONE, PLACE | MAP_NORESERVE, -1, 0);
    return IS_ERR(p) ? (int)p : 0;
}

int mem_protect(uintptr_t addr, size_t len, int prot)
{
    return host_mprotect(addr, len, prot);
}

void platform_forget_application(void)
{
    mem_unmap(mem_ranges.app_start, mem_ranges.app_end - mem_ranges.app_start);
}

int mem_zero(uintptr_t addr, size_t len)
{
    return host_madvise(addr, len, MADV_DONTNEED);
}
