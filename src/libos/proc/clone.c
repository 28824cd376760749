/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* clone(2), clone3, fork, vfork: new threads and new processes. */
#include "host/host_process.h"
#include "libos/entry/syscall.h"
#include "libos/log.h"
#include "libos/proc/clone.h"
#include "libos/proc/lifecycle.h"
#include "libos/proc/members.h"
#include "libos/proc/pidfd.h"
#include "libos/proc/reach.h"
#include "libos/proc/vfork.h"
#include "libos/process.h"
#include "platform/platform.h"
#include <linux/sched.h>
#include <linux/wait.h>

#define THREAD_NEEDS (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)
#define THREAD_MAY                                                                                \
    (THREAD_NEEDS | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | \
     CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | CLONE_DETACHED | CLONE_IO | CLONE_PTRACE |       \
     CLONE_UNTRACED)
#define PROCESS_MAY                                                                        \
    (CLONE_VM | CLONE_VFORK | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID |  \
     CLONE_CHILD_SETTID | CLONE_CLEAR_SIGHAND | CLONE_IO | CLONE_DETACHED | CLONE_PTRACE | \
     CLONE_UNTRACED | CLONE_PIDFD | CLONE_PARENT | CLONE_SYSVSEM)

void thread_started(struct thread *t)
{
    for (size_t i = 0; i < ARRAY_SIZE(t->set_tid); i++)
        if (t->set_tid[i])
            put_user(t->set_tid[i], t->tid);
}

static struct thread *new_thread(const struct clone_request *c)
{
    struct thread *me = current();
    struct thread *t = thread_alloc(me->process);
    if (!t)
        return NULL;
    *thread_regs(t) = *thread_regs(me);
    struct regs *r = thread_regs(t);
    r->rax = 0;
    if (c->stack)
        r->rsp = c->stack;
    r->orig_rax = (uint64_t)-1;
    t->fs_base = c->flags & CLONE_SETTLS ? c->tls : platform_get_fs();
    platform_copy_user_gs(t);
    t->blocked = me->blocked;
    t->clear_tid = c->flags & CLONE_CHILD_CLEARTID ? c->child_tid : NULL;
    t->set_tid[0] = c->flags & CLONE_PARENT_SETTID ? c->parent_tid : NULL;
    t->set_tid[1] = c->flags & CLONE_CHILD_SETTID ? c->child_tid : NULL;
    memcpy(t->comm, me->comm, sizeof(t->comm));
    return t;
}

static long clone_thread(const struct clone_request *c)
{
    struct process *p = current_process();
    struct thread *t = new_thread(c);
    if (!t)
        return -EAGAIN;
    lock(&p->lock);
    long r = p->ending_others || p->exiting ? -EAGAIN : 0;
    if (!r) {
        list_add_tail(&p->threads, &t->siblings);
        p->nthreads++;
        if (p->stopping)
            work_set(t, WORK_STOP);
        r = platform_thread_start(t);
        if (r) {
            list_del(&t->siblings);
            p->nthreads--;
        } else {
            r = t->tid; /* it cannot end before the lock is free */
            if (c->flags & CLONE_PARENT_SETTID)
                put_user(c->parent_tid, t->tid);
        }
    }
    unlock(&p->lock);
    if (r < 0)
        thread_free(t);
    return r;
}

void clone_become_child(struct process *p, const struct clone_request *c)
{
    struct thread *t = current();
    if (c->flags & CLONE_PIDFD)
        fd_close(c->pidfd_number); /* the parent's */
    p->pid = t->tid = t->host_tid;
    p->is_first = false;
    memcpy(p->comm, t->comm, sizeof(p->comm));
    life_in_child();
    t->robust_list = NULL;
    t->clear_tid = c->flags & CLONE_CHILD_CLEARTID ? c->child_tid : NULL;
    if (c->flags & CLONE_SETTLS)
        platform_set_fs(c->tls);
    if (c->flags & CLONE_CHILD_SETTID)
        put_user(c->child_tid, t->tid);
    if (c->flags & CLONE_CLEAR_SIGHAND)
        for (int i = 0; i < NSIG_MAX; i++)
            if (p->sighand.action[i].handler > 1)
                p->sighand.action[i] = (struct ksigaction){0};
    if (c->stack)
        thread_regs(t)->rsp = c->stack;
    p->start_ns = host_clock_ns(7 /* CLOCK_BOOTTIME */);
}

