/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The host interface: everything that the library OS asks of the outside. One typed function per
 * call over the platform's primitive; results are checked here, in one place, so that no caller
 * meets a value that the call cannot return. All return >= 0 or a negative errno.
 * Functions marked "blocking" may return -EINTR: see interrupted() in libos/thread.h.
 */
#pragma once
#include "arch.h"
#include "libos/libos.h" /* PLATFORM_ARENA: the platform's, arch.h */
#include <asm/stat.h>
#include <asm/unistd.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <linux/time_types.h>
#include <linux/uio.h>

struct flock;
struct new_utsname;
struct rusage;
struct sysinfo;
struct timex;
struct timezone;
struct tms;

#define HOST_AT_FDCWD (-100)

/* ---- files ---- */
int host_open(const char *path, uint32_t flags, uint32_t mode);
/* The same, blocking: a FIFO waits for its other end. */
int host_open_blocking(const char *path, uint32_t flags, uint32_t mode);
/* What exists already, below `dir` or HOST_AT_FDCWD, if no part of the path is a symbolic link;
 * with O_PATH | O_NOFOLLOW the last one may be. -ELOOP */
int host_open_plain(int dir, const char *path, uint32_t flags);
/* An errno of Linux as it is; what lies between those and IS_ERR()'s limit is none of a host's
 * (among them ERESTARTSYS and its like, which are the library OS's own): -EIO. */
#define HOST_ERRNO_LAST 133
static inline long host_errno(long r)
{
    return r >= -HOST_ERRNO_LAST ? r : -EIO;
}
/* A status: 0 or an errno; a host that returns anything else is lying. */
static inline int host_status(long r)
{
    return likely(r == 0) ? 0 : IS_ERR(r) ? (int)host_errno(r) : -EIO;
}
static inline int host_descriptor(long r)
{
    return r >= 0 && r <= INT32_MAX ? (int)r : IS_ERR(r) ? (int)host_errno(r) : -EIO;
}
/* A length that cannot exceed what was asked for. */
static inline ssize host_length(long r, size_t asked)
{
    return likely((size_t)r <= asked) ? r : IS_ERR(r) ? host_errno(r) : -EIO;
}
#define HOST_SECOND_NS 1000000000u
static inline bool host_stat_ok(const struct stat *st)
{
    return (int64_t)st->st_size >= 0 && (int64_t)st->st_blocks >= 0 && st->st_blksize > 0 &&
           st->st_atime_nsec < HOST_SECOND_NS && st->st_mtime_nsec < HOST_SECOND_NS &&
           st->st_ctime_nsec < HOST_SECOND_NS;
}
/* What host_open_linkless() asks for. open(2) takes no notice of flags and modes that mean nothing;
 * openat2(2) refuses them. */
static inline struct open_how host_linkless_how(uint32_t flags, uint32_t mode)
{
    const uint32_t path_only = 010000000, heeded_then = 012600000; /* O_PATH, and beside it */
    const uint32_t known = 037777703, makes = 020000100;           /* O_CREAT, O_TMPFILE */
    return (struct open_how){.flags =
                                 (flags & (flags & path_only ? heeded_then : known)) | 02000000,
                             .mode = flags & makes ? mode & 07777 : 0,
                             .resolve = RESOLVE_NO_SYMLINKS};
}
/* host_open_linkless(): as host_open() and host_open_blocking(), below `dir`, if no part of the
 * path is a symbolic link. -ELOOP */
/* `buf` may be application memory, checked by the caller: -EFAULT when it is not there. With an
 * arena (arena.h) in pieces: what was done before an error is the result. Inline: a return behind
 * the host's work costs as much as the rest of the way to it. */
#if PLATFORM_ARENA
int host_close(int fd);
int host_open_linkless(int dir, const char *path, uint32_t flags, uint32_t mode, bool blocking);
int host_stat_at(int dir, const char *path, bool follow, struct stat *st);
ssize host_pread(int fd, void *buf, size_t n, int64_t off);
ssize host_pwrite(int fd, const void *buf, size_t n, int64_t off);
#else
static inline int host_close(int fd)
{
    return host_status(host_syscall(__NR_close, fd, 0, 0, 0, 0, 0));
}
static ALWAYS_INLINE int host_open_linkless(int dir, const char *path, uint32_t flags,
                                            uint32_t mode, bool blocking)
{
    struct open_how how = host_linkless_how(flags, mode);
    return host_descriptor(
        blocking
            ? host_syscall_blocking(__NR_openat2, dir, (long)path, (long)&how, sizeof(how), 0, 0)
            : host_syscall(__NR_openat2, dir, (long)path, (long)&how, sizeof(how), 0, 0));
}
static inline int host_stat_at(int dir, const char *path, bool follow, struct stat *st)
{
    int err = host_status(
        host_syscall(__NR_newfstatat, dir, (long)path, (long)st, follow ? 0 : 0x100, 0, 0));
    return err || likely(host_stat_ok(st)) ? err : -EIO;
}
static inline ssize host_pread(int fd, void *buf, size_t n, int64_t off)
{
    return host_length(host_syscall(__NR_pread64, fd, (long)buf, (long)n, off, 0, 0), n);
}
static inline ssize host_pwrite(int fd, const void *buf, size_t n, int64_t off)
{
    return host_length(host_syscall(__NR_pwrite64, fd, (long)buf, (long)n, off, 0, 0), n);
}
#endif
/* copy_file_range(2) within one file. */
ssize host_copy_range(int fd, int64_t from, int64_t to, size_t n);
ssize host_read(int fd, void *buf, size_t n);        /* blocking */
ssize host_write(int fd, const void *buf, size_t n); /* blocking */
/* Whole vectors (preadv2(2), pwritev2(2); `pos` -1: at the host's offset), in one host call if they
 * are not long, so that they stay atomic; blocking. The buffers are application memory, checked. */
