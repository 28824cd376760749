/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Host threads and processes behind the library OS's. */
#include "host/host.h"
#include "libos/lib/region.h"
#include "libos/log.h"
#include "libos/process.h"
#include "platform/direct/direct.h"
#include "platform/platform.h"
#include <linux/mman.h>
#include <asm/prctl.h>
#include <asm/unistd.h>
#include <linux/prctl.h>
#include <linux/sched.h>

#define THREAD_MEMORY (2 * PAGE_SIZE + ALTSTACK_SIZE + KSTACK_SIZE + PAGE_UP(sizeof(struct thread)))

/*
 * Memory of ended threads, kept for the next ones. The host clears `alive` when it no longer stands
 * on that stack. Lock: leaf.
 */
static struct lock spare_lock;
static struct list spare = {&spare, &spare};

static struct thread *take_spare(void)
{
    struct thread *found = NULL;
    lock(&spare_lock);
    list_for_each (it, &spare) {
        struct thread *t = list_entry(it, struct thread, siblings);
        if (__atomic_load_n(&t->alive, __ATOMIC_ACQUIRE) == 0) {
            list_del(&t->siblings);
            found = t;
            break;
        }
    }
    unlock(&spare_lock);
    return found;
}

struct thread *thread_alloc(struct process *p)
{
    struct thread *t = take_spare();
    char *m, *arena;
    if (t) {
        m = t->memory;
        arena = t->arena.base;
        memset(t, 0, sizeof(*t));
    } else {
        m = region_alloc(THREAD_MEMORY);
        arena = m ? direct_arena_slot() : NULL;
        if (!m || !arena)
            return NULL; /* for good: there are too many threads */
        host_mprotect((uintptr_t)m, PAGE_SIZE, PROT_NONE);
        host_mprotect((uintptr_t)m + PAGE_SIZE + ALTSTACK_SIZE, PAGE_SIZE, PROT_NONE);
        t = (struct thread *)(m + 2 * PAGE_SIZE + ALTSTACK_SIZE + KSTACK_SIZE);
    }
    t->self = t;
    t->memory = m;
    t->arena.base = arena;
    t->kstack_top = (uintptr_t)t - 8;
    t->kstack_frame = t->kstack_top - REGS_SIZE;
    t->entry_rsp = t->kstack_top - 16;
    thread_set_segments(t, USER_CS, USER_SS);
    t->process = p;
    t->altstack.flags = SS_DISABLE;
    list_init(&t->siblings);
    signal_queue_init(&t->pending);
    return t;
}

struct thread *direct_thread_of_signal_stack(const void *stack)
{
    return (struct thread *)((char *)stack + PAGE_SIZE + ALTSTACK_SIZE + KSTACK_SIZE);
}

void thread_free(struct thread *t)
{
    signal_queue_flush(&t->pending);
    lock(&spare_lock);
    list_add_tail(&spare, &t->siblings);
    unlock(&spare_lock);
}

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#    define PR_SET_SYSCALL_USER_DISPATCH 59
#    define PR_SYS_DISPATCH_ON           1
#endif

void direct_thread_setup(struct thread *t)
{
    direct_syscall(__NR_arch_prctl, ARCH_SET_GS, (long)t, 0, 0, 0, 0);
    struct sigaltstack ss = {
        .ss_sp = (char *)t->memory + PAGE_SIZE, .ss_flags = 0, .ss_size = ALTSTACK_SIZE};
    direct_syscall(__NR_sigaltstack, (long)&ss, 0, 0, 0, 0, 0);
    /* A `syscall` outside our own text becomes SIGSYS. Measured 6 ns per host call, where a
     * seccomp filter costs 30 (docs/architecture.md). */
    long err = direct_syscall(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON,
                              (long)libos_text_start, libos_text_end - libos_text_start, 0, 0);
    if (err) {
        log_line(LOG_ERROR, NULL, 0, NULL,
                 "this kernel has no Syscall User Dispatch (errno %ld): Linux 5.11 or newer with "
                 "CONFIG_GENERIC_ENTRY is needed",
                 -err);
        host_exit_group(1);
    }
}

__attribute__((noreturn, used)) void direct_thread_start(struct thread *t)
{
    direct_thread_setup(t);
    platform_set_fs(t->fs_base);
    t->host_tid = (int)direct_syscall(__NR_gettid, 0, 0, 0, 0, 0, 0);
    /* Until here all host signals were blocked (inherited from the parent's mask). */
    sigmask none = 0;
    direct_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, 8, 0, 0);
    thread_started(t);
    platform_resume(thread_regs(t));
}

