/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* prctl(2), arch_prctl(2), personality(2). */
#include "host/host_process.h"
#include "libos/entry/syscall.h"
#include "libos/process.h"
#include "libos/proc/caps.h"
#include "libos/proc/info.h"
#include "libos/proc/members.h"
#include "libos/proc/reach.h"
#include "platform/platform.h"
#include <asm/prctl.h>
#include <linux/prctl.h>

#ifndef PR_SET_VMA
#    define PR_SET_VMA 0x53564d41
#endif
#define VMA_NAME_BYTES 80

static long on_host(int op, long a, long b, long c, long d)
{
    return host_prctl(op, a, b, c, d);
}

static long set_name(const char *uname)
{
    struct thread *t = current();
    char name[16] = "";
    ssize n = strncpy_from_user(name, uname, sizeof(name));
    if (n < 0 && n != -ENAMETOOLONG)
        return n;
    name[15] = 0;
    memset(t->comm, 0, sizeof(t->comm));
    fmt(t->comm, sizeof(t->comm), "%s", name);
    if (t->tid == t->process->pid) {
        memcpy(t->process->comm, t->comm, sizeof(t->comm));
        member_changed();
    }
    host_set_name(t->comm);
    return 0;
}

static long set_dumpable(unsigned long v)
{
    if (v > 1)
        return -EINVAL;
    current_process()->dumpable = (int)v;
    member_changed();
    return 0;
}

static long drop_bounding(unsigned long cap)
{
    struct process *p = current_process();
    if (p->cred.euid != 0)
        return -EPERM;
    if (cap >= CAP_COUNT)
        return -EINVAL;
    lock(&p->lock);
    p->cred.caps_unbounded |= 1UL << cap;
    unlock(&p->lock);
    return 0;
}

static long ambient(long what, unsigned long cap, long c, long d)
{
    if (c | d)
        return -EINVAL;
    switch (what) {
    case PR_CAP_AMBIENT_CLEAR_ALL:
        return cap ? -EINVAL : 0;
    case PR_CAP_AMBIENT_IS_SET:
    case PR_CAP_AMBIENT_LOWER:
        return cap < CAP_COUNT ? 0 : -EINVAL;
    case PR_CAP_AMBIENT_RAISE:
        return cap < CAP_COUNT ? -EPERM : -EINVAL;
    }
    return -EINVAL;
}

static long name_memory(long what, uintptr_t addr, size_t len, const char *uname)
{
    char name[VMA_NAME_BYTES];
    if (uname) {
        ssize n = strncpy_from_user(name, uname, sizeof(name));
        if (n < 0)
            return n == -ENAMETOOLONG ? -EINVAL : n;
    }
    if (!user_range_ok((void *)addr, len))
        return -ENOMEM;
    return host_name_memory(what, addr, len, uname ? name : NULL);
}

static long put_int(int *to, int value)
{
    return put_user(to, value) ? -EFAULT : 0;
}

/* Kept for the process, where Linux keeps it for each thread. */
static long set_death_signal(unsigned long sig)
{
    if (sig > NSIG_MAX)
        return -EINVAL;
    if (!parent_watch_arm())
        return on_host(PR_SET_PDEATHSIG, (long)sig, 0, 0, 0);
    current_process()->parent.signal = (int)sig;
    return 0;
}

/* Settings that the host keeps per thread or process, without pointers. */
static bool kept_by_host(int op)
{
    switch (op) {
    case PR_SET_NO_NEW_PRIVS:
    case PR_GET_NO_NEW_PRIVS:
    case PR_SET_KEEPCAPS:
    case PR_GET_KEEPCAPS:
    case PR_SET_TIMERSLACK:
    case PR_GET_TIMERSLACK:
    case PR_SET_THP_DISABLE:
    case PR_GET_THP_DISABLE:
    case PR_SET_CHILD_SUBREAPER:
    case PR_MCE_KILL:
    case PR_MCE_KILL_GET:
    case PR_GET_SPECULATION_CTRL:
    case PR_SET_SPECULATION_CTRL:
    case PR_TASK_PERF_EVENTS_DISABLE:
    case PR_TASK_PERF_EVENTS_ENABLE:
        return true;
    }
    return false;
}

static long is_subreaper(int *to)
{
    int value = 0, err = host_is_subreaper(&value);
    return err ? err : put_int(to, value);
}

