/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* TOML to the compiled manifest (compiled.h): the host tools' side. */
#pragma once
#include "manifest/diag.h"
#include "manifest/dom.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Compiles a tree that schema_check(SCHEMA_RUN) accepted, made from `text_size` bytes of text with
 * this SHA-256, and appends the block to the empty `out`. False after an error in `d`.
 */
bool manifest_compile(const struct dom *root, const uint8_t text_sha256[32], uint64_t text_size,
                      struct buffer *out, struct diag *d);

/* The whole way from text: parse, modernise, check, compile. */
bool manifest_compile_text(const char *text, size_t len, const uint8_t text_sha256[32],
                           struct buffer *out, struct diag *d);
