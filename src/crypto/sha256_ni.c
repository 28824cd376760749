/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* SHA-256 with the SHA extensions; SSE encodings only. Intel's manual, volume 1, section 12.4. */
#include "x86.h"

extern const uint32_t sha256_k[64];

/* The state as the instructions want it: words A, B, E, F and C, D, G, H. */
struct halves {
    __m128i abef, cdgh;
};

INLINE struct halves load_state(const uint32_t state[8])
{
    __m128i cdab = _mm_shuffle_epi32(load128(state), 0xb1);
    __m128i efgh = _mm_shuffle_epi32(load128(state + 4), 0x1b);

    return (struct halves){_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
}

INLINE void store_state(uint32_t state[8], struct halves h)
{
    __m128i feba = _mm_shuffle_epi32(h.abef, 0x1b), dchg = _mm_shuffle_epi32(h.cdgh, 0xb1);

    store128(state, _mm_blend_epi16(feba, dchg, 0xf0));
    store128(state + 4, _mm_alignr_epi8(dchg, feba, 8));
}

INLINE struct halves compress_block(struct halves h, const uint8_t *data)
{
    const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    struct halves start = h;
    __m128i w[4];

#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        if (i < 4) {
            w[i] = _mm_shuffle_epi8(load128(data + 16 * i), swap);
        } else {
            __m128i m = _mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]);
            m = _mm_add_epi32(m, _mm_alignr_epi8(w[(i + 3) % 4], w[(i + 2) % 4], 4));
            w[i % 4] = _mm_sha256msg2_epu32(m, w[(i + 3) % 4]);
        }
        __m128i wk = _mm_add_epi32(w[i % 4], load128(sha256_k + 4 * i));
        h.cdgh = _mm_sha256rnds2_epu32(h.cdgh, h.abef, wk);
        h.abef = _mm_sha256rnds2_epu32(h.abef, h.cdgh, _mm_shuffle_epi32(wk, 0x0e));
    }
    h.abef = _mm_add_epi32(h.abef, start.abef);
    h.cdgh = _mm_add_epi32(h.cdgh, start.cdgh);
    return h;
}

static void compress_shani(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    struct halves h = load_state(state);

    for (; blocks; blocks--, data += 64)
        h = compress_block(h, data);
    store_state(state, h);
    wipe_low_registers();
}

const struct sha256_kernel sha256_shani = {.name = "sha-ni", .compress = compress_shani};
