/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Futexes (futex(2)). Those of one process are wait queues of our own, keyed by address: waiters
 * sleep in park(), and the word is only ever read through uaccess. A word in a shared mapping that
 * is not declared FUTEX_PRIVATE_FLAG may have waiters in other processes: the host's futex, as the
 * mapping is the host's.
 * Lock order: bucket locks in ascending address, above heap_lock; never together with process.lock.
 */
#include "libos/proc/vdso.h"
#include "libos/sync/futex.h"
#include "host/host_event.h"
#include "libos/entry/syscall.h"
#include "libos/proc/reach.h"
#include "libos/process.h"
#include <asm/unistd.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/time.h>

#define BUCKETS 256

struct waiter {
    struct list link;
    struct thread *thread;
    uintptr_t key;
    uint32_t bitset;
    struct bucket *bucket; /* NULL once woken; changes by requeue; under the bucket's lock */
};

static struct bucket {
    struct lock lock;
    struct list waiters;
} buckets[BUCKETS]; /* lists are made on first use: a zero list counts as empty */

static struct bucket *bucket_of(uintptr_t key)
{
    return &buckets[(key >> 2) * 0x9e3779b97f4a7c15UL >> 56];
}

static struct list *waiters_of(struct bucket *b)
{
    if (!b->waiters.next)
        list_init(&b->waiters);
    return &b->waiters;
}

void futex_forget_all(void)
{
    /* Only what has to change is written: the rest stays shared with the parent. */
    for (struct bucket *b = buckets; b < buckets + BUCKETS; b++)
        if (b->lock.word || (b->waiters.next && b->waiters.next != &b->waiters))
            *b = (struct bucket){0};
}

static void lock_two(struct bucket *a, struct bucket *b)
{
    if (a > b) {
        struct bucket *x = a;
        a = b;
        b = x;
    }
    lock(&a->lock);
    if (a != b)
        lock(&b->lock);
}

static void unlock_two(struct bucket *a, struct bucket *b)
{
    unlock(&a->lock);
    if (a != b)
        unlock(&b->lock);
}

/*
 * Threads to be unparked once the bucket is unlocked: one that is woken before would at once run
 * into the lock. Their structures stay mapped, even when they end meanwhile (platform.h).
 */
struct wakeup {
    struct thread *thread[16];
    size_t count;
};

static void unpark_all(const struct wakeup *up)
{
    for (size_t i = 0; i < up->count; i++)
        unpark(up->thread[i]);
}

/* Takes the waiter off its queue; its thread may run on as soon as `bucket` is NULL. */
static void wake(struct waiter *w, struct wakeup *up)
{
    struct thread *t = w->thread;
    list_del(&w->link);
    __atomic_store_n(&w->bucket, NULL, __ATOMIC_RELEASE);
    if (up->count < ARRAY_SIZE(up->thread))
        up->thread[up->count++] = t;
    else
        unpark(t);
}

/* Under the bucket's lock. */
static int wake_some(struct bucket *b, uintptr_t key, int n, uint32_t bitset, struct wakeup *up)
{
    int woken = 0;
    list_for_each_safe (it, waiters_of(b)) {
        struct waiter *w = list_entry(it, struct waiter, link);
        if (woken >= n)
            break;
        if (w->key == key && w->bitset & bitset) {
            wake(w, up);
            woken++;
        }
    }
    return woken;
}

/* Leaves the queue if nobody woke us. True when we were woken. */
static bool leave(struct waiter *w)
{
    for (;;) {
        struct bucket *b = __atomic_load_n(&w->bucket, __ATOMIC_ACQUIRE);
        if (!b)
            return true;
        lock(&b->lock);
        if (w->bucket == b) {
            list_del(&w->link);
            w->bucket = NULL;
            unlock(&b->lock);
            return false;
        }
        unlock(&b->lock); /* requeued meanwhile */
    }
}

/* A signal comes. With a time limit the wait is not begun again behind a handler, SA_RESTART or not
 * (Linux's restart block). */
static int interrupted_wait(uint64_t deadline)
{
    return deadline == HOST_NO_DEADLINE ? -ERESTARTSYS : -ERESTARTNOHAND;
}

