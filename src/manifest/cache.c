/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "manifest/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* An entry's name: 64 hex digits, "-v", the format and ".bin"; while it is written, more behind it.
 */
#define HASH_DIGITS 64
#define NAME_SIZE   128

static bool ours_alone(const struct stat *st)
{
    return st->st_uid == geteuid() && !(st->st_mode & 022);
}

/* Enters `name` below the folder `at`, which is closed. */
static int enter(int at, const char *name, bool make)
{
    if (make)
        mkdirat(at, name, 0700);
    int fd = openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    close(at);
    return fd;
}

/* The folder of the cache, or -1. It is made only where its parents are the user's own: a program
 * run by root with a user's HOME must not leave folders of root's there. */
static int open_folder(bool make)
{
    static const char *const below[] = {".cache", "adyton", "manifest"};
    const char *base = getenv("XDG_CACHE_HOME");
    size_t i = 1;
    if (!base || base[0] != '/') {
        base = getenv("HOME");
        i = 0;
        if (!base || base[0] != '/')
            return -1;
    }
    if (make && i)
        mkdir(base, 0700);
    struct stat st;
    int fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (!make && fd >= 0) /* a start: as few calls as possible */
        fd = enter(fd, i ? "adyton/manifest" : ".cache/adyton/manifest", false);
    for (; make && i < sizeof(below) / sizeof(*below) && fd >= 0; i++)
        fd = enter(fd, below[i], !fstat(fd, &st) && st.st_uid == geteuid());
    if (fd >= 0 && (fstat(fd, &st) || !ours_alone(&st))) {
        close(fd);
        return -1;
    }
    return fd;
}

static void entry_name(const uint8_t sha[32], char name[NAME_SIZE])
{
    for (int i = 0; i < 32; i++) {
        name[2 * i] = "0123456789abcdef"[sha[i] >> 4];
        name[2 * i + 1] = "0123456789abcdef"[sha[i] & 15];
    }
    snprintf(name + HASH_DIGITS, NAME_SIZE - HASH_DIGITS, "-v%016llx.bin",
             (unsigned long long)mf_format);
}

/* Larger blocks are left to the library OS to check; the checksum says that they are whole. */
#define OPEN_MAX_SIZE (256 * 1024)

static int check_block(int fd, size_t len)
{
    struct mf m;
    void *p = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (p == MAP_FAILED)
        return -1;
    const struct mf_image *im = p;
    bool sound =
        im->checksum == mf_checksum(p, len) && (len > OPEN_MAX_SIZE || !mf_open(&m, p, len));
    munmap(p, len);
    return sound ? 0 : -1;
}

int cache_check(int fd, const uint8_t text_sha256[32], struct mf_image *image)
{
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) ||
        pread(fd, image, sizeof(*image), 0) != (ssize_t)sizeof(*image))
        return -1;
    if (memcmp(image->magic, MF_MAGIC, sizeof(image->magic)) || image->format != mf_format ||
        image->total_size != (uint64_t)st.st_size ||
        memcmp(image->text_sha256, text_sha256, sizeof(image->text_sha256)))
        return -1;
    return check_block(fd, image->total_size);
}

/* The time of last change says when an entry was last used, to a minute: writing that down at each
 * start would cost more than the start. */
static void mark_used(int fd, const struct stat *st)
{
    if (time(NULL) - st->st_mtim.tv_sec > 60)
        futimens(fd, NULL);
}

int cache_open(const uint8_t text_sha256[32], struct mf_image *image)
{
    char name[NAME_SIZE];
    struct stat st;
    int dir = open_folder(false);
    if (dir < 0)
        return -1;
    entry_name(text_sha256, name);
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    close(dir);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) || !ours_alone(&st) || cache_check(fd, text_sha256, image)) {
        close(fd);
        return -1;
    }
    mark_used(fd, &st);
    return fd;
}

struct entry {
    struct entry *next;
    time_t used;
    long long size;
    char name[];
};

/* Entries of every version, also half-written ones; anything else in the folder is not ours. */
static bool is_entry(const char *name)
{
    return strspn(name, "0123456789abcdef") == HASH_DIGITS && !strncmp(name + HASH_DIGITS, "-v", 2);
}

static bool is_complete(const char *name)
{
    size_t len = strlen(name);
    return len > 4 && !strcmp(name + len - 4, ".bin");
}

static int older_first(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
    return x->used < y->used ? -1 : x->used > y->used;
}

/* The entries, `*count` of them, with what has been left behind by writers that died removed. */
static struct entry *list_entries(DIR *dir, size_t *count, long long *bytes)
{
    struct entry *list = NULL;
    const struct dirent *d;
    time_t now = time(NULL);
    while ((d = readdir(dir))) {
        struct stat st;
        if (!is_entry(d->d_name) || fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        /* A time to come is a clock that was wrong: it must not keep an entry for ever. */
        time_t used = st.st_mtim.tv_sec > now + 60 ? 0 : st.st_mtim.tv_sec;
        if (!is_complete(d->d_name)) {
            if (now - used > 3600)
                unlinkat(dirfd(dir), d->d_name, 0);
            continue;
        }
        size_t len = strlen(d->d_name) + 1;
        struct entry *e = malloc(sizeof(*e) + len);
        if (!e)
            break;
        *e = (struct entry){.next = list, .used = used, .size = st.st_size};
        memcpy(e->name, d->d_name, len);
        list = e;
        *bytes += e->size;
        ++*count;
    }
    return list;
}

/* Removes what is over the limits, but not `keep`. */
static void evict(int dir, struct entry *list, size_t count, long long bytes, const char *keep)
{
    struct entry **order = malloc(count * sizeof(struct entry *)), *e = list;
    if (!order)
        return;
    for (size_t i = 0; i < count; i++, e = e->next)
        order[i] = e;
    qsort(order, count, sizeof(struct entry *), older_first);
    for (size_t i = 0, left = count; i < count; i++) {
        if (left <= CACHE_MAX_FILES && bytes <= CACHE_MAX_BYTES)
            break;
        if (!strcmp(order[i]->name, keep))
            continue;
        unlinkat(dir, order[i]->name, 0);
        bytes -= order[i]->size;
        left--;
    }
    free(order);
}

static void keep_limits(int folder, const char *keep)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    size_t count = 0;
    long long bytes = 0;
    struct entry *list = list_entries(dir, &count, &bytes);
    if (count > CACHE_MAX_FILES || bytes > CACHE_MAX_BYTES)
        evict(fd, list, count, bytes, keep);
    while (list) {
        struct entry *next = list->next;
        free(list);
        list = next;
    }
    closedir(dir);
}

static int write_whole(int fd, const char *p, size_t len)
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
    char name[NAME_SIZE], temp[NAME_SIZE + 32];
    uint64_t unique;
    int dir = open_folder(true);
    if (dir < 0 || getrandom(&unique, sizeof(unique), GRND_NONBLOCK) != sizeof(unique)) {
        close(dir);
        return;
    }
    entry_name(((const struct mf_image *)block)->text_sha256, name);
    snprintf(temp, sizeof(temp), "%s.%016llx", name, (unsigned long long)unique);
    int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) {
        /* No sync: what a crash leaves of it, the checksum finds. */
        int failed = write_whole(fd, block, len);
        failed |= close(fd);
        if (failed || renameat(dir, temp, dir, name))
            unlinkat(dir, temp, 0);
        else
            keep_limits(dir, name);
    }
    close(dir);
}
