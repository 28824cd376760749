/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the kernels for x86 vector instructions share: 128-bit helpers. Each including file is
 * compiled for its own instruction set. */
#pragma once
#define _MM_MALLOC_H_INCLUDED /* keeps <stdlib.h> out: no libc here */
#include <immintrin.h>
#include "kernels.h"

#define INLINE static inline __attribute__((always_inline))

INLINE __m128i load128(const void *p)
{
    return _mm_loadu_si128(p);
}

INLINE void store128(void *p, __m128i v)
{
    _mm_storeu_si128(p, v);
}

/* For code in SSE encodings: leaves nothing secret in registers 0 to 15. */
INLINE void wipe_low_registers(void)
{
#define WIPE(n) "pxor %%xmm" #n ", %%xmm" #n "\n\t"
    __asm__ volatile(WIPE(0) WIPE(1) WIPE(2) WIPE(3) WIPE(4) WIPE(5) WIPE(6) WIPE(7) WIPE(8) WIPE(9)
                         WIPE(10) WIPE(11) WIPE(12) WIPE(13) WIPE(14) WIPE(15)
                     :
                     :
                     : "memory");
#undef WIPE
}

/*
 * One step of the AES-128 key schedule (FIPS 197, section 5.2). AESENCLAST on four copies of the
 * rotated last word is SubWord plus the round constant, in a third of AESKEYGENASSIST's latency.
 */
INLINE __m128i aes128_next_key(__m128i k, int rcon)
{
    const __m128i rotate_last = _mm_set1_epi32(0x0c0f0e0d);
    __m128i word = _mm_aesenclast_si128(_mm_shuffle_epi8(k, rotate_last), _mm_set1_epi32(rcon));

    k ^= _mm_slli_si128(k, 4);
    k ^= _mm_slli_si128(k, 8);
    return k ^ word;
}

INLINE void aes128_schedule(__m128i rk[AES128_ROUNDS + 1], const uint8_t key[16])
{
    rk[0] = load128(key);
    rk[1] = aes128_next_key(rk[0], 0x01);
    rk[2] = aes128_next_key(rk[1], 0x02);
    rk[3] = aes128_next_key(rk[2], 0x04);
    rk[4] = aes128_next_key(rk[3], 0x08);
    rk[5] = aes128_next_key(rk[4], 0x10);
    rk[6] = aes128_next_key(rk[5], 0x20);
    rk[7] = aes128_next_key(rk[6], 0x40);
    rk[8] = aes128_next_key(rk[7], 0x80);
    rk[9] = aes128_next_key(rk[8], 0x1b);
    rk[10] = aes128_next_key(rk[9], 0x36);
}