static int sleep_until_woken(struct waiter *w, uint64_t deadline)
{
    struct thread *t = w->thread;
    int err = 0;
    while (!err) {
        uint32_t seen = park_prepare(t);
        if (!__atomic_load_n(&w->bucket, __ATOMIC_ACQUIRE))
            return 0;
        err = park(t, seen, deadline);
        if (err == -EINTR && !interrupted())
            err = 0;
    }
    if (leave(w))
        return 0;
    return err == -EINTR ? interrupted_wait(deadline) : err;
}

static long futex_wait(uint32_t *uaddr, uint32_t val, uint64_t deadline, uint32_t bitset)
{
    if (!bitset)
        return -EINVAL;
    struct bucket *b = bucket_of((uintptr_t)uaddr);
    struct waiter w = {.thread = current(), .key = (uintptr_t)uaddr, .bitset = bitset, .bucket = b};
    uint32_t now;
    lock(&b->lock);
    int err = user_load32(&now, uaddr);
    if (!err && now != val)
        err = -EAGAIN;
    if (!err)
        list_add_tail(waiters_of(b), &w.link);
    unlock(&b->lock);
    return err ? err : sleep_until_woken(&w, deadline);
}

static long futex_wake(uint32_t *uaddr, int n, uint32_t bitset)
{
    if (!bitset)
        return -EINVAL;
    if (!user_range_ok(uaddr, 4))
        return -EFAULT;
    struct bucket *b = bucket_of((uintptr_t)uaddr);
    struct wakeup up;
    up.count = 0;
    lock(&b->lock);
    int woken = wake_some(b, (uintptr_t)uaddr, MAX(n, 1), bitset, &up);
    unlock(&b->lock);
    unpark_all(&up);
    return woken;
}

static bool in_shared_mapping(uint32_t *uaddr)
{
    struct mm *mm = &current()->process->mm;
    if (!PLATFORM_HOST_TRUSTED) /* no memory is another process's, too (mm/pages.h) */
        return false;
    lock(&mm->lock);
    struct vma *v = vma_find(mm, (uintptr_t)uaddr);
    bool shared = v && v->start <= (uintptr_t)uaddr && v->flags & MAP_SHARED;
    unlock(&mm->lock);
    return shared;
}

static long shared_wait(uint32_t *uaddr, uint32_t val, uint64_t deadline, uint32_t bitset)
{
    for (;;) {
        long r = host_shared_futex_wait(uaddr, val, deadline, bitset);
        if (r != -EINTR)
            return r;
        if (interrupted())
            return interrupted_wait(deadline);
    }
}

int futex_wake_address(uint32_t *uaddr, int n)
{
    if (in_shared_mapping(uaddr))
        return (int)host_shared_futex(uaddr, FUTEX_WAKE, (uint32_t)n, 0, NULL, 0);
    return (int)futex_wake(uaddr, n, FUTEX_BITSET_MATCH_ANY);
}

static long futex_requeue(uint32_t *from, int nwake, int nmove, uint32_t *to, const uint32_t *cmp)
{
    if (nwake < 0 || nmove < 0 || (uintptr_t)to & 3)
        return -EINVAL;
    if (!user_range_ok(from, 4) || !user_range_ok(to, 4))
        return -EFAULT;
    struct bucket *a = bucket_of((uintptr_t)from), *b = bucket_of((uintptr_t)to);
    uint32_t now = 0;
    struct wakeup up;
    up.count = 0;
    lock_two(a, b);
    long r = cmp ? user_load32(&now, from) : 0;
    if (!r && cmp && now != *cmp)
        r = -EAGAIN;
    if (!r) {
        int woken = nwake ? wake_some(a, (uintptr_t)from, nwake, FUTEX_BITSET_MATCH_ANY, &up) : 0;
        int moved = 0;
        list_for_each_safe (it, waiters_of(a)) {
            struct waiter *w = list_entry(it, struct waiter, link);
            if (w->key != (uintptr_t)from)
                continue;
            if (moved++ >= nmove) {
                moved--;
                break;
            }
            list_del(&w->link);
            w->key = (uintptr_t)to;
            w->bucket = b;
            list_add_tail(waiters_of(b), &w->link);
            if (a == b && from == to)
                break;
        }
        r = woken + moved;
    }
    unlock_two(a, b);
    unpark_all(&up);
    return r;
}

static uint32_t apply_op(uint32_t op, uint32_t old, uint32_t arg)
{
    switch (op) {
    case FUTEX_OP_SET:
        return arg;
    case FUTEX_OP_ADD:
        return old + arg;
    case FUTEX_OP_OR:
        return old | arg;
    case FUTEX_OP_ANDN:
        return old & ~arg;
    default:
        return old ^ arg;
    }
}

