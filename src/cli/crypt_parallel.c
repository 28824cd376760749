/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "crypt_core.h"
#include <pthread.h>
#include <sched.h>

struct call {
    void (*fn)(void *arg);
    void *arg;
};

static void *run(void *arg)
{
    const struct call *call = arg;
    call->fn(call->arg);
    return NULL;
}

unsigned crypt_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set))
        return 1;
    unsigned n = (unsigned)CPU_COUNT(&set);
    return n < CRYPT_THREADS_MAX ? n : CRYPT_THREADS_MAX;
}

void crypt_parallel(unsigned threads, void (*fn)(void *arg), void *arg)
{
    struct call call = {fn, arg};
    pthread_t others[CRYPT_THREADS_MAX];
    unsigned started = 0;
    while (started + 1 < threads && started < CRYPT_THREADS_MAX &&
           !pthread_create(&others[started], NULL, run, &call))
        started++;
    fn(arg);
    while (started)
        pthread_join(others[--started], NULL);
}
