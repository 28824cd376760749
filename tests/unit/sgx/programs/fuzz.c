/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Hostile use of the device: sequences of random ioctls, mappings, accesses and ENCLU with wild
 * operands, outside and inside, by two threads and their children, under a timer's signals. Faults
 * are survived by longjmp; the only failure is that a process dies or hangs.
 * fuzz SEED SEQUENCES
 */
#define _GNU_SOURCE
#include <asm/sgx.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "host.h"

static __thread sigjmp_buf recover;
static __thread uint64_t state;
static volatile int finished;
static uint8_t *memory; /* 64 readable pages */
static uint64_t base;   /* where enclaves are tried */
static int fds[4];
static struct loaded real; /* an initialised enclave */

/* The stack pointer with which this thread's ENCLU under way was executed; 0: none. */
__thread uint64_t entered;

/*
 * ENCLU as a function: an enclave gives no register back but its result in RSI, and it leaves on
 * the stack of whoever entered it. A frame that is resumed much later, by another thread or by a
 * child, leaves on a stack that is no longer: that must not run this program's code, and is a fault
 * (UD2) here.
 *   enter_known(tcs, command, argument)
 *   enclu_wild(leaf, rbx, rcx, rdx, rdi, rsi)
 */
uint64_t enter_known(uint64_t tcs, uint64_t command, void *argument);
uint64_t enclu_wild(uint64_t leaf, uint64_t b, uint64_t c, uint64_t d, uint64_t di, uint64_t si);
__asm__(".macro save\n"
        "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
        "mov %rsp, %fs:entered@tpoff\n"
        ".endm\n"
        ".macro leave_checked\n"
        "cmp %rsp, %fs:entered@tpoff\n"
        "jne 9f\n"
        "movq $0, %fs:entered@tpoff\n"
        "mov %rsi, %rax\n"
        "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
        "ret\n"
        "9: ud2\n"
        ".endm\n"
        "enter_known:\n"
        "save\n"
        "mov %rdi, %rbx\n mov %rsi, %rdi\n mov %rdx, %rsi\n"
        "lea host_aep(%rip), %rcx\n"
        "mov $2, %eax\n"
        ".byte 0x0f, 0x01, 0xd7\n"
        "leave_checked\n"
        "enclu_wild:\n"
        "save\n"
        "mov %rdi, %rax\n mov %rsi, %rbx\n xchg %rdx, %rcx\n"
        "mov %r8, %rdi\n mov %r9, %rsi\n"
        ".byte 0x0f, 0x01, 0xd7\n"
        "leave_checked\n");

static uint64_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void on_signal(int sig)
{
    entered = 0;
    siglongjmp(recover, sig);
}

static void on_tick(int sig)
{
    (void)sig;
}

static uint64_t somewhere(void)
{
    return rnd() % 2 ? base + (rnd() % 64) * 4096 : real.base + (rnd() % 256) * 4096;
}

static uint64_t address(void)
{
    switch (rnd() % 8) {
    case 0:
        return rnd();
    case 1:
        return 0;
    case 2:
        return UINT64_MAX - rnd() % 8192;
    case 3:
    case 4:
        return (uint64_t)memory + (rnd() % 64) * 4096 + (rnd() % 4 ? 0 : rnd() % 4096);
    default:
        return somewhere() + (rnd() % 8 ? 0 : rnd() % 4096);
    }
}

static uint64_t small(void)
{
    return rnd() % 3 ? (rnd() % 40) * 4096 : rnd() >> rnd() % 64;
}

static void fill(void)
{
    struct sgx_secs *secs = (struct sgx_secs *)memory;
    memset(secs, 0, sizeof(*secs));
    secs->size = 1ULL << (12 + rnd() % 8);
    secs->base = rnd() % 4 ? base : address();
    secs->ssa_frame_size = (uint32_t)(rnd() % 3);
    secs->attributes.flags = 4 | (rnd() % 4 ? 0 : rnd());
    secs->attributes.xfrm = rnd() % 4 ? 3 : rnd() % 0x300;
    struct sgx_secinfo *secinfo = (struct sgx_secinfo *)(memory + 4096);
    memset(secinfo, 0, sizeof(*secinfo));
    secinfo->flags = rnd() % 2 ? 0x203 : rnd() % 2 ? 0x100 : rnd() % 0x800;
}

