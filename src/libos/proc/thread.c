/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Threads: parking, stopping the world, ending; clone(2) in its thread form is in clone.c. */
#include "libos/thread.h"
#include "host/host_event.h"
#include "libos/fs/encrypted.h"
#include "libos/proc/vdso.h"
#include "libos/process.h"
#include "libos/sync/wait.h"
#include "platform/platform.h"
#include <asm/unistd.h>
#include <linux/poll.h>
#include <linux/time.h>

/* Whether it is time our own clock says: a host that wakes early only makes the caller look. */
static int judge_time(int r, uint64_t deadline_ns)
{
    bool early = r == -ETIMEDOUT && vdso_clock_ns(CLOCK_MONOTONIC) < deadline_ns;
    return r == -EAGAIN || early ? 0 : r;
}

int park(struct thread *t, uint32_t seen, uint64_t deadline_ns)
{
    return judge_time(host_futex_wait(&t->park_word, seen, deadline_ns), deadline_ns);
}

static int bell_make(struct thread *t)
{
    if (t->has_bell)
        return 0;
    int fd = host_eventfd(0, O_NONBLOCK);
    if (fd < 0)
        return fd;
    t->bell = fd;
    t->has_bell = true;
    return 0;
}

void thread_close_own(struct thread *t)
{
    if (t->has_bell)
        host_close(t->bell);
    t->has_bell = false;
    t->on_bell = 0;
    for (uint32_t i = 0; i < ARRAY_SIZE(t->seen.root); i++) {
        if (t->seen.root[i].fd > 0)
            host_close(t->seen.root[i].fd);
        t->seen.root[i].fd = 0;
    }
}

int park_on_fds(struct thread *t, struct pollfd *fds, uint32_t n, uint32_t seen,
                uint64_t deadline_ns)
{
    long r = bell_make(t);
    if (r)
        return (int)r;
    fds[n] = (struct pollfd){.fd = t->bell, .events = POLLIN};
    __atomic_store_n(&t->on_bell, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&t->park_word, __ATOMIC_SEQ_CST) == seen) {
        struct __kernel_timespec ts = time_until(deadline_ns);
        r = host_poll(fds, n + 1, deadline_ns ? &ts : NULL, true);
        r = r ? r : -ETIMEDOUT;
    }
    __atomic_store_n(&t->on_bell, 0, __ATOMIC_SEQ_CST);
    uint64_t rings;
    if (r > 0 && fds[n].revents) {
        host_read(t->bell, &rings, sizeof(rings));
        r--;
    }
    return judge_time((int)r, deadline_ns);
}

/* True: the host thread may sleep on the word, and is to be woken. */
static bool call_off(struct thread *t)
{
    __atomic_fetch_add(&t->park_word, 1, __ATOMIC_SEQ_CST);
    if (likely(!__atomic_load_n(&t->on_bell, __ATOMIC_SEQ_CST)))
        return true;
    host_event_add(t->bell, 1);
    return false;
}

void unpark(struct thread *t)
{
    if (call_off(t))
        host_futex_wake(&t->park_word, 1);
}

void unpark_later(struct thread *t)
{
    struct thread *me = current();
    if (!call_off(t))
        return;
    if (me->to_wake_count == ARRAY_SIZE(me->to_wake))
        host_futex_wake(&t->park_word, 1);
    else
        me->to_wake[me->to_wake_count++] = t;
}

void unpark_those(void)
{
    struct thread *me = current();
    /* One that has ended meanwhile is memory that threads keep for each other: woken in vain. */
    while (me->to_wake_count)
        host_futex_wake(&me->to_wake[--me->to_wake_count]->park_word, 1);
}

/* Parked by world_stop: says so and sleeps until the world goes on. */
static void stop_here(struct thread *t)
{
    struct process *p = t->process;
    lock(&p->lock);
    if (!p->stopping) { /* it went on meanwhile */
        work_clear(t, WORK_STOP);
        unlock(&p->lock);
        return;
    }
    uint32_t epoch = p->stop_epoch;
    p->parked++;
    __atomic_fetch_add(&p->thread_event, 1, __ATOMIC_SEQ_CST);
    host_futex_wake(&p->thread_event, INT32_MAX);
    unlock(&p->lock);
    while (__atomic_load_n(&p->stop_epoch, __ATOMIC_SEQ_CST) == epoch)
        host_futex_wait_lock(&p->stop_epoch, epoch);
}

bool interrupted(void)
{
    struct thread *t = current();
    uint32_t work;
    while ((work = __atomic_load_n(&t->work, __ATOMIC_SEQ_CST)) & (WORK_STOP | WORK_FILES)) {
        if (work & WORK_FILES) {
            work_clear(t, WORK_FILES);
            encrypted_let_go();
        }
        if (work & WORK_STOP)
            stop_here(t);
    }
    return signal_pending(t) || work & (WORK_KILL | WORK_EXEC);
}

void thread_end_if_told(void)
{
    if (__atomic_load_n(&current()->work, __ATOMIC_SEQ_CST) & WORK_KILL)
        thread_exit(0);
}

/* Waits, process.lock held, until `done(p)`; gives the lock up while sleeping. */
static void wait_event(struct process *p, bool (*done)(struct process *))
{
    while (!done(p)) {
        uint32_t seen = __atomic_load_n(&p->thread_event, __ATOMIC_SEQ_CST);
        unlock(&p->lock);
        host_futex_wait_lock(&p->thread_event, seen);
        lock(&p->lock);
    }
}

static void signal_others(struct process *p, uint32_t work)
{
    list_for_each (it, &p->threads) {
        struct thread *t = list_entry(it, struct thread, siblings);
        if (t != current()) {
            work_set(t, work);
            thread_kick(t);
        }
    }
}

static bool all_parked(struct process *p)
{
    return p->parked == p->nthreads - 1;
}

void world_stop(void)
{
    struct process *p = current_process();
    lock(&p->lock);
    while (p->stopping) { /* another thread is at it: be stopped by it first */
        unlock(&p->lock);
        interrupted();
        thread_end_if_told();
        lock(&p->lock);
    }
    p->stopping = true;
    p->parked = 0;
    signal_others(p, WORK_STOP);
    wait_event(p, all_parked);
    unlock(&p->lock);
}

void world_resume(void)
{
    struct process *p = current_process();
    lock(&p->lock);
    p->stopping = false;
    list_for_each (it, &p->threads)
        work_clear(list_entry(it, struct thread, siblings), WORK_STOP);
    __atomic_fetch_add(&p->stop_epoch, 1, __ATOMIC_SEQ_CST);
    host_futex_wake(&p->stop_epoch, INT32_MAX);
    unlock(&p->lock);
}

static bool alone(struct process *p)
{
    return p->nthreads == 1;
}

void threads_end_others(void)
{
    struct process *p = current_process();
    lock(&p->lock);
    if (p->nthreads > 1) {
        p->ending_others = true;
        signal_others(p, WORK_KILL);
        wait_event(p, alone);
        p->ending_others = false;
    }
    unlock(&p->lock);
}

void threads_in_child(void)
{
    struct process *p = current_process();
    struct thread *t = current();
    list_for_each_safe (it, &p->threads) {
        struct thread *other = list_entry(it, struct thread, siblings);
        if (other == t)
            continue;
        list_del(it);
        other->alive = 0;
        thread_close_own(other);
        thread_free(other);
    }
    thread_close_own(t);
    p->nthreads = 1;
    p->stopping = false;
    p->parked = 0;
    p->ending_others = p->exiting = false;
    work_clear(t, WORK_STOP);
}
