/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the device costs; one number for each name on the command line:
 *
 *   enter        EENTER and EEXIT, ns
 *   report, key  EREPORT, EGETKEY inside, ns
 *   aex          entry, #UD and AEX, a handler that enters on the next frame, ERESUME, exit, ns
 *   compute      pure computation inside, ns; outside: the same in the program
 *   build        1 GiB of pages of which 32 MiB are measured, ECREATE to EINIT, ms
 *   measured     1 GiB, all measured, ms
 *   hash         as much as `measured` hashes, ms
 *   elrange      1 TiB of ELRANGE: ECREATE, EINIT, mapping, growth by 100 pages, ms
 *   elrange-mib  the memory which that takes
 *   syscall      getppid, ns
 *
 * Times of a moment are the least of many rounds: the machine may have other work to do.
 */
#define _GNU_SOURCE
#include "host.h"
#include "sgx/key.h"
#include "sgx/layout.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define GIB    (1ULL << 30)
#define ROUNDS 50

static struct loaded e;
static struct sgx_layout layout;
static struct sgx_sigstruct sig __attribute__((aligned(4096)));

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t call(uint64_t command, void *argument)
{
    return enter(e.base + THREAD0_TCS, command, argument);
}

/* Least time of one of `times` operations that run() does. */
static double least(void (*run)(uint64_t times), uint64_t times)
{
    double best = 1e18;
    run(times / 10 + 1);
    for (int i = 0; i < ROUNDS; i++) {
        double start = now(CLOCK_MONOTONIC);
        run(times);
        double t = (now(CLOCK_MONOTONIC) - start) / (double)times;
        best = t < best ? t : best;
    }
    return best;
}

static void run_enter(uint64_t times)
{
    while (times--)
        call(CMD_NOTHING, NULL);
}

static void run_report(uint64_t times)
{
    struct leaves l = {SGX_EREPORT, times};
    call(CMD_LEAVES, &l);
}

static void run_key(uint64_t times)
{
    struct leaves l = {SGX_EGETKEY, times};
    if (call(CMD_LEAVES, &l))
        exit(1);
}

static void run_compute(uint64_t times)
{
    call(CMD_COMPUTE, &times);
}

static void run_outside(uint64_t times)
{
    volatile uint64_t sum = compute(times);
    (void)sum;
}

static void run_syscall(uint64_t times)
{
    while (times--)
        syscall(SYS_getppid);
}

/* The enclave's own handler, on the next SSA frame; then the return from here resumes. */
static void on_exception(int number, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    enter((uint64_t)uc->uc_mcontext.gregs[REG_RBX], 0, NULL);
}

static void run_exception(uint64_t times)
{
    struct sigaction sa = {.sa_sigaction = on_exception, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &sa, NULL);
    while (times--)
        call(CMD_SYSCALL, NULL);
}

static void sign(void)
{
    struct sgx_key *key;
    char err[512];
    if (sgx_key_read("key.pem", NULL, &key, err, sizeof(err))) {
        fprintf(stderr, "%s\n", err);
        exit(1);
    }
    sgx_layout_sigstruct(&layout, &sig);
    if (sgx_key_sign(key, &sig, err, sizeof(err)))
        exit(1);
    sgx_key_free(key);
}

static void read_layout(uint64_t size)
{
    char err[512];
    if (sgx_layout_read("hello.layout", &layout, err, sizeof(err)))
        exit(1);
    layout.size = size;
}

