/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Many short-lived threads, children and enclaves, all entering. */
#define _GNU_SOURCE
#include "host.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct loaded e;
static volatile long errors;

static void *work(void *arg)
{
    for (uint64_t i = 1; i <= 50; i++)
        errors += enter((uint64_t)arg, CMD_COUNT, &i) == UINT64_MAX;
    return NULL;
}

/* No room for anything within a jump's reach of the enclave. */
static void wall_in(void)
{
    for (uint64_t at = e.base - (2ULL << 30); at < e.base + e.size + (2ULL << 30); at += 1 << 16)
        mmap((void *)at, 1 << 16, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
}

static int visit(uint64_t tcs, int times)
{
    static struct exchange x;
    uint64_t five = 5;
    int wrong = 0;
    for (int i = 0; i < times; i++) {
        wrong += enter(tcs, CMD_COUNT, &five) == UINT64_MAX;
        enter(tcs, CMD_TARGET, &x.target);
        wrong += enter(tcs, CMD_REPORT, &x) != 0 || enter(tcs, CMD_VERIFY, &x) != 0;
        memset(&x.report, 0, sizeof(x.report));
        wrong += enter(tcs, CMD_VERIFY, &x) == 0;
    }
    return wrong;
}

/* A child that was there before its parent's entries: what they changed must not matter. */
static void earlier_child(bool walled)
{
    int go[2], status = 1;
    char byte = 1;
    uint64_t none = 0;
    if (pipe(go))
        exit(1);
    e.base = 0;
    load_enclave(&e, "hello.layout", "hello.sig");
    pid_t pid = fork();
    if (pid == 0) {
        if (walled)
            wall_in();
        if (read(go[0], &byte, 1) != 1)
            _exit(2);
        _exit(visit(e.base + THREAD1_TCS, 100) != 0);
    }
    errors += visit(e.base + THREAD0_TCS, 100);
    if (write(go[1], &byte, 1) != 1)
        exit(1);
    waitpid(pid, &status, 0);
    errors += visit(e.base + THREAD0_TCS, 100);
    uint64_t total = enter(e.base + THREAD0_TCS, CMD_COUNT, &none);
    printf("earlier child%s: %s\n", walled ? ", walled in" : "",
           total == 1500 && status == 0 && !errors ? "fine" : "wrong");
    unload_enclave(&e);
}

int main(void)
{
    uint64_t none = 0, five = 5;
    e.base = 0;
    load_enclave(&e, "hello.layout", "hello.sig");
    for (int i = 0; i < 200; i++) {
        pthread_t a, b;
        pthread_create(&a, NULL, work, (void *)(e.base + THREAD0_TCS));
        pthread_create(&b, NULL, work, (void *)(e.base + THREAD1_TCS));
        pthread_join(a, NULL);
        pthread_join(b, NULL);
    }
    uint64_t total = enter(e.base + THREAD0_TCS, CMD_COUNT, &none);
    printf("threads: %s\n", total == 400 * 1275 && !errors ? "fine" : "wrong");
    for (int i = 0; i < 30; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            pthread_t t;
            pthread_create(&t, NULL, work, (void *)(e.base + THREAD1_TCS));
            pthread_join(t, NULL);
            _exit(enter(e.base + THREAD0_TCS, CMD_COUNT, &five) == UINT64_MAX || errors);
        }
        int status;
        waitpid(pid, &status, 0);
        errors += status != 0;
    }
    total = enter(e.base + THREAD0_TCS, CMD_COUNT, &none);
    printf("children: %s\n", total == 430 * 1275 + 150 && !errors ? "fine" : "wrong");
    unload_enclave(&e);
    for (int i = 0; i < 200; i++) {
        e.base = 0;
        load_enclave(&e, "hello.layout", "hello.sig");
        errors += enter(e.base + THREAD0_TCS, CMD_COUNT, &five) != 5;
        errors += enter(e.base + THREAD1_TCS, CMD_COUNT, &five) != 10;
        unload_enclave(&e);
    }
    printf("enclaves: %s\n", errors ? "wrong" : "fine");
    earlier_child(false);
    earlier_child(true);
    return errors != 0;
}
