/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "foreign.h"

uint64_t enclu(uint32_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx);
uint64_t raw(uint64_t nr, uint64_t a);
uint64_t on_stack(uint64_t sp, uint64_t nr, uint64_t a);
uint64_t ocall(uint64_t target);
extern char enclave_entry[];

static uint64_t accept(uint64_t la, uint64_t flags)
{
    struct {
        uint64_t flags, reserved[7];
    } secinfo __attribute__((aligned(64))) = {.flags = flags};
    return enclu(5, (uint64_t)&secinfo, la, 0);
}

static uint64_t system_calls(uint64_t times)
{
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < times; i++)
        wrong += raw(i % 300, i) != EMULATED(i % 300, i);
    return wrong;
}

static uint64_t touch_heap(uint64_t pages)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < pages; i++) {
        volatile uint64_t *p = (uint64_t *)(enclave_entry + HEAP + i * 4096);
        *p += i;
        sum += *p;
    }
    return sum;
}

static uint64_t new_thread(void)
{
    uint64_t tcs = (uint64_t)enclave_entry + DYNAMIC_TCS, *p = (uint64_t *)tcs;
    for (uint64_t i = 0; i < 16; i++) {
        if (accept(tcs + i * 4096, 0x20b)) /* REG, R, W, PENDING */
            return 1 + i;
    }
    p[2] = DYNAMIC_TCS + 0x1000; /* OSSA */
    p[3] = (uint64_t)FRAMES << 32;
    p[4] = 0; /* OENTRY */
    p[7] = DYNAMIC_TCS + 0x5000;
    ((uint32_t *)p)[16] = ((uint32_t *)p)[17] = 0xfff;
    return 0;
}

uint64_t enclave_main(uint64_t command, uint64_t argument, uint64_t odd)
{
    uint64_t *counter = (uint64_t *)(enclave_entry + DATA);
    volatile uint32_t *flag = (uint32_t *)argument;
    switch (command) {
    case SYSTEM_CALLS:
        return system_calls(argument);
    case OTHER_STACK:
        return on_stack((uint64_t)enclave_entry + DATA + 0x1000, 7, argument);
    case LAZY_HEAP:
        return touch_heap(argument);
    case NESTED:
        __asm__ volatile(".byte 0x0f, 0x0b");
        return counter[NESTED_AT];
    case OCALL:
        return ocall(argument) + 1;
    case SPIN:
        while (!*flag)
            __builtin_ia32_pause();
        return __atomic_load_n(&counter[EVENTS], __ATOMIC_SEQ_CST);
    case MAKE_TCS:
        return new_thread();
    case ACCEPT_TCS:
        return accept((uint64_t)enclave_entry + DYNAMIC_TCS, 0x110); /* TCS, MODIFIED */
    case COUNT:
        return __sync_add_and_fetch(&counter[COUNTED], argument);
    case DIVIDE: {
        uint32_t q = 1, zero = 0;
        __asm__ volatile("xorl %%edx, %%edx\n div %1" : "+a"(q) : "r"(zero) : "edx", "cc");
        return q;
    }
    default:
        return ~0ULL;
    }
}

static void illegal(uint64_t frames, struct gpr *g)
{
    uint64_t *counter = (uint64_t *)(enclave_entry + DATA);
    const uint8_t *code = (const uint8_t *)g->rip;
    if (code[1] == 0x05) {
        g->rax = EMULATED(g->rax, g->rdi);
        g->rcx = g->rip + 2;
    } else if (frames < FRAMES - 1) { /* another exception in the handler of this one */
        __asm__ volatile(".byte 0x0f, 0x0b");
    } else {
        counter[NESTED_AT] = frames;
    }
    g->rip += 2;
}

void enclave_exception(uint64_t frames, uint64_t tcs)
{
    uint64_t *counter = (uint64_t *)(enclave_entry + DATA);
    struct gpr *g = (struct gpr *)(tcs + 0x1000 + frames * 0x1000 - sizeof(*g));
    const uint64_t madr = ((uint64_t *)g)[-2];
    switch (g->exitinfo) {
    case 0:
        __sync_fetch_and_add(&counter[EVENTS], 1);
        break;
    case 0x80000300: /* #DE, hardware exception */
        g->rax = 77;
        g->rip += 2;
        break;
    case 0x80000306:
        illegal(frames, g);
        break;
    case 0x8000030e: /* lazily grown heap */
        if (madr - (uint64_t)enclave_entry - HEAP >= HEAP_SIZE || accept(madr, 0x20b))
            g->rip = 0;
        break;
    default:
        g->rip = 0;
        break;
    }
}
