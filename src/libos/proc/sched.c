/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Scheduling: threads are the host's, with the host's ids, so that the host answers (sched(7))
 * about those of the run, and what it answers is checked. */
#include "host/host_process.h"
#include "libos/entry/syscall.h"
#include "libos/proc/reach.h"
#include "libos/process.h"
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <linux/time_types.h>

/* What is written of a longer mask than any host has is not more. */
#define MOST_CPU_BYTES HOST_MOST_CPU_BYTES

SYSCALL0(sched_yield)
{
    host_yield();
    return 0;
}

SYSCALL3(sched_setaffinity, int, pid, uint32_t, len, const void *, umask)
{
    char mask[MOST_CPU_BYTES];
    size_t n = MIN((size_t)len, sizeof(mask));
    return copy_from_user(mask, umask, n) ? -EFAULT : host_set_affinity(run_named(pid), mask, n);
}

SYSCALL3(sched_getaffinity, int, pid, uint32_t, len, void *, umask)
{
    char mask[MOST_CPU_BYTES];
    if (len % sizeof(long))
        return -EINVAL;
    int n = host_get_affinity(run_named(pid), mask, MIN((size_t)len, sizeof(mask)));
    return n > 0 && copy_to_user(umask, mask, (size_t)n) ? -EFAULT : n;
}

SYSCALL2(sched_setparam, int, pid, const int *, uparam)
{
    int priority;
    if (!uparam)
        return -EINVAL;
    return get_user(priority, uparam) ? -EFAULT : host_set_priority_of(run_named(pid), &priority);
}

SYSCALL2(sched_getparam, int, pid, int *, uparam)
{
    int priority;
    if (!uparam)
        return -EINVAL;
    int err = host_get_priority_of(run_named(pid), &priority);
    return err ? err : put_user(uparam, priority) ? -EFAULT : 0;
}

SYSCALL3(sched_setscheduler, int, pid, int, policy, const int *, uparam)
{
    int priority;
    if (policy < 0 || !uparam)
        return -EINVAL;
    return get_user(priority, uparam) ? -EFAULT
                                      : host_set_scheduler(run_named(pid), policy, &priority);
}

SYSCALL1(sched_getscheduler, int, pid)
{
    return host_get_scheduler(run_named(pid));
}

/* The size that the structure says is also what is read of it; a later Linux's fields must be zero,
 * and *usize becomes the known size if they are not. */
SYSCALL3(sched_setattr, int, pid, struct sched_attr *, uattr, uint32_t, flags)
{
    struct sched_attr attr;
    uint32_t size, known = sizeof(attr);
    if (!uattr || pid < 0 || flags)
        return -EINVAL;
    if (get_user(size, &uattr->size))
        return -EFAULT;
    size = size ? size : SCHED_ATTR_SIZE_VER0;
    int err =
        size < SCHED_ATTR_SIZE_VER0 ? -E2BIG : copy_struct_from_user(&attr, known, uattr, size);
    if (err == -E2BIG)
        return put_user(&uattr->size, known) ? -EFAULT : -E2BIG;
    attr.size = MIN(size, known);
    return err ? err : host_set_sched_attr(run_named(pid), &attr, flags);
}

SYSCALL4(sched_getattr, int, pid, struct sched_attr *, uattr, uint32_t, size, uint32_t, flags)
{
    struct sched_attr attr = {.size = 0};
    if (!uattr || size > PAGE_SIZE || size < SCHED_ATTR_SIZE_VER0)
        return -EINVAL;
    uint32_t n = MIN(size, (uint32_t)sizeof(attr));
    int err = host_get_sched_attr(run_named(pid), &attr, n, flags);
    return err ? err : copy_to_user(uattr, &attr, n) ? -EFAULT : 0;
}

/* Which of the policies without priorities there are differs among kernels. */
static int priority_limit(int policy, int of_real_time)
{
    return policy == SCHED_FIFO || policy == SCHED_RR ? of_real_time : host_knows_policy(policy);
}

SYSCALL1(sched_get_priority_max, int, policy)
{
    return priority_limit(policy, 99);
}

SYSCALL1(sched_get_priority_min, int, policy)
{
    return priority_limit(policy, 1);
}

SYSCALL2(sched_rr_get_interval, int, pid, struct __kernel_timespec *, uinterval)
{
    struct __kernel_timespec ts;
    int err = host_rr_interval(run_named(pid), &ts);
    return err ? err : put_user(uinterval, ts) ? -EFAULT : 0;
}

/* Programs take the number for an index. */
SYSCALL2(getcpu, uint32_t *, ucpu, uint32_t *, unode)
{
    uint32_t cpu = 0, node = 0;
    int err = PLATFORM_HOST_TRUSTED ? host_getcpu(&cpu, &node) : 0;
    if (!err && ((ucpu && put_user(ucpu, cpu)) || (unode && put_user(unode, node))))
        err = -EFAULT;
    return err;
}

SYSCALL3(membarrier, int, cmd, uint32_t, flags, int, cpu)
{
    return host_membarrier(cmd, flags, cpu);
}

/* As on a kernel without it, for which every libc is prepared: the host would write through a
 * pointer that outlives fork and execve, which it does not see. */
SYSCALL0(rseq)
{
    return -ENOSYS;
}
