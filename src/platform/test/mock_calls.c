/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the mock host does for each call that it knows (mock.h). */
#include "platform/test/mock_calls.h"
#include "platform/test/mock.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MOST_FDS     4096
#define MOST_MAPPING (64UL << 20)
#define LARGEST_FILE (4L << 20)
#define PAGE         4096UL
#define SECOND_NS    1000000000UL
#define MOST_PUT_ON  (1UL << 60)
#define MOST_WAITS   1000 /* with a time limit, since mock_seed() */
#define MOCK_PID     4242

static unsigned char held[MOST_FDS]; /* descriptors that the library OS was given */
static uint64_t random_state = 1;
static uint64_t put_on; /* ns by which the clocks are put on: nobody waits in earnest */
static long waits;
static long signals_sent;

void mock_seed(uint64_t seed)
{
    random_state = seed * 2 + 1;
    put_on = 0;
    waits = 0;
}

static long give_random(void *to, size_t n)
{
    unsigned char buf[4096];
    n = n < sizeof(buf) ? n : sizeof(buf);
    for (size_t i = 0; i < n; i++) {
        random_state = random_state * 6364136223846793005UL + 1442695040888963407UL;
        buf[i] = (unsigned char)(random_state >> 56);
    }
    mock_memory(to, n, SYS_getrandom);
    return mock_uaccess_copy(to, buf, n) ? -EFAULT : (long)n;
}

/* ---- descriptors ---- */

int mock_open_fds(void)
{
    int n = 0;
    for (int i = 0; i < MOST_FDS; i++)
        n += held[i];
    return n;
}

bool mock_holds(int fd)
{
    return fd >= 0 && fd < MOST_FDS && held[fd];
}

long mock_signals_sent(void)
{
    return signals_sent;
}

long mock_give_fd(long r)
{
    if (r >= MOST_FDS) {
        close((int)r);
        return -EMFILE;
    }
    if (r >= 0)
        held[r] = 1;
    return r;
}

static bool holds(long fd, long nr)
{
    if (mock_holds((int)fd) || (fd >= 0 && fd <= 2))
        return true;
    if (!mock_lied)
        mock_violation("a descriptor that the library OS does not hold", nr);
    return false;
}

long mock_kernel(long nr, long a, long b, long c, long d, long e, long f)
{
    long r = syscall(nr, a, b, c, d, e, f);
    return r == -1 ? -errno : r;
}

/* Would the transfer wait? Then the mock host says so instead. */
static bool would_wait(long fd, short events)
{
    struct pollfd p = {.fd = (int)fd, .events = events};
    return poll(&p, 1, 0) == 0;
}

/* ---- calls ---- */

static long map(const long a[6])
{
    uintptr_t at = (uintptr_t)a[0];
    size_t len = ((size_t)a[1] + PAGE - 1) & ~(PAGE - 1);
    long flags = (a[3] & ~(MAP_POPULATE | MAP_LOCKED)) | MAP_NORESERVE;
    if (!(flags & MAP_ANONYMOUS) && !holds(a[4], SYS_mmap))
        return -EBADF;
    if (!a[1] || (size_t)a[1] > MOST_MAPPING)
        return a[1] ? -ENOMEM : -EINVAL;
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        mock_memory((void *)at, len, SYS_mmap);
        if (!mock_in_window(at, len)) {
            if (at + len > 0x10000)
                mock_violation("a mapping outside the application's memory", SYS_mmap);
            return -EPERM;
        }
        return mock_kernel(SYS_mmap, a[0], a[1], a[2], flags, a[4], a[5]);
    }
    for (int tries = 0; tries < 64; tries++) {
        if (!mock_in_window(mock_map_next, len))
            mock_map_next = MOCK_WINDOW;
        long r = mock_kernel(SYS_mmap, (long)mock_map_next, a[1], a[2], flags | MAP_FIXED_NOREPLACE,
                             a[4], a[5]);
        mock_map_next += len + PAGE;
        if (r != -EEXIST)
            return r;
    }
    return -ENOMEM;
}

/* A range of application memory that a call changes. */
static long range_call(long nr, const long a[6])
{
    uintptr_t at = (uintptr_t)a[0];
    size_t len = ((size_t)a[1] + PAGE - 1) & ~(PAGE - 1);
    mock_memory((void *)at, len, nr);
    if (!mock_in_window(at, len)) {
        if (len && at + len > 0x10000)
            mock_violation("memory outside the application's", nr);
        return nr == SYS_munmap ? 0 : -ENOMEM;
    }
    if (nr == SYS_madvise && a[2] > 4 && a[2] != MADV_FREE)
        return -EINVAL;
    return mock_kernel(nr, a[0], a[1], a[2], 0, 0, 0);
}

