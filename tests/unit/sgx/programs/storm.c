/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Two threads go in and out of one enclave while timers fire; every result is checked.
 * storm ROUNDS [MICROSECONDS]: four entries in each round
 */
#define _GNU_SOURCE
#include "host.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct loaded e;
static volatile uint64_t signals, errors;
static long rounds, interval = 150;

static void on_signal(int sig, siginfo_t *info, void *context)
{
    __sync_fetch_and_add(&signals, 1);
}

static void *work(void *arg)
{
    const uint64_t tcs = e.base + (arg ? THREAD1_TCS : THREAD0_TCS);
    timer_t timer;
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    struct itimerspec every = {{0, interval * 1000}, {0, interval * 1000}};
    ev._sigev_un._tid = gettid();
    timer_create(CLOCK_MONOTONIC, &ev, &timer);
    timer_settime(timer, 0, &every, NULL);
    double x = 1.5;
    for (long i = 0; i < rounds; i++) {
        struct hello h = {""};
        uint64_t times = 3;
        errors += enter(tcs, CMD_HELLO, &h) != 0 || strcmp(h.text, "hello from the enclave") != 0;
        errors += enter(tcs, CMD_COUNT, &times) < 3;
        x = x * 1.0000001;
    }
    errors += x < 1.5;
    timer_delete(timer);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t t;
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    uint64_t none = 0;
    rounds = argc > 1 ? atol(argv[1]) : 10000;
    interval = argc > 2 ? atol(argv[2]) : interval;
    load_enclave(&e, "hello.layout", "hello.sig");
    sigaction(SIGUSR1, &sa, NULL);
    pthread_create(&t, NULL, work, &e);
    work(NULL);
    pthread_join(t, NULL);
    uint64_t total = enter(e.base + THREAD0_TCS, CMD_COUNT, &none);
    const bool right = total == (uint64_t)rounds * 6;
    printf("errors %lu, count %s, signals %s\n", errors, right ? "right" : "wrong",
           signals > 100 ? "many" : "few");
    fprintf(stderr, "%ld transitions, %lu signals\n", 4 * rounds, signals);
    return errors != 0 || !right;
}
