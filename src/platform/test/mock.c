/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "platform/test/mock.h"
#include "platform/test/mock_calls.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define PATTERN 0x5a

bool mock_lied; /* a false result was given: later misuse is no violation */
uintptr_t mock_map_next = MOCK_WINDOW;
static char scratch[64];

static enum mock_fault fault_kind;
static long fault_value, fault_nth, calls, befell = -1;
static bool fault_onwards;
static mock_spoil_fn *spoiler;
static unsigned interruptions; /* of one injection */

void mock_violation(const char *what, long nr)
{
    fprintf(stderr, "mock host: %s (call %ld)\n", what, nr);
    abort();
}

/* ---- memory ---- */

bool mock_in_window(uintptr_t p, size_t n)
{
    return p >= MOCK_WINDOW && p <= MOCK_WINDOW_END && n <= MOCK_WINDOW_END - p;
}

void mock_memory(const void *p, size_t n, long nr)
{
    uintptr_t a = (uintptr_t)p, end = a + n < a ? UINTPTR_MAX : a + n;
    if (!mock_lied && n && a < MOCK_GUARDED + MOCK_GUARDED_SIZE && end > MOCK_GUARDED)
        mock_violation("memory of the library OS used for the application", nr);
}

void mock_check_guarded(void)
{
    const unsigned char *p = (const unsigned char *)MOCK_GUARDED;
    for (size_t i = 0; i < MOCK_GUARDED_SIZE; i++)
        if (p[i] != PATTERN)
            mock_violation("memory of the library OS was written for the application", -1);
}

void mock_clear_window(void)
{
    munmap((void *)MOCK_WINDOW, MOCK_WINDOW_SIZE);
    mock_map_next = MOCK_WINDOW;
}

static struct sigaction earlier[2];

static void on_fault(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    uintptr_t ip = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
    if (ip >= (uintptr_t)mock_uaccess_begin && ip < (uintptr_t)mock_uaccess_end) {
        uc->uc_mcontext.gregs[REG_RIP] = (greg_t)mock_uaccess_fixup;
        return;
    }
    struct sigaction *old = &earlier[sig == SIGBUS];
    if (old->sa_flags & SA_SIGINFO && old->sa_sigaction)
        old->sa_sigaction(sig, info, context);
    else
        sigaction(sig, old, NULL); /* again, and then as it was before us */
}

void mock_catch_faults(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS};
    struct sigaction act = {.sa_sigaction = on_fault,
                            .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    for (int i = 0; i < 2; i++) {
        struct sigaction old;
        sigaction(signals[i], &act, &old);
        if (old.sa_sigaction != on_fault)
            earlier[i] = old;
    }
}

/*
 * Removes the scratch directory when this process has ended, however it does: killed, by a
 * sanitizer, or by a fuzzer that never returns. No child of it and without a descriptor in it, so
 * that tests of both do not meet it.
 */
static void leave_cleaner(void)
{
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    pid_t child = fork();
    if (child == 0) {
        if (fork())
            _exit(0);
        setsid();
        int null = open("/dev/null", O_RDWR);
        for (int fd = 0; fd < 3; fd++)
            dup2(null, fd);
        struct pollfd ended = {.fd = self, .events = POLLIN};
        while (poll(&ended, 1, -1) < 0 && errno == EINTR)
            ;
        if (chdir("/") == 0)
            execl("/bin/rm", "rm", "-rf", scratch, NULL);
        _exit(1);
    }
    if (self < 0 || child < 0 || waitpid(child, NULL, 0) != child)
        mock_violation("nobody to remove the scratch directory", -1);
    close(self);
}

