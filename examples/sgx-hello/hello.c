/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Everything an SGX program does, once; prints one line for each step. */
#define _GNU_SOURCE
#include "host.h"
#include <pthread.h>
#include <asm/sgx.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static struct loaded enclave, peer;
static volatile uint32_t stop;
static volatile int alarms, alarms_inside;
static volatile uint64_t fault_address;
static volatile int fault_signal, fault_inside;

static int inside(const ucontext_t *uc)
{
    return uc->uc_mcontext.gregs[REG_RIP] == (greg_t)host_aep &&
           uc->uc_mcontext.gregs[REG_RAX] == SGX_ERESUME;
}

static void on_alarm(int sig, siginfo_t *info, void *context)
{
    alarms++;
    alarms_inside += inside(context);
    if (alarms == 5)
        stop = 1;
}

/* Lets the enclave handle its own exception, with the next SSA frame, then resumes it. */
static void on_fault(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    fault_signal = sig;
    fault_address = (uint64_t)info->si_addr;
    fault_inside = inside(uc);
    if (!fault_inside)
        _exit(99);
    enter((uint64_t)uc->uc_mcontext.gregs[REG_RBX], 0, NULL);
}

static void handle(int sig, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(sig, &sa, NULL);
}

static uint64_t call(uint64_t command, void *argument)
{
    return enter(enclave.base + THREAD0_TCS, command, argument);
}

static void hello(void)
{
    struct hello h = {""};
    call(CMD_HELLO, &h);
    printf("hello: %s\n", h.text);
}

static void identity(void)
{
    struct sgx_targetinfo t;
    call(CMD_TARGET, &t);
    printf("mrenclave: ");
    for (int i = 0; i < 32; i++)
        printf("%02x", t.mrenclave[i]);
    printf("\n");
}

static void page_fault(void)
{
    uint64_t address = enclave.base + HOLE + 123;
    handle(SIGSEGV, on_fault);
    handle(SIGBUS, on_fault);
    uint64_t r = call(CMD_PROBE, &address);
    printf("page fault: signal %d inside %d address %s, enclave saw %ld\n", fault_signal,
           fault_inside, fault_address == enclave.base + HOLE ? "right" : "wrong", (long)r);
    handle(SIGILL, on_fault);
    fault_signal = 0;
    r = call(CMD_SYSCALL, NULL);
    printf("syscall inside: signal %d inside %d, enclave saw %ld\n", fault_signal, fault_inside,
           (long)r);
}

static void signals(void)
{
    struct itimerval timer = {{0, 5000}, {0, 5000}}, off = {0};
    handle(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &timer, NULL);
    call(CMD_SPIN, (void *)&stop);
    setitimer(ITIMER_REAL, &off, NULL);
    printf("signals: %s, inside the enclave: %s\n", alarms >= 5 ? "arrived" : "lost",
           alarms_inside >= 4 ? "yes" : "no");
}

static void growth(void)
{
    uint64_t pages = 100;
    printf("growth: %lu pages\n", call(CMD_GROW, &pages));
}

static void *spinner(void *arg)
{
    enter(enclave.base + THREAD1_TCS, CMD_SPIN, arg);
    return NULL;
}

