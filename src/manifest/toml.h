/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reading and writing TOML 1.0. The parser is toml++ behind this C border. */
#pragma once
#include "manifest/diag.h"
#include "manifest/dom.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Limits against hostile text. */
#define TOML_TEXT_MAX   (256u << 20) /* bytes */
#define TOML_NEST_MAX   64           /* tables and arrays in each other, segments of a key */
#define TOML_VALUES_MAX (8u << 20)   /* values in the whole text */

/*
 * Parses `len` bytes of TOML into a tree in `a` (its root is a table). Returns NULL after reporting
 * one error with its line to `d`: a syntax error, a limit above, or a string with a NUL inside.
 */
struct dom *toml_parse(struct arena *a, const char *text, size_t len, struct diag *d);

/* Appends the tree as TOML text: the same tree always gives the same bytes. */
void toml_write(struct buffer *out, const struct dom *root);

#ifdef __cplusplus
}
#endif
