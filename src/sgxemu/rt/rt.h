/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The runtime below the device: system calls, strings, messages. No libc, no TLS: FS and GS belong
 * to the program or to its enclave.
 */
#pragma once
#include <asm/unistd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All code and data of the device lie in the 4 GiB at EMU_BASE; the seccomp filter and Syscall
 * User Dispatch tell the device's own system calls by that. Its other memory starts at EMU_HEAP. */
#define EMU_BASE      0x6ad000000000ULL
#define EMU_SIZE      0x100000000ULL
#define EMU_HEAP      0x6b0000000000ULL
#define EMU_HEAP_SIZE (1ULL << 43)

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
    long r;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}
#define SYS_PICK(_0, _1, _2, _3, _4, _5, _6, count, ...) count
#define SYS_CALL0(nr)                                    sys6(nr, 0, 0, 0, 0, 0, 0)
#define SYS_CALL1(nr, a)                                 sys6(nr, (long)(a), 0, 0, 0, 0, 0)
#define SYS_CALL2(nr, a, b)                              sys6(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS_CALL3(nr, a, b, c)                           sys6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS_CALL4(nr, a, b, c, d)                        sys6(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS_CALL5(nr, a, b, c, d, e) \
    sys6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SYS_CALL6(nr, a, b, c, d, e, f) \
    sys6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
/* sys(nr, up to six arguments): the raw system call; negative errno on failure. */
#define sys(...)                                                                            \
    SYS_PICK(__VA_ARGS__, SYS_CALL6, SYS_CALL5, SYS_CALL4, SYS_CALL3, SYS_CALL2, SYS_CALL1, \
             SYS_CALL0)                                                                     \
    (__VA_ARGS__)

static inline bool sys_failed(long r)
{
    return (unsigned long)r > -4096UL;
}

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *p, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);

/* Copies program memory; returns the number of bytes NOT copied (a fault ends it). */
size_t usercopy(void *to, const void *from, size_t n);
static inline bool user_read(void *to, uint64_t from, size_t n)
{
    return usercopy(to, (const void *)from, n) == 0;
}
static inline bool user_write(uint64_t to, const void *from, size_t n)
{
    return usercopy((void *)to, from, n) == 0;
}
/* Copies a NUL-terminated string; its length, -EFAULT or -ENAMETOOLONG. */
long user_string(char *to, uint64_t from, size_t cap);

/* "adyton sgxemu: " and the strings up to NULL, and a newline, to stderr. */
void complain(const char *text, ...) __attribute__((sentinel));
/* The same, then ends the process (status 127). */
_Noreturn void die(const char *text, ...) __attribute__((sentinel));
char *format_hex(char buf[20], uint64_t value);
char *format_dec(char buf[24], uint64_t value);

/* Anonymous memory of the device, above EMU_HEAP; aligned to `align` (a power of two). Negative
 * errno as a pointer never: dies when memory is out. */
void *emu_map(size_t size, size_t align);

/* A lock that is safe against death of its owner: the word holds the owner's thread id. May lie in
 * memory shared between processes. */
typedef volatile uint32_t emu_lock;
void lock(emu_lock *l);
void unlock(emu_lock *l);
