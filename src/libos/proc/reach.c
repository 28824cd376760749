/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/proc/reach.h"
#include "host/host_process.h"
#include "libos/proc/caps.h"
#include "libos/proc/members.h"
#include "libos/process.h"
#include <linux/capability.h>

static int first_group, first_pid; /* the group in which the run was started; set before any fork */

static int group_of(int pid)
{
    return host_getpgid(pid);
}

void reach_setup(void)
{
    first_group = group_of(0);
    first_pid = current_process()->pid;
}

/* ---- threads and processes ---- */

int run_parent(int pid, int parent)
{
    if (pid == first_pid)
        return 0;
    return parent == current_process()->pid || member_alive(parent) ? parent : 1;
}

static long next_own_thread(struct process *p, long from)
{
    long found = -1;
    lock(&p->lock);
    list_for_each (it, &p->threads) {
        long tid = list_entry(it, struct thread, siblings)->tid;
        if (tid >= from && (found < 0 || tid < found))
            found = tid;
    }
    unlock(&p->lock);
    return found;
}

/* Every thread of the host's process is one of the application. */
static long next_other_thread(int pid, long from)
{
    char path[32];
    long found = -1;
    fmt(path, sizeof(path), "/proc/%d/task", pid);
    int dir = host_open(path, O_RDONLY | O_DIRECTORY, 0);
    char *list = dir < 0 ? NULL : heap_alloc(PAGE_SIZE);
    ssize n;
    while (list && (n = host_getdents(dir, list, PAGE_SIZE)) > 0) {
        long tid;
        for (ssize at = 0; (tid = host_listed_number(list, n, &at)) >= 0;)
            if (tid >= from && (found < 0 || tid < found))
                found = tid;
    }
    heap_free(list);
    if (dir >= 0)
        host_close(dir);
    return member_alive(pid) ? found : -1;
}

long run_next_thread(int pid, long from)
{
    struct process *p = current_process();
    return pid == p->pid ? next_own_thread(p, from) : next_other_thread(pid, from);
}

static bool is_own(int tid)
{
    struct process *p = current_process();
    return tid == p->pid || tid == current()->tid || next_own_thread(p, tid) == tid;
}

int run_process_of(int tid)
{
    if (tid <= 0)
        return 0;
    if (is_own(tid))
        return current_process()->pid;
    return member_alive(tid) ? tid : member_of_thread(tid);
}

int run_named(int tid)
{
    return tid <= 0 || run_process_of(tid) ? tid : RUN_NOBODY;
}

#define CLOCK_PID_SHIFT 3
#define CLOCK_KIND      7u /* below the inverted pid */
#define CLOCK_FD        3u

int run_named_clock(int clock)
{
    uint32_t kind = (uint32_t)clock & CLOCK_KIND;
    int pid = ~(clock >> CLOCK_PID_SHIFT);
    if (likely(clock >= 0) || (kind != CLOCK_FD && run_named(pid) == pid))
        return clock;
    return (int)(~(uint32_t)RUN_NOBODY << CLOCK_PID_SHIFT | (kind == CLOCK_FD ? 2u : kind));
}

/* ---- groups ---- */

struct search {
    int group;
    bool found;
};

static void compare_group(int pid, void *ctx)
{
    struct search *s = ctx;
    s->found |= group_of(pid) == s->group;
}

bool run_has_group(int pgid)
{
    struct search s = {.group = pgid};
    if (group_of(0) == pgid || (member_alive(pgid) && group_of(pgid) == pgid))
        return true;
    members_each(false, compare_group, &s);
    return s.found;
}

bool run_group_is_mixed(int pgid)
{
    return pgid == first_group;
}

int run_named_group(int pgid)
{
    return pgid <= 0 || pgid == first_group || run_has_group(pgid) ? pgid : RUN_NOBODY;
}

/* ---- signals ---- */

