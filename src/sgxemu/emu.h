/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The resident part of the software SGX device. Rooms: driver (enclaves, ioctls, mappings), trap
 * (system calls and exceptions arrive), signal (the program's signals, virtualised), process (load,
 * clone, exec), transition (ENCLU on a live context), platform (fuses, CPUID), vdso.
 *
 * Everything runs inside signal handlers on a per-thread stack, with all signals blocked but
 * SIGSEGV and SIGBUS (which usercopy() may raise). Lock order: sighand, sites, enclave, enclave
 * table, mappings; under those of the thread list, the LDT and the landings none is taken.
 */
#pragma once
#include <linux/signal.h>
#include <asm/sigcontext.h>
#include <asm/siginfo.h>
#include <asm/ucontext.h>
#include <asm/errno.h>
#include "sgxemu/core/core.h"
#include "sgxemu/rt/rt.h"
#include "sgxemu/transition/fast.h"

#define THREAD_REGION (256 * 1024ULL)
#define NSIG_ALL      64

/* Signals that the device keeps open and handled, whatever the program asks for. */
#define SIGBIT(s) (1ULL << ((s)-1))
#define RESERVED_SIGNALS                                                                    \
    (SIGBIT(SIGILL) | SIGBIT(SIGTRAP) | SIGBIT(SIGBUS) | SIGBIT(SIGFPE) | SIGBIT(SIGSEGV) | \
     SIGBIT(SIGSYS))

struct action {
    uint64_t handler; /* 0 default, 1 ignore */
    uint64_t flags;
    uint64_t restorer;
    uint64_t mask;
};

/* Shared by the threads of a process, as in Linux. */
struct sighand {
    emu_lock lock;
    struct action action[NSIG_ALL + 1];
};

struct altstack {
    uint64_t sp;
    uint32_t flags;
    uint64_t size;
};

/* What emu_pass pops. Not in the handler stack: a signal must not take it for that one. */
struct passed {
    uint64_t back; /* behind the program's SYSCALL */
    uint64_t sp;   /* the program's */
};

struct enclave;
#define FAST_FRAMES 2 /* SSA frames on which an entry can be fast */

/* What a fast entry needs of the TCS that this thread entered last. */
struct fast_entry {
    uint64_t tcs_address; /* 0: nothing is known */
    uint64_t generation;
    const volatile uint64_t *generation_now;
    volatile uint32_t *inside;
    struct sgx_tcs *tcs;
    struct secs_state *state;
    struct sgx_gpr *gpr; /* of frame 0 */
    uint64_t frame_size;
    uint64_t target, fsbase, gsbase;
    uint64_t landing[FAST_FRAMES]; /* 0: an entry on this frame has not been seen */
};

/* At the bottom of a region of THREAD_REGION bytes; the rest is the thread's handler stack. */
struct thread {
    struct fast_record fast; /* first: the trampoline's */
    struct fast_entry entry;
    bool fast_ok; /* ES names this region */
    uint64_t fast_enters, fast_leaves;
    uint64_t kept_reserved; /* signals that arrived during a fast transition */
    siginfo_t kept_info[32];
    int kept_signal;
    siginfo_t kept;
    struct enclave *slot_enclave;
    struct sgx_cpu cpu;
    struct enclave *enclave;   /* inside which the thread is */
    volatile uint8_t selector; /* of Syscall User Dispatch */
    bool dispatch_on;
    volatile uint32_t tid; /* 0: the region is free */
    uint32_t slot;         /* in the enclave's list of active threads */
    struct sighand *sighand;
    struct sighand own_sighand; /* of a process that shares memory but not handlers (vfork) */
    uint64_t mask;              /* as the program sees it */
    uint64_t pending;           /* reserved signals that wait because the program blocks them */
    siginfo_t pending_info[32];
    struct altstack altstack;
    struct passed passed; /* while a system call of the program is made from emu_pass */
    int32_t timer;        /* of AEX injection; -1: none */
    struct thread *next;  /* all regions ever made */
};

struct thread *thread_self(void); /* by the stack pointer: valid in handlers only */
struct thread *thread_new(void);
void thread_after_fork(void);
bool thread_uses(const struct enclave *e); /* a thread is inside, or was there last */
void thread_count_fast(uint64_t *enters, uint64_t *leaves);