static long remap(const long a[6])
{
    mock_memory((void *)a[0], (size_t)a[1], SYS_mremap);
    if (!mock_in_window((uintptr_t)a[0], (size_t)a[1]))
        return -EFAULT;
    if ((size_t)a[2] > MOST_MAPPING)
        return -ENOMEM;
    if (a[3] & MREMAP_FIXED) {
        mock_memory((void *)a[4], (size_t)a[2], SYS_mremap);
        if (!mock_in_window((uintptr_t)a[4], (size_t)a[2]))
            return -EPERM;
        return mock_kernel(SYS_mremap, a[0], a[1], a[2], a[3], a[4], 0);
    }
    if (a[3] & MREMAP_MAYMOVE) { /* into the window: find the place first */
        long where[6] = {0, a[2], PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0};
        long to = map(where);
        if (to < 0)
            return to;
        long r = mock_kernel(SYS_mremap, a[0], a[1], a[2], a[3] | MREMAP_FIXED, to, 0);
        if (r < 0)
            munmap((void *)to, (size_t)a[2]);
        return r;
    }
    return mock_kernel(SYS_mremap, a[0], a[1], a[2], a[3], 0, 0);
}

static long vectors(long nr, const long a[6])
{
    struct iovec v[16];
    bool in = nr == SYS_readv || nr == SYS_preadv || nr == SYS_preadv2;
    if (!holds(a[0], nr))
        return -EBADF;
    if (a[2] < 0 || a[2] > 16)
        return -EINVAL;
    mock_memory((void *)a[1], (size_t)a[2] * sizeof(v[0]), nr);
    if (mock_uaccess_copy(v, (void *)a[1], (size_t)a[2] * sizeof(v[0])))
        return -EFAULT;
    for (long i = 0; i < a[2]; i++)
        mock_memory(v[i].iov_base, v[i].iov_len, nr);
    if (would_wait(a[0], in ? POLLIN : POLLOUT))
        return -EAGAIN;
    return mock_kernel(nr, a[0], (long)v, a[2], a[3], a[4], a[5]);
}

static long transfer(long nr, const long a[6])
{
    bool in = nr == SYS_read || nr == SYS_pread64;
    long n = a[2];
    if (!holds(a[0], nr))
        return -EBADF;
    mock_memory((void *)a[1], (size_t)n, nr);
    if (a[0] <= 2 && !held[a[0]])
        return in ? 0 : n; /* the test's own streams */
    if ((nr == SYS_read || nr == SYS_write) && would_wait(a[0], in ? POLLIN : POLLOUT))
        return -EAGAIN;
    if (nr == SYS_pwrite64 && a[3] > LARGEST_FILE)
        return -EFBIG;
    if (!in && n > LARGEST_FILE)
        n = LARGEST_FILE;
    return mock_kernel(nr, a[0], a[1], n, a[3], 0, 0);
}

static long make_pipe(const long a[6])
{
    int fds[2];
    if (pipe2(fds, (int)a[1] | O_NONBLOCK | O_CLOEXEC))
        return -errno;
    if (mock_give_fd(fds[0]) < 0 || mock_give_fd(fds[1]) < 0)
        return -EMFILE;
    memcpy((void *)a[0], fds, sizeof(fds));
    return 0;
}

static long file_control(const long a[6])
{
    if (!holds(a[0], SYS_fcntl))
        return -EBADF;
    switch (a[1]) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        return mock_give_fd(mock_kernel(SYS_fcntl, a[0], F_DUPFD_CLOEXEC, 3, 0, 0, 0));
    case F_GETFL:
    case F_GETPIPE_SZ:
    case F_GET_SEALS:
        return mock_kernel(SYS_fcntl, a[0], a[1], 0, 0, 0, 0);
    case F_SETFL:
        return mock_kernel(SYS_fcntl, a[0], a[1], a[2] | O_NONBLOCK, 0, 0, 0);
    case F_GETLK:
    case F_SETLK:
        mock_memory((void *)a[2], 32, SYS_fcntl);
        return mock_kernel(SYS_fcntl, a[0], a[1], a[2], 0, 0, 0);
    }
    return -EINVAL;
}

static long sizes(long nr, const long a[6])
{
    if (!holds(a[0], nr))
        return -EBADF;
    if (nr == SYS_ftruncate && a[1] > LARGEST_FILE)
        return -EFBIG;
    if (nr == SYS_fallocate && (a[2] > LARGEST_FILE || a[3] > LARGEST_FILE))
        return -EFBIG;
    return mock_kernel(nr, a[0], a[1], a[2], a[3], 0, 0);
}

