/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Path calls: every path is resolved by the kernel beneath the scratch directory, so that neither
 * ".." nor a symbolic link leads out of it. */
#include "platform/test/mock.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATH_BYTES 4096

/* What a path names: its directory (to be closed) and its last component. */
struct place {
    int dir;
    char name[256];
};

static long open_resolved(long dirfd, const char *path, int flags, int mode, uint64_t resolve)
{
    struct open_how how = {.flags = (uint64_t)flags,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve};
    if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE)
        how.mode = (uint64_t)mode & 07777;
    return mock_kernel(SYS_openat2, dirfd, (long)path, (long)&how, sizeof(how), 0, 0);
}

static long open_beneath(long dirfd, const char *path, int flags, int mode)
{
    return open_resolved(dirfd, path, flags, mode, 0);
}

static long open_to_keep(long dirfd, const char *path, long flags, long mode, uint64_t resolve)
{
    if (*path == '/')
        return -ENOENT;
    flags |= O_CLOEXEC | (flags & O_PATH ? 0 : O_NOCTTY | O_NONBLOCK);
    return open_resolved(dirfd, path, (int)flags, (int)mode, resolve);
}

static long find(long dirfd, const char *path, struct place *p)
{
    char dir[PATH_BYTES];
    size_t n = strnlen(path, PATH_BYTES);
    if (n >= PATH_BYTES)
        return -ENAMETOOLONG;
    if (path[0] == '/')
        return -EACCES;
    memcpy(dir, path, n + 1);
    char *slash = strrchr(dir, '/');
    const char *name = slash ? slash + 1 : dir;
    if (strlen(name) > 255)
        return -ENAMETOOLONG;
    strcpy(p->name, *name ? name : ".");
    if (slash)
        *slash = 0;
    else
        strcpy(dir, ".");
    if (strcmp(p->name, "..") == 0)
        return -EACCES;
    long fd = open_beneath(dirfd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    p->dir = (int)fd;
    return fd < 0 ? fd : 0;
}

/* The object itself, last link followed, as a path that calls without a dirfd understand. */
static long find_object(long dirfd, const char *path, char out[64])
{
    if (path[0] == '/')
        return -EACCES;
    long fd = open_beneath(dirfd, path, O_PATH | O_CLOEXEC, 0);
    if (fd >= 0)
        snprintf(out, 64, "/proc/self/fd/%ld", fd);
    return fd;
}

bool mock_is_path_call(long nr)
{
    switch (nr) {
    case SYS_openat:
    case SYS_openat2:
    case SYS_newfstatat:
    case SYS_statx:
    case SYS_readlinkat:
    case SYS_unlinkat:
    case SYS_mkdirat:
    case SYS_mknodat:
    case SYS_symlinkat:
    case SYS_linkat:
    case SYS_renameat2:
    case SYS_fchmodat:
    case SYS_fchownat:
    case SYS_utimensat:
    case SYS_faccessat:
    case SYS_faccessat2:
    case SYS_statfs:
        return true;
    }
    return false;
}

static long two_paths(long nr, const long a[6])
{
    struct place from, to;
    long r = find(a[0], (const char *)a[1], &from);
    if (r)
        return r;
    r = find(a[2], (const char *)a[3], &to);
    if (!r) {
        r = mock_kernel(nr, from.dir, (long)from.name, to.dir, (long)to.name,
                        nr == SYS_linkat ? 0 : a[4], 0);
        close(to.dir);
    }
    close(from.dir);
    return r;
}

/* Calls on what the path finally leads to. */
static long on_object(long nr, const long a[6])
{
    char path[64];
    const char *given = (const char *)(nr == SYS_statfs ? a[0] : a[1]);
    long fd = find_object(nr == SYS_statfs ? AT_FDCWD : a[0], given, path);
    if (fd < 0)
        return fd;
    long r = nr == SYS_statfs ? mock_kernel(nr, (long)path, a[1], 0, 0, 0, 0)
                              : mock_kernel(nr, AT_FDCWD, (long)path, a[2], a[3], a[4], a[5]);
    close((int)fd);
    return r;
}

static long on_name(long nr, const long a[6])
{
    struct place p;
    long r = find(a[0], (const char *)a[1], &p);
    if (r)
        return r;
    r = mock_kernel(nr, p.dir, (long)p.name, a[2], a[3], a[4], a[5]);
    close(p.dir);
    return r;
}

static bool nofollow(long nr, const long a[6])
{
    switch (nr) {
    case SYS_newfstatat:
    case SYS_utimensat:
    case SYS_faccessat2:
        return a[3] & AT_SYMLINK_NOFOLLOW;
    case SYS_statx:
        return a[2] & AT_SYMLINK_NOFOLLOW;
    case SYS_fchownat:
        return a[4] & AT_SYMLINK_NOFOLLOW;
    case SYS_readlinkat:
    case SYS_unlinkat:
    case SYS_mkdirat:
    case SYS_mknodat:
        return true;
    }
    return false;
}

long mock_path_call(long nr, const long a[6])
{
    const struct open_how *how;
    struct place p;
    int fd;
    long r;
    switch (nr) {
    case SYS_openat:
        if (sscanf((const char *)a[1], "/proc/self/fd/%d", &fd) == 1) /* again, with other flags */
            return mock_holds(fd) ? mock_kernel(nr, AT_FDCWD, a[1], a[2] | O_CLOEXEC, 0, 0, 0)
                                  : -ENOENT;
        return open_to_keep(a[0], (const char *)a[1], a[2], a[3], 0);
    case SYS_openat2:
        how = (const struct open_how *)a[2];
        if ((size_t)a[3] != sizeof(*how) || how->resolve & ~(uint64_t)RESOLVE_NO_SYMLINKS)
            return -EINVAL;
        return open_to_keep(a[0], (const char *)a[1], (long)how->flags, (long)how->mode,
                            how->resolve);
    case SYS_symlinkat:
        r = find(a[1], (const char *)a[2], &p);
        if (r)
            return r;
        r = mock_kernel(nr, a[0], p.dir, (long)p.name, 0, 0, 0);
        close(p.dir);
        return r;
    case SYS_linkat:
    case SYS_renameat2:
        return two_paths(nr, a);
    case SYS_mknodat:
        if (S_ISCHR(a[2]) || S_ISBLK(a[2]))
            return -EPERM;
        break;
    case SYS_utimensat:
        if (!a[1])
            return mock_kernel(nr, a[0], 0, a[2], a[3], 0, 0);
        break;
    case SYS_statx:
    case SYS_newfstatat:
        if (!*(const char *)a[1])
            return mock_kernel(nr, a[0], a[1], a[2], a[3], a[4], 0);
        break;
    }
    return nofollow(nr, a) ? on_name(nr, a) : on_object(nr, a);
}
