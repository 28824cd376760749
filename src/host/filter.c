/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What may leave: every host call of src/host and its arguments. See arena.h. */
#include "host/filter.h"
#include "host/arena.h"
#include "libos/log.h"
#include "platform/platform.h"
#include <asm/unistd.h>
#include <linux/prctl.h>
#include <linux/sockios.h>

#ifndef PR_SET_VMA
#    define PR_SET_VMA 0x53564d41
#endif

#if PLATFORM_ARENA
#    undef host_syscall
#    undef host_syscall_blocking

struct vector {
    uintptr_t base;
    size_t len;
};

enum kind {
    NUMBER,
    TEXT,   /* ends in NUL */
    FIXED,  /* `size` bytes */
    LENGTH, /* as many bytes as argument `by` says, times `size` */
    LEN_AT, /* as many bytes as the 32-bit word says that argument `by` leads to */
    OWN,    /* a range of the library OS's own memory: the host changes its mapping */
    FCNTL,  /* of fcntl: by host_fcntl_bytes() */
    IOCTL,  /* of ioctl: by host_ioctl_bytes() */
    PRCTL,  /* of prctl: a number, but for three operations */
    REMOTE, /* an iovec whose base is another process's */
    VECTOR, /* `by` iovecs, and what they lead to */
    MSG,    /* a msghdr, and what it leads to */
};
struct arg {
    uint8_t kind, by;
    uint16_t size;
};
struct call {
    const char *name;
    struct arg arg[6];
};

/* clang-format off */
#    define N          {NUMBER, 0, 0}
#    define S          {TEXT, 0, 0}
#    define F(n)       {FIXED, 0, n}
#    define L(i)       {LENGTH, i, 1}
#    define LM(i, n)   {LENGTH, i, n}
#    define LA(i)      {LEN_AT, i, 0}
#    define O(i)       {OWN, i, 0}
#    define V(i)       {VECTOR, i, 0}
#    define M          {MSG, 0, 0}
#    define P          {PRCTL, 0, 0}
#    define ADDRESSES  {REMOTE, 0, sizeof(struct vector)}
#    define C(nr, ...) [__NR_##nr] = {#nr, {__VA_ARGS__}}
/* clang-format on */

#    define PER_PAGE 0 /* a byte for each page */
#    define STAT     144
#    define STATX    256
#    define STATFS   120
#    define TIMESPEC 16

