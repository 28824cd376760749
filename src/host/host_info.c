/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The typed host calls about the system and its clocks; see host.h. */
#include "host/host.h"
#include <linux/resource.h>
#include <linux/sysinfo.h>
#include <linux/time.h>
#include <linux/times.h>
#include <linux/timex.h>
#include <linux/utsname.h>

#define CALL(nr, a, b) host_syscall(nr, (long)(a), (long)(b), 0, 0, 0, 0)

#define MICROSECONDS 1000000

static long number(long r, long most)
{
    return r >= 0 && r <= most ? r : IS_ERR(r) ? host_errno(r) : -EIO;
}

int host_uname(struct new_utsname *name)
{
    long r = number(CALL(__NR_uname, name, 0), 0);
    name->sysname[__NEW_UTS_LEN] = name->nodename[__NEW_UTS_LEN] = 0;
    name->release[__NEW_UTS_LEN] = name->version[__NEW_UTS_LEN] = 0;
    name->machine[__NEW_UTS_LEN] = name->domainname[__NEW_UTS_LEN] = 0;
    return (int)r;
}

int host_sysinfo(struct sysinfo *info)
{
    long r = number(CALL(__NR_sysinfo, info, 0), 0);
    return r || info->mem_unit ? (int)r : -EIO;
}

static bool old_time_ok(int64_t sec, int64_t usec)
{
    return sec >= 0 && usec >= 0 && usec < MICROSECONDS;
}

int host_getrusage(int who, struct rusage *usage)
{
    long r = number(CALL(__NR_getrusage, who, usage), 0);
    bool good = r || (old_time_ok(usage->ru_utime.tv_sec, usage->ru_utime.tv_usec) &&
                      old_time_ok(usage->ru_stime.tv_sec, usage->ru_stime.tv_usec));
    return good ? (int)r : -EIO;
}

long host_times(struct tms *times)
{
    return number(CALL(__NR_times, times, 0), INT64_MAX);
}

ssize host_random_user(void *ubuf, size_t n, uint32_t flags)
{
    return host_length(host_syscall(__NR_getrandom, (long)ubuf, (long)n, flags, 0, 0, 0), n);
}

int host_clock_resolution(int clock, struct __kernel_timespec *ts)
{
    long r = number(CALL(__NR_clock_getres, clock, ts), 0);
    bool good = r || (ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < 1000 * MICROSECONDS);
    return good ? (int)r : -EIO;
}

int host_timezone(struct timezone *tz)
{
    return (int)number(CALL(__NR_gettimeofday, NULL, tz), 0);
}

int host_adjtimex(struct timex *tx)
{
    return (int)number(CALL(__NR_adjtimex, tx, 0), TIME_ERROR);
}

int host_sleep(int clock, int flags, const struct __kernel_timespec *how_long,
               struct __kernel_timespec *left)
{
    return (int)number(
        host_syscall_blocking(__NR_clock_nanosleep, clock, flags, (long)how_long, (long)left, 0, 0),
        0);
}
