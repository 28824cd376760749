/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton diff A B: in what two manifests differ, in words. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/manifest_text.h"
#include "cli/tools.h"

/* One value of a manifest: a name that means the same in both, and the value as text. */
struct value {
    const char *name, *text;
    unsigned line;
    size_t index; /* in the order of the manifest */
};

struct values {
    struct arena arena;
    struct value *list;
    size_t count, cap;
};

static void put(struct values *v, const char *name, const char *text, unsigned line)
{
    if (v->count == v->cap) {
        v->cap = v->cap ? 2 * v->cap : 64;
        v->list = xrealloc(v->list, v->cap * sizeof(*v->list));
    }
    v->list[v->count] = (struct value){name, text, line, v->count};
    v->count++;
}

static const char *quoted(struct values *v, const char *text)
{
    struct buffer out = {0};
    text_quote(&out, text);
    const char *copy = arena_copy(&v->arena, out.data, out.len);
    buffer_free(&out);
    return copy;
}

static const char *value_text(struct values *v, const struct dom *n)
{
    switch (n->type) {
    case DOM_STRING:
    case DOM_DATE:
        return quoted(v, n->text);
    case DOM_INTEGER:
        return arena_printf(&v->arena, "%" PRId64, n->integer);
    case DOM_BOOLEAN:
        return n->boolean ? "true" : "false";
    case DOM_FLOAT:
        return arena_printf(&v->arena, "%.17g", n->real);
    case DOM_TABLE:
    case DOM_ARRAY:
        break;
    }
    return n->type == DOM_TABLE ? "{}" : "[]";
}

/* An element of a list by what it is about, where it says so, else by its place. */
static const char *element_name(struct values *v, const char *list, const struct dom *n,
                                size_t index)
{
    static const char *const keys[] = {"path", "uri", "name"};
    bool files = !strcmp(list, "sgx.trusted_files") || !strcmp(list, "sgx.allowed_files");
    if (files && n->type == DOM_STRING)
        return arena_printf(&v->arena, "%s %s", list, quoted(v, n->text));
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys) && n->type == DOM_TABLE; i++) {
        if (dom_string(n, keys[i]))
            return arena_printf(&v->arena, "%s %s", list, quoted(v, dom_string(n, keys[i])));
    }
    return arena_printf(&v->arena, "%s[%zu]", list, index);
}

/* A key as TOML writes it. */
static const char *key_text(struct values *v, const char *key)
{
    const char *bare = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    return *key && !key[strspn(key, bare)] ? key : quoted(v, key);
}

static void flatten(struct values *v, const char *name, const struct dom *n)
{
    if (!strncmp(name, "sgx.trusted_files ", 18)) {
        const char *hash = dom_string(n, "sha256");
        put(v, name, hash ? quoted(v, hash) : "", n->line);
        return;
    }
    if ((n->type != DOM_TABLE && n->type != DOM_ARRAY) || !n->first) {
        put(v, name, value_text(v, n), n->line);
        return;
    }
    size_t index = 0;
    for (const struct dom *child = n->first; child; child = child->next) {
        const char *inner;
        if (n->type == DOM_ARRAY)
            inner = element_name(v, name, child, index++);
        else
            inner =
                arena_printf(&v->arena, "%s%s%s", name, *name ? "." : "", key_text(v, child->key));
        flatten(v, inner, child);
    }
}

static int by_name(const void *a, const void *b)
{
    const struct value *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

/* Keys are compared, but not shown. */
static const char *shown(const struct value *v)
{
    return strncmp(v->name, "fs.insecure__keys.", 18) ? v->text : "a key";
}

static void print_one(const struct value *v, const char *only)
{
    bool file =
        !strncmp(v->name, "sgx.trusted_files ", 18) || !strncmp(v->name, "sgx.allowed_files ", 18);
    printf("%s: only in %s (line %u)", v->name, only, v->line);
    if (!file)
        printf(": %s", shown(v));
    putchar('\n');
}

static void print_both(const struct value *a, const struct value *b)
{
    if (!strncmp(a->name, "sgx.trusted_files ", 18))
        printf("%s: the file's content differs: SHA-256 %s (line %u) and %s (line %u)\n", a->name,
               *a->text ? a->text : "not given", a->line, *b->text ? b->text : "not given",
               b->line);
    else
        printf("%s: %s (line %u) and %s (line %u)\n", a->name, shown(a), a->line, shown(b),
               b->line);
}

/* How many differences were printed. */
static size_t compare(struct values *a, struct values *b, const char *a_name, const char *b_name)
{
    size_t i = 0, j = 0, found = 0;
    qsort(a->list, a->count, sizeof(*a->list), by_name);
    qsort(b->list, b->count, sizeof(*b->list), by_name);
    while (i < a->count || j < b->count) {
        int order = i == a->count   ? 1
                    : j == b->count ? -1
                                    : strcmp(a->list[i].name, b->list[j].name);
        if (order < 0) {
            print_one(&a->list[i++], a_name);
        } else if (order > 0) {
            print_one(&b->list[j++], b_name);
        } else {
            bool same = !strcmp(a->list[i].text, b->list[j].text);
            if (!same)
                print_both(&a->list[i], &b->list[j]);
            i++;
            j++;
            if (same)
                continue;
        }
        found++;
    }
    return found;
}

int cmd_diff(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    int opt = getopt_long(argc, argv, "h", options, NULL);
    if (opt != -1 || argc - optind != 2) {
        fprintf(opt == 'h' ? stdout : stderr,
                "Usage: %s MANIFEST MANIFEST\n"
                "Says in what two manifests differ. Whatever differs changes MRENCLAVE.\n"
                "Exit status: 0 the same text, 1 different, 2 trouble.\n",
                argv[0]);
        return opt == 'h' ? 0 : 2;
    }
    struct manifest_text a = {0}, b = {0};
    if (!manifest_text_read(&a, argv[0], argv[optind]))
        return 2;
    if (!manifest_text_read(&b, argv[0], argv[optind + 1])) {
        manifest_text_free(&a);
        return 2;
    }
    struct values in_a = {0}, in_b = {0};
    flatten(&in_a, "", a.root);
    flatten(&in_b, "", b.root);
    size_t found = compare(&in_a, &in_b, argv[optind], argv[optind + 1]);
    bool equal =
        a.text.len == b.text.len && (!a.text.len || !memcmp(a.text.data, b.text.data, a.text.len));
    if (!found && !equal)
        puts("The values are the same, their order or the layout of the text is not; MRENCLAVE "
             "differs all the same.");
    int status = found || !equal ? 1 : 0;
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "error: %s: cannot write to standard output: %s\n", argv[0],
                strerror(errno));
        status = 2;
    }
    arena_free(&in_a.arena);
    arena_free(&in_b.arena);
    free(in_a.list);
    free(in_b.list);
    manifest_text_free(&a);
    manifest_text_free(&b);
    return status;
}
