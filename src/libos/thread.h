/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A thread of the application, and the library OS's own state for it. %gs points at it while the
 * thread exists; the first fields are known to entry.S.
 */
#pragma once
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/entry/regs.h"
#include "libos/proc/signal.h"
#include <linux/time_types.h>

struct process;
struct vfork_saved;

/* thread.work: what is to be done before the thread returns to the application or blocks. */
#define WORK_SIGNAL  1u   /* a signal may be deliverable: look */
#define WORK_HOSTSIG 2u   /* the host-signal box has entries */
#define WORK_STOP    4u   /* the world is being stopped: park */
#define WORK_KILL    8u   /* the thread is to end (exit_group, execve of another thread) */
#define WORK_FILES   32u  /* another process asks for an encrypted file */
#define WORK_EXEC    64u  /* the first thread is to finish another's execve */
#define WORK_GS      128u /* the application loads %gs: no more ways in that rely on it */
#define WORK_TIMER   256u /* the alarm clock rang: time/deadline.h */
#define WORK_FAULT   16u  /* fault describes a synchronous fault of the application */

/* thread.odd: what the usual way back to the application does not restore. */
#define ODD_GS       1u /* the application has a GS base of its own */
#define ODD_SEGMENTS 2u /* thread.iret.cs and ss are not those of 64-bit programs */

#define USER_CS 0x33u
#define USER_SS 0x2bu

/* What restart_syscall(2) goes on with, after -ERESTART_RESTARTBLOCK. */
struct restart {
    long (*go_on)(struct restart *r); /* NULL: nothing */
    int clock;
    uint32_t count;
    struct __kernel_timespec left; /* at `since`: time goes on while the process is stopped */
    uint64_t since;                /* host CLOCK_MONOTONIC, ns */
    void *user;
};

/* Directories on the host in which the thread has looked for names: see fs/links.h. */
enum seen_place {
    SEEN_NEVER,
    SEEN_OTHER, /* neither it nor anything in it is in sgx.allowed_files */
    SEEN_PLAIN, /* it is, and no part of its path was a link */
};
/* How the call at hand looks at paths of the host: fs/links.h. */
enum walks {
    WALK_NOT,
    WALK_ONE, /* it met a link, the second time that one is looked for */
    WALK_ALL,
};

/* A folder of sgx.allowed_files in which the thread looks again and again. */
struct seen_root {
    uint32_t len;   /* of path; 0: none */
    int fd;         /* open if > 0 */
    uint64_t at;    /* time-stamp counter at its opening, or from when on `uses` counts */
    uint32_t moved; /* links_shared->moved at its opening */
    uint32_t uses;  /* since `at` */
    char path[240];
};
struct seen_dirs {
    struct seen_dir {
        uint32_t len;
        enum seen_place place;
        uint64_t at;    /* time-stamp counter */
        char path[240]; /* no NUL */
    } dir[4];
    uint32_t next;
    uint32_t last_root, without;
    struct seen_root root[2];
};

struct thread {
    struct thread *self;   /* 0: so that %gs:0 yields the pointer */
    uint64_t unused;       /* 8 */
    uint64_t kstack_top;   /* 16: = 8 mod 16 */
    uint64_t user_rip;     /* 24: scratch of the exit path */
    uint32_t work;         /* 32: WORK_* bits, atomic */
    uint32_t in_app;       /* 36: unused by assembly */
    uint64_t kstack_frame; /* 40: kstack_top - REGS_SIZE */
    uint64_t user_gs;      /* 48: the application's GS base, where odd has ODD_GS */
    uint32_t odd;          /* 56: ODD_* */
    struct {
        uint64_t rax, rip, cs, rflags, rsp, ss; /* cs and ss: the application's, always */
    } iret;                                     /* 64: scratch of the exit path otherwise */
    uint64_t entry_rsp; /* 112: %rsp when the entry path has saved %rsp and flags */

    struct process *process;
    struct list siblings; /* in process.threads, under process.lock */
    int tid;              /* as the application sees it */
    int host_tid;
    void *memory;       /* the allocation that holds stacks and this structure */
    uint32_t park_word; /* changes with every unpark() */
    uint32_t on_bell;   /* atomic: asleep in park_on_fds(), where only the bell is heard */
    bool has_bell;
    int bell;                  /* host event counter, made when it is first needed */
    struct thread *to_wake[4]; /* by unpark_later() */
    uint32_t to_wake_count;
    int alive; /* platform: the host thread still uses `memory` */

    uint64_t fs_base;
    uint32_t *clear_tid; /* set_tid_address, CLONE_CHILD_CLEARTID (application address) */
    void *robust_list;   /* application address */
    size_t robust_len;

