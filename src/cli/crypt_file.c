/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One file, encrypted or decrypted. */
#include "crypt_core.h"
#include "crypto/crypto.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Transfers begin on a node boundary, so that whole nodes bypass the library's cache. */
#define FIRST_CHUNK 3072
#define CHUNK       (96 * 4096)

static int fd_of(void *ctx)
{
    return *(int *)ctx;
}

static int64_t fd_read(void *ctx, void *buf, size_t n, uint64_t off)
{
    ssize_t rc;
    while ((rc = pread(fd_of(ctx), buf, n, (off_t)off)) < 0 && errno == EINTR)
        ;
    return rc < 0 ? -errno : rc;
}

static int64_t fd_write(void *ctx, const void *buf, size_t n, uint64_t off)
{
    ssize_t rc;
    while ((rc = pwrite(fd_of(ctx), buf, n, (off_t)off)) < 0 && errno == EINTR)
        ;
    return rc < 0 ? -errno : rc;
}

static int fd_truncate(void *ctx, uint64_t size)
{
    return ftruncate(fd_of(ctx), (off_t)size) ? -errno : 0;
}

static int64_t fd_size(void *ctx)
{
    struct stat st;
    return fstat(fd_of(ctx), &st) ? -errno : st.st_size;
}

static int fd_sync(void *ctx)
{
    return fsync(fd_of(ctx)) ? -errno : 0;
}

static void env_free(void *p, size_t size)
{
    free(p);
}

static int env_random(void *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t rc = getrandom((uint8_t *)buf + done, n - done, 0);
        if (rc < 0 && errno != EINTR)
            return -errno;
        done += rc > 0 ? (size_t)rc : 0;
    }
    return 0;
}

static int open_pfs(struct crypt *c, int *fd, unsigned flags, const char *path, struct pfs **f)
{
    static const struct pfs_env env = {.alloc = malloc, .free = env_free, .random = env_random};
    struct pfs_backend backend = {.ctx = fd,
                                  .read_at = fd_read,
                                  .write_at = fd_write,
                                  .truncate = fd_truncate,
                                  .size = fd_size,
                                  .sync = fd_sync};
    struct pfs_open_args args = {.flags = flags, .path = path};
    return pfs_open(&env, &backend, c->key, &args, f);
}

/* Opens an input, which must be a regular file. */
static int open_input(const struct crypt *c, const char *path, int *fd)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return crypt_fail(c, CRYPT_IO, "cannot open '%s': %s", path, strerror(errno));
    if (!fstat(*fd, &st) && S_ISREG(st.st_mode))
        return CRYPT_OK;
    close(*fd);
    return crypt_fail(c, CRYPT_IO, "'%s' is not a regular file", path);
}

static int output_failed(const struct crypt *c, const char *path, int rc)
{
    if (rc == -ENOTSUP)
        return crypt_fail(c, CRYPT_IO, "'%s' exists and is not a regular file", path);
    return crypt_fail(c, CRYPT_IO, "cannot write '%s': %s", path, strerror(-rc));
}

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

static int write_full(int fd, const uint8_t *buf, size_t n)
{
    while (n) {
        ssize_t rc = write(fd, buf, n);
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc <= 0)
            return rc ? -errno : -EIO;
        buf += rc;
        n -= (size_t)rc;
    }
    return 0;
}

static int encrypt_content(struct crypt *c, const char *in, int fd, const char *out, struct pfs *f)
{
    static _Thread_local uint8_t buf[CHUNK];
    uint64_t off = 0;
    for (size_t want = FIRST_CHUNK;; want = CHUNK) {
        if (c->stop)
            return CRYPT_IO;
        ssize_t n = read_full(fd, buf, want);
        if (n < 0)
            return crypt_fail(c, CRYPT_IO, "cannot read '%s': %s", in, strerror((int)-n));
        for (ssize_t done = 0; done < n;) {
            int64_t rc = pfs_write(f, off, buf + done, (size_t)(n - done));
            if (rc < 0)
                return output_failed(c, out, (int)rc);
            done += rc;
            off += (uint64_t)rc;
        }
        c->bytes_done += (unsigned long long)n;
        if ((size_t)n < want)
            break;
    }
    crypto_wipe(buf, sizeof(buf));
    return CRYPT_OK;
}

