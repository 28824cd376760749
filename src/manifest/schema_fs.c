/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Mounts and file lists. */
#include "manifest/schema_int.h"

#include <string.h>

#include "manifest/compiled.h"
#include "manifest/value.h"

#define TYPES MF_NAMES(MF_MOUNT_TYPES)

#define COMMON_FIELDS                                \
    {.key = "type", .kind = K_ENUM, .names = TYPES}, \
    {                                                \
        .key = "uri", .kind = K_STRING               \
    }

static void check_mount_uri(struct check *c, const struct dom *n, int type)
{
    static const struct rule either = {.kind = K_URI}, file = {.kind = K_FILE_URI};
    const struct dom *uri = dom_child(n, "uri");
    if (type == MF_MOUNT_TMPFS)
        return;
    if (!uri) {
        bad_value(c, n,
                  "`uri` is missing; it names what is mounted, for example \"file:/usr/lib\"");
        return;
    }
    if (type == MF_MOUNT_UNTRUSTED_SHM) {
        if (uri->type == DOM_STRING && !uri_dev(uri->text))
            bad_value(c, uri, "'%s' does not begin with 'dev:', as type \"untrusted_shm\" needs",
                      uri->text);
        return;
    }
    unsigned before = c->diag->error_count;
    check_value(c, type == MF_MOUNT_ENCRYPTED ? &file : &either, uri);
    if (type != MF_MOUNT_CHROOT || before != c->diag->error_count || !uri_file(uri->text))
        return;
    static const char *const pseudo[] = {"/proc", "/sys", "/dev"};
    for (size_t i = 0; i < sizeof(pseudo) / sizeof(*pseudo); i++) {
        size_t len = strlen(pseudo[i]);
        const char *path = uri_file(uri->text);
        if (!strncmp(path, pseudo[i], len) && (!path[len] || path[len] == '/'))
            diag_warning(c->diag, uri->line,
                         "mounting the host's %s is insecure and not supported; the library OS has "
                         "one of its own",
                         pseudo[i]);
    }
}

static void check_mount(struct check *c, const struct dom *n, bool root)
{
    static const struct rule root_fields[] = {
        COMMON_FIELDS,
        {.key = "key_name", .kind = K_STRING},
        {.key = "enable_recovery", .kind = K_BOOLEAN},
    };
    static const struct rule fields[] = {
        COMMON_FIELDS,
        {.key = "key_name", .kind = K_STRING},
        {.key = "enable_recovery", .kind = K_BOOLEAN},
        {.key = "path", .kind = K_PATH},
    };
    if (root)
        check_fields(c, n, root_fields, sizeof(root_fields) / sizeof(*root_fields));
    else
        check_fields(c, n, fields, sizeof(fields) / sizeof(*fields));
    if (n->type != DOM_TABLE)
        return;
    const char *name = dom_string(n, "type");
    int type = name ? value_enum(name, TYPES) : MF_MOUNT_CHROOT;
    if (type < 0)
        return;
    check_mount_uri(c, n, type);
    static const char *const encrypted_only[] = {"key_name", "enable_recovery"};
    for (size_t i = 0; i < 2; i++) {
        const struct dom *f = dom_child(n, encrypted_only[i]);
        if (f && type != MF_MOUNT_ENCRYPTED)
            bad_value(c, f, "only mounts of type \"encrypted\" have this key");
    }
    const char *key = dom_string(n, "key_name");
    if (key && (!*key || strchr(key, '/')))
        bad_value(c, dom_child(n, "key_name"), "the name of a key is not empty and has no '/'");
}

void check_root_mount(struct check *c, const struct dom *n)
{
    if (dom_child(n, "path"))
        bad_value(c, dom_child(n, "path"), "the root mount has no `path`; remove it");
    else
        check_mount(c, n, true);
}

/* A mount's path in its normal form, or NULL. */
static const char *mount_path(struct check *c, const struct dom *mount)
{
    const char *path = dom_string(mount, "path");
    if (!path || path[0] != '/')
        return NULL;
    char *out = arena_alloc(c->arena, strlen(path) + 2);
    return mf_path_normalise(path, strlen(path), out, strlen(path) + 2) > 0 ? out : NULL;
}

