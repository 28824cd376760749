/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Sequences of system calls. The input is a host fault (3 bytes) and then calls and stores into the
 * application's memory; arguments are built from kinds (enum kind), so that most of them are nearly
 * right. The mock host and the sanitizers are the judges: no touch of guarded memory, no descriptor
 * that is not held, no overflow, no lock left behind.
 *
 * With clang a libFuzzer target; otherwise a program that makes its own inputs:
 *   libos_fuzz CALLS [SEED]     fails also when a call that has a handler was never made
 */
#include "libos/entry/syscall.h"
#include "libos/process.h"
#include "libos/trace/trace.h"
#include "platform/test/world.h"
#include <asm/unistd.h>

#define ARENA_SIZE (8 * PAGE_SIZE)
#define PATHS      64 /* bytes each, from the start of the arena */

int printf(const char *format, ...);
unsigned long strtoul(const char *s, char **end, int base);
extern struct _IO_FILE *stdout;
int fflush(struct _IO_FILE *f);

#define NUMBERS 460

struct input {
    const uint8_t *p;
    size_t n;
};

static char *arena;
static long results[8];
static unsigned long calls_made, made[NUMBERS];

static uint8_t byte(struct input *in)
{
    if (!in->n)
        return 0;
    in->n--;
    return *in->p++;
}

static uint16_t word(struct input *in)
{
    uint16_t lo = byte(in);
    return (uint16_t)(lo | byte(in) << 8);
}

static const char *const path_texts[] = {
    "/program",
    "/f",
    "/enc/a",
    "/enc/b",
    "/tmp/a",
    "/tmp/d",
    "/tmp/d/x",
    "/d",
    "/d/x",
    "/tmp/../enc/a",
    "a/../../f",
    "/proc/self/maps",
    ".",
    "/dev/null",
    "",
    "/sys",
    "/proc/self/fd/3",
    "/dev/zero",
    "/dev/shm/x",
    "/proc/self/exe",
    "/enc",
    "/tmp/l",
    "/l",
    "/dev/attestation/keys/default",
};

static const long edges[] = {0,
                             1,
                             -1,
                             INT32_MAX,
                             INT32_MIN,
                             UINT32_MAX,
                             INT64_MAX,
                             INT64_MIN,
                             4095,
                             4096,
                             4097,
                             0x7ffff000,
                             0x100000000,
                             0x7fffffffffff,
                             0x7ffffffff000,
                             8,
                             16,
                             -100,
                             (long)MOCK_WINDOW,
                             0xffff,
                             0x10000,
                             65537,
                             1L << 40,
                             64};

static void arena_make(void)
{
    arena = world_memory(ARENA_SIZE);
    if (!arena)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(path_texts); i++)
        memcpy(arena + i * PATHS, path_texts[i], strlen(path_texts[i]) + 1);
    /* iovecs, the third of them not the application's */
    uint64_t *v = (uint64_t *)(arena + PAGE_SIZE);
    for (size_t i = 0; i < 8; i++) {
        v[2 * i] = i == 2 ? MOCK_GUARDED : (uintptr_t)arena + (i + 2) * 512;
        v[2 * i + 1] = 100 * i;
    }
}

static long argument(struct input *in)
{
    switch (byte(in) % 14) {
    case 0:
    case 1:
        return byte(in);
    case 2:
        return results[byte(in) % 8];
    case 3:
        return (long)arena + word(in) % ARENA_SIZE;
    case 4:
        return (long)arena + (long)ARENA_SIZE - byte(in);
    case 5:
        return (long)(MOCK_GUARDED + word(in));
    case 6:
        return (long)(MOCK_GUARDED - byte(in));
    case 7:
        return (long)(MOCK_WINDOW + (32UL << 30)) + word(in);
    case 8:
        return edges[byte(in) % ARRAY_SIZE(edges)];
    case 9:
        return (long)arena + (long)(byte(in) % ARRAY_SIZE(path_texts) * PATHS);
    case 10:
        return (long)arena + (long)(byte(in) % 16 * PAGE_SIZE);
    case 11:
        return (long)word(in);
    case 12:
        return (long)(1UL << (byte(in) & 63));
    default:
        return 0;
    }
}

/* An argument that gets past the first checks, so that what is done with the call's pointers is
 * seen. */
static long fitting_argument(struct input *in, enum argument_kind kind)
{
    uint8_t choice = byte(in);
    if (kind == A_FD || kind == A_DIRFD)
        return choice & 8 ? results[choice & 7] : choice & 7;
    if (kind == A_PATH)
        return choice % 4 ? (long)arena + choice % (long)ARRAY_SIZE(path_texts) * PATHS
                          : (long)MOCK_GUARDED;
    if (kind > A_PATH)
        return choice % 4 ? (long)arena + choice % 16 * PAGE_SIZE : (long)MOCK_GUARDED;
    return kind == A_SIZE || choice & 1 ? choice : 0;
}

static void store(struct input *in)
{
    uint64_t value = byte(in) & 1 ? (uint64_t)argument(in) : word(in);
    mock_uaccess_copy(arena + word(in) % ARENA_SIZE, &value, 1u << (byte(in) & 3));
}

