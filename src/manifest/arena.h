/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Memory for the host tools: an arena that is freed as a whole and a growing byte buffer. Both end
 * the program with one line on stderr when there is no memory; a tool cannot do anything better.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct arena {
    struct arena_chunk *head;
    size_t used, size;
};

/* `size` bytes, zeroed, aligned to 16; they live until arena_free(). */
void *arena_alloc(struct arena *a, size_t size);
/* A copy of `len` bytes with a NUL behind them. */
char *arena_copy(struct arena *a, const char *s, size_t len);
__attribute__((format(printf, 2, 3))) char *arena_printf(struct arena *a, const char *fmt, ...);
/* Frees everything; the arena may be used again. A zeroed struct is an empty arena. */
void arena_free(struct arena *a);

struct buffer {
    char *data;
    size_t len, cap;
};

/* Appends `len` bytes; `p` NULL appends zeros. */
void buffer_add(struct buffer *b, const void *p, size_t len);
void buffer_text(struct buffer *b, const char *s);
/* Appends zeros up to a multiple of `to` (a power of two). */
void buffer_align(struct buffer *b, size_t to);
void buffer_free(struct buffer *b);

/* malloc and realloc that do not fail. */
void *xmalloc(size_t size);
void *xrealloc(void *p, size_t size);
