/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The walk over a manifest: unknown keys, types and ranges, and the rules between keys. */
#include "manifest/schema_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "manifest/compiled.h"
#include "manifest/value.h"

void bad_value(struct check *c, const struct dom *n, const char *fmt, ...)
{
    if (c->diag->error_count >= DIAG_KEPT) {
        c->diag->error_count++;
        return;
    }
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    diag_error(c->diag, n->line, "Cannot parse '%s': %s", dom_name(c->arena, n),
               text ? text : "wrong value");
    free(text);
}

static bool is_one_of(const char *s, const char *const *words)
{
    while (*words && strcasecmp(s, *words))
        words++;
    return *words;
}

const char *rewritten(struct check *c, const struct dom *n, enum dom_type type)
{
    static const char *const yes[] = {"true", "yes", "on", "1", NULL};
    static const char *const no[] = {"false", "no", "off", "0", NULL};
    if (type == DOM_STRING && n->type == DOM_INTEGER && n->integer >= 0)
        return arena_printf(c->arena, "; write \"%lld\"", (long long)n->integer);
    if (type == DOM_STRING && n->type == DOM_BOOLEAN)
        return n->boolean ? "; write \"true\"" : "; write \"false\"";
    if (type == DOM_BOOLEAN && n->type == DOM_INTEGER && (uint64_t)n->integer <= 1)
        return n->integer ? "; write true" : "; write false";
    if (type == DOM_BOOLEAN && n->type == DOM_STRING && is_one_of(n->text, yes))
        return "; write true";
    if (type == DOM_BOOLEAN && n->type == DOM_STRING && is_one_of(n->text, no))
        return "; write false";
    if (type == DOM_INTEGER && n->type == DOM_STRING && n->len && n->len < 20 &&
        strspn(n->text, "0123456789") == n->len)
        return arena_printf(c->arena, "; write %s", n->text);
    if (type == DOM_INTEGER && n->type == DOM_FLOAT && n->real >= 0 && n->real < 1e9 &&
        n->real == (double)(int64_t)n->real)
        return arena_printf(c->arena, "; write %.0f", n->real);
    return "";
}

static bool want(struct check *c, const struct dom *n, enum dom_type type, const char *what)
{
    if (n->type == type)
        return true;
    bad_value(c, n, "the value must be %s, not %s%s", what, dom_type_name(n->type),
              rewritten(c, n, type));
    return false;
}

/* "512 MiB" and "512MB" are written "512M". */
static const char *usual_size(struct check *c, const char *text)
{
    char *out = arena_alloc(c->arena, strlen(text) + 1);
    size_t n = 0;
    uint64_t number;
    for (const char *p = text; *p; p++)
        if (*p != ' ')
            out[n++] = *p;
    if (n && (out[n - 1] | 0x20) == 'b')
        out[--n] = '\0';
    if (n && out[n - 1] == 'i')
        out[--n] = '\0';
    return value_size(out, &number) ? arena_printf(c->arena, "\"%s\"", out)
                                    : "for example \"256K\", \"64M\" or \"4G\"";
}

static void check_uri(struct check *c, const struct rule *rule, const struct dom *n)
{
    bool dev = rule->kind == K_URI;
    if (!want(c, n, DOM_STRING,
              dev ? "a \"file:...\" or \"dev:...\" string" : "a \"file:...\" string"))
        return;
    const char *path = uri_file(n->text);
    if (!path && dev)
        path = uri_dev(n->text);
    if (!path)
        bad_value(c, n, "'%s' does not begin with 'file:'%s", n->text, dev ? " or 'dev:'" : "");
    else if (!*path)
        bad_value(c, n, "the path after the ':' is empty");
    else if (n->len >= MF_PATH_MAX)
        bad_value(c, n, "the path is longer than %d bytes", MF_PATH_MAX - 1);
}

