/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* timerfd_create(2): the host's, behind a file of ours. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/net/host_object.h"
#include <asm/unistd.h>

#define TFD_NONBLOCK     O_NONBLOCK
#define TFD_CLOEXEC      O_CLOEXEC
#define ITIMERSPEC_BYTES 32

static const struct file_ops timerfd_ops = {.name = "anon_inode:[timerfd]"};

SYSCALL2(timerfd_create, int, clock, int, flags)
{
    if (flags & ~(TFD_NONBLOCK | TFD_CLOEXEC))
        return -EINVAL;
    long r = host_pass(__NR_timerfd_create, clock, flags | TFD_CLOEXEC, 0, 0, 0, 0);
    return host_object_install(r, &timerfd_ops, FILE_STREAM, O_RDWR | (flags & TFD_NONBLOCK),
                               flags & TFD_CLOEXEC);
}

/* The timer behind `fd`, counted. */
static int get_timer(int fd, struct file **out)
{
    struct file *f = fd_get(fd);
    if (!f)
        return -EBADF;
    if (f->host_fd < 0) { /* of others the host says what they are: some came in a message */
        file_put(f);
        return -EINVAL;
    }
    *out = f;
    return 0;
}

SYSCALL4(timerfd_settime, int, fd, int, flags, const void *, uvalue, void *, uold)
{
    struct file *f;
    if (!user_range_ok(uvalue, ITIMERSPEC_BYTES) ||
        (uold && !user_range_ok(uold, ITIMERSPEC_BYTES)))
        return -EFAULT;
    int err = get_timer(fd, &f);
    if (err)
        return err;
    long r = host_pass(__NR_timerfd_settime, f->host_fd, flags, (long)uvalue, (long)uold, 0, 0);
    file_put(f);
    return r;
}

SYSCALL2(timerfd_gettime, int, fd, void *, uvalue)
{
    struct file *f;
    int err = get_timer(fd, &f);
    if (err)
        return err;
    long r = user_range_ok(uvalue, ITIMERSPEC_BYTES)
                 ? host_pass(__NR_timerfd_gettime, f->host_fd, (long)uvalue, 0, 0, 0, 0)
                 : -EFAULT;
    file_put(f);
    return r;
}