/* emu_start() fills it; read-only afterwards. */
struct settings {
    char exe[4096];   /* absolute path of the program */
    char fuses[4096]; /* path of the fuse file */
    char aesm[108];   /* where connections to the AESM service go; "@...": abstract, "": nowhere */
    bool stats;
    bool rewrite;      /* fast transitions */
    uint32_t inject;   /* mean microseconds between injected AEXs; 0: none */
    bool cpuid_faults; /* CPUID traps, so that its SGX leaves can be shown */
    uint64_t xcr0;
    uint32_t vectors; /* the components of XCR0 that the device's own code may use */
    bool xsavec;
    uint64_t vdso_enclu;   /* the ENCLU of __vdso_sgx_enter_enclave, 0: none */
    uint64_t vdso_handler; /* where it continues after an exception */
};
extern struct settings settings;

struct statistics {
    volatile uint64_t eenter, eresume, eexit, aex, traps, signals;
};
extern struct statistics stats;

/* Handlers that run at this moment; only one that is alone may forget an enclave. */
extern volatile uint32_t handlers_running;

/* trap/ */
void trap_install_handlers(void);
void trap_install_filter(void);
void trap_install_mapping_filter(void); /* once device mappings exist */
void trap_install_fstat_filter(void);   /* once device descriptors exist */
void trap_system_call(struct thread *t, struct ucontext *uc);
/* Lets the program's system call happen as it is; reads and writes nothing at its RSP. */
void trap_pass(struct thread *t, struct ucontext *uc);
void trap_report_stats(void);
bool trap_at_enclu(uint64_t rip);

/* signal/ */
void signal_handler(int sig, siginfo_t *info, void *uc); /* the device's only handler (entry.S) */
void signal_arrived(int sig, siginfo_t *info, void *uc);
long signal_set_action(struct thread *t, int sig, uint64_t act, uint64_t old, uint64_t size);
/* CLONE_CLEAR_SIGHAND, in the new process before it runs: what it would handle has its default
 * again. */
void signal_clear_handlers(struct thread *t);
long signal_set_mask(struct thread *t, struct ucontext *uc, int how, uint64_t set, uint64_t old,
                     uint64_t size);
long signal_set_altstack(struct thread *t, struct ucontext *uc, uint64_t stack, uint64_t old);
long signal_get_pending(struct thread *t, uint64_t set, uint64_t size);
/* rt_sigtimedwait for a set with reserved signals; false: the kernel can do it. */
bool signal_wait(struct thread *t, const uint64_t a[6], long *result);
/* Would the kernel's signal_pending() be true outside the device? */
bool signal_waiting(struct thread *t);
void signal_return(struct thread *t, struct ucontext *uc);
/* Delivers to the program in its host context `uc`. */
void signal_deliver(struct thread *t, struct ucontext *uc, siginfo_t *info);
/* One reserved signal that arrived while the program blocked it. */
void signal_deliver_pending(struct thread *t, struct ucontext *uc);
bool signal_on_altstack(const struct thread *t, uint64_t sp); /* of the program */
/* The kernel's idea of a mask. */
static inline uint64_t native_mask(uint64_t mask)
{
    return mask & ~RESERVED_SIGNALS;
}
static inline void set_uc_mask(struct ucontext *uc, uint64_t mask)
{
    mask = native_mask(mask);
    memcpy(&uc->uc_sigmask, &mask, sizeof(mask));
}

/* process/ */
uint64_t process_load(const char *path, uint64_t *auxv); /* entry point; dies on failure */
long process_exec(struct thread *t, const char *path, uint64_t argv, uint64_t envp);
long process_clone(struct thread *t, struct ucontext *uc, long nr, const uint64_t args[6]);

/* transition/ */
/* ENCLU at uc's RIP, behind so many bytes of prefixes. Changes uc, or raises: in an enclave by an
 * AEX, outside by a signal. */
void transition_enclu(struct thread *t, struct ucontext *uc, unsigned prefixes);
/* AEX of the running enclave thread; `uc` becomes the synthetic state. */
void transition_aex(struct thread *t, struct ucontext *uc, const struct sgx_event *event);
/* Reports an exception to the program: by the vDSO's fixup or by a signal. */
void transition_raise(struct thread *t, struct ucontext *uc, int vector, uint32_t error,
                      uint64_t address, siginfo_t *info);
void regs_from_uc(struct sgx_regs *r, const struct ucontext *uc);
void regs_to_uc(struct ucontext *uc, const struct sgx_regs *r);

#define KICK_VALUE ((void *)EMU_BASE) /* si_ptr of the driver's inter-processor interrupt */