#define HOST_FLAGS (CSIGNAL | CLONE_PARENT | CLONE_PIDFD)

static long hand_out_pidfd(struct clone_request *c, long pid, int pidfd)
{
    if (!c->pidfd_file)
        return pid;
    if (pid > 0)
        __atomic_store_n(&c->pidfd_file->host_fd, pidfd, __ATOMIC_RELEASE);
    file_put(c->pidfd_file);
    c->pidfd_file = NULL;
    return pid;
}

struct making {
    uint64_t flags;
    int code; /* of a child that has ended */
    int pidfd;
};

static long make_child(void *arg)
{
    struct making *m = arg;
    return platform_fork(m->flags, &m->pidfd);
}

static long make_ended_child(void *arg)
{
    struct making *m = arg;
    return platform_ended_child(m->flags, &m->pidfd, m->code);
}

long clone_fork(struct clone_request *c)
{
    struct making m = {.flags = c->flags & HOST_FLAGS, .pidfd = -1};
    long pid = life_fork(false, make_child, &m);
    return hand_out_pidfd(c, pid, m.pidfd);
}

long clone_ended(struct clone_request *c, int code)
{
    struct making m = {.flags = c->flags & HOST_FLAGS, .pidfd = -1, .code = code};
    long pid = life_fork(true, make_ended_child, &m);
    return hand_out_pidfd(c, pid, m.pidfd);
}

/* The parent's descriptor for its child, its number stored where the caller wants it. */
static int prepare_pidfd(struct clone_request *c)
{
    if (!(c->flags & CLONE_PIDFD))
        return 0;
    int fd = pidfd_prepare(&c->pidfd_file);
    if (fd < 0)
        return fd;
    c->pidfd_number = fd;
    if (!put_user(c->pidfd, fd))
        return 0;
    fd_close(fd);
    file_put(c->pidfd_file);
    c->pidfd_file = NULL;
    return -EFAULT;
}

static long clone_process(struct clone_request *c)
{
    struct process *p = current_process();
    struct thread *t = current();
    if (run.manifest.image->disallow_subprocesses) {
        log_warning("fork is refused: sys.disallow_subprocesses is set");
        return -EAGAIN;
    }
    long err = prepare_pidfd(c);
    if (!err && c->flags & CLONE_VFORK)
        err = vfork_begin(c);
    if (err && c->pidfd_file) {
        fd_close(c->pidfd_number);
        file_put(c->pidfd_file);
    }
    if (err || c->flags & CLONE_VFORK)
        return err;
    t->fs_base = platform_get_fs();
    world_stop();
    long pid = clone_fork(c);
    if (pid == 0) {
        clone_become_child(p, c);
        return 0;
    }
    world_resume();
    if (pid < 0 && c->flags & CLONE_PIDFD)
        fd_close(c->pidfd_number);
    if (pid > 0 && c->flags & CLONE_PARENT_SETTID) {
        uint32_t id = (uint32_t)pid;
        put_user(c->parent_tid, id);
    }
    return pid;
}

/* Nobody outside gets a child from us, as from the first process of a pid namespace. */
static bool parent_is_inside(void)
{
    return run_process_of(host_getppid());
}

static long do_clone(struct clone_request *c)
{
    uint64_t flags = c->flags & ~(uint64_t)CSIGNAL;
    if (flags & CLONE_THREAD) {
        if ((flags & THREAD_NEEDS) != THREAD_NEEDS || flags & ~(uint64_t)THREAD_MAY)
            return -EINVAL;
        return clone_thread(c);
    }
    if (flags & CLONE_SIGHAND && !(flags & CLONE_VM))
        return -EINVAL;
    if (flags & (CLONE_SIGHAND | CLONE_FILES | CLONE_FS) ||
        (flags & CLONE_VM && !(flags & CLONE_VFORK))) {
        log_warning("clone: processes that share memory, handlers, descriptors or directories for "
                    "good (flags 0x%lx) are not supported",
                    flags);
        return -EINVAL;
    }
    if (flags & ~(uint64_t)PROCESS_MAY || (flags & CLONE_PARENT && !parent_is_inside()))
        return -EINVAL;
    return clone_process(c);
}

