/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * rt_sigaction, rt_sigprocmask and sigaltstack as the program sees them. The kernel has the
 * device's handler for every signal that the program handles, never a mask that covers the
 * reserved ones, and always the device's alternate stack.
 */
#include "sgxemu/emu.h"

#define SA_KEEP (SA_RESTART | SA_NOCLDSTOP | SA_NOCLDWAIT)
/* While the device handles a signal, SIGSEGV too, only its own memory accesses may interrupt it. */
#define HANDLER_MASK (~(SIGBIT(SIGSEGV) | SIGBIT(SIGBUS)))

#define WAIT_SLICE 10000000 /* ns */

void emu_restorer(void);

static long install(int sig, uint64_t flags)
{
    struct action native = {
        .handler = (uint64_t)signal_handler,
        .flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER | SA_NODEFER | (flags & SA_KEEP),
        .restorer = (uint64_t)emu_restorer,
        .mask = HANDLER_MASK,
    };
    return sys(__NR_rt_sigaction, sig, &native, 0, 8);
}

void trap_install_handlers(void)
{
    for (int sig = 1; sig <= NSIG_ALL; sig++) {
        if (RESERVED_SIGNALS & SIGBIT(sig))
            install(sig, SA_RESTART);
    }
}

long signal_set_action(struct thread *t, int sig, uint64_t act, uint64_t old, uint64_t size)
{
    struct action new, previous;
    long r = 0;
    if (size != 8)
        return -EINVAL;
    if (act && !user_read(&new, act, sizeof(new)))
        return -EFAULT;
    if (sig < 1 || sig > NSIG_ALL || (act && (sig == SIGKILL || sig == SIGSTOP)))
        return -EINVAL;
    lock(&t->sighand->lock);
    struct action *slot = &t->sighand->action[sig];
    previous = *slot;
    if (act) {
        new.mask &= ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
        if (RESERVED_SIGNALS & SIGBIT(sig)) {
            *slot = new;
        } else {
            r = new.handler > 1 ? install(sig, new.flags) : sys(__NR_rt_sigaction, sig, &new, 0, 8);
            if (r == 0)
                *slot = new;
        }
    } else if (previous.handler == 0 && !(RESERVED_SIGNALS & SIGBIT(sig))) {
        sys(__NR_rt_sigaction, sig, 0, &previous, 8); /* perhaps ignored since before exec */
    }
    unlock(&t->sighand->lock);
    if (r == 0 && old && !user_write(old, &previous, sizeof(previous)))
        return -EFAULT;
    return r;
}

void signal_clear_handlers(struct thread *t)
{
    const struct action none = {0};
    for (int sig = 1; sig <= NSIG_ALL; sig++) {
        if (t->sighand->action[sig].handler <= 1)
            continue;
        t->sighand->action[sig] = none;
        if (!(RESERVED_SIGNALS & SIGBIT(sig)))
            sys(__NR_rt_sigaction, sig, &none, 0, 8);
    }
}

long signal_set_mask(struct thread *t, struct ucontext *uc, int how, uint64_t set, uint64_t old,
                     uint64_t size)
{
    uint64_t mask, before = t->mask;
    if (size != 8)
        return -EINVAL;
    if (set) {
        if (!user_read(&mask, set, 8))
            return -EFAULT;
        mask &= ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
        if (how == SIG_BLOCK)
            t->mask |= mask;
        else if (how == SIG_UNBLOCK)
            t->mask &= ~mask;
        else if (how == SIG_SETMASK)
            t->mask = mask;
        else
            return -EINVAL;
        set_uc_mask(uc, t->mask);
    }
    if (old && !user_write(old, &before, 8))
        return -EFAULT;
    return 0;
}

long signal_get_pending(struct thread *t, uint64_t set, uint64_t size)
{
    uint64_t pending = 0;
    if (size > 8)
        return -EINVAL;
    sys(__NR_rt_sigpending, &pending, 8);
    pending = (pending | t->pending) & t->mask;
    return user_write(set, &pending, size) ? 0 : -EFAULT;
}

