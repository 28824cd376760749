/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Under valgrind's memcheck: secrets are declared undefined, so that a branch or an address that
 * depends on one is reported. With an argument, does just that on purpose. Valgrind knows no
 * AVX-512 and no SHA extensions; the kernels it can run are the portable ones and, told so,
 * AES-NI's.
 */
#include <stdio.h>
#include <string.h>
#include <valgrind/memcheck.h>
#include "crypto/crypto.h"

#define SECRET(x) VALGRIND_MAKE_MEM_UNDEFINED(x, sizeof(x))
#define PUBLIC(x) VALGRIND_MAKE_MEM_DEFINED(x, sizeof(x))

static uint8_t key[16], text[1000], other[1000], iv[12], aad[20], tag[16], mac[16], okm[70];
static uint8_t scalar[32], point[32] = {9}, shared[32];

static void run(void)
{
    SECRET(key);
    SECRET(text);
    SECRET(scalar);
    aes128_gcm_encrypt(key, iv, aad, sizeof(aad), text, sizeof(text), other, tag);
    aes128_cmac(key, text, sizeof(text), mac);
    hkdf_sha256(iv, sizeof(iv), key, sizeof(key), aad, sizeof(aad), okm, sizeof(okm));
    int order[1] = {x25519(shared, scalar, point)};
    int differs[1] = {crypto_differs(mac, tag, sizeof(mac))};
    PUBLIC(order);
    PUBLIC(differs);
    PUBLIC(shared);
    printf("%d %d %02x\n", order[0], differs[0], shared[0]);
}

int main(int argc, char **argv)
{
    const struct crypto_cpu sse = {.leaf1_ecx = 1u << 1 | 1u << 9 | 1u << 19 | 1u << 25, .xfrm = 3};

    if (!RUNNING_ON_VALGRIND) {
        fprintf(stderr, "run me under valgrind\n");
        return 2;
    }
    run();
    crypto_init_cpu(&sse);
    run();
    if (argc > 1) {
        SECRET(key);
        if (key[0] & 1)
            puts("a branch on a secret");
    }
    return 0;
}