/* A leaf that stays inside, without a signal frame; false: it faults, nothing has changed. */
bool transition_leaf(struct thread *t, struct sgx_regs *r);
/* The context is at an AEP whose ENCLU would resume: done at once. */
void transition_resume(struct thread *t, struct ucontext *uc);

/* Fast leaves (fast.c). */
enum fast_outcome { FAST_NONE, FAST_DONE, FAST_DEFER, FAST_COMPLETED };
bool fast_ready(struct thread *t);
void fast_thread_start(struct thread *t);
void fast_after_fork(void);
uint64_t fast_landing(uint64_t target, uint32_t cssa);
enum fast_outcome fast_interrupted(struct thread *t, struct ucontext *uc, int sig,
                                   const siginfo_t *info);
uint64_t fast_original(uint64_t rip); /* what an address in a stub stands for; else `rip` */
/* Rewriting (sites.c). */
void sites_after_fork(void);
/* Mapped privately, and not writable. */
bool text_is_constant(uint64_t address);
/* Text in [start, start + len) is about to become writable, or to move: sites in it trap again. */
void sites_restore(uint64_t start, uint64_t len);
void fast_consider(struct thread *t, uint64_t rip, uint32_t leaf);
bool fast_redirect(struct thread *t, struct sigcontext *m, bool int3);
/* Execution has left the enclave for `target`: a stub that only another process has? */
bool fast_foreign_jump(struct enclave *e, struct sigcontext *m, uint64_t target);
void driver_fast_entry(struct enclave *e, struct thread *t, struct fast_entry *f);
/* The sites of an enclave are listed in its file. begin: false when the site may not be changed now
 * (no room, another process's). abandon: never again rewritten; both are followed by end. */
bool driver_begin_patch(struct enclave *e, const struct site *s);
bool driver_abandon_site(struct enclave *e, const struct site *s);
void driver_end_patch(struct enclave *e);
bool driver_is_patching(struct enclave *e, uint64_t at);
/* By address, or (address 0) by stub. */
bool driver_find_site(struct enclave *e, uint64_t address, uint64_t stub, struct site *out);
bool driver_in_elrange(uint64_t la); /* of any enclave that this process knows */
uint8_t *driver_alias(uint64_t la);  /* enclave code, writable; NULL: not a page of an enclave */
/* Arms the thread's next injected AEX (--inject-aex). */
void transition_arm(struct thread *t);

/* driver/ */
enum { FAULT_SIGNAL, FAULT_RETRY, FAULT_BUS };
/* A page fault (or an ENCLU's) at `la`: makes pages appear as the kernel would. */
int driver_fault(uint64_t la, uint32_t access, bool in_enclave, uint32_t *error);
bool driver_owns(uint64_t la); /* in a device mapping of this process? */
long driver_open(const char *path, int flags, bool *ours);
bool driver_is_path(const char *path);
/* Another way to write a name of the device (relative, "//", "..") becomes that which
 * driver_is_path() knows; other paths stay as they are. */
void driver_resolve(int directory, char path[4096]);
bool driver_kicked(struct thread *t); /* since the last call: somebody interrupts the enclave */
long driver_stat(const char *path, uint64_t buf, bool extended);
long driver_memfd(const char *name, unsigned flags); /* as memfd_create, sealable */
/* fstat and its kin; false: not a descriptor of the device. */
bool driver_fstat(int fd, uint64_t buf, bool extended, long *result);
long driver_ioctl(struct thread *t, int fd, unsigned cmd, uint64_t arg);
/* mmap, munmap, mprotect, mremap: true when done here (*result set), false to pass it on. */
bool driver_mapping(long nr, const uint64_t args[6], long *result);
struct enclave *driver_enclave_at(uint64_t la);
struct sgx_memory *driver_memory(struct enclave *e);
void driver_lock(struct enclave *e);
void driver_unlock(struct enclave *e);
bool driver_sync_page(struct enclave *e, uint64_t la);  /* page table from EPCM */
bool driver_enter(struct enclave *e, struct thread *t); /* note an active thread */
void driver_leave(struct enclave *e, struct thread *t);
void driver_after_fork(void);

/* platform/ */
const struct sgx_platform *platform(void); /* reads the fuse file at first use */
void platform_cpuid(struct ucontext *uc);
void platform_start(void);

/* vdso/ */
uint64_t vdso_map(uint64_t kernels); /* address for AT_SYSINFO_EHDR */
