/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "manifest/toml_hint.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

struct hint {
    struct arena *arena;
    const struct toml_stop *stop;
    const char *line, *end; /* the line, without its end */
    const char *at;         /* where the parser stopped, `end` for the end of the line */
};

static bool said(const struct hint *h, const char *what)
{
    return strstr(h->stop->said, what) != NULL;
}

static bool begins(const char *p, const char *end, const char *with)
{
    size_t n = strlen(with);
    return (size_t)(end - p) >= n && !memcmp(p, with, n);
}

static size_t char_size(const char *p, const char *end)
{
    unsigned char c = (unsigned char)*p;
    size_t n = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return n <= (size_t)(end - p) ? n : (size_t)(end - p);
}

static unsigned code_point(const char *p, const char *end)
{
    static const unsigned char first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t n = char_size(p, end);
    unsigned c = (unsigned char)*p & first[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)p[i] & 0x3f);
    return c;
}

static void find_line(struct hint *h)
{
    const char *p = h->stop->text, *all = p + h->stop->len, *next;
    for (unsigned n = 1; n < h->stop->line && (next = memchr(p, '\n', (size_t)(all - p))); n++)
        p = next + 1;
    next = memchr(p, '\n', (size_t)(all - p));
    h->line = p;
    h->end = next ? next : all;
    if (h->end > p && h->end[-1] == '\r')
        h->end--;
    for (unsigned n = 1; n < h->stop->column && p < h->end; n++)
        p += char_size(p, h->end);
    h->at = p;
}

/* The word or value that the parser was in: up to a separator on either side. */
static void find_token(const struct hint *h, const char **from, const char **to)
{
    const char *p = h->at;
    while (p > h->line && !strchr(" \t=,[{", p[-1]))
        p--;
    *from = p;
    while (p < h->end && !strchr(",]}#", *p))
        p++;
    while (p > *from && isspace((unsigned char)p[-1]))
        p--;
    *to = p;
}

/* Characters that a word processor or a web page puts into text. */
static const char *stray_character(const struct hint *h)
{
    static const unsigned quotes[] = {0xab,   0xbb,   0x2018, 0x2019, 0x201a, 0x201b,
                                      0x201c, 0x201d, 0x201e, 0x201f, 0x2032, 0x2033,
                                      0x2039, 0x203a, 0xff02, 0xff07, 0x60,   0xb4};
    static const struct {
        unsigned code;
        const char *name;
    } blanks[] = {{0xa0, "a no-break space"},     {0x2007, "a figure space"},
                  {0x202f, "a no-break space"},   {0x3000, "a wide space"},
                  {0x200b, "a zero-width space"}, {0xfeff, "a byte order mark"},
                  {0xad, "a soft hyphen"},        {0x2009, "a thin space"}};
    bool string = said(h, "string:");
    for (const char *p = string ? h->line : h->at; p < h->end; p += char_size(p, h->end)) {
        unsigned c = code_point(p, h->end);
        for (size_t i = 0; i < sizeof(quotes) / sizeof(*quotes); i++)
            if (c == quotes[i])
                return arena_printf(h->arena, "'%.*s' is not a quotation mark in TOML; write \"",
                                    (int)char_size(p, h->end), p);
        if (string) /* only an unusual quotation mark leaves a string open */
            continue;
        for (size_t i = 0; i < sizeof(blanks) / sizeof(*blanks); i++)
            if (c == blanks[i].code)
                return arena_printf(h->arena, "%s (U+%04X) is not allowed here; delete it",
                                    blanks[i].name, c);
        return c < 0x80 ? NULL
                        : arena_printf(h->arena,
                                       "'%.*s' must be inside quotation marks; write "
                                       "\"...\" around the key or value",
                                       (int)char_size(p, h->end), p);
    }
    return NULL;
}

static const char *encoding(const struct hint *h)
{
    const unsigned char *t = (const unsigned char *)h->stop->text;
    if (h->stop->len >= 2 && ((t[0] == 0xff && t[1] == 0xfe) || (t[0] == 0xfe && t[1] == 0xff)))
        return "the text is UTF-16; save it as UTF-8";
    return "the text is not UTF-8; save it as UTF-8";
}

static const char *open_string(const struct hint *h)
{
    if (h->at < h->end)
        return arena_printf(
            h->arena, "a control character (U+%04X) is not allowed in a string; write \\u%04X",
            (unsigned char)*h->at, (unsigned char)*h->at);
    return "the string is not closed; add its quotation mark before the end of the line";
}

/* Only a string of several lines takes all of the text. */
static const char *never_closed(const struct hint *h, unsigned *line)
{
    const char *all = h->stop->text + h->stop->len;
    unsigned n = 1;
    for (const char *p = h->stop->text; p < all; p++) {
        if (begins(p, all, "\"\"\"") || begins(p, all, "'''"))
            *line = n;
        n += *p == '\n';
    }
    return "the string that begins here is not closed; add its three quotation marks";
}

