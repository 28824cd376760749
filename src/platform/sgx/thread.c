/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Thread blocks of the enclave as the library OS's threads; what a thread has of registers. */
#include "host/host.h"
#include "libos/log.h"
#include "platform/platform.h"
#include "platform/sgx/sgx.h"

/* Takes the block for a thread; the one in which the enclave was started is taken already. */
static bool claim(struct sgx_box *box)
{
    uint64_t none = STATE_FREE;
    if (&box->thread == current() && !box->thread.process)
        return true;
    return __atomic_compare_exchange_n(&box->own.state, &none, STATE_CLAIMED, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

struct thread *thread_alloc(struct process *p)
{
    for (uint64_t i = 0; i < enclave_info()->threads; i++) {
        struct sgx_box *box = box_of(i);
        if (!claim(box))
            continue;
        struct thread *t = &box->thread;
        memset(t, 0, sizeof(*t));
        t->self = t;
        t->memory = (char *)box - KSTACK_SIZE;
        t->kstack_top = (uintptr_t)box - 8;
        t->kstack_frame = t->kstack_top - REGS_SIZE;
        t->entry_rsp = t->kstack_top - 16;
        thread_set_segments(t, USER_CS, USER_SS);
        t->process = p;
        t->altstack.flags = SS_DISABLE;
        list_init(&t->siblings);
        signal_queue_init(&t->pending);
        sgx_call_place(box, i);
        return t;
    }
    log_error("no thread block of the enclave is free: raise sgx.max_threads (%lu)",
              (unsigned long)enclave_info()->threads);
    return NULL;
}

/* The running thread's block becomes free when it has left it. */
void thread_free(struct thread *t)
{
    signal_queue_flush(&t->pending);
    if (t != current())
        __atomic_store_n(&((struct sgx_box *)t)->own.state, STATE_FREE, __ATOMIC_SEQ_CST);
}

uint64_t sgx_index_of(const struct thread *t)
{
    uint64_t size = enclave_info()->size;
    return (size - (uintptr_t)t) / ENCLAVE_THREAD_SIZE;
}

/* The host names threads; both ends must hear the same name of it. */
static bool name_thread(struct thread *t, uint64_t tid)
{
    int none = 0;
    if (tid == 0 || tid > INT32_MAX)
        return false;
    return __atomic_compare_exchange_n(&t->tid, &none, (int)tid, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST) ||
           none == (int)tid;
}

int platform_thread_start(struct thread *t)
{
    struct sgx_box *box = (struct sgx_box *)t;
    __atomic_store_n(&box->own.state, STATE_BORN, __ATOMIC_SEQ_CST);
    long tid = sgx_special(SGX_CALL_THREAD, (int64_t)sgx_index_of(t), 0, 0);
    if (tid > 0 && !name_thread(t, (uint64_t)tid))
        panic("the host has two names for a thread");
    if (tid > 0)
        return 0;
    __atomic_store_n(&box->own.state, STATE_CLAIMED, __ATOMIC_SEQ_CST);
    return tid < 0 ? (int)host_errno(tid) : -EIO;
}

__attribute__((used, noreturn)) void sgx_thread_born(uint64_t tid)
{
    struct thread *t = current();
    if (!name_thread(t, tid))
        panic("the host has two names for a thread");
    t->host_tid = t->tid;
    platform_set_fs(t->fs_base);
    thread_started(t);
    platform_resume(thread_regs(t));
}

void platform_block_signals(void)
{
}

void platform_thread_end(struct thread *self)
{
    thread_free(self);
    sgx_end(sgx_index_of(self));
}

void thread_kick(struct thread *t)
{
    host_tgkill(t->process->pid, t->host_tid, NOTICE_SIGNAL);
}

uint64_t platform_get_fs(void)
{
    uint64_t base;
    __asm__ volatile("rdfsbase %0" : "=r"(base));
    return base;
}

void platform_set_fs(uint64_t base)
{
    __asm__ volatile("wrfsbase %0" : : "r"(base));
}

uint64_t platform_get_user_gs(void)
{
    return 0;
}

int platform_set_user_gs(uint64_t base)
{
    (void)base; /* GS is the enclave's own */
    return -EINVAL;
}

void platform_copy_user_gs(struct thread *to)
{
    (void)to;
}

uintptr_t platform_syscall_entry(bool gs)
{
    extern const char libos_syscall_entry[], libos_slow_entry[];
    return (uintptr_t)(gs ? libos_slow_entry : libos_syscall_entry);
}
