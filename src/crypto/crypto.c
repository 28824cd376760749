/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What all kernels share. */
#include "crypto.h"
#include "kernels.h"

#define ERR_BADMSG (-74)

void crypto_wipe(void *p, size_t len)
{
    memset(p, 0, len);
    __asm__ volatile("" : : "r"(p) : "memory");
}

__attribute__((noinline)) void wipe_stack(void)
{
    uint8_t below[WIPED_STACK];

    crypto_wipe(below, sizeof(below));
}

int crypto_differs(const void *a, const void *b, size_t len)
{
    const uint8_t *x = a, *y = b;
    uint64_t differs = 0;

    for (; len >= 8; len -= 8, x += 8, y += 8)
        differs |= load_le64(x) ^ load_le64(y);
    for (; len; len--)
        differs |= *x++ ^ *y++;
    /* Opaque to the compiler, which could otherwise leave the loop at the first difference. */
    __asm__("" : "+r"(differs));
    return (differs | -differs) >> 63;
}

void aes128_gcm_encrypt(const uint8_t key[AES128_KEY_SIZE], const uint8_t iv[GCM_IV_SIZE],
                        const void *aad, size_t aad_len, const void *pt, size_t len, void *ct,
                        uint8_t tag[GCM_TAG_SIZE])
{
    struct gcm_job job = {key, iv, aad, aad_len, pt, len, ct, false};

    aes_kernel->gcm(&job, tag);
}

int aes128_gcm_decrypt(const uint8_t key[AES128_KEY_SIZE], const uint8_t iv[GCM_IV_SIZE],
                       const void *aad, size_t aad_len, const void *ct, size_t len, void *pt,
                       const uint8_t tag[GCM_TAG_SIZE])
{
    struct gcm_job job = {key, iv, aad, aad_len, ct, len, pt, true};
    uint8_t computed[GCM_TAG_SIZE];
    int differs;

    aes_kernel->gcm(&job, computed);
    differs = crypto_differs(computed, tag, sizeof(computed));
    crypto_wipe(computed, sizeof(computed));
    if (differs) {
        if (len)
            crypto_wipe(pt, len);
        return ERR_BADMSG;
    }
    return 0;
}
