/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "manifest/compile.h"

#include <stdlib.h>
#include <string.h>

#include "manifest/compile_int.h"
#include "manifest/compiled.h"
#include "manifest/schema_int.h"
#include "manifest/toml.h"
#include "manifest/value.h"

struct mf_str put_bytes(struct compiler *c, const char *s, size_t len)
{
    struct mf_str r = {.off = (uint32_t)(sizeof(struct mf_image) + c->strings.len),
                       .len = (uint32_t)len};
    if (c->strings.len + len >= MF_MAX_SIZE) {
        c->too_big = true;
        return (struct mf_str){0};
    }
    buffer_add(&c->strings, s, len);
    buffer_add(&c->strings, NULL, 1);
    return r;
}

struct mf_str put_string(struct compiler *c, const char *s)
{
    return s ? put_bytes(c, s, strlen(s)) : (struct mf_str){0};
}

/* A path in its normal form; inside paths are made absolute. */
static struct mf_str put_path(struct compiler *c, const struct dom *n, const char *path,
                              bool inside)
{
    char joined[MF_PATH_MAX + 1] = "/", out[MF_PATH_MAX];
    size_t len = strlen(path), lead = inside && path[0] != '/';
    long size = -1;
    if (len < MF_PATH_MAX) {
        memcpy(joined + lead, path, len + 1);
        size = mf_path_normalise(joined, len + lead, out, sizeof(out));
    }
    if (size <= 0) {
        diag_error(c->diag, n->line, "Cannot parse '%s': the path is empty or too long",
                   dom_name(&c->arena, n));
        return (struct mf_str){0};
    }
    return put_bytes(c, out, (size_t)size);
}

static struct mf_str put_uri(struct compiler *c, const struct dom *n, uint32_t *scheme)
{
    const char *path = uri_file(n->text);
    if (scheme)
        *scheme = path ? MF_SCHEME_FILE : MF_SCHEME_DEV;
    return put_path(c, n, path ? path : uri_dev(n->text), false);
}

/* A plain value as the number that stands for it. */
static uint64_t number_of(const struct dom *root, const char *key, enum kind kind, uint64_t most,
                          uint64_t otherwise, const char *names)
{
    const struct dom *n = dom_get(root, key);
    uint64_t number = otherwise;
    if (!n)
        return otherwise;
    if (kind == K_BOOLEAN)
        number = n->boolean;
    else if (kind == K_INTEGER)
        number = (uint64_t)n->integer;
    else if (kind == K_ENUM)
        number = (uint64_t)value_enum(n->text, names);
    else if (kind == K_SIZE)
        value_size(n->text, &number);
    else
        value_mask(n->text, mask_digits(most), &number);
    return number;
}

static void compile_values(struct compiler *c)
{
#define VALUE(key, field, kind, least, most, otherwise, names) \
    c->image.field = number_of(c->root, key, kind, most, otherwise, names);
    MF_VALUES(VALUE)
#undef VALUE
}

static void put_argument(struct compiler *c, const char *text)
{
    struct mf_str s = put_string(c, text);
    buffer_add(&c->argv, &s, sizeof(s));
}

static void compile_loader(struct compiler *c)
{
    struct mf_image *im = &c->image;
    const struct dom *root = c->root, *n;
    im->argv_mode =
        dom_is_true(root, "loader.insecure__use_cmdline_argv") ? MF_ARGV_CMDLINE : MF_ARGV_NONE;
    if ((n = dom_get(root, "loader.argv_src_file"))) {
        im->argv_mode = MF_ARGV_SRC_FILE;
        im->argv_src = put_uri(c, n, NULL);
    }
    if ((n = dom_get(root, "loader.argv"))) {
        im->argv_mode = MF_ARGV_LIST;
        for (const struct dom *e = n->first; e; e = e->next)
            put_argument(c, e->text);
    }
    im->env_mode = dom_is_true(root, "loader.insecure__use_host_env") ? MF_ENV_HOST : MF_ENV_NONE;
    if ((n = dom_get(root, "loader.env_src_file"))) {
        im->env_mode = MF_ENV_SRC_FILE;
        im->env_src = put_uri(c, n, NULL);
    }
    const struct dom *env = dom_get(root, "loader.env");
    for (n = env ? env->first : NULL; n; n = n->next) {
        const struct dom *value = n->type == DOM_STRING ? n : dom_child(n, "value");
        struct mf_env e = {.name = put_string(c, n->key), .passthrough = !value};
        if (value)
            e.value = put_string(c, value->text);
        buffer_add(&c->env, &e, sizeof(e));
    }
    im->log_file = put_string(c, dom_string(root, "loader.log_file"));
}

