/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Every key of a manifest, and the checks of the loader's values. */
#include "manifest/schema_int.h"

#include <stdlib.h>
#include <string.h>

#include "manifest/compiled.h"
#include "manifest/value.h"
#include "syscall_names.h"

#define BOOLEAN(k)                  \
    {                               \
        .key = k, .kind = K_BOOLEAN \
    }
#define INTEGER(k, lo, hi)                                \
    {                                                     \
        .key = k, .kind = K_INTEGER, .min = lo, .max = hi \
    }
#define STRING(k)                  \
    {                              \
        .key = k, .kind = K_STRING \
    }
#define FILE_URI(k)                  \
    {                                \
        .key = k, .kind = K_FILE_URI \
    }
#define HEX(k, bytes)                         \
    {                                         \
        .key = k, .kind = K_HEX, .max = bytes \
    }
#define HOST_PATH(k)                    \
    {                                   \
        .key = (k), .kind = K_HOST_PATH \
    }
#define PATH(k)                  \
    {                            \
        .key = k, .kind = K_PATH \
    }
#define CUSTOM(k, f)                           \
    {                                          \
        .key = k, .kind = K_CUSTOM, .check = f \
    }

static void check_entrypoint(struct check *c, const struct dom *n)
{
    if (n->type != DOM_STRING)
        bad_value(c, n, "the value must be a string, not %s", dom_type_name(n->type));
    else if (uri_file(n->text) || uri_dev(n->text))
        bad_value(c, n, "the value is a path inside the mounted tree, without 'file:'");
    else if (!*n->text)
        bad_value(c, n, "the path is empty");
    else if (n->text[0] != '/')
        diag_warning(c->diag, n->line, "libos.entrypoint = \"%s\" is taken as \"/%s\"", n->text,
                     n->text);
}

static void check_argv(struct check *c, const struct dom *n)
{
    if (n->type != DOM_ARRAY) {
        bad_value(c, n, "the value must be an array of strings, not %s", dom_type_name(n->type));
        return;
    }
    if (!n->count)
        bad_value(c, n, "the array is empty; its first string is the program's argv[0]");
    for (const struct dom *e = n->first; e; e = e->next)
        if (e->type != DOM_STRING)
            bad_value(c, e, "the value must be a string, not %s", dom_type_name(e->type));
}

static void check_env_table(struct check *c, const struct dom *n)
{
    static const struct rule fields[] = {STRING("value"), BOOLEAN("passthrough")};
    if (n->first && !dom_child(n, "value") && !dom_child(n, "passthrough")) {
        bad_value(c, n,
                  "a variable has `value` or `passthrough`; write a name with dots in quotation "
                  "marks, loader.env.\"%s.%s\"",
                  n->key, n->first->key);
        return;
    }
    check_fields(c, n, fields, sizeof(fields) / sizeof(*fields));
    const struct dom *value = dom_child(n, "value"), *pass = dom_child(n, "passthrough");
    if (value && pass)
        bad_value(c, n, "`value` and `passthrough` exclude each other; remove one");
    else if (!value && !pass)
        bad_value(c, n, "give either `value = \"...\"` or `passthrough = true`");
    else if (pass && pass->type == DOM_BOOLEAN && !pass->boolean)
        bad_value(c, n, "`passthrough = false` says nothing; remove the variable");
}

static void check_env(struct check *c, const struct dom *n)
{
    if (!*n->key || strchr(n->key, '='))
        bad_value(c, n, "the name of a variable is not empty and has no '='");
    if (n->type == DOM_TABLE)
        check_env_table(c, n);
    else if (n->type != DOM_STRING)
        bad_value(c, n,
                  "the value must be a string, { value = \"...\" } or { passthrough = true }, "
                  "not %s%s",
                  dom_type_name(n->type), rewritten(c, n, DOM_STRING));
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

static void check_mocks(struct check *c, const struct dom *n)
{
    static const struct rule fields[] = {STRING("name"), INTEGER("return", INT64_MIN, INT64_MAX)};
    if (n->type != DOM_ARRAY) {
        bad_value(c, n, "the value must be an array of tables, not %s", dom_type_name(n->type));
        return;
    }
    for (const struct dom *e = n->first; e; e = e->next) {
        check_fields(c, e, fields, sizeof(fields) / sizeof(*fields));
        const struct dom *name = dom_child(e, "name");
        if (e->type != DOM_TABLE)
            continue;
        if (!name)
            bad_value(c, e, "`name` is missing");
        else if (name->type == DOM_STRING &&
                 !bsearch(name->text, syscall_names, sizeof(syscall_names) / sizeof(char *),
                          sizeof(char *), compare_names))
            bad_value(c, name, "Linux on x86-64 has no system call '%s'", name->text);
    }
}

/* A plain value (keys.h). */
#define VALUE(k, f, kind_, least, most, otherwise_, names_) \
    {.key = k,                                              \
     .kind = kind_,                                         \
     .min = least,                                          \
     .max = (int64_t)most,                                  \
     .otherwise = otherwise_,                               \
     .names = names_},

/* clang-format off */
const struct rule manifest_rules[] = {
    MF_VALUES(VALUE)
    CUSTOM("libos.entrypoint", check_entrypoint),
    FILE_URI("loader.entrypoint.uri"),
    HEX("loader.entrypoint.sha256", 32),
    CUSTOM("loader.argv", check_argv),
    FILE_URI("loader.argv_src_file"),
    BOOLEAN("loader.insecure__use_cmdline_argv"),
    CUSTOM("loader.env.*", check_env),
    FILE_URI("loader.env_src_file"),
    BOOLEAN("loader.insecure__use_host_env"),
    HOST_PATH("loader.log_file"),
    CUSTOM("fs.root", check_root_mount),
    CUSTOM("fs.mounts", check_mounts),
    PATH("fs.start_dir"),
    HEX("fs.insecure__keys.*", 16),
    CUSTOM("sys.ioctl_structs.*", check_ioctl_struct),
    CUSTOM("sys.allowed_ioctls", check_allowed_ioctls),
    CUSTOM("sys.debug__mock_syscalls", check_mocks),
    CUSTOM("sgx.trusted_files", check_trusted_files),
    CUSTOM("sgx.allowed_files", check_allowed_files),
};
/* clang-format on */
const size_t manifest_rule_count = sizeof(manifest_rules) / sizeof(*manifest_rules);
