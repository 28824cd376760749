/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* HKDF (RFC 5869) over HMAC-SHA-256 (RFC 2104). */
#include "crypto.h"
#include "kernels.h"

/* The hash states after the padded key, inner and outer. */
struct hmac {
    struct sha256 inner, outer;
};

static void hmac_init(struct hmac *h, const uint8_t *key, size_t len)
{
    uint8_t pad[64] = {0};

    if (len > sizeof(pad))
        sha256(key, len, pad);
    else if (len)
        memcpy(pad, key, len);
    for (size_t i = 0; i < sizeof(pad); i++)
        pad[i] ^= 0x36;
    sha256_init(&h->inner);
    sha256_update(&h->inner, pad, sizeof(pad));
    for (size_t i = 0; i < sizeof(pad); i++)
        pad[i] ^= 0x36 ^ 0x5c;
    sha256_init(&h->outer);
    sha256_update(&h->outer, pad, sizeof(pad));
    crypto_wipe(pad, sizeof(pad));
}

static void hmac_final(struct hmac *h, uint8_t mac[SHA256_SIZE])
{
    sha256_final(&h->inner, mac);
    sha256_update(&h->outer, mac, SHA256_SIZE);
    sha256_final(&h->outer, mac);
}

void hkdf_sha256(const void *salt, size_t salt_len, const void *ikm, size_t ikm_len,
                 const void *info, size_t info_len, void *out, size_t out_len)
{
    struct hmac keyed, h;
    uint8_t *p = out, t[SHA256_SIZE];

    hmac_init(&h, salt, salt_len);
    sha256_update(&h.inner, ikm, ikm_len);
    hmac_final(&h, t);

    hmac_init(&keyed, t, sizeof(t));
    for (uint8_t i = 1; out_len; i++) {
        size_t n = out_len < sizeof(t) ? out_len : sizeof(t);
        h = keyed;
        if (i > 1)
            sha256_update(&h.inner, t, sizeof(t));
        sha256_update(&h.inner, info, info_len);
        sha256_update(&h.inner, &i, 1);
        hmac_final(&h, t);
        memcpy(p, t, n);
        p += n;
        out_len -= n;
    }
    crypto_wipe(&keyed, sizeof(keyed));
    crypto_wipe(&h, sizeof(h));
    crypto_wipe(t, sizeof(t));
    wipe_stack();
}
