/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Files as the encrypted-file library's storage, and what to say when one is refused. */
#include "crypt_core.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

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

const struct pfs_env crypt_env = {.alloc = malloc, .free = env_free, .random = env_random};

struct pfs_backend crypt_backend(int *fd)
{
    return (struct pfs_backend){.ctx = fd,
                                .read_at = fd_read,
                                .write_at = fd_write,
                                .truncate = fd_truncate,
                                .size = fd_size,
                                .sync = fd_sync};
}

int crypt_open_pfs(const struct crypt *c, int *fd, const struct pfs_open_args *args, struct pfs **f)
{
    struct pfs_backend backend = crypt_backend(fd);
    return pfs_open(&crypt_env, &backend, c->key, args, f);
}

int crypt_open_input(const struct crypt *c, const char *path, int *fd, struct stat *st)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return crypt_fail(c, CRYPT_IO, "cannot open '%s': %s", path, strerror(errno));
    if (!fstat(*fd, st) && S_ISREG(st->st_mode))
        return CRYPT_OK;
    close(*fd);
    return crypt_fail(c, CRYPT_IO, "'%s' is not a regular file", path);
}

int crypt_output_failed(const struct crypt *c, const char *path, int rc)
{
    if (rc == -ENOTSUP)
        return crypt_fail(c, CRYPT_IO, "'%s' exists and is not a regular file", path);
    if (rc == -EEXIST)
        return crypt_fail(c, CRYPT_USAGE, "input and output '%s' are the same file", path);
    return crypt_fail(c, CRYPT_IO, "cannot write '%s': %s", path, strerror(-rc));
}

/* Node 0 is authentic, so the path it was made for may be told. */
static int misplaced(const struct crypt *c, const char *in, const char *expect, int *fd)
{
    struct pfs *f;
    const struct pfs_open_args args = {.flags = PFS_INSPECT};
    if (crypt_open_pfs(c, fd, &args, &f))
        return crypt_fail(c, CRYPT_REFUSED, "'%s' was encrypted for another path than '%s'", in,
                          expect);
    int status = crypt_fail(c, CRYPT_REFUSED,
                            "'%s' was encrypted for path '%s', another path than '%s' (a relative "
                            "and an absolute spelling differ)",
                            in, pfs_path(f), expect);
    pfs_close(f);
    return status;
}

int crypt_refused(const struct crypt *c, const char *in, const char *expect, int *fd, int rc)
{
    switch (rc) {
    case -EINVAL:
        return crypt_fail(c, CRYPT_REFUSED, "'%s' is not an encrypted file, or cut short", in);
    case -ENODATA:
        return crypt_fail(c, CRYPT_REFUSED,
                          "'%s' is empty or half created: not an encrypted file yet", in);
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
                          PFS_INLINE_SIZE);
    case -EUCLEAN:
        return crypt_fail(
            c, CRYPT_DAMAGED,
            "a write of '%s' was interrupted, and '%s.gramine.recovery' does not undo it", in, in);
    case -ENAMETOOLONG:
        return crypt_fail(c, CRYPT_USAGE, "Path is too long: '%s' has more than %d bytes", expect,
                          PFS_PATH_SIZE - 1);
    default:
        return crypt_fail(c, CRYPT_IO, "cannot read '%s': %s", in, strerror(-rc));
    }
}
