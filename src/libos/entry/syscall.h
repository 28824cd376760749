/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * System-call handlers. SYSCALL3(read, int, fd, void *, buf, size_t, n) { ... } defines sys_read;
 * the dispatch table finds every handler by its name, what nobody defines is ENOSYS. A handler
 * returns its result or a negative errno; pointers it gets are application addresses.
 */
#pragma once
#include "libos/libos.h"

#define SYS_ARGS   long a0, long a1, long a2, long a3, long a4, long a5
#define SYS_UNUSED (void)a0, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5

#define SYSCALL_(name, call, ...)       \
    static long do_##name(__VA_ARGS__); \
    long sys_##name(SYS_ARGS);          \
    long sys_##name(SYS_ARGS)           \
    {                                   \
        SYS_UNUSED;                     \
        return do_##name call;          \
    }                                   \
    static long do_##name(__VA_ARGS__)

#define SYSCALL0(n)                   SYSCALL_(n, (), void)
#define SYSCALL1(n, A, a)             SYSCALL_(n, ((A)a0), A a)
#define SYSCALL2(n, A, a, B, b)       SYSCALL_(n, ((A)a0, (B)a1), A a, B b)
#define SYSCALL3(n, A, a, B, b, C, c) SYSCALL_(n, ((A)a0, (B)a1, (C)a2), A a, B b, C c)
#define SYSCALL4(n, A, a, B, b, C, c, D, d) \
    SYSCALL_(n, ((A)a0, (B)a1, (C)a2, (D)a3), A a, B b, C c, D d)
#define SYSCALL5(n, A, a, B, b, C, c, D, d, E, e) \
    SYSCALL_(n, ((A)a0, (B)a1, (C)a2, (D)a3, (E)a4), A a, B b, C c, D d, E e)
#define SYSCALL6(n, A, a, B, b, C, c, D, d, E, e, F, f) \
    SYSCALL_(n, ((A)a0, (B)a1, (C)a2, (D)a3, (E)a4, (F)a5), A a, B b, C c, D d, E e, F f)

typedef long syscall_fn(SYS_ARGS);

/* The table, for platform/test and the tracer. NULL: not implemented. */
syscall_fn *syscall_handler(unsigned long nr);
const char *syscall_name(unsigned long nr);
