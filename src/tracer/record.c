/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "tracer/tracer.h"

#include <stdlib.h>
#include <string.h>

/* A slot: the upper 24 bits of the hash, then 1 + the offset of the string. */
#define OFFSET_BITS 40
#define OFFSET_MASK ((UINT64_C(1) << OFFSET_BITS) - 1)

static uint64_t hash_of(const char *s)
{
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
    for (; *s; s++)
        hash = (hash ^ (uint8_t)*s) * 0x100000001b3;
    return hash;
}

static uint64_t *find(struct record *r, const char *string, uint64_t hash)
{
    size_t i = hash & (r->slot_count - 1);
    for (; r->slots[i]; i = (i + 1) & (r->slot_count - 1)) {
        if (r->slots[i] >> OFFSET_BITS != hash >> OFFSET_BITS)
            continue;
        if (!strcmp(r->text.data + (r->slots[i] & OFFSET_MASK) - 1, string))
            break;
    }
    return &r->slots[i];
}

static void grow(struct record *r)
{
    struct record larger = {.text = r->text,
                            .slot_count = r->slot_count ? r->slot_count * 2 : 1024};
    larger.slots = xmalloc(larger.slot_count * sizeof(*larger.slots));
    memset(larger.slots, 0, larger.slot_count * sizeof(*larger.slots));
    for (size_t i = 0; i < r->slot_count; i++) {
        if (!r->slots[i])
            continue;
        const char *string = r->text.data + (r->slots[i] & OFFSET_MASK) - 1;
        *find(&larger, string, hash_of(string)) = r->slots[i];
    }
    free(r->slots);
    r->slots = larger.slots;
    r->slot_count = larger.slot_count;
}

void record_string(struct record *r, const char *string, bool always)
{
    if (2 * (r->used + 1) > r->slot_count)
        grow(r);
    uint64_t hash = hash_of(string), *slot = find(r, string, hash);
    if (*slot && !always)
        return;
    if (!*slot) {
        *slot = (hash & ~OFFSET_MASK) | (r->text.len + 1);
        r->used++;
    }
    buffer_add(&r->text, string, strlen(string) + 1);
}

void record_path(struct record *r, char kind, char base, const char *path)
{
    size_t len = strlen(path);
    char *string = xmalloc(len + 3);
    string[0] = kind;
    string[1] = base;
    memcpy(string + 2, path, len + 1);
    record_string(r, string, false);
    free(string);
}

void record_free(struct record *r)
{
    buffer_free(&r->text);
    free(r->slots);
    *r = (struct record){0};
}