static const char *separator(const struct hint *h)
{
    if (h->at < h->end && *h->at == ':')
        return "':' after a key; write '='";
    if (begins(h->at, h->end, "+="))
        return "TOML has no '+='; write all values in one array";
    const char *from = h->line, *to = h->at;
    while (from < to && isspace((unsigned char)*from))
        from++;
    while (to > from && isspace((unsigned char)to[-1]))
        to--;
    return arena_printf(h->arena, "there is no '=' after '%.*s'; write KEY = VALUE",
                        (int)(to - from), from);
}

/* Words that look like values of other languages. */
static const char *word(const struct hint *h, const char *p, size_t n)
{
    static const char *const yes[] = {"true", "yes", "on", "enabled"};
    static const char *const no[] = {"false", "no", "off", "disabled"};
    static const char *const nothing[] = {"none", "null", "nil", "undefined"};
    for (size_t i = 0; i < 4; i++) {
        if (n == strlen(yes[i]) && !strncasecmp(p, yes[i], n))
            return arena_printf(h->arena, "'%.*s' is not a TOML value; write true", (int)n, p);
        if (n == strlen(no[i]) && !strncasecmp(p, no[i], n))
            return arena_printf(h->arena, "'%.*s' is not a TOML value; write false", (int)n, p);
        if (n == strlen(nothing[i]) && !strncasecmp(p, nothing[i], n))
            return arena_printf(
                h->arena,
                "'%.*s' is not a TOML value; remove the key, or write \"%.*s\" if it "
                "is a name",
                (int)n, p, (int)n, p);
    }
    return NULL;
}

/* A value that no type begins like. */
static const char *value(const struct hint *h)
{
    const char *p, *end;
    find_token(h, &p, &end);
    size_t n = (size_t)(end - p);
    if (h->at > h->line && *h->at == '=' && h->at[-1] == '=')
        return "'==' after a key; write '='";
    if (n && *p == '>' && p > h->line && p[-1] == '=')
        return "'=>' after a key; write '='";
    if (n && *p == '$')
        return "shell variables are not expanded; write \"{{ env.NAME }}\" in a template";
    const char *known = n ? word(h, p, n) : NULL;
    if (known)
        return known;
    if (n && end[-1] == '"')
        return arena_printf(h->arena, "the string has no opening quotation mark; write \"%.*s",
                            (int)n, p);
    if (n && !memchr(p, '"', n) && !memchr(p, '\'', n) && n < 256)
        return arena_printf(h->arena, "'%.*s' needs quotation marks; write \"%.*s\"", (int)n, p,
                            (int)n, p);
    return NULL;
}

static const char *number(const struct hint *h)
{
    const char *p, *end;
    find_token(h, &p, &end);
    if (said(h, "leading zero")) {
        const char *digits = p;
        while (digits + 1 < end && *digits == '0')
            digits++;
        return arena_printf(h->arena, "'%.*s' has a leading zero; write %.*s, or 0o%.*s for octal",
                            (int)(end - p), p, (int)(end - digits), digits, (int)(end - digits),
                            digits);
    }
    if (said(h, "not representable"))
        return arena_printf(h->arena, "'%.*s' does not fit into 64 bits; write a smaller number",
                            (int)(end - p), p);
    return value(h);
}

/* What stands behind a value that is complete. */
static const char *behind_value(const struct hint *h)
{
    if (h->at >= h->end)
        return NULL;
    if ((unsigned char)*h->at < 0x20)
        return arena_printf(h->arena, "a control character (U+%04X) is not allowed here; delete it",
                            (unsigned char)*h->at);
    if (begins(h->at, h->end, "//") || (*h->at == ';' && h->at + 1 < h->end))
        return "comments begin with '#'; replace the comment mark";
    if (strchr(",;", *h->at))
        return arena_printf(h->arena, "unexpected '%c' after the value; remove it", *h->at);
    if (strchr("]})", *h->at))
        return arena_printf(h->arena, "unmatched '%c'; remove it", *h->at);
    if (*h->at == '_')
        return "a number cannot end with '_'; remove it";
    if (!isalnum((unsigned char)*h->at))
        return arena_printf(h->arena, "unexpected '%c' after the value; remove it", *h->at);
    if (h->at > h->line && isalnum((unsigned char)h->at[-1]))
        return value(h);
    return "unexpected text after the value; write each key on its own line";
}

static const char *skip_quoted(const char *p, const char *end)
{
    char quote = *p++;
    while (p < end && *p != quote && *p != '\n')
        p += *p == '\\' && quote == '"' && p + 1 < end ? 2 : 1;
    return p < end ? p + 1 : end;
}

/* The line of the innermost bracket that is open where the line begins, 0 if none is. */
static unsigned open_bracket(const struct hint *h)
{
    unsigned lines[64], depth = 0, line = 1;
    const char *p = h->stop->text;
    while (p < h->line) {
        if (*p == '"' || *p == '\'') {
            p = skip_quoted(p, h->line);
            continue;
        }
        if (*p == '#')
            while (p + 1 < h->line && p[1] != '\n')
                p++;
        line += *p == '\n';
        if ((*p == '[' || *p == '{') && depth < 64)
            lines[depth++] = line;
        else if ((*p == ']' || *p == '}') && depth)
            depth--;
        p++;
    }
    return depth ? lines[depth - 1] : 0;
}

