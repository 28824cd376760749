/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Shared by the files of the schema. */
#pragma once
#include "manifest/schema.h"

#include <stdbool.h>
#include <stdint.h>

enum kind {
    K_BOOLEAN,
    K_INTEGER, /* min..max */
    K_STRING,
    K_SIZE,
    K_FILE_URI, /* "file:..." */
    K_URI,      /* "file:..." or "dev:..." */
    K_ENUM,     /* one of `names` ("a|b|c|"), the min-th or a later one */
    K_HEX,      /* `max` bytes as hex digits */
    K_MASK,     /* "0x" and as many hex digits as `max` has */
    K_PATH,     /* absolute path inside the library OS */
    K_HOST_PATH,
    K_CUSTOM, /* `check` */
};

struct check {
    struct arena *arena; /* for names in messages */
    struct diag *diag;
    enum schema_mode mode;
    const struct dom *root;
};

struct rule {
    const char *key; /* dotted from the root, or a key of an inline table; "*" is any one key */
    enum kind kind;
    int64_t min, max;
    uint64_t otherwise; /* the default of a plain value (keys.h) */
    const char *names;
    void (*check)(struct check *c, const struct dom *n);
};

/* Reports an error about `n`: "Cannot parse 'KEY': " and the text. */
__attribute__((format(printf, 3, 4))) void bad_value(struct check *c, const struct dom *n,
                                                     const char *fmt, ...);

/* Digits of a mask whose largest value is `most`. */
static inline unsigned mask_digits(uint64_t most)
{
    return most == UINT32_MAX ? 8 : 16;
}

/* The rule of a key of the whole manifest; it must have one. */
const struct rule *rule_of(const char *key);

/* Checks one value against a rule. */
void check_value(struct check *c, const struct rule *rule, const struct dom *n);

/* Checks the entries of an inline table against `rules` (`count` of them). */
void check_fields(struct check *c, const struct dom *table, const struct rule *rules, size_t count);

/* "; write VALUE" when the value of `n` can be written as `type`, else "". */
const char *rewritten(struct check *c, const struct dom *n, enum dom_type type);

/* The nearest of the rules' keys (or sections) to `key`, NULL when none is near. */
const char *nearest_key(struct arena *a, const char *key, const struct rule *rules, size_t count);

/* The rules of the whole manifest (schema_keys.c). */
extern const struct rule manifest_rules[];
extern const size_t manifest_rule_count;

/* Custom checks: schema_fs.c, schema_ioctl.c. */
void check_root_mount(struct check *c, const struct dom *n);
void check_mounts(struct check *c, const struct dom *n);
void check_trusted_files(struct check *c, const struct dom *n);
void check_allowed_files(struct check *c, const struct dom *n);
void check_ioctl_struct(struct check *c, const struct dom *n);
void check_allowed_ioctls(struct check *c, const struct dom *n);