long signal_set_altstack(struct thread *t, struct ucontext *uc, uint64_t stack, uint64_t old)
{
    stack_t new, previous = {.ss_sp = (void *)t->altstack.sp,
                             .ss_flags = (int)t->altstack.flags,
                             .ss_size = t->altstack.size};
    bool active = signal_on_altstack(t, uc->uc_mcontext.rsp);
    if (active)
        previous.ss_flags |= SS_ONSTACK;
    if (stack) {
        if (!user_read(&new, stack, sizeof(new)))
            return -EFAULT;
        uint32_t mode = (uint32_t) new.ss_flags & ~SS_AUTODISARM;
        if (active && !(t->altstack.flags & SS_AUTODISARM))
            return -EPERM;
        if (mode != 0 && mode != SS_DISABLE && mode != SS_ONSTACK)
            return -EINVAL;
        if (mode == SS_DISABLE) {
            t->altstack = (struct altstack){.flags = SS_DISABLE};
        } else {
            if (new.ss_size < MINSIGSTKSZ)
                return -ENOMEM;
            t->altstack = (struct altstack){.sp = (uint64_t) new.ss_sp,
                                            .size = new.ss_size,
                                            .flags = (uint32_t) new.ss_flags &SS_AUTODISARM};
        }
    }
    if (old && !user_write(old, &previous, sizeof(previous)))
        return -EFAULT;
    return 0;
}

bool signal_waiting(struct thread *t)
{
    const uint64_t ignored = SIGBIT(SIGCHLD) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH) | SIGBIT(SIGCONT);
    uint64_t pending = 0;
    if (sys(__NR_rt_sigpending, &pending, 8))
        return false;
    pending = native_mask(pending & ~t->mask);
    for (int sig = 1; sig <= NSIG_ALL; sig++) {
        const uint64_t handler = t->sighand->action[sig].handler;
        if (pending & SIGBIT(sig) && (handler > 1 || (handler == 0 && !(ignored & SIGBIT(sig)))))
            return true;
    }
    return false;
}

struct timeout {
    int64_t sec, nsec;
};

static int64_t nanoseconds(void)
{
    struct timeout t;
    sys(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &t);
    return t.sec * 1000000000 + t.nsec;
}

/* A reserved signal that has come is with the device; one that comes later the kernel gives, as
 * all are blocked here. Now and then it is time to see whether the program's own handlers wait. */
static long wait_for(struct thread *t, uint64_t set, int64_t deadline, siginfo_t *info)
{
    for (;;) {
        if (t->pending & set) {
            int sig = __builtin_ctzll(t->pending & set) + 1;
            t->pending &= ~SIGBIT(sig);
            *info = t->pending_info[sig];
            return sig;
        }
        int64_t left = deadline < 0 ? WAIT_SLICE : deadline - nanoseconds();
        struct timeout slice = {0, left < 0 ? 0 : left < WAIT_SLICE ? left : WAIT_SLICE};
        long r = sys(__NR_rt_sigtimedwait, &set, info, &slice, 8);
        if (r != -EAGAIN && r != -EINTR)
            return r;
        if (signal_waiting(t))
            return -EINTR;
        if (deadline >= 0 && left <= 0)
            return -EAGAIN;
    }
}

bool signal_wait(struct thread *t, const uint64_t a[6], long *result)
{
    uint64_t set;
    struct timeout timeout = {0, -1};
    siginfo_t info;
    if (a[3] != 8 || !user_read(&set, a[0], 8) || !(set & RESERVED_SIGNALS))
        return false;
    if (a[2] && (!user_read(&timeout, a[2], sizeof(timeout)) || timeout.sec < 0 ||
                 timeout.nsec < 0 || timeout.nsec >= 1000000000 || timeout.sec > INT32_MAX))
        return false; /* the kernel finds the error */
    int64_t deadline = a[2] ? nanoseconds() + timeout.sec * 1000000000 + timeout.nsec : -1;
    memset(&info, 0, sizeof(info));
    *result = wait_for(t, set & ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP)), deadline, &info);
    if (*result > 0 && a[1] && !user_write(a[1], &info, sizeof(info)))
        *result = -EFAULT;
    return true;
}
