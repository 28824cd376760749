/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Manifests as text, for the commands that only look at them. */
#pragma once
#include "manifest/diag.h"
#include "manifest/dom.h"

#include <stdbool.h>

struct manifest_text {
    struct arena arena;
    struct buffer text;
    struct diag diag;
    struct dom *root; /* with today's spellings; lines are those of the file */
};

/*
 * Reads and parses a file. A NUL at the end (.manifest.sgx) is not part of the text. False after
 * one or more lines on standard error, which name `command`; nothing need be freed then.
 */
bool manifest_text_read(struct manifest_text *m, const char *command, const char *path);
void manifest_text_free(struct manifest_text *m);

/* Appends the text as a TOML string: a terminal gets no control characters of a manifest's. */
void text_quote(struct buffer *out, const char *text);
