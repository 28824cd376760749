/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* pipe(2) and eventfd(2): the host's, behind files of ours, so that fork shares them. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/net/host_object.h"
#include <asm/unistd.h>

static const struct file_ops pipe_ops = {.name = "pipe"};
static const struct file_ops eventfd_ops = {.name = "anon_inode:[eventfd]"};

#define EFD_SEMAPHORE 1
#define EFD_CLOEXEC   O_CLOEXEC
#define EFD_NONBLOCK  O_NONBLOCK

#define PIPE_FLAGS (O_CLOEXEC | O_NONBLOCK | O_DIRECT)

static long make_pipe(int *ufds, int flags)
{
    int host[2], fds[2];
    if (flags & ~PIPE_FLAGS)
        return -EINVAL;
    long r = host_pass(__NR_pipe2, (long)host, flags | O_CLOEXEC, 0, 0, 0, 0);
    if (r)
        return r;
    uint32_t status = (uint32_t)flags & ~(uint32_t)O_CLOEXEC;
    fds[0] =
        host_object_install(host[0], &pipe_ops, FILE_STREAM, O_RDONLY | status, flags & O_CLOEXEC);
    if (fds[0] < 0) {
        host_close(host[1]);
        return fds[0];
    }
    fds[1] =
        host_object_install(host[1], &pipe_ops, FILE_STREAM, O_WRONLY | status, flags & O_CLOEXEC);
    if (fds[1] >= 0 && !copy_to_user(ufds, fds, sizeof(fds)))
        return 0;
    fd_close(fds[0]);
    if (fds[1] < 0)
        return fds[1];
    fd_close(fds[1]);
    return -EFAULT;
}

SYSCALL1(pipe, int *, ufds)
{
    return make_pipe(ufds, 0);
}

SYSCALL2(pipe2, int *, ufds, int, flags)
{
    return make_pipe(ufds, flags);
}

static long make_eventfd(uint32_t count, int flags)
{
    if (flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK))
        return -EINVAL;
    long r = host_pass(__NR_eventfd2, count, flags | EFD_CLOEXEC, 0, 0, 0, 0);
    return host_object_install(r, &eventfd_ops, FILE_EVENTFD, O_RDWR | (flags & EFD_NONBLOCK),
                               flags & EFD_CLOEXEC);
}

SYSCALL1(eventfd, uint32_t, count)
{
    return make_eventfd(count, 0);
}

SYSCALL2(eventfd2, uint32_t, count, int, flags)
{
    return make_eventfd(count, flags);
}
