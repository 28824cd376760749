/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* SHA-256 of sixteen independent messages, one in each 32-bit lane of AVX-512 vectors. */
#include "x86.h"

#define LANES SHA256_LANES

typedef __m512i vec;

extern const uint32_t sha256_k[64];

#define ror(x, n)         _mm512_ror_epi32(x, n)
#define add(a, b)         _mm512_add_epi32(a, b)
#define xor3(a, b, c)     _mm512_ternarylogic_epi32(a, b, c, 0x96)
#define choose(a, b, c)   _mm512_ternarylogic_epi32(a, b, c, 0xca)
#define majority(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0xe8)
#define big_sigma0(x)     xor3(ror(x, 2), ror(x, 13), ror(x, 22))
#define big_sigma1(x)     xor3(ror(x, 6), ror(x, 11), ror(x, 25))
#define small_sigma0(x)   xor3(ror(x, 7), ror(x, 18), _mm512_srli_epi32(x, 3))
#define small_sigma1(x)   xor3(ror(x, 17), ror(x, 19), _mm512_srli_epi32(x, 10))

/* Loads a block of each message and turns rows into columns: w[i] becomes word i of all. */
INLINE void load_words(vec w[16], const uint8_t *const data[LANES], size_t offset)
{
    const __m512i swap =
        _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    vec t[16];

#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        w[i] = _mm512_shuffle_epi8(_mm512_loadu_si512(data[i] + offset), swap);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(w[i], w[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(w[i], w[i + 1]);
    }
    /* w[4 * q + c]: column c of every 128-bit group, for messages 4q to 4q + 3. */
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        w[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        w[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        w[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        w[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    /* What is left is a transposition of 4x4 groups, for each column. */
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        vec low01 = _mm512_shuffle_i32x4(w[c], w[c + 4], 0x44);
        vec high01 = _mm512_shuffle_i32x4(w[c], w[c + 4], 0xee);
        vec low23 = _mm512_shuffle_i32x4(w[c + 8], w[c + 12], 0x44);
        vec high23 = _mm512_shuffle_i32x4(w[c + 8], w[c + 12], 0xee);
        w[c] = _mm512_shuffle_i32x4(low01, low23, 0x88);
        w[c + 4] = _mm512_shuffle_i32x4(low01, low23, 0xdd);
        w[c + 8] = _mm512_shuffle_i32x4(high01, high23, 0x88);
        w[c + 12] = _mm512_shuffle_i32x4(high01, high23, 0xdd);
    }
}

/* Sixteen rounds; computes the next sixteen words of the schedule on the way. */
INLINE void rounds(vec s[8], vec w[16], const uint32_t *k, bool schedule)
{
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        vec a = s[(16 - i) % 8], b = s[(17 - i) % 8], c = s[(18 - i) % 8], d = s[(19 - i) % 8];
        vec e = s[(20 - i) % 8], f = s[(21 - i) % 8], g = s[(22 - i) % 8], h = s[(23 - i) % 8];
        vec t = add(add(add(h, add(w[i], _mm512_set1_epi32((int)k[i]))), choose(e, f, g)),
                    big_sigma1(e));
        s[(19 - i) % 8] = add(d, t);
        s[(23 - i) % 8] = add(add(t, majority(a, b, c)), big_sigma0(a));
        if (schedule)
            w[i] = add(add(w[i], w[(i + 9) % 16]),
                       add(small_sigma0(w[(i + 1) % 16]), small_sigma1(w[(i + 14) % 16])));
    }
}

void sha256_lanes_avx512(uint32_t state[8][LANES], const uint8_t *const data[LANES], size_t blocks)
{
    vec s[8], start[8], w[16];

#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        s[i] = _mm512_loadu_si512(state[i]);
    for (size_t offset = 0; blocks; blocks--, offset += 64) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            start[i] = s[i];
        load_words(w, data, offset);
        rounds(s, w, sha256_k, true);
        rounds(s, w, sha256_k + 16, true);
        rounds(s, w, sha256_k + 32, true);
        rounds(s, w, sha256_k + 48, false);
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            s[i] = add(s[i], start[i]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        _mm512_storeu_si512(state[i], s[i]);
    _mm256_zeroupper();
}
