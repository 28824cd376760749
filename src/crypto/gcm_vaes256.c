/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* AES-GCM with VAES and VPCLMULQDQ on 256-bit vectors, for CPUs and enclaves without AVX-512. */
#include "x86.h"

typedef __m256i vec;
#define LANES       2
#define BATCH       8
#define SPILL_BYTES 1280

#define v_load(p)          _mm256_loadu_si256((const void *)(p))
#define v_store(p, v)      _mm256_storeu_si256((void *)(p), v)
#define v_xor3(a, b, c)    ((a) ^ (b) ^ (c))
#define v_add32(a, b)      _mm256_add_epi32(a, b)
#define v_set64(x)         _mm256_set1_epi64x((long long)(x))
#define v_swap64(v)        _mm256_shuffle_epi32(v, 0x4e)
#define v_shuffle8(v, by)  _mm256_shuffle_epi8(v, by)
#define v_aesenc(a, k)     _mm256_aesenc_epi128(a, k)
#define v_aesenclast(a, k) _mm256_aesenclast_epi128(a, k)
#define v_clmul(a, b, imm) _mm256_clmulepi64_epi128(a, b, imm)
#define v_broadcast(x)     _mm256_broadcastsi128_si256(x)
#define v_from_first(x)    _mm256_zextsi128_si256(x)
#define v_first(v)         _mm256_castsi256_si128(v)
#define v_lane_numbers()   _mm256_set_epi32(0, 0, 0, 1, 0, 0, 0, 0)

static inline __m128i v_fold(vec v)
{
    return v_first(v) ^ _mm256_extracti128_si256(v, 1);
}

static inline void v_wipe_registers(void)
{
    __asm__ volatile("vzeroall" : : : "memory");
}

static inline vec v_powers(__m128i h);
#define GCM_NAME gcm_vaes256
#include "gcm_stitched.h"

/* H^2, H. */
static inline vec v_powers(__m128i h)
{
    return _mm256_set_m128i(h, multiply128(h, h));
}
