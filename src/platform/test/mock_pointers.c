/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Calls that the mock host does not perform, but whose pointers it looks at: none may lead into the
 * library OS's memory. */
#include "platform/test/mock_calls.h"
#include "platform/test/mock.h"
#include <errno.h>
#include <sys/syscall.h>

/* Argument `arg` points to as many bytes as argument `length` says, or (length < 0) to some. */
struct pointer {
    signed char arg, length;
    bool used;
};
#define P(arg)        \
    {                 \
        arg, -1, true \
    }
#define L(arg, length)    \
    {                     \
        arg, length, true \
    }

static const struct {
    long nr;
    struct pointer pointers[3];
} known[] = {
    {SYS_mlock, {L(0, 1)}},
    {SYS_mlock2, {L(0, 1)}},
    {SYS_munlock, {L(0, 1)}},
    {SYS_mincore, {L(0, 1), P(2)}},
    {SYS_bind, {L(1, 2)}},
    {SYS_connect, {L(1, 2)}},
    {SYS_accept4, {P(1), P(2)}},
    {SYS_getsockname, {P(1), P(2)}},
    {SYS_getpeername, {P(1), P(2)}},
    {SYS_getsockopt, {P(4)}},
    {SYS_setsockopt, {L(3, 4)}},
    {SYS_socketpair, {P(3)}},
    {SYS_sendto, {L(1, 2), L(4, 5)}},
    {SYS_recvfrom, {L(1, 2), P(4)}},
    {SYS_sendmsg, {P(1)}},
    {SYS_recvmsg, {P(1)}},
    {SYS_timer_create, {P(1), P(2)}},
    {SYS_timer_settime, {P(2), P(3)}},
    {SYS_timer_gettime, {P(1)}},
    {SYS_setitimer, {P(1), P(2)}},
    {SYS_getitimer, {P(1)}},
    {SYS_nanosleep, {P(0), P(1)}},
    {SYS_getrusage, {P(1)}},
    {SYS_times, {P(0)}},
    {SYS_time, {P(0)}},
    {SYS_gettimeofday, {P(0), P(1)}},
    {SYS_sysinfo, {P(0)}},
    {SYS_uname, {P(0)}},
    {SYS_adjtimex, {P(0)}},
    {SYS_sched_setscheduler, {P(2)}},
    {SYS_sched_setparam, {P(1)}},
    {SYS_sched_getparam, {P(1)}},
    {SYS_sched_setattr, {P(1)}},
    {SYS_sched_getattr, {L(1, 2)}},
    {SYS_sched_setaffinity, {L(2, 1)}},
    {SYS_sched_getaffinity, {L(2, 1)}},
    {SYS_sched_rr_get_interval, {P(1)}},
    {SYS_rt_sigqueueinfo, {P(2)}},
    {SYS_rt_tgsigqueueinfo, {P(3)}},
    {SYS_pidfd_send_signal, {P(2)}},
    {SYS_inotify_add_watch, {P(1)}},
    {SYS_getcpu, {P(0), P(1)}},
    {SYS_set_robust_list, {L(0, 1)}},
};

/* The kernel refuses negative lengths. */
static size_t bytes(const struct pointer *p, const long a[6])
{
    long n = p->length < 0 ? 1 : a[p->length];
    return n < 0 || (int)n < 0 ? 0 : (size_t)n;
}

long mock_unknown(long nr, const long a[6])
{
    for (unsigned i = 0; i < sizeof(known) / sizeof(*known); i++) {
        const struct pointer *p = known[i].pointers;
        for (unsigned j = 0; known[i].nr == nr && j < 3 && p[j].used; j++)
            mock_memory((const void *)a[p[j].arg], bytes(&p[j], a), nr);
    }
    return -ENOSYS;
}