int crypt_encrypt_file(struct crypt *c, const char *in, const char *out, const char *stored)
{
    int fd;
    struct output o;
    struct pfs *f;
    int status = open_input(c, in, &fd);
    if (status)
        return status;
    int rc = output_begin(&o, out, 0664 & ~c->umask);
    if (rc) {
        close(fd);
        return output_failed(c, out, rc);
    }
    rc = open_pfs(c, &o.fd, PFS_CREATE, stored, &f);
    if (rc == -ENAMETOOLONG)
        status = crypt_fail(c, CRYPT_USAGE, "Path is too long: '%s' has more than %d bytes", stored,
                            PFS_PATH_SIZE - 1);
    else if (rc == -EINVAL)
        status = crypt_fail(c, CRYPT_USAGE, "the path to store is empty");
    else if (rc)
        status = output_failed(c, out, rc);
    if (!rc) {
        status = encrypt_content(c, in, fd, out, f);
        rc = pfs_close(f);
        if (rc && !status)
            status = output_failed(c, out, rc);
    }
    close(fd);
    rc = output_end(&o, !status);
    return rc ? output_failed(c, out, rc) : status;
}

/* Node 0 is authentic: if the rest can be opened, the path it was made for may be told. */
static int misplaced(struct crypt *c, const char *in, const char *expect, int *fd)
{
    struct pfs *f;
    if (open_pfs(c, fd, PFS_READONLY, NULL, &f))
        return crypt_fail(c, CRYPT_REFUSED, "'%s' was encrypted for another path than '%s'", in,
                          expect);
    int status = crypt_fail(c, CRYPT_REFUSED,
                            "'%s' was encrypted for path '%s', another path than '%s' (a relative "
                            "and an absolute spelling differ)",
                            in, pfs_path(f), expect);
    pfs_close(f);
    return status;
}

/* Says why an encrypted file is refused before any of its data was read. */
static int refused(struct crypt *c, const char *in, const char *expect, int *fd, int rc)
{
    switch (rc) {
    case -EINVAL:
        return crypt_fail(c, CRYPT_REFUSED, "'%s' is not an encrypted file, or cut short", in);
    case -ENODATA:
        return crypt_fail(c, CRYPT_REFUSED, "'%s' is empty: its creation was interrupted", in);
    case -EPROTONOSUPPORT:
        return crypt_fail(c, CRYPT_REFUSED, "'%s' has a format version other than 1 and 2", in);
    case -EKEYREJECTED:
        return crypt_fail(c, CRYPT_REFUSED,
                          "'%s' does not authenticate: wrong key, or its first block was altered",
                          in);
    case -EXDEV:
        return misplaced(c, in, expect, fd);
    case -EOVERFLOW:
        return crypt_fail(c, CRYPT_DAMAGED, "'%s' claims an impossible size", in);
    case -EBADMSG:
        return crypt_fail(c, CRYPT_DAMAGED, "'%s' is damaged at byte %d (its root node)", in,
                          FIRST_CHUNK);
    case -ENAMETOOLONG:
        return crypt_fail(c, CRYPT_USAGE, "Path is too long: '%s' has more than %d bytes", expect,
                          PFS_PATH_SIZE - 1);
    default:
        return crypt_fail(c, CRYPT_IO, "cannot read '%s': %s", in, strerror(-rc));
    }
}

static int decrypt_content(struct crypt *c, const char *in, struct pfs *f, const char *out,
                           const struct output *o)
{
    static _Thread_local uint8_t buf[CHUNK];
    int status = CRYPT_OK;
    uint64_t off = 0;
    size_t want = FIRST_CHUNK;
    while (off < pfs_size(f) && !status) {
        if (c->stop)
            return CRYPT_IO;
        int64_t n = pfs_read(f, off, buf, want);
        if (n == -EBADMSG)
            return crypt_fail(c, CRYPT_DAMAGED,
                              "'%s' is damaged at byte %" PRIu64 " of %" PRIu64
                              ": altered or missing data; restore it from a good copy",
                              in, off, pfs_size(f));
        if (n < 0)
            return crypt_fail(c, CRYPT_IO, "cannot read '%s': %s", in, strerror((int)-n));
        int rc = out ? write_full(o->fd, buf, (size_t)n) : 0;
        if (rc)
            status = output_failed(c, out, rc);
        off += (uint64_t)n;
        c->bytes_done += (unsigned long long)n;
        want = CHUNK;
    }
    crypto_wipe(buf, sizeof(buf));
    return status;
}

int crypt_decrypt_file(struct crypt *c, const char *in, const char *out, const char *expect)
{
    int fd;
    struct output o;
    struct pfs *f;
    int status = open_input(c, in, &fd);
    if (status)
        return status;
    int rc = open_pfs(c, &fd, PFS_READONLY, expect, &f);
    if (rc) {
        status = refused(c, in, expect, &fd, rc);
        close(fd);
        return status;
    }
    if (out && (rc = output_begin(&o, out, 0664 & ~c->umask)))
        status = output_failed(c, out, rc);
    if (!status) {
        status = decrypt_content(c, in, f, out, &o);
        rc = out ? output_end(&o, !status) : 0;
        if (rc && !status)
            status = output_failed(c, out, rc);
    }
    pfs_close(f);
    close(fd);
    return status;
}
