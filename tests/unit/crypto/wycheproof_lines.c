/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Runs test cases given on standard input, one a line, with every set of kernels this CPU has:
 *   gcm KEY IV AAD TEXT CIPHERTEXT TAG     ("-" for empty, else hexadecimal)
 *   cmac KEY TEXT TAG
 *   sha256 TEXT DIGEST
 * and prints "ok" (reproduced and accepted), "refused" or "kernels disagree" for each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels_under_test.h"

#define FIELD (16 * 1024)

static size_t unhex(uint8_t *out, const char *hex)
{
    size_t n = strcmp(hex, "-") ? strlen(hex) / 2 : 0;

    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
            exit(2);
        out[i] = (uint8_t)byte;
    }
    return n;
}

static int gcm_accepts(char field[6][FIELD])
{
    uint8_t key[FIELD], iv[FIELD], aad[FIELD], text[FIELD], ct[FIELD], tag[FIELD];
    uint8_t out[FIELD], out_tag[16];
    size_t aad_len, len;

    if (unhex(key, field[0]) != 16 || unhex(iv, field[1]) != 12 || unhex(tag, field[5]) != 16)
        exit(2);
    aad_len = unhex(aad, field[2]);
    len = unhex(text, field[3]);
    if (unhex(ct, field[4]) != len)
        exit(2);
    int accepted = aes128_gcm_decrypt(key, iv, aad, aad_len, ct, len, out, tag) == 0;
    aes128_gcm_encrypt(key, iv, aad, aad_len, text, len, ct, out_tag);
    int reproduced = memcmp(out_tag, tag, 16) == 0;
    if (accepted && memcmp(out, text, len))
        return -1;
    return accepted == reproduced ? accepted : -1;
}

static int cmac_accepts(char field[6][FIELD])
{
    uint8_t key[FIELD], text[FIELD], tag[FIELD], mac[16];

    if (unhex(key, field[0]) != 16 || unhex(tag, field[2]) != 16)
        exit(2);
    aes128_cmac(key, text, unhex(text, field[1]), mac);
    return crypto_differs(mac, tag, 16) == 0;
}

static int sha256_accepts(char field[6][FIELD])
{
    uint8_t text[FIELD], want[FIELD], digest[32];
    size_t len = unhex(text, field[0]);

    if (unhex(want, field[1]) != 32)
        exit(2);
    sha256(text, len, digest);
    return memcmp(digest, want, 32) == 0;
}

int main(void)
{
    static char line[6 * FIELD], kind[8], field[6][FIELD];

    while (fgets(line, sizeof(line), stdin)) {
        int n = sscanf(line, "%7s %16383s %16383s %16383s %16383s %16383s %16383s", kind, field[0],
                       field[1], field[2], field[3], field[4], field[5]);
        int gcm = n == 7 && !strcmp(kind, "gcm"), cmac = n == 4 && !strcmp(kind, "cmac");
        int hash = n == 3 && !strcmp(kind, "sha256");
        if (!gcm && !cmac && !hash)
            return 2;
        int accepted = 0, sets = 0;
        for (int set = 0; set < KERNEL_SETS; set++) {
            if (use_kernels(set))
                continue;
            int a = gcm ? gcm_accepts(field) : cmac ? cmac_accepts(field) : sha256_accepts(field);
            accepted = a < 0 ? -KERNEL_SETS : accepted + a;
            sets++;
        }
        puts(accepted == sets ? "ok" : accepted == 0 ? "refused" : "kernels disagree");
    }
    return 0;
}