static void check_path(struct check *c, const struct dom *n, bool inside)
{
    if (!want(c, n, DOM_STRING, "a string"))
        return;
    const char *path = strncmp(n->text, "file:", 5) ? NULL : n->text + 5;
    if (path && *path)
        bad_value(c, n, "'%s' is a URI, the value is a path %s; write \"%s%s\"", n->text,
                  inside ? "inside" : "of the host", inside && *path != '/' ? "/" : "", path);
    else if (inside && n->text[0] != '/')
        bad_value(c, n, "'%s' is not an absolute path; it must begin with '/'", n->text);
    else if (!n->text[0])
        bad_value(c, n, "the path is empty");
    else if (n->len >= MF_PATH_MAX)
        bad_value(c, n, "the path is longer than %d bytes", MF_PATH_MAX - 1);
}

/* "; did you mean "error"?" for "Error", "errors"; "" when none is near. */
static const char *nearest_name(struct check *c, const char *text, const char *names)
{
    const char *best = NULL;
    for (unsigned limit = 2; *names; names += strcspn(names, "|"), names += *names == '|') {
        const char *name = arena_copy(c->arena, names, strcspn(names, "|"));
        unsigned d = strcasecmp(text, name) ? edit_distance(text, name, limit) : 0;
        if (d < limit || (d == limit && !best && strlen(name) > 2 * d)) {
            best = name;
            limit = d;
        }
    }
    return best ? arena_printf(c->arena, "; did you mean \"%s\"?", best) : "";
}

static void check_enum(struct check *c, const struct rule *rule, const struct dom *n)
{
    if (!want(c, n, DOM_STRING, "a string") || value_enum(n->text, rule->names) >= rule->min)
        return;
    char names[256];
    size_t used = 0;
    const char *p = rule->names;
    for (int64_t i = 0; i < rule->min; i++)
        p = strchr(p, '|') + 1;
    for (; p[0] && p[1] && used < sizeof(names) - 8; p++) {
        if (*p == '|')
            used += (size_t)snprintf(names + used, sizeof(names) - used, "\", \"");
        else
            names[used++] = *p;
    }
    names[used] = '\0';
    bad_value(c, n, "'%s' is none of \"%s\"%s", n->text, names,
              nearest_name(c, n->text, rule->names));
}

static void check_hex(struct check *c, const struct rule *rule, const struct dom *n)
{
    uint8_t bytes[64];
    if (n->type != DOM_STRING || !value_hex(n->text, bytes, (size_t)rule->max))
        bad_value(c, n, "the value must be a string of exactly %d hex digits", (int)rule->max * 2);
    explicit_bzero(bytes, sizeof(bytes));
}

static void out_of_range(struct check *c, const struct rule *rule, const struct dom *n)
{
    bool has_default = strchr(rule->key, '.');
    bad_value(c, n, "%lld is not within %lld and %lld%s", (long long)n->integer,
              (long long)rule->min, (long long)rule->max,
              has_default ? arena_printf(c->arena, "; the default is %llu",
                                         (unsigned long long)rule->otherwise)
                          : "");
}

void check_value(struct check *c, const struct rule *rule, const struct dom *n)
{
    uint64_t number;
    switch (rule->kind) {
    case K_BOOLEAN:
        if (n->type != DOM_BOOLEAN)
            bad_value(c, n, "the value must be `true` or `false` (without quotes), not %s%s",
                      dom_type_name(n->type), rewritten(c, n, DOM_BOOLEAN));
        break;
    case K_INTEGER:
        if (want(c, n, DOM_INTEGER, "an integer (without quotes)") &&
            (n->integer < rule->min || n->integer > rule->max))
            out_of_range(c, rule, n);
        break;
    case K_STRING:
        want(c, n, DOM_STRING, "a string");
        break;
    case K_SIZE:
        if (want(c, n, DOM_STRING, "a string such as \"256K\", \"64M\" or \"4G\"") &&
            !value_size(n->text, &number))
            bad_value(c, n, "'%s' is not a size; write %s", n->text, usual_size(c, n->text));
        break;
    case K_FILE_URI:
    case K_URI:
        check_uri(c, rule, n);
        break;
    case K_ENUM:
        check_enum(c, rule, n);
        break;
    case K_HEX:
        check_hex(c, rule, n);
        break;
    case K_MASK:
        if (n->type != DOM_STRING ||
            !value_mask(n->text, mask_digits((uint64_t)rule->max), &number))
            bad_value(c, n, "the value must be a string of \"0x\" and exactly %u hex digits",
                      mask_digits((uint64_t)rule->max));
        break;
    case K_PATH:
    case K_HOST_PATH:
        check_path(c, n, rule->kind == K_PATH);
        break;
    case K_CUSTOM:
        rule->check(c, n);
        break;
    }
}

