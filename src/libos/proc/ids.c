/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Who we are: process ids are the host's, user and group ids are kept here (credentials(7)). They
 * belong to the process; a thread that repeats the change of another, as libc's set*id do, finds it
 * done and succeeds.
 */
#include "host/host_process.h"
#include "libos/entry/syscall.h"
#include "libos/proc/info.h"
#include "libos/proc/members.h"
#include "libos/proc/reach.h"
#include "libos/process.h"
#include <linux/prctl.h>
#include <linux/wait.h>

#define KEEP 0xffffffffu /* -1: leave this id as it is */

SYSCALL0(getpid)
{
    return current_process()->pid;
}

SYSCALL0(gettid)
{
    return current()->tid;
}

static uint64_t next_loss(uint64_t word)
{
    return ((word >> 32) + 1) << 32;
}

bool parent_watch_arm(void)
{
    struct process *p = current_process();
    struct parent_watch *w = &p->parent;
    if (likely(w->armed_by == p->pid))
        return true;
    if (current()->host_tid != p->pid) /* told to the thread that asked, while it lives */
        return false;
    w->signal = 0;
    __atomic_store_n(&w->word, next_loss(w->word), __ATOMIC_SEQ_CST);
    if (host_tell_parents_end(NOTICE_SIGNAL))
        return false;
    w->armed_by = p->pid;
    return true;
}

