/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include "libos/process.h"

/* What clone(2) and clone3(2) ask for, decoded. */
struct clone_request {
    uint64_t flags;
    uint64_t stack; /* 0: keep */
    uint64_t tls;
    uint32_t *parent_tid, *child_tid; /* application addresses */
    int *pidfd;
    struct file *pidfd_file; /* CLONE_PIDFD: counted; waits for the child's host descriptor */
    int pidfd_number;
};

/* Makes the child's process. 0 in the child, its pid in the parent, or an errno. The world is
 * stopped. */
/* A child that has ended already, with the exit code. As clone_fork in the parent. */
long clone_ended(struct clone_request *c, int code);
long clone_fork(struct clone_request *c);

/* In a new host process: this thread is all there is of it. */
void clone_become_child(struct process *p, const struct clone_request *c);