int platform_thread_start(struct thread *t)
{
    sigmask all = ~0UL, old;
    direct_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&old, 8, 0, 0);
    t->alive = 1;
    long r = host_clone_thread(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                                   CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
                               (void *)ALIGN_DOWN(t->kstack_frame, 16), &t->tid, &t->alive, t);
    if (r < 0)
        t->alive = 0;
    direct_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, 8, 0, 0);
    return r < 0 ? (int)r : 0;
}

void platform_block_signals(void)
{
    sigmask all = ~0UL;
    direct_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, 0, 8, 0, 0);
}

void platform_thread_end(struct thread *self)
{
    platform_block_signals(); /* none may arrive once another thread may own the stack */
    thread_free(self);
    for (;;)
        direct_syscall(__NR_exit, 0, 0, 0, 0, 0, 0);
}

long platform_fork(uint64_t flags, int *pidfd)
{
    struct thread *t = current();
    sigmask all = ~0UL, old;
    direct_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&old, 8, 0, 0);
    long pid = direct_syscall(__NR_clone, (long)flags, 0, (long)pidfd, 0, 0, 0);
    if (pid == 0) {
        uint64_t fs = t->fs_base;
        direct_thread_setup(t); /* signal stack and %gs survive; the dispatch setting does not */
        platform_set_fs(fs);
        t->host_tid = (int)direct_syscall(__NR_gettid, 0, 0, 0, 0, 0, 0);
        list_for_each (it, &spare)
            list_entry(it, struct thread, siblings)->alive = 0;
        signal_forget_host(t);
        old &= ~HELD_BACK;
    }
    direct_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, 8, 0, 0);
    return pid;
}

/* In our memory and on our stack, of which it uses nothing: no copy is made. */
long platform_ended_child(uint64_t flags, int *pidfd, int code)
{
    sigmask all = ~0UL, old;
    long pid = __NR_clone;
    direct_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&old, 8, 0, 0);
    register int *fd __asm__("rdx") = pidfd;
    register long child_tid __asm__("r10") = 0;
    register long tls __asm__("r8") = 0;
    register long exit_code __asm__("r12") = code;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %%r12, %%rdi\n\t"
                     "mov %[exit], %%eax\n\t"
                     "syscall\n\t"
                     "ud2\n"
                     "1:"
                     : "+a"(pid)
                     : "D"(flags | CLONE_VM | CLONE_VFORK), "S"(0L), "r"(fd), "r"(child_tid),
                       "r"(tls), "r"(exit_code), [exit] "i"(__NR_exit_group)
                     : "rcx", "r11", "memory", "cc");
    direct_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, 8, 0, 0);
    return pid;
}

long platform_helper(void (*run_helper)(void))
{
    sigmask all = ~0UL, old;
    direct_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&old, 8, 0, 0);
    long pid = direct_syscall(__NR_clone, 0 /* no signal at its end */, 0, 0, 0, 0, 0);
    if (pid == 0) {
        run_helper();
        host_exit_group(0);
    }
    direct_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, 8, 0, 0);
    return pid;
}

#if PLATFORM_HOST_TRUSTED
void platform_forget_application(void)
{
    struct range {
        uintptr_t start, end;
    } keep[3] = {{0},
                 {PAGE_DOWN((uintptr_t)libos_image_start), PAGE_UP((uintptr_t)libos_image_end)},
                 {(uintptr_t)run.manifest.base, 0}};
    region_bounds(&keep[0].start, &keep[0].end);
    keep[2].end = PAGE_UP(keep[2].start + run.manifest.image->total_size);
    for (uintptr_t at = 0; at < USER_TOP;) {
        struct range next = {USER_TOP, USER_TOP};
        for (size_t i = 0; i < ARRAY_SIZE(keep); i++)
            if (keep[i].start >= at && keep[i].start < next.start)
                next = keep[i];
        if (next.start > at)
            host_munmap(at, next.start - at);
        at = next.end;
    }
}
#endif

void *platform_shared_pages(size_t size)
{
    void *at = region_reserve_top(size); /* where the application cannot name it */
    if (!at)
        return NULL;
    long p = direct_syscall(__NR_mmap, (long)at, (long)size, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return IS_ERR(p) ? NULL : at;
}

void thread_kick(struct thread *t)
{
    host_tgkill((int)direct_syscall(__NR_getpid, 0, 0, 0, 0, 0, 0), t->host_tid, NOTICE_SIGNAL);
}

uint64_t platform_get_fs(void)
{
    uint64_t base = 0;
    direct_syscall(__NR_arch_prctl, ARCH_GET_FS, (long)&base, 0, 0, 0, 0);
    return base;
}

void platform_set_fs(uint64_t base)
{
    direct_syscall(__NR_arch_prctl, ARCH_SET_FS, (long)base, 0, 0, 0, 0);
}
