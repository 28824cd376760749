/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "manifest/diag.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Control characters of hostile text must not reach a terminal, nor break "one line". */
static void make_printable(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
}

#define SHOWN \
    1000 /* bytes of a message: a value may be long, and what is wrong stands at both ends */

/* Where a character begins, at or before `at`. */
static const char *character(const char *at)
{
    while ((*at & 0xc0) == 0x80)
        at--;
    return at;
}

static char *shown(struct arena *a, const char *text)
{
    size_t n = strlen(text);
    if (n <= SHOWN)
        return arena_copy(a, text, n);
    return arena_printf(a, "%.*s ... %s", (int)(character(text + SHOWN / 2) - text), text,
                        character(text + n - SHOWN / 2));
}

static void add(struct diag *d, struct diag_message **first, struct diag_message **last,
                unsigned *count, unsigned line, const char *fmt, va_list ap)
{
    if ((*count)++ >= DIAG_KEPT)
        return;
    char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0) {
        fputs("error: out of memory\n", stderr);
        exit(1);
    }
    struct diag_message *m = arena_alloc(&d->arena, sizeof(*m));
    make_printable(text);
    m->text = shown(&d->arena, text);
    free(text);
    m->line = line;
    if (*last)
        (*last)->next = m;
    else
        *first = m;
    *last = m;
}

void diag_error(struct diag *d, unsigned line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(d, &d->errors, &d->last_error, &d->error_count, line, fmt, ap);
    va_end(ap);
}

void diag_warning(struct diag *d, unsigned line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(d, &d->warnings, &d->last_warning, &d->warning_count, line, fmt, ap);
    va_end(ap);
}

static void print(const struct diag *d, const struct diag_message *m, unsigned count, FILE *out,
                  const char *prefix)
{
    for (; m; m = m->next) {
        unsigned line = m->line;
        if (line && line <= d->line_map_count)
            line = d->line_map[line - 1];
        if (line)
            fprintf(out, "%s%s:%u: %s\n", prefix, d->file, line, m->text);
        else
            fprintf(out, "%s%s: %s\n", prefix, d->file, m->text);
    }
    if (count > DIAG_KEPT)
        fprintf(out, "%s%s: and %u more\n", prefix, d->file, count - DIAG_KEPT);
}

void diag_print_errors(const struct diag *d, FILE *out, const char *prefix)
{
    print(d, d->errors, d->error_count, out, prefix);
}

void diag_print_warnings(const struct diag *d, FILE *out, const char *prefix)
{
    print(d, d->warnings, d->warning_count, out, prefix);
}

void diag_free(struct diag *d)
{
    arena_free(&d->arena);
    *d = (struct diag){0};
}
