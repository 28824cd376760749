/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* See host_event.h. */
#include "host/host_event.h"
#include "host/arena.h"
#include <asm/fcntl.h>
#include <asm/unistd.h>
#include <linux/futex.h>

int host_eventfd(uint32_t count, int flags)
{
    return host_descriptor(CALL2(__NR_eventfd2, count, flags | O_CLOEXEC));
}

int host_event_add(int fd, uint64_t n)
{
    ARENA;
    long r = CALL3(__NR_write, fd, give(&n, sizeof(n)), sizeof(n));
    return r == sizeof(n) ? 0 : IS_ERR(r) ? (int)host_errno(r) : -EIO;
}

int host_event_take(int fd)
{
    ARENA;
    uint64_t n;
    long r = CALL3(__NR_read, fd, room(&n, sizeof(n)), sizeof(n));
    return r == sizeof(n) ? 0 : IS_ERR(r) ? (int)host_errno(r) : -EIO;
}

int host_pipe(int fd[2], int flags)
{
    ARENA;
    int *out = room(fd, 2 * sizeof(int));
    int err = host_status(CALL2(__NR_pipe2, out, flags | O_CLOEXEC));
    if (!err)
        take(fd, out, 2 * sizeof(int));
    return err || (fd[0] >= 0 && fd[1] >= 0 && fd[0] != fd[1]) ? err : -EIO;
}

int host_inotify(int flags)
{
    return host_descriptor(CALL1(__NR_inotify_init1, flags | O_CLOEXEC));
}

int host_inotify_add(int fd, const char *path, uint32_t mask)
{
    ARENA;
    return (int)host_number(CALL3(__NR_inotify_add_watch, fd, give_text(path), mask), INT32_MAX);
}

int host_inotify_remove(int fd, int watch)
{
    return host_status(CALL2(__NR_inotify_rm_watch, fd, watch));
}

long host_poll(struct pollfd *fds, uint32_t n, struct __kernel_timespec *left, bool blocking)
{
    ARENA;
    size_t bytes = n * sizeof(*fds);
    if (PLATFORM_ARENA && bytes > ARENA_PIECE)
        return -ENOMEM;
    struct pollfd *out = give(fds, bytes);
    struct __kernel_timespec *time = give(left, sizeof(*left));
    long r = blocking ? host_syscall_blocking(__NR_ppoll, (long)out, n, (long)time, 0, 0, 0)
                      : CALL4(__NR_ppoll, out, n, time, 0);
    if (r >= 0)
        take(fds, out, bytes);
    take(left, time, left ? sizeof(*left) : 0);
    return host_number(r, n);
}

int host_epoll(void)
{
    return host_descriptor(CALL1(__NR_epoll_create1, O_CLOEXEC));
}

int host_epoll_ctl(int fd, int op, int member, const struct epoll_event *event)
{
    ARENA;
    return host_status(CALL4(__NR_epoll_ctl, fd, op, member, give(event, sizeof(*event))));
}

#if PLATFORM_ARENA

#    define MOST_EVENTS ((int)(ARENA_MOST / sizeof(struct epoll_event)))

static int events(int fd, struct epoll_event *uevents, int most,
                  const struct __kernel_timespec *limit, bool blocking)
{
    ARENA;
    int n = MIN(most, MOST_EVENTS);
    void *out = n > 0 ? room_for((size_t)n * sizeof(*uevents)) : NULL;
    long r = blocking ? host_syscall_blocking(__NR_epoll_pwait2, fd, (long)out, n,
                                              (long)give(limit, sizeof(*limit)), 0, 0)
                      : CALL4(__NR_epoll_pwait, fd, out, n, 0);
    r = host_number(r, n);
    return r > 0 && take_user(uevents, out, (size_t)r * sizeof(*uevents)) ? -EFAULT : (int)r;
}

int host_epoll_look(int fd, struct epoll_event *uevents, int most)
{
    return events(fd, uevents, most, NULL, false);
}

int host_epoll_wait(int fd, struct epoll_event *uevents, int most,
                    const struct __kernel_timespec *limit)
{
    return events(fd, uevents, most, limit, true);
}

long host_shared_futex(uint32_t *uaddr, int op, uint32_t value, unsigned long value2,
                       uint32_t *uaddr2, uint32_t value3)
{
    (void)uaddr, (void)op, (void)value, (void)value2, (void)uaddr2, (void)value3;
    return -ENOSYS;
}

long host_shared_futex_wait(uint32_t *uaddr, uint32_t value, uint64_t deadline_ns, uint32_t bitset)
{
    (void)uaddr, (void)value, (void)deadline_ns, (void)bitset;
    return -ENOSYS;
}

void host_robust_list(const void *uhead, size_t len)
{
    (void)uhead, (void)len;
}

#else

int host_epoll_look(int fd, struct epoll_event *uevents, int most)
{
    return (int)host_number(CALL4(__NR_epoll_pwait, fd, uevents, most, 0), most);
}

int host_epoll_wait(int fd, struct epoll_event *uevents, int most,
                    const struct __kernel_timespec *limit)
{
    return (int)host_number(
        host_syscall_blocking(__NR_epoll_pwait2, fd, (long)uevents, most, (long)limit, 0, 0), most);
}

long host_shared_futex(uint32_t *uaddr, int op, uint32_t value, unsigned long value2,
                       uint32_t *uaddr2, uint32_t value3)
{
    return host_number(
        host_syscall(__NR_futex, (long)uaddr, op, value, (long)value2, (long)uaddr2, value3),
        INT32_MAX);
}

long host_shared_futex_wait(uint32_t *uaddr, uint32_t value, uint64_t deadline_ns, uint32_t bitset)
{
    struct __kernel_timespec ts = {.tv_sec = (long long)(deadline_ns / 1000000000),
                                   .tv_nsec = (long long)(deadline_ns % 1000000000)};
    return host_status(host_syscall_blocking(__NR_futex, (long)uaddr, FUTEX_WAIT_BITSET, value,
                                             (long)(deadline_ns ? &ts : NULL), 0, bitset));
}

void host_robust_list(const void *uhead, size_t len)
{
    CALL2(__NR_set_robust_list, uhead, len);
}

#endif
