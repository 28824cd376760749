/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/proc/vfork.h"
#include "host/host.h"
#include "libos/fs/encrypted.h"
#include "libos/log.h"
#include "libos/proc/clone.h"
#include "libos/proc/members.h"
#include "platform/platform.h"
#include <asm/unistd.h>
#include <linux/sched.h>

/* The parent, as it will be when its vfork returns. Freed at the commit. */
struct vfork_saved {
    struct clone_request request;
    struct regs regs;
    uint64_t fs_base;
    sigmask blocked;
    struct sigaltstack_state altstack;
    struct fdtable fds;
    struct sighand sighand;
    char *cwd, *root;
    struct file *cwd_file;
    uint32_t umask;
};

static void free_saved(struct vfork_saved *s)
{
    heap_free(s->cwd);
    heap_free(s->root);
    heap_free(s);
}

int vfork_begin(const struct clone_request *c)
{
    struct process *p = current_process();
    struct thread *t = current();
    struct vfork_saved *s = heap_zalloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    world_stop(); /* first: what other threads open or change until then is the parent's too */
    s->request = *c;
    s->regs = *thread_regs(t);
    s->fs_base = platform_get_fs();
    s->blocked = t->blocked;
    s->altstack = t->altstack;
    s->sighand = p->sighand;
    s->umask = p->fs.umask;
    s->cwd = heap_strdup(p->fs.cwd);
    s->root = heap_strdup(p->fs.root);
    if (!s->cwd || !s->root || fd_copy_table(&s->fds, &p->fds)) {
        free_saved(s);
        world_resume();
        return -ENOMEM;
    }
    s->cwd_file = p->fs.cwd_file;
    if (s->cwd_file)
        file_get(s->cwd_file);
    if (c->flags & CLONE_PIDFD)
        fd_close(c->pidfd_number); /* of the child's copy */
    t->vfork = s;
    if (c->flags & CLONE_SETTLS)
        platform_set_fs(c->tls);
    if (c->stack)
        thread_regs(t)->rsp = c->stack;
    return 0;
}

static void drop_table(struct fdtable *t)
{
    for (uint32_t i = 0; i < t->size; i++)
        file_put(t->fds[i].file);
    heap_free(t->fds);
}

/* Handlers that the child changed concern the host's process of the parent again. */
static void restore_handlers(struct process *p, const struct sighand *saved)
{
    for (int sig = 1; sig <= NSIG_MAX; sig++) {
        struct ksigaction *now = &p->sighand.action[sig - 1];
        const struct ksigaction *old = &saved->action[sig - 1];
        if (memcmp(now, old, sizeof(*now)) == 0)
            continue;
        *now = *old;
        signal_host_disposition(p, sig);
    }
}

__attribute__((noreturn)) static void parent_goes_on(struct vfork_saved *s, long pid)
{
    struct process *p = current_process();
    struct thread *t = current();
    struct fdtable childs = p->fds;
    struct regs regs = s->regs;
    p->fds = s->fds;
    p->fds.lock = (struct lock){0};
    drop_table(&childs);
    restore_handlers(p, &s->sighand);
    heap_free(p->fs.cwd);
    heap_free(p->fs.root);
    file_put(p->fs.cwd_file);
    p->fs.cwd_file = s->cwd_file;
    p->fs.cwd = s->cwd;
    p->fs.root = s->root;
    p->fs.umask = s->umask;
    t->altstack = s->altstack;
    platform_set_fs(s->fs_base);
    if (pid > 0 && s->request.flags & CLONE_PARENT_SETTID) {
        uint32_t id = (uint32_t)pid;
        put_user(s->request.parent_tid, id);
    }
    if (pid < 0 && s->request.flags & CLONE_PIDFD)
        fd_close(s->request.pidfd_number);
    sigmask blocked = s->blocked;
    heap_free(s);
    regs.rax = (uint64_t)pid;
    *thread_regs(t) = regs;
    world_resume();
    signal_set_blocked(t, blocked);
    t->walks = WALK_NOT;
    platform_resume(thread_regs(t));
}

void vfork_commit(void)
{
    vfork_commit_with(NULL, NULL);
}

void vfork_commit_with(void (*let_go)(void *arg), void *arg)
{
    struct thread *t = current();
    struct process *p = current_process();
    struct vfork_saved *s = t->vfork;
    if (!s)
        return;
    t->vfork = NULL;
    t->fs_base = platform_get_fs();
    long pid = clone_fork(&s->request);
    if (pid != 0) {
        if (let_go)
            let_go(arg);
        parent_goes_on(s, pid);
    }
    s->request.stack = 0; /* the child stands where it stands */
    s->request.flags &= ~(uint64_t)(CLONE_SETTLS | CLONE_PIDFD);
    clone_become_child(p, &s->request);
    member_changed(); /* what it did before it was a process */
    lock(&p->fs.lock);
    member_changed_paths();
    unlock(&p->fs.lock);
    drop_table(&s->fds);
    file_put(s->cwd_file);
    free_saved(s);
}

void vfork_exit(int code)
{
    struct thread *t = current();
    struct vfork_saved *s = t->vfork;
    if (!s)
        return;
    t->vfork = NULL;
    parent_goes_on(s, clone_ended(&s->request, code));
}

void vfork_before_call(unsigned long nr)
{
    switch (nr) {
    case __NR_read:
    case __NR_write:
    case __NR_open:
    case __NR_openat:
    case __NR_close:
    case __NR_close_range:
    case __NR_dup:
    case __NR_dup2:
    case __NR_dup3:
    case __NR_fcntl:
    case __NR_pipe:
    case __NR_pipe2:
    case __NR_stat:
    case __NR_fstat:
    case __NR_lstat:
    case __NR_newfstatat:
    case __NR_access:
    case __NR_faccessat:
    case __NR_faccessat2:
    case __NR_readlink:
    case __NR_getdents64:
    case __NR_lseek:
    case __NR_chdir:
    case __NR_fchdir:
    case __NR_getcwd:
    case __NR_umask:
    case __NR_rt_sigaction:
    case __NR_rt_sigprocmask:
    case __NR_sigaltstack:
    case __NR_getuid:
    case __NR_geteuid:
    case __NR_getgid:
    case __NR_getegid:
    case __NR_getrlimit:
    case __NR_mmap:
    case __NR_munmap:
    case __NR_mprotect:
    case __NR_brk:
    case __NR_clock_gettime:
    case __NR_futex:
    case __NR_getrandom:
    case __NR_set_robust_list:
    case __NR_execve:
    case __NR_execveat: /* commits itself once it is sure to succeed */
    case __NR_exit:
    case __NR_exit_group:
        return;
    }
    vfork_commit();
}