static void one_ioctl(int fd)
{
    union {
        struct sgx_enclave_create create;
        struct sgx_enclave_add_pages add;
        struct sgx_enclave_init init;
        struct sgx_enclave_provision provision;
        struct sgx_enclave_restrict_permissions restrict_;
        struct sgx_enclave_modify_types types;
        struct sgx_enclave_remove_pages remove;
    } q;
    memset(&q, 0, sizeof(q));
    fill();
    switch (rnd() % 9) {
    case 0:
        q.create.src = rnd() % 4 ? (uint64_t)memory : address();
        ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &q);
        break;
    case 1:
    case 2:
        q.add = (struct sgx_enclave_add_pages){
            rnd() % 4 ? (uint64_t)memory + 8192 : address(), small(),   small(),
            rnd() % 4 ? (uint64_t)memory + 4096 : address(), rnd() % 4, 0};
        ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &q);
        break;
    case 3:
        q.init.sigstruct = address();
        ioctl(fd, SGX_IOC_ENCLAVE_INIT, &q);
        break;
    case 4:
        q.provision.fd = rnd() % 8;
        ioctl(fd, SGX_IOC_ENCLAVE_PROVISION, &q);
        break;
    case 5:
        q.restrict_ = (struct sgx_enclave_restrict_permissions){small(), small(), rnd() % 16, 0, 0};
        ioctl(fd, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &q);
        break;
    case 6:
        q.types = (struct sgx_enclave_modify_types){small(), small(), rnd() % 8, 0, 0};
        ioctl(fd, SGX_IOC_ENCLAVE_MODIFY_TYPES, &q);
        break;
    case 7:
        q.remove = (struct sgx_enclave_remove_pages){small(), small(), 0};
        ioctl(fd, SGX_IOC_ENCLAVE_REMOVE_PAGES, &q);
        break;
    default:
        ioctl(fd, 0xa400 | rnd() % 64 | (rnd() & 0xffff0000), address());
        break;
    }
}

static void one_mapping(int fd)
{
    const uint64_t at = somewhere(), len = (1 + rnd() % 32) * 4096;
    void *p;
    switch (rnd() % 5) {
    case 0:
        mmap((void *)at, len, (int)(rnd() % 8), MAP_SHARED | MAP_FIXED, fd, 0);
        break;
    case 1:
        p = mmap((void *)at, len, (int)(rnd() % 8), (rnd() % 2 ? MAP_PRIVATE : MAP_SHARED), fd, 0);
        if (p != MAP_FAILED && p != (void *)at) /* each would keep an enclave */
            munmap(p, len);
        break;
    case 2:
        mprotect((void *)at, len, (int)(rnd() % 8));
        break;
    case 3:
        munmap((void *)at, len);
        break;
    default:
        mremap((void *)at, len, len * (1 + rnd() % 2), (int)(rnd() % 2));
        break;
    }
}

static void one_enclu(void)
{
    static const uint8_t commands[] = {CMD_HELLO, CMD_PROBE, CMD_SYSCALL, CMD_NOTHING};
    const uint64_t leaf = rnd() % 12, b = address(), c = address(), d = address();
    enclu_wild(leaf, b, c, d, commands[rnd() % sizeof(commands)], address());
}

/* The same from inside the enclave, as far as it still can be entered. */
static void one_inside(void)
{
    uint64_t r[4] = {rnd() % 12, address(), address(), address()};
    const uint64_t tcs = real.base + (rnd() % 2 ? THREAD0_TCS : THREAD1_TCS);
    switch (rnd() % 3) {
    case 0:
        enter_known(tcs, CMD_ENCLU, r);
        break;
    case 1:
        r[0] = rnd() % 2 ? real.base + HEAP + (rnd() % 128) * 4096 : address();
        enter_known(tcs, CMD_PROBE, r);
        break;
    default:
        r[0] = 1 + rnd() % 20;
        enter_known(tcs, CMD_GROW, r);
        break;
    }
}