static void compile_libos(struct compiler *c)
{
    struct mf_image *im = &c->image;
    const struct dom *root = c->root, *n = dom_get(root, "libos.entrypoint");
    const char *entry = n ? n->text : NULL;
    if (!n && (n = dom_get(root, "loader.entrypoint.uri")))
        entry = uri_file(n->text);
    if (entry)
        im->entrypoint = put_path(c, n, entry, true);
    if (entry && (im->argv_mode == MF_ARGV_NONE || im->argv_mode == MF_ARGV_CMDLINE))
        put_argument(c, entry);
}

static struct mf_mount compile_mount(struct compiler *c, const struct dom *n)
{
    const char *type = dom_string(n, "type");
    struct mf_mount m = {
        .type = type ? (uint32_t)value_enum(type, MF_NAMES(MF_MOUNT_TYPES)) : MF_MOUNT_CHROOT,
        .recovery = dom_is_true(n, "enable_recovery"),
    };
    const struct dom *path = dom_child(n, "path"), *uri = dom_child(n, "uri");
    m.path = path ? put_path(c, path, path->text, true) : put_string(c, "/");
    if (m.type != MF_MOUNT_TMPFS)
        m.host = put_uri(c, uri, &m.scheme);
    if (m.type == MF_MOUNT_ENCRYPTED) {
        const char *key = dom_string(n, "key_name");
        m.key_name = put_string(c, key ? key : "default");
    }
    return m;
}

static void compile_fs(struct compiler *c)
{
    struct mf_image *im = &c->image;
    const struct dom *root = dom_get(c->root, "fs.root"), *list = dom_get(c->root, "fs.mounts");
    if (root)
        im->root = compile_mount(c, root);
    else
        im->root = (struct mf_mount){
            .path = put_string(c, "/"), .host = put_string(c, "."), .scheme = MF_SCHEME_FILE};
    for (const struct dom *n = list ? list->first : NULL; n; n = n->next) {
        struct mf_mount m = compile_mount(c, n);
        buffer_add(&c->mounts, &m, sizeof(m));
    }
    const struct dom *dir = dom_get(c->root, "fs.start_dir");
    im->start_dir = dir ? put_path(c, dir, dir->text, true) : put_string(c, "/");
    const struct dom *keys = dom_get(c->root, "fs.insecure__keys");
    for (const struct dom *n = keys ? keys->first : NULL; n; n = n->next) {
        struct mf_key k = {.name = put_string(c, n->key)};
        value_hex(n->text, k.key, sizeof(k.key));
        buffer_add(&c->keys, &k, sizeof(k));
    }
}

struct file {
    struct mf_trusted entry;
    const char *path; /* in `strings`, valid once that no longer grows */
    unsigned line;
};

static int by_path(const void *a, const void *b)
{
    const struct file *x = a, *y = b;
    return strcmp(x->path, y->path);
}

/* Sorts the files and drops what is listed twice; two hashes for one path are an error. */
static void add_sorted(struct compiler *c, struct file *files, size_t count)
{
    for (size_t i = 0; i < count; i++)
        files[i].path = c->strings.data + (files[i].entry.path.off - sizeof(struct mf_image));
    qsort(files, count, sizeof(*files), by_path);
    const struct file *last = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!last || strcmp(last->path, files[i].path)) {
            buffer_add(&c->trusted, &files[i].entry, sizeof(files[i].entry));
            last = &files[i];
        } else if (memcmp(last->entry.sha256, files[i].entry.sha256, 32)) {
            diag_error(c->diag, files[i].line,
                       "'%s' is trusted twice with different hashes (also on line %u); remove one",
                       files[i].path, last->line);
        }
    }
}

static void compile_trusted(struct compiler *c)
{
    const struct dom *list = dom_get(c->root, "sgx.trusted_files");
    if (!list || !list->count)
        return;
    struct file *files = xmalloc(list->count * sizeof(*files));
    size_t count = 0;
    for (const struct dom *n = list->first; n; n = n->next) {
        struct file *f = &files[count];
        const struct dom *uri = dom_child(n, "uri"), *bytes = dom_child(n, "size");
        memset(f, 0, sizeof(*f));
        f->line = n->line;
        f->entry.path = put_uri(c, uri, NULL);
        f->entry.size = bytes ? (uint64_t)bytes->integer : MF_UNSET;
        f->entry.flags = MF_TRUSTED_SHA256;
        value_hex(dom_string(n, "sha256"), f->entry.sha256, 32);
        const char *tree = dom_string(n, "tree");
        if (tree) {
            value_hex(tree, f->entry.tree, 32);
            f->entry.flags |= MF_TRUSTED_TREE;
        }
        count += f->entry.path.off != 0;
    }
    add_sorted(c, files, count);
    free(files);
}

