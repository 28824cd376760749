/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Scheduling; see host_process.h. */
#include "host/arena.h"
#include "host/host_process.h"
#include <asm/unistd.h>
#include <linux/sched/types.h>

#define MOST_PRIORITY 99 /* of real-time policies */
#define MOST_NICE     19
#define LEAST_NICE    (-20)
#define MOST_POLICY   7 /* SCHED_EXT */
#define RESET_ON_FORK 0x40000000

static bool policy_ok(int policy)
{
    return policy >= 0 && (policy & ~RESET_ON_FORK) <= MOST_POLICY;
}

/* Programs count the processors in it, and divide by their number. */
static bool some_processor(const char *mask, size_t n)
{
    bool some = false;
    for (size_t i = 0; i < n; i++)
        some |= mask[i] != 0;
    return some && n % sizeof(long) == 0;
}

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
    return n < 0 || some_processor(mask, (size_t)n) ? n : -EIO;
}

int host_set_scheduler(int pid, int policy, const int *priority)
{
    ARENA;
    return host_status(
        CALL3(__NR_sched_setscheduler, pid, policy, give(priority, sizeof(*priority))));
}

int host_get_scheduler(int pid)
{
    int policy = (int)host_number(CALL1(__NR_sched_getscheduler, pid), INT32_MAX);
    return policy < 0 || policy_ok(policy) ? policy : -EIO;
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
    if (!err)
        take(priority, out, sizeof(*priority));
    return err || (*priority >= 0 && *priority <= MOST_PRIORITY) ? err : -EIO;
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
    if (!err)
        take(attr, out, size);
    const struct sched_attr *a = attr; /* as far as every kernel has it */
    bool good = err || (a->size >= SCHED_ATTR_SIZE_VER0 && a->size <= size &&
                        policy_ok((int)a->sched_policy) && a->sched_nice >= LEAST_NICE &&
                        a->sched_nice <= MOST_NICE && a->sched_priority <= MOST_PRIORITY);
    return good ? err : -EIO;
}

int host_knows_policy(int policy)
{
    return host_status(CALL1(__NR_sched_get_priority_max, policy));
}

int host_rr_interval(int pid, struct __kernel_timespec *ts)
{
    ARENA;
    struct __kernel_timespec *out = room(ts, sizeof(*ts));
    int err = host_status(CALL2(__NR_sched_rr_get_interval, pid, out));
    if (!err)
        take(ts, out, sizeof(*ts));
    return err || (ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < 1000000000) ? err : -EIO;
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
    int nice = (int)host_number(CALL2(__NR_getpriority, which, who), MOST_NICE - LEAST_NICE + 1);
    return nice ? nice : -EIO;
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
