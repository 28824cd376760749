/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the processor has of vector state (Intel SDM vol. 1, chapter 13). */
#include "platform/common/xstate.h"
#include "platform/direct/direct.h"

void direct_xstate_setup(void)
{
    uint32_t eax = 0xd, ebx, ecx = 0, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    uint32_t top = ebx; /* for what XCR0 enables now */
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    uint64_t mask = (uint64_t)hi << 32 | lo;
    /* AMX tiles need a permission that the application asks for itself (arch_prctl). */
    const uint64_t tiles = 3UL << 17;
    bool with_tiles = mask & tiles;
    mask &= ~tiles;
    if (with_tiles)
        top = 512 + 64;
    for (uint32_t i = 2; with_tiles && i < 63; i++) { /* each costs microseconds in a guest */
        if (!(mask >> i & 1))
            continue;
        eax = 0xd;
        ecx = i;
        __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
        top = MAX(top, ebx + eax);
    }
    xstate_setup(mask, top);
}