static int by_string(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void compile_allowed(struct compiler *c)
{
    const struct dom *list = dom_get(c->root, "sgx.allowed_files");
    if (!list || !list->count)
        return;
    const char **paths = xmalloc(list->count * sizeof(*paths));
    size_t count = 0;
    for (const struct dom *n = list->first; n; n = n->next) {
        const char *path = uri_file(n->text);
        if (!path)
            path = uri_dev(n->text);
        char *out = arena_alloc(&c->arena, strlen(path) + 2);
        if (mf_path_normalise(path, strlen(path), out, strlen(path) + 2) > 0)
            paths[count++] = out;
    }
    qsort(paths, count, sizeof(*paths), by_string);
    for (size_t i = 0; i < count; i++) {
        if (i && !strcmp(paths[i - 1], paths[i]))
            continue;
        struct mf_allowed a = {.path = put_string(c, paths[i])};
        buffer_add(&c->allowed, &a, sizeof(a));
    }
    free(paths);
}

static struct mf_list place(struct compiler *c, struct buffer *out, const struct buffer *records,
                            size_t record)
{
    buffer_align(out, 8);
    struct mf_list l = {.off = (uint32_t)out->len, .count = (uint32_t)(records->len / record)};
    buffer_add(out, records->data, records->len);
    if (out->len > MF_MAX_SIZE)
        c->too_big = true;
    return l;
}

/* Lays the parts out: image, strings, lists. */
static void assemble(struct compiler *c, struct buffer *out)
{
    struct mf_image *im = &c->image;
    buffer_add(out, NULL, sizeof(*im));
    buffer_add(out, c->strings.data, c->strings.len);
    im->argv = place(c, out, &c->argv, sizeof(struct mf_str));
    im->env = place(c, out, &c->env, sizeof(struct mf_env));
    im->mounts = place(c, out, &c->mounts, sizeof(struct mf_mount));
    im->keys = place(c, out, &c->keys, sizeof(struct mf_key));
    im->trusted = place(c, out, &c->trusted, sizeof(struct mf_trusted));
    im->allowed = place(c, out, &c->allowed, sizeof(struct mf_allowed));
    im->mocks = place(c, out, &c->mocks, sizeof(struct mf_mock));
    im->ioctls = place(c, out, &c->ioctls, sizeof(struct mf_ioctl));
    im->ioctl_structs = place(c, out, &c->ioctl_structs, sizeof(struct mf_ioctl_struct));
    im->ioctl_fields = place(c, out, &c->ioctl_fields, sizeof(struct mf_ioctl_field));
    im->total_size = out->len;
    memcpy(out->data, im, sizeof(*im));
    im->checksum = mf_checksum(out->data, out->len);
    memcpy(out->data, im, sizeof(*im));
}

static void release(struct compiler *c)
{
    struct buffer *parts[] = {&c->strings, &c->argv,          &c->env,         &c->mounts,
                              &c->keys,    &c->trusted,       &c->allowed,     &c->mocks,
                              &c->ioctls,  &c->ioctl_structs, &c->ioctl_fields};
    if (c->keys.data)
        explicit_bzero(c->keys.data, c->keys.len);
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        buffer_free(parts[i]);
    arena_free(&c->arena);
}

bool manifest_compile(const struct dom *root, const uint8_t text_sha256[32], uint64_t text_size,
                      struct buffer *out, struct diag *d)
{
    unsigned before = d->error_count;
    struct compiler c = {.root = root, .diag = d};
    memcpy(c.image.magic, MF_MAGIC, sizeof(c.image.magic));
    c.image.format = mf_format;
    c.image.text_size = text_size;
    memcpy(c.image.text_sha256, text_sha256, 32);
    compile_loader(&c);
    compile_libos(&c);
    compile_fs(&c);
    compile_values(&c);
    compile_trusted(&c);
    compile_allowed(&c);
    compile_ioctls(&c);
    if (!c.too_big)
        assemble(&c, out);
    if (c.too_big)
        diag_error(d, 0, "the manifest is too large: compiled it has more than %u MiB",
                   MF_MAX_SIZE >> 20);
    release(&c);
    return d->error_count == before;
}

bool manifest_compile_text(const char *text, size_t len, const uint8_t text_sha256[32],
                           struct buffer *out, struct diag *d)
{
    struct arena a = {0};
    struct dom *root = toml_parse(&a, text, len, d);
    bool ok = root && schema_modernise(&a, root, d);
    ok = root && schema_check(&a, root, SCHEMA_RUN, d) && ok &&
         manifest_compile(root, text_sha256, len, out, d);
    arena_free(&a);
    return ok;
}
