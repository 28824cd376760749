/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the processor has of vector state (Intel SDM vol. 1, chapter 13). */
#include "platform/common/xstate.h"
#include "platform/direct/direct.h"

void direct_xstate_setup(void)
{
    uint32_t eax, ebx, ecx, edx;
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    uint64_t mask = (uint64_t)hi << 32 | lo;
    /* AMX tiles need a permission that the application asks for itself (arch_prctl). */
    mask &= ~(3UL << 17);
    uint32_t top = 512 + 64;
    for (uint32_t i = 2; i < 63; i++) {
        if (!(mask >> i & 1))
            continue;
        eax = 0xd;
        ecx = i;
        __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
        top = MAX(top, ebx + eax);
    }
    xstate_setup(mask, top);
}