static const struct call calls[] = {
    /* files */
    C(openat, N, S, N, N),
    C(openat2, N, S, L(3), N),
    C(close, N),
    C(close_range, N, N, N),
    C(dup3, N, N, N),
    C(read, N, L(2), N),
    C(write, N, L(2), N),
    C(pread64, N, L(2), N, N),
    C(pwrite64, N, L(2), N, N),
    C(readv, N, V(2), N),
    C(writev, N, V(2), N),
    C(preadv2, N, V(2), N, N, N, N),
    C(pwritev2, N, V(2), N, N, N, N),
    C(lseek, N, N, N),
    C(fstat, N, F(STAT)),
    C(newfstatat, N, S, F(STAT), N),
    C(statx, N, S, N, N, F(STATX)),
    C(readlinkat, N, S, L(3), N),
    C(unlinkat, N, S, N),
    C(mkdirat, N, S, N),
    C(mknodat, N, S, N, N),
    C(symlinkat, S, N, S),
    C(linkat, N, S, N, S, N),
    C(renameat2, N, S, N, S, N),
    C(ftruncate, N, N),
    C(fallocate, N, N, N, N),
    C(fsync, N),
    C(fdatasync, N),
    C(sync, N),
    [451] = {"cachestat", {N, F(16), F(40), N}},
    C(fchmodat, N, S, N),
    C(fchmod, N, N),
    C(fchownat, N, S, N, N, N),
    C(fchown, N, N, N),
    C(utimensat, N, S, F(2 * TIMESPEC), N),
    C(faccessat, N, S, N),
    C(faccessat2, N, S, N, N),
    C(getdents64, N, L(2), N),
    C(statfs, S, F(STATFS)),
    C(fstatfs, N, F(STATFS)),
    C(fcntl, N, N, {FCNTL, 0, 0}),
    C(flock, N, N),
    C(ioctl, N, N, {IOCTL, 0, 0}),
    C(memfd_create, S, N),
    C(copy_file_range, N, F(8), N, F(8), N, N),
    C(sendfile, N, N, F(8), N),
    C(splice, N, F(8), N, F(8), N, N),
    C(tee, N, N, N, N),
    C(fadvise64, N, N, N, N),
    C(readahead, N, N, N),
    C(getxattr, S, S, L(3), N),
    C(lgetxattr, S, S, L(3), N),
    C(fgetxattr, N, S, L(3), N),
    C(setxattr, S, S, L(3), N, N),
    C(lsetxattr, S, S, L(3), N, N),
    C(fsetxattr, N, S, L(3), N, N),
    C(listxattr, S, L(2), N),
    C(llistxattr, S, L(2), N),
    C(flistxattr, N, L(2), N),
    C(removexattr, S, S),
    C(lremovexattr, S, S),
    C(fremovexattr, N, S),
    C(inotify_init1, N),
    C(inotify_add_watch, N, S, N),
    C(inotify_rm_watch, N, N),
    C(fchdir, N),
    C(umask, N),
    C(unshare, N),
    /* memory of ours: addresses, nothing is read there */
    C(mmap, O(1), N, N, N, N, N),
    C(munmap, O(1), N),
    C(mprotect, O(1), N, N),
    C(madvise, O(1), N, N),
    C(mremap, O(1), N, N, N, N),
    C(msync, O(1), N, N),
    C(mincore, O(1), N, LM(1, PER_PAGE)),
    C(mlock, O(1), N, N),
    C(mlock2, O(1), N, N),
    C(munlock, O(1), N, N),
    C(mlockall, N, N, N),
    C(munlockall, N, N, N),
    C(membarrier, N, N, N),
    /* waiting, time */
    C(futex, F(4), N, N, F(TIMESPEC), N, N),
    C(ppoll, LM(1, 8), N, F(TIMESPEC), F(8), N),
    C(epoll_create1, N),
    C(epoll_ctl, N, N, N, F(12)),
    C(epoll_pwait, N, LM(2, 12), N, N, F(8), N),
    C(epoll_pwait2, N, LM(2, 12), N, F(TIMESPEC), F(8), N),
    C(eventfd2, N, N),
    C(pipe2, F(8), N),
    C(timerfd_create, N, N),
    C(timerfd_settime, N, N, F(2 * TIMESPEC), F(2 * TIMESPEC)),
    C(timerfd_gettime, N, F(2 * TIMESPEC)),
    C(clock_gettime, N, F(TIMESPEC)),
    C(clock_getres, N, F(TIMESPEC)),
    C(clock_nanosleep, N, N, F(TIMESPEC), F(TIMESPEC)),
    C(nanosleep, F(TIMESPEC), F(TIMESPEC)),
    C(gettimeofday, F(16), F(8)),
    C(adjtimex, F(208)),
    C(times, F(32)),
    C(alarm, N),
    C(getitimer, N, F(32)),
    C(setitimer, N, F(32), F(32)),
    C(timer_create, N, F(64), F(4)),
    C(timer_settime, N, N, F(2 * TIMESPEC), F(2 * TIMESPEC)),
    C(timer_gettime, N, F(2 * TIMESPEC)),
    C(timer_getoverrun, N),
    C(timer_delete, N),
    /* sockets */
    C(socket, N, N, N),
    C(socketpair, N, N, N, F(8)),
    C(bind, N, L(2), N),
    C(connect, N, L(2), N),
    C(listen, N, N),
    C(accept4, N, LA(2), F(4), N),
    C(getsockname, N, LA(2), F(4)),
    C(getpeername, N, LA(2), F(4)),
    C(shutdown, N, N),
    C(setsockopt, N, N, N, L(4), N),
    C(getsockopt, N, N, N, LA(4), F(4)),
    C(sendto, N, L(2), N, N, L(5), N),
    C(recvfrom, N, L(2), N, N, LA(5), F(4)),
    C(sendmsg, N, M, N),
    C(recvmsg, N, M, N),
    /* the system, processes */
    C(uname, F(390)),
    C(sysinfo, F(112)),
    C(getrusage, N, F(144)),
    C(prlimit64, N, N, F(16), F(16)),
    C(getrandom, L(1), N, N),
    C(getpid, N),
    C(getuid, N),
    C(getgid, N),
    C(gettid, N),
    C(getppid, N),
    C(getsid, N),
    C(getpgid, N),
    C(setpgid, N, N),
    C(setsid, N),
    C(tgkill, N, N, N),
    C(kill, N, N),
    C(rt_sigqueueinfo, N, N, F(128)),
    C(rt_tgsigqueueinfo, N, N, N, F(128)),
    C(rt_sigprocmask, N, F(8), F(8), N),
    C(pidfd_open, N, N),
    C(pidfd_send_signal, N, N, F(128), N),
    C(wait4, N, F(4), N, F(144)),
    C(waitid, N, N, F(128), N, F(144)),
    C(prctl, N, P, N, N, P),
    C(arch_prctl, N, F(8)),
    C(process_vm_readv, N, V(2), N, ADDRESSES, N, N),
    C(exit_group, N),
    /* scheduling */
    C(sched_yield, N),
    C(sched_setaffinity, N, N, L(1)),
    C(sched_getaffinity, N, N, L(1)),
    C(sched_setparam, N, F(4)),
    C(sched_getparam, N, F(4)),
    C(sched_setscheduler, N, N, F(4)),
    C(sched_getscheduler, N),
    C(sched_setattr, N, F(56), N),
    C(sched_getattr, N, L(2), N, N),
    C(sched_get_priority_max, N),
    C(sched_get_priority_min, N),
    C(sched_rr_get_interval, N, F(TIMESPEC)),
    C(getpriority, N, N),
    C(setpriority, N, N, N),
    C(ioprio_get, N, N),
    C(ioprio_set, N, N, N),
    C(getcpu, F(4), F(4), N),
};

