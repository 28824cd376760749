/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Threads: pthreads, raw clone and clone3, thread ids, CLEARTID. */
#include "check.h"
#include <linux/futex.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sys/prctl.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long counter, turn;
static __thread long own = 5;

static void *count(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        pthread_mutex_lock(&lock);
        counter++;
        pthread_mutex_unlock(&lock);
        own++;
    }
    return (void *)(own + (long)arg);
}

static void *ping_pong(void *arg)
{
    long me = (long)arg;
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&lock);
        while (turn % 2 != me)
            pthread_cond_wait(&changed, &lock);
        turn++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void *identity(void *arg)
{
    long *out = arg;
    out[0] = syscall(SYS_gettid);
    out[1] = getpid();
    out[2] = getppid();
    return NULL;
}

static void library(void)
{
    pthread_t t[16];
    void *r;
    long sum = 0, ids[3];
    for (long i = 0; i < 16; i++)
        NEED(pthread_create(&t[i], NULL, count, (void *)i) == 0);
    for (int i = 0; i < 16; i++) {
        pthread_join(t[i], &r);
        sum += (long)r;
    }
    VALUE("counted", counter);
    VALUE("thread-local results", sum);
    VALUE("own copy untouched", own);
    for (long i = 0; i < 2; i++)
        NEED(pthread_create(&t[i], NULL, ping_pong, (void *)i) == 0);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    VALUE("turns", turn);
    NEED(pthread_create(t, NULL, identity, ids) == 0);
    pthread_join(*t, NULL);
    CHECK("gettid of main is getpid", syscall(SYS_gettid) == getpid());
    CHECK("thread has its own id", ids[0] != ids[1] && ids[0] > 0);
    CHECK("thread has our pid and parent", ids[1] == getpid() && ids[2] == getppid());
    struct timespec t1;
    clock_gettime(CLOCK_REALTIME, &t1);
    t1.tv_nsec += 20000000;
    t1.tv_sec += t1.tv_nsec / 1000000000;
    t1.tv_nsec %= 1000000000;
    pthread_mutex_lock(&lock);
    say("timed wait", "%s", errno_name(pthread_cond_timedwait(&changed, &lock, &t1)));
    pthread_mutex_unlock(&lock);
    long fine = 0;
    for (int i = 0; i < 300; i++) {
        if (pthread_create(t, NULL, identity, ids) == 0 && pthread_join(*t, NULL) == 0)
            fine++;
    }
    VALUE("created and joined one by one", fine);
}

static void *canceled(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return NULL;
}

static pthread_barrier_t barrier;

static void *wait_there(void *arg)
{
    (void)arg;
    return (void *)(long)(pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD);
}

static void more_library(void)
{
    pthread_t t[8];
    void *r;
    long serial = 0;
    NEED(pthread_create(t, NULL, canceled, NULL) == 0);
    VALUE("cancel", pthread_cancel(*t));
    pthread_join(*t, &r);
    CHECK("was cancelled", r == PTHREAD_CANCELED);
    pthread_barrier_init(&barrier, NULL, 8);
    for (int i = 0; i < 8; i++)
        NEED(pthread_create(&t[i], NULL, wait_there, NULL) == 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], &r);
        serial += (long)r;
    }
    VALUE("one serial thread", serial);
}

/*
 * A thread without libc: starts on the given stack, runs fn(arg) there and ends with SYS_exit.
 * nr is SYS_clone or SYS_clone3 and a..e its arguments. Returns the result in the parent.
 */
static long raw_thread(long nr, long a, long b, long c, long d, long e, long fn, long arg)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r12 __asm__("r12") = fn;
    register long r13 __asm__("r13") = arg;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "and $-16, %%rsp\n\t"
                     "mov %%r13, %%rdi\n\t"
                     "call *%%r12\n\t"
                     "mov %%eax, %%edi\n\t"
                     "mov $60, %%eax\n\t"
                     "syscall\n"
                     "1:"
                     : "=a"(ret)
                     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r12), "r"(r13)
                     : "rcx", "r11", "memory");
    return ret;
}

struct shared {
    volatile int parent_tid, child_tid, clear_tid, ran, tid;
    volatile int futex;
};

/* Runs without thread-local storage of its own: no libc here. */
static long body(struct shared *s)
{
    long tid;
    __asm__ volatile("syscall" : "=a"(tid) : "0"((long)SYS_gettid) : "rcx", "r11", "memory");
    s->tid = (int)tid;
    s->ran = 1;
    return 0;
}

static void wait_clear(volatile int *word)
{
    int v;
    struct timespec limit = {10, 0};
    while ((v = *word) != 0)
        if (syscall(SYS_futex, word, FUTEX_WAIT, v, &limit, NULL, 0) != 0 && errno == ETIMEDOUT)
            break;
}

