/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Collateral as raw documents. */
#pragma once
#include "attest/attest_int.h"

#define COLLATERAL_ITEM_MAX (4u << 20)

struct adyton_collateral {
    struct adyton_bytes items[ADYTON_COLLATERAL_ITEMS]; /* malloc()ed */
};

/* The whole of a file of at most `max` bytes, with a NUL behind it (free()). 1 read, 0 not there,
 * -1 failed with `e` filled. */
int file_read(const char *path, size_t max, uint8_t **data, size_t *size,
              struct adyton_attest_error *e);
