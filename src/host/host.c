/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The typed host calls; see host.h. */
#include "host/arena.h"
#include "platform/platform.h"
#include <asm/fcntl.h>
#include <asm/statfs.h>
#include <asm/unistd.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <linux/openat2.h>
#include <linux/time.h>

int host_open(const char *path, uint32_t flags, uint32_t mode)
{
    ARENA;
    return host_descriptor(
        CALL4(__NR_openat, HOST_AT_FDCWD, give_text(path), flags | 02000000u, mode));
}

int host_open_blocking(const char *path, uint32_t flags, uint32_t mode)
{
    ARENA;
    return host_descriptor(host_syscall_blocking(__NR_openat, HOST_AT_FDCWD, (long)give_text(path),
                                                 flags | 02000000u, mode, 0, 0));
}

int host_open_plain(int dir, const char *path, uint32_t flags)
{
    ARENA;
    struct open_how how = {.flags = flags | 02000000u, .resolve = RESOLVE_NO_SYMLINKS};
    return host_descriptor(
        CALL4(__NR_openat2, dir, give_text(path), give(&how, sizeof(how)), sizeof(how)));
}

void host_say(int fd, const char *line, size_t n)
{
    ARENA;
    CALL3(__NR_write, fd, give(line, n), n);
}

int64_t host_lseek(int fd, int64_t off, int whence)
{
    return host_number(CALL3(__NR_lseek, fd, off, whence), INT64_MAX);
}

#define SECOND_NS HOST_SECOND_NS

static bool statx_ok(const struct statx *st)
{
    return st->stx_size <= INT64_MAX && st->stx_blocks <= INT64_MAX && st->stx_blksize > 0 &&
           st->stx_atime.tv_nsec < SECOND_NS && st->stx_btime.tv_nsec < SECOND_NS &&
           st->stx_ctime.tv_nsec < SECOND_NS && st->stx_mtime.tv_nsec < SECOND_NS;
}

#if PLATFORM_ARENA
int host_open_linkless(int dir, const char *path, uint32_t flags, uint32_t mode, bool blocking)
{
    ARENA;
    struct open_how how = host_linkless_how(flags, mode);
    long name = (long)give_text(path), given = (long)give(&how, sizeof(how));
    return host_descriptor(
        blocking ? host_syscall_blocking(__NR_openat2, dir, name, given, sizeof(how), 0, 0)
                 : CALL4(__NR_openat2, dir, name, given, sizeof(how)));
}

int host_close(int fd)
{
    return host_status(CALL1(__NR_close, fd));
}

int host_stat_at(int dir, const char *path, bool follow, struct stat *st)
{
    ARENA;
    struct stat *out = room(st, sizeof(*st));
    int err = host_status(CALL4(__NR_newfstatat, dir, give_text(path), out, follow ? 0 : 0x100));
    if (!err)
        take(st, out, sizeof(*st));
    return err || likely(host_stat_ok(st)) ? err : -EIO;
}
#endif

int host_fstat(int fd, struct stat *st)
{
    ARENA;
    struct stat *out = room(st, sizeof(*st));
    int err = host_status(CALL2(__NR_fstat, fd, out));
    if (!err)
        take(st, out, sizeof(*st));
    return err || likely(host_stat_ok(st)) ? err : -EIO;
}

int host_statx(int fd, const char *path, int flags, unsigned mask, struct statx *stx)
{
    ARENA;
    struct statx *out = room(stx, sizeof(*stx));
    int err = host_status(CALL5(__NR_statx, fd, give_text(path), flags, mask, out));
    if (!err)
        take(stx, out, sizeof(*stx));
    return err || likely(statx_ok(stx)) ? err : -EIO;
}

ssize host_readlink(const char *path, char *buf, size_t size)
{
    ARENA;
    char *out = room(buf, size);
    ssize n = host_length(CALL4(__NR_readlinkat, HOST_AT_FDCWD, give_text(path), out, size), size);
    if (n > 0)
        take(buf, out, (size_t)n);
    return n;
}