long run_pidfd(int pid, unsigned flags)
{
    long fd = host_pidfd_open(pid, flags);
    if (pid == current_process()->pid)
        return fd;
    if (fd >= 0 && member_alive(pid)) /* in this order: then it is the one that is meant, or dead */
        return fd;
    if (fd >= 0)
        host_close((int)fd);
    return fd < 0 && run_process_of(pid) ? fd : -ESRCH;
}

/* kill_ok_by_cred() and check_kill_permission() of Linux, by the ids inside. */
bool run_may_signal(int pid, int sig)
{
    const struct credentials *own = &current_process()->cred;
    if (pid == current_process()->pid || sig < 0 || sig > NSIG_MAX ||
        caps_effective(own) & (1UL << CAP_KILL))
        return true;
    struct member *m = member_get(pid);
    bool may = !m || own->euid == m->cred.suid || own->euid == m->cred.uid ||
               own->uid == m->cred.suid || own->uid == m->cred.uid;
    heap_free(m);
    return may || (sig == SIGCONT && host_getsid(pid) == host_getsid(0));
}

/* With no descriptor left on the host: the number may change hands right after the look. */
static long send_by_number(int pid, const siginfo_t *info)
{
    if (!member_alive(pid))
        return -ESRCH;
    return info->si_code == SI_USER ? host_kill(pid, info->si_signo)
                                    : host_sigqueue(pid, info->si_signo, info);
}

/* To another process; `group`: if it is in that one, or 0. */
static long send_other(int pid, int group, const siginfo_t *info)
{
    long fd = run_pidfd(pid, 0);
    bool elsewhere = group && group_of(pid) != group;
    if (!elsewhere && !run_may_signal(pid, info->si_signo)) {
        if (fd >= 0)
            host_close((int)fd);
        return fd == -ESRCH ? -ESRCH : -EPERM;
    }
    if (fd == -EMFILE || fd == -ENFILE)
        return elsewhere ? -ESRCH : send_by_number(pid, info);
    if (fd < 0)
        return fd;
    long r = elsewhere ? -ESRCH
                       : host_pidfd_signal((int)fd, info->si_signo,
                                           info->si_code == SI_USER ? NULL : info);
    host_close((int)fd);
    return r;
}

static long send_self(const siginfo_t *info)
{
    if (info->si_signo < 0 || info->si_signo > NSIG_MAX)
        return -EINVAL;
    return info->si_signo ? signal_send_process(current_process(), info) : 0;
}

long run_signal(int pid, const siginfo_t *info)
{
    if (likely(pid == current_process()->pid))
        return send_self(info);
    if (is_own(pid))
        return send_self(info);
    int process = run_process_of(pid);
    return process ? send_other(process, 0, info) : -ESRCH;
}

struct sending {
    const siginfo_t *info;
    int group;   /* 0: to all */
    bool sent;   /* to somebody at least */
    bool denied; /* to somebody, which does not count for all (kill(2)) */
    long result; /* of the last one that counts */
};

static void send_one(int pid, void *ctx)
{
    struct sending *s = ctx;
    long r = !s->group && pid == 1 ? -ESRCH : send_other(pid, s->group, s->info);
    s->sent |= !r;
    s->denied |= r == -EPERM;
    s->result = r && r != -ESRCH ? r : s->result;
}

static long send_each(struct sending *s)
{
    /* Who gets one of these forks nobody more: there is an end. */
    bool later_too = s->info->si_signo == SIGKILL || s->info->si_signo == SIGSTOP;
    s->result = -ESRCH;
    int err = members_each(later_too, send_one, s);
    return err;
}

long run_signal_group(int pgid, const siginfo_t *info)
{
    struct sending s = {.info = info, .group = pgid ? pgid : group_of(0)};
    long err = send_each(&s);
    if (group_of(0) != s.group)
        return err ? err : s.sent ? 0 : s.result;
    long r = send_self(info); /* last: it may be the end of us */
    return err ? err : s.sent ? 0 : r;
}

long run_signal_all(const siginfo_t *info)
{
    struct sending s = {.info = info};
    long err = send_each(&s);
    bool some = s.sent || (s.denied && s.result == -EPERM);
    return err ? err : some ? 0 : s.result;
}
