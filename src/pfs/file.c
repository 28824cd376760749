/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Opening, closing and what concerns a file as a whole. */
#include "internal.h"

static int create(struct pfs *f, const struct pfs_open_args *args, int64_t storage)
{
    if (!args->path || f->readonly)
        return -EINVAL;
    int rc = pfs_normalize_path(args->path, f->meta.path);
    if (rc)
        return rc;
    f->info.major = 2;
    rc = pfs_meta_write(f);
    if (!rc && storage > PFS_NODE_SIZE)
        rc = f->backend.truncate(f->backend.ctx, PFS_NODE_SIZE);
    return rc ? clean_error(rc) : 0;
}

static bool same_path(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static int open_existing(struct pfs *f, const struct pfs_open_args *args, int64_t storage)
{
    char path[PFS_PATH_SIZE];
    int rc = args->path ? pfs_normalize_path(args->path, path) : 0;
    if (rc)
        return rc;
    if (storage == 0)
        return -ENODATA;
    if (storage % PFS_NODE_SIZE)
        return -EINVAL;
    rc = pfs_meta_read(f);
    if (rc)
        return rc;
    if (f->info.pending && (args->flags & PFS_REFUSE_PENDING))
        return -EUCLEAN;
    if (args->path && !same_path(path, f->meta.path))
        return -EXDEV;
    if (args->expected_tag && crypto_differs(args->expected_tag, f->tag, PFS_TAG_SIZE))
        return -ESTALE;
    f->committed = pfs_data_nodes(f->size);
    if (args->flags & PFS_INSPECT) {
        f->failed = -EINVAL;
        return 0;
    }
    return f->size > INLINE_SIZE ? pfs_root_load(f, false) : 0;
}

static void destroy(struct pfs *f)
{
    struct pfs_env env = f->env;
    pfs_cache_free(f);
    crypto_wipe(f, sizeof *f);
    env.free(f, sizeof *f);
}

static void set_limits(struct pfs *f, size_t cache_bytes)
{
    if (!cache_bytes)
        cache_bytes = DEFAULT_CACHE;
    f->data_limit = cache_bytes / 8 * 5 / sizeof(struct data_node);
    f->hash_limit = cache_bytes / 8 * 3 / sizeof(struct hash_node);
    if (f->data_limit < 8)
        f->data_limit = 8;
    if (f->hash_limit < 2 * MAX_DEPTH)
        f->hash_limit = 2 * MAX_DEPTH;
}

int pfs_open(const struct pfs_env *env, const struct pfs_backend *backend,
             const uint8_t key[PFS_KEY_SIZE], const struct pfs_open_args *args, struct pfs **out)
{
    int64_t storage = backend->size(backend->ctx);
    if (storage < 0)
        return clean_error(storage);
    struct pfs *f = env->alloc(sizeof *f);
    if (!f)
        return -ENOMEM;
    __builtin_memset(f, 0, sizeof *f);
    f->env = *env;
    f->backend = *backend;
    f->readonly = args->flags & (PFS_READONLY | PFS_INSPECT);
    __builtin_memcpy(f->wrap_key, key, sizeof f->wrap_key);
    list_init(&f->hashes);
    list_init(&f->clean);
    list_init(&f->dirty_data);
    set_limits(f, args->cache_bytes);
    int rc = args->flags & PFS_CREATE ? create(f, args, storage) : open_existing(f, args, storage);
    if (rc) {
        destroy(f);
        return rc;
    }
    *out = f;
    return 0;
}

int pfs_flush(struct pfs *f, bool sync)
{
    if (f->failed)
        return f->failed;
    int rc = pfs_commit(f);
    if (!rc && sync) {
        rc = f->backend.sync(f->backend.ctx);
        if (rc)
            rc = clean_error(rc);
    }
    return rc;
}

int pfs_close(struct pfs *f)
{
    int rc = f->failed ? f->failed : pfs_commit(f);
    destroy(f);
    return rc;
}

int pfs_rename(struct pfs *f, const char *path)
{
    char next[PFS_PATH_SIZE], old[PFS_PATH_SIZE];
    if (f->failed)
        return f->failed;
    if (f->readonly)
        return -EROFS;
    int rc = pfs_normalize_path(path, next);
    if (rc)
        return rc;
    __builtin_memcpy(old, f->meta.path, sizeof old);
    __builtin_memcpy(f->meta.path, next, sizeof next);
    f->dirty = true;
    rc = pfs_commit(f);
    if (rc)
        __builtin_memcpy(f->meta.path, old, sizeof old);
    return rc;
}

uint64_t pfs_size(const struct pfs *f)
{
    return f->size;
}

const char *pfs_path(const struct pfs *f)
{
    return f->meta.path;
}

void pfs_root_tag(const struct pfs *f, uint8_t tag[PFS_TAG_SIZE])
{
    __builtin_memcpy(tag, f->tag, PFS_TAG_SIZE);
}

void pfs_info(const struct pfs *f, struct pfs_info *info)
{
    *info = f->info;
}
