/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Storage, randomness and the cipher: the way in and out. */
#include "internal.h"

int pfs_corrupt(struct pfs *f)
{
    f->failed = -EBADMSG;
    return -EBADMSG;
}

static int64_t bytes_read(const struct pfs_backend *b, uint64_t off, size_t n, uint8_t *p)
{
    size_t done = 0;
    while (done < n) {
        int64_t rc = b->read_at(b->ctx, p + done, n - done, off + done);
        if (rc < 0 || (uint64_t)rc > n - done) {
            if (done >= PFS_NODE_SIZE)
                break;
            return clean_error(rc);
        }
        if (rc == 0)
            break;
        done += (size_t)rc;
    }
    return (int64_t)(done / PFS_NODE_SIZE);
}

/* Through f->undo, node by node. */
static int64_t overlay_read(struct pfs *f, uint64_t first, size_t count, uint8_t *p)
{
    for (size_t i = 0; i < count; i++) {
        const struct undo_entry *e = pfs_undo_find(&f->undo, first + i);
        int64_t got =
            bytes_read(e ? f->undo.from : &f->backend, e ? e->offset : (first + i) * PFS_NODE_SIZE,
                       PFS_NODE_SIZE, p + i * PFS_NODE_SIZE);
        if (got <= 0)
            return i ? (int64_t)i : got;
    }
    return (int64_t)count;
}

int64_t pfs_nodes_read(struct pfs *f, uint64_t first, size_t count, void *buf)
{
    if (f->overlay)
        return overlay_read(f, first, count, buf);
    return bytes_read(&f->backend, first * PFS_NODE_SIZE, count * PFS_NODE_SIZE, buf);
}

int pfs_bytes_write(struct pfs *f, uint64_t off, const void *buf, size_t n)
{
    const uint8_t *p = buf;
    for (size_t done = 0; done < n;) {
        int64_t rc = f->backend.write_at(f->backend.ctx, p + done, n - done, off + done);
        if (rc <= 0 || (uint64_t)rc > n - done)
            return clean_error(rc);
        done += (size_t)rc;
    }
    return 0;
}

int pfs_nodes_write(struct pfs *f, uint64_t first, size_t count, const void *buf)
{
    return pfs_bytes_write(f, first * PFS_NODE_SIZE, buf, count * PFS_NODE_SIZE);
}

int pfs_sync(struct pfs *f)
{
    int rc = f->sync_error;
    for (int tries = 0; !rc; tries++) {
        rc = f->backend.sync(f->backend.ctx);
        if (!rc)
            break;
        if (rc == -EINTR && tries < 100)
            rc = 0;
        else
            rc = f->sync_error = clean_error(rc);
    }
    if (!rc && !f->log_open) {
        f->unsynced = f->live = false;
        f->guard = f->committed;
    }
    return rc;
}

int pfs_random(struct pfs *f, void *buf, size_t n)
{
    int rc = f->env.random(buf, n);
    return rc ? clean_error(rc) : 0;
}

int pfs_io_reserve(struct pfs *f, size_t nodes)
{
    if (f->io_nodes >= nodes)
        return 0;
    nodes = nodes <= 8 ? 8 : nodes <= 32 ? 32 : GROUP_NODES;
    uint8_t *io = f->env.alloc(nodes * PFS_NODE_SIZE);
    if (!io)
        return -ENOMEM;
    if (f->io)
        f->env.free(f->io, f->io_nodes * PFS_NODE_SIZE);
    f->io = io;
    f->io_nodes = nodes;
    return 0;
}

static const uint8_t zero_iv[GCM_IV_SIZE];

void pfs_seal_node(const uint8_t *plain, uint8_t *sealed, struct entry *e)
{
    aes128_gcm_encrypt(e->key, zero_iv, NULL, 0, plain, PFS_NODE_SIZE, sealed, e->tag);
}

int pfs_open_node(const struct entry *e, const uint8_t *sealed, uint8_t *plain)
{
    return aes128_gcm_decrypt(e->key, zero_iv, NULL, 0, sealed, PFS_NODE_SIZE, plain, e->tag);
}
