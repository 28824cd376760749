/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Processes and threads of the host (host_process.c, host_sched.c); part of the host interface, see
 * host.h. Structures are library-OS memory; NULL where a call allows it.
 */
#pragma once
#include "host/host.h"
#include "libos/proc/signal.h"
#include <linux/resource.h>

struct sched_attr;

/* ---- numbers ---- */
int host_getpid(void);
int host_getppid(void);
int host_getpgid(int pid);
int host_setpgid(int pid, int group);
uint32_t host_umask(uint32_t mask); /* the old one */

/* ---- children ---- */
/* Blocking. The child's number, 0 with WNOHANG, or an errno; *status only in the first case. */
int host_wait4(int pid, int *status, int options, struct rusage *usage);
int host_waitid(int which, int id, siginfo_t *info, int options, struct rusage *usage);
/* PR_SET_PDEATHSIG. */
int host_tell_parents_end(int sig);

/* ---- signals ---- */
int host_pidfd_open(int pid, unsigned flags);
int host_pidfd_signal(int fd, int sig, const siginfo_t *info);
int host_sigqueue(int pid, int sig, const siginfo_t *info);
int host_tgsigqueue(int pid, int tid, int sig, const siginfo_t *info);
/* The calling thread's mask: SIG_BLOCK, SIG_UNBLOCK. */
void host_sigmask(int how, sigmask set);

/* ---- what a thread or process is ---- */
void host_set_name(const char name[16]);
/* prctl(2) of operations whose arguments are numbers. */
long host_prctl(int op, long a, long b, long c, long d);
int host_is_subreaper(int *yes);
/* PR_SET_VMA: `name` NULL: none any more. */
int host_name_memory(long what, uintptr_t addr, size_t len, const char *name);
/* ARCH_GET_XCOMP_SUPP and its like. */
int host_get_features(int op, uint64_t *mask);
/* Another process: prlimit(2). */
int host_rlimit(int which, const struct rlimit64 *new, struct rlimit64 *old);
/* process_vm_readv(2): at most ARENA_MOST bytes. */
ssize host_read_process(int pid, uint64_t from, void *buf, size_t n);

/* ---- scheduling (sched(7)) ---- */
#define HOST_MOST_CPU_BYTES PAGE_SIZE
void host_yield(void);
int host_set_affinity(int pid, const void *mask, size_t len); /* at most HOST_MOST_CPU_BYTES */
int host_get_affinity(int pid, void *mask, size_t len);       /* bytes written, or an errno */
int host_set_scheduler(int pid, int policy, const int *priority);
int host_get_scheduler(int pid);
int host_set_priority_of(int pid, const int *priority); /* sched_setparam */
int host_get_priority_of(int pid, int *priority);
int host_set_sched_attr(int pid, const void *attr, unsigned flags); /* as long as its `size` says */
int host_get_sched_attr(int pid, void *attr, unsigned size, unsigned flags);
int host_knows_policy(int policy); /* one without priorities: 0, or -EINVAL */
int host_rr_interval(int pid, struct __kernel_timespec *ts);
int host_getcpu(uint32_t *cpu, uint32_t *node);
int host_get_nice(int which, int who); /* 20 - nice */
int host_set_nice(int which, int who, int nice);
int host_get_ioprio(int which, int who);
int host_set_ioprio(int which, int who, int prio);
