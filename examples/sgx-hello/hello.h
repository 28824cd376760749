/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What enclave and loader agree on. Offsets in bytes from the enclave's base. */
#pragma once
#include <stdint.h>
#include "sgx/arch.h"

#define THREAD0_TCS 0x20000ULL
#define THREAD1_TCS 0x28000ULL
#define HOLE        0x30000ULL /* never added: a page fault */
#define HEAP        0x80000ULL /* grows by EAUG */
#define HEAP_END    0x100000ULL

enum command {
    CMD_HELLO,   /* struct hello: text out */
    CMD_PROBE,   /* uint64_t: address in; returns what probe() saw */
    CMD_SPIN,    /* volatile uint32_t: returns when it is not zero */
    CMD_GROW,    /* uint64_t: pages; returns how many could be used */
    CMD_COUNT,   /* uint64_t: how often; increments the shared counter, returns its value */
    CMD_TARGET,  /* struct sgx_targetinfo: out, to be the target of a report */
    CMD_REPORT,  /* struct exchange: target in, report out */
    CMD_VERIFY,  /* struct exchange: report in; returns 0 when it is genuine */
    CMD_SEAL,    /* struct sealed: text in, rest out */
    CMD_UNSEAL,  /* struct sealed: text out; returns 0 when it is genuine */
    CMD_SYSCALL, /* executes a SYSCALL instruction: #UD */
    CMD_ACCEPT,  /* struct accept: EACCEPT of a range; returns the first error code */
    CMD_NOTHING, /* returns at once, for measuring */
    CMD_LEAVES,  /* struct leaves: EREPORT or EGETKEY so many times */
    CMD_ENCLU,   /* uint64_t[4]: leaf, RBX, RCX, RDX as they are: for tests */
    CMD_COMPUTE, /* uint64_t: rounds of compute() below */
};

struct hello {
    char text[64];
};

struct exchange {
    struct sgx_targetinfo target;
    struct sgx_report report;
    uint8_t data[64];
};

struct accept {
    uint64_t offset, pages, flags; /* SECINFO.FLAGS to agree to */
};

struct leaves {
    uint64_t leaf, times;
};

/* Pure computation, the same inside and outside. */
static inline uint64_t compute(uint64_t rounds)
{
    uint64_t x = 88172645463325252ULL, sum = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        sum += x % 1000003;
    }
    return sum;
}

struct sealed {
    uint8_t iv[12];
    uint8_t tag[16];
    char text[64];
};
