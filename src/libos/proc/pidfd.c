/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/proc/pidfd.h"
#include "host/host_process.h"
#include "libos/entry/syscall.h"
#include "libos/fs/proc.h"
#include "libos/net/host_object.h"
#include "libos/proc/reach.h"
#include "libos/process.h"

#define PIDFD_NONBLOCK O_NONBLOCK

/* Its ioctls make descriptors of namespaces: as on a Linux without them. */
static long no_ioctl(struct file *f, unsigned cmd, unsigned long arg)
{
    (void)f, (void)cmd, (void)arg;
    return -ENOTTY;
}

static const struct file_ops pidfd_ops = {.name = "anon_inode:[pidfd]", .ioctl = no_ioctl};

SYSCALL2(pidfd_open, int, pid, unsigned, flags)
{
    if (flags & ~PIDFD_NONBLOCK || pid <= 0)
        return -EINVAL;
    long r = run_pidfd(pid, flags);
    return host_object_install(r, &pidfd_ops, FILE_STREAM, O_RDWR | flags, true);
}

int pidfd_prepare(struct file **out)
{
    struct file *f = file_new(&pidfd_ops, FILE_STREAM, -1, O_RDWR);
    if (!f)
        return -ENOMEM;
    file_get(f);
    int fd = fd_install(f, 0, true);
    if (fd < 0) {
        file_put(f);
        return fd;
    }
    *out = f;
    return fd;
}

/* One that came in a message is a plain host object: whether it is of this kind the host knows. */
int pidfd_host(int fd, struct file **out)
{
    struct file *f = fd_get_io(fd);
    if (f && f->host_fd < 0) {
        file_put(f);
        f = NULL;
    }
    if (!f)
        return -EBADF;
    *out = f;
    return f->host_fd;
}

/* A descriptor of the directory /proc/PID stands for the process too, for this call alone. */
static int pidfd_of_directory(int fd)
{
    struct file *f = fd_get_io(fd);
    int pid = f ? proc_directory_pid(f) : -1;
    if (f)
        file_put(f);
    return pid < 0 ? -EBADF : (int)run_pidfd(pid, 0);
}

/* The process that the host's descriptor stands for: 0, or an errno. */
static int pid_behind(int host)
{
    char path[40], text[512];
    fmt(path, sizeof(path), "/proc/self/fdinfo/%d", host);
    ssize n = host_read_text(path, text, sizeof(text));
    if (n < 0)
        return (int)n;
    for (const char *at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, "Pid:\t", 5) != 0)
            continue;
        int pid = 0;
        for (at += 5; *at >= '0' && *at <= '9'; at++)
            pid = pid * 10 + (*at - '0');
        return pid ? pid : -ESRCH;
    }
    return -EBADF;
}

/* Was it made here, or does it stand for a process of the run all the same? */
static int check_target(const struct file *f, int host)
{
    int pid = f->ops == &pidfd_ops ? 0 : pid_behind(host);
    return pid < 0 ? pid : pid && !run_process_of(pid) ? -ESRCH : 0;
}

SYSCALL4(pidfd_send_signal, int, fd, int, sig, const siginfo_t *, uinfo, unsigned, flags)
{
    struct file *f = NULL;
    siginfo_t info;
    if (flags)
        return -EINVAL;
    if (uinfo && get_user(info, uinfo))
        return -EFAULT;
    int host = pidfd_host(fd, &f);
    if (host < 0)
        host = pidfd_of_directory(fd);
    if (host < 0)
        return host;
    long r = f ? check_target(f, host) : 0;
    int pid = r ? 0 : pid_behind(host);
    if (pid > 0 && !run_may_signal(pid, sig))
        r = -EPERM;
    if (!r)
        r = host_pidfd_signal(host, sig, uinfo ? &info : NULL);
    if (f)
        file_put(f);
    else
        host_close(host);
    return r;
}

/* Descriptors of another process are known to it alone: refused as without the right to trace. */
SYSCALL3(pidfd_getfd, int, fd, int, target, unsigned, flags)
{
    struct file *f;
    if (flags)
        return -EINVAL;
    int host = pidfd_host(fd, &f);
    if (host < 0)
        return host;
    int pid = pid_behind(host), err = check_target(f, host);
    file_put(f);
    if (err || pid != current_process()->pid)
        return err ? err : pid < 0 ? pid : -EPERM;
    struct file *wanted = fd_get(target);
    return wanted ? fd_install(wanted, 0, true) : -EBADF;
}
