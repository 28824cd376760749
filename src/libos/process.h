/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A process of the application. Everything that Linux keeps per process hangs off it, never off
 * globals: a vfork child, or a second process in one memory, is a second struct process.
 */
#pragma once
#include "libos/fs/vfs.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/mm/mm.h"
#include "libos/proc/signal.h"
#include "libos/thread.h"
#include "manifest/compiled.h"
#include <linux/resource.h>

#define NGROUPS_MAX_OURS 64

struct credentials {
    uint32_t uid, euid, suid, fsuid;
    uint32_t gid, egid, sgid, fsgid;
    uint32_t ngroups;
    uint32_t groups[NGROUPS_MAX_OURS];
    uint64_t caps_given_up, caps_lowered; /* see proc/caps.c */
    uint64_t caps_unbounded, caps_inheritable;
};

/*
 * Who our parent is, known without asking the host each time: the host tells the main thread when
 * the parent is gone (PR_SET_PDEATHSIG, with NOTICE_SIGNAL). See proc/ids.c.
 */
struct parent_watch {
    int armed_by;  /* pid of the process that asked to be told; another one: inherited by fork */
    int signal;    /* the application's own PR_SET_PDEATHSIG, valid like armed_by */
    uint64_t word; /* atomic: count of losses << 32 | parent, 0 while unknown */
};

/* Its entry in the table of the run: proc/members.c. */
struct membership {
    int own;       /* our entry; -1: none, or not looked for yet */
    int childs;    /* the entry that was made for the last child, or -1, */
    uint64_t mark; /* and what marks it until its parent comes back */
    bool settled;
};

struct process {
    int pid;
    bool is_first;            /* of the run */
    struct membership member; /* here, where a fork writes anyway, in parent and child */

    struct lock lock; /* threads, exit state, limits, comm */
    struct list threads;
    uint32_t nthreads;
    bool exiting;
    bool ending_others;    /* execve or exit: new threads are to end at once */
    bool stopping;         /* world_stop is on */
    uint32_t parked;       /* threads that stopped */
    uint32_t stop_epoch;   /* futex: changes when the world goes on */
    uint32_t thread_event; /* futex: changes when a thread parks or ends */
    int exit_status;       /* wait status once exiting */

    struct lock sig_lock; /* sighand, pending queues of process and threads */
    struct sighand sighand;
    struct sigqueue pending;

    struct exec_ready *exec_ready; /* for the first thread to finish, or NULL; under lock */

    struct fdtable fds;
    struct fs_state fs;
    struct mm mm;
    struct credentials cred;
    struct rlimit64 limits[RLIM_NLIMITS];

    char *exe; /* absolute path inside */
    /* Application addresses, for /proc. */
    uint64_t arg_start, arg_end, env_start, env_end, auxv_start, auxv_end;
    uint64_t start_ns; /* host CLOCK_BOOTTIME at start */
    char comm[16];
    int dumpable;
    struct parent_watch parent;
    uint32_t personality;
};

static inline struct process *current_process(void)
{
    return current()->process;
}

/* For the platform's signal handler, lock-free: `sender` sent NOTICE_SIGNAL. -1 when that is not
 * the news that the parent is gone, else the signal that the application wants for it, or 0. */
int parent_lost(struct process *p, int sender);

/* One run of the program: the manifest and what was made of it at start; read-only afterwards. */
struct run {
    struct mf manifest;
    int trees_fd;     /* host descriptor of the Merkle-tree sidecar, or -1 */
    const char *name; /* path prefix given to the launcher */
    char **host_envp; /* the launcher's environment, untrusted */
    int host_argc;    /* user arguments */
    char **host_argv;
    const uint64_t *host_auxv; /* pairs, AT_NULL ends */
};
extern struct run run;

/* The first process; set up by libos_start. */
extern struct process *first_process;

/* Called by the platform on the first thread, its structure installed: starts the program and never
 * returns. */
__attribute__((noreturn)) void libos_start(void);

/* Ends the process with a wait status ((code << 8) or signal number). The first process of the run,
 * whose status is the launcher's, ends with 128 + the signal's number. */
__attribute__((noreturn)) void process_exit(int wait_status);
/* Ends the process by the signal, for whoever waits for it: one that came from outside the run
 * (^C, a service manager) ends the first process as such. */
__attribute__((noreturn)) void process_killed(int sig, const siginfo_t *info);

/* Stop the world: on return every other thread of the process is parked without holding a lock.
 * The caller holds none. */
void world_stop(void);
void world_resume(void);
