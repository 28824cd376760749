/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Shared by the files of platform `direct`. */
#pragma once
#include "libos/process.h"
#include "libos/thread.h"

extern const char host_signal_entry[];
extern const char host_sigreturn[];

/* One allocation per thread, low to high: guard page, host signal stack, guard page, library-OS
 * stack, struct thread. */
#define ALTSTACK_SIZE (64 * 1024UL)

#if PLATFORM_ARENA
/* Before all else; a thread's part of the arena, for good, or NULL. */
void direct_begin(void);
char *direct_arena_slot(void);
#else
static inline void direct_begin(void)
{
}
static inline char *direct_arena_slot(void)
{
    return (char *)PAGE_SIZE; /* any but NULL: there is no arena */
}
#endif

/* Per-thread host state: %gs, signal stack, system-call dispatch. */
void direct_thread_setup(struct thread *t);
/* The thread whose host signal stack begins at `stack`. */
struct thread *direct_thread_of_signal_stack(const void *stack);
/* Makes %gs ours again, and notes it in `t` if the application had changed it. */
void direct_take_gs(struct thread *t);
/* Process-wide: handlers for every host signal. */
void direct_signals_setup(void);
void direct_xstate_setup(void);
void direct_gs_setup(void);
/* Of whoever starts the run; before other threads. 0 or an errno. */
int direct_give_up_privileges(void);

long host_clone_thread(unsigned long flags, void *stack, int *parent_tid, int *child_tid,
                       struct thread *t);
__attribute__((noreturn)) void direct_enter(void);