long sys_clone(SYS_ARGS);
long sys_clone(SYS_ARGS)
{
    SYS_UNUSED;
    struct clone_request c = {.flags = (uint64_t)a0,
                              .stack = (uint64_t)a1,
                              .parent_tid = (uint32_t *)a2,
                              .child_tid = (uint32_t *)a3,
                              .tls = (uint64_t)a4,
                              .pidfd = (int *)a2};
    if (c.flags & CLONE_PIDFD && c.flags & (CLONE_PARENT_SETTID | CLONE_DETACHED))
        return -EINVAL; /* one place for two results */
    return do_clone(&c);
}

SYSCALL2(clone3, const struct clone_args *, uargs, size_t, size)
{
    struct clone_args a = {0};
    if (size < CLONE_ARGS_SIZE_VER0)
        return -EINVAL;
    int err = copy_struct_from_user(&a, sizeof(a), uargs, size);
    if (err)
        return err;
    if (a.flags & (CSIGNAL | CLONE_DETACHED) || a.exit_signal > NSIG_MAX ||
        (a.flags & (CLONE_THREAD | CLONE_PARENT) && a.exit_signal) ||
        (!a.stack) != (!a.stack_size) || a.set_tid_size || a.flags & CLONE_INTO_CGROUP)
        return -EINVAL;
    struct clone_request c = {.flags = a.flags | a.exit_signal,
                              .stack = a.stack + a.stack_size,
                              .parent_tid = (uint32_t *)a.parent_tid,
                              .child_tid = (uint32_t *)a.child_tid,
                              .tls = a.tls,
                              .pidfd = (int *)a.pidfd};
    return do_clone(&c);
}

SYSCALL0(fork)
{
    struct clone_request c = {.flags = SIGCHLD};
    return do_clone(&c);
}

SYSCALL0(vfork)
{
    struct clone_request c = {.flags = CLONE_VFORK | CLONE_VM | SIGCHLD};
    return do_clone(&c);
}

SYSCALL1(set_tid_address, uint32_t *, utid)
{
    current()->clear_tid = utid;
    return current()->tid;
}

SYSCALL1(exit, int, status)
{
    thread_exit(status);
}

SYSCALL1(exit_group, int, status)
{
    process_exit((status & 0xff) << 8);
}

SYSCALL4(wait4, int, pid, int *, ustatus, int, options, struct rusage *, urusage)
{
    struct rusage usage;
    int status, r;
    do {
        r = host_wait4(pid, &status, options, urusage ? &usage : NULL);
        if (r == -EINTR && interrupted())
            return -ERESTARTSYS;
    } while (r == -EINTR);
    if (r > 0 && ((ustatus && put_user(ustatus, status)) || (urusage && put_user(urusage, usage))))
        return -EFAULT;
    return r;
}

/* What waitid(2) writes of a siginfo, also after an error. */
static int put_wait_info(siginfo_t *to, const siginfo_t *info)
{
    return put_user(&to->si_signo, info->si_signo) || put_user(&to->si_errno, info->si_errno) ||
           put_user(&to->si_code, info->si_code) || put_user(&to->si_pid, info->si_pid) ||
           put_user(&to->si_uid, info->si_uid) || put_user(&to->si_status, info->si_status);
}

SYSCALL5(waitid, int, which, int, id, siginfo_t *, uinfo, int, options, struct rusage *, urusage)
{
    struct file *f = NULL;
    siginfo_t info;
    struct rusage usage;
    long r;
    memset(&info, 0, sizeof(info));
    if (which == P_PIDFD) {
        id = pidfd_host(id, &f);
        if (id < 0)
            return id;
    }
    do {
        r = host_waitid(which, id, &info, options, urusage ? &usage : NULL);
        if (r == -EINTR && interrupted())
            r = -ERESTARTSYS;
    } while (r == -EINTR);
    if (f)
        file_put(f);
    if (r != -ERESTARTSYS && uinfo && put_wait_info(uinfo, &info))
        r = -EFAULT;
    if (!r && info.si_pid && urusage && put_user(urusage, usage))
        r = -EFAULT;
    return r;
}
