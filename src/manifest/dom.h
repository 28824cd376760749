/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A TOML document as a tree of C structs, in the order of the text. All memory belongs to the arena
 * it was made in.
 */
#pragma once
#include "manifest/arena.h"

#include <stdbool.h>
#include <stdint.h>

enum dom_type {
    DOM_TABLE,
    DOM_ARRAY,
    DOM_STRING,
    DOM_INTEGER,
    DOM_BOOLEAN,
    DOM_FLOAT,
    DOM_DATE, /* of any kind; `text` as TOML writes it */
};

struct dom {
    enum dom_type type;
    unsigned line, column; /* from 1; 0: not from the text */
    const char *key;       /* in a table, NUL-terminated; else NULL */
    struct dom *parent, *next;
    struct dom *first, *last; /* children of a table or array */
    size_t count;
    union {
        struct {
            const char *text; /* NUL-terminated, no NUL inside */
            size_t len;
        };
        int64_t integer;
        bool boolean;
        double real;
    };
};

/* A new node; not attached to anything. `key` may be NULL. */
struct dom *dom_new(struct arena *a, enum dom_type type, const char *key);
struct dom *dom_new_string(struct arena *a, const char *key, const char *text);
struct dom *dom_new_integer(struct arena *a, const char *key, int64_t value);
struct dom *dom_new_boolean(struct arena *a, const char *key, bool value);

void dom_append(struct dom *parent, struct dom *child);
/* Unlinks `child` from its parent; the node itself stays valid. */
void dom_remove(struct dom *child);
/* Puts `by` where `old` is; that one is then unlinked. */
void dom_replace(struct dom *old, struct dom *by);

/* The entry `key` (no dots) of a table, NULL if there is none or `table` is NULL or no table. */
struct dom *dom_child(const struct dom *table, const char *key);
/* The value at a dotted path, as dom_child() at each step. */
struct dom *dom_get(const struct dom *root, const char *path);
/* The table at a dotted path, made where missing; NULL when something on the way is no table. */
struct dom *dom_make_table(struct arena *a, struct dom *root, const char *path);
/* dom_get() that also wants the type. */
const char *dom_string(const struct dom *root, const char *path);
bool dom_is_true(const struct dom *root, const char *path);

/* "sgx.trusted_files[3].uri": how to name the node in a message. */
const char *dom_name(struct arena *a, const struct dom *node);
/* "a string", "an integer", ... */
const char *dom_type_name(enum dom_type type);