/* hello's enclave with two areas behind it: measured pages with content, and plain ones. */
static double build(uint64_t measured, uint64_t plain)
{
    read_layout(2 * GIB);
    uint64_t offset = HEAP_END;
    if (measured) {
        uint8_t *data = malloc(measured);
        if (!data)
            exit(1);
        for (uint64_t i = 0; i < measured / 8; i++)
            ((uint64_t *)data)[i] = i * 0x9e3779b97f4a7c15ULL;
        const struct sgx_layout_area area = {.offset = offset,
                                             .pages = measured / 4096,
                                             .flags = SGX_SECINFO_PT(SGX_PT_REG) | 7,
                                             .measured = true,
                                             .data = data,
                                             .data_len = measured};
        if (sgx_layout_add(&layout, &area))
            exit(1);
        offset += measured;
    }
    const struct sgx_layout_area rest = {
        .offset = offset, .pages = plain / 4096, .flags = SGX_SECINFO_PT(SGX_PT_REG) | 7};
    if (plain && sgx_layout_add(&layout, &rest))
        exit(1);
    sign();
    double best = 1e18;
    for (int i = 0; i < 3; i++) {
        struct loaded big = {0};
        build_enclave(&big, &layout, &sig);
        best = big.build_ms < best ? big.build_ms : best;
        unload_enclave(&big);
    }
    return best;
}

/* The hash of 1 GiB's measurement, and nothing else. */
static double hash(void)
{
    static uint8_t stream[16 * 320];
    struct sgx_measure m;
    crypto_init(0);
    sgx_measure_create(&m, 1, GIB);
    double start = now(CLOCK_MONOTONIC);
    for (uint64_t i = 0; i < GIB / 4096; i++)
        sha256_update(&m.hash, stream, sizeof(stream));
    return (now(CLOCK_MONOTONIC) - start) / 1e6;
}

static double resident_mib(void)
{
    char text[4096] = "";
    int fd = open("/proc/self/status", O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        exit(1);
    close(fd);
    const char *line = strstr(text, "VmRSS:");
    return line ? atof(line + 6) / 1024 : 0;
}

static double elrange(bool memory)
{
    const uint64_t size = 1ULL << 40;
    uint64_t pages = 100;
    struct loaded big = {0}, hello = e;
    read_layout(size);
    sign();
    double before = resident_mib(), start = now(CLOCK_MONOTONIC);
    build_enclave(&big, &layout, &sig);
    if (mmap((void *)(big.base + HEAP), size - HEAP, PROT_READ | PROT_WRITE | PROT_EXEC,
             MAP_SHARED | MAP_FIXED, big.fd, 0) == MAP_FAILED)
        exit(1);
    e = big;
    if (call(CMD_GROW, &pages) != 100)
        exit(1);
    e = hello;
    double ms = (now(CLOCK_MONOTONIC) - start) / 1e6, mib = resident_mib() - before;
    unload_enclave(&big);
    return memory ? mib : ms;
}

static bool one(const char *name)
{
    const char *unit = "ns";
    double value;
    if (!strcmp(name, "outside")) {
        value = least(run_outside, 2000000);
    } else if (!strcmp(name, "hash")) {
        value = hash(), unit = "ms";
    } else if (!strcmp(name, "syscall")) {
        value = least(run_syscall, 20000);
    } else {
        if (!e.size)
            load_enclave(&e, "hello.layout", "hello.sig");
        if (!strcmp(name, "enter"))
            value = least(run_enter, 5000);
        else if (!strcmp(name, "report"))
            value = least(run_report, 1000);
        else if (!strcmp(name, "key"))
            value = least(run_key, 1000);
        else if (!strcmp(name, "compute"))
            value = least(run_compute, 2000000);
        else if (!strcmp(name, "aex"))
            value = least(run_exception, 500);
        else if (!strcmp(name, "build"))
            value = build(32 << 20, GIB - (32 << 20)), unit = "ms";
        else if (!strcmp(name, "measured"))
            value = build(GIB, 0), unit = "ms";
        else if (!strcmp(name, "elrange"))
            value = elrange(false), unit = "ms";
        else if (!strcmp(name, "elrange-mib"))
            value = elrange(true), unit = "MiB";
        else
            return false;
    }
    printf("%s %s %.3f\n", name, unit, value);
    return true;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!one(argv[i])) {
            fprintf(stderr, "%s: no such measurement: %s\n", argv[0], argv[i]);
            return 2;
        }
    }
    return 0;
}
