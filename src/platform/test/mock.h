/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The mock host: passes an allowed set of calls on to the real kernel, confined to a scratch
 * directory and to the application's window of addresses, and fails, shortens or falsifies what a
 * test asks for. What no host call of a correct library OS contains ends the program with a message
 * (a descriptor that is not the library OS's, memory outside the window, the guarded page run).
 * MOCK_LOG in the environment shows log lines, MOCK_TRACE where a fault befell.
 * Includes neither libc's nor the kernel's headers, so that both sides can include it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Application memory: all mappings of the library OS lie in here. */
#define MOCK_WINDOW      0x200000000000UL
#define MOCK_WINDOW_SIZE (64UL << 30)
#define MOCK_WINDOW_END  (MOCK_WINDOW + MOCK_WINDOW_SIZE)
/* Directly above the window: stands for the library OS's memory. Nobody may read or write it on
 * behalf of the application. */
#define MOCK_GUARDED      MOCK_WINDOW_END
#define MOCK_GUARDED_SIZE 0x10000UL

/* The working directory becomes a new scratch directory, removed by mock_finish(). Installs the
 * handler for faults in application memory. */
void mock_init(void);
void mock_finish(void);
/* Installs the handler again, where a test framework put its own in between. */
void mock_catch_faults(void);

/* One call of the library OS; `blocking`: it would have waited, and instead fails with EAGAIN. */
long mock_call(long nr, const long a[6], bool blocking);

enum mock_fault {
    MOCK_NONE,
    MOCK_ERRNO,    /* not performed (but for close); returns -value */
    MOCK_SHORT,    /* transfers at most `value` bytes */
    MOCK_LIE,      /* performed, then returns `value` */
    MOCK_LIE_MORE, /* performed, then returns `value` more than was asked for (transfers only) */
};
/* The fault befalls call number `nth` (from 1) counted from now; MOCK_NONE: no fault. With
 * `onwards` all later calls too. */
void mock_inject(enum mock_fault kind, long value, long nth, bool onwards);
/* `spoil` is called after each call that was performed, with its result, may change what the call
 * wrote, and returns the result to give; NULL: none. The checks of what the library OS does with it
 * stay on. */
typedef long mock_spoil_fn(long nr, const long a[6], long r);
void mock_spoil(mock_spoil_fn *spoil);
/* Calls since mock_inject, and the number (__NR_*) of the call that the fault befell, or -1. */
long mock_count(void);
long mock_befell(void);

/* Host descriptors that the library OS holds. */
int mock_open_fds(void);
bool mock_holds(int fd);
/* Signals that the library OS wanted to send since mock_init. */
long mock_signals_sent(void);
/* Ends with a message when the guarded memory was written. */
void mock_check_guarded(void);
/* Unmaps all application memory. */
void mock_clear_window(void);
/* Ends the program: `what` is what a correct library OS does not do. */
__attribute__((noreturn)) void mock_violation(const char *what, long nr);
/* Ends with a message unless [p, p+n) is outside the guarded memory. */
void mock_memory(const void *p, size_t n, long nr);
bool mock_in_window(uintptr_t p, size_t n);

/* Deterministic randomness for the library OS; `seed` restarts it, and puts the clocks right, which
 * are put on by whoever waits with a time limit. */
void mock_seed(uint64_t seed);

/* What ended mock_enter(). MOCK_STUCK: the thread sleeps and nobody is there to wake it. */
enum mock_end {
    MOCK_RETURNED,
    MOCK_RESUMED,
    MOCK_EXITED,
    MOCK_SIGNALLED,
    MOCK_THREAD_ENDED,
    MOCK_STUCK
};
/* Runs `fn(arg)`; a jump into the application or the end of the process comes back here. *value:
 * exit status or signal. */
enum mock_end mock_enter(void (*fn)(void *), void *arg, int *value);
__attribute__((noreturn)) void mock_leave(enum mock_end why, int value);

/* uaccess.S */
int mock_uaccess_copy(void *dst, const void *src, size_t n);
int mock_uaccess_fill(void *dst, size_t n);
int mock_uaccess_load32(uint32_t *dst, const uint32_t *src);
int mock_uaccess_cmpxchg32(uint32_t *uaddr, uint32_t *expected, uint32_t desired);
extern const char mock_uaccess_begin[], mock_uaccess_end[], mock_uaccess_fixup[];

/* mock_paths.c: path calls within the scratch directory. */
long mock_path_call(long nr, const long a[6]);
bool mock_is_path_call(long nr);
long mock_kernel(long nr, long a, long b, long c, long d, long e, long f);
