/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* AES-GCM with VAES and VPCLMULQDQ on 512-bit vectors. */
#include "x86.h"

typedef __m512i vec;
#define LANES       4
#define BATCH       8
#define SPILL_BYTES 640

#define v_load(p)             _mm512_loadu_si512(p)
#define v_store(p, v)         _mm512_storeu_si512(p, v)
#define v_xor3(a, b, c)       _mm512_ternarylogic_epi64(a, b, c, 0x96)
#define v_add32(a, b)         _mm512_add_epi32(a, b)
#define v_set64(x)            _mm512_set1_epi64((long long)(x))
#define v_swap64(v)           _mm512_shuffle_epi32(v, 0x4e)
#define v_shuffle8(v, by)     _mm512_shuffle_epi8(v, by)
#define v_aesenc(a, k)        _mm512_aesenc_epi128(a, k)
#define v_aesenclast(a, k)    _mm512_aesenclast_epi128(a, k)
#define v_clmul(a, b, imm)    _mm512_clmulepi64_epi128(a, b, imm)
#define v_broadcast(x)        _mm512_broadcast_i32x4(x)
#define v_from_first(x)       _mm512_zextsi128_si512(x)
#define v_first(v)            _mm512_castsi512_si128(v)
#define v_lane_numbers()      _mm512_set_epi32(0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0)
#define v_mask(n)             (((uint64_t)1 << (n)) - 1)
#define v_load_part(p, n)     _mm512_maskz_loadu_epi8(v_mask(n), p)
#define v_keep_part(v, n)     _mm512_maskz_mov_epi8(v_mask(n), v)
#define v_store_part(p, v, n) _mm512_mask_storeu_epi8(p, v_mask(n), v)

static inline __m128i v_fold(vec v)
{
    __m256i half = _mm512_castsi512_si256(v) ^ _mm512_extracti64x4_epi64(v, 1);

    return _mm256_castsi256_si128(half) ^ _mm256_extracti128_si256(half, 1);
}

static inline void v_wipe_registers(void)
{
#define WIPE(n) "vpxord %%xmm" #n ", %%xmm" #n ", %%xmm" #n "\n\t"
    __asm__ volatile("vzeroall\n\t" WIPE(16) WIPE(17) WIPE(18) WIPE(19) WIPE(20) WIPE(21) WIPE(22)
                         WIPE(23) WIPE(24) WIPE(25) WIPE(26) WIPE(27) WIPE(28) WIPE(29) WIPE(30)
                             WIPE(31)
                     :
                     :
                     : "memory");
#undef WIPE
}

static inline vec v_powers(__m128i h);
#define GCM_NAME gcm_vaes512
#include "gcm_stitched.h"

/* H^4, H^3, H^2, H. */
static inline vec v_powers(__m128i h)
{
    __m128i h2 = multiply128(h, h), h3 = multiply128(h2, h), h4 = multiply128(h2, h2);
    vec v = _mm512_castsi128_si512(h4);

    v = _mm512_inserti32x4(v, h3, 1);
    v = _mm512_inserti32x4(v, h2, 2);
    return _mm512_inserti32x4(v, h, 3);
}
