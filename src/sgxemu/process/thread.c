/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Thread regions: found by the stack pointer, recycled when their thread is gone. */
#include "sgxemu/emu.h"

static emu_lock list_lock;
static struct thread *all;

struct thread *thread_self(void)
{
    return (struct thread *)((uint64_t)__builtin_frame_address(0) & ~(THREAD_REGION - 1));
}

/* A region whose thread has exited; exiting threads cannot free the stack they stand on. */
static struct thread *recycle(void)
{
    for (struct thread *t = all; t; t = t->next) {
        uint32_t tid = t->tid;
        if (tid && sys(__NR_tkill, tid, 0) == -ESRCH)
            return t;
    }
    return NULL;
}

/* In a child of fork: whoever held the lock is not here. */
void thread_after_fork(void)
{
    list_lock = 0;
}

bool thread_uses(const struct enclave *e)
{
    bool found = false;
    lock(&list_lock);
    for (const struct thread *t = all; t && !found; t = t->next)
        found = t->slot_enclave == e || (t->cpu.in_enclave && t->enclave == e);
    unlock(&list_lock);
    return found;
}

/* Of all threads that still have a region. */
void thread_count_fast(uint64_t *enters, uint64_t *leaves)
{
    lock(&list_lock);
    for (const struct thread *t = all; t; t = t->next) {
        *enters += t->fast_enters;
        *leaves += t->fast_leaves;
    }
    unlock(&list_lock);
}

struct thread *thread_new(void)
{
    lock(&list_lock);
    struct thread *t = recycle(), *next;
    if (!t) {
        t = emu_map(THREAD_REGION, THREAD_REGION);
        t->next = all;
        all = t;
    }
    next = t->next;
    memset(t, 0, sizeof(*t));
    t->next = next;
    t->tid = (uint32_t)sys(__NR_gettid); /* the maker's, until the new thread runs */
    unlock(&list_lock);
    t->cpu.xcr0 = settings.xcr0;
    t->altstack.flags = SS_DISABLE;
    t->timer = -1;
    return t;
}
