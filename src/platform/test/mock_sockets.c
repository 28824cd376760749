/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Sockets of the mock host: pairs of AF_UNIX, which never block. */
#include "platform/test/mock.h"
#include "platform/test/mock_calls.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

bool mock_is_socket_call(long nr)
{
    return nr == SYS_socket || nr == SYS_socketpair || nr == SYS_getsockopt ||
           nr == SYS_setsockopt || nr == SYS_sendmsg || nr == SYS_recvmsg || nr == SYS_shutdown ||
           nr == SYS_getsockname || nr == SYS_getpeername;
}

static long pair(const long a[6])
{
    int fd[2];
    long r = mock_kernel(SYS_socketpair, a[0], a[1] | SOCK_CLOEXEC, a[2], (long)fd, 0, 0);
    if (r)
        return r;
    if (mock_give_fd(fd[0]) < 0 || mock_give_fd(fd[1]) < 0)
        return -EMFILE;
    memcpy((void *)a[3], fd, sizeof(fd));
    return 0;
}

/* Descriptors that travel are the library OS's when they leave and when they come. */
static void each_right(struct msghdr *m, long nr)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        size_t n = (c->cmsg_len - sizeof(*c)) / sizeof(int);
        for (size_t i = 0; c->cmsg_type == SCM_RIGHTS && i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
            if (nr == SYS_recvmsg)
                mock_give_fd(fd);
            else if (!mock_holds(fd) && !mock_lied)
                mock_violation("a descriptor that the library OS does not hold is passed", nr);
        }
    }
}

static long message(long nr, const long a[6])
{
    struct msghdr *m = (void *)a[1];
    mock_memory(m, sizeof(*m), nr);
    for (size_t i = 0; i < m->msg_iovlen; i++)
        mock_memory(m->msg_iov[i].iov_base, m->msg_iov[i].iov_len, nr);
    mock_memory(m->msg_control, m->msg_controllen, nr);
    if (nr == SYS_sendmsg)
        each_right(m, nr);
    long r = mock_kernel(nr, a[0], a[1], a[2] | MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0, 0);
    if (nr == SYS_recvmsg && r >= 0)
        each_right(m, nr);
    return r;
}

long mock_socket_call(long nr, const long a[6])
{
    if (nr == SYS_socket)
        return a[0] == AF_UNIX
                   ? mock_give_fd((int)mock_kernel(nr, a[0], a[1] | SOCK_CLOEXEC, a[2], 0, 0, 0))
                   : -EAFNOSUPPORT;
    if (nr == SYS_socketpair)
        return pair(a);
    if (!mock_holds((int)a[0]))
        return -EBADF;
    if (nr == SYS_sendmsg || nr == SYS_recvmsg)
        return message(nr, a);
    return mock_kernel(nr, a[0], a[1], a[2], a[3], a[4], 0);
}
