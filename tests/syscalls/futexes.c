/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* futex: wait, wake, bitsets, requeue, wake_op, time-outs; robust lists. */
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>

static int word, other;
static volatile int woken;

static long futex(int *at, int op, int value, void *timeout, int *at2, int value3)
{
    return syscall(SYS_futex, at, op, value, timeout, at2, value3);
}

static struct timespec in_ms(clockid_t clock, long ms)
{
    long long t = now_ns(clock) + ms * 1000000LL;
    return (struct timespec){t / 1000000000, t % 1000000000};
}

/* How many threads are asleep on the word: requeueing a word to itself counts its waiters. */
static void until_asleep(int *at, int n)
{
    static int spare;
    for (int i = 0; i < 4000; i++) {
        long moved = futex(at, FUTEX_CMP_REQUEUE, 0, (void *)(long)INT_MAX, &spare, *at);
        long back = futex(&spare, FUTEX_CMP_REQUEUE, 0, (void *)(long)INT_MAX, at, spare);
        if (moved == n && back == n)
            return;
        sleep_ms(2);
    }
    say("set-up failed", "no %d sleepers", n);
    exit(2);
}

struct waiter {
    int *at;
    int bits;
    pthread_t thread;
};

static void *sleeper(void *arg)
{
    struct waiter *w = arg;
    long r = futex(w->at, FUTEX_WAIT_BITSET, 0, NULL, NULL, w->bits);
    __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    return (void *)r;
}

static void sleep_threads(struct waiter *w, int n, int *at, int bits)
{
    for (int i = 0; i < n; i++) {
        w[i].at = at;
        w[i].bits = bits;
        NEED(pthread_create(&w[i].thread, NULL, sleeper, &w[i]) == 0);
    }
    until_asleep(at, n);
}

static long join_threads(struct waiter *w, int n)
{
    long zero = 0;
    void *r;
    for (int i = 0; i < n; i++) {
        pthread_join(w[i].thread, &r);
        zero += r == NULL;
    }
    return zero;
}

static void immediate(void)
{
    struct timespec t = {0, 20000000};
    TRY("other value", futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0));
    TRY("nobody to wake", futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    long long then = now_ms();
    TRY("relative time-out", futex(&word, FUTEX_WAIT, 0, &t, NULL, 0));
    CHECK("in time", now_ms() - then >= 19 && now_ms() - then < 5000);
    TRY("private", futex(&word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &t, NULL, 0));
    t = in_ms(CLOCK_MONOTONIC, 20);
    then = now_ms();
    TRY("absolute time-out", futex(&word, FUTEX_WAIT_BITSET, 0, &t, NULL, -1));
    CHECK("absolute in time", now_ms() - then >= 18 && now_ms() - then < 5000);
    t = in_ms(CLOCK_REALTIME, 20);
    then = now_ms();
    TRY("realtime time-out",
        futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &t, NULL, -1));
    CHECK("realtime in time", now_ms() - then >= 15 && now_ms() - then < 5000);
    t = in_ms(CLOCK_REALTIME, -1000);
    TRY("in the past", futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &t, NULL, -1));
    t = (struct timespec){0, 0};
    TRY("zero time-out", futex(&word, FUTEX_WAIT, 0, &t, NULL, 0));
    t.tv_nsec = 1000000000;
    TRY("bad nanoseconds", futex(&word, FUTEX_WAIT, 0, &t, NULL, 0));
    t = (struct timespec){-1, 0};
    TRY("negative time", futex(&word, FUTEX_WAIT, 0, &t, NULL, 0));
    TRY("empty bitset wait", futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0));
    TRY("empty bitset wake", futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    TRY("unaligned", futex((int *)((char *)&word + 1), FUTEX_WAIT, 0, NULL, NULL, 0));
    TRY("unaligned wake", futex((int *)((char *)&word + 2), FUTEX_WAKE, 1, NULL, NULL, 0));
    SYS("wait nowhere", SYS_futex, BAD_LOW, FUTEX_WAIT, 0, NULL, NULL, 0);
    SYS("wait in the kernel", SYS_futex, BAD_KERNEL, FUTEX_WAIT, 0, NULL, NULL, 0);
    SYS("wake nowhere, private", SYS_futex, BAD_LOW, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL,
        0);
    SYS("time-out nowhere", SYS_futex, &word, FUTEX_WAIT, 0, BAD_LOW, NULL, 0);
    TRY("unknown operation", futex(&word, 99, 0, NULL, NULL, 0));
    TRY("FUTEX_CLOCK_REALTIME on wake",
        futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0));
}

