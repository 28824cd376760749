/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the foreign host program and its enclave agree on; nothing of the project's is used. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENCLAVE_SIZE 0x200000ULL
#define CODE_PAGES   4ULL
#define DATA         0x10000ULL
#define DATA_PAGES   2ULL
#define TCS(i)       (0x20000ULL + (i)*0x10000ULL)
#define THREADS      4
#define FRAMES       4
#define DYNAMIC_TCS  0x80000ULL
#define HEAP         0x100000ULL
#define HEAP_SIZE    0x100000ULL

enum command {
    BACK,
    SYSTEM_CALLS,
    OTHER_STACK,
    LAZY_HEAP,
    NESTED,
    OCALL,
    SPIN,
    MAKE_TCS,
    ACCEPT_TCS,
    COUNT,
    DIVIDE,
};
enum { EVENTS, NESTED_AT, COUNTED }; /* words of DATA */

#define EMULATED(nr, a) ((nr)*1000 + (a) + 1)

struct gpr {
    uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rflags, rip, ursp, urbp;
    uint32_t exitinfo, reserved;
    uint64_t fsbase, gsbase;
};
