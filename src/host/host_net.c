/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The typed host calls for sockets, but for transfers (host_message.c); see host_net.h. */
#include "host/host_net.h"
#include "host/arena.h"
#include <asm/fcntl.h>
#include <asm/unistd.h>
#include <linux/filter.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/un.h>

#define AF_UNIX     1
#define AF_INET     2
#define AF_INET6    10
#define AF_NETLINK  16
#define SOL_SOCKET_ 1
#define CLOEXEC     02000000

bool host_address_ok(const struct address *a, uint32_t room)
{
    switch (a->len < sizeof(a->at.ss_family) || room < a->len ? 0 : a->at.ss_family) {
    case AF_UNIX:
        return a->len <= sizeof(struct sockaddr_un) + 1;
    case AF_INET:
        return a->len == sizeof(struct sockaddr_in);
    case AF_INET6:
        return a->len == sizeof(struct sockaddr_in6);
    case AF_NETLINK:
        return a->len == sizeof(struct sockaddr_nl);
    }
    return a->len == 0;
}

int host_socket(int family, int type, int protocol)
{
    return host_descriptor(CALL3(__NR_socket, family, type | CLOEXEC, protocol));
}

int host_socketpair(int family, int type, int protocol, int fd[2])
{
    ARENA;
    int *out = room(fd, 2 * sizeof(int));
    int err = host_status(CALL4(__NR_socketpair, family, type | CLOEXEC, protocol, out));
    if (!err)
        take(fd, out, 2 * sizeof(int));
    return err || (fd[0] >= 0 && fd[1] >= 0 && fd[0] != fd[1]) ? err : -EIO;
}

int host_bind(int fd, const struct address *a)
{
    ARENA;
    return host_status(CALL3(__NR_bind, fd, give(&a->at, a->len), a->len));
}

int host_connect(int fd, const struct address *a)
{
    ARENA;
    return host_status(
        host_syscall_blocking(__NR_connect, fd, (long)give(&a->at, a->len), a->len, 0, 0, 0));
}

int host_listen(int fd, int backlog)
{
    return host_status(CALL2(__NR_listen, fd, backlog));
}

int host_accept(int fd, int flags, struct address *peer)
{
    ARENA;
    peer->len = sizeof(peer->at);
    struct address *out = give(peer, sizeof(*peer));
    int r = host_descriptor(host_syscall_blocking(__NR_accept4, fd, (long)&out->at, (long)&out->len,
                                                  flags | CLOEXEC, 0, 0));
    if (r < 0)
        return r;
    take(peer, out, sizeof(*peer));
    if (host_address_ok(peer, sizeof(peer->at)))
        return r;
    host_close(r);
    return -EIO;
}

int host_socket_name(int fd, bool of_peer, struct address *a)
{
    ARENA;
    a->len = sizeof(a->at);
    struct address *out = give(a, sizeof(*a));
    int err =
        host_status(CALL3(of_peer ? __NR_getpeername : __NR_getsockname, fd, &out->at, &out->len));
    if (!err)
        take(a, out, sizeof(*a));
    return err || host_address_ok(a, sizeof(a->at)) ? err : -EIO;
}

int host_shutdown(int fd, int how)
{
    return host_status(CALL2(__NR_shutdown, fd, how));
}

/* ---- options ---- */

int host_option_set(int fd, int level, int option, const void *value, int len)
{
    ARENA;
    const struct host_option *known = host_option_find(level, option, OPTION_SET);
    if (!known)
        return -ENOPROTOOPT;
    len = MIN(len, (int)known->size);
    return host_status(
        CALL5(__NR_setsockopt, fd, level, option, give(value, (size_t)MAX(len, 0)), len));
}

int host_option_get(int fd, int level, int option, void *value, int *len)
{
    ARENA;
    const struct host_option *known = host_option_find(level, option, OPTION_GET);
    if (!known)
        return -ENOPROTOOPT;
    int most = MIN(*len, (int)known->size);
    *len = most;
    void *out = room(value, (size_t)MAX(most, 0));
    int *out_len = give(len, sizeof(*len));
    int err = host_status(CALL5(__NR_getsockopt, fd, level, option, out, out_len));
    take(len, out_len, sizeof(*len));
    if (err)
        return err;
    if (*len < 0 || *len > most)
        return -EIO;
    return take(value, out, (size_t)*len);
}

int host_option_filter(int fd, int option, const struct sock_filter *program, uint16_t count)
{
    ARENA;
    struct sock_fprog whole = {count, give(program, count * sizeof(*program))};
    return host_status(CALL5(__NR_setsockopt, fd, SOL_SOCKET_, option, give(&whole, sizeof(whole)),
                             sizeof(whole)));
}

/* ---- the working directory, ids ---- */

int host_fchdir(int fd)
{
    return host_status(CALL1(__NR_fchdir, fd));
}

int host_unshare_cwd(void)
{
    return host_status(CALL1(__NR_unshare, CLONE_FS));
}

uint32_t host_getuid(void)
{
    return (uint32_t)CALL0(__NR_getuid);
}

uint32_t host_getgid(void)
{
    return (uint32_t)CALL0(__NR_getgid);
}