static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

static unsigned distance(const char *key, const char *known, unsigned limit)
{
    return strcasecmp(key, known) ? edit_distance(key, known, limit) : 0;
}

/* As many parts of a rule's key as `key` has: "sgx" is near to "SGX". */
static const char *same_depth(struct arena *a, const char *rule, const char *key)
{
    size_t len = strcspn(rule, ".");
    for (; (key = strchr(key, '.')) && rule[len]; key++)
        len += 1 + strcspn(rule + len + 1, ".");
    return arena_copy(a, rule, len);
}

const char *nearest_key(struct arena *a, const char *key, const struct rule *rules, size_t count)
{
    unsigned limit = (unsigned)strlen(key) / 3, d;
    limit = limit < 2 ? 2 : limit > 6 ? 6 : limit;
    const char *best = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *part = same_depth(a, rules[i].key, key);
        /* The right name in the wrong section. */
        if (!strchr(rules[i].key, '*') && strchr(key, '.') &&
            !strcmp(last_part(key), last_part(rules[i].key)))
            return rules[i].key;
        if (!strchr(part, '*') && (d = distance(key, part, limit)) <= limit) {
            best = part;
            limit = d ? d - 1 : 0;
        }
        if (!strchr(rules[i].key, '*') && (d = distance(key, rules[i].key, limit)) <= limit) {
            best = rules[i].key;
            limit = d ? d - 1 : 0;
        }
    }
    return best;
}

const struct rule *rule_of(const char *key)
{
    const struct rule *rule = manifest_rules;
    while (strcmp(rule->key, key) != 0)
        rule++;
    return rule;
}

static bool is_section(const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < manifest_rule_count; i++)
        if (!strncmp(manifest_rules[i].key, key, len) && manifest_rules[i].key[len] == '.')
            return true;
    return false;
}

static void unknown_key(struct check *c, const struct dom *n, const char *key,
                        const struct rule *rules, size_t count)
{
    if (c->mode == SCHEMA_RUN)
        return;
    if (c->diag->error_count >= DIAG_KEPT) {
        c->diag->error_count++;
        return;
    }
    const char *near = nearest_key(c->arena, key, rules, count);
    const char *name = dom_name(c->arena, n);
    if (n->parent && n->parent->parent && rules == manifest_rules && is_section(n->key))
        diag_error(c->diag, n->line,
                   "unknown key '%s'; '%s' is a section of its own: move it above the header [%s]",
                   name, n->key, dom_name(c->arena, n->parent));
    else if (near)
        diag_error(c->diag, n->line, "unknown key '%s'; did you mean '%s'?", name, near);
    else
        diag_error(c->diag, n->line, "unknown key '%s'; remove it", name);
}

void check_fields(struct check *c, const struct dom *table, const struct rule *rules, size_t count)
{
    if (!want(c, table, DOM_TABLE, "a table { ... }"))
        return;
    for (const struct dom *n = table->first; n; n = n->next) {
        const struct rule *rule = NULL;
        for (size_t i = 0; i < count && !rule; i++)
            if (!strcmp(rules[i].key, n->key))
                rule = &rules[i];
        if (rule)
            check_value(c, rule, n);
        else
            unknown_key(c, n, n->key, rules, count);
    }
}

/* How a dotted key relates to a rule's key. */
enum relation { UNRELATED, ABOVE, SAME };

static enum relation relate(const char *const *parts, size_t count, const char *rule)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strcspn(rule, ".");
        bool any = len == 1 && *rule == '*';
        if (!len || (!any && (strncmp(parts[i], rule, len) || parts[i][len])))
            return UNRELATED;
        rule += len;
        if (!*rule)
            return i + 1 == count ? SAME : UNRELATED;
        rule++;
    }
    return ABOVE;
}