static void reopen(int slot)
{
    if (fds[slot] >= 0)
        close(fds[slot]);
    fds[slot] = open(rnd() % 8 ? "/dev/sgx_enclave" : "/dev/sgx_provision", O_RDWR);
}

static void step(void)
{
    int fd = fds[rnd() % 4];
    switch (rnd() % 12) {
    case 0:
    case 1:
        one_mapping(fd);
        break;
    case 2:
    case 3:
        one_enclu();
        break;
    case 4:
        *(volatile uint8_t *)somewhere(); /* hardware would drop a write */
        break;
    case 5:
    case 6:
        one_inside();
        break;
    default:
        one_ioctl(fd);
        break;
    }
}

static void sequence(void)
{
    volatile int left = 2 + (int)(rnd() % 6);
    sigsetjmp(recover, 1);
    while (left > 0) {
        left--;
        step();
    }
}

/* Children in the middle of it, some with children of their own. */
static void family(int depth)
{
    pid_t children[4];
    int status = 0, n = 1 + (int)(rnd() % 4);
    for (int i = 0; i < n; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            alarm(60);
            state += (uint64_t)i * 7919;
            for (int k = 0; k < 4; k++)
                sequence();
            if (depth > 0 && rnd() % 2)
                family(depth - 1);
            _exit(0);
        }
    }
    for (int i = 0; i < n; i++) {
        if (children[i] > 0 && (waitpid(children[i], &status, 0) != children[i] || status != 0)) {
            fprintf(stderr, "a child ended with status %#x\n", status);
            _exit(1);
        }
    }
}

/* Far from where the C library's own memory is, which must not be unmapped. */
static void load(void)
{
    static uint64_t next = 0x300000000000ULL;
    real = (struct loaded){.base = next};
    load_enclave(&real, "hello.layout", "hello.sig");
    next += 16 << 20;
}

/* A report written over the enclave's own stack may leave any stack pointer behind. */
static void own_stack(void)
{
    stack_t ss = {.ss_size = 1 << 16};
    ss.ss_sp = malloc(ss.ss_size);
    sigaltstack(&ss, NULL);
}

static void start_ticks(void)
{
    timer_t timer;
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    struct itimerspec every = {{0, 300000}, {0, 300000}};
    ev._sigev_un._tid = gettid();
    timer_create(CLOCK_MONOTONIC, &ev, &timer);
    timer_settime(timer, 0, &every, NULL);
}

static void *second(void *seed)
{
    state = (uint64_t)seed;
    own_stack();
    start_ticks();
    while (!finished)
        sequence();
    return NULL;
}

int main(int argc, char **argv)
{
    static const int caught[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    const long count = argc > 2 ? atol(argv[2]) : 10000;
    struct sigaction tick = {.sa_handler = on_tick, .sa_flags = SA_RESTART | SA_ONSTACK};
    struct sigaction fault = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    pthread_t other;
    state = argc > 1 ? strtoull(argv[1], NULL, 0) * 2654435761u + 88172645463325252ULL : 1;
    memory = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    base = 0x200000000000ULL;
    for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
        sigaction(caught[i], &fault, NULL);
    own_stack();
    sigaction(SIGUSR1, &tick, NULL);
    load();
    fds[0] = real.fd;
    for (int i = 1; i < 4; i++) {
        fds[i] = -1;
        reopen(i);
    }
    pthread_create(&other, NULL, second, (void *)rnd());
    start_ticks();
    for (volatile long done = 0; done < count; done++) {
        if (rnd() % 32 == 0)
            reopen(1 + (int)(rnd() % 3));
        if (done % 512 == 511) { /* the other thread may be inside */
            struct loaded old = real;
            load();
            fds[0] = real.fd;
            if (rnd() % 32)
                unload_enclave(&old);
        }
        if (rnd() % 2048 == 0)
            family(2);
        sequence();
    }
    finished = 1;
    pthread_join(other, NULL);
    printf("survived %ld sequences\n", count);
    return 0;
}