ssize host_readlink_fd(int fd, char *buf, size_t size)
{
    ARENA;
    char *out = room(buf, size);
    ssize n = host_length(CALL4(__NR_readlinkat, fd, give_text(""), out, size), size);
    if (n > 0)
        take(buf, out, (size_t)n);
    return n;
}

int host_unlink(const char *path, bool dir)
{
    ARENA;
    return host_status(CALL3(__NR_unlinkat, HOST_AT_FDCWD, give_text(path), dir ? 0x200 : 0));
}

int host_mkdir(const char *path, uint32_t mode)
{
    ARENA;
    return host_status(CALL3(__NR_mkdirat, HOST_AT_FDCWD, give_text(path), mode));
}

int host_mknod(const char *path, uint32_t mode, uint64_t dev)
{
    ARENA;
    return host_status(CALL4(__NR_mknodat, HOST_AT_FDCWD, give_text(path), mode, dev));
}

int host_symlink(const char *target, const char *path)
{
    ARENA;
    return host_status(CALL3(__NR_symlinkat, give_text(target), HOST_AT_FDCWD, give_text(path)));
}

int host_link(const char *from, const char *to, bool follow)
{
    ARENA;
    return host_status(CALL5(__NR_linkat, HOST_AT_FDCWD, give_text(from), HOST_AT_FDCWD,
                             give_text(to), follow ? 0x400 : 0));
}

int host_rename(const char *from, const char *to, uint32_t flags)
{
    ARENA;
    return host_status(
        CALL5(__NR_renameat2, HOST_AT_FDCWD, give_text(from), HOST_AT_FDCWD, give_text(to), flags));
}

int host_ftruncate(int fd, int64_t size)
{
    return host_status(CALL2(__NR_ftruncate, fd, size));
}

int host_fallocate(int fd, int mode, int64_t off, int64_t len)
{
    return host_status(CALL4(__NR_fallocate, fd, mode, off, len));
}

int host_fsync(int fd, bool data_only)
{
    return host_status(CALL1(data_only ? __NR_fdatasync : __NR_fsync, fd));
}

int host_chmod(const char *path, uint32_t mode)
{
    ARENA;
    return host_status(CALL3(__NR_fchmodat, HOST_AT_FDCWD, give_text(path), mode));
}

int host_fchmod(int fd, uint32_t mode)
{
    return host_status(CALL2(__NR_fchmod, fd, mode));
}

int host_chown(const char *path, uint32_t uid, uint32_t gid, bool follow)
{
    ARENA;
    return host_status(
        CALL5(__NR_fchownat, HOST_AT_FDCWD, give_text(path), uid, gid, follow ? 0 : 0x100));
}

int host_fchown(int fd, uint32_t uid, uint32_t gid)
{
    return host_status(CALL3(__NR_fchown, fd, uid, gid));
}

int host_utimens(int fd, const char *path, const struct __kernel_timespec ts[2], int flags)
{
    ARENA;
    return host_status(
        CALL4(__NR_utimensat, fd, give_text(path), give(ts, 2 * sizeof(*ts)), flags));
}

int host_access(const char *path, int mode, int flags)
{
    ARENA;
    char *name = give_text(path);
    if (!flags)
        return host_status(CALL3(__NR_faccessat, HOST_AT_FDCWD, name, mode));
    return host_status(CALL4(__NR_faccessat2, HOST_AT_FDCWD, name, mode, flags));
}

struct host_dirent { /* struct linux_dirent64 */
    uint64_t ino;
    int64_t off;
    uint16_t size;
    uint8_t type;
    char name[];
};

#define DIRENT_LEAST ((ssize)offsetof(struct host_dirent, name) + 1)
#define MOST_NUMBER  (INT32_MAX / 10 - 1)