static const struct call *find(long nr)
{
    return nr >= 0 && (size_t)nr < ARRAY_SIZE(calls) && calls[nr].name ? &calls[nr] : NULL;
}

const char *filter_name(long nr)
{
    const struct call *c = find(nr);
    return c ? c->name : NULL;
}

static bool text_ok(uintptr_t p)
{
    while (arena_holds(p, 1))
        if (!*(const char *)p++)
            return true;
    return false;
}

static bool vectors_ok(uintptr_t p, size_t n)
{
    if (n > ARENA_MOST || !arena_holds(p, n * sizeof(struct vector)))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct vector v = ((const struct vector *)p)[i];
        if (v.len && !arena_holds(v.base, v.len))
            return false;
    }
    return true;
}

struct message { /* struct msghdr */
    uintptr_t name;
    uint32_t name_len, pad;
    uintptr_t vectors;
    size_t vector_count;
    uintptr_t control;
    size_t control_len;
    uint32_t flags, pad2;
};

static bool message_ok(uintptr_t p)
{
    if (!arena_holds(p, sizeof(struct message)))
        return false;
    const struct message *m = (const struct message *)p;
    return (!m->name || arena_holds(m->name, m->name_len)) &&
           vectors_ok(m->vectors, m->vector_count) &&
           (!m->control || arena_holds(m->control, m->control_len));
}

static bool prctl_ok(const long a[6], int i)
{
    switch (a[0]) {
    case PR_SET_NAME:
        return i != 1 || arena_holds((uintptr_t)a[1], 16);
    case PR_GET_CHILD_SUBREAPER:
        return i != 1 || arena_holds((uintptr_t)a[1], 4);
    case PR_SET_VMA:
        return i != 4 || !a[4] || text_ok((uintptr_t)a[4]);
    }
    return true;
}

/* struct ifconf: a length, and where so many bytes are. */
static bool interfaces_ok(uintptr_t p)
{
    return arena_holds(p, 16) && (!((const uintptr_t *)p)[1] ||
                                  arena_holds(((const uintptr_t *)p)[1], *(const uint32_t *)p));
}

/* The host refuses a negative one. */
static bool length_ok(uintptr_t p, int32_t n)
{
    return n <= 0 || arena_holds(p, (size_t)n);
}

static bool argument_ok(struct arg k, const long a[6], int i)
{
    uintptr_t p = (uintptr_t)a[i];
    size_t bytes;
    switch ((enum kind)k.kind) {
    case NUMBER:
        return true;
    case OWN:
        return !p || platform_owns(p, (size_t)a[k.by]);
    case FCNTL:
        bytes = host_fcntl_bytes((int)a[1]);
        return !bytes || !p || arena_holds(p, bytes);
    case PRCTL:
        return prctl_ok(a, i);
    case IOCTL:
        if (a[1] == SIOCGIFCONF)
            return interfaces_ok(p);
        bytes = host_ioctl_bytes((unsigned)a[1]);
        return !bytes || !p || arena_holds(p, bytes);
    default:
        break;
    }
    if (!p)
        return true;
    switch ((enum kind)k.kind) {
    case TEXT:
        return text_ok(p);
    case REMOTE:
    case FIXED:
        return arena_holds(p, k.size);
    case LENGTH:
        bytes = k.size ? (size_t)a[k.by] * k.size : PAGE_UP((size_t)a[k.by]) / PAGE_SIZE;
        return arena_holds(p, bytes);
    case LEN_AT:
        return arena_holds((uintptr_t)a[k.by], 4) && length_ok(p, *(const int32_t *)a[k.by]);
    case VECTOR:
        return vectors_ok(p, (size_t)a[k.by]);
    case MSG:
        return message_ok(p);
    default:
        return false;
    }
}

const char *filter_fault(long nr, const long a[6])
{
    static const char *const bad[] = {"argument 1 leads", "argument 2 leads", "argument 3 leads",
                                      "argument 4 leads", "argument 5 leads", "argument 6 leads"};
    const struct call *c = find(nr);
    if (!c)
        return "it is not in the list, which leads";
    for (int i = 0; i < 6; i++)
        if (!argument_ok(c->arg[i], a, i))
            return bad[i];
    return NULL;
}

static void look(long nr, const long a[6])
{
    const char *fault = filter_fault(nr, a);
    if (unlikely(fault))
        panic("host call %ld (%s): %s out of the arena", nr, filter_name(nr), fault);
}

long host_leave(long nr, long a, long b, long c, long d, long e, long f)
{
    const long args[6] = {a, b, c, d, e, f};
    look(nr, args);
    return platform_leave(nr, args);
}

long host_leave_blocking(long nr, long a, long b, long c, long d, long e, long f)
{
    const long args[6] = {a, b, c, d, e, f};
    look(nr, args);
    return platform_leave_blocking(nr, args);
}

#endif
