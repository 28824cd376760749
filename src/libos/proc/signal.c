/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signal queues: what is pending for whom. Lock: process.sig_lock. */
#include "libos/proc/signal.h"
#include "host/host_process.h"
#include "libos/process.h"
#include "libos/sync/signalfd.h"
#include "libos/time/timer.h"

#define FAULTS                                                                              \
    (SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGILL) | SIGBIT(SIGTRAP) | SIGBIT(SIGFPE) | \
     SIGBIT(SIGSYS))
#define MOST_QUEUED 32768 /* RLIMIT_SIGPENDING's order of magnitude */

void signal_queue_init(struct sigqueue *q)
{
    q->set = 0;
    q->count = 0;
    list_init(&q->entries);
}

void signal_queue_flush(struct sigqueue *q)
{
    list_for_each_safe (it, &q->entries) {
        list_del(it);
        heap_free(list_entry(it, struct sigqueue_entry, link));
    }
    signal_queue_init(q);
}

static bool default_ignored(int sig)
{
    return sig == SIGCHLD || sig == SIGURG || sig == SIGWINCH || sig == SIGCONT;
}

/* Under sig_lock. An ignored signal is dropped unless a thread blocks it (it may be wanted later).
 */
static bool is_ignored(struct process *p, struct thread *t, int sig)
{
    uint64_t handler = p->sighand.action[sig - 1].handler;
    if (sig == SIGKILL || sig == SIGSTOP)
        return false;
    if (t && t->blocked & SIGBIT(sig))
        return false;
    return handler == 1 || (handler == 0 && default_ignored(sig));
}

/* The entry of that timer, whatever its setting. */
static struct sigqueue_entry *entry_of_timer(struct sigqueue *q, uint64_t mark)
{
    list_for_each (it, &q->entries) {
        struct sigqueue_entry *e = list_entry(it, struct sigqueue_entry, link);
        if (e->timer >> 32 == mark >> 32)
            return e;
    }
    return NULL;
}

/* `mark`: 0, or as for signal_send_timer(). */
static int queue_add(struct sigqueue *q, const siginfo_t *info, uint64_t mark)
{
    int sig = info->si_signo;
    if (!mark && sig < 32 && q->set & SIGBIT(sig))
        return 0;
    struct sigqueue_entry *e = mark && q->set & SIGBIT(sig) ? entry_of_timer(q, mark) : NULL;
    if (e) {
        e->info = *info;
        e->timer = mark;
        return 0;
    }
    if (q->count >= MOST_QUEUED)
        return -EAGAIN;
    e = heap_alloc(sizeof(*e));
    if (!e)
        return -EAGAIN;
    e->info = *info;
    e->timer = mark;
    list_add_tail(&q->entries, &e->link);
    q->set |= SIGBIT(sig);
    q->count++;
    signalfd_notify(sig);
    return 0;
}

/* SIGCONT discards pending stops, and the other way round (signal(7)). */
static void discard(struct sigqueue *q, sigmask which)
{
    list_for_each_safe (it, &q->entries) {
        struct sigqueue_entry *e = list_entry(it, struct sigqueue_entry, link);
        if (which & SIGBIT(e->info.si_signo)) {
            list_del(it);
            heap_free(e);
            q->count--;
        }
    }
    q->set &= ~which;
}

#define STOPS (SIGBIT(SIGSTOP) | SIGBIT(SIGTSTP) | SIGBIT(SIGTTIN) | SIGBIT(SIGTTOU))

void signal_discard_ignored(struct process *p, int sig)
{
    uint64_t handler = p->sighand.action[sig - 1].handler;
    if (handler != 1 && !(handler == 0 && default_ignored(sig)))
        return;
    discard(&p->pending, SIGBIT(sig));
    list_for_each (it, &p->threads)
        discard(&list_entry(it, struct thread, siblings)->pending, SIGBIT(sig));
}

static void before_queueing(struct process *p, struct sigqueue *q, int sig)
{
    if (sig == SIGCONT) {
        discard(q, STOPS);
        discard(&p->pending, STOPS);
    } else if (STOPS & SIGBIT(sig)) {
        discard(q, SIGBIT(SIGCONT));
        discard(&p->pending, SIGBIT(SIGCONT));
    }
}

static void wake_for(struct thread *t)
{
    work_set(t, WORK_SIGNAL);
    if (t != current())
        thread_kick(t);
}

static int send_thread(struct thread *t, const siginfo_t *info, uint64_t mark)
{
    struct process *p = t->process;
    lock(&p->sig_lock);
    int err = 0;
    before_queueing(p, &t->pending, info->si_signo);
    if (!is_ignored(p, t, info->si_signo))
        err = queue_add(&t->pending, info, mark);
    bool wake = !err && (t->pending.set & ~t->blocked);
    unlock(&p->sig_lock);
    unpark_those();
    if (wake || t->waiting_for & SIGBIT(info->si_signo))
        wake_for(t);
    return err;
}

