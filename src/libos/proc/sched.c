/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Scheduling: threads are the host's, with the host's ids, so that the host answers (sched(7))
 * about those of the run. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/proc/reach.h"
#include "libos/process.h"
#include <asm/unistd.h>
#include <linux/sched/types.h>

#define SCHED_PARAM_BYTES 4
#define MOST_CPU_BYTES    PAGE_SIZE

SYSCALL0(sched_yield)
{
    return host_pass(__NR_sched_yield, 0, 0, 0, 0, 0, 0);
}

SYSCALL3(sched_setaffinity, int, pid, uint32_t, len, const void *, umask)
{
    if (!user_range_ok(umask, MIN((size_t)len, MOST_CPU_BYTES)))
        return -EFAULT;
    return host_pass(__NR_sched_setaffinity, run_named(pid), MIN((size_t)len, MOST_CPU_BYTES),
                     (long)umask, 0, 0, 0);
}

SYSCALL3(sched_getaffinity, int, pid, uint32_t, len, void *, umask)
{
    if (!user_range_ok(umask, len))
        return -EFAULT;
    return host_pass(__NR_sched_getaffinity, run_named(pid), len, (long)umask, 0, 0, 0);
}

SYSCALL2(sched_setparam, int, pid, const void *, uparam)
{
    if (uparam && !user_range_ok(uparam, SCHED_PARAM_BYTES))
        return -EFAULT;
    return host_pass(__NR_sched_setparam, run_named(pid), (long)uparam, 0, 0, 0, 0);
}

SYSCALL2(sched_getparam, int, pid, void *, uparam)
{
    if (uparam && !user_range_ok(uparam, SCHED_PARAM_BYTES))
        return -EFAULT;
    return host_pass(__NR_sched_getparam, run_named(pid), (long)uparam, 0, 0, 0, 0);
}

SYSCALL3(sched_setscheduler, int, pid, int, policy, const void *, uparam)
{
    if (uparam && !user_range_ok(uparam, SCHED_PARAM_BYTES))
        return -EFAULT;
    return host_pass(__NR_sched_setscheduler, run_named(pid), policy, (long)uparam, 0, 0, 0);
}

SYSCALL1(sched_getscheduler, int, pid)
{
    return host_pass(__NR_sched_getscheduler, run_named(pid), 0, 0, 0, 0, 0);
}

SYSCALL3(sched_setattr, int, pid, const struct sched_attr *, uattr, uint32_t, flags)
{
    if (uattr && !user_range_ok(uattr, PAGE_SIZE))
        return -EFAULT;
    return host_pass(__NR_sched_setattr, run_named(pid), (long)uattr, flags, 0, 0, 0);
}

SYSCALL4(sched_getattr, int, pid, struct sched_attr *, uattr, uint32_t, size, uint32_t, flags)
{
    if (uattr && !user_range_ok(uattr, MIN((size_t)size, PAGE_SIZE)))
        return -EFAULT;
    return host_pass(__NR_sched_getattr, run_named(pid), (long)uattr, size, flags, 0, 0);
}

SYSCALL1(sched_get_priority_max, int, policy)
{
    return host_pass(__NR_sched_get_priority_max, policy, 0, 0, 0, 0, 0);
}

SYSCALL1(sched_get_priority_min, int, policy)
{
    return host_pass(__NR_sched_get_priority_min, policy, 0, 0, 0, 0, 0);
}

SYSCALL2(sched_rr_get_interval, int, pid, struct __kernel_timespec *, uinterval)
{
    if (!user_range_ok(uinterval, sizeof(*uinterval)))
        return -EFAULT;
    return host_pass(__NR_sched_rr_get_interval, run_named(pid), (long)uinterval, 0, 0, 0, 0);
}

SYSCALL2(getcpu, uint32_t *, ucpu, uint32_t *, unode)
{
    if ((ucpu && !user_range_ok(ucpu, 4)) || (unode && !user_range_ok(unode, 4)))
        return -EFAULT;
    return host_pass(__NR_getcpu, (long)ucpu, (long)unode, 0, 0, 0, 0);
}

SYSCALL3(membarrier, int, cmd, uint32_t, flags, int, cpu)
{
    return host_pass(__NR_membarrier, cmd, flags, cpu, 0, 0, 0);
}

/* As on a kernel without it, for which every libc is prepared: the host would write through a
 * pointer that outlives fork and execve, which it does not see. */
SYSCALL0(rseq)
{
    return -ENOSYS;
}
