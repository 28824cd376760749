/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "sgxemu/emu.h"
#include <linux/mman.h>
#include <linux/futex.h>
#include <stdarg.h>

void *memcpy(void *to, const void *from, size_t n)
{
    void *d = to;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    char *d = to;
    const char *s = from;
    if (d <= s || d >= s + n)
        return memcpy(to, from, n);
    while (n--)
        d[n] = s[n];
    return to;
}

void *memset(void *p, int c, size_t n)
{
    void *d = p;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return p;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != y[i])
            return x[i] - y[i];
    }
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (a[i] != b[i] || !a[i])
            return (unsigned char)a[i] - (unsigned char)b[i];
    }
    return 0;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, (size_t)-1);
}

long user_string(char *to, uint64_t from, size_t cap)
{
    for (size_t n = 0; n < cap;) {
        size_t chunk = 64 - (from + n) % 64; /* never crosses into a page that need not exist */
        if (chunk > cap - n)
            chunk = cap - n;
        if (!user_read(to + n, from + n, chunk))
            return -EFAULT;
        for (size_t end = n + chunk; n < end; n++) {
            if (!to[n])
                return (long)n;
        }
    }
    return -ENAMETOOLONG;
}

static void put(const char *text)
{
    sys(__NR_write, 2, text, strlen(text));
}

static void vcomplain(const char *text, va_list args)
{
    put("adyton sgxemu: ");
    for (; text; text = va_arg(args, const char *))
        put(text);
    put("\n");
}

void complain(const char *text, ...)
{
    va_list args;
    va_start(args, text);
    vcomplain(text, args);
    va_end(args);
}

void die(const char *text, ...)
{
    va_list args;
    va_start(args, text);
    vcomplain(text, args);
    va_end(args);
    for (;;)
        sys(__NR_exit_group, 127);
}

char *format_hex(char buf[20], uint64_t value)
{
    char *p = buf + 19;
    *p = '\0';
    do
        *--p = "0123456789abcdef"[value & 15];
    while (value >>= 4);
    *--p = 'x';
    *--p = '0';
    return p;
}

char *format_dec(char buf[24], uint64_t value)
{
    char *p = buf + 23;
    *p = '\0';
    do
        *--p = (char)('0' + value % 10);
    while (value /= 10);
    return p;
}

/* Bump allocation of address space; freed ranges leave holes, which are cheap at this size. */
void *emu_map(size_t size, size_t align)
{
    static volatile uint64_t next = EMU_HEAP;
    for (;;) {
        uint64_t old = next, start = (old + align - 1) & ~(uint64_t)(align - 1);
        uint64_t end = (start + size + 0x1fff) & ~0xfffULL; /* and a guard page */
        if (!__sync_bool_compare_and_swap(&next, old, end))
            continue;
        long r = sys(__NR_mmap, start, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        if (r == -EEXIST)
            continue;
        if (sys_failed(r))
            die("out of memory", NULL);
        return (void *)r;
    }
}

/* The thread's region knows it; before the first region exists, the kernel. */
static uint32_t own_tid(void)
{
    if ((uint64_t)__builtin_frame_address(0) - EMU_HEAP < EMU_HEAP_SIZE)
        return thread_self()->tid;
    return (uint32_t)sys(__NR_gettid);
}

void lock(emu_lock *l)
{
    const uint32_t me = own_tid();
    uint32_t waiting = 0; /* who has slept must assume that others sleep, too */
    for (unsigned round = 0;; round++) {
        uint32_t owner = __sync_val_compare_and_swap(l, 0, me | waiting);
        if (owner == 0)
            return;
        if (round < 64) {
            __builtin_ia32_pause();
            continue;
        }
        if (!(owner & FUTEX_WAITERS) &&
            !__sync_bool_compare_and_swap(l, owner, owner | FUTEX_WAITERS))
            continue;
        waiting = FUTEX_WAITERS;
        owner |= FUTEX_WAITERS;
        /* Sleep a little; then see whether the owner still lives. */
        struct {
            int64_t sec, nsec;
        } wait = {0, 2000000};
        sys(__NR_futex, l, FUTEX_WAIT, owner, &wait, 0, 0);
        if (*l == owner && sys(__NR_tkill, owner & FUTEX_TID_MASK, 0) == -ESRCH)
            __sync_bool_compare_and_swap(l, owner, 0);
    }
}

void unlock(emu_lock *l)
{
    if (__atomic_exchange_n(l, 0, __ATOMIC_RELEASE) & FUTEX_WAITERS)
        sys(__NR_futex, l, FUTEX_WAKE, 1, 0, 0, 0);
}
