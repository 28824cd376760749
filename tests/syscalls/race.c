/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Eight threads go through 2,400 system-call sites that nobody has used before, in the same order
 * and at the same time, some entering by the number and some at the instruction itself.
 */
#include "check.h"
#include <pthread.h>

#define SITES   600 /* of each shape */
#define THREADS 8
#define GROUP   25 /* sites between two meetings of the threads */

/* Each array: SITES sites of a fixed stride. 39 is getpid. */
__asm__(".text\n"
        "race_plain:\n"
        ".rept 600; mov $39, %eax; syscall; ret; .endr\n"
        "race_test:\n"
        ".rept 600; mov $39, %eax; syscall; cmp $-4095, %rax; ret; .byte 0xcc; .byte 0xcc; .endr\n"
        "race_register:\n"
        ".rept 600; mov %edi, %eax; syscall; ret; .byte 0xcc, 0xcc, 0xcc; .endr\n"
        "race_push:\n"
        ".rept 600; push $39; pop %rax; syscall; nop; ret; .byte 0xcc; .endr\n"
        /* race_enter(site, number): jumps to the instruction with a number of its own. */
        "race_enter: mov %esi, %eax; jmp *%rdi\n");
typedef long fn(long);
extern unsigned char race_plain[], race_test[], race_register[], race_push[];
extern long race_enter(unsigned char *site, long nr);

static const struct shape {
    const char *name;
    unsigned char *code;
    int stride, instruction; /* where the syscall instruction is within it */
} shapes[] = {
    {"number before", race_plain, 8, 5},
    {"test after", race_test, 16, 5},
    {"number in a register", race_register, 8, 2},
    {"push and pop", race_push, 8, 3},
};

static pthread_barrier_t barrier;
static long pid, ppid;
static long wrong[4];

static void *walk(void *arg)
{
    long me = (long)arg;
    for (int s = 0; s < 4; s++) {
        for (int i = 0; i < SITES; i++) {
            unsigned char *at = shapes[s].code + (long)i * shapes[s].stride;
            bool inside = (me + i) % 4 == 0;
            if (i % GROUP == 0)
                pthread_barrier_wait(&barrier);
            for (int pass = 0; pass < 2; pass++) {
                long want = inside ? ppid : pid;
                long got = inside ? race_enter(at + shapes[s].instruction, SYS_getppid)
                                  : ((fn *)(uintptr_t)at)(SYS_getpid);
                if (got != want)
                    __atomic_add_fetch(&wrong[s], 1, __ATOMIC_SEQ_CST);
            }
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t t[THREADS];
    start(argc, argv);
    pid = getpid();
    ppid = getppid();
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (long i = 0; i < THREADS; i++)
        NEED(pthread_create(&t[i], NULL, walk, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    for (int s = 0; s < 4; s++)
        VALUE(shapes[s].name, wrong[s]);
    return 0;
}
