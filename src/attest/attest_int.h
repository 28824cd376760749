/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Shared by the files of src/attest: errors, numbers in quotes, quote objects. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "attest/attest.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Fills `e` (may be NULL) and returns `code`. */
__attribute__((format(printf, 3, 4))) int attest_fail(struct adyton_attest_error *e, int code,
                                                      const char *fmt, ...);
int attest_no_memory(struct adyton_attest_error *e);

/* What a code is to others: a word of the verdict vocabulary, QVL status, quote3_error_t. */
struct attest_code_info {
    int code;
    const char *name;
    const char *word;
    uint16_t qvl;
    uint16_t dcap;
};
/* Never NULL. */
const struct attest_code_info *attest_code_info(int code);

static inline uint16_t load16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t load32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t load64(const uint8_t *p)
{
    return load32(p) | (uint64_t)load32(p + 4) << 32;
}

static inline bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static inline bool all_zero(const uint8_t *p, size_t len)
{
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++)
        any |= p[i];
    return !any;
}

/* Offsets in a report body (384 bytes), enclave or QE. */
#define REPORT_SIZE       384
#define REPORT_CPU_SVN    0
#define REPORT_MISCSELECT 16
#define REPORT_EXT_PRODID 32
#define REPORT_ATTRIBUTES 48
#define REPORT_MRENCLAVE  64
#define REPORT_MRSIGNER   128
#define REPORT_CONFIG_ID  192
#define REPORT_PROD_ID    256
#define REPORT_ISV_SVN    258
#define REPORT_CONFIG_SVN 260
#define REPORT_FAMILY_ID  304
#define REPORT_DATA       320

/* One object for quote, verdicts and claims, counted. */
struct adyton_quote {
    struct adyton_quote_info info;
    atomic_uint references;
    uint8_t *claims; /* of a certificate; NULL */
    size_t claims_size;
    size_t size;     /* of bytes */
    uint8_t bytes[]; /* as given */
};

adyton_quote *attest_quote_hold(const adyton_quote *quote);
