/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A tree as TOML text: values of a table first, then its sub-tables as [sections]. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "manifest/toml.h"

static void write_string(struct buffer *out, const char *s)
{
    buffer_add(out, "\"", 1);
    for (;;) {
        size_t plain = 0;
        while ((unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\' &&
               s[plain] != 0x7f)
            plain++;
        buffer_add(out, s, plain);
        s += plain;
        if (!*s)
            break;
        char escape[8];
        if (*s == '"' || *s == '\\')
            snprintf(escape, sizeof(escape), "\\%c", *s);
        else
            snprintf(escape, sizeof(escape), "\\u%04X", (unsigned)(unsigned char)*s);
        buffer_text(out, escape);
        s++;
    }
    buffer_add(out, "\"", 1);
}

static void write_key(struct buffer *out, const char *key)
{
    static const char bare[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    if (*key && !key[strspn(key, bare)])
        buffer_text(out, key);
    else
        write_string(out, key);
}

static void write_float(struct buffer *out, double v)
{
    char text[40];
    if (isnan(v))
        strcpy(text, "nan");
    else if (isinf(v))
        strcpy(text, v < 0 ? "-inf" : "inf");
    else
        snprintf(text, sizeof(text), "%.17g", v);
    /* A float needs a fraction or an exponent. */
    if (isfinite(v) && !strpbrk(text, ".e"))
        strcat(text, ".0");
    buffer_text(out, text);
}

static void write_value(struct buffer *out, const struct dom *n, bool inside);

static void write_array(struct buffer *out, const struct dom *n, bool inside)
{
    bool lines = !inside && n->count > 1;
    buffer_text(out, "[");
    for (const struct dom *e = n->first; e; e = e->next) {
        buffer_text(out, lines ? "\n  " : e == n->first ? "" : " ");
        write_value(out, e, true);
        if (lines || e->next)
            buffer_text(out, ",");
    }
    buffer_text(out, lines ? "\n]" : "]");
}

static void write_inline(struct buffer *out, const struct dom *n)
{
    buffer_text(out, n->first ? "{ " : "{");
    for (const struct dom *e = n->first; e; e = e->next) {
        write_key(out, e->key);
        buffer_text(out, " = ");
        write_value(out, e, true);
        buffer_text(out, e->next ? ", " : " ");
    }
    buffer_text(out, "}");
}

/* `inside` another value: no line may be broken there. */
static void write_value(struct buffer *out, const struct dom *n, bool inside)
{
    char number[32];
    switch (n->type) {
    case DOM_TABLE:
        write_inline(out, n);
        break;
    case DOM_ARRAY:
        write_array(out, n, inside);
        break;
    case DOM_STRING:
        write_string(out, n->text);
        break;
    case DOM_INTEGER:
        snprintf(number, sizeof(number), "%" PRId64, n->integer);
        buffer_text(out, number);
        break;
    case DOM_BOOLEAN:
        buffer_text(out, n->boolean ? "true" : "false");
        break;
    case DOM_FLOAT:
        write_float(out, n->real);
        break;
    case DOM_DATE:
        buffer_text(out, n->text);
        break;
    }
}

static void write_table(struct buffer *out, const struct dom *t, const char *path)
{
    bool blank = t->parent != NULL;
    for (const struct dom *n = t->first; n; n = n->next) {
        if (n->type == DOM_TABLE)
            continue;
        write_key(out, n->key);
        buffer_text(out, " = ");
        write_value(out, n, false);
        buffer_text(out, "\n");
        blank = true;
    }
    for (const struct dom *n = t->first; n; n = n->next) {
        if (n->type != DOM_TABLE)
            continue;
        struct buffer name = {0};
        buffer_text(&name, path);
        if (*path)
            buffer_text(&name, ".");
        write_key(&name, n->key);
        buffer_add(&name, "", 1);
        if (blank)
            buffer_text(out, "\n");
        buffer_text(out, "[");
        buffer_text(out, name.data);
        buffer_text(out, "]\n");
        write_table(out, n, name.data);
        buffer_free(&name);
        blank = true;
    }
}

void toml_write(struct buffer *out, const struct dom *root)
{
    write_table(out, root, "");
}
