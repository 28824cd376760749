/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the differential system-call programs share. Each program runs once natively and once
 * inside the library OS with a private, empty scratch directory as its argument; the two outputs
 * must be equal. One line per check, "name: value", and only values that may not legitimately
 * differ: results, errno names, relations; never pids, addresses, times or inode numbers.
 *
 * Lines go out with one write() each, so that nothing is lost or doubled by fork, exec or death.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#    define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096L

/* Prints "name: text" in one write. */
__attribute__((format(printf, 2, 3))) static inline void say(const char *name, const char *fmt, ...)
{
    char line[1024];
    int n = snprintf(line, sizeof(line), "%s: ", name);
    va_list ap;
    va_start(ap, fmt);
    n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    if (n > (int)sizeof(line) - 2)
        n = (int)sizeof(line) - 2;
    line[n++] = '\n';
    if (write(STDOUT_FILENO, line, (size_t)n) != n)
        _exit(3);
}

static inline const char *errno_name(int e)
{
    const char *s = strerrorname_np(e);
    return s ? s : "unknown-errno";
}

/* Prints the outcome of a call in libc's convention: its value, or the name of errno. */
static inline long report(const char *name, long r)
{
    int e = errno;
    if (r == -1 && e)
        say(name, "%s", errno_name(e));
    else
        say(name, "%ld", r);
    errno = e;
    return r;
}

/* The same where a success has no comparable value (descriptors, addresses, pids). */
static inline long report_ok(const char *name, long r)
{
    int e = errno;
    say(name, "%s", r == -1 ? errno_name(e) : "ok");
    errno = e;
    return r;
}

#define TRY(name, call)    (errno = 0, report(name, (long)(call)))
#define OK(name, call)     (errno = 0, report_ok(name, (long)(call)))
#define CHECK(name, cond)  say(name, "%s", (cond) ? "yes" : "no")
#define VALUE(name, value) say(name, "%ld", (long)(value))
/* A system call by number through libc's syscall(), bad pointers and all. */
#define SYS(name, nr, ...)    TRY(name, syscall(nr, ##__VA_ARGS__))
#define SYS_OK(name, nr, ...) OK(name, syscall(nr, ##__VA_ARGS__))
/* Set-up that must work for the checks to mean anything. */
#define NEED(cond)                                                     \
    do {                                                               \
        if (!(cond)) {                                                 \
            say("set-up failed", "%s (%s)", #cond, errno_name(errno)); \
            exit(2);                                                   \
        }                                                              \
    } while (0)

/* Enters the scratch directory. Call first. */
static inline void start(int argc, char **argv)
{
    if (argc < 2 || chdir(argv[1]) != 0) {
        fprintf(stderr, "%s: give an existing scratch directory as first argument\n", argv[0]);
        exit(2);
    }
    umask(022);
    /* Whoever starts it may ignore or block signals: a shell does for what it runs in the
     * background. */
    for (int sig = 1; sig <= SIGRTMAX; sig++)
        signal(sig, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A value the compiler knows nothing about, to hand it pointers it would warn of. */
static inline void *opaque(uintptr_t v)
{
    __asm__ volatile("" : "+r"(v));
    return (void *)v;
}

#define BAD_NULL     opaque(0)
#define BAD_LOW      opaque(0x1000)             /* below vm.mmap_min_addr: never mapped */
#define BAD_KERNEL   opaque(0xffffffff80000000) /* canonical, the kernel's half */
#define BAD_NONCANON opaque(0x8000000000001000) /* not an address at all */
#define BAD_TOP      opaque((uintptr_t)-8)      /* base + length wraps around */

/* A page of the given protection, followed by one without any access. */
static inline char *page_then_none(int prot)
{
    char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(p != MAP_FAILED);
    NEED(mprotect(p + PAGE, PAGE, PROT_NONE) == 0);
    NEED(mprotect(p, PAGE, prot) == 0);
    return p;
}

/* Creates or replaces a file with the given text. */
static inline void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    NEED(fd >= 0);
    NEED(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

/* Prints the bytes with everything unprintable as \xHH. */
static inline void show_bytes(const char *name, const void *data, size_t len)
{
    char out[900];
    size_t n = 0;
    for (size_t i = 0; i < len && n < sizeof(out) - 5; i++) {
        unsigned char c = ((const unsigned char *)data)[i];
        n += (size_t)(c >= 32 && c < 127 && c != '\\' ? sprintf(out + n, "%c", c)
                                                      : sprintf(out + n, "\\x%02x", c));
    }
    out[n] = 0;
    say(name, "\"%s\"", out);
}

/* Prints the first bytes of a file. */
static inline void show_file(const char *name, const char *path)
{
    char buf[200];
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));
    if (n < 0)
        report_ok(name, -1);
    else
        show_bytes(name, buf, (size_t)n);
    if (fd >= 0)
        close(fd);
}

/* Prints a wait status in words. */
static inline void show_status(const char *name, int status)
{
    if (WIFEXITED(status))
        say(name, "exit %d", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        say(name, "killed by signal %d", WTERMSIG(status));
    else
        say(name, "status %#x", status);
}

static inline long long now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline long long now_ms(void)
{
    return now_ns(CLOCK_MONOTONIC) / 1000000;
}

static inline void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

/* Installs a handler with flags and an empty mask. */
static inline void handle(int sig, void (*fn)(int), int flags)
{
    struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};
    NEED(sigaction(sig, &sa, NULL) == 0);
}

static inline void handle_info(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
    struct sigaction sa = {.sa_sigaction = fn, .sa_flags = flags | SA_SIGINFO};
    NEED(sigaction(sig, &sa, NULL) == 0);
}

#endif
