/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "manifest/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (64 * 1024)

struct arena_chunk {
    struct arena_chunk *next;
    _Alignas(16) char data[];
};

static _Noreturn void no_memory(size_t size)
{
    fprintf(stderr, "error: out of memory (%zu bytes more are needed)\n", size);
    exit(1);
}

void *xmalloc(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p)
        no_memory(size);
    return p;
}

void *xrealloc(void *old, size_t size)
{
    void *p = realloc(old, size ? size : 1);
    if (!p)
        no_memory(size);
    return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (!a->head || a->size - a->used < size) {
        size_t chunk = size > CHUNK ? size : CHUNK;
        struct arena_chunk *c = xmalloc(sizeof(*c) + chunk);
        c->next = a->head;
        a->head = c;
        a->used = 0;
        a->size = chunk;
    }
    void *p = a->head->data + a->used;
    a->used += size;
    return memset(p, 0, size);
}

char *arena_copy(struct arena *a, const char *s, size_t len)
{
    char *p = arena_alloc(a, len + 1);
    if (len)
        memcpy(p, s, len);
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = NULL;
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0)
        no_memory(strlen(fmt));
    char *copy = arena_copy(a, s, (size_t)n);
    free(s);
    return copy;
}

void arena_free(struct arena *a)
{
    while (a->head) {
        struct arena_chunk *next = a->head->next;
        free(a->head);
        a->head = next;
    }
    a->used = a->size = 0;
}

void buffer_add(struct buffer *b, const void *p, size_t len)
{
    if (!len)
        return;
    if (b->cap - b->len < len) {
        size_t cap = b->cap ? b->cap : 4096;
        while (cap - b->len < len)
            cap *= 2;
        b->data = xrealloc(b->data, cap);
        b->cap = cap;
    }
    if (p)
        memcpy(b->data + b->len, p, len);
    else
        memset(b->data + b->len, 0, len);
    b->len += len;
}

void buffer_text(struct buffer *b, const char *s)
{
    buffer_add(b, s, strlen(s));
}

void buffer_align(struct buffer *b, size_t to)
{
    buffer_add(b, NULL, -b->len & (to - 1));
}

void buffer_free(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}
