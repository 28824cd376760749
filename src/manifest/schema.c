/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The walk over a manifest: unknown keys, types and ranges, and the rules between keys. */
#include "manifest/schema_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static bool want(struct check *c, const struct dom *n, enum dom_type type, const char *what)
{
    if (n->type == type)
        return true;
    bad_value(c, n, "the value must be %s, not %s", what, dom_type_name(n->type));
    return false;
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

static void check_path(struct check *c, const struct dom *n)
{
    if (!want(c, n, DOM_STRING, "a string"))
        return;
    if (n->text[0] != '/')
        bad_value(c, n, "'%s' is not an absolute path", n->text);
    else if (n->len >= MF_PATH_MAX)
        bad_value(c, n, "the path is longer than %d bytes", MF_PATH_MAX - 1);
}

static void check_enum(struct check *c, const struct rule *rule, const struct dom *n)
{
    if (!want(c, n, DOM_STRING, "a string") || value_enum(n->text, rule->names) >= 0)
        return;
    char names[256];
    size_t used = 0;
    for (const char *p = rule->names; *p && used < sizeof(names) - 8; p++) {
        if (*p == '|')
            used += (size_t)snprintf(names + used, sizeof(names) - used, "\", \"");
        else
            names[used++] = *p;
    }
    names[used] = '\0';
    bad_value(c, n, "'%s' is none of \"%s\"", n->text, names);
}

static void check_hex(struct check *c, const struct rule *rule, const struct dom *n)
{
    uint8_t bytes[64];
    if (want(c, n, DOM_STRING, "a string of hex digits") &&
        !value_hex(n->text, bytes, (size_t)rule->max))
        bad_value(c, n, "the value must be exactly %d hex digits", (int)rule->max * 2);
    explicit_bzero(bytes, sizeof(bytes));
}

void check_value(struct check *c, const struct rule *rule, const struct dom *n)
{
    uint64_t number;
    switch (rule->kind) {
    case K_BOOLEAN:
        if (n->type != DOM_BOOLEAN)
            bad_value(c, n, "the value must be `true` or `false` (without quotes), not %s",
                      dom_type_name(n->type));
        break;
    case K_INTEGER:
        if (want(c, n, DOM_INTEGER, "an integer (without quotes)") &&
            (n->integer < rule->min || n->integer > rule->max))
            bad_value(c, n, "%lld is not within %lld and %lld", (long long)n->integer,
                      (long long)rule->min, (long long)rule->max);
        break;
    case K_STRING:
        want(c, n, DOM_STRING, "a string");
        break;
    case K_SIZE:
        if (want(c, n, DOM_STRING, "a string such as \"256K\", \"64M\" or \"4G\"") &&
            !value_size(n->text, &number))
            bad_value(c, n, "'%s' is not a size; write for example \"256K\", \"64M\" or \"4G\"",
                      n->text);
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
        if (want(c, n, DOM_STRING, "a string of hex digits") &&
            !value_mask(n->text, (unsigned)rule->max, &number))
            bad_value(c, n, "the value must be \"0x\" and exactly %d hex digits", (int)rule->max);
        break;
    case K_PATH:
        check_path(c, n);
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

const char *nearest_key(const char *key, const struct rule *rules, size_t count)
{
    unsigned limit = (unsigned)strlen(key) / 3;
    limit = limit < 2 ? 2 : limit > 6 ? 6 : limit;
    const char *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strchr(rules[i].key, '*'))
            continue;
        /* The right name in the wrong section. */
        if (strchr(key, '.') && !strcmp(last_part(key), last_part(rules[i].key)))
            return rules[i].key;
        unsigned d = edit_distance(key, rules[i].key, limit);
        if (d <= limit) {
            best = rules[i].key;
            limit = d ? d - 1 : 0;
        }
    }
    return best;
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
    const char *near = nearest_key(key, rules, count);
    const char *name = dom_name(c->arena, n);
    if (near)
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
            if (r == SAME)
                check_value(c, rule, n);
            if (r > found)
                found = r;
        }
        if (found == UNRELATED)
            unknown_key(c, n, dom_name(c->arena, n), manifest_rules, manifest_rule_count);
        else if (found == ABOVE && n->type != DOM_TABLE)
            diag_error(c->diag, n->line, "'%s' is not a TOML table but %s", dom_name(c->arena, n),
                       dom_type_name(n->type));
        else if (found == ABOVE)
            check_table(c, n, parts, depth + 1);
    }
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
    const struct dom *heat = dom_get(c->root, "sgx.preheat_enclave");
    if (dom_is_true(c->root, "sgx.preheat_enclave") && dom_is_true(c->root, "sgx.edmm_enable"))
        diag_error(c->diag, heat->line,
                   "sgx.preheat_enclave and sgx.edmm_enable exclude each other; keep one");
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
    check_required(&c);
    return d->error_count == before;
}
