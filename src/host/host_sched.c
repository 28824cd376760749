/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Scheduling; see host_process.h. */
#include "host/arena.h"
#include "host/host_process.h"
#include <asm/unistd.h>
#include <linux/sched/types.h>

#define MOST_PRIORITY 1000

void host_yield(void)
{
    CALL0(__NR_sched_yield);
}

int host_set_affinity(int pid, const void *mask, size_t len)
{
    ARENA;
    return host_status(CALL3(__NR_sched_setaffinity, pid, len, give(mask, len)));
}

int host_get_affinity(int pid, void *mask, size_t len)
{
    ARENA;
    void *out = room(mask, len);
    int n = (int)host_number(CALL3(__NR_sched_getaffinity, pid, len, out), (long)len);
    if (n > 0)
        take(mask, out, (size_t)n);
    return n;
}

int host_set_scheduler(int pid, int policy, const int *priority)
{
    ARENA;
    return host_status(
        CALL3(__NR_sched_setscheduler, pid, policy, give(priority, sizeof(*priority))));
}

int host_get_scheduler(int pid)
{
    return (int)host_number(CALL1(__NR_sched_getscheduler, pid), INT32_MAX);
}

int host_set_priority_of(int pid, const int *priority)
{
    ARENA;
    return host_status(CALL2(__NR_sched_setparam, pid, give(priority, sizeof(*priority))));
}

int host_get_priority_of(int pid, int *priority)
{
    ARENA;
    int *out = room(priority, sizeof(*priority));
    int err = host_status(CALL2(__NR_sched_getparam, pid, out));
    return err ? err : take(priority, out, sizeof(*priority));
}

int host_set_sched_attr(int pid, const void *attr, unsigned flags)
{
    ARENA;
    uint32_t size = attr ? MIN(*(const uint32_t *)attr, (uint32_t)PAGE_SIZE) : 0;
    size = MAX(size, (uint32_t)SCHED_ATTR_SIZE_VER0); /* which 0 stands for */
    return host_status(CALL3(__NR_sched_setattr, pid, give(attr, size), flags));
}

int host_get_sched_attr(int pid, void *attr, unsigned size, unsigned flags)
{
    ARENA;
    void *out = room(attr, size);
    int err = host_status(CALL4(__NR_sched_getattr, pid, out, size, flags));
    return err ? err : take(attr, out, size);
}

int host_priority_limit(int policy, bool highest)
{
    return (int)host_number(
        CALL1(highest ? __NR_sched_get_priority_max : __NR_sched_get_priority_min, policy),
        MOST_PRIORITY);
}

int host_rr_interval(int pid, struct __kernel_timespec *ts)
{
    ARENA;
    struct __kernel_timespec *out = room(ts, sizeof(*ts));
    int err = host_status(CALL2(__NR_sched_rr_get_interval, pid, out));
    return err ? err : take(ts, out, sizeof(*ts));
}

int host_getcpu(uint32_t *cpu, uint32_t *node)
{
    ARENA;
    uint32_t *cpu_out = room(cpu, sizeof(*cpu)), *node_out = room(node, sizeof(*node));
    int err = host_status(CALL3(__NR_getcpu, cpu_out, node_out, 0));
    if (!err) {
        take(cpu, cpu_out, sizeof(*cpu));
        take(node, node_out, sizeof(*node));
    }
    return err;
}

int host_get_nice(int which, int who)
{
    return (int)host_number(CALL2(__NR_getpriority, which, who), 40);
}

int host_set_nice(int which, int who, int nice)
{
    return host_status(CALL3(__NR_setpriority, which, who, nice));
}

int host_get_ioprio(int which, int who)
{
    return (int)host_number(CALL2(__NR_ioprio_get, which, who), UINT16_MAX);
}

int host_set_ioprio(int which, int who, int prio)
{
    return host_status(CALL3(__NR_ioprio_set, which, who, prio));
}
