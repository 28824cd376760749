/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Encrypting one file: a large one by several threads, group by group, any other in sequence. */
#include "crypt_core.h"
#include "crypto/crypto.h"
#include "pfs/bulk.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BULK_MIN (1u << 20)

/* Reads until `n` bytes or the end; returns the count or -errno. */
static ssize_t read_full(int fd, uint8_t *buf, size_t n)
{
    size_t got = 0;
    while (got < n) {
        ssize_t rc = read(fd, buf + got, n - got);
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc < 0)
            return -errno;
        if (rc == 0)
            break;
        got += (size_t)rc;
    }
    return (ssize_t)got;
}

static int cannot_read(const struct crypt *c, const char *in, int error)
{
    return crypt_fail(c, CRYPT_IO, "cannot read '%s': %s", in, strerror(error));
}

static int copy_through(struct crypt *c, const char *in, int fd, const char *out, struct pfs *f,
                        uint8_t buf[PFS_GROUP_BYTES])
{
    uint64_t off = 0;
    for (size_t want = PFS_INLINE_SIZE;; want = PFS_GROUP_BYTES) {
        if (c->stop)
            return CRYPT_IO;
        ssize_t n = read_full(fd, buf, want);
        if (n < 0)
            return cannot_read(c, in, (int)-n);
        for (ssize_t done = 0; done < n;) {
            int64_t rc = pfs_write(f, off, buf + done, (size_t)(n - done));
            if (rc < 0)
                return crypt_output_failed(c, out, (int)rc);
            done += rc;
            off += (uint64_t)rc;
        }
        c->bytes_done += (unsigned long long)n;
        if ((size_t)n < want)
            return CRYPT_OK;
    }
}

static int in_sequence(struct crypt *c, const char *in, int fd, const char *out, struct pfs *f)
{
    static _Thread_local uint8_t buf[PFS_GROUP_BYTES];
    int status = copy_through(c, in, fd, out, f, buf);
    crypto_wipe(buf, sizeof(buf));
    return status;
}

/* What the threads that encrypt one file share. */
struct bulk {
    struct crypt *c;
    struct pfs_bulk *pfs;
    int fd;
    uint64_t size;
    atomic_ullong next;
    atomic_int read_error, write_error; /* errno values; the first that came */
    atomic_bool changed;
};

static bool failed(const struct bulk *b)
{
    return b->c->stop || b->read_error || b->write_error || b->changed;
}

/* Reads exactly `n` bytes. */
static bool read_part(struct bulk *b, uint8_t *buf, size_t n, uint64_t off)
{
    for (size_t got = 0; got < n;) {
        ssize_t rc = pread(b->fd, buf + got, n - got, (off_t)(off + got));
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc < 0)
            b->read_error = errno;
        else if (rc == 0)
            b->changed = true;
        if (rc <= 0)
            return false;
        got += (size_t)rc;
    }
    return true;
}

static void encrypt_groups(void *arg)
{
    struct bulk *b = arg;
    uint8_t *buf = aligned_alloc(PFS_NODE_SIZE, PFS_GROUP_BUFFER);
    if (!buf)
        b->write_error = ENOMEM;
    for (uint64_t g; !failed(b) && (g = b->next++) < pfs_bulk_groups(b->pfs);) {
        uint64_t off = PFS_INLINE_SIZE + g * PFS_GROUP_BYTES;
        size_t n = b->size - off < PFS_GROUP_BYTES ? (size_t)(b->size - off) : PFS_GROUP_BYTES;
        if (!read_part(b, buf + PFS_NODE_SIZE, n, off))
            break;
        int rc = pfs_bulk_group(b->pfs, g, buf);
        if (rc)
            b->write_error = -rc;
        else
            b->c->bytes_done += n;
    }
    if (buf)
        crypto_wipe(buf, PFS_GROUP_BUFFER);
    free(buf);
}

static int by_groups(struct bulk *b, const char *in, const char *out)
{
    uint8_t start[PFS_INLINE_SIZE], more;
    int rc = 0;
    crypt_parallel(b->c->threads, encrypt_groups, b);
    if (!failed(b) && read_part(b, start, sizeof(start), 0) &&
        pread(b->fd, &more, 1, (off_t)b->size) != 0)
        b->changed = true; /* it has grown */
    if (failed(b))
        pfs_bulk_abort(b->pfs);
    else
        rc = pfs_bulk_end(b->pfs, start);
    crypto_wipe(start, sizeof(start));
    if (b->changed)
        return crypt_fail(b->c, CRYPT_IO, "'%s' changed while it was read", in);
    if (b->read_error)
        return cannot_read(b->c, in, b->read_error);
    if (b->write_error || rc)
        return crypt_output_failed(b->c, out, rc ? rc : -b->write_error);
    return b->c->stop ? CRYPT_IO : CRYPT_OK;
}

static int cannot_store(const struct crypt *c, const char *out, const char *stored, int rc)
{
    if (rc == -ENAMETOOLONG)
        return crypt_fail(c, CRYPT_USAGE, "Path is too long: '%s' has more than %d bytes", stored,
                          PFS_PATH_SIZE - 1);
    if (rc == -EINVAL)
        return crypt_fail(c, CRYPT_USAGE, "the path to store is empty");
    return crypt_output_failed(c, out, rc);
}

static int encrypt_to(struct crypt *c, const char *in, int fd, const struct stat *st,
                      const char *out, int *out_fd, const char *stored)
{
    struct pfs *f;
    int rc = -E2BIG;
    if (st->st_size >= BULK_MIN) {
        struct bulk b = {.c = c, .fd = fd, .size = (uint64_t)st->st_size};
        struct pfs_backend backend = crypt_backend(out_fd);
        rc = pfs_bulk_begin(&crypt_env, &backend, c->key, stored, b.size, &b.pfs);
        if (!rc)
            return by_groups(&b, in, out);
    }
    if (rc == -E2BIG) {
        const struct pfs_open_args args = {.flags = PFS_CREATE | PFS_UNTRACKED, .path = stored};
        rc = crypt_open_pfs(c, out_fd, &args, &f);
    }
    if (rc)
        return cannot_store(c, out, stored, rc);
    int status = in_sequence(c, in, fd, out, f);
    rc = pfs_close(f);
    return rc && !status ? crypt_output_failed(c, out, rc) : status;
}

int crypt_encrypt_file(struct crypt *c, const char *in, const char *out, const char *stored)
{
    int fd;
    struct output o;
    struct stat st;
    int status = crypt_open_input(c, in, &fd, &st);
    if (status)
        return status;
    int rc = output_begin(&o, out, 0664 & ~c->umask, &st);
    if (!rc) {
        status = encrypt_to(c, in, fd, &st, out, &o.fd, stored);
        rc = output_end(&o, !status);
    }
    close(fd);
    return rc && !status ? crypt_output_failed(c, out, rc) : status;
}