    struct restart restart;
    sigmask blocked;       /* changed by the thread itself only */
    sigmask waiting_for;   /* sigtimedwait: blocked, but wanted */
    sigmask saved_blocked; /* mask to restore after a sigsuspend-like call */
    bool restore_blocked;
    bool names_file; /* looks for the path of an open file: proc_fd.c */
    struct seen_dirs seen;
    enum walks walks;
    bool met_link;           /* the call is to start again with the next of `walks` */
    struct sigqueue pending; /* under process.sig_lock */
    struct sigaltstack_state altstack;
    struct host_signal_box box;
    struct fault_info fault;
    char comm[16];
    struct vfork_saved *vfork; /* the parent of the virtual child that runs here, or NULL */
    uint32_t *set_tid[2];      /* where a new thread stores its id before it runs */
    struct arena_slot {
        char *base; /* the thread's part of the arena, where the platform has one: host/arena.h */
        uint32_t used;
    } arena;
    uint32_t vector_depth; /* platform: vector_begin() nesting */
    char vector_area[4096 + 64];
};

_Static_assert(offsetof(struct thread, kstack_top) == 16, "entry.S");
_Static_assert(offsetof(struct thread, user_rip) == 24, "entry.S");
_Static_assert(offsetof(struct thread, work) == 32, "entry.S");
_Static_assert(offsetof(struct thread, kstack_frame) == 40, "entry.S");
_Static_assert(offsetof(struct thread, user_gs) == 48, "entry.S");
_Static_assert(offsetof(struct thread, odd) == 56, "entry.S");
_Static_assert(offsetof(struct thread, iret) == 64, "entry.S");
_Static_assert(offsetof(struct thread, entry_rsp) == 112, "entry.S");

#include "arch.h" /* current(), from the platform */

static inline struct regs *thread_regs(struct thread *t)
{
    return (struct regs *)t->kstack_frame;
}

static inline void thread_set_segments(struct thread *t, uint64_t cs, uint64_t ss)
{
    t->iret.cs = cs;
    t->iret.ss = ss;
    t->odd = cs == USER_CS && ss == USER_SS ? t->odd & ~ODD_SEGMENTS : t->odd | ODD_SEGMENTS;
}

static inline void work_set(struct thread *t, uint32_t bits)
{
    __atomic_fetch_or(&t->work, bits, __ATOMIC_SEQ_CST);
}
static inline void work_clear(struct thread *t, uint32_t bits)
{
    __atomic_fetch_and(&t->work, ~bits, __ATOMIC_SEQ_CST);
}

/* Memory for a thread: structure, library-OS stack, host signal stack. NULL when there is none. */
struct thread *thread_alloc(struct process *p);
/* Gives it back; must not be the running thread (thread_exit hands itself to a reaper slot). */
void thread_free(struct thread *t);

/*
 * The host signal by which we speak to ourselves (thread_kick, news of the parent's end). Not
 * SIGSYS: Linux drops the trap of a system call when a SIGSYS is pending already, and the call with
 * it.
 */
#define NOTICE_SIGNAL SIGSTKFLT

/* Makes `t` notice its work bits soon: interrupts its application code or blocking host call. */
void thread_kick(struct thread *t);

/* Ends the calling thread; with the last one, the process. */
__attribute__((noreturn)) void thread_exit(int status);

/* First thing that a new thread does, before it runs application code. */
void thread_started(struct thread *t);

/* Ends all other threads of the calling process and waits until they are gone (execve). */
void threads_end_others(void);
/* In a forked child: the other threads stayed behind. */
void threads_in_child(void);
/* What Linux does with application memory when a thread ends or execs: robust futexes, the
 * clear_child_tid word, the parent of a vfork. */
void thread_release_user(struct thread *t);

/*
 * After a blocking host call returned -EINTR: does pending housekeeping (stop) and says whether a
 * signal is waiting to be delivered, or the thread has to leave the call to end or to exec. true:
 * return -ERESTARTSYS (or -ERESTARTNOHAND) to the dispatcher; false: nothing for the application
 * happened, call the host again.
 */
bool interrupted(void);

/* Ends the calling thread if that is its work: for waits that do not end with the call. */
void thread_end_if_told(void);

/*
 * Blocks until `*word` (park_word) is woken, `deadline` (host CLOCK_MONOTONIC, ns; 0 = none) passes
 * or work arrives. 0, -ETIMEDOUT or -EINTR. The caller re-checks its own condition.
 */
int park(struct thread *t, uint32_t seen, uint64_t deadline_ns);
/*
 * The same, and until one of the host's descriptors is ready: the number of those that are, revents
 * filled. `fds` holds n entries and room for one more. 0: unparked; -ETIMEDOUT, -EINTR, or an errno
 * of the host.
 */
struct pollfd;
int park_on_fds(struct thread *t, struct pollfd *fds, uint32_t n, uint32_t seen,
                uint64_t deadline_ns);
/* Closes what the library OS keeps open for it: the thread ended, or stayed behind in the parent of
 * a fork. */
void thread_close_own(struct thread *t);
void unpark(struct thread *t);
/*
 * The same under a lock that `t` will want: it is unparked in effect, but its host thread is woken
 * by unpark_those(), after the lock is free, or else it would only wake to wait for that.
 */
void unpark_later(struct thread *t);
void unpark_those(void);
static inline uint32_t park_prepare(struct thread *t)
{
    return __atomic_load_n(&t->park_word, __ATOMIC_SEQ_CST);
}
