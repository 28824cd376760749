/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signals: numbers, queues, dispositions (Linux's kernel ABI; signal(7)). */
#pragma once
#include "libos/libos.h"
#include "libos/lib/list.h"
#include <asm/siginfo.h>
#include <asm/signal.h>

/* sigaltstack(2) flags (linux/signal.h, which clashes with asm/siginfo.h in older kernels). */
#ifndef SS_ONSTACK
#    define SS_ONSTACK    1
#    define SS_DISABLE    2
#    define SS_AUTODISARM (1U << 31)
#endif

#define NSIG_MAX        64
#define SIGBIT(n)       (1UL << ((n)-1))
#define SIG_UNBLOCKABLE (SIGBIT(SIGKILL) | SIGBIT(SIGSTOP))
#define HELD_BACK       (~0UL << 31) /* the real-time signals */

struct ksigaction {   /* struct kernel_sigaction */
    uint64_t handler; /* 0 SIG_DFL, 1 SIG_IGN */
    uint64_t flags;
    uint64_t restorer;
    sigmask mask;
};

struct sigqueue_entry {
    struct list link;
    uint64_t timer; /* whose signal it is: what signal_send_timer() was given, or 0 */
    siginfo_t info;
};

/* Pending signals: standard ones at most once, real-time ones queued in order. */
struct sigqueue {
    sigmask set;
    struct list entries;
    uint32_t count;
};

struct sigaltstack_state {
    uint64_t sp;
    uint64_t size;  /* 0: none */
    uint32_t flags; /* as they were given */
};

/*
 * Filled by the host's signal handler, which can take no lock; emptied by the thread itself. With
 * all slots taken the thread blocks real-time signals at the host, which then keeps them.
 */
#define BOX_RT_SLOTS 64
struct host_signal_box {
    sigmask standard;            /* atomic */
    siginfo_t standard_info[32]; /* valid where the bit is set */
    uint32_t rt_head, rt_tail;
    bool held_back; /* the host's mask has HELD_BACK */
    siginfo_t rt[BOX_RT_SLOTS];
};

struct fault_info {
    siginfo_t info;
    uint64_t trapno, error_code, address;
};

struct sighand {
    struct ksigaction action[NSIG_MAX];
};

struct thread;
struct process;
struct regs;

/* Queues a signal to a thread or a process of ours. 0, or -EAGAIN when the queue is full. Ignored
 * signals vanish here. Takes process.sig_lock. */
int signal_send_thread(struct thread *t, const siginfo_t *info);
int signal_send_process(struct process *p, const siginfo_t *info);
/*
 * The signal of a timer, to the thread `tid` or (0) the process. `mark` (not 0): the timer in the
 * upper half, its setting in the lower one. A signal of the same timer that is in the queue becomes
 * this one. There may be several timers' of one number at once. 0, -ESRCH, -EAGAIN.
 */
int signal_send_timer(struct process *p, int tid, const siginfo_t *info, uint64_t mark);
/* The thread with this id, under process.lock; NULL: none. */
struct thread *signal_thread(struct process *p, int tid);
/* A fault of the running thread: cannot be ignored or blocked. */
void signal_force(struct thread *t, const siginfo_t *info);

void signal_queue_init(struct sigqueue *q);
void signal_queue_flush(struct sigqueue *q);
/* Is some pending signal not blocked, for the calling thread? Empties the host-signal box first. */
bool signal_pending(struct thread *t);
/* In a forked child, which has none pending; in execve, which leaves no handlers. */
void signals_in_child(void);
void signals_exec(void);
/* Takes the next pending signal of `want`; returns its number, 0 when there is none. */
int signal_take(struct thread *t, sigmask want, siginfo_t *info);
/* Drops pending instances of a signal that is ignored from now on (under process.lock and
 * sig_lock). */
void signal_discard_ignored(struct process *p, int sig);
/* In a new process, all host signals still blocked: what came for the parent is not for it. */
void signal_forget_host(struct thread *t);
/* What is not delivered now: the blocked set, and in a vfork child everything but faults. */
sigmask signal_effective_mask(const struct thread *t);
void signal_set_blocked(struct thread *t, sigmask mask);
/* `t`, the calling thread, ends and hears of no host signal any more: what was sent to the process
 * by way of it goes to another one. */
void signal_leave(struct thread *t);
/* Recomputes WORK_SIGNAL after the mask or a queue changed. */
void signal_recheck(struct thread *t);

/* Before returning to the application: runs default actions, pushes handler frames on the
 * application's stack (proc/signal_deliver.c). `r` is what the application will resume with. */
void signal_deliver(struct thread *t, struct regs *r);
/* Does `sp` lie on the alternate stack, for deliveries to go on there? With SS_AUTODISARM, never.
 */
bool altstack_holds(const struct sigaltstack_state *a, uint64_t sp);
/* sigaltstack(2) by a thread whose stack pointer is `sp`: 0 or an errno. */
int altstack_set(struct sigaltstack_state *a, const stack_t *ss, uint64_t sp);
/* rt_sigreturn: restores *r and vector state from the frame on the application's stack. */
long signal_return(struct thread *t, struct regs *r);

/* The disposition of `sig` changed: those of SIGCHLD, SIGTTIN and SIGTTOU concern the host too,
 * which reaps the children, or lets terminals be used, of whoever ignores them. */
void signal_host_disposition(struct process *p, int sig);

/* entry/dispatch.c: called by entry.S. */
void exit_work(struct regs *r);
void fault_dispatch(struct regs *r);
