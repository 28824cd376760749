/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sgxemu/quoting/quoting.h"

int quoting_fail(struct quoting_error *e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, args);
    va_end(args);
    return -1;
}

int quoting_path(char out[PATH_MAX], const char *dir, const char *name)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

uint8_t *quoting_read(const char *path, size_t max, size_t *size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    uint8_t *data = NULL;
    ssize_t n = -1;
    if (fd < 0)
        return NULL;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode) && (uint64_t)st.st_size <= max)
        data = malloc((size_t)st.st_size + 1);
    else
        errno = EFBIG;
    if (data)
        n = read(fd, data, (size_t)st.st_size);
    int error = errno;
    close(fd);
    if (n < 0) {
        free(data);
        errno = error;
        return NULL;
    }
    data[n] = 0;
    *size = (size_t)n;
    return data;
}

int quoting_write(const char *path, const void *data, size_t size)
{
    char temporary[PATH_MAX];
    int n = snprintf(temporary, sizeof(temporary), "%s.%ld.new", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof(temporary))
        return -ENAMETOOLONG;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    ssize_t w = write(fd, data, size);
    int r = w < 0 ? -errno : (size_t)w != size ? -EIO : 0;
    if (!r && fsync(fd))
        r = -errno;
    if (close(fd) && !r)
        r = -errno;
    if (!r && rename(temporary, path))
        r = -errno;
    if (r)
        unlink(temporary);
    return r;
}

void quoting_remove(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    char path[PATH_MAX];
    while (d && (entry = readdir(d))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (quoting_path(path, dir, entry->d_name) == 0 && unlink(path) && errno == EISDIR)
            quoting_remove(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
}
