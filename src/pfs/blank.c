/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Emptying a file on a full disk, where there is no room for an undo log: the only way for an
 * application to get room from a file that it keeps.
 *
 * A *blank* is a note in node 0's padding, that is in one sector, authenticated: "if node 0 is
 * none, this file, at this path, is empty". With it node 0 can be overwritten where it is:
 *
 *   1 blank noted, sync           V as before: its node 0 is authentic
 *   2 node 0 of an empty file     V, torn (and so empty), or empty
 *   3 sync                        empty; nothing of V is needed
 *
 * From here on the file is fresh once more (undo.c), so its new content, too, goes where V's was
 * without a log; what power loss takes of a fresh file leaves an empty one here, not none. The
 * host learns to show an empty file at this path, which is no more than it could with node 0 of
 * step 2: a version that there was.
 *
 * If a commit has begun to overwrite, V is in its log, which stays noted beside the blank and is
 * looked at first.
 */
#include "internal.h"

static void blank_mac(struct pfs *f, uint8_t mac[CMAC_SIZE])
{
    static const uint8_t label[16] = "ADYTON-BLANK";
    uint8_t key[AES128_KEY_SIZE];
    vector_enter(f);
    aes128_cmac(f->wrap_key, label, sizeof label, key);
    aes128_cmac(key, f->meta.path, sizeof f->meta.path, mac);
    vector_leave(f);
    crypto_wipe(key, sizeof key);
}

/* Writes node 0 of an empty file; memory keeps what it has. */
static int write_empty(struct pfs *f)
{
    uint64_t size = f->size;
    int rc = pfs_io_reserve(f, 1);
    if (rc)
        return rc;
    __builtin_memcpy(f->io, &f->meta, sizeof f->meta);
    __builtin_memset(&f->meta.root, 0, sizeof f->meta.root);
    __builtin_memset(f->meta.data, 0, sizeof f->meta.data);
    f->size = 0;
    rc = pfs_meta_write(f);
    f->size = size;
    __builtin_memcpy(&f->meta, f->io, sizeof f->meta);
    crypto_wipe(f->io, sizeof f->meta);
    return rc;
}

static int note_blank(struct pfs *f)
{
    int rc = f->log_open || !f->unsynced ? 0 : pfs_sync(f);
    if (rc)
        return rc;
    if (!f->log_open) /* no log leads to V, and none may lead past it */
        f->slot[0] = f->slot[1] = (struct log_slot){0};
    blank_mac(f, f->blank);
    f->is_blank = true;
    rc = pfs_mark_write(f);
    return rc ? rc : pfs_sync(f);
}

int pfs_start_over(struct pfs *f)
{
    bool fresh = f->fresh;
    int rc = fresh ? 0 : note_blank(f);
    if (rc)
        return rc;
    f->fresh = true;
    rc = write_empty(f);
    if (!rc && !fresh)
        rc = pfs_sync(f);
    if (rc) {
        f->fresh = fresh;
        return rc;
    }
    pfs_undo_free(f);
    f->log_open = f->live = f->unsynced = false;
    f->slot[0] = f->slot[1] = (struct log_slot){0};
    f->committed = f->guard = 0;
    f->dirty_new = f->dirty_count;
    return 0;
}

int pfs_open_blank(struct pfs *f, const char *path)
{
    struct meta empty = {0};
    uint8_t mac[CMAC_SIZE];
    int rc = path && f->is_blank ? pfs_normalize_path(path, empty.path) : -ENOENT;
    if (rc)
        return rc;
    pfs_cache_cut(f, 0);
    f->meta = empty;
    blank_mac(f, mac);
    if (crypto_differs(mac, f->blank, sizeof mac))
        return -ENOENT;
    f->failed = 0;
    f->size = f->committed = f->guard = 0;
    f->live = false;
    f->slot[0] = f->slot[1] = (struct log_slot){0};
    f->info = (struct pfs_info){.major = 2, .recovered = true, .unsettled = f->info.unsettled};
    f->header_flags = 0;
    __builtin_memset(f->tag, 0, NONCE_SIZE);
    __builtin_memcpy(f->tag + NONCE_SIZE, mac, sizeof mac);
    if (f->readonly)
        return 0;
    f->info.unsettled = false;
    f->fresh = true;
    return pfs_meta_write(f);
}