static bool compare(uint32_t cmp, int32_t old, int32_t arg)
{
    switch (cmp) {
    case FUTEX_OP_CMP_EQ:
        return old == arg;
    case FUTEX_OP_CMP_NE:
        return old != arg;
    case FUTEX_OP_CMP_LT:
        return old < arg;
    case FUTEX_OP_CMP_LE:
        return old <= arg;
    case FUTEX_OP_CMP_GT:
        return old > arg;
    default:
        return old >= arg;
    }
}

static int sign12(uint32_t v)
{
    return (int)(v << 20) >> 20;
}

static long futex_wake_op(uint32_t *one, int n1, int n2, uint32_t *two, uint32_t code)
{
    uint32_t op = code >> 28 & 7, cmp = code >> 24 & 15;
    int oparg = sign12(code >> 12 & 0xfff), cmparg = sign12(code & 0xfff);
    if (op > FUTEX_OP_XOR || cmp > FUTEX_OP_CMP_GE)
        return -ENOSYS;
    if (code >> 28 & 8) /* FUTEX_OP_OPARG_SHIFT */
        oparg = (int)(1u << (oparg & 31));
    if ((uintptr_t)two & 3)
        return -EINVAL;
    struct bucket *a = bucket_of((uintptr_t)one), *b = bucket_of((uintptr_t)two);
    struct wakeup up;
    up.count = 0;
    lock_two(a, b);
    uint32_t old = 0, seen;
    long r = user_range_ok(one, 4) ? user_load32(&old, two) : -EFAULT;
    do {
        seen = old;
        if (!r)
            r = user_cmpxchg32(two, &old, apply_op(op, seen, (uint32_t)oparg));
    } while (!r && seen != old);
    if (!r) {
        r = wake_some(a, (uintptr_t)one, MAX(n1, 1), FUTEX_BITSET_MATCH_ANY, &up);
        if (compare(cmp, (int32_t)old, cmparg))
            r += wake_some(b, (uintptr_t)two, MAX(n2, 1), FUTEX_BITSET_MATCH_ANY, &up);
    }
    unlock_two(a, b);
    unpark_all(&up);
    return r;
}

/* FUTEX_WAIT takes a relative time, FUTEX_WAIT_BITSET an absolute one; park() wants monotonic. */
static int take_timeout(const struct __kernel_timespec *uts, int op, uint64_t *deadline)
{
    struct __kernel_timespec ts;
    *deadline = HOST_NO_DEADLINE;
    if (!uts)
        return 0;
    if (copy_from_user(&ts, uts, sizeof(ts)))
        return -EFAULT;
    if (ts.tv_sec < 0 || (uint64_t)ts.tv_nsec >= 1000000000)
        return -EINVAL;
    uint64_t ns =
        (uint64_t)MIN(ts.tv_sec, (__kernel_time64_t)4000000000) * 1000000000 + (uint64_t)ts.tv_nsec;
    uint64_t now = vdso_clock_ns(CLOCK_MONOTONIC);
    if ((op & FUTEX_CMD_MASK) == FUTEX_WAIT) {
        *deadline = now + ns;
    } else if (op & FUTEX_CLOCK_REALTIME) {
        uint64_t real = vdso_clock_ns(CLOCK_REALTIME);
        *deadline = ns > real ? now + (ns - real) : 1;
    } else {
        *deadline = MAX(ns, 1UL);
    }
    return 0;
}

static long shared_futex(uint32_t *uaddr, int cmd, uint32_t val, unsigned long val2,
                         uint32_t *uaddr2, uint32_t val3, uint64_t deadline)
{
    switch (cmd) {
    case FUTEX_WAIT:
        return shared_wait(uaddr, val, deadline, FUTEX_BITSET_MATCH_ANY);
    case FUTEX_WAIT_BITSET:
        return shared_wait(uaddr, val, deadline, val3);
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
    case FUTEX_WAKE_OP:
        if (libos_range(uaddr2, 4))
            return -EFAULT;
        return host_shared_futex(uaddr, cmd, val, val2, uaddr2, val3);
    default:
        return -ENOSYS;
    }
}