ssize host_vector(int fd, const struct iovec *iov, size_t count, int64_t pos, int flags,
                  bool write);
/* sendfile(2) and its kin, blocking; offsets NULL: the host's own, else moved. */
ssize host_sendfile(int to, int from, int64_t *off, size_t n);
ssize host_copy_files(int from, int64_t *from_off, int to, int64_t *to_off, size_t n);
ssize host_splice(int from, int64_t *from_off, int to, int64_t *to_off, size_t n, unsigned flags);
ssize host_tee(int from, int to, size_t n, unsigned flags);
/* Advice about content, and what is known of the host's cache of it. */
int host_fadvise(int fd, int64_t off, int64_t len, int advice);
int host_readahead(int fd, int64_t off, size_t n);
int host_cachestat(int fd, const uint64_t range[2], uint64_t counts[5], unsigned flags);
void host_sync(void);
/* write(2) of a line of ours, at most a page, in one piece; no matter what becomes of it. */
void host_say(int fd, const char *line, size_t n);
int64_t host_lseek(int fd, int64_t off, int whence);
int host_fstat(int fd, struct stat *st);
static inline int host_stat(const char *path, bool follow, struct stat *st)
{
    return host_stat_at(HOST_AT_FDCWD, path, follow, st);
}
int host_statx(int fd, const char *path, int flags, unsigned mask, struct statx *stx);
ssize host_readlink(const char *path, char *buf, size_t size);
/* Of a link that was opened itself, with O_PATH | O_NOFOLLOW. */
ssize host_readlink_fd(int fd, char *buf, size_t size);
int host_unlink(const char *path, bool dir);
int host_mkdir(const char *path, uint32_t mode);
int host_mknod(const char *path, uint32_t mode, uint64_t dev);
int host_symlink(const char *target, const char *path);
int host_link(const char *from, const char *to, bool follow);
int host_rename(const char *from, const char *to, uint32_t flags);
int host_ftruncate(int fd, int64_t size);
int host_fallocate(int fd, int mode, int64_t off, int64_t len);
int host_fsync(int fd, bool data_only);
int host_chmod(const char *path, uint32_t mode);
int host_fchmod(int fd, uint32_t mode);
int host_chown(const char *path, uint32_t uid, uint32_t gid, bool follow);
int host_fchown(int fd, uint32_t uid, uint32_t gid);
int host_utimens(int fd, const char *path, const struct __kernel_timespec ts[2], int flags);
int host_access(const char *path, int mode, int flags);
ssize host_getdents(int fd, void *buf, size_t size);
/* What it checks in what the host has written. */
bool host_dirents_ok(const void *list, ssize n);
/* The start of a text, as much as fits with a NUL; returns its length. */
ssize host_read_text(const char *path, char *text, size_t size);
/* The next name in what host_getdents wrote, from *at on, that is a decimal number; -1: no more. */
long host_listed_number(const char *list, ssize n, ssize *at);
int host_statfs(const char *path, void *statfs_buf);
int host_fstatfs(int fd, void *statfs_buf);
/* Extended attributes: the call by its number, of what a path leads to or of a descriptor (`path`
 * NULL). `name`, `value` NULL where the call has none; values and lists up to HOST_MOST_XATTR. */
#define HOST_MOST_XATTR 65536
ssize host_xattr(long nr, const char *path, int fd, const char *name, void *value, size_t size,
                 int flags);
/* `arg` may lead to a structure of ours, for commands that have one, as many bytes as
 * host_fcntl_bytes() says, which is read and written. */
long host_fcntl(int fd, int cmd, unsigned long arg);
size_t host_fcntl_bytes(int cmd);
int host_dup(int fd, bool cloexec);
int host_dup3(int fd, int to, bool cloexec);
/* The same of ioctl(2), and host_ioctl_bytes(). 0: `arg` is a number. */
long host_ioctl(int fd, unsigned cmd, unsigned long arg);
size_t host_ioctl_bytes(unsigned cmd);
/* `uarg` may lead to application memory, checked by the caller. Blocking. With an arena only known
 * commands exist. -ENOTTY */
