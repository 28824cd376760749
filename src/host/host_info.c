/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The typed host calls about the system and its clocks; see host.h. */
#include "host/arena.h"
#include <linux/resource.h>
#include <linux/sysinfo.h>
#include <linux/time.h>
#include <linux/times.h>
#include <linux/timex.h>
#include <linux/utsname.h>

#define MICROSECONDS 1000000

int host_uname(struct new_utsname *name)
{
    ARENA;
    struct new_utsname *out = room(name, sizeof(*name));
    long r = host_number(CALL1(__NR_uname, out), 0);
    if (!r)
        take(name, out, sizeof(*name));
    name->sysname[__NEW_UTS_LEN] = name->nodename[__NEW_UTS_LEN] = 0;
    name->release[__NEW_UTS_LEN] = name->version[__NEW_UTS_LEN] = 0;
    name->machine[__NEW_UTS_LEN] = name->domainname[__NEW_UTS_LEN] = 0;
    return (int)r;
}

int host_sysinfo(struct sysinfo *info)
{
    ARENA;
    struct sysinfo *out = room(info, sizeof(*info));
    long r = host_number(CALL1(__NR_sysinfo, out), 0);
    if (!r)
        take(info, out, sizeof(*info));
    return r || info->mem_unit ? (int)r : -EIO;
}

static bool old_time_ok(int64_t sec, int64_t usec)
{
    return sec >= 0 && usec >= 0 && usec < MICROSECONDS;
}

int host_getrusage(int who, struct rusage *usage)
{
    ARENA;
    struct rusage *out = room(usage, sizeof(*usage));
    long r = host_number(CALL2(__NR_getrusage, who, out), 0);
    if (!r)
        take(usage, out, sizeof(*usage));
    bool good = r || (old_time_ok(usage->ru_utime.tv_sec, usage->ru_utime.tv_usec) &&
                      old_time_ok(usage->ru_stime.tv_sec, usage->ru_stime.tv_usec));
    return good ? (int)r : -EIO;
}

long host_times(struct tms *times)
{
    ARENA;
    struct tms *out = room(times, sizeof(*times));
    long r = host_number(CALL1(__NR_times, out), INT64_MAX);
    if (r >= 0)
        take(times, out, sizeof(*times));
    return r;
}

int host_clock_resolution(int clock, struct __kernel_timespec *ts)
{
    ARENA;
    struct __kernel_timespec *out = room(ts, sizeof(*ts));
    long r = host_number(CALL2(__NR_clock_getres, clock, out), 0);
    if (!r)
        take(ts, out, sizeof(*ts));
    bool good = r || (ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < 1000 * MICROSECONDS);
    return good ? (int)r : -EIO;
}

int host_timezone(struct timezone *tz)
{
    ARENA;
    struct timezone *out = room(tz, sizeof(*tz));
    int err = (int)host_number(CALL2(__NR_gettimeofday, NULL, out), 0);
    return err ? err : take(tz, out, sizeof(*tz));
}

int host_adjtimex(struct timex *tx)
{
    ARENA;
    struct timex *out = give(tx, sizeof(*tx));
    int state = (int)host_number(CALL1(__NR_adjtimex, out), TIME_ERROR);
    if (state >= 0)
        take(tx, out, sizeof(*tx));
    return state;
}

int host_sleep(int clock, int flags, const struct __kernel_timespec *how_long,
               struct __kernel_timespec *left)
{
    ARENA;
    struct __kernel_timespec *out = room(left, sizeof(*left));
    int err = (int)host_number(host_syscall_blocking(__NR_clock_nanosleep, clock, flags,
                                                     (long)give(how_long, sizeof(*how_long)),
                                                     (long)out, 0, 0),
                               0);
    if (err == -EINTR && !(flags & TIMER_ABSTIME))
        take(left, out, sizeof(*left));
    return err;
}
