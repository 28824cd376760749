/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Nanoseconds of a round trip into the enclave, and of EREPORT inside one. */
#define _GNU_SOURCE
#include "host.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    struct loaded e;
    const long rounds = argc > 1 ? atol(argv[1]) : 20000;
    static struct exchange x;
    load_enclave(&e, "hello.layout", "hello.sig");
    uint64_t tcs = e.base + THREAD0_TCS;
    enter(tcs, CMD_NOTHING, NULL);
    double start = now();
    for (long i = 0; i < rounds; i++)
        enter(tcs, CMD_NOTHING, NULL);
    double empty = (now() - start) / (double)rounds;
    start = now();
    for (long i = 0; i < rounds; i++)
        enter(tcs, CMD_REPORT, &x);
    double report = (now() - start) / (double)rounds;
    printf("EENTER+EEXIT %.0f ns, EREPORT %.0f ns\n", empty, report - empty);
    unload_enclave(&e);
    return 0;
}