/* No rule goes deeper than four parts; `parts` holds the way to `table`. */
static void check_table(struct check *c, const struct dom *table, const char **parts, size_t depth)
{
    for (const struct dom *n = table->first; n; n = n->next) {
        enum relation found = UNRELATED;
        parts[depth] = n->key;
        for (size_t i = 0; i < manifest_rule_count && found != SAME; i++) {
            const struct rule *rule = &manifest_rules[i];
            enum relation r = relate(parts, depth + 1, rule->key);
            if (r == SAME && c->mode == SCHEMA_TOOL && !strcmp(rule->key, "libos.sync.enable"))
                r = UNRELATED;
            if (r == SAME && n->type == DOM_TABLE && rule->kind != K_CUSTOM &&
                strchr(rule->key, '*'))
                bad_value(c, n, "the value is a table; write a name with dots in quotation marks");
            else if (r == SAME)
                check_value(c, rule, n);
            if (r > found)
                found = r;
        }
        if (found == UNRELATED)
            unknown_key(c, n, dom_name(c->arena, n), manifest_rules, manifest_rule_count);
        else if (found == ABOVE && n->type != DOM_TABLE)
            diag_error(c->diag, n->line, "'%s' is not a TOML table but %s; write %s.NAME = ...",
                       dom_name(c->arena, n), dom_type_name(n->type), dom_name(c->arena, n));
        else if (found == ABOVE)
            check_table(c, n, parts, depth + 1);
    }
}

static void check_enclave(struct check *c)
{
    const struct dom *n = dom_get(c->root, "sgx.enclave_size");
    uint64_t bytes;
    if (n && n->type == DOM_STRING && value_size(n->text, &bytes) &&
        (!bytes || bytes & (bytes - 1)))
        bad_value(c, n, "%s is not a power of two (an SGX-imposed requirement)", n->text);
    const struct dom *heat = dom_get(c->root, "sgx.preheat_enclave");
    if (dom_is_true(c->root, "sgx.preheat_enclave") && dom_is_true(c->root, "sgx.edmm_enable"))
        diag_error(c->diag, heat->line,
                   "sgx.preheat_enclave and sgx.edmm_enable exclude each other; keep one");
}

static void check_sources(struct check *c)
{
    const struct dom *list = dom_get(c->root, "loader.argv");
    const struct dom *file = dom_get(c->root, "loader.argv_src_file");
    bool cmdline = dom_is_true(c->root, "loader.insecure__use_cmdline_argv");
    if (!!list + !!file + cmdline > 1)
        diag_error(
            c->diag, (list ? list : file)->line,
            "loader.argv, loader.argv_src_file and loader.insecure__use_cmdline_argv exclude "
            "each other; keep one");
    const struct dom *env = dom_get(c->root, "loader.env_src_file");
    if (env && dom_is_true(c->root, "loader.insecure__use_host_env"))
        diag_error(c->diag, env->line,
                   "loader.env_src_file and loader.insecure__use_host_env exclude each other; keep "
                   "one");
}

static void check_required(struct check *c)
{
    if (c->mode == SCHEMA_TOOL) {
        if (!dom_get(c->root, "libos.entrypoint"))
            diag_error(c->diag, 0,
                       "'libos.entrypoint' is missing; add the path of the program inside, for "
                       "example libos.entrypoint = \"/usr/bin/python3\"");
        if (!dom_get(c->root, "fs.mounts"))
            diag_error(c->diag, 0, "'fs.mounts' is missing; add at least fs.mounts = []");
    } else if (!dom_child(c->root, "loader")) {
        diag_error(c->diag, 0,
                   "the 'loader' section is not configured; was this file written by "
                   "gramine-manifest?");
    } else if (!dom_get(c->root, "libos.entrypoint") &&
               !dom_get(c->root, "loader.entrypoint.uri")) {
        diag_error(c->diag, 0, "'libos.entrypoint' is missing; it names the program to start");
    }
}

bool schema_check(struct arena *a, const struct dom *root, enum schema_mode mode, struct diag *d)
{
    unsigned before = d->error_count;
    struct check c = {.arena = a, .diag = d, .mode = mode, .root = root};
    const char *parts[8];
    check_table(&c, root, parts, 0);
    check_sources(&c);
    check_enclave(&c);
    check_required(&c);
    return d->error_count == before;
}