static const char *in_array(const struct hint *h, unsigned *line)
{
    unsigned first = open_bracket(h);
    bool next_key = h->at < h->end && (isalpha((unsigned char)*h->at) || *h->at == '[') &&
                    (*h->at == '[' || memchr(h->at, '=', (size_t)(h->end - h->at)));
    if (first && (next_key || h->at >= h->end)) {
        *line = first;
        return "the array that begins here is not closed; add the ']'";
    }
    return "missing ',' in the array; write one between all values";
}

static const char *in_table(const struct hint *h)
{
    if (said(h, "dangling"))
        return "',' before '}' is not allowed; remove it";
    if (h->at >= h->end)
        return "a { ... } table must end on the line on which it begins; join the lines or add the "
               "'}'";
    if (said(h, "comma"))
        return "missing ',' in the { ... } table; write one between all entries";
    return NULL;
}

static const char *twice(const struct hint *h)
{
    const char *name = strchr(h->stop->said, '\''), *end = name ? strchr(name + 1, '\'') : NULL;
    const char *what = "this";
    if (end)
        what = arena_printf(h->arena, "'%.*s'", (int)(end - name - 1), name + 1);
    const char *before =
        h->stop->first ? arena_printf(h->arena, " on line %u", h->stop->first) : "";
    const char *p = h->line;
    while (p < h->end && isspace((unsigned char)*p))
        p++;
    if (said(h, "dotted"))
        return "keys cannot be added to a { ... } table from outside; write this one inside it";
    if (*p == '[')
        return arena_printf(h->arena, "%s is already defined%s; write all its keys in one place",
                            what, before);
    return arena_printf(h->arena, "%s is already set%s; remove one of the two", what, before);
}

static const char *line_begin(const struct hint *h)
{
    if (begins(h->at, h->end, "//") || begins(h->at, h->end, ";") || begins(h->at, h->end, "--") ||
        begins(h->at, h->end, "/*"))
        return "comments begin with '#'; replace the comment mark";
    if (begins(h->at, h->end, "<<<<<<<") || begins(h->at, h->end, "=======") ||
        begins(h->at, h->end, ">>>>>>>"))
        return "a merge conflict is not resolved; choose one side and remove the marks";
    return h->at < h->end && *h->at == '=' ? "there is no key before '='; write KEY = VALUE" : NULL;
}

/* Marks of a template outside strings. */
static bool is_template(const struct hint *h)
{
    const char *p = h->line;
    while (p + 1 < h->end) {
        if (*p == '"' || *p == '\'') {
            p = skip_quoted(p, h->end);
            continue;
        }
        if (*p == '{' && (p[1] == '{' || p[1] == '%' || (p[1] == '#' && p == h->line)))
            return true;
        p++;
    }
    return false;
}

static const char *key(const struct hint *h)
{
    if (h->at < h->end && *h->at == '=')
        return "the key ends with '.'; write the rest of its name";
    return NULL;
}

static const char *explain(const struct hint *h, unsigned *line)
{
    const char *text = NULL;
    if (said(h, "utf-8"))
        return encoding(h);
    if (said(h, "'\\r'"))
        return "a line ends with a carriage return alone; save the file with Unix line ends";
    if (said(h, "cannot redefine"))
        return twice(h);
    if (is_template(h))
        return "this is a template, not a manifest; render it with gramine-manifest";
    if ((text = stray_character(h)))
        return text;
    if (said(h, "control characters"))
        return open_string(h);
    if (said(h, "end-of-file"))
        return never_closed(h, line);
    if (said(h, "expected '='"))
        return separator(h);
    if (said(h, "expected value, saw"))
        return "there is no value after '='; add one";
    if (said(h, "expected keys"))
        return line_begin(h);
    if (said(h, "parsing array"))
        return in_array(h, line);
    if (said(h, "inline table"))
        return in_table(h);
    if (said(h, "table header"))
        return said(h, "expected ']'") ? "the table header is not closed; add the ']'" : NULL;
    if (said(h, "comment or whitespace") || said(h, "value-terminator"))
        return behind_value(h);
    if (said(h, "integer") || said(h, "floating") || said(h, "boolean"))
        return number(h);
    if (said(h, "value type"))
        return value(h);
    if (said(h, "escape"))
        return "'\\' begins an escape sequence in a string; write '\\\\', or single quotation "
               "marks";
    return said(h, "parsing key:") ? key(h) : NULL;
}

const char *toml_hint(struct arena *a, const struct toml_stop *stop, unsigned *line)
{
    struct hint h = {.arena = a, .stop = stop};
    *line = stop->line;
    find_line(&h);
    const char *text = explain(&h, line);
    return text ? text : stop->said;
}
