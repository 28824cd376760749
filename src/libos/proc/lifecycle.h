/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the rooms of the library OS do when a process forks, execs or ends: one table, lifecycle.c,
 * in which each room that has state of its own for a process has a row.
 */
#pragma once
#include "libos/libos.h"

/* Makes the host's process. 0 in the child, its pid in the parent, or an errno. */
typedef long life_make(void *arg);

/*
 * A fork, the world stopped: the rooms prepare, `make(arg)` is called, the rooms hear how it went.
 * `ended`: the child will be one that has ended already, so only rooms that outsiders look at take
 * part. Returns what `make` did, or the errno of a room that refused. In the child life_in_child()
 * is still to come.
 */
long life_fork(bool ended, life_make *make, void *arg);
/* In the child: what belongs to the parent goes. */
void life_in_child(void);
/* execve, past the point of return, the other threads gone: what a program does not inherit goes.
 */
void life_exec(void);
/* The process ends, the other threads gone: what is still to be written is. */
void life_exit(void);
