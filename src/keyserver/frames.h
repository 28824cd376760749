/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What clients send, once TLS has taken them in: hostile bytes, in pieces of any size. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "keys/secret_prov.h"

#define KS_REQUEST_SIZE  sizeof(SECRET_PROVISION_REQUEST)
#define KS_RESPONSE_SIZE (sizeof(SECRET_PROVISION_RESPONSE) + 4)
#define KS_WORD_MAX      96 /* bytes of a word after the first secret, NUL included */

/* 1: it is the request; 0: more has to come; -1: it is not, and will not be. */
int ks_frame_request(const uint8_t *in, size_t size);

enum ks_word_kind { KS_WORD_MORE, KS_WORD_GET, KS_WORD_OTHER };

struct ks_word {
    enum ks_word_kind kind;
    const char *name; /* of GET: into the bytes, NUL-terminated */
    size_t length;    /* of the name */
};

/* The size of the word at the start, NUL included; 0: more has to come; -1: it is too long. */
ssize_t ks_frame_word(const uint8_t *in, size_t size, struct ks_word *word);

/* The header before a secret of this size, KS_RESPONSE_SIZE bytes. */
void ks_frame_response(uint8_t *out, size_t size);
