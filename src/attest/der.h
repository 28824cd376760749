/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Strict DER, without allocation: definite, shortest lengths and single-byte tags only. X.509
 * certificates and CRLs are read with it, not with OpenSSL's decoders, because those take 110 us
 * for each certificate, more than the verification of its signature; tests compare the two.
 */
#pragma once
#include "attest/attest_int.h"

#define DER_BOOLEAN      0x01
#define DER_INTEGER      0x02
#define DER_BIT_STRING   0x03
#define DER_OCTET_STRING 0x04
#define DER_NULL         0x05
#define DER_OID          0x06
#define DER_ENUMERATED   0x0a
#define DER_UTF8         0x0c
#define DER_PRINTABLE    0x13
#define DER_UTC_TIME     0x17
#define DER_TIME         0x18
#define DER_SEQUENCE     0x30
#define DER_SET          0x31
#define DER_CONTEXT(n)   (0xa0 | (n)) /* explicit, constructed */

/* What is left to read; all functions below step over what they take, and change nothing when they
 * return false. */
typedef struct adyton_bytes der;

bool der_next_is(const der *in, uint8_t tag);
/* The content of the next element, if it has this tag. */
bool der_take(der *in, uint8_t tag, der *content);
/* The whole next element, header included, of this tag (0: any). */
bool der_take_whole(der *in, uint8_t tag, der *element);
/* A non-negative INTEGER or ENUMERATED (`tag`) of at most `max`. */
bool der_take_uint(der *in, uint8_t tag, uint32_t max, uint32_t *value);
/* An OCTET STRING of exactly `size` bytes. */
bool der_take_octets(der *in, size_t size, const uint8_t **data);
bool der_take_bool(der *in, bool *value);
/* UTCTime or GeneralizedTime, always in UTC with seconds, as seconds since 1970. */
bool der_take_time(der *in, int64_t *seconds);

static inline bool bytes_equal(struct adyton_bytes a, const void *data, size_t size)
{
    return a.size == size && (!size || !memcmp(a.data, data, size));
}
static inline bool same_bytes(struct adyton_bytes a, struct adyton_bytes b)
{
    return bytes_equal(a, b.data, b.size);
}

/* "YYYY-MM-DDThh:mm:ssZ" as seconds since 1970; years 1970 to 9999. */
bool time_from_iso(const char *text, int64_t *seconds);
/* The reverse; NUL-terminated. */
void time_to_iso(int64_t seconds, char text[24]);
