/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One thread enters and leaves all the time, one stays inside, one ticks: for a debugger to attach,
 * which ends it by setting `stop`. */
#include "host.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

volatile uint32_t stop;
volatile uint64_t ticks, entries;
static struct loaded e;

static void *enter_often(void *unused)
{
    uint64_t one = 1;
    while (!stop) {
        if (enter(e.base + THREAD1_TCS, CMD_COUNT, &one) == entries + 1)
            entries++;
    }
    return NULL;
}

static void *stay(void *unused)
{
    enter(e.base + THREAD0_TCS, CMD_SPIN, (void *)&stop);
    return NULL;
}

__attribute__((noinline)) void tick(uint64_t n)
{
    ticks = n;
}

/* The kernel's copy of the auxiliary vector is what the program got. */
static int same_auxv(char **envp)
{
    uint64_t kept[128] = {0}, n = 0;
    FILE *f = fopen("/proc/self/auxv", "r");
    n = fread(kept, 16, 64, f);
    fclose(f);
    while (*envp)
        envp++;
    return n > 10 && memcmp(kept, envp + 1, 16 * (n - 1)) == 0;
}

int main(int argc, char **argv, char **envp)
{
    pthread_t often, inside;
    printf("auxv %s\n", same_auxv(envp) ? "right" : "wrong");
    load_enclave(&e, "hello.layout", "hello.sig");
    pthread_create(&often, NULL, enter_often, NULL);
    pthread_create(&inside, NULL, stay, NULL);
    puts("running");
    fflush(stdout);
    for (int i = 0; i < 3000 && !stop; i++) {
        usleep(10000);
        tick(ticks + 1);
    }
    pthread_join(often, NULL);
    pthread_join(inside, NULL);
    printf("stop %u, entries %s\n", stop, entries > 100 ? "many" : "few");
    return 0;
}
