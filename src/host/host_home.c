/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The typed host calls between processes of the library OS itself; see host.h. */
#include "host/arena.h"
#include "host/host_net.h"
#include <asm/poll.h>
#include <asm/socket.h>
#include <asm/unistd.h>

#define SOL_SOCKET_      1
#define SCM_RIGHTS       1
#define MSG_NOSIGNAL     0x4000
#define MSG_CMSG_CLOEXEC 0x40000000

struct passing { /* one descriptor as control data */
    struct cmsg head;
    int fd, padding;
};

ssize host_send_fd(int socket, const void *data, size_t len, int fd)
{
    ARENA;
    struct passing p = {{sizeof(p.head) + sizeof(int), SOL_SOCKET_, SCM_RIGHTS}, fd, 0};
    struct iovec v = {give(data, len), len};
    struct msg m = {.iov = give(&v, sizeof(v)),
                    .iov_len = 1,
                    .control = fd < 0 ? NULL : give(&p, sizeof(p)),
                    .control_len = fd < 0 ? 0 : sizeof(p)};
    const struct msg *out = give(&m, sizeof(m));
    long r;
    do
        r = CALL3(__NR_sendmsg, socket, out, MSG_NOSIGNAL);
    while (r == -EINTR);
    return host_length(r, len);
}

ssize host_receive_fd(int socket, void *data, size_t len, int *fd)
{
    ARENA;
    struct passing p = {.fd = -1};
    struct iovec v = {room(data, len), len};
    struct msg m = {.iov = give(&v, sizeof(v)),
                    .iov_len = 1,
                    .control = room(&p, sizeof(p)),
                    .control_len = sizeof(p)};
    struct msg *out = give(&m, sizeof(m));
    long r;
    do
        r = CALL3(__NR_recvmsg, socket, out, MSG_CMSG_CLOEXEC);
    while (r == -EINTR);
    struct msg got = m;
    take(&got, out, sizeof(got));
    take(&p, m.control, sizeof(p));
    bool whole =
        r >= 0 && got.control_len >= p.head.len && p.head.len == sizeof(p.head) + sizeof(int);
    *fd = whole && p.head.type == SCM_RIGHTS && p.fd >= 0 ? p.fd : -1;
    ssize n = host_length(r, len);
    if (n > 0)
        take(data, v.iov_base, (size_t)n);
    return n;
}

int host_wait_readable(int fd, int milliseconds)
{
    ARENA;
    struct {
        int fd;
        short events, revents;
    } one = {fd, POLLIN, 0};
    struct __kernel_timespec most = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    long r;
    do
        r = CALL4(__NR_ppoll, give(&one, sizeof(one)), 1, give(&most, sizeof(most)), 0);
    while (r == -EINTR);
    return (int)host_number(r, 1);
}

void host_nap(uint32_t ns)
{
    ARENA;
    struct __kernel_timespec moment = {.tv_nsec = ns};
    CALL2(__NR_nanosleep, give(&moment, sizeof(moment)), 0);
}

int host_close_range(unsigned from, unsigned to)
{
    return host_status(CALL3(__NR_close_range, from, to, 0));
}

int host_setsid(void)
{
    return (int)host_number(CALL0(__NR_setsid), INT32_MAX);
}