SYSCALL5(prctl, int, op, unsigned long, a, unsigned long, b, unsigned long, c, unsigned long, d)
{
    struct process *p = current_process();
    if (kept_by_host(op))
        return on_host(op, (long)a, (long)b, (long)c, (long)d);
    switch (op) {
    case PR_SET_NAME:
        return set_name((const char *)a);
    case PR_GET_NAME:
        return copy_to_user((void *)a, current()->comm, sizeof(current()->comm)) ? -EFAULT : 0;
    case PR_SET_PDEATHSIG:
        return set_death_signal(a);
    case PR_GET_PDEATHSIG:
        return put_int((int *)a, p->parent.armed_by == p->pid ? p->parent.signal : 0);
    case PR_GET_CHILD_SUBREAPER:
        return is_subreaper((int *)a);
    case PR_SET_DUMPABLE:
        return set_dumpable(a);
    case PR_GET_DUMPABLE:
        return p->dumpable;
    case PR_CAPBSET_READ:
        return a < CAP_COUNT ? !(p->cred.caps_unbounded >> a & 1) : -EINVAL;
    case PR_CAPBSET_DROP:
        return drop_bounding(a);
    case PR_CAP_AMBIENT:
        return ambient((long)a, b, (long)c, (long)d);
    case PR_GET_SECUREBITS:
    case PR_GET_SECCOMP:
    case PR_GET_TIMING:
        return 0;
    case PR_SET_SECUREBITS:
        return p->cred.euid != 0 ? -EPERM : a ? -EINVAL : 0;
    case PR_SET_TIMING:
        return a ? -EINVAL : 0;
    case PR_GET_TSC:
        return put_int((int *)a, PR_TSC_ENABLE);
    case PR_SET_TSC:
        return a == PR_TSC_ENABLE ? 0 : -EINVAL;
    case PR_GET_TID_ADDRESS:
        return put_user((uint32_t **)a, current()->clear_tid) ? -EFAULT : 0;
    case PR_SET_VMA:
        return name_memory((long)a, b, c, (const char *)d);
    case PR_SET_PTRACER:
        return on_host(op, (int)a == -1 ? -1 : run_named((int)a), 0, 0, 0);
    case PR_SET_MM:
        return -EPERM;
    }
    return -EINVAL;
}

#ifndef ARCH_GET_XCOMP_SUPP
#    define ARCH_GET_XCOMP_SUPP 0x1021
#    define ARCH_GET_XCOMP_PERM 0x1022
#    define ARCH_REQ_XCOMP_PERM 0x1023
#endif
#define XFEATURES_TILE (3UL << 17) /* AMX: the area for it would not fit; refused below */

static long get_features(int op, uint64_t *uout)
{
    uint64_t mask = 0;
    int r = host_get_features(op, &mask);
    mask &= ~XFEATURES_TILE;
    return r ? r : put_user(uout, mask) ? -EFAULT : 0;
}

SYSCALL2(arch_prctl, int, op, uint64_t, addr)
{
    struct thread *t = current();
    switch (op) {
    case ARCH_SET_FS:
        if (addr >= USER_TOP)
            return -EPERM;
        t->fs_base = addr;
        platform_set_fs(addr);
        return 0;
    case ARCH_GET_FS: {
        uint64_t base = platform_get_fs();
        return put_user((uint64_t *)addr, base) ? -EFAULT : 0;
    }
    case ARCH_SET_GS:
        return addr >= USER_TOP ? -EPERM : platform_set_user_gs(addr);
    case ARCH_GET_GS: {
        uint64_t base = platform_get_user_gs();
        return put_user((uint64_t *)addr, base) ? -EFAULT : 0;
    }
    case ARCH_GET_CPUID:
        return 1;
    case ARCH_SET_CPUID:
        return addr ? 0 : -ENODEV;
    case ARCH_GET_XCOMP_SUPP:
    case ARCH_GET_XCOMP_PERM:
        return get_features(op, (uint64_t *)addr);
    case ARCH_REQ_XCOMP_PERM:
        return addr < 17 && addr != 9 ? 0 : addr < 64 ? -EOPNOTSUPP : -EINVAL;
    }
    return -EINVAL;
}

SYSCALL1(personality, uint32_t, persona)
{
    struct process *p = current_process();
    lock(&p->lock);
    uint32_t old = p->personality;
    if (persona != 0xffffffff)
        p->personality = persona;
    member_changed();
    unlock(&p->lock);
    return old;
}
