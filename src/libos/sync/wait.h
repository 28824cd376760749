/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the calls that wait for readiness share. */
#pragma once
#include "libos/fs/vfs.h"
#include "libos/proc/signal.h"
#include <linux/poll.h>

#define POLL_ALWAYS (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)

/* The host descriptor whose readiness is the file's, or -1 when it is always ready. Not for own
 * objects, which have ops->poll. */
int file_poll_fd(struct file *f);
/* An object that is no member of a host epoll. Of a signalfd that has a counter there, both may be
 * asked: it is one. */
static inline bool file_is_own(const struct file *f)
{
    return f->ops->poll && !f->ops->poll_fd;
}
/* As fd_get_io(), but own objects stay what they are. */
struct file *fd_get_pollable(int fd);

/* Nanoseconds of a timeout from now on; NULL: none. 0 stands for "never" in both. */
uint64_t deadline_of(const struct __kernel_timespec *ts);
struct __kernel_timespec time_until(uint64_t deadline_ns);

/* The earlier one of two such deadlines, and whether one has come. */
static inline uint64_t earlier(uint64_t a, uint64_t b)
{
    return !a ? b : !b ? a : MIN(a, b);
}
bool deadline_over(uint64_t deadline_ns);

/*
 * As ppoll(2) on `n` entries in library-OS memory, without a mask. `ts` NULL: no limit; else it
 * holds the remaining time afterwards. The number of entries with revents, -ENOMEM, or
 * -ERESTARTNOHAND when a signal is to be delivered and nothing is ready.
 */
long poll_files(struct pollfd *fds, uint32_t n, struct __kernel_timespec *ts);

/* Takes a timeout from the application; NULL there: *ts_out = NULL. 0, -EFAULT, -EINVAL. */
int take_timespec(const struct __kernel_timespec *uts, struct __kernel_timespec *buf,
                  struct __kernel_timespec **ts_out);

/* The temporary signal mask of ppoll, pselect6 and epoll_pwait; `uset` may be NULL: none.
 * 0, -EINVAL, -EFAULT. */
int wait_mask_enter(const sigmask *uset, size_t size, bool *masked);
/* Puts the old mask back, at once or, when `r` says that a handler is to run, behind it. `r`. */
long wait_mask_leave(bool masked, long r);