/* Pages lose W, then become TRIM and go, while another thread is inside: it must be interrupted. */
static void shrink(void)
{
    static volatile uint32_t leave;
    pthread_t t;
    struct accept a = {.offset = HEAP, .pages = 10};
    struct sgx_enclave_restrict_permissions r = {HEAP, 10 * 4096, SGX_SECINFO_R, 0, 0};
    struct sgx_enclave_modify_types m = {HEAP, 10 * 4096, SGX_PT_TRIM, 0, 0};
    struct sgx_enclave_remove_pages d = {HEAP, 10 * 4096, 0}, early = d;
    pthread_create(&t, NULL, spinner, (void *)&leave);
    usleep(20000);
    int e1 = ioctl(enclave.fd, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &r);
    a.flags = SGX_SECINFO_PT(SGX_PT_REG) | SGX_SECINFO_PR | SGX_SECINFO_R;
    uint64_t c1 = call(CMD_ACCEPT, &a);
    int e2 = ioctl(enclave.fd, SGX_IOC_ENCLAVE_MODIFY_TYPES, &m);
    int e3 = ioctl(enclave.fd, SGX_IOC_ENCLAVE_REMOVE_PAGES, &early);
    a.flags = SGX_SECINFO_PT(SGX_PT_TRIM) | SGX_SECINFO_MODIFIED;
    uint64_t c2 = call(CMD_ACCEPT, &a);
    int e4 = ioctl(enclave.fd, SGX_IOC_ENCLAVE_REMOVE_PAGES, &d);
    uint64_t pages = 10;
    uint64_t grown = call(CMD_GROW, &pages);
    leave = 1;
    pthread_join(t, NULL);
    printf("shrink: restrict %d accept %lu, trim %d, early removal %d, accept %lu, removal %d of "
           "%llu bytes, grown again %lu\n",
           e1, c1, e2, e3, c2, e4, d.count, grown);
}

static void *thread(void *arg)
{
    uint64_t times = 100000;
    enter(enclave.base + THREAD1_TCS, CMD_COUNT, &times);
    return arg;
}

static void threads(void)
{
    pthread_t t;
    uint64_t times = 100000, none = 0;
    pthread_create(&t, NULL, thread, NULL);
    call(CMD_COUNT, &times);
    pthread_join(t, NULL);
    printf("threads: %lu\n", call(CMD_COUNT, &none));
}

static void attestation(void)
{
    static struct exchange x;
    uint64_t tcs = peer.base + THREAD0_TCS;
    enter(tcs, CMD_TARGET, &x.target);
    memset(x.data, 0x42, sizeof(x.data));
    call(CMD_REPORT, &x);
    uint64_t genuine = enter(tcs, CMD_VERIFY, &x);
    uint64_t other = call(CMD_VERIFY, &x);
    x.report.report_data[0] ^= 1;
    uint64_t forged = enter(tcs, CMD_VERIFY, &x);
    printf("attestation: genuine %s, not for its maker %s, forged %s\n",
           genuine ? "refused" : "accepted", other ? "yes" : "no", forged ? "refused" : "accepted");
}

static void sealing(const char *path)
{
    struct sealed s = {.iv = "a fixed iv.", .text = "sealed secret"};
    FILE *f = fopen(path, "r");
    if (f && fread(&s, sizeof(s), 1, f) == 1) {
        uint64_t r = call(CMD_UNSEAL, &s);
        printf("unsealed: %s\n", r ? "refused" : s.text);
    } else {
        call(CMD_SEAL, &s);
        f = fopen(path, "w");
        if (!f || fwrite(&s, sizeof(s), 1, f) != 1)
            exit(1);
        printf("sealed\n");
    }
    fclose(f);
}

/* Parent and child are in one enclave. */
static void forking(void)
{
    uint64_t times = 5, none = 0;
    int status;
    uint64_t before = call(CMD_COUNT, &none);
    pid_t child = fork();
    if (child == 0)
        _exit(enter(enclave.base + THREAD1_TCS, CMD_COUNT, &times) == before + 5 ? 0 : 1);
    waitpid(child, &status, 0);
    printf("fork: child %s, parent sees %+ld\n", status ? "failed" : "fine",
           (long)(call(CMD_COUNT, &none) - before));
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 2) {
        fprintf(stderr, "Usage: %s SEALED_FILE\n", argv[0]);
        return 2;
    }
    load_enclave(&enclave, "hello.layout", "hello.sig");
    load_enclave(&peer, "peer.layout", "peer.sig");
    identity();
    hello();
    page_fault();
    signals();
    growth();
    shrink();
    threads();
    attestation();
    sealing(argv[1]);
    forking();
    unload_enclave(&peer);
    unload_enclave(&enclave);
    return 0;
}