int signal_send_thread(struct thread *t, const siginfo_t *info)
{
    return send_thread(t, info, 0);
}

/* Some thread that does not block the signal, the caller first. Under process.lock. */
static struct thread *choose_thread(struct process *p, int sig)
{
    sigmask bit = SIGBIT(sig);
    struct thread *me = current();
    if (me->process == p && (!(me->blocked & bit) || me->waiting_for & bit))
        return me;
    list_for_each (it, &p->threads) {
        struct thread *t = list_entry(it, struct thread, siblings);
        if (!(t->blocked & bit) || t->waiting_for & bit)
            return t;
    }
    return NULL;
}

static int send_process(struct process *p, const siginfo_t *info, uint64_t mark)
{
    int sig = info->si_signo;
    lock(&p->lock);
    struct thread *t = choose_thread(p, sig);
    lock(&p->sig_lock);
    int err = 0;
    before_queueing(p, &p->pending, sig);
    if (!t || !is_ignored(p, t, sig))
        err = queue_add(&p->pending, info, mark);
    unlock(&p->sig_lock);
    if (t && t->blocked & SIGBIT(sig)) /* it blocked the signal meanwhile */
        t = choose_thread(p, sig);
    if (t && !err)
        wake_for(t);
    unlock(&p->lock);
    unpark_those();
    return err;
}

int signal_send_process(struct process *p, const siginfo_t *info)
{
    return send_process(p, info, 0);
}

struct thread *signal_thread(struct process *p, int tid)
{
    list_for_each (it, &p->threads) {
        struct thread *t = list_entry(it, struct thread, siblings);
        if (t->tid == tid)
            return t;
    }
    return NULL;
}

int signal_send_timer(struct process *p, int tid, const siginfo_t *info, uint64_t mark)
{
    if (!tid)
        return send_process(p, info, mark);
    lock(&p->lock);
    struct thread *t = signal_thread(p, tid);
    int err = t ? send_thread(t, info, mark) : -ESRCH;
    unlock(&p->lock);
    return err;
}

static bool take_from(struct sigqueue *q, sigmask want, siginfo_t *info, uint64_t *timer)
{
    sigmask ready = q->set & want;
    if (!ready)
        return false;
    /* Faults first, then by number (Linux's order). */
    sigmask pool = ready & FAULTS ? ready & FAULTS : ready;
    int sig = __builtin_ctzl(pool) + 1;
    struct sigqueue_entry *found = NULL;
    bool more = false;
    list_for_each (it, &q->entries) {
        struct sigqueue_entry *e = list_entry(it, struct sigqueue_entry, link);
        if (e->info.si_signo != sig)
            continue;
        if (found) {
            more = true;
            break;
        }
        found = e;
    }
    if (!more)
        q->set &= ~SIGBIT(sig);
    assert(found);
    *info = found->info;
    *timer = found->timer;
    list_del(&found->link);
    heap_free(found);
    q->count--;
    return true;
}

/* What the host sent to this thread: for the process, unless tgkill sent it. */
static void take_in(struct thread *t, const siginfo_t *info)
{
    if (info->si_code == SI_TKILL)
        signal_send_thread(t, info);
    else
        signal_send_process(t->process, info);
}

/* There is room for what the host holds back; it may come before this returns. */
static void let_more_come(struct host_signal_box *box)
{
    sigmask set = HELD_BACK;
    if (likely(!__atomic_exchange_n(&box->held_back, false, __ATOMIC_ACQ_REL)))
        return;
    host_sigmask(SIG_UNBLOCK, set);
}

/* Moves what the host's handler noted into the queues. Holds no lock. */
static void empty_box(struct thread *t)
{
    struct host_signal_box *box = &t->box;
    uint32_t work = __atomic_load_n(&t->work, __ATOMIC_SEQ_CST);
    if (unlikely(work & WORK_TIMER)) {
        work_clear(t, WORK_TIMER);
        timers_look();
    }
    if (!(work & WORK_HOSTSIG))
        return;
    work_clear(t, WORK_HOSTSIG);
    sigmask standard = __atomic_load_n(&box->standard, __ATOMIC_ACQUIRE);
    while (standard) {
        int sig = __builtin_ctzl(standard) + 1;
        siginfo_t info = box->standard_info[sig];
        __atomic_fetch_and(&box->standard, ~SIGBIT(sig), __ATOMIC_RELEASE);
        standard &= ~SIGBIT(sig);
        take_in(t, &info);
    }
    while (box->rt_tail != __atomic_load_n(&box->rt_head, __ATOMIC_ACQUIRE)) {
        siginfo_t info = box->rt[box->rt_tail % BOX_RT_SLOTS];
        __atomic_store_n(&box->rt_tail, box->rt_tail + 1, __ATOMIC_RELEASE);
        take_in(t, &info);
    }
    let_more_come(box);
}

