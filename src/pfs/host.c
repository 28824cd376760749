/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Storage, randomness and the cipher: the way in and out. */
#include "internal.h"

int pfs_corrupt(struct pfs *f)
{
    f->failed = -EBADMSG;
    return -EBADMSG;
}

int64_t pfs_nodes_read(struct pfs *f, uint64_t first, size_t count, void *buf)
{
    uint8_t *p = buf;
    size_t n = count * PFS_NODE_SIZE, done = 0;
    while (done < n) {
        int64_t rc =
            f->backend.read_at(f->backend.ctx, p + done, n - done, first * PFS_NODE_SIZE + done);
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

int pfs_nodes_write(struct pfs *f, uint64_t first, size_t count, const void *buf)
{
    const uint8_t *p = buf;
    size_t n = count * PFS_NODE_SIZE, done = 0;
    while (done < n) {
        int64_t rc =
            f->backend.write_at(f->backend.ctx, p + done, n - done, first * PFS_NODE_SIZE + done);
        if (rc <= 0 || (uint64_t)rc > n - done)
            return clean_error(rc);
        done += (size_t)rc;
    }
    return 0;
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