/* A name of a directory: one that cannot lead elsewhere. */
static bool name_ok(const char *name, size_t room)
{
    size_t len = strnlen(name, room);
    return len > 0 && len <= NAME_LIMIT && len < room && !memchr(name, '/', len);
}

bool host_dirents_ok(const void *list, ssize n)
{
    for (ssize at = 0; at < n;) {
        const struct host_dirent *d = (const struct host_dirent *)((const char *)list + at);
        if (n - at < DIRENT_LEAST || d->size < DIRENT_LEAST || d->size > n - at ||
            !name_ok(d->name, d->size - offsetof(struct host_dirent, name)))
            return false;
        at += d->size;
    }
    return true;
}

ssize host_getdents(int fd, void *buf, size_t size)
{
    ARENA;
    char *out = room(buf, size);
    ssize n = host_length(CALL3(__NR_getdents64, fd, out, size), size);
    if (n > 0)
        take(buf, out, (size_t)n);
    return n <= 0 || host_dirents_ok(buf, n) ? n : -EIO;
}

ssize host_read_text(const char *path, char *text, size_t size)
{
    int fd = host_open(path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    ssize n = host_pread(fd, text, size - 1, 0);
    host_close(fd);
    text[n < 0 ? 0 : n] = 0;
    return n;
}

long host_listed_number(const char *list, ssize n, ssize *at)
{
    while (n - *at >= DIRENT_LEAST) {
        const struct host_dirent *d = (const struct host_dirent *)(list + *at);
        if (d->size < DIRENT_LEAST || d->size > n - *at)
            break; /* no list of names */
        const char *end = list + *at + d->size;
        long number = 0;
        *at += d->size;
        for (const char *c = d->name; c < end && *c; c++)
            number = *c < '0' || *c > '9' || number < 0 || number > MOST_NUMBER
                         ? -1
                         : number * 10 + (*c - '0');
        if (number >= 0)
            return number;
    }
    return -1;
}

ssize host_copy_range(int fd, int64_t from, int64_t to, size_t n)
{
    ARENA;
    return host_length(host_syscall(__NR_copy_file_range, fd, (long)give(&from, sizeof(from)), fd,
                                    (long)give(&to, sizeof(to)), (long)n, 0),
                       n);
}

/* Programs divide by the sizes of blocks. */
static int statfs_status(long r, struct statfs *s, const struct statfs *out)
{
    int err = host_status(r);
    if (!err)
        take(s, out, sizeof(*s));
    return err || (s->f_bsize > 0 && s->f_frsize >= 0 && s->f_namelen >= 0) ? err : -EIO;
}

int host_statfs(const char *path, void *statfs_buf)
{
    ARENA;
    struct statfs *out = room(statfs_buf, sizeof(*out));
    return statfs_status(CALL2(__NR_statfs, give_text(path), out), statfs_buf, out);
}

int host_fstatfs(int fd, void *statfs_buf)
{
    ARENA;
    struct statfs *out = room(statfs_buf, sizeof(*out));
    return statfs_status(CALL2(__NR_fstatfs, fd, out), statfs_buf, out);
}

int host_dup(int fd, bool cloexec)
{
    return host_descriptor(CALL3(__NR_fcntl, fd, cloexec ? 1030 /* F_DUPFD_CLOEXEC */ : 0, 0));
}

int host_dup3(int fd, int to, bool cloexec)
{
    return host_descriptor(CALL3(__NR_dup3, fd, to, cloexec ? O_CLOEXEC : 0));
}

int host_memfd(const char *name, unsigned flags)
{
    ARENA;
    return host_descriptor(CALL2(__NR_memfd_create, give_text(name), flags | MFD_CLOEXEC));
}

/*
 * With an arena the host compares a word outside, which every wake-up changes: the one inside is
 * looked at here, and by the caller after each return. Words share those outside, so all sleepers
 * at one are woken.
 */
#if PLATFORM_ARENA
#    define SEEN_OUTSIDE(word, seen)                                \
        uint32_t *outside = arena_word(word);                       \
        uint32_t mark = __atomic_load_n(outside, __ATOMIC_SEQ_CST); \
        bool changed = __atomic_load_n(word, __ATOMIC_SEQ_CST) != seen
#else
#    define SEEN_OUTSIDE(word, seen) \
        uint32_t *outside = word;    \
        uint32_t mark = seen;        \
        const bool changed = false
#endif

int host_futex_wait(uint32_t *word, uint32_t seen, uint64_t deadline_ns)
{
    ARENA;
    SEEN_OUTSIDE(word, seen);
    if (changed)
        return -EAGAIN;
    struct __kernel_timespec ts = {.tv_sec = (int64_t)(deadline_ns / 1000000000),
                                   .tv_nsec = (long long)(deadline_ns % 1000000000)};
    return host_status(host_syscall_blocking(
        __NR_futex, (long)outside, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, mark,
        (long)(deadline_ns ? give(&ts, sizeof(ts)) : NULL), 0, (long)FUTEX_BITSET_MATCH_ANY));
}

void host_futex_wait_lock(uint32_t *word, uint32_t seen)
{
    SEEN_OUTSIDE(word, seen);
    if (!changed)
        CALL4(__NR_futex, outside, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, mark, 0);
}

void host_futex_wake(uint32_t *word, int count)
{
#if PLATFORM_ARENA
    word = arena_word(word);
    __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
    count = INT32_MAX;
#endif
    CALL3(__NR_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count);
}

#define LAST_SECOND (INT64_MAX / SECOND_NS - 1) /* nanoseconds of it are a number */

static int clock_ask(int clock, struct __kernel_timespec *ts)
{
    ARENA;
    struct __kernel_timespec *out = room(ts, sizeof(*ts));
    int err = host_status(CALL2(__NR_clock_gettime, clock, out));
    if (!err)
        take(ts, out, sizeof(*ts));
    return err || (ts->tv_sec >= 0 && ts->tv_sec <= LAST_SECOND && ts->tv_nsec >= 0 &&
                   ts->tv_nsec < SECOND_NS)
               ? err
               : -EIO;
}

uint64_t host_clock_ask(int clock)
{
    struct __kernel_timespec ts = {0};
    return clock_ask(clock, &ts) ? 0 : (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

int host_clock_get(int clock, struct __kernel_timespec *ts)
{
#ifdef PLATFORM_CLOCK
    uint64_t ns;
    if (platform_clock(clock, &ns)) {
        ts->tv_sec = (int64_t)(ns / SECOND_NS);
        ts->tv_nsec = (int64_t)(ns % SECOND_NS);
        return 0;
    }
#endif
    return clock_ask(clock, ts);
}

uint64_t host_clock_ns(int clock)
{
    struct __kernel_timespec ts = {0};
    if (host_clock_get(clock, &ts))
        return 0;
    return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

int host_random(void *buf, size_t n)
{
    char *p = buf;
    while (n) {
        ARENA;
        size_t part = MIN(n, (size_t)PAGE_SIZE);
        char *out = room(p, part);
        long r = CALL3(__NR_getrandom, out, part, 0);
        if (r == -EINTR)
            continue;
        if (IS_ERR(r) || r == 0 || (size_t)r > part)
            return -EIO;
        take(p, out, (size_t)r);
        p += r;
        n -= (size_t)r;
    }
    return 0;
}

int host_getsid(int pid)
{
    return (int)host_number(CALL1(__NR_getsid, pid), INT32_MAX);
}

int host_tgkill(int pid, int tid, int sig)
{
    return host_status(CALL3(__NR_tgkill, pid, tid, sig));
}

int host_kill(int pid, int sig)
{
    return host_status(CALL2(__NR_kill, pid, sig));
}

void host_exit_group(int code)
{
    for (;;)
        CALL1(__NR_exit_group, code);
}