/* With its line of the trace put together, as far as that reads the application's memory. */
static long traced_call(unsigned nr, const long a[6])
{
    static struct trace_call c;
    c.nr = nr;
    c.name = syscall_name(nr);
    memcpy(c.arg, a, sizeof(c.arg));
    trace_before(&c);
    long ret = world_call((long)nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    trace_after(&c, ret);
    return ret;
}

static void sequence(void *arg)
{
    struct input *in = arg;
    for (int i = 0; in->n && i < 100; i++) {
        unsigned nr = word(in) % NUMBERS;
        uint8_t what = byte(in) % 16;
        if (what < 2) {
            store(in);
            continue;
        }
        if (what == 2)
            work_set(current(), WORK_TIMER); /* the alarm clock rings */
        const uint8_t *kinds = byte(in) & 1 ? syscall_arguments(nr) : NULL;
        long a[6];
        for (int j = 0; j < 6; j++)
            a[j] = kinds ? fitting_argument(in, kinds[j]) : argument(in);
        calls_made++;
        made[nr]++;
        results[i % 8] = traced_call(nr, a);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    world_start();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const long errors[] = {ENOSPC, EIO, EMFILE, ENOMEM, EINTR, EAGAIN, EACCES, ENOENT};
    struct input in = {data, size};
    int value;
    mock_catch_faults();
    mock_inject(MOCK_NONE, 0, 0, false);
    mock_seed(1);
    arena_make();
    if (!arena)
        mock_violation("no memory for the application", -1);
    uint8_t what = byte(&in);
    if (what < 64)
        mock_inject(what & 8 ? MOCK_SHORT : MOCK_ERRNO, errors[what & 7], 1 + byte(&in), what & 16);
    thread_regs(current())->rsp = (uintptr_t)arena + ARENA_SIZE;
    mock_enter(sequence, &in, &value);
    mock_inject(MOCK_NONE, 0, 0, false);
    world_reset();
    mock_check_guarded();
    return 0;
}

#ifdef FUZZ_STANDALONE
/* Calls that programs make, more often than the rest. */
static const uint16_t common[] = {
    __NR_open,       __NR_read,   __NR_write,        __NR_close,         __NR_mmap,
    __NR_munmap,     __NR_mremap, __NR_mprotect,     __NR_pread64,       __NR_pwrite64,
    __NR_readv,      __NR_writev, __NR_lseek,        __NR_dup2,          __NR_fcntl,
    __NR_getdents64, __NR_rename, __NR_unlink,       __NR_symlink,       __NR_ftruncate,
    __NR_fallocate,  __NR_pipe2,  __NR_epoll_ctl,    __NR_epoll_create1, __NR_epoll_wait,
    __NR_poll,       __NR_futex,  __NR_rt_sigaction, __NR_tgkill,        __NR_eventfd2,
    __NR_openat,     __NR_statx,  __NR_readlink,     __NR_sendfile,      __NR_copy_file_range,
    __NR_execve,     __NR_brk,    __NR_mkdir,        __NR_chdir,         __NR_rt_sigreturn,
    __NR_socketpair, __NR_sendto, __NR_recvfrom,     __NR_sendmsg,       __NR_recvmsg,
    __NR_shutdown,   __NR_ioctl,  __NR_setsockopt,   __NR_getsockopt,    __NR_fstat};
static const uint16_t timed[] = {__NR_timerfd_create, __NR_timerfd_settime, __NR_timer_create,
                                 __NR_timer_settime,  __NR_timer_delete,    __NR_signalfd4};

static uint64_t seed = 88172645463325252UL;

static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

/* A sequence that ends within a call (a thread that waits for ever, the end of the process) leaves
 * what the call held. The unit tests look for leaks. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* How many calls have a handler, and how many of them were made less often than `least` times. */
static unsigned neglected(unsigned long least, unsigned *handlers)
{
    unsigned n = 0;
    *handlers = 0;
    for (unsigned nr = 0; nr < NUMBERS; nr++) {
        if (!syscall_handler(nr))
            continue;
        ++*handlers;
        if (made[nr] >= least)
            continue;
        printf("%s was made %lu times only\n", syscall_name(nr), made[nr]);
        n++;
    }
    return n;
}

int main(int argc, char **argv)
{
    unsigned long wanted = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000, inputs = 0;
    unsigned long start = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    unsigned handlers;
    seed ^= start * 0x9e3779b97f4a7c15UL;
    printf("seed %lu\n", start);
    fflush(stdout);
    LLVMFuzzerInitialize(NULL, NULL);
    for (; calls_made < wanted; inputs++) {
        uint8_t in[1024];
        for (size_t i = 0; i < sizeof(in); i++)
            in[i] = (uint8_t)(next() >> 24);
        /* Lengths of steps vary, so the numbers land only sometimes where calls are read. */
        for (size_t i = 2; i + 1 < sizeof(in); i += 15) {
            uint16_t nr = next() % 8 ? common[next() % ARRAY_SIZE(common)]
                                     : timed[next() % ARRAY_SIZE(timed)];
            memcpy(in + i, &nr, 2);
        }
        LLVMFuzzerTestOneInput(in, sizeof(in));
    }
    unsigned few = neglected(wanted / 10000, &handlers);
    printf("%lu inputs, %lu calls, %u handlers\n", inputs, calls_made, handlers);
    world_finish();
    return few != 0;
}
#endif
