/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Who can be named by a number. Processes, threads and groups have the host's numbers, and the
 * host has many that are no part of the run: for the program they do not exist (the rule of
 * pid_namespaces(7)). Every call that takes such a number passes it through here first.
 */
#pragma once
#include "libos/libos.h"
#include <asm/siginfo.h>

/* A number that no process has (PID_MAX_LIMIT is less): with it the host answers as it does for a
 * missing one, its other checks in their usual order. */
#define RUN_NOBODY 0x0fffffff

/* Before any fork. */
void reach_setup(void);

/* Whom `pid`, a process of the run, has for a parent when the host says `parent`: one outside is
 * not seen. 0 for the first process, as in a pid namespace; 1 for one whose parent has gone. */
int run_parent(int pid, int parent);
/* The process of the run, ours included, that has the thread; 0: there is none. */
int run_process_of(int tid);
/* `tid` itself if a process of the run has it or it is 0 or negative, else RUN_NOBODY. */
int run_named(int tid);

/* May we signal the process of the run? Always true of a number that is no signal's. */
bool run_may_signal(int pid, int sig);

/*
 * Groups. The one in which the run was started may have members outside: terminals may be handed
 * to it, and processes may go back to it (a shell does both at its end), but it is signalled
 * member by member.
 */
int run_named_group(int pgid);
/* Can somebody outside be in it? */
bool run_group_is_mixed(int pgid);
/* Is there a process of the run in it? */
bool run_has_group(int pgid);

/* The clock of a process or thread (clock_getcpuclockid(3)): that of nobody unless the run has it.
 * Clocks of descriptors are none, the host would take the number for one of its own. */
int run_named_clock(int clock);

/* The lowest thread number >= from of a process of the run, ours included; -1: none. */
long run_next_thread(int pid, long from);

/*
 * Signals to a process by the number of any of its threads, to the processes of a group, to all
 * but ourselves and pid 1 (kill(2)). si_signo 0 looks only. The number may change hands meanwhile:
 * nobody else gets the signal. Takes process.lock and process.sig_lock.
 */
long run_signal(int pid, const siginfo_t *info);
long run_signal_group(int pgid, const siginfo_t *info);
long run_signal_all(const siginfo_t *info);

/* A host descriptor for a process of the run, or an errno. */
long run_pidfd(int pid, unsigned flags);
