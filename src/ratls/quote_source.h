/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Where the attesting side gets quotes from. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define QUOTE_MAX 8192 /* of one quote, as in /dev/attestation */

/*
 * quote() makes one over 64 bytes of report data, into QUOTE_MAX bytes; *size is its true length,
 * without padding. 0 or a negative number of ra_tls_common.h, with a line on stderr.
 */
struct quote_source {
    int (*quote)(const struct quote_source *source, const uint8_t report_data[64], uint8_t *quote,
                 size_t *size);
};

/* The pseudo-files of /dev/attestation; one caller at a time gets through. */
extern const struct quote_source dev_attestation;

/* The number of significant bytes of a quote, or 0 if it is none of version 3 to 5. */
size_t quote_length(const uint8_t *quote, size_t size);
