/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The system calls about signals. */
#include "host/host_process.h"
#include "libos/entry/syscall.h"
#include "libos/proc/members.h"
#include "libos/proc/reach.h"
#include "libos/proc/vdso.h"
#include "libos/process.h"
#include "libos/time/timer.h"
#include <linux/time.h>

static bool valid(int sig)
{
    return sig >= 1 && sig <= NSIG_MAX;
}

SYSCALL4(rt_sigaction, int, sig, const struct ksigaction *, uact, struct ksigaction *, uold, size_t,
         size)
{
    struct ksigaction act;
    if (size != sizeof(sigmask))
        return -EINVAL;
    if (uact && copy_from_user(&act, uact, sizeof(act)))
        return -EFAULT;
    if (!valid(sig) || (uact && (sig == SIGKILL || sig == SIGSTOP)))
        return -EINVAL;
    struct process *p = current_process();
    lock(&p->lock);
    lock(&p->sig_lock);
    struct ksigaction old = p->sighand.action[sig - 1];
    if (uact) {
        act.mask &= ~SIG_UNBLOCKABLE;
        p->sighand.action[sig - 1] = act;
        signal_discard_ignored(p, sig);
    }
    unlock(&p->sig_lock);
    unlock(&p->lock);
    if (uact) {
        signal_host_disposition(p, sig);
        timers_send_again(sig);
    }
    return uold && copy_to_user(uold, &old, sizeof(old)) ? -EFAULT : 0;
}

SYSCALL4(rt_sigprocmask, int, how, const sigmask *, uset, sigmask *, uold, size_t, size)
{
    struct thread *t = current();
    sigmask old = t->blocked, set;
    if (size != sizeof(sigmask))
        return -EINVAL;
    if (uset) {
        if (get_user(set, uset))
            return -EFAULT;
        switch (how) {
        case SIG_BLOCK:
            set |= old;
            break;
        case SIG_UNBLOCK:
            set = old & ~set;
            break;
        case SIG_SETMASK:
            break;
        default:
            return -EINVAL;
        }
        signal_set_blocked(t, set & ~SIG_UNBLOCKABLE);
    }
    return uold && put_user(uold, old) ? -EFAULT : 0;
}

SYSCALL2(rt_sigpending, sigmask *, uset, size_t, size)
{
    struct thread *t = current();
    if (size > sizeof(sigmask))
        return -EINVAL;
    signal_pending(t);
    sigmask set = (t->pending.set | t->process->pending.set) & t->blocked;
    return copy_to_user(uset, &set, size) ? -EFAULT : 0;
}

/* Sleeps until a signal is there to be handled. */
static long wait_for_signal(struct thread *t)
{
    for (;;) {
        uint32_t seen = park_prepare(t);
        if (signal_pending(t))
            return -ERESTARTNOHAND;
        if (park(t, seen, HOST_NO_DEADLINE) == -EINTR && interrupted())
            return -ERESTARTNOHAND;
    }
}

SYSCALL2(rt_sigsuspend, const sigmask *, uset, size_t, size)
{
    struct thread *t = current();
    sigmask set;
    if (size != sizeof(sigmask))
        return -EINVAL;
    if (get_user(set, uset))
        return -EFAULT;
    t->saved_blocked = t->blocked;
    t->restore_blocked = true;
    signal_set_blocked(t, set & ~SIG_UNBLOCKABLE);
    return wait_for_signal(t);
}

SYSCALL0(pause)
{
    return wait_for_signal(current());
}

