/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * fork, vfork, clone and clone3. A child that shares memory gets a thread region of its own, and a
 * copy of the trapped context there, through which it enters the program; a child with its own
 * memory simply returns from the handler.
 */
#include "sgxemu/emu.h"
#include <linux/sched.h>

long emu_clone(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e);
_Noreturn void emu_resume(struct ucontext *uc);

/* What the new thread finds at the top of its region. */
struct start {
    void (*function)(struct start *);
    struct start *self;
    struct thread *thread;
    struct ucontext *uc;
    bool identify;       /* the maker's descriptor is inherited */
    bool clear_handlers; /* CLONE_CLEAR_SIGHAND */
};

static uint32_t xsave_size(const struct ucontext *uc)
{
    const struct _fpx_sw_bytes *sw = (const void *)((const char *)uc->uc_mcontext.fpstate + 464);
    if (!uc->uc_mcontext.fpstate)
        return 0;
    return sw->magic1 == FP_XSTATE_MAGIC1 ? sw->extended_size : 512;
}

static void child_start(struct start *s)
{
    struct thread *t = s->thread;
    t->tid = (uint32_t)sys(__NR_gettid);
    if (s->clear_handlers)
        signal_clear_handlers(t);
    if (s->identify)
        fast_thread_start(t);
    emu_resume(s->uc); /* installs mask and handler stack from the frame */
}

/* Copies the context onto the new region's stack: [function, self] where emu_clone pops them. */
static struct start *prepare(struct thread *t, struct thread *from, const struct ucontext *uc,
                             uint64_t new_sp, uint64_t flags)
{
    uint64_t top = (uint64_t)t + THREAD_REGION - 64;
    uint32_t fp_size = xsave_size(uc);
    uint64_t fp = (top - fp_size) & ~63ULL;
    uint64_t frame = (fp - sizeof(struct ucontext) - 64) & ~15ULL;
    struct ucontext *copy = (struct ucontext *)frame;
    memcpy((void *)fp, uc->uc_mcontext.fpstate, fp_size);
    memcpy(copy, uc, sizeof(*copy));
    copy->uc_mcontext.fpstate = fp_size ? (void *)fp : NULL;
    copy->uc_mcontext.rax = 0;
    if (new_sp)
        copy->uc_mcontext.rsp = new_sp;
    copy->uc_stack =
        (stack_t){.ss_sp = (char *)t + sizeof(*t), .ss_size = THREAD_REGION - sizeof(*t)};
    struct start *s = (struct start *)((frame - sizeof(struct start)) & ~15ULL);
    *s = (struct start){.function = child_start,
                        .self = s,
                        .thread = t,
                        .uc = copy,
                        .identify = from->fast_ok,
                        .clear_handlers = flags & CLONE_CLEAR_SIGHAND};
    t->mask = from->mask;
    t->sighand = from->sighand;
    if (!(flags & CLONE_SIGHAND)) {
        memcpy(&t->own_sighand, from->sighand, sizeof(t->own_sighand));
        t->own_sighand.lock = 0;
        t->sighand = &t->own_sighand;
    }
    return s;
}

static long clone_sharing_memory(struct thread *t, struct ucontext *uc, long nr, uint64_t *args,
                                 struct clone_args *ca)
{
    uint64_t flags = nr == __NR_clone3 ? ca->flags : (uint32_t)args[0];
    uint64_t new_sp = nr == __NR_clone3 ? (ca->stack ? ca->stack + ca->stack_size : 0) : args[1];
    struct thread *child = thread_new();
    struct start *s = prepare(child, t, uc, new_sp, flags);
    if (flags & CLONE_VFORK) /* the child borrows the stack, and the program's alternate stack */
        child->altstack = t->altstack;
    long r;
    if (nr == __NR_clone3) {
        ca->flags &= ~CLONE_CLEAR_SIGHAND; /* the device's own handlers stay */
        ca->stack = (uint64_t)child + sizeof(*child);
        ca->stack_size = (uint64_t)s - ca->stack;
        r = emu_clone(nr, (uint64_t)ca, args[1], 0, 0, 0);
    } else {
        r = emu_clone(nr, flags, (uint64_t)s, args[2], args[3], args[4]);
    }
    if (sys_failed(r))
        child->tid = 0x7fffffff; /* a thread id that cannot exist: recycled */
    return r;
}

static long clone_copying_memory(struct thread *t, struct ucontext *uc, long nr,
                                 const uint64_t *args, struct clone_args *ca)
{
    uint64_t stack = nr == __NR_clone3 ? (ca->stack ? ca->stack + ca->stack_size : 0) : args[1];
    uint64_t clear = nr == __NR_clone3 ? ca->flags & CLONE_CLEAR_SIGHAND : 0;
    long r;
    if (nr == __NR_clone3) {
        ca->flags &= ~CLONE_CLEAR_SIGHAND;
        ca->stack = ca->stack_size = 0;
        r = sys(nr, ca, args[1]);
    } else {
        r = sys(__NR_clone, args[0], 0, args[2], args[3], args[4]);
    }
    if (r == 0) {
        t->tid = (uint32_t)sys(__NR_gettid);
        handlers_running = 1;
        t->dispatch_on = false;
        t->timer = -1; /* timers are not inherited */
        t->sighand->lock = 0;
        if (clear)
            signal_clear_handlers(t);
        t->slot_enclave = NULL;
        t->entry.tcs_address = 0;
        fast_after_fork();
        thread_after_fork();
        driver_after_fork();
        if (stack)
            uc->uc_mcontext.rsp = stack;
    }
    return r;
}

long process_clone(struct thread *t, struct ucontext *uc, long nr, const uint64_t given[6])
{
    struct clone_args ca = {0};
    uint64_t args[6];
    memcpy(args, given, sizeof(args));
    if (nr == __NR_fork || nr == __NR_vfork) {
        memset(args, 0, sizeof(args));
        args[0] = SIGCHLD | (nr == __NR_vfork ? CLONE_VM | CLONE_VFORK : 0);
        nr = __NR_clone;
    }
    if (nr == __NR_clone3) {
        if (args[1] < CLONE_ARGS_SIZE_VER0 || args[1] > 4096)
            return args[1] > 4096 ? -E2BIG : -EINVAL;
        if (args[1] > sizeof(ca))
            args[1] = sizeof(ca); /* newer fields are beyond this device */
        if (!user_read(&ca, args[0], args[1]))
            return -EFAULT;
        if (ca.flags & CLONE_CLEAR_SIGHAND && ca.flags & CLONE_SIGHAND)
            return -EINVAL;
    }
    uint64_t flags = nr == __NR_clone3 ? ca.flags : args[0];
    if (flags & CLONE_VM)
        return clone_sharing_memory(t, uc, nr, args, &ca);
    return clone_copying_memory(t, uc, nr, args, &ca);
}
