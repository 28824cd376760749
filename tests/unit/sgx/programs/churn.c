/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Many short-lived threads, children and enclaves, all entering. */
#define _GNU_SOURCE
#include "host.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
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

int main(void)
{
    uint64_t none = 0, five = 5;
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
        load_enclave(&e, "hello.layout", "hello.sig");
        errors += enter(e.base + THREAD0_TCS, CMD_COUNT, &five) != 5;
        errors += enter(e.base + THREAD1_TCS, CMD_COUNT, &five) != 10;
        unload_enclave(&e);
    }
    printf("enclaves: %s\n", errors ? "wrong" : "fine");

    /* A child that was there before its parent's entries: what they changed must not matter. */
    int go[2];
    char byte = 1;
    if (pipe(go))
        return 1;
    load_enclave(&e, "hello.layout", "hello.sig");
    pid_t pid = fork();
    if (pid == 0) {
        if (read(go[0], &byte, 1) != 1)
            _exit(2);
        for (int i = 0; i < 100; i++)
            errors += enter(e.base + THREAD1_TCS, CMD_COUNT, &five) == UINT64_MAX;
        _exit(errors != 0);
    }
    for (int i = 0; i < 100; i++)
        enter(e.base + THREAD0_TCS, CMD_COUNT, &five);
    if (write(go[1], &byte, 1) != 1)
        return 1;
    int status;
    waitpid(pid, &status, 0);
    total = enter(e.base + THREAD0_TCS, CMD_COUNT, &none);
    printf("earlier child: %s\n", total == 1000 && status == 0 ? "fine" : "wrong");
    return errors != 0;
}
