/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Shared by the files of platform `sgx`. */
#pragma once
#include "libos/process.h"
#include "libos/thread.h"
#include "platform/sgx/offsets.h"
#include "sgx/enclave.h"
#include "sgx/exits.h"

/* What the platform keeps for a thread beside struct thread, which begins its box. */
struct sgx_thread {
    uint64_t state;                  /* STATE_* */
    uint64_t ursp, urbp, exit;       /* of the entry at CSSA 0: where to leave to */
    uint64_t rsp;                    /* where platform_leave() goes on */
    uint64_t fs;                     /* the application's FS base while outside */
    uint64_t event_ursp, event_urbp; /* of the entry at CSSA 1 */
    uint64_t event_exit;
    struct sgx_call *call; /* outside: the thread's place for host calls */
};

struct sgx_box {
    struct thread thread;
    char gap[BOX_OWN - sizeof(struct thread)];
    struct sgx_thread own;
};
_Static_assert(offsetof(struct sgx_box, own) == BOX_OWN, "offsets.h");
_Static_assert(offsetof(struct sgx_thread, state) == S_STATE - BOX_OWN, "offsets.h");
_Static_assert(offsetof(struct sgx_thread, ursp) == S_URSP - BOX_OWN, "offsets.h");
_Static_assert(offsetof(struct sgx_thread, urbp) == S_URBP - BOX_OWN, "offsets.h");
_Static_assert(offsetof(struct sgx_thread, exit) == S_EXIT - BOX_OWN, "offsets.h");
_Static_assert(offsetof(struct sgx_thread, rsp) == S_RSP - BOX_OWN, "offsets.h");
_Static_assert(offsetof(struct sgx_thread, fs) == S_FS - BOX_OWN, "offsets.h");
_Static_assert(offsetof(struct sgx_thread, event_ursp) == S_EVENT_URSP - BOX_OWN, "offsets.h");
_Static_assert(offsetof(struct sgx_thread, event_urbp) == S_EVENT_URBP - BOX_OWN, "offsets.h");
_Static_assert(offsetof(struct sgx_thread, event_exit) == S_EVENT_EXIT - BOX_OWN, "offsets.h");
_Static_assert(BOX_HANDLER == ENCLAVE_BOX_PAGES * 4096, "the handler's stack ends the box");
_Static_assert(KSTACK_SIZE == ENCLAVE_STACK_PAGES * 4096, "enclave.h");

/* The measured page below the image: placed by the linker's command line. */
extern const struct enclave_info sgx_info;
static inline const struct enclave_info *enclave_info(void)
{
    return &sgx_info;
}

/* Is the range wholly outside the enclave, whose base is 0? */
static inline bool is_outside(uint64_t addr, uint64_t len)
{
    return addr >= enclave_info()->size && addr <= USER_TOP && len <= USER_TOP - addr;
}

static inline struct sgx_box *box_of(uint64_t index)
{
    return (struct sgx_box *)(enclave_thread_block(enclave_info()->size, index) +
                              ENCLAVE_BOX_PAGE * PAGE_SIZE);
}

/* enter.S: leaves for a host call and comes back from it. The second does not leave when
 * thread.work is set: false. */
void sgx_leave(uint64_t code, uint64_t value);
bool sgx_leave_blocking(uint64_t code, uint64_t value);
/* Leaves for good with the thread's block free. */
__attribute__((noreturn)) void sgx_end(uint64_t value);
/* Enters libos_start on the thread's library-OS stack. */
__attribute__((noreturn)) void sgx_go(void);
extern uint64_t sgx_xfrm; /* set at start, before the first exit */

/* identity.c: once, before anything else; the report that it made for nobody. */
void sgx_identity_setup(void);
const struct sgx_report *sgx_self(void);

/* A report for an enclave of our own identity, and whether one is from such an enclave, made on
 * this machine for us. */
void sgx_peer_report(const uint8_t data[64], struct sgx_report *report);
bool sgx_is_peer(const struct sgx_report *report);

/* fork.c: what a new enclave does that the host started as another's child. */
__attribute__((noreturn)) void sgx_become_child(const struct sgx_start *start);
/* enter.S: notes where the caller is, which is false; true in the copy, by sgx_take_place(). */
struct sgx_mark {
    uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
};
__attribute__((returns_twice)) bool sgx_mark(struct sgx_mark *mark);
/* Copies the pieces to where they belong, on no stack, and goes on at the mark. The pieces and what
 * they come from are in none of the places. */
struct sgx_piece {
    uint64_t to, from, len;
};
__attribute__((noreturn)) void sgx_take_place(const struct sgx_piece *pieces, uint64_t count,
                                              const struct sgx_mark *mark);

/* start.c, from enter.S. */
void sgx_start(uint64_t start);
void sgx_thread_born(uint64_t tid);
/* event.c, from enter.S: an exception (signal 0, or what the host takes it for) or a signal. */
void sgx_event(uint64_t signal);
/* What the host says has come while the thread was outside: bit n-1 stands for signal n. */
void sgx_take_signals(struct thread *t, uint64_t signals);

/* cpuid.c: from the host's claims. */
void sgx_cpuid_setup(const struct sgx_cpuid *list, uint64_t count);
void sgx_cpuid(uint32_t leaf, uint32_t subleaf, struct sgx_cpuid *out);

/* enter.S: the counter; 0 on processors that forbid RDTSC in an enclave (#UD at the second). */
uint64_t sgx_rdtsc(void);
extern const char sgx_rdtsc_insn[];

/* call.c: where the calling thread's host calls go, `slot` bytes for each block from `arena` on. */
bool sgx_calls_setup(uint64_t arena, uint64_t slot);
void sgx_call_place(struct sgx_box *box, uint64_t index);
long sgx_special(int64_t nr, int64_t a, int64_t b, int64_t c); /* enum sgx_special */
uint64_t sgx_index_of(const struct thread *t);                 /* of its block */

/* memory.c: the next run of pages from `from` on that hold something, all with the same protection;
 * false: there is none. */
bool sgx_memory_used(uintptr_t from, uintptr_t *start, uintptr_t *end);
/* Makes such a run readable for us, or what it was again. 0 or an errno. */
int sgx_memory_open(uintptr_t start, uintptr_t end, bool open);
/* In a child, whose host knows of no protections yet. 0 or an errno. */
int sgx_memory_in_child(void);

/* stats.c, for sgx.enable_stats: something left, or came in; the lines about it, at the end. */
extern bool sgx_stats;
void sgx_stats_count_call(long nr);
void sgx_stats_count_event(bool exception);
void sgx_stats_print(void);
void sgx_stats_in_child(void);
