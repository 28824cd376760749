/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What an interruption (a fault, a trapped system call, a signal) means by where it met the thread.
 * The platform's handler calls these with the interrupted registers in the form of a signal frame,
 * and lets the thread go on with what stands there afterwards. Lock-free; they run above any code.
 */
#pragma once
#include "libos/thread.h"
#include <asm/sigcontext.h>

#define TRAP_PROTECTION 13
#define TRAP_PAGE_FAULT 14

extern const char libos_syscall_entry[], libos_entry_rsp[], libos_entry_pushed[];
extern const char libos_entry_checked[], libos_foreign_gs[], libos_slow_entry[];
extern const char libos_trap_entry[], libos_async_entry[];
extern const char libos_quick_exit[], libos_quick_exit_end[];
extern const char libos_exit[], libos_exit_end[];
extern const char uaccess_begin[], uaccess_end[], uaccess_fixup[];
/* The platform's: from the look at thread.work to the instruction that leaves, which is the last of
 * the window, and where to go on when it is not to be left. */
extern const char host_blocking_check[], host_blocking_insn[], host_blocking_eintr[];

/* Is the library OS running, perhaps in the host's vDSO? */
bool trap_in_libos(const struct thread *t, const struct sigcontext *c);
/* A system call of the application, with %rip after the instruction. */
void trap_enter_call(struct thread *t, struct sigcontext *c);
/* `int $0x80` and its like, which are not served: what a kernel without them answers. */
void trap_refuse_32bit_call(struct thread *t, struct sigcontext *c);
/* A synchronous fault; `info` is the application's to see, if it is the application's. */
void trap_fault(struct thread *t, int sig, siginfo_t *info, struct sigcontext *c);
/* Work bits were set: makes sure that the thread sees them before it blocks or returns. */
void trap_redirect(struct thread *t, struct sigcontext *c);
