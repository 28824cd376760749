/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What every file of the library OS may use: types, arithmetic, memory, strings. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/errno.h>

typedef int64_t ssize;
typedef uint64_t sigmask; /* bit n-1 stands for signal n */

#define PAGE_SIZE  4096UL
#define USER_TOP   0x7ffffffff000UL /* where the addresses of programs end (four-level paging) */
#define PAGE_MASK  (PAGE_SIZE - 1)
#define PATH_LIMIT 4096 /* PATH_MAX: bytes of a path, its NUL included */
#define NAME_LIMIT 255  /* NAME_MAX: bytes of one component */

/* Results of a system call that a signal cut short: never seen by the application (see
 * proc/signal_deliver.c). The values are Linux's own. */
#define ERESTARTSYS           512 /* restart if the handler has SA_RESTART, else EINTR */
#define ERESTARTNOINTR        513 /* always restart */
#define ERESTARTNOHAND        514 /* restart only if no handler runs, else EINTR */
#define ERESTART_RESTARTBLOCK 516 /* the same, by restart_syscall(2) with what time is left */

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define NOINLINE    __attribute__((noinline)) /* keeps the usual way short */
/* So does this, of what has a host call in it: each return behind one is mispredicted. */
#define ALWAYS_INLINE         inline __attribute__((always_inline))
#define ARRAY_SIZE(a)         (sizeof(a) / sizeof((a)[0]))
#define container_of(p, t, m) ((t *)((char *)(p)-offsetof(t, m)))
#define IS_ERR(x)             ((unsigned long)(x) >= -4095UL)
#define MIN(a, b)               \
    ({                          \
        __typeof__(a) a_ = (a); \
        __typeof__(b) b_ = (b); \
        a_ < b_ ? a_ : b_;      \
    })
#define MAX(a, b)               \
    ({                          \
        __typeof__(a) a_ = (a); \
        __typeof__(b) b_ = (b); \
        a_ > b_ ? a_ : b_;      \
    })
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define ALIGN_UP(x, a)   ALIGN_DOWN((x) + (a)-1, a)
#define PAGE_DOWN(x)     ALIGN_DOWN(x, PAGE_SIZE)
#define PAGE_UP(x)       ALIGN_UP(x, PAGE_SIZE)

/* lib/string.c; names and meaning as in ISO C, so that the compiler may call them. */
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t n);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);

/* lib/printf.c: %d %u %x %c %s %p with - 0 width .precision and l ll z; no floating point.
 * Always terminates the buffer when size > 0; returns the length that the whole text has. */
int fmt_v(char *buf, size_t size, const char *fmt, va_list ap);
__attribute__((format(printf, 3, 4))) int fmt(char *buf, size_t size, const char *fmt, ...);

/* lib/heap.c: memory of the library OS. NULL when there is none. Secrets are wiped by their owner
 * before heap_free. heap_free(NULL) is allowed. */
void *heap_alloc(size_t size);
void *heap_zalloc(size_t size);
void *heap_realloc(void *p, size_t size);
void heap_free(void *p);
char *heap_strdup(const char *s);
char *heap_strndup(const char *s, size_t n);
size_t heap_in_use(void);
/* Keeps heap and region as they are between the two, for a copy of the process that is made while
 * other threads run. */
void heap_hold(void);
void heap_release(void);

/* lib/region.c: whole pages out of the library OS's own region of the address space, zeroed.
 * `size` is a multiple of PAGE_SIZE. NULL when there are none. */
void *region_alloc(size_t size);
void region_free(void *p, size_t size);

/* Is [addr, addr+len) free of library-OS memory, so that the application may name it? It may still
 * be unmapped: the access itself tells. */
bool user_range_ok(const void *addr, size_t len);
/* Does the range touch library-OS memory? For pointers that only the host looks at, and only under
 * conditions of its own. */
bool libos_range(const void *addr, size_t len);

/* lib/uaccess.c: the only way to touch application memory. 0, or -EFAULT. */
int copy_from_user(void *dst, const void *usrc, size_t n);
int copy_to_user(void *udst, const void *src, size_t n);
/* A structure of `size` bytes that may have grown since, or before, it had the `known` ones of
 * *dst, which is zeroed: fields of a later Linux must be zero (-E2BIG), missing ones are. */
int copy_struct_from_user(void *dst, size_t known, const void *usrc, size_t size);
int clear_user(void *udst, size_t n);
/* For file_ops.read and write, whose buffer is application memory with a checked range, or memory
 * of ours: copies without checking the range again. */
int copy_checked(void *dst, const void *src, size_t n);
/* Copies a string with its NUL; returns its length, -EFAULT, or -ENAMETOOLONG when there is no NUL
 * within `size` bytes. */
ssize strncpy_from_user(char *dst, const char *usrc, size_t size);
/* Loads or exchanges a 32-bit word in application memory atomically (futexes). */
int user_load32(uint32_t *out, const uint32_t *uaddr);
int user_cmpxchg32(uint32_t *uaddr, uint32_t *expected, uint32_t desired);

#define get_user(dst, uptr) copy_from_user(&(dst), (uptr), sizeof(dst))
#define put_user(uptr, src) copy_to_user((uptr), &(src), sizeof(src))

/* A broken invariant: prints where, ends the process. */
__attribute__((noreturn, format(printf, 1, 2))) void panic(const char *fmt, ...);
#define assert(x)                                                         \
    do {                                                                  \
        if (unlikely(!(x)))                                               \
            panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #x); \
    } while (0)
