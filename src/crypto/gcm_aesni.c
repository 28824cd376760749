/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* AES-GCM and CBC-MAC with AES-NI and PCLMULQDQ on 128-bit vectors; SSE encodings only, so that an
 * enclave without AVX has them. */
#include "x86.h"

typedef __m128i vec;
#define LANES       1
#define BATCH       8
#define SPILL_BYTES 768

#define v_load(p)          _mm_loadu_si128((const void *)(p))
#define v_store(p, v)      _mm_storeu_si128((void *)(p), v)
#define v_xor3(a, b, c)    ((a) ^ (b) ^ (c))
#define v_add32(a, b)      _mm_add_epi32(a, b)
#define v_set64(x)         _mm_set1_epi64x((long long)(x))
#define v_swap64(v)        _mm_shuffle_epi32(v, 0x4e)
#define v_shuffle8(v, by)  _mm_shuffle_epi8(v, by)
#define v_aesenc(a, k)     _mm_aesenc_si128(a, k)
#define v_aesenclast(a, k) _mm_aesenclast_si128(a, k)
#define v_clmul(a, b, imm) _mm_clmulepi64_si128(a, b, imm)
#define v_broadcast(x)     (x)
#define v_from_first(x)    (x)
#define v_first(v)         (v)
#define v_lane_numbers()   _mm_setzero_si128()
#define v_fold(v)          (v)
#define v_powers(h)        (h)

#define v_wipe_registers wipe_low_registers
#define GCM_NAME         gcm_aesni
#include "gcm_stitched.h"

static void expand_aesni(uint8_t schedule[AES_SCHEDULE_MAX], const uint8_t key[16])
{
    aes128_schedule((__m128i *)schedule, key);
    wipe_low_registers();
}

static void cbc_mac_aesni(const uint8_t schedule[AES_SCHEDULE_MAX], uint8_t state[16],
                          const uint8_t *data, size_t blocks)
{
    const __m128i *rk = (const __m128i *)schedule;
    __m128i b = load128(state);

    for (; blocks; blocks--, data += 16) {
        b ^= load128(data) ^ rk[0];
#pragma GCC unroll 16
        for (int r = 1; r < AES128_ROUNDS; r++)
            b = _mm_aesenc_si128(b, rk[r]);
        b = _mm_aesenclast_si128(b, rk[AES128_ROUNDS]);
    }
    store128(state, b);
    wipe_low_registers();
}

#define KERNEL(gcm_name, label)                                                          \
    {                                                                                    \
        .name = label, .gcm = gcm_name, .expand = expand_aesni, .cbc_mac = cbc_mac_aesni \
    }
const struct aes_kernel aes_aesni = KERNEL(gcm_aesni, "aes-ni");
const struct aes_kernel aes_vaes256 = KERNEL(gcm_vaes256, "vaes256");
const struct aes_kernel aes_vaes512 = KERNEL(gcm_vaes512, "vaes512");