SYSCALL6(futex, uint32_t *, uaddr, int, op, uint32_t, val, unsigned long, arg4, uint32_t *, uaddr2,
         uint32_t, val3)
{
    int cmd = op & FUTEX_CMD_MASK;
    uint64_t deadline = HOST_NO_DEADLINE;
    if ((uintptr_t)uaddr & 3)
        return -EINVAL;
    if (op & FUTEX_CLOCK_REALTIME && cmd != FUTEX_WAIT_BITSET && cmd != FUTEX_WAIT)
        return -ENOSYS;
    if (cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET) {
        int err = take_timeout((void *)arg4, op, &deadline);
        if (err)
            return err;
    }
    if (!(op & FUTEX_PRIVATE_FLAG) && in_shared_mapping(uaddr))
        return shared_futex(uaddr, cmd, val, arg4, uaddr2, val3, deadline);
    switch (cmd) {
    case FUTEX_WAIT:
        return futex_wait(uaddr, val, deadline, FUTEX_BITSET_MATCH_ANY);
    case FUTEX_WAIT_BITSET:
        return futex_wait(uaddr, val, deadline, val3);
    case FUTEX_WAKE:
        return futex_wake(uaddr, (int)val, FUTEX_BITSET_MATCH_ANY);
    case FUTEX_WAKE_BITSET:
        return futex_wake(uaddr, (int)val, val3);
    case FUTEX_REQUEUE:
        return futex_requeue(uaddr, (int)val, (int)arg4, uaddr2, NULL);
    case FUTEX_CMP_REQUEUE:
        return futex_requeue(uaddr, (int)val, (int)arg4, uaddr2, &val3);
    case FUTEX_WAKE_OP:
        return futex_wake_op(uaddr, (int)val, (int)arg4, uaddr2, val3);
    default:
        return -ENOSYS; /* priority inheritance: see docs/compatibility.md */
    }
}

SYSCALL2(set_robust_list, void *, head, size_t, len)
{
    if (len != sizeof(struct robust_list_head))
        return -EINVAL;
    current()->robust_list = head;
    current()->robust_len = len;
    /* What exit_group and SIGKILL leave held is the host's to mark: no code of ours runs then, and
     * only other processes, waiting in the host, can care. */
    host_robust_list(libos_range(head, len) ? NULL : head, sizeof(struct robust_list_head));
    return 0;
}

SYSCALL3(get_robust_list, int, tid, void **, uhead, size_t *, ulen)
{
    struct thread *t = current();
    if (tid && tid != t->tid) /* that of another thread: debuggers only */
        return run_process_of(tid) ? -EPERM : -ESRCH;
    size_t len = sizeof(struct robust_list_head);
    return put_user(uhead, t->robust_list) || put_user(ulen, len) ? -EFAULT : 0;
}

#define ROBUST_LIMIT 2048

static void owner_died(struct thread *t, uintptr_t entry, long offset, bool pending_op)
{
    uint32_t *word = (uint32_t *)(entry + (uintptr_t)offset);
    uint32_t v;
    if ((uintptr_t)word & 3 || user_load32(&v, word))
        return;
    if (pending_op && !v) { /* died between unlocking and waking */
        futex_wake_address(word, 1);
        return;
    }
    while ((v & FUTEX_TID_MASK) == (uint32_t)t->tid) {
        uint32_t seen = v;
        if (user_cmpxchg32(word, &v, (v & FUTEX_WAITERS) | FUTEX_OWNER_DIED))
            return;
        if (v == seen) {
            if (seen & FUTEX_WAITERS)
                futex_wake_address(word, 1);
            return;
        }
    }
}

void futex_robust_exit(struct thread *t)
{
    struct robust_list_head head;
    if (!t->robust_list)
        return;
    host_robust_list(NULL, sizeof(struct robust_list_head));
    if (copy_from_user(&head, t->robust_list, sizeof(head)))
        return;
    uintptr_t end = (uintptr_t)t->robust_list, at = (uintptr_t)head.list.next & ~1UL;
    uintptr_t pending = (uintptr_t)head.list_op_pending & ~1UL;
    for (int n = 0; at != end && n < ROBUST_LIMIT; n++) {
        uintptr_t next;
        if (copy_from_user(&next, (void *)at, sizeof(next)))
            break;
        if (at != pending)
            owner_died(t, at, head.futex_offset, false);
        at = next & ~1UL;
    }
    if (pending)
        owner_died(t, pending, head.futex_offset, true);
    t->robust_list = NULL;
}