void signal_forget_host(struct thread *t)
{
    struct host_signal_box *box = &t->box;
    work_clear(t, WORK_HOSTSIG);
    __atomic_store_n(&box->standard, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&box->rt_tail, box->rt_head, __ATOMIC_RELEASE);
    box->held_back = false;
}

sigmask signal_effective_mask(const struct thread *t)
{
    return t->vfork ? t->blocked | ~FAULTS : t->blocked;
}

bool signal_pending(struct thread *t)
{
    empty_box(t);
    lock(&t->process->sig_lock);
    bool yes = (t->pending.set | t->process->pending.set) & ~signal_effective_mask(t);
    if (!yes)
        work_clear(t, WORK_SIGNAL);
    unlock(&t->process->sig_lock);
    return yes;
}

int signal_take(struct thread *t, sigmask want, siginfo_t *info)
{
    struct process *p = t->process;
    uint64_t timer;
    bool found, shared;
    empty_box(t);
    do {
        timer = 0;
        lock(&p->sig_lock);
        found = take_from(&t->pending, want, info, &timer);
        shared = !found && take_from(&p->pending, want, info, &timer);
        if (found || shared)
            signalfd_taken(t->pending.set | p->pending.set);
        unlock(&p->sig_lock);
    } while (unlikely(timer) && !timer_delivered(timer, info));
    if (shared && info->si_signo == SIGALRM)
        timers_alarm_delivered();
    return found || shared ? info->si_signo : 0;
}

void signal_recheck(struct thread *t)
{
    struct process *p = t->process;
    lock(&p->sig_lock);
    if ((t->pending.set | p->pending.set) & ~signal_effective_mask(t))
        work_set(t, WORK_SIGNAL);
    unlock(&p->sig_lock);
}

/* A process-wide signal that waited for `t` must find another thread. */
static void wake_others(struct thread *t)
{
    struct process *p = t->process;
    lock(&p->lock);
    list_for_each (it, &p->threads) {
        struct thread *other = list_entry(it, struct thread, siblings);
        if (other != t && p->pending.set & (~other->blocked | other->waiting_for))
            wake_for(other);
    }
    unlock(&p->lock);
}

void signal_set_blocked(struct thread *t, sigmask mask)
{
    struct process *p = t->process;
    sigmask newly = mask & ~t->blocked;
    t->blocked = mask & ~SIG_UNBLOCKABLE;
    signal_recheck(t);
    if (p->pending.set & newly && p->nthreads > 1)
        wake_others(t);
}

void signal_leave(struct thread *t)
{
    t->waiting_for = 0;
    t->blocked = ~0UL;
    t->box.held_back = false; /* stays so: other threads get them */
    empty_box(t);
    wake_others(t);
}

void signal_force(struct thread *t, const siginfo_t *info)
{
    struct process *p = t->process;
    int sig = info->si_signo;
    lock(&p->sig_lock);
    struct ksigaction *a = &p->sighand.action[sig - 1];
    if (t->blocked & SIGBIT(sig) || a->handler == 1)
        a->handler = 0; /* a blocked or ignored fault kills (force_sig) */
    t->blocked &= ~SIGBIT(sig);
    queue_add(&t->pending, info, 0);
    unlock(&p->sig_lock);
    unpark_those();
    work_set(t, WORK_SIGNAL);
}

void signals_in_child(void)
{
    struct thread *t = current();
    signal_queue_flush(&t->process->pending);
    signal_queue_flush(&t->pending);
}

/* Of timers, which end at execve: alarm's stays. */
static void drop_of_timers(struct sigqueue *q)
{
    q->set = 0;
    list_for_each_safe (it, &q->entries) {
        struct sigqueue_entry *e = list_entry(it, struct sigqueue_entry, link);
        if (!e->timer) {
            q->set |= SIGBIT(e->info.si_signo);
            continue;
        }
        list_del(it);
        heap_free(e);
        q->count--;
    }
}

void signals_exec(void)
{
    struct thread *t = current();
    struct process *p = t->process;
    lock(&p->sig_lock);
    drop_of_timers(&p->pending);
    drop_of_timers(&t->pending);
    for (int i = 0; i < NSIG_MAX; i++) {
        uint64_t ignore = p->sighand.action[i].handler == 1;
        p->sighand.action[i] = (struct ksigaction){.handler = ignore};
    }
    unlock(&p->sig_lock);
    t->altstack = (struct sigaltstack_state){.flags = SS_DISABLE};
}
