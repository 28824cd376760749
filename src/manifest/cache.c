/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "manifest/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int cache_path(char *out, size_t cap, const char *name, int make)
{
    const char *base = getenv("XDG_CACHE_HOME"), *below = "/adyton/";
    if (!base || base[0] != '/') {
        base = getenv("HOME");
        below = "/.cache/adyton/";
        if (!base || base[0] != '/')
            return -1;
    }
    int n = snprintf(out, cap, "%s%s%s", base, below, name);
    if (n < 0 || (size_t)n >= cap)
        return -1;
    if (!make)
        return 0;
    /* The parents of `name`; $XDG_CACHE_HOME may have to be made too, the user's home is not. */
    size_t skip = strlen(base) + (below[1] == '.');
    for (char *p = out + skip; (p = strchr(p, '/')); p++) {
        *p = '\0';
        int failed = mkdir(out, 0700) && errno != EEXIST;
        *p = '/';
        if (failed)
            return -1;
    }
    return 0;
}

static int entry_path(const uint8_t sha[32], char *out, size_t cap, int make)
{
    char name[128], *p = name;
    p += sprintf(p, "manifest/");
    for (int i = 0; i < 32; i++)
        p += sprintf(p, "%02x", sha[i]);
    sprintf(p, "-v%u.%u.bin", MF_VERSION, CACHE_REVISION);
    return cache_path(out, cap, name, make);
}

/* Blocks up to this size are read as a whole: it costs less than starting a thread. */
#define CHECK_MAX (256 * 1024)

static int check_block(int fd, size_t len)
{
    struct mf m;
    void *p = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (p == MAP_FAILED)
        return -1;
    int rc = mf_open(&m, p, len);
    munmap(p, len);
    return rc ? -1 : 0;
}

int cache_check(int fd, const uint8_t text_sha256[32], struct mf_image *image)
{
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) ||
        pread(fd, image, sizeof(*image), 0) != (ssize_t)sizeof(*image))
        return -1;
    if (memcmp(image->magic, MF_MAGIC, sizeof(image->magic)) || image->version != MF_VERSION ||
        image->image_size != sizeof(*image) || image->total_size != (uint64_t)st.st_size ||
        memcmp(image->text_sha256, text_sha256, sizeof(image->text_sha256)))
        return -1;
    return image->total_size > CHECK_MAX ? 0 : check_block(fd, image->total_size);
}

int cache_open(const uint8_t text_sha256[32], struct mf_image *image)
{
    char path[PATH_MAX];
    struct stat st;
    if (entry_path(text_sha256, path, sizeof(path), 0))
        return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) || st.st_uid != geteuid() || st.st_mode & 022 ||
        cache_check(fd, text_sha256, image)) {
        close(fd);
        return -1;
    }
    return fd;
}

static int write_all(int fd, const char *p, size_t len)
{
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

void cache_store(const void *block, size_t len)
{
    const struct mf_image *im = block;
    char path[PATH_MAX], temp[PATH_MAX + 16];
    if (entry_path(im->text_sha256, path, sizeof(path), 1))
        return;
    snprintf(temp, sizeof(temp), "%s.XXXXXX", path);
    int fd = mkostemp(temp, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return;
    /* On disk before it has its name: a crash must not leave a file that only looks complete. */
    int failed = write_all(fd, block, len) || fdatasync(fd);
    failed |= close(fd);
    if (failed || rename(temp, path))
        unlink(temp);
}