int parent_lost(struct process *p, int sender)
{
    struct parent_watch *w = &p->parent;
    uint64_t old = __atomic_load_n(&w->word, __ATOMIC_SEQ_CST);
    if (w->armed_by != p->pid || ((uint32_t)old && sender && (uint32_t)old != (uint32_t)sender))
        return -1;
    while (!__atomic_compare_exchange_n(&w->word, &old, next_loss(old), false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
        ;
    return w->signal;
}

static NOINLINE long ask_parent(struct process *p)
{
    struct parent_watch *w = &p->parent;
    bool armed = parent_watch_arm();
    uint64_t word = __atomic_load_n(&w->word, __ATOMIC_SEQ_CST);
    if (likely(armed && (uint32_t)word))
        return (uint32_t)word;
    long parent = run_parent(p->pid, host_getppid());
    if (armed) /* unless it was lost again meanwhile */
        __atomic_compare_exchange_n(&w->word, &word, (word >> 32 << 32) | (uint32_t)parent, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return parent;
}

SYSCALL0(getppid)
{
    struct process *p = current_process();
    struct parent_watch *w = &p->parent;
    if (p->is_first)
        return 0;
    uint64_t word = __atomic_load_n(&w->word, __ATOMIC_SEQ_CST);
    return likely(w->armed_by == p->pid && (uint32_t)word) ? (uint32_t)word : ask_parent(p);
}

SYSCALL1(getpgid, int, pid)
{
    return host_getpgid(run_named(pid));
}

SYSCALL0(getpgrp)
{
    return host_getpgid(0);
}

/* A child that runs a program of its own by now is left alone (setpgid(2)); the host does not know
 * that it does. */
static bool has_execed(int pid)
{
    siginfo_t nothing = {.si_signo = 0};
    return member_has_execed(pid) &&
           !host_waitid(P_PID, pid, &nothing, WEXITED | WNOHANG | WNOWAIT, NULL) &&
           host_getsid(pid) == host_getsid(0);
}

SYSCALL2(setpgid, int, pid, int, pgid)
{
    if (pid > 0 && pgid >= 0 && pid != current_process()->pid && has_execed(pid))
        return -EACCES;
    bool new_one = pgid == (pid ? pid : current_process()->pid);
    return host_setpgid(run_named(pid), new_one ? pgid : run_named_group(pgid));
}

SYSCALL1(getsid, int, pid)
{
    return host_getsid(run_named(pid));
}

SYSCALL0(setsid)
{
    return host_setsid();
}

static struct credentials *lock_cred(void)
{
    lock(&current_process()->lock);
    return &current_process()->cred;
}

static long unlock_cred(long ret)
{
    member_changed();
    unlock(&current_process()->lock);
    return ret;
}

SYSCALL0(getuid)
{
    return current_process()->cred.uid;
}

SYSCALL0(geteuid)
{
    return current_process()->cred.euid;
}

SYSCALL0(getgid)
{
    return current_process()->cred.gid;
}

SYSCALL0(getegid)
{
    return current_process()->cred.egid;
}

/* The user and the group ids follow the same rules: one view of either. */
struct ids {
    uint32_t *real, *effective, *saved, *fs;
};

static struct ids users(struct credentials *c)
{
    return (struct ids){&c->uid, &c->euid, &c->suid, &c->fsuid};
}

static struct ids groups(struct credentials *c)
{
    return (struct ids){&c->gid, &c->egid, &c->sgid, &c->fsgid};
}

static bool privileged(const struct credentials *c)
{
    return c->euid == 0;
}

static long set_id(struct ids i, bool root, uint32_t id)
{
    if (id == KEEP)
        return -EINVAL;
    if (root)
        *i.real = *i.saved = id;
    else if (id != *i.real && id != *i.saved)
        return -EPERM;
    *i.effective = *i.fs = id;
    return 0;
}

static long set_re(struct ids i, bool root, uint32_t real, uint32_t effective)
{
    uint32_t old_real = *i.real;
    if (!root) {
        if (real != KEEP && real != *i.real && real != *i.effective)
            return -EPERM;
        if (effective != KEEP && effective != *i.real && effective != *i.effective &&
            effective != *i.saved)
            return -EPERM;
    }
    if (real != KEEP)
        *i.real = real;
    if (effective != KEEP)
        *i.effective = effective;
    if (real != KEEP || (effective != KEEP && effective != old_real))
        *i.saved = *i.effective;
    *i.fs = *i.effective;
    return 0;
}

static bool one_of(struct ids i, uint32_t id)
{
    return id == KEEP || id == *i.real || id == *i.effective || id == *i.saved;
}

static long set_res(struct ids i, bool root, uint32_t real, uint32_t effective, uint32_t saved)
{
    if (!root && !(one_of(i, real) && one_of(i, effective) && one_of(i, saved)))
        return -EPERM;
    if (real != KEEP)
        *i.real = real;
    if (effective != KEEP)
        *i.effective = effective;
    if (saved != KEEP)
        *i.saved = saved;
    *i.fs = *i.effective;
    return 0;
}

/* Returns the old id, whether it changes or not (setfsuid(2)). */
static long set_fs_id(struct ids i, bool root, uint32_t id)
{
    uint32_t old = *i.fs;
    if (id != KEEP && (root || one_of(i, id) || id == old))
        *i.fs = id;
    return old;
}

SYSCALL1(setuid, uint32_t, id)
{
    struct credentials *c = lock_cred();
    return unlock_cred(set_id(users(c), privileged(c), id));
}

SYSCALL1(setgid, uint32_t, id)
{
    struct credentials *c = lock_cred();
    return unlock_cred(set_id(groups(c), privileged(c), id));
}

SYSCALL2(setreuid, uint32_t, real, uint32_t, effective)
{
    struct credentials *c = lock_cred();
    return unlock_cred(set_re(users(c), privileged(c), real, effective));
}

SYSCALL2(setregid, uint32_t, real, uint32_t, effective)
{
    struct credentials *c = lock_cred();
    return unlock_cred(set_re(groups(c), privileged(c), real, effective));
}

SYSCALL3(setresuid, uint32_t, real, uint32_t, effective, uint32_t, saved)
{
    struct credentials *c = lock_cred();
    return unlock_cred(set_res(users(c), privileged(c), real, effective, saved));
}

SYSCALL3(setresgid, uint32_t, real, uint32_t, effective, uint32_t, saved)
{
    struct credentials *c = lock_cred();
    return unlock_cred(set_res(groups(c), privileged(c), real, effective, saved));
}

SYSCALL1(setfsuid, uint32_t, id)
{
    struct credentials *c = lock_cred();
    return unlock_cred(set_fs_id(users(c), privileged(c), id));
}

SYSCALL1(setfsgid, uint32_t, id)
{
    struct credentials *c = lock_cred();
    return unlock_cred(set_fs_id(groups(c), privileged(c), id));
}

static long get_res(struct ids i, uint32_t *real, uint32_t *effective, uint32_t *saved)
{
    return put_user(real, *i.real) || put_user(effective, *i.effective) || put_user(saved, *i.saved)
               ? -EFAULT
               : 0;
}

SYSCALL3(getresuid, uint32_t *, real, uint32_t *, effective, uint32_t *, saved)
{
    return get_res(users(&current_process()->cred), real, effective, saved);
}

SYSCALL3(getresgid, uint32_t *, real, uint32_t *, effective, uint32_t *, saved)
{
    return get_res(groups(&current_process()->cred), real, effective, saved);
}

SYSCALL2(getgroups, int, n, uint32_t *, ulist)
{
    uint32_t list[NGROUPS_MAX_OURS];
    struct credentials *c = lock_cred();
    uint32_t count = c->ngroups;
    memcpy(list, c->groups, count * sizeof(list[0]));
    unlock_cred(0);
    if (n < 0 || (n && (uint32_t)n < count))
        return -EINVAL;
    if (n && copy_to_user(ulist, list, count * sizeof(list[0])))
        return -EFAULT;
    return count;
}

/* Linux keeps the list sorted, and shows it so. */
static void sort(uint32_t *list, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t j = i; j && list[j - 1] > list[j]; j--) {
            uint32_t x = list[j];
            list[j] = list[j - 1];
            list[j - 1] = x;
        }
}

SYSCALL2(setgroups, uint32_t, n, const uint32_t *, ulist)
{
    uint32_t list[NGROUPS_MAX_OURS];
    if (!privileged(&current_process()->cred))
        return -EPERM;
    if (n > NGROUPS_MAX_OURS)
        return -EINVAL;
    if (copy_from_user(list, ulist, n * sizeof(list[0])))
        return -EFAULT;
    sort(list, n);
    struct credentials *c = lock_cred();
    memcpy(c->groups, list, n * sizeof(list[0]));
    c->ngroups = n;
    return unlock_cred(0);
}
