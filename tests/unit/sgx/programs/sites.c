/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* An enclave entered from a thousand places. */
#define _GNU_SOURCE
#include "host.h"
#include <stdio.h>

#define SITES 1000

uint64_t enter_at(uint64_t tcs, uint64_t command, void *argument, const void *site);
extern const char sites[];

__asm__(".text\n"
        "sites:\n"
        ".rept 1000\n"
        "    movl $2, %eax\n"
        "    .byte 0x0f, 0x01, 0xd7\n"
        "    jmp entered\n"
        "    .balign 16, 0xcc\n"
        ".endr\n"
        "enter_at:\n"
        "    pushq %rbx\n"
        "    pushq %rbp\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rdi, %rbx\n"
        "    movq %rsi, %rdi\n"
        "    movq %rdx, %rsi\n"
        "    movq %rcx, %rdx\n"
        "    leaq host_aep(%rip), %rcx\n"
        "    jmp *%rdx\n"
        "entered:\n"
        "    movq %rsi, %rax\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbp\n"
        "    popq %rbx\n"
        "    ret\n");

int main(void)
{
    struct loaded e = {0};
    uint64_t one = 1, right = 0;
    load_enclave(&e, "hello.layout", "hello.sig");
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < SITES; i++)
            right += enter_at(e.base + THREAD0_TCS, CMD_COUNT, &one, sites + 16 * i) ==
                     round * SITES + i + 1;
    }
    printf("%lu of %d entries counted\n", right, 3 * SITES);
    unload_enclave(&e);
    return right != 3 * SITES;
}
