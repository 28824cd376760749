/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The end of a thread, and of a process. */
#include "libos/proc/lifecycle.h"
#include "libos/proc/members.h"
#include "libos/proc/vfork.h"
#include "libos/process.h"
#include "libos/sync/futex.h"
#include "host/host.h"
#include "libos/log.h"
#include "platform/platform.h"

void thread_release_user(struct thread *t)
{
    futex_robust_exit(t);
    if (t->clear_tid) {
        uint32_t zero = 0;
        if (put_user(t->clear_tid, zero) == 0)
            futex_wake_address(t->clear_tid, 1);
        t->clear_tid = NULL;
    }
}

void thread_exit(int status)
{
    vfork_exit(status & 0xff);
    struct thread *t = current();
    struct process *p = t->process;
    lock(&p->lock); /* clone() has stored our id before it let the lock go */
    bool last = p->nthreads == 1;
    unlock(&p->lock);
    if (last)
        process_exit((status & 0xff) << 8);
    thread_release_user(t);
    platform_block_signals();
    thread_close_own(t);
    signal_leave(t);
    lock(&p->lock);
    if (p->nthreads == 1) { /* the others went meanwhile */
        unlock(&p->lock);
        process_exit((status & 0xff) << 8);
    }
    list_del(&t->siblings);
    p->nthreads--;
    __atomic_fetch_add(&p->thread_event, 1, __ATOMIC_SEQ_CST);
    host_futex_wake(&p->thread_event, INT32_MAX);
    unlock(&p->lock);
    platform_thread_end(t);
}

/* Only one thread ends the process; the others wait for it to end them. */
static void claim_exit(struct process *p)
{
    lock(&p->lock);
    bool mine = !p->exiting && !p->ending_others; /* else another ends us */
    p->exiting |= mine;
    unlock(&p->lock);
    while (!mine) {
        struct thread *t = current();
        interrupted();
        thread_end_if_told();
        host_futex_wait_lock(&t->park_word, t->park_word);
    }
}

/* The terminal, or a process that is not of the run. */
static bool is_from_outside(int sig, const siginfo_t *info)
{
    if (info->si_code == SI_KERNEL)
        return sig == SIGINT || sig == SIGQUIT || sig == SIGHUP;
    if (info->si_code != SI_USER && info->si_code != SI_TKILL && info->si_code != SI_QUEUE)
        return false;
    return info->si_pid != current_process()->pid && !member_alive(info->si_pid);
}

void process_killed(int sig, const siginfo_t *info)
{
    vfork_commit();
    struct process *p = current_process();
    if (is_from_outside(sig, info))
        p->is_first = false; /* it dies as any other */
    process_exit(sig);
}

void process_exit(int wait_status)
{
    if (!(wait_status & 0x7f))
        vfork_exit(wait_status >> 8);
    vfork_commit();
    struct process *p = current_process();
    claim_exit(p);
    /* Where something is still to be written, other threads must not be at it. */
    if (__atomic_load_n(&files_to_flush, __ATOMIC_ACQUIRE)) {
        threads_end_others();
        life_exit();
    }
    int sig = wait_status & 0x7f;
    if (sig)
        log_debug("---- exit_group (killed by signal %d)", sig);
    else
        log_debug("---- exit_group (returning %d)", wait_status >> 8);
    if (sig && !p->is_first)
        platform_die_of_signal(sig);
    host_exit_group(sig ? 128 + sig : wait_status >> 8);
}