static int deadline_of(const struct __kernel_timespec *uts, uint64_t *deadline)
{
    struct __kernel_timespec ts;
    *deadline = HOST_NO_DEADLINE;
    if (!uts)
        return 0;
    if (copy_from_user(&ts, uts, sizeof(ts)))
        return -EFAULT;
    if (ts.tv_sec < 0 || (uint64_t)ts.tv_nsec >= 1000000000)
        return -EINVAL;
    uint64_t ns = ts.tv_sec > 1000000000 ? 1000000000000000000UL
                                         : (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
    *deadline = vdso_clock_ns(CLOCK_MONOTONIC) + ns;
    return 0;
}

SYSCALL4(rt_sigtimedwait, const sigmask *, uset, siginfo_t *, uinfo,
         const struct __kernel_timespec *, uts, size_t, size)
{
    struct thread *t = current();
    sigmask set;
    uint64_t deadline;
    siginfo_t info;
    if (size != sizeof(sigmask))
        return -EINVAL;
    if (get_user(set, uset))
        return -EFAULT;
    int err = deadline_of(uts, &deadline);
    if (err)
        return err;
    set &= ~SIG_UNBLOCKABLE;
    int sig = 0;
    t->waiting_for = set;
    while (!(sig = signal_take(t, set, &info))) {
        uint32_t seen = park_prepare(t);
        if (signal_pending(t)) {
            err = -EINTR;
            break;
        }
        work_clear(t, WORK_SIGNAL);
        if ((t->pending.set | t->process->pending.set) & set)
            continue;
        err = park(t, seen, deadline);
        if (err == -ETIMEDOUT) {
            sig = signal_take(t, set, &info);
            err = sig ? 0 : -EAGAIN;
            break;
        }
        if (err == -EINTR && interrupted())
            break;
        err = 0;
    }
    t->waiting_for = 0;
    signal_recheck(t);
    if (!sig)
        return err;
    return uinfo && put_user(uinfo, info) ? -EFAULT : sig;
}

SYSCALL2(sigaltstack, const stack_t *, uss, stack_t *, uold)
{
    struct thread *t = current();
    struct sigaltstack_state *a = &t->altstack;
    uint64_t sp = thread_regs(t)->rsp;
    int now = !a->size ? SS_DISABLE : altstack_holds(a, sp) ? SS_ONSTACK : 0;
    stack_t ss, old = {.ss_sp = (void *)a->sp,
                       .ss_flags = now | (int)(a->flags & SS_AUTODISARM),
                       .ss_size = a->size};
    int err = uss && get_user(ss, uss) ? -EFAULT : 0;
    if (!err && uss)
        err = altstack_set(a, &ss, sp);
    if (!err && uold && put_user(uold, old))
        err = -EFAULT;
    return err;
}

SYSCALL0(rt_sigreturn)
{
    struct thread *t = current();
    return signal_return(t, thread_regs(t));
}

static siginfo_t from_us(int sig, int code)
{
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    info.si_signo = sig;
    info.si_code = code;
    info.si_pid = current_process()->pid;
    info.si_uid = current_process()->cred.uid;
    return info;
}

SYSCALL2(kill, int, pid, int, sig)
{
    siginfo_t info = from_us(sig, SI_USER);
    if (likely(pid > 0))
        return run_signal(pid, &info);
    if (pid == -1)
        return run_signal_all(&info);
    return pid == INT32_MIN ? -ESRCH : run_signal_group(-pid, &info);
}

static int send_to_tid(int tid, const siginfo_t *info)
{
    struct process *p = current_process();
    lock(&p->lock);
    struct thread *t = signal_thread(p, tid);
    int err = !t                                                ? -ESRCH
              : info->si_signo < 0 || info->si_signo > NSIG_MAX ? -EINVAL
              : info->si_signo                                  ? signal_send_thread(t, info)
                                                                : 0;
    unlock(&p->lock);
    return err;
}

SYSCALL3(tgkill, int, pid, int, tid, int, sig)
{
    if (pid <= 0 || tid <= 0)
        return -EINVAL;
    siginfo_t info = from_us(sig, SI_TKILL);
    if (pid == current_process()->pid)
        return send_to_tid(tid, &info);
    if (!member_alive(pid))
        return -ESRCH;
    bool may = run_may_signal(pid, sig);
    long r = host_tgkill(pid, tid, may ? sig : 0);
    return r || may ? r : -EPERM;
}

SYSCALL2(tkill, int, tid, int, sig)
{
    if (tid <= 0)
        return -EINVAL;
    siginfo_t info = from_us(sig, SI_TKILL);
    int err = send_to_tid(tid, &info);
    int process = err == -ESRCH ? run_process_of(tid) : 0;
    return !process ? err : run_may_signal(process, sig) ? host_tgkill(process, tid, sig) : -EPERM;
}

static int take_info(int sig, const siginfo_t *uinfo, siginfo_t *info)
{
    if (copy_from_user(info, uinfo, sizeof(*info)))
        return -EFAULT;
    info->si_signo = sig;
    return 0;
}

/* Only to itself may a process tell anything of where a signal comes from (rt_sigqueueinfo(2)). */
static bool may_say(int pid, const siginfo_t *info)
{
    return pid == current_process()->pid || (info->si_code < 0 && info->si_code != SI_TKILL);
}

SYSCALL3(rt_sigqueueinfo, int, pid, int, sig, const siginfo_t *, uinfo)
{
    siginfo_t info;
    int err = take_info(sig, uinfo, &info);
    if (err)
        return err;
    return may_say(pid, &info) ? run_signal(pid, &info) : -EPERM;
}

SYSCALL4(rt_tgsigqueueinfo, int, pid, int, tid, int, sig, const siginfo_t *, uinfo)
{
    siginfo_t info;
    int err = take_info(sig, uinfo, &info);
    if (err)
        return err;
    if (pid <= 0 || tid <= 0)
        return -EINVAL;
    if (pid == current_process()->pid)
        return send_to_tid(tid, &info);
    if (!may_say(pid, &info))
        return -EPERM;
    if (!member_alive(pid))
        return -ESRCH;
    return run_may_signal(pid, sig) ? host_tgsigqueue(pid, tid, sig, &info) : -EPERM;
}
