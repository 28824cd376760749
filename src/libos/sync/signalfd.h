/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include "libos/libos.h"

/* A signal was queued: wakes those who wait for it on a descriptor, once unpark_those() follows.
 * Under process.sig_lock. */
void signalfd_notify(int sig);
/* A signal was taken from the queues and `pending` ones are left: descriptors that want none of
 * those are no longer readable. Under process.sig_lock. */
void signalfd_taken(sigmask pending);
/* Those that an epoll watches can be watched by two processes from now on. 0 or an errno. */
int signalfds_before_fork(void);
/* In the child, where nothing is pending: its descriptors tell of its own queues from now on. An
 * epoll of the parent's that the child inherited still tells of the parent's. */
void signalfd_in_child(void);