void mock_init(void)
{
    strcpy(scratch, "/tmp/adyton-test-XXXXXX");
    if (!mkdtemp(scratch) || chdir(scratch))
        mock_violation("no scratch directory", -1);
    leave_cleaner();
    signal(SIGPIPE, SIG_IGN);
    mock_catch_faults();
    void *g = mmap((void *)MOCK_GUARDED, MOCK_GUARDED_SIZE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (g != (void *)MOCK_GUARDED)
        mock_violation("the window is taken", -1);
    memset(g, PATTERN, MOCK_GUARDED_SIZE);
}

void mock_finish(void)
{
    char command[100];
    snprintf(command, sizeof(command), "rm -rf %s", scratch);
    if (chdir("/") || system(command))
        fprintf(stderr, "mock host: %s stays\n", scratch);
}

/* ---- faults ---- */

void mock_inject(enum mock_fault kind, long value, long nth, bool onwards)
{
    interruptions = 0;
    fault_kind = kind;
    fault_value = value;
    fault_nth = nth;
    fault_onwards = onwards;
    calls = 0;
    befell = -1;
    mock_lied = kind == MOCK_LIE || kind == MOCK_LIE_MORE;
}

void mock_spoil(mock_spoil_fn *spoil)
{
    spoiler = spoil;
}

long mock_count(void)
{
    return calls;
}

long mock_befell(void)
{
    return befell;
}

static bool is_transfer(long nr)
{
    switch (nr) {
    case SYS_read:
    case SYS_write:
    case SYS_pread64:
    case SYS_pwrite64:
    case SYS_getdents64:
    case SYS_readlinkat:
    case SYS_getrandom:
        return true;
    }
    return false;
}

static size_t asked(long nr, const long a[6])
{
    return (size_t)(nr == SYS_getrandom ? a[1] : nr == SYS_readlinkat ? a[3] : a[2]);
}

void __sanitizer_print_stack_trace(void);

long mock_call(long nr, const long a[6], bool blocking)
{
    if (nr == SYS_write && a[0] == 2) /* log lines */
        return getenv("MOCK_LOG") ? write(2, (void *)a[1], (size_t)a[2]) : a[2];
    calls++;
    bool hit = fault_kind != MOCK_NONE &&
               (calls == fault_nth || (fault_onwards && calls > fault_nth)) && nr != SYS_exit_group;
    if (!hit) {
        long r = mock_perform(nr, a, blocking);
        return spoiler ? spoiler(nr, a, r) : r;
    }
    befell = nr;
    if (getenv("MOCK_TRACE"))
        __sanitizer_print_stack_trace();
    long args[6];
    memcpy(args, a, sizeof(args));
    switch (fault_kind) {
    case MOCK_ERRNO:
        if (nr == SYS_close)
            mock_perform(nr, a, blocking);
        /* A host that fails every wait keeps its caller waiting for ever. */
        if (blocking && fault_onwards && ++interruptions > 1000)
            mock_leave(MOCK_STUCK, 0);
        return -fault_value;
    case MOCK_SHORT:
        if (is_transfer(nr) && nr != SYS_getrandom && nr != SYS_getdents64 &&
            nr != SYS_readlinkat && args[2] > fault_value)
            args[2] = fault_value;
        return mock_perform(nr, args, blocking);
    case MOCK_LIE_MORE: {
        long r = mock_perform(nr, a, blocking);
        return is_transfer(nr) ? (long)(asked(nr, a) + (size_t)fault_value) : r;
    }
    case MOCK_LIE:
        mock_perform(nr, a, blocking);
        return fault_value;
    case MOCK_NONE:
        break;
    }
    return -EIO;
}

/* ---- leaks that are meant ---- */

/* A descriptor table that was outgrown stays: a reader without the lock may still be in it. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libos/fs/fd.c\n";
}

/* ---- leaving ---- */

static jmp_buf *back;
static int leave_value;

enum mock_end mock_enter(void (*fn)(void *), void *arg, int *value)
{
    jmp_buf here, *outer = back;
    back = &here;
    int why = setjmp(here);
    if (!why)
        fn(arg);
    back = outer;
    *value = leave_value;
    return why ? (enum mock_end)(why - 1) : MOCK_RETURNED;
}

void mock_leave(enum mock_end why, int value)
{
    leave_value = value;
    if (!back)
        mock_violation("the process ends outside mock_enter()", value);
    longjmp(*back, (int)why + 1);
}
