/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The value syntaxes of a manifest: sizes, URIs, hex strings, enumerations. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "256K", "0x1000", "4g": decimal or hex, then one of K M G in either case. False: not a size, or
 * 2^63 and more. */
bool value_size(const char *s, uint64_t *bytes);

/* Exactly `len` bytes as 2 * `len` hex digits of either case. */
bool value_hex(const char *s, uint8_t *out, size_t len);

/* "0x" and exactly `digits` (at most 16) hex digits. */
bool value_mask(const char *s, unsigned digits, uint64_t *out);

/* The index of `s` in the list "a|b|c"; -1 when it is not there. */
int value_enum(const char *s, const char *names);

/* Skips "file:" or "dev:"; NULL when the URI begins with neither. */
const char *uri_file(const char *uri);
const char *uri_dev(const char *uri);

/* Edit distance (insert, delete, replace, swap of neighbours), never above `limit` + 1. */
unsigned edit_distance(const char *a, const char *b, unsigned limit);
