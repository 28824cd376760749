/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* pipe(2) and eventfd(2): the host's, behind files of ours, so that fork shares them. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/log.h"
#include "libos/net/host_object.h"
#include "libos/process.h"
#include "libos/sync/eventfd.h"
#include <asm/unistd.h>

static const struct file_ops pipe_ops = {.name = "pipe"};
static const struct file_ops eventfd_ops = {.name = "anon_inode:[eventfd]"};

/* Of the parent, in its child. */
static ssize refuse_read(struct file *f, void *ubuf, size_t n, int64_t pos)
{
    static bool told; /* atomic; once is enough */
    (void)f, (void)ubuf, (void)n, (void)pos;
    if (!__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
        log_warning("an eventfd of the parent process is refused in its child: set "
                    "sys.insecure__allow_eventfd if processes are to share it");
    return -EIO;
}

static ssize refuse_write(struct file *f, const void *ubuf, size_t n, int64_t pos)
{
    (void)ubuf;
    return refuse_read(f, NULL, n, pos);
}

static const struct file_ops refused_eventfd_ops = {
    .name = "anon_inode:[eventfd]", .read = refuse_read, .write = refuse_write};

static bool any_eventfd; /* atomic; one was made, here or by an ancestor */

void eventfd_in_child(struct fdtable *t)
{
    if (run.manifest.image->allow_eventfd || !__atomic_load_n(&any_eventfd, __ATOMIC_RELAXED))
        return;
    for (uint32_t fd = 0; fd < t->size; fd++) {
        struct file *f = t->fds[fd].file;
        if (f && f->ops == &eventfd_ops)
            f->ops = &refused_eventfd_ops;
    }
}

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
    __atomic_store_n(&any_eventfd, true, __ATOMIC_RELAXED);
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
