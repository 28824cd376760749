/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Where secrets may lie: in OpenSSL's secure heap (locked, between guard pages, in no core dump),
 * and in what libraries allocate for a moment, which is overwritten when it is freed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRET_MAX   65536 /* bytes */
#define SECRET_FRAME 64    /* room for what is sent before one */

struct secret {
    uint8_t *data; /* in the secure heap; NULL: none */
    size_t size;
};

/*
 * For a process that holds secrets: no core dumps, no tracer of the same user, a secure heap, and
 * allocators of OpenSSL, libcurl and jansson that overwrite what they free. Before anything uses
 * these libraries. False: *why says what is not possible here. *locked: whether the heap is kept
 * from being swapped out.
 */
bool secrets_prepare(const char **why, bool *locked);

/* A copy in the secure heap; false when that is full. Size 1 to
 * SECRET_MAX + SECRET_FRAME. */
bool secret_set(struct secret *s, const void *data, size_t size);
/* Uninitialised room in the secure heap. */
bool secret_room(struct secret *s, size_t size);
void secret_free(struct secret *s);
