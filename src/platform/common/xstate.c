/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Vector and floating-point state (Intel SDM vol. 1, chapter 13). */
#include "libos/thread.h"
#include "platform/common/xstate.h"
#include "platform/platform.h"

static size_t xstate_size; /* set once at start */
static uint64_t xstate_mask;
static uint32_t mxcsr_mask;

void xstate_setup(uint64_t mask, size_t size)
{
    struct {
        uint32_t other[7], mxcsr_mask, rest[120];
    } fx __attribute__((aligned(16)));
    xstate_mask = mask;
    xstate_size = size;
    __asm__ volatile("fxsave %0" : "=m"(fx));
    mxcsr_mask = fx.mxcsr_mask;
}

uint32_t platform_mxcsr_mask(void)
{
    return mxcsr_mask;
}

size_t platform_xstate_size(void)
{
    return xstate_size;
}

uint64_t platform_xstate_mask(void)
{
    return xstate_mask;
}

void platform_xstate_save(void *area)
{
    memset((char *)area + 512, 0, 64); /* XSAVE leaves the rest of the header as it is */
    __asm__ volatile("xsave64 (%0)"
                     :
                     : "r"(area), "a"((uint32_t)xstate_mask), "d"((uint32_t)(xstate_mask >> 32))
                     : "memory");
}

void platform_xstate_restore(const void *area)
{
    __asm__ volatile("xrstor64 (%0)"
                     :
                     : "r"(area), "a"((uint32_t)xstate_mask), "d"((uint32_t)(xstate_mask >> 32))
                     : "memory");
}

void platform_vector_reset(void)
{
    static const struct {
        uint16_t fcw, rest[11];
        uint32_t mxcsr, mxcsr_mask;
        char pad[480];
        uint64_t header[8];
    } initial __attribute__((aligned(64))) = {.fcw = 0x37f, .mxcsr = 0x1f80};
    __asm__ volatile("xrstor64 (%0)"
                     :
                     : "r"(&initial), "a"((uint32_t)xstate_mask),
                       "d"((uint32_t)(xstate_mask >> 32) & ~0u)
                     : "memory");
    uint32_t mxcsr = 0x1f80;
    uint16_t fcw = 0x37f;
    __asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(mxcsr), "m"(fcw));
}

/* Largest state without AMX: x87, SSE, AVX, MPX, AVX-512, PKRU. */
#define VECTOR_AREA 4096

void vector_begin(void)
{
    struct thread *t = current();
    if (t->vector_depth++ == 0) {
        assert(xstate_size <= VECTOR_AREA);
        platform_xstate_save((void *)ALIGN_UP((uintptr_t)t->vector_area, 64));
    }
}

void vector_end(void)
{
    struct thread *t = current();
    if (--t->vector_depth == 0)
        platform_xstate_restore((void *)ALIGN_UP((uintptr_t)t->vector_area, 64));
}
