/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What is wrong with a manifest: a list of one-line messages, each with file and line, kept until
 * the command prints them in its own way.
 */
#pragma once
#include "manifest/arena.h"

#include <stddef.h>
#include <stdio.h>

struct diag_message {
    struct diag_message *next;
    unsigned line;    /* 0: the file as a whole */
    const char *text; /* one line, without file name and newline */
};

struct diag {
    const char *file; /* as the user wrote it */
    struct arena arena;
    struct diag_message *errors, *last_error;
    struct diag_message *warnings, *last_warning;
    unsigned error_count, warning_count;
    /* Line of the text that was checked -> line of the template it came from; NULL: the same. */
    const unsigned *line_map;
    unsigned line_map_count;
};

/* More than this are counted, not kept. */
#define DIAG_KEPT 20

__attribute__((format(printf, 3, 4))) void diag_error(struct diag *d, unsigned line,
                                                      const char *fmt, ...);
__attribute__((format(printf, 3, 4))) void diag_warning(struct diag *d, unsigned line,
                                                        const char *fmt, ...);
/* Prints every error (or warning) as "PREFIXfile:line: text". */
void diag_print_errors(const struct diag *d, FILE *out, const char *prefix);
void diag_print_warnings(const struct diag *d, FILE *out, const char *prefix);
void diag_free(struct diag *d);