static const char *text_of(const struct dom *n, const char *key, const char *otherwise)
{
    const char *s = dom_string(n, key);
    return s ? s : otherwise;
}

/*
 * The same mount twice comes from loops over overlapping lists and is harmless. Two different
 * mounts at one path are legal at run time (the later hides the earlier), but nobody wants that:
 * the tools refuse it.
 */
static void check_twice(struct check *c, const struct dom *mounts, const struct dom *n,
                        const char *path)
{
    for (const struct dom *o = mounts->first; o != n; o = o->next) {
        const char *other = mount_path(c, o);
        if (!other || strcmp(other, path))
            continue;
        if (strcmp(text_of(o, "uri", ""), text_of(n, "uri", "")) ||
            strcmp(text_of(o, "type", "chroot"), text_of(n, "type", "chroot")) ||
            strcmp(text_of(o, "key_name", "default"), text_of(n, "key_name", "default")))
            bad_value(c, n, "'%s' is already mounted on line %u, from '%s'; remove one of the two",
                      path, o->line, text_of(o, "uri", "(memory)"));
        return;
    }
}

void check_mounts(struct check *c, const struct dom *n)
{
    if (n->type != DOM_ARRAY) {
        bad_value(c, n,
                  "the value must be an array of mounts [ { path = ..., uri = ... } ], not %s",
                  dom_type_name(n->type));
        return;
    }
    for (const struct dom *m = n->first; m; m = m->next) {
        check_mount(c, m, false);
        if (m->type != DOM_TABLE)
            continue;
        const char *path = mount_path(c, m);
        if (!dom_child(m, "path"))
            bad_value(c, m, "`path` is missing; it says where the mount appears inside");
        else if (path && !path[1])
            bad_value(c, m, "`path` must not be \"/\"; use fs.root");
        else if (path && c->mode == SCHEMA_TOOL && n->count <= 1024)
            check_twice(c, n, m, path);
    }
}

static void check_trusted_table(struct check *c, const struct dom *n)
{
    static const struct rule fields[] = {
        {.key = "uri", .kind = K_FILE_URI},
        {.key = "sha256", .kind = K_HEX, .max = 32},
        {.key = "tree", .kind = K_HEX, .max = 32},
        {.key = "size", .kind = K_INTEGER, .min = 0, .max = INT64_MAX},
    };
    check_fields(c, n, fields, sizeof(fields) / sizeof(*fields));
    const char *uri = dom_string(n, "uri");
    if (!dom_child(n, "uri"))
        bad_value(c, n, "`uri` is missing");
    else if (uri && *uri && uri[strlen(uri) - 1] == '/' && dom_child(n, "sha256"))
        bad_value(c, n, "'%s' is a directory (trailing slash), which has no sha256", uri);
    if (dom_child(n, "tree") && (!dom_child(n, "size") || !dom_child(n, "sha256")))
        bad_value(c, n, "`tree` needs `size` and `sha256` beside it");
    if (c->mode == SCHEMA_RUN && !dom_child(n, "sha256"))
        bad_value(c, n, "the file has no `sha256`; make this file with gramine-manifest");
}

void check_trusted_files(struct check *c, const struct dom *n)
{
    static const struct rule uri = {.kind = K_FILE_URI};
    if (n->type != DOM_ARRAY) {
        bad_value(c, n, "the value must be an array of \"file:...\", not %s",
                  dom_type_name(n->type));
        return;
    }
    for (const struct dom *e = n->first; e; e = e->next) {
        if (e->type == DOM_TABLE)
            check_trusted_table(c, e);
        else if (e->type != DOM_STRING)
            bad_value(c, e, "the value must be a \"file:...\" string or { uri = ... }, not %s",
                      dom_type_name(e->type));
        else if (c->mode == SCHEMA_RUN)
            bad_value(c, e, "'%s' has no hash; make this file with gramine-manifest", e->text);
        else
            check_value(c, &uri, e);
    }
}

void check_allowed_files(struct check *c, const struct dom *n)
{
    static const struct rule uri = {.kind = K_URI};
    if (n->type != DOM_ARRAY) {
        bad_value(c, n, "the value must be an array of \"file:...\", not %s",
                  dom_type_name(n->type));
        return;
    }
    for (const struct dom *e = n->first; e; e = e->next)
        check_value(c, &uri, e);
}