static long two_files(long nr, const long a[6])
{
    long out = nr == SYS_sendfile ? a[0] : a[2], in = nr == SYS_sendfile ? a[1] : a[0];
    if (!holds(in, nr) || !holds(out, nr))
        return -EBADF;
    for (int i = 1; i < 4; i += 2)
        if (nr != SYS_sendfile)
            mock_memory((void *)a[i], 8, nr);
    if (would_wait(in, POLLIN) || would_wait(out, POLLOUT))
        return -EAGAIN;
    long n = nr == SYS_sendfile ? a[3] : a[4];
    if (n > (1L << 20))
        n = 1L << 20;
    if (nr == SYS_sendfile) {
        mock_memory((void *)a[2], 8, nr);
        return mock_kernel(nr, a[0], a[1], a[2], n, 0, 0);
    }
    return mock_kernel(nr, a[0], a[1], a[2], a[3], n, a[5]);
}

/* ---- time ---- */

static void add_to(struct timespec *ts, uint64_t ns)
{
    ns += (uint64_t)ts->tv_nsec;
    ts->tv_sec += (time_t)(ns / SECOND_NS);
    ts->tv_nsec = (long)(ns % SECOND_NS);
}

static uint64_t monotonic(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    add_to(&ts, put_on);
    return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

/* Who waits for what never comes is stuck. */
static void time_goes_on(uint64_t ns)
{
    if ((int64_t)ns < 0)
        return;
    if (ns > MOST_PUT_ON - put_on || ++waits > MOST_WAITS)
        mock_leave(MOCK_STUCK, 0);
    put_on += ns;
}

static long read_clock(const long a[6])
{
    mock_memory((void *)a[1], 16, SYS_clock_gettime);
    long r = mock_kernel(SYS_clock_gettime, a[0], a[1], 0, 0, 0, 0);
    if (!r)
        add_to((struct timespec *)a[1], put_on);
    return r;
}

static long futex(const long a[6], bool blocking)
{
    long cmd = a[1] & 127;
    if (cmd == 0 || cmd == 9) { /* FUTEX_WAIT, FUTEX_WAIT_BITSET: nobody is there to wake us */
        if (*(volatile uint32_t *)a[0] != (uint32_t)a[2])
            return -EAGAIN;
        if (!blocking)
            mock_violation("a lock is taken twice", SYS_futex);
        if (!a[3])
            mock_leave(MOCK_STUCK, 0);
        struct timespec *at = (struct timespec *)a[3];
        time_goes_on((uint64_t)at->tv_sec * SECOND_NS + (uint64_t)at->tv_nsec - monotonic());
        return -ETIMEDOUT;
    }
    return 0;
}

/* A wait that found nothing goes on until its limit. */
static long waited(long r, const struct timespec *limit, bool blocking)
{
    if (r || !blocking)
        return r;
    if (!limit)
        mock_leave(MOCK_STUCK, 0);
    time_goes_on((uint64_t)limit->tv_sec * SECOND_NS + (uint64_t)limit->tv_nsec);
    return 0;
}

static long wait_call(long nr, const long a[6], bool blocking)
{
    struct timespec none = {0, 0};
    if (nr == SYS_ppoll) {
        for (long i = 0; i < a[1]; i++) {
            struct pollfd p;
            if (!mock_uaccess_copy(&p, (struct pollfd *)a[0] + i, sizeof(p)) && p.fd >= 0)
                holds(p.fd, nr);
        }
        long r = mock_kernel(nr, a[0], a[1], (long)&none, 0, 8, 0);
        return waited(r, (const struct timespec *)a[2], blocking);
    }
    if (!holds(a[0], nr))
        return -EBADF;
    if (a[2] > 0 && a[2] < 100000)
        mock_memory((void *)a[1], (size_t)a[2] * 12, nr);
    return waited(mock_kernel(SYS_epoll_pwait, a[0], a[1], a[2], 0, 0, 8),
                  (const struct timespec *)a[3], blocking && nr == SYS_epoll_pwait2);
}

static long close_call(const long a[6])
{
    if (!holds(a[0], SYS_close))
        return -EBADF;
    if (mock_holds((int)a[0])) {
        held[a[0]] = 0;
        close((int)a[0]);
    }
    return 0;
}

static long on_fd(long nr, const long a[6])
{
    return holds(a[0], nr) ? mock_kernel(nr, a[0], a[1], a[2], a[3], a[4], a[5]) : -EBADF;
}

long mock_perform(long nr, const long a[6], bool blocking)
{
    if (mock_is_path_call(nr)) {
        long r = mock_path_call(nr, a);
        return nr == SYS_openat || nr == SYS_openat2 ? mock_give_fd(r) : r;
    }
    if (mock_is_socket_call(nr))
        return mock_socket_call(nr, a);
    switch (nr) {
    case SYS_read:
    case SYS_write:
    case SYS_pread64:
    case SYS_pwrite64:
        return transfer(nr, a);
    case SYS_readv:
    case SYS_writev:
    case SYS_preadv:
    case SYS_pwritev:
    case SYS_preadv2:
    case SYS_pwritev2:
        return vectors(nr, a);
    case SYS_close:
        return close_call(a);
    case SYS_fstat:
        mock_memory((void *)a[1], 144, nr);
        return on_fd(nr, a);
    case SYS_getdents64:
        mock_memory((void *)a[1], (size_t)a[2], nr);
        return on_fd(nr, a);
    case SYS_lseek:
    case SYS_fchmod:
    case SYS_fchown:
    case SYS_fstatfs:
    case SYS_timerfd_gettime:
    case SYS_timerfd_settime:
    case SYS_fadvise64:
    case SYS_flock:
        return on_fd(nr, a);
    case SYS_ftruncate:
    case SYS_fallocate:
        return sizes(nr, a);
    case SYS_fsync:
    case SYS_fdatasync:
        return holds(a[0], nr) ? 0 : -EBADF;
    case SYS_fcntl:
        return file_control(a);
    case SYS_ioctl:
        mock_memory((void *)a[2], 4, nr);
        return a[1] == FIONREAD || a[1] == TCGETS ? on_fd(nr, a) : -ENOTTY;
    case SYS_sendfile:
    case SYS_copy_file_range:
    case SYS_splice:
        return two_files(nr, a);
    case SYS_mmap:
        return map(a);
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_madvise:
    case SYS_msync:
        return range_call(nr, a);
    case SYS_mremap:
        return remap(a);
    case SYS_pipe2:
        return make_pipe(a);
    case SYS_memfd_create:
        return mock_give_fd(mock_kernel(nr, a[0], (a[1] & 3) | MFD_CLOEXEC, 0, 0, 0, 0));
    case SYS_eventfd2:
        return mock_give_fd(mock_kernel(nr, a[0], a[1] | O_NONBLOCK, 0, 0, 0, 0));
    case SYS_epoll_create1:
    case SYS_timerfd_create:
        return mock_give_fd(
            mock_kernel(nr, a[0], a[1] | (nr == SYS_timerfd_create ? O_NONBLOCK : 0), 0, 0, 0, 0));
    case SYS_epoll_ctl:
        if (!holds(a[2], nr))
            return -EBADF;
        mock_memory((void *)a[3], 12, nr);
        return on_fd(nr, a);
    case SYS_ppoll:
    case SYS_epoll_pwait:
    case SYS_epoll_pwait2:
        return wait_call(nr, a, blocking);
    case SYS_futex:
        return futex(a, blocking);
    case SYS_getrandom:
        return give_random((void *)a[0], (size_t)a[1]);
    case SYS_clock_gettime:
        return read_clock(a);
    case SYS_timer_create:
        mock_memory((void *)a[2], 4, nr);
        *(int *)a[2] = 1;
        return 0;
    case SYS_timer_settime:
    case SYS_timer_delete:
        return a[0] == 1 ? 0 : -EINVAL;
    case SYS_clock_getres:
        mock_memory((void *)a[1], 16, nr);
        return mock_kernel(nr, a[0], a[1], 0, 0, 0, 0);
    case SYS_clock_nanosleep:
    case SYS_membarrier:
    case SYS_sched_yield:
    case SYS_sync:
        return 0;
    case SYS_getpid:
    case SYS_gettid:
    case SYS_getpgid:
    case SYS_getsid:
        return MOCK_PID;
    case SYS_getppid:
        return 1;
    case SYS_umask:
        return 022;
    case SYS_prlimit64:
        if (a[3]) {
            mock_memory((void *)a[3], 16, nr);
            return mock_kernel(nr, 0, a[1], 0, a[3], 0, 0);
        }
        return 0;
    case SYS_kill:
    case SYS_tgkill:
        signals_sent++;
        return 0;
    case SYS_wait4:
    case SYS_waitid:
        return -ECHILD;
    case SYS_exit_group:
        mock_leave(MOCK_EXITED, (int)a[0]);
    }
    return mock_unknown(nr, a);
}
