/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Waiting for the host's objects, and its event objects (host_event.c); part of the host interface,
 * see host.h.
 */
#pragma once
#include "host/host.h"
#include <linux/eventpoll.h>
#include <linux/poll.h>

/* All descriptors that these make are close-on-exec. */
int host_eventfd(uint32_t count, int flags);
/* Without waiting: 0 or an errno. */
int host_event_add(int fd, uint64_t n);
int host_event_take(int fd);
int host_pipe(int fd[2], int flags);
int host_inotify(int flags);
int host_inotify_add(int fd, const char *path, uint32_t mask);
int host_inotify_remove(int fd, int watch);

/* ppoll(2) without a mask. `fds` is library-OS memory; *left: how long, then what is left of it;
 * NULL: no limit. With `blocking` -EINTR, see host.h. */
long host_poll(struct pollfd *fds, uint32_t n, struct __kernel_timespec *left, bool blocking);

int host_epoll(void);
int host_epoll_ctl(int fd, int op, int member, const struct epoll_event *event);
/* `uevents` is application memory that the host may find bad; what is there. The second waits, at
 * most *limit if that is not NULL. */
int host_epoll_look(int fd, struct epoll_event *uevents, int most);
int host_epoll_wait(int fd, struct epoll_event *uevents, int most,
                    const struct __kernel_timespec *limit); /* blocking */

/* Words of the application in memory that it shares with other processes, where there is such a
 * thing: futex(2) as it is, and set_robust_list(2). -ENOSYS with an arena. */
long host_shared_futex(uint32_t *uaddr, int op, uint32_t value, unsigned long value2,
                       uint32_t *uaddr2, uint32_t value3);
long host_shared_futex_wait(uint32_t *uaddr, uint32_t value, uint64_t deadline_ns,
                            uint32_t bitset); /* blocking */
void host_robust_list(const void *uhead, size_t len);
