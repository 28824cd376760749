/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Output files that appear complete or not at all, and key files. */
#include "crypt_core.h"
#include "crypto/crypto.h"
#include "manifest/input.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

int crypt_fail(const struct crypt *c, int status, const char *format, ...)
{
    char line[2 * PATH_MAX + 512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    fprintf(stderr, "error: %s: %s\n", c->name, line);
    return status;
}

/* The file that a rename to `path` should replace: links are followed, as opening would. */
static int resolve(const char *path, const struct stat *input, char **out)
{
    struct stat st;
    if (stat(path, &st)) {
        if (errno != ENOENT)
            return -errno;
        if (!lstat(path, &st))
            return -ELOOP; /* a link to nowhere */
        *out = strdup(path);
    } else {
        if (S_ISDIR(st.st_mode))
            return -EISDIR;
        if (!S_ISREG(st.st_mode))
            return -ENOTSUP;
        if (input && same_file(file_id(&st), file_id(input)))
            return -EEXIST;
        *out = realpath(path, NULL);
    }
    return *out ? 0 : errno ? -errno : -ENOMEM;
}

#define TEMPORARY ".adyton-"

bool output_is_temporary(const char *name)
{
    return !strncmp(name, TEMPORARY, strlen(TEMPORARY)) && strlen(name) == strlen(TEMPORARY) + 6;
}

/* As mkostemp(), but without a name where that is possible. */
static int open_new(struct output *o, int dir)
{
    char folder[PATH_MAX], link[64];
    if (snprintf(folder, sizeof(folder), "%.*s", dir ? dir : 1, dir ? o->path : ".") <
        (int)sizeof(folder)) {
        o->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        snprintf(link, sizeof(link), "/proc/self/fd/%d", o->fd);
        o->nameless = o->fd >= 0 && !faccessat(AT_FDCWD, link, F_OK, AT_SYMLINK_NOFOLLOW);
        if (o->nameless)
            return 0;
        if (o->fd >= 0)
            close(o->fd);
    }
    o->fd = mkostemp(o->temporary, O_CLOEXEC);
    return o->fd < 0 ? -errno : 0;
}

/* Gives it a name that nothing has. */
static int give_name(struct output *o)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    char link[64];
    uint8_t random[6];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", o->fd);
    for (int tries = 0; tries < 100; tries++) {
        if (getrandom(random, sizeof(random), 0) != sizeof(random))
            return -errno;
        for (size_t i = 0; i < sizeof(random); i++)
            o->temporary[strlen(o->temporary) - 1 - i] = letters[random[i] % (sizeof(letters) - 1)];
        if (!linkat(AT_FDCWD, link, AT_FDCWD, o->temporary, AT_SYMLINK_FOLLOW)) {
            o->nameless = false;
            return 0;
        }
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

int output_begin(struct output *o, const char *path, mode_t mode, const struct stat *input)
{
    int rc = resolve(path, input, &o->path);
    if (rc)
        return rc;
    const char *slash = strrchr(o->path, '/');
    int dir = slash ? (int)(slash - o->path + 1) : 0;
    o->temporary = NULL;
    if (asprintf(&o->temporary, "%.*s" TEMPORARY "XXXXXX", dir, o->path) < 0) {
        free(o->path);
        return -ENOMEM;
    }
    rc = open_new(o, dir);
    if (!rc && fchmod(o->fd, mode)) {
        rc = -errno;
        output_end(o, false);
        return rc;
    }
    if (rc) {
        free(o->temporary);
        free(o->path);
    }
    return rc;
}

int output_sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 0 : -errno; /* write-only directories exist */
    int rc = fsync(fd) && errno != EINVAL ? -errno : 0;
    close(fd);
    return rc;
}

int output_sync_name(const char *path)
{
    char *real = realpath(path, NULL);
    char *slash = real ? strrchr(real, '/') : NULL;
    if (!slash)
        return -errno;
    slash[slash == real] = 0;
    int rc = output_sync_dir(real);
    free(real);
    return rc;
}

int output_end(struct output *o, bool keep)
{
    int rc = keep && fsync(o->fd) ? -errno : 0;
    if (keep && !rc && o->nameless)
        rc = give_name(o);
    if (close(o->fd) && keep && !rc)
        rc = -errno;
    if (keep && !rc && rename(o->temporary, o->path))
        rc = -errno;
    if ((!keep || rc) && !o->nameless)
        unlink(o->temporary);
    free(o->temporary);
    free(o->path);
    return rc;
}

int crypt_read_key(struct crypt *c, const char *path)
{
    uint8_t buf[PFS_KEY_SIZE + 1];
    int fd = open_input(path);
    if (fd < 0)
        return crypt_fail(c, CRYPT_IO, "cannot read key file '%s': %s", path, strerror(errno));
    struct stat st;
    if (!fstat(fd, &st))
        c->key_file = file_id(&st);
    size_t got = 0;
    ssize_t n = 0;
    while (got < sizeof(buf) && (n = read(fd, buf + got, sizeof(buf) - got)) > 0)
        got += (size_t)n;
    int err = errno;
    close(fd);
    if (n < 0)
        return crypt_fail(c, CRYPT_IO, "cannot read key file '%s': %s", path, strerror(err));
    if (got == PFS_KEY_SIZE)
        memcpy(c->key, buf, PFS_KEY_SIZE);
    crypto_wipe(buf, sizeof(buf));
    if (got == PFS_KEY_SIZE)
        return CRYPT_OK;
    return crypt_fail(c, CRYPT_USAGE, "key file '%s' is %s than 16 bytes: a key is 16 raw bytes",
                      path, got < PFS_KEY_SIZE ? "shorter" : "longer");
}

int crypt_make_key(const struct crypt *c, const char *path, bool force)
{
    uint8_t key[PFS_KEY_SIZE];
    struct output o;
    struct stat st;
    if (!force && !lstat(path, &st))
        return crypt_fail(c, CRYPT_IO,
                          "'%s' exists: what was encrypted with it would be lost; "
                          "choose another name or say --force",
                          path);
    if (getrandom(key, sizeof(key), 0) != sizeof(key))
        return crypt_fail(c, CRYPT_IO, "no random bytes: %s", strerror(errno));
    int rc = output_begin(&o, path, 0600, NULL);
    if (!rc) {
        ssize_t n = write(o.fd, key, sizeof(key));
        rc = n < 0 ? -errno : n != sizeof(key) ? -EIO : 0;
        int end = output_end(&o, !rc);
        rc = rc ? rc : end;
        if (!rc)
            rc = output_sync_name(path);
    }
    crypto_wipe(key, sizeof(key));
    if (rc)
        return crypt_fail(c, CRYPT_IO, "cannot write key file '%s': %s", path, strerror(-rc));
    return CRYPT_OK;
}
