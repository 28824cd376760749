/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* See host_process.h. */
#include "host/host_process.h"
#include "host/arena.h"
#include <asm/unistd.h>
#include <linux/prctl.h>
#include <linux/uio.h>

int host_getpid(void)
{
    return (int)host_number(CALL0(__NR_getpid), INT32_MAX);
}

int host_getppid(void)
{
    return (int)host_number(CALL0(__NR_getppid), INT32_MAX);
}

int host_getpgid(int pid)
{
    return (int)host_number(CALL1(__NR_getpgid, pid), INT32_MAX);
}

int host_setpgid(int pid, int group)
{
    return host_status(CALL2(__NR_setpgid, pid, group));
}

uint32_t host_umask(uint32_t mask)
{
    return (uint32_t)CALL1(__NR_umask, mask) & 0777;
}

int host_wait4(int pid, int *status, int options, struct rusage *usage)
{
    ARENA;
    int *status_out = room(status, sizeof(*status));
    struct rusage *usage_out = room(usage, sizeof(*usage));
    int r = (int)host_number(
        host_syscall_blocking(__NR_wait4, pid, (long)status_out, options, (long)usage_out, 0, 0),
        INT32_MAX);
    if (r > 0) {
        take(status, status_out, sizeof(*status));
        take(usage, usage_out, sizeof(*usage));
    }
    return r;
}

int host_waitid(int which, int id, siginfo_t *info, int options, struct rusage *usage)
{
    ARENA;
    siginfo_t *info_out = give(info, sizeof(*info)); /* the host writes some of its fields */
    struct rusage *usage_out = give(usage, sizeof(*usage));
    int r = host_status(
        host_syscall_blocking(__NR_waitid, which, id, (long)info_out, options, (long)usage_out, 0));
    if (!r) {
        take(info, info_out, sizeof(*info));
        take(usage, usage_out, sizeof(*usage));
    }
    return r;
}

int host_tell_parents_end(int sig)
{
    return host_status(CALL2(__NR_prctl, PR_SET_PDEATHSIG, sig));
}

int host_pidfd_open(int pid, unsigned flags)
{
    return host_descriptor(CALL2(__NR_pidfd_open, pid, flags));
}

int host_pidfd_signal(int fd, int sig, const siginfo_t *info)
{
    ARENA;
    return host_status(CALL4(__NR_pidfd_send_signal, fd, sig, give(info, sizeof(*info)), 0));
}

int host_sigqueue(int pid, int sig, const siginfo_t *info)
{
    ARENA;
    return host_status(CALL3(__NR_rt_sigqueueinfo, pid, sig, give(info, sizeof(*info))));
}

int host_tgsigqueue(int pid, int tid, int sig, const siginfo_t *info)
{
    ARENA;
    return host_status(CALL4(__NR_rt_tgsigqueueinfo, pid, tid, sig, give(info, sizeof(*info))));
}

void host_sigmask(int how, sigmask set)
{
    ARENA;
    CALL4(__NR_rt_sigprocmask, how, give(&set, sizeof(set)), 0, sizeof(set));
}

void host_set_name(const char name[16])
{
    ARENA;
    CALL2(__NR_prctl, PR_SET_NAME, give(name, 16));
}

long host_prctl(int op, long a, long b, long c, long d)
{
    return host_number(CALL5(__NR_prctl, op, a, b, c, d), INT32_MAX);
}

int host_is_subreaper(int *yes)
{
    ARENA;
    int *out = room(yes, sizeof(*yes));
    int err = host_status(CALL2(__NR_prctl, PR_GET_CHILD_SUBREAPER, out));
    return err ? err : take(yes, out, sizeof(*yes));
}

#ifndef PR_SET_VMA
#    define PR_SET_VMA 0x53564d41
#endif

int host_name_memory(long what, uintptr_t addr, size_t len, const char *name)
{
    ARENA;
    return host_status(CALL5(__NR_prctl, PR_SET_VMA, what, addr, len, give_text(name)));
}

int host_get_features(int op, uint64_t *mask)
{
    ARENA;
    uint64_t *out = room(mask, sizeof(*mask));
    int err = host_status(CALL2(__NR_arch_prctl, op, out));
    return err ? err : take(mask, out, sizeof(*mask));
}

int host_rlimit(int which, const struct rlimit64 *new, struct rlimit64 *old)
{
    ARENA;
    struct rlimit64 *out = room(old, sizeof(*old));
    int err = host_status(CALL4(__NR_prlimit64, 0, which, give(new, sizeof(*new)), out));
    if (!err)
        take(old, out, sizeof(*old));
    return err || !old || old->rlim_cur <= old->rlim_max ? err : -EIO;
}

ssize host_read_process(int pid, uint64_t from, void *buf, size_t n)
{
    ARENA;
    n = MIN(n, ARENA_MOST);
    struct iovec here = {room(buf, n), n}, there = {(void *)from, n};
    ssize r = host_length(host_syscall(__NR_process_vm_readv, pid, (long)give(&here, sizeof(here)),
                                       1, (long)give(&there, sizeof(there)), 1, 0),
                          n);
    if (r > 0)
        take(buf, here.iov_base, (size_t)r);
    return r;
}
