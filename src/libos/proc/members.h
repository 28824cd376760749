/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The processes of the run, and what each says of itself to the others, for /proc/PID. The table
 * lies in memory that all of them share. A process enters it by being forked and never leaves it
 * by itself: whether it still lives, the host knows, by its number and the time of its start. So it
 * does not matter how it ends. Who is not in it does not exist for the program: proc/reach.h. What
 * a member says of itself any process of the run can write: nothing that protects anything may
 * depend on that.
 */
#pragma once
#include "libos/process.h"

struct member {
    uint32_t seq; /* odd while its process changes it */
    int dumpable;
    char comm[16];
    uint32_t umask, personality;
    uint32_t has_execed; /* since it was forked */
    uint64_t vm_size;    /* bytes mapped */
    uint64_t arg_start, arg_end, env_start, env_end, auxv_start, auxv_end;
    struct credentials cred;
    struct rlimit64 limits[RLIM_NLIMITS];
    uint32_t exe_at, cmdline_at, root_at, cwd_at, end; /* in text, ascending; paths end in NUL */
    char text[14 << 10];                               /* what does not fit is cut off or empty */
};

/* Makes the table; the first process enters it. Before any fork. */
void members_setup(void);

/* Around a fork, the world standing still: an entry is made for the child, a copy of ours. `pid` as
 * fork returned it, in parent and child. -EAGAIN: there is no room, and nobody could name the
 * child; it is not to be made then. */
int member_before_fork(void);
void member_after_fork(long pid);

/* What has changed is published. A vfork child that has no process of its own yet publishes
 * nothing: it has neither entry nor number. */
void member_changed(void);       /* everything but program, arguments and paths */
void member_changed_paths(void); /* under fs.lock */
/* A new program: all of it. `cmdline` are its arguments as they stand in memory. */
void member_exec(const char *cmdline, size_t len);
/* The size of the address space, often. */
void member_set_size(uint64_t bytes);

/* The lowest number >= from of another living process of the run; -1: none. */
long member_next(long from);
/* Is it one, and is it alive, or dead and not yet waited for? */
bool member_alive(int pid);
/* A number of its /proc/PID/stat (proc(5)); -ESRCH: it is none of the run. */
long member_stat(int pid, int field);
/* The other process of the run that has this thread; 0: none. */
int member_of_thread(int tid);
/* Has the thread, of any process of the run, ended (waited for or not)? When in doubt: no. */
bool member_thread_ended(int tid);
/* Calls `each` with every other process of the run, those included that are just being forked;
 * later_too: as long as there are new ones. -ENOMEM, or 0. */
int members_each(bool later_too, void (*each)(int pid, void *ctx), void *ctx);
/* Has another process of the run called execve since it was forked? */
bool member_has_execed(int pid);
/* A copy of what another process of the run has published, to be freed with heap_free. NULL: there
 * is none, or no memory. */
struct member *member_get(int pid);
