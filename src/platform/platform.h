/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a platform does for the library OS beside host_syscall (arch.h). */
#pragma once
#include "libos/libos.h"

struct thread;
struct regs;

/* Starts a host thread on `t` that resumes the application with *thread_regs(t). `t->host_tid` and
 * tid are set on return in the parent. 0 or errno. */
int platform_thread_start(struct thread *t);
/* No signal of the host interrupts the calling thread any more: one for the process goes to another
 * thread. */
void platform_block_signals(void);
/* Ends the calling host thread and releases `self`'s memory; writes 0 to *clear_tid and wakes one
 * futex waiter there only through the library OS (done before). */
__attribute__((noreturn)) void platform_thread_end(struct thread *self);
/*
 * A copy of the process; only the calling thread lives in it. 0 in the child, its pid in the
 * parent. The world is stopped. `flags`: the signal at its end, CLONE_PARENT, and CLONE_PIDFD, with
 * which *pidfd becomes a host descriptor of the child.
 */
long platform_fork(uint64_t flags, int *pidfd);
/* A child that has ended with the exit code when this returns: its pid. `flags` as above. */
long platform_ended_child(uint64_t flags, int *pidfd, int code);
/* Zeroed pages of the library OS that later children share, for hints: what is there may be
 * anything on a host that is not trusted. NULL: none. Never given back. */
void *platform_shared_pages(size_t size);
/*
 * Starts a process of the library OS's own: a copy that no plain wait finds, all host signals
 * blocked for good, in which `run` is called and does not return. The world need not be stopped:
 * `run` must know which locks it may take. Its pid, or an errno.
 */
long platform_helper(void (*run)(void));
/* In such a process: gives up all memory but the library OS's own. */
void platform_forget_application(void);
/* Ends the process as if by the signal. */
__attribute__((noreturn)) void platform_die_of_signal(int sig);
/* Stops the process as the signal (SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU) does by default, until it is
 * continued. */
void platform_stop_by_signal(int sig);
/* Resumes the application with *r; never returns. */
__attribute__((noreturn)) void platform_resume(struct regs *r);

/* Where rewritten system-call sites jump to; `gs`: in a process that loads %gs itself. */
uintptr_t platform_syscall_entry(bool gs);

/* The application's GS base, for the calling thread. -EINVAL: the processor or the host leaves no
 * room for one beside the library OS's own. */
uint64_t platform_get_user_gs(void);
int platform_set_user_gs(uint64_t base);
/* A child that begins with its creator's. */
void platform_copy_user_gs(struct thread *to);

/* Application FS base. */
uint64_t platform_get_fs(void);
void platform_set_fs(uint64_t base);

/* Vector state. `area` has platform_xstate_size() bytes, 64-byte aligned, XSAVE standard format. */
size_t platform_xstate_size(void);
uint64_t platform_xstate_mask(void);
uint32_t platform_mxcsr_mask(void); /* bits of MXCSR that exist; 0: the least there are */
void platform_xstate_save(void *area);
void platform_xstate_restore(const void *area);

/* The state a program starts with: everything in its initial configuration. */
void platform_vector_reset(void);

/* Brackets code of ours that uses vector registers while the application's are live. */
void vector_begin(void);
void vector_end(void);

/* Randomness for keys and the like; the second for getrandom(2), into application memory that the
 * caller has checked. */
int platform_random(void *buf, size_t n);
ssize platform_random_user(void *ubuf, size_t n, uint32_t flags);

/* With PLATFORM_CLOCK: a clock's time without the host, ns. false: it has to be asked. */
bool platform_clock(int clock, uint64_t *ns);

/* With PLATFORM_ARENA: a host call that was looked at (host/filter.c), and its blocking form. */
long platform_leave(long nr, const long a[6]);
long platform_leave_blocking(long nr, const long a[6]);
/* May the host change the mapping of these addresses? */
bool platform_owns(uintptr_t addr, size_t len);

/*
 * Who the enclave is, for fs/attestation.c. Sizes in bytes; the structures are the processor's
 * (Intel SDM vol. 3D). On platforms that are no enclave platform_attests() is false and the others
 * -ENOSYS.
 */
#define PLATFORM_TARGET      512 /* TARGETINFO */
#define PLATFORM_REPORT_DATA 64
#define PLATFORM_REPORT      432
bool platform_attests(void);
int platform_my_target(uint8_t target[PLATFORM_TARGET]);
int platform_report(const uint8_t target[PLATFORM_TARGET], const uint8_t data[PLATFORM_REPORT_DATA],
                    uint8_t report[PLATFORM_REPORT]);
/* A quote over `data` by the machine's quoting service, cut to its length; an errno after a line in
 * the log. */
ssize platform_quote(const uint8_t data[PLATFORM_REPORT_DATA], void *quote, size_t size);
/* The sealing key by MRSIGNER, or by MRENCLAVE, with the manifest's masks. The caller wipes it. */
int platform_seal_key(bool by_signer, uint8_t key[16]);

/* Address range that holds the library OS's code. */
extern const char libos_text_start[], libos_text_end[];
/* The whole image, data included. */
extern const char libos_image_start[], libos_image_end[];
