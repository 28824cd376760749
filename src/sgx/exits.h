/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What passes between an enclave of ours and the untrusted runtime around it. Freestanding.
 *
 * Nothing here is believed by the enclave: it copies once what it reads, checks it, and refuses an
 * entry that its thread's state does not expect. All addresses lie outside the enclave.
 *
 *   way                    registers
 *   EENTER, CSSA 0         RDI = enum sgx_entry, RSI = a value
 *   EENTER, CSSA 1         RDI = SGX_ENTER_EVENT, RSI = number of the signal that the host got
 *   EEXIT                  RDI = enum sgx_exit, RSI = a value; all else is zero but RSP and RBP,
 * which are as they were at the entry, and RBX and RCX (SDM: EEXIT)
 */
#pragma once
#include "sgx/arch.h"

enum sgx_entry {
    SGX_ENTER_START = 1,  /* the first: RSI = struct sgx_start */
    SGX_ENTER_THREAD = 2, /* a thread that SGX_EXIT_THREAD asked for: RSI = its id on the host */
    SGX_ENTER_RETURN = 3, /* from SGX_EXIT_CALL, whose struct has the result */
    SGX_ENTER_EVENT = 4,  /* an exception or a signal, above what it interrupted */
};

/* Added to the signal number of an EVENT: the host took it for an exception of the enclave. */
#define SGX_HOST_FAULT 0x100

enum sgx_exit {
    SGX_EXIT_CALL = 1,   /* RSI = struct sgx_call: make it, then SGX_ENTER_RETURN */
    SGX_EXIT_RESUME = 2, /* from an event: resume what was interrupted */
    SGX_EXIT_END = 3,    /* the thread is over; RSI = index of its block, free again now */
    SGX_EXIT_REFUSED = 4 /* an entry that the thread's state does not expect */
};

/* What `nr` may be beside the system calls of src/host/filter.c. */
enum sgx_special {
    /* arg[0] = index of a thread block: a host thread that enters there with SGX_ENTER_THREAD; its
     * id, or an errno. */
    SGX_CALL_THREAD = 100000,
    /* The quoting service (AESM): TARGETINFO of its enclave to arg[0]; a quote of the report at
     * arg[0] to the 8192 bytes at arg[1]. 0, an errno, or the service's error, after a line on
     * stderr. */
    SGX_CALL_QE_TARGET = 100001,
    SGX_CALL_QUOTE = 100002,
    /* mprotect of the enclave's own pages: arg[0] address, arg[1] length, arg[2] PROT_*. What the
     * page tables say is the host's: it makes faults, it protects from nothing. 0 or an errno. */
    SGX_CALL_PROTECT = 100003,
    /* A process with a fresh enclave of the same files: arg[0] = CSIGNAL, CLONE_PARENT and
     * CLONE_PIDFD of clone(2), arg[1] = the block in which it is entered, arg[2] = struct
     * sgx_forked to be filled. Its pid, or an errno. All descriptors of the enclave are inherited.
     */
    SGX_CALL_FORK = 100004,
    SGX_CALL_FORKED = 100005, /* the child is one: signals may come now. 0 */
    /* A process that has ended with exit code arg[1] when its pid is returned; else as FORK. */
    SGX_CALL_ENDED = 100006,
    SGX_CALL_DIE = 100007, /* arg[0] = the signal that the process dies of */
};

struct sgx_forked {
    int64_t socket; /* a stream to the child's start.fork_fd */
    int64_t pidfd;  /* with CLONE_PIDFD */
};

#define SGX_AESM_NO_KEY 42 /* an error of the service: ask for its target anew */

/* A host call, in the arena. */
struct sgx_call {
    int64_t nr;
    uint64_t blocking; /* a signal that arrives before it is made prevents it: -EINTR */
    int64_t arg[6];
    int64_t result;
    uint64_t signals; /* bit n-1: signal n came while the thread was outside */
};

/* CPUID as the host has it: hints, of which the enclave takes what its own rules allow. */
struct sgx_cpuid {
    uint32_t leaf, subleaf;
    uint32_t eax, ebx, ecx, edx;
};
#define SGX_CPUID_MOST 64

struct sgx_start {
    uint64_t manifest, manifest_size; /* the compiled manifest */
    uint64_t argc, argv, envp;        /* arrays of addresses of texts; NULL ends envp */
    uint64_t name;                    /* path prefix given to the launcher */
    int64_t trees_fd;                 /* or -1 */
    int64_t pid, tid;
    /* Memory outside: a page, then `arena_slot` bytes for each block, a page and an arena slot. */
    uint64_t arena, arena_slot;
    uint64_t cpuid_count;
    struct sgx_cpuid cpuid[SGX_CPUID_MOST];
    uint64_t tsc_hz; /* 0: unknown */
    int64_t fork_fd; /* of a process that SGX_CALL_FORK made: where its parent is; else -1 */
};