static void waking(void)
{
    struct waiter w[6];
    sleep_threads(w, 4, &word, -1);
    TRY("wake 1", futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    TRY("wake all", futex(&word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
    VALUE("results 0", join_threads(w, 4));
    sleep_threads(w, 1, &word, 1);
    w[1] = (struct waiter){&word, 6, 0};
    NEED(pthread_create(&w[1].thread, NULL, sleeper, &w[1]) == 0);
    until_asleep(&word, 2);
    TRY("wake bit 8", futex(&word, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, 8));
    TRY("wake bit 2", futex(&word, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, 2));
    TRY("wake bit 1", futex(&word, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, 1));
    VALUE("bitset results 0", join_threads(w, 2));
    sleep_threads(w, 1, &word, 4);
    TRY("FUTEX_WAKE takes any", futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    join_threads(w, 1);
    sleep_threads(w, 1, &word, -1);
    TRY("negative count wakes", futex(&word, FUTEX_WAKE, -1, NULL, NULL, 0));
    join_threads(w, 1);
    VALUE("woken in all", woken);
}

static void requeueing(void)
{
    struct waiter w[6];
    sleep_threads(w, 6, &word, -1);
    TRY("cmp_requeue, other value", futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1L, &other, 77));
    TRY("cmp_requeue wakes 1, moves 2", futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)2L, &other, 0));
    TRY("requeue moves 1", futex(&word, FUTEX_REQUEUE, 0, (void *)1L, &other, 0));
    TRY("wake moved", futex(&other, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
    TRY("wake the rest", futex(&word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
    VALUE("requeue results 0", join_threads(w, 6));
    TRY("negative requeue", futex(&word, FUTEX_CMP_REQUEUE, -1, (void *)1L, &other, 0));
    SYS("requeue to nowhere", SYS_futex, &word, FUTEX_REQUEUE, 1, 1L, BAD_KERNEL, 0);
    SYS("requeue unaligned", SYS_futex, &word, FUTEX_REQUEUE, 1, 1L, (char *)&other + 1, 0);
}

static void operations(void)
{
    struct waiter w[2], x[1];
    other = 0;
    sleep_threads(w, 2, &word, -1);
    sleep_threads(x, 1, &other, -1);
    /* other: old value 0, becomes 5; as 0 > 3 is false, only the first word is woken. */
    TRY("wake_op, condition false", futex(&word, FUTEX_WAKE_OP, 1, (void *)1L, &other,
                                          FUTEX_OP(FUTEX_OP_SET, 5, FUTEX_OP_CMP_GT, 3)));
    VALUE("set", other);
    TRY("wake_op, condition true", futex(&word, FUTEX_WAKE_OP, 1, (void *)1L, &other,
                                         FUTEX_OP(FUTEX_OP_ADD, 2, FUTEX_OP_CMP_EQ, 5)));
    VALUE("added", other);
    VALUE("results 0", join_threads(w, 2) + join_threads(x, 1));
    TRY("or",
        futex(&word, FUTEX_WAKE_OP, 0, NULL, &other, FUTEX_OP(FUTEX_OP_OR, 8, FUTEX_OP_CMP_EQ, 0)));
    TRY("andn", futex(&word, FUTEX_WAKE_OP, 0, NULL, &other,
                      FUTEX_OP(FUTEX_OP_ANDN, 1, FUTEX_OP_CMP_EQ, 0)));
    TRY("xor with shift",
        futex(&word, FUTEX_WAKE_OP, 0, NULL, &other,
              FUTEX_OP((FUTEX_OP_XOR | FUTEX_OP_OPARG_SHIFT), 4, FUTEX_OP_CMP_EQ, 0)));
    VALUE("bits", other);
    TRY("unknown arithmetic", futex(&word, FUTEX_WAKE_OP, 0, NULL, &other, 7 << 28));
    TRY("unknown comparison", futex(&word, FUTEX_WAKE_OP, 0, NULL, &other, (int)(9U << 24)));
    SYS("wake_op nowhere", SYS_futex, &word, FUTEX_WAKE_OP, 0, 0L, BAD_LOW,
        FUTEX_OP(FUTEX_OP_SET, 1, FUTEX_OP_CMP_EQ, 0));
}

static pthread_mutex_t robust;

static void *die_with_lock(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&robust);
    return NULL;
}

static struct {
    struct robust_list_head head;
    struct robust_list entry;
    int word;
} held;

static void *die_raw(void *arg)
{
    (void)arg;
    held.entry.next = &held.head.list;
    held.head.list.next = &held.entry;
    held.head.futex_offset = (char *)&held.word - (char *)&held.entry;
    held.head.list_op_pending = NULL;
    held.word = (int)syscall(SYS_gettid) | (int)FUTEX_WAITERS;
    TRY("set_robust_list", syscall(SYS_set_robust_list, &held.head, sizeof(held.head)));
    syscall(SYS_exit, 0);
    return NULL;
}

static void robustness(void)
{
    pthread_t t;
    pthread_mutexattr_t a;
    void *head = NULL;
    size_t size = 0;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &a);
    NEED(pthread_create(&t, NULL, die_with_lock, NULL) == 0);
    pthread_join(t, NULL);
    say("owner died", "%s", errno_name(pthread_mutex_lock(&robust)));
    VALUE("made consistent", pthread_mutex_consistent(&robust));
    VALUE("unlock", pthread_mutex_unlock(&robust));
    VALUE("lock again", pthread_mutex_lock(&robust));
    NEED(pthread_create(&t, NULL, die_raw, NULL) == 0);
    pthread_join(t, NULL);
    say("word of the dead", "owner died %d waiters %d id %d", !!(held.word & FUTEX_OWNER_DIED),
        !!(held.word & (int)FUTEX_WAITERS), held.word & FUTEX_TID_MASK);
    SYS("get_robust_list", SYS_get_robust_list, 0, &head, &size);
    say("libc has one", "%d of %d bytes", head != NULL, (int)size);
    SYS("get_robust_list of nobody", SYS_get_robust_list, 0x3fffff00, &head, &size);
    SYS("set_robust_list, bad size", SYS_set_robust_list, head, 7L);
    SYS("get_robust_list nowhere", SYS_get_robust_list, 0, BAD_LOW, &size);
}

static struct {
    sem_t ask, answer;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int count;
} * common;

static void in_child(void)
{
    for (int i = 0; i < 100; i++) {
        sem_wait(&common->ask);
        common->count++;
        sem_post(&common->answer);
    }
    pthread_mutex_lock(&common->mutex);
    common->count = 1000;
    pthread_cond_broadcast(&common->cond);
    pthread_mutex_unlock(&common->mutex);
    sem_wait(&common->ask);
    pthread_mutex_lock(&common->mutex);
    _exit(0); /* with the mutex */
}

static void noted(int sig)
{
    woken = sig;
}

/* The words lie in memory that a child shares. */
static void between_processes(void)
{
    common = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    NEED(common != MAP_FAILED);
    pthread_mutexattr_t a;
    pthread_condattr_t c;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&common->mutex, &a);
    pthread_condattr_init(&c);
    pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&common->cond, &c);
    sem_init(&common->ask, 1, 0);
    sem_init(&common->answer, 1, 0);
    pid_t pid = fork();
    if (!pid)
        in_child();
    for (int i = 0; i < 100; i++) {
        sem_post(&common->ask);
        struct timespec limit = in_ms(CLOCK_REALTIME, 20000);
        NEED(sem_timedwait(&common->answer, &limit) == 0);
    }
    VALUE("semaphores", common->count >= 100);
    pthread_mutex_lock(&common->mutex);
    struct timespec limit = in_ms(CLOCK_REALTIME, 20000);
    int err = 0;
    while (common->count < 1000 && !err)
        err = pthread_cond_timedwait(&common->cond, &common->mutex, &limit);
    pthread_mutex_unlock(&common->mutex);
    VALUE("condition", err);
    sem_post(&common->ask);
    waitpid(pid, NULL, 0);
    say("the mutex's owner died", "%s", errno_name(pthread_mutex_lock(&common->mutex)));

    limit = in_ms(CLOCK_REALTIME, 30);
    TRY("semaphore, time out", sem_timedwait(&common->answer, &limit));
    struct timespec relative = {0, 30000000};
    int *shared = &common->count;
    *shared = 5;
    TRY("shared, time out", futex(shared, FUTEX_WAIT, 5, &relative, NULL, 0));
    TRY("shared, other value", futex(shared, FUTEX_WAIT, 4, NULL, NULL, 0));
    TRY("shared, no bits", futex(shared, FUTEX_WAIT_BITSET, 5, NULL, NULL, 0));
    TRY("shared, nobody to wake", futex(shared, FUTEX_WAKE, 1, NULL, NULL, 0));
    TRY("shared, requeue to nowhere", futex(shared, FUTEX_REQUEUE, 1, (void *)1, (int *)8, 0));
    struct sigaction act = {.sa_handler = noted};
    sigaction(SIGALRM, &act, NULL);
    ualarm(30000, 0);
    TRY("shared, interrupted", futex(shared, FUTEX_WAIT_BITSET, 5, NULL, NULL, -1));
    VALUE("handler ran", woken == SIGALRM);
    act.sa_flags = SA_RESTART; /* of no effect on a wait with a time limit */
    sigaction(SIGALRM, &act, NULL);
    relative = (struct timespec){20, 0};
    static int private = 5;
    ualarm(30000, 30000);
    TRY("shared, interrupted within the time", futex(shared, FUTEX_WAIT, 5, &relative, NULL, 0));
    TRY("private, interrupted within the time",
        futex(&private, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 5, &relative, NULL, 0));
    ualarm(0, 0);
    munmap(common, PAGE);
    TRY("shared, unmapped", futex(shared, FUTEX_WAIT, 5, NULL, NULL, 0));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    immediate();
    waking();
    requeueing();
    operations();
    robustness();
    between_processes();
    return 0;
}
