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
    f->fresh = !f->untracked;
    f->unsynced = true;
    rc = pfs_meta_write(f);
    if (!rc && storage > PFS_NODE_SIZE)
        rc = f->backend.truncate(f->backend.ctx, PFS_NODE_SIZE);
    return rc ? clean_error(rc) : 0;
}

static void destroy(struct pfs *f)
{
    struct pfs_env env = f->env;
    pfs_cache_free(f);
    pfs_undo_free(f);
    pfs_pool_part(f);
    crypto_wipe(f, sizeof *f);
    env.free(f, sizeof *f);
}

static void set_limits(struct pfs *f, bool shared)
{
    size_t bytes = shared ? f->pool->limit / 2 : f->pool->limit;
    f->data_floor = shared ? 64 : 8;
    f->new_limit = NEW_NODES;
    f->data_limit = bytes / 8 * 5 / sizeof(struct data_node);
    f->hash_limit = bytes / 8 * 3 / sizeof(struct hash_node);
    if (f->data_limit < f->data_floor)
        f->data_limit = f->data_floor;
    if (f->hash_limit < HASH_FLOOR)
        f->hash_limit = HASH_FLOOR;
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
    f->untracked = args->flags & PFS_UNTRACKED;
    if (args->boot_id)
        __builtin_memcpy(f->boot_id, args->boot_id, sizeof f->boot_id);
    __builtin_memcpy(f->wrap_key, key, sizeof f->wrap_key);
    list_init(&f->hashes);
    list_init(&f->clean);
    list_init(&f->dirty_data);
    f->busy = true;
    pfs_pool_join(f, args->pool, args->cache_bytes);
    set_limits(f, args->pool);
    int rc =
        args->flags & PFS_CREATE ? create(f, args, storage) : pfs_open_existing(f, args, storage);
    if (rc) {
        destroy(f);
        return rc;
    }
    pfs_leave(f);
    *out = f;
    return 0;
}

int pfs_flush(struct pfs *f, bool sync)
{
    IN_USE(f);
    if (f->failed)
        return f->failed;
    int rc = pfs_commit(f);
    return !rc && sync ? pfs_settle(f) : rc;
}

int pfs_close(struct pfs *f)
{
    pfs_enter(f);
    int rc = f->failed ? f->failed : pfs_commit(f);
    if (!rc)
        rc = pfs_tidy(f);
    else if (rc == -ENOSPC || rc == -EDQUOT)
        pfs_give_back(f);
    destroy(f);
    return rc;
}

void pfs_discard(struct pfs *f)
{
    pfs_enter(f);
    destroy(f);
}

int pfs_rename(struct pfs *f, const char *path)
{
    char next[PFS_PATH_SIZE], old[PFS_PATH_SIZE];
    IN_USE(f);
    if (f->failed)
        return f->failed;
    if (f->readonly)
        return -EROFS;
    int rc = pfs_normalize_path(path, next);
    if (rc)
        return rc;
    /* The path alone changes, so that the log can take back that alone. */
    rc = pfs_commit(f);
    if (rc)
        return rc;
    __builtin_memcpy(old, f->meta.path, sizeof old);
    __builtin_memcpy(f->meta.path, next, sizeof next);
    f->dirty = f->force_log = true;
    rc = pfs_commit(f);
    f->force_log = false;
    if (!rc)
        rc = f->untracked ? 0 : pfs_settle(f);
    if (rc) {
        __builtin_memcpy(f->meta.path, old, sizeof old);
        f->dirty = true;
    }
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
