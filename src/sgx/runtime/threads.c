/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Host threads for the enclave's. */
#include "sgx/enclave.h"
#include "sgx/runtime/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

__thread struct outside *self_outside;
static uint64_t enclave_size, blocks; /* set once at start */

void runtime_threads_setup(const struct sgx_layout *layout)
{
    enclave_size = layout->size;
    for (size_t i = 0; i < layout->count; i++)
        blocks += SGX_SECINFO_TYPE(layout->areas[i].flags) == SGX_PT_TCS;
}

void runtime_thread(struct outside *o)
{
    uint64_t code, value;
    self_outside = o;
    o->tcs = enclave_thread_block(enclave_size, o->index);
    value = runtime_enter(o->tcs, o->entry, o->value, &code);
    while (code == SGX_EXIT_CALL) {
        runtime_relay((struct sgx_call *)value);
        value = runtime_enter(o->tcs, SGX_ENTER_RETURN, 0, &code);
    }
    if (code != SGX_EXIT_END) {
        fprintf(stderr, "error: the enclave refused an entry of thread %llu (code %llu)\n",
                (unsigned long long)o->index, (unsigned long long)code);
        _exit(1);
    }
}

struct birth {
    struct outside outside;
    sem_t born;
    int tid;
};

static void *thread_main(void *arg)
{
    struct birth *b = arg;
    struct outside o = b->outside;
    sigset_t none;
    o.value = (uint64_t)syscall(SYS_gettid);
    b->tid = (int)o.value;
    self_outside = &o;
    sem_post(&b->born); /* *b is gone from here on */
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    runtime_thread(&o);
    return NULL;
}

long runtime_thread_start(uint64_t index)
{
    struct birth b = {.outside = {.index = index, .entry = SGX_ENTER_THREAD}};
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;
    if (index >= blocks)
        return -EINVAL;
    sem_init(&b.born, 0, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* the new thread begins with all blocked */
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 256 << 10);
    int error = pthread_create(&thread, &attr, thread_main, &b);
    pthread_attr_destroy(&attr);
    while (!error && sem_wait(&b.born))
        ;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    sem_destroy(&b.born);
    if (error)
        fprintf(stderr,
                "error: the host gives the enclave no thread: %s; is a limit reached (ulimit "
                "-u)?\n",
                strerror(error));
    return error ? -error : b.tid;
}
