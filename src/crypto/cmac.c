/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* AES-128-CMAC (RFC 4493). */
#include "crypto.h"
#include "kernels.h"

/* Doubles in GF(2^128), most significant bit first (RFC 4493, section 2.3). */
static void cmac_double(uint8_t k[16])
{
    uint64_t high = load_be64(k), low = load_be64(k + 8);
    uint64_t carry = high >> 63;

    store_be64(k, high << 1 | low >> 63);
    store_be64(k + 8, low << 1 ^ (-carry & 0x87));
}

void aes128_cmac(const uint8_t key[AES128_KEY_SIZE], const void *data, size_t len,
                 uint8_t mac[CMAC_SIZE])
{
    _Alignas(64) uint8_t schedule[AES_SCHEDULE_MAX];
    uint8_t subkey[16] = {0}, last[16] = {0}, state[16] = {0};
    const uint8_t *p = data;
    size_t whole = len ? (len - 1) / 16 : 0, rest = len - 16 * whole;

    aes_kernel->expand(schedule, key);
    aes_kernel->cbc_mac(schedule, subkey, last, 1);
    cmac_double(subkey);

    if (rest)
        memcpy(last, p + 16 * whole, rest);
    if (rest < 16) {
        last[rest] = 0x80;
        cmac_double(subkey);
    }
    for (int i = 0; i < 16; i++)
        last[i] ^= subkey[i];

    aes_kernel->cbc_mac(schedule, state, p, whole);
    aes_kernel->cbc_mac(schedule, state, last, 1);
    memcpy(mac, state, CMAC_SIZE);

    crypto_wipe(schedule, sizeof(schedule));
    crypto_wipe(subkey, sizeof(subkey));
    crypto_wipe(last, sizeof(last));
    crypto_wipe(state, sizeof(state));
}
