/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* An SGX program of others' making: its own loader, which measures, signs and loads a small enclave
 * (outsider.S), and enters it with one general function. */
#pragma once
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE         4096UL
#define ENCLAVE_SIZE 0x80000UL
#define TCS(n)       (0x8000UL + PAGE * (n))
#define SSA(n)       (0x10000UL + 0x10000UL * (n))
#define SSA_PAGES    4
#define FRAMES       3
#define DATA         0x40000UL
#define SCRATCH      0x44000UL /* readable, writable, executable */

/* In and out; rax is the leaf, rbx the TCS. */
struct regs {
    uint64_t rbx, rcx, rdi, rsi, rdx, r8, r9, r10, r11, r12, r13, rax, flags;
};
void enter(struct regs *r);
extern char enter_enclu[], enter_after[]; /* its ENCLU, and behind it */
extern char outsider_aep[];               /* where AEXs arrive */

/* What the enclave can do, as RDI of an entry: */
extern char enclave_begin[], enclave_end[];
extern char do_add[];  /* RDI = RSI + RDX */
extern char do_spin[]; /* until *RSI is not 0 */
extern char do_load[]; /* RDX bytes of code from RSI to SCRATCH, behind it the way out */
extern char do_run[];  /* SCRATCH with RAX = RCX = RSI; RDI = RAX */
extern char do_push[]; /* exits with RSP 64 bytes lower */
/* On the next frame: tells the interrupted one (GPRSGX at offset RSI) and adds R12 to its RIP.
 * RDI = RIP's offset, RDX = EXITINFO, R8 = MADDR, R9 = ERRCD, R10 = RAX */
extern char do_look[];
#define OFFSET(what) ((uint64_t)((what)-enclave_begin))

struct outsider {
    int fd;
    uint64_t base;
};
/* 0, or a negative errno. */
int outsider_load(struct outsider *e, uint32_t miscselect);
struct regs outsider_call(const struct outsider *e, unsigned tcs, const char *what, uint64_t rsi,
                          uint64_t rdx);
/* For the faults of this program and its enclaves. */
void outsider_handle(void (*handler)(int, siginfo_t *, void *));

extern int outsider_failures;
void report(int fine, const char *what, ...) __attribute__((format(printf, 2, 3)));