static const long THREAD =
    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

static void raw(void)
{
    static struct shared s, s3;
    char *stack = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    s.clear_tid = 1;
    long tid = raw_thread(SYS_clone,
                          THREAD | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
                          (long)(stack + 64 * PAGE), (long)&s.parent_tid, (long)&s.clear_tid, 0,
                          (long)body, (long)&s);
    CHECK("clone", tid > 0);
    wait_clear(&s.clear_tid);
    VALUE("id cleared", s.clear_tid);
    VALUE("ran", s.ran);
    CHECK("ids agree", s.parent_tid == tid && s.tid == tid && tid != getpid());
    struct clone_args a = {
        .flags = (uint64_t)THREAD | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
        .parent_tid = (uintptr_t)&s3.parent_tid,
        .child_tid = (uintptr_t)&s3.clear_tid,
        .stack = (uintptr_t)stack,
        .stack_size = 64 * PAGE,
    };
    s3.clear_tid = 1;
    tid = raw_thread(SYS_clone3, (long)&a, sizeof(a), 0, 0, 0, (long)body, (long)&s3);
    CHECK("clone3", tid > 0);
    wait_clear(&s3.clear_tid);
    CHECK("clone3 ids agree", s3.ran == 1 && s3.parent_tid == tid && s3.tid == tid);
    /* Without CLONE_VM the child is a process: its exit code is ours to see. */
    memset(&a, 0, sizeof(a));
    a.exit_signal = SIGCHLD;
    tid = syscall(SYS_clone3, &a, sizeof(a));
    if (tid == 0)
        _exit(17);
    int status;
    CHECK("clone3 process", waitpid((pid_t)tid, &status, 0) == tid);
    show_status("its status", status);
}

static void errors(void)
{
    struct clone_args a = {.flags = CLONE_THREAD};
    SYS("CLONE_THREAD alone", SYS_clone, (long)CLONE_THREAD, 0L, 0L, 0L, 0L);
    SYS("CLONE_SIGHAND alone", SYS_clone, (long)CLONE_SIGHAND, 0L, 0L, 0L, 0L);
    SYS("CLONE_THREAD without CLONE_VM", SYS_clone, (long)(CLONE_THREAD | CLONE_SIGHAND), 0L, 0L,
        0L, 0L);
    SYS("clone3 thread alone", SYS_clone3, &a, sizeof(a));
    a.flags = 1ULL << 60;
    SYS("clone3 unknown flag", SYS_clone3, &a, sizeof(a));
    a.flags = 0;
    a.exit_signal = 1000;
    SYS("clone3 bad exit signal", SYS_clone3, &a, sizeof(a));
    a.exit_signal = SIGCHLD;
    a.stack_size = PAGE;
    SYS("clone3 stack size without stack", SYS_clone3, &a, sizeof(a));
    SYS("clone3 too small", SYS_clone3, &a, 8L);
    SYS("clone3 nowhere", SYS_clone3, BAD_LOW, sizeof(a));
    char big[256] = {0};
    big[200] = 1;
    SYS("clone3 unknown fields", SYS_clone3, big, sizeof(big));
    static int word;
    CHECK("set_tid_address returns the id", syscall(SYS_set_tid_address, &word) == getpid());
}

static void *rename_self(void *arg)
{
    prctl(PR_SET_NAME, "worker");
    prctl(PR_GET_NAME, arg);
    return NULL;
}

static void *exit_all(void *arg)
{
    (void)arg;
    _exit(33);
}

static void *exit_one(void *arg)
{
    (void)arg;
    syscall(SYS_exit, 44);
    return NULL;
}

static void ends(void)
{
    char name[16] = "", mine[16];
    pthread_t t;
    int status;
    prctl(PR_SET_NAME, "main-name");
    NEED(pthread_create(&t, NULL, rename_self, name) == 0);
    pthread_join(t, NULL);
    prctl(PR_GET_NAME, mine);
    say("names", "%s %s", name, mine);
    pid_t child = fork();
    if (child == 0) {
        pthread_create(&t, NULL, exit_all, NULL);
        for (;;)
            pause();
    }
    waitpid(child, &status, 0);
    show_status("exit_group from a thread", status);
    child = fork();
    if (child == 0) {
        pthread_create(&t, NULL, exit_one, NULL);
        sleep_ms(30);
        _exit(7);
    }
    waitpid(child, &status, 0);
    show_status("exit of one thread", status);
    child = fork();
    if (child == 0) {
        pthread_create(&t, NULL, canceled, NULL);
        pthread_create(&t, NULL, exit_all, NULL);
        pthread_exit(NULL);
    }
    waitpid(child, &status, 0);
    show_status("main thread ends first", status);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    library();
    more_library();
    raw();
    errors();
    ends();
    return 0;
}
