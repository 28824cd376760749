/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reading and writing whole files. */
#include "cli/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int read_all(int fd, struct buffer *out, size_t max)
{
    enum { STEP = 256 * 1024 };
    for (;;) {
        size_t len = out->len;
        buffer_add(out, NULL, STEP);
        ssize_t n = read(fd, out->data + len, STEP);
        int error = errno;
        out->len = len + (n > 0 ? (size_t)n : 0);
        if (n < 0 && error != EINTR)
            return -error;
        if (!n)
            return 0;
        if (out->len > max)
            return -EFBIG;
    }
}

int write_all(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static mode_t wanted_mode(const char *path)
{
    struct stat st;
    if (!stat(path, &st))
        return st.st_mode & 0777;
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

int replace_file(const char *path, const void *data, size_t len)
{
    char real[PATH_MAX], temp[PATH_MAX + 8];
    struct stat st;
    /* Not a regular file (/dev/stdout, /dev/null): nothing to rename over. */
    if (!stat(path, &st) && !S_ISREG(st.st_mode)) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        int rc = fd < 0 ? -errno : write_all(fd, data, len);
        if (fd >= 0 && close(fd) && !rc)
            rc = -errno;
        return rc;
    }
    /* Through a symbolic link the file behind it is replaced, not the link. */
    if (!realpath(path, real) && snprintf(real, sizeof(real), "%s", path) >= (int)sizeof(real))
        return -ENAMETOOLONG;
    snprintf(temp, sizeof(temp), "%s.XXXXXX", real);
    int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = write_all(fd, data, len);
    if (!rc && fchmod(fd, wanted_mode(real)))
        rc = -errno;
    if (close(fd) && !rc)
        rc = -errno;
    if (!rc && rename(temp, real))
        rc = -errno;
    if (rc)
        unlink(temp);
    return rc;
}
