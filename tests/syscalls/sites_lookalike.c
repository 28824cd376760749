/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The five bytes before `syscall` look like `mov $39, %eax` but are the end of another instruction.
 * Whoever rewrites them on sight changes the program.
 */
#include "check.h"

__asm__(".text\n"
        /* number 39 set earlier; the constant's last five bytes are b8 27 00 00 00 */
        "s_constant: mov $39, %eax; movabs $0x00000027b8112233, %rdx; syscall\n"
        "mov %rdx, (%rdi); ret\n"
        "s_other: mov $110, %eax; movabs $0x00000027b8112233, %rdx; syscall\n"
        "mov %rdx, (%rdi); ret\n");
extern long s_constant(unsigned long *), s_other(unsigned long *);

int main(int argc, char **argv)
{
    start(argc, argv);
    unsigned long v = 0;
    bool number = true, constant = true, other = true;
    for (int i = 0; i < 5; i++) {
        number &= s_constant(&v) == getpid();
        constant &= v == 0x00000027b8112233;
    }
    CHECK("right call", number);
    CHECK("constant intact", constant);
    number = true;
    for (int i = 0; i < 5; i++) {
        number &= s_other(&v) == getppid();
        other &= v == 0x00000027b8112233;
    }
    CHECK("right call, other number", number);
    CHECK("constant intact, other number", other);
    return 0;
}
