/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * vfork: the child begins as a virtual process on the parent's own thread, in the parent's memory,
 * with copies of what Linux does not share (descriptors, handlers, directory, mask). The host's
 * process is made only when the child execs, ends, or does something that needs one. Until then
 * the other threads of the parent are stopped and signals wait.
 */
#pragma once
#include "libos/process.h"

struct clone_request;

/* In the calling thread: become the virtual child. 0, or an errno and nothing changed. */
int vfork_begin(const struct clone_request *c);
/* If the caller is a virtual child: make it a real process. Returns in the child only (or when
 * there was nothing to do); the parent goes on behind its own vfork. */
void vfork_commit(void);
/* The virtual child, if the caller runs in one, ends: a process that has done so takes its place,
 * and the parent goes on. Else returns. */
void vfork_exit(int code);
/* The same; the parent calls `let_go(arg)` for what the caller holds and will not come back to. */
void vfork_commit_with(void (*let_go)(void *arg), void *arg);
/* Before system call `nr` of a virtual child: commits unless the call concerns copied state only.
 */
void vfork_before_call(unsigned long nr);