long host_ioctl_user(int fd, unsigned cmd, unsigned long uarg);
/* fcntl(2) with one of the locking commands, flock(2); blocking. */
long host_lock(int fd, int cmd, struct flock *l);
int host_flock(int fd, int op);
int host_memfd(const char *name, unsigned flags); /* MFD_*; close-on-exec */

/* ---- memory ---- */
long host_mmap(uintptr_t addr, size_t len, int prot, int flags, int fd, int64_t off);
int host_munmap(uintptr_t addr, size_t len);
int host_mprotect(uintptr_t addr, size_t len, int prot);
long host_mremap(uintptr_t old, size_t old_len, size_t new_len, int flags, uintptr_t to);
int host_madvise(uintptr_t addr, size_t len, int advice);
int host_msync(uintptr_t addr, size_t len, int flags);
/* `uvec`: application memory, checked by the caller. */
int host_mincore(uintptr_t addr, size_t len, unsigned char *uvec);
/* mlock(2) and its kin, by number; what a call does not take is 0. */
int host_lock_memory(long nr, uintptr_t addr, size_t len, unsigned long arg);
int host_membarrier(int command, unsigned flags, int cpu);

/* ---- waiting, time ---- */
#define HOST_NO_DEADLINE 0
/* Blocking: sleeps while *word == seen. -EAGAIN, -ETIMEDOUT (monotonic deadline), -EINTR. */
int host_futex_wait(uint32_t *word, uint32_t seen, uint64_t deadline_ns);
/* The same for locks: not interruptible. */
void host_futex_wait_lock(uint32_t *word, uint32_t seen);
void host_futex_wake(uint32_t *word, int count); /* `count` of them at least */
uint64_t host_clock_ns(int clock);               /* 0: the host has no such clock, or no time */
uint64_t host_clock_ask(int clock); /* the host itself, where others may know it without */
int host_clock_get(int clock, struct __kernel_timespec *ts);

int host_clock_resolution(int clock, struct __kernel_timespec *ts);
int host_timezone(struct timezone *tz);
/* The clock's state (TIME_*). The caller changes nothing: modes 0. */
int host_adjtimex(struct timex *tx);
/* clock_nanosleep(2). Blocking. *left is written at -EINTR of a relative one. */
int host_sleep(int clock, int flags, const struct __kernel_timespec *how_long,
               struct __kernel_timespec *left);

/* ---- timers (host_time.c) ---- */
/*
 * An alarm clock: a timer of the host's that sends `sig` to the process, with `mark` as its value,
 * once each time it was set and has come to `at_ns` of its clock (0: it is set no more). It only
 * wakes; whether it is time the caller's own clock says. Its number, or an errno.
 */
int host_timer_make(int clock, int sig, uint64_t mark);
int host_timer_set(int id, uint64_t at_ns);
int host_timer_drop(int id);
/* timerfd_create(2), with O_NONBLOCK or not; `old` may be NULL. */
int host_timerfd_make(int clock, uint32_t flags);
int host_timerfd_set(int fd, int flags, const struct __kernel_itimerspec *new,
                     struct __kernel_itimerspec *old);
int host_timerfd_get(int fd, struct __kernel_itimerspec *now);
/* Interval timers of CPU time (getitimer(2)). */
int host_itimer_get(int which, struct __kernel_old_itimerval *now);
int host_itimer_set(int which, const struct __kernel_old_itimerval *new,
                    struct __kernel_old_itimerval *old);

/* ---- the system (host_info.c) ---- */
int host_uname(struct new_utsname *name); /* all fields end in NUL, after an error too */
int host_sysinfo(struct sysinfo *info);
int host_getrusage(int who, struct rusage *usage);
long host_times(struct tms *times); /* clock ticks since some moment */

/* ---- randomness ---- */
int host_random(void *buf, size_t n);
/* getrandom(2) into application memory, checked by the caller. */
ssize host_random_user(void *ubuf, size_t n, uint32_t flags);

/* ---- processes ---- */
int host_getsid(int pid);
int host_tgkill(int pid, int tid, int sig);
int host_kill(int pid, int sig);
__attribute__((noreturn)) void host_exit_group(int status);

/* ---- between processes of ours (host_home.c); not interruptible ---- */
/* A message of at most ARENA_MOST bytes, and with it a descriptor; `fd` -1: none. */
ssize host_send_fd(int socket, const void *data, size_t len, int fd);
ssize host_receive_fd(int socket, void *data, size_t len, int *fd);
int host_wait_readable(int fd, int milliseconds); /* 1; 0: not in time */
void host_nap(uint32_t ns);
int host_close_range(unsigned from, unsigned to);
int host_setsid(void); /* the new session */
