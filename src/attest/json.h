/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Signed JSON documents. The outer object is only scanned, to find the exact bytes that were
 * signed; those are parsed (by jansson) after their signature was found good.
 */
#pragma once
#include <jansson.h>

#include "attest/verifier.h"

/* Objects and arrays in each other. */
#define JSON_NEST_MAX 32

struct signed_json {
    struct adyton_bytes object; /* the inner object, as it was transmitted */
    uint8_t signature[64];
};

/* Splits {"NAME": {...}, "signature": "128 hex digits"}; false when it is not of this form. */
bool json_split(const void *text, size_t size, const char *name, struct signed_json *parts);
/* Copy of the object without white space outside strings; NULL without memory. */
char *json_minify(struct adyton_bytes object, size_t *size);
/*
 * The object, if its signature by `key` is good, as transmitted or without white space. NULL:
 * *code is SIGNATURE (as passed), FORMAT (as passed) or NO_MEMORY. Release with json_decref().
 */
json_t *json_verified(const struct signed_json *parts, EVP_PKEY *key, int format, int signature,
                      int *code);

/* Members of an object; false when they are absent or of another type or form. */
bool json_number(const json_t *object, const char *name, uint32_t max, uint32_t *value);
bool json_hex(const json_t *object, const char *name, uint8_t *out, size_t size);
bool json_time(const json_t *object, const char *name, int64_t *seconds);
const char *json_text(const json_t *object, const char *name);

bool hex_decode(const char *text, size_t len, uint8_t *out, size_t size);

/* What levels of platform, QE and module have in common. */
struct level {
    int status; /* enum adyton_tcb_status */
    int64_t date;
    unsigned advisory_count;
    char **advisories;
};

#define LEVELS_MAX     512
#define ADVISORIES_MAX 256

/* tcbStatus, tcbDate and advisoryIDs; 0, FORMAT (-1) or no memory (-2). */
int json_level(const json_t *object, struct level *level);
void level_free(struct level *level);
