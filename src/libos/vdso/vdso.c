/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The application's vDSO (vdso(7)). Runs as application code: what the host's own vDSO answers
 * without a system call is left to it, the rest is a system call like any other.
 */
#include "libos/vdso/data.h"
#include "libos/vdso/mark.h"
#include <asm/unistd.h>

extern const struct vdso_data vdso_data __attribute__((visibility("hidden")));

__asm__(".pushsection .note.adyton, \"a\", @note\n\t"
        ".p2align 2\n\t"
        ".long 7, 0, 1\n\t"
        ".asciz \"" VDSO_NOTE_NAME "\"\n\t"
        ".p2align 2\n\t"
        ".popsection");

/* The number directly before the instruction, so that the site can be rewritten into a jump. */
#define SYSCALL(nr, a, b, c)                                                       \
    ({                                                                             \
        long ret_;                                                                 \
        __asm__ volatile("movl %1, %%eax\n\tsyscall"                               \
                         : "=&a"(ret_)                                             \
                         : "i"(nr), "D"((long)(a)), "S"((long)(b)), "d"((long)(c)) \
                         : "rcx", "r11", "memory");                                \
        ret_;                                                                      \
    })

#define FAST(bits) (__atomic_load_n(&vdso_data.fast, __ATOMIC_RELAXED) & (bits))
#define EXPORT     __attribute__((visibility("default")))

static inline uint32_t clock_bit(int clock)
{
    return (uint32_t)clock < 16 ? 1u << clock : 0;
}

EXPORT int __vdso_clock_gettime(int clock, struct timespec_k *ts);
EXPORT int __vdso_clock_gettime(int clock, struct timespec_k *ts)
{
    if (__builtin_expect(FAST(clock_bit(clock)) != 0, 1))
        return vdso_data.clock_gettime(clock, ts);
    return (int)SYSCALL(__NR_clock_gettime, clock, ts, 0);
}

EXPORT int __vdso_clock_getres(int clock, struct timespec_k *ts);
EXPORT int __vdso_clock_getres(int clock, struct timespec_k *ts)
{
    if (FAST(clock_bit(clock)) && vdso_data.clock_getres)
        return vdso_data.clock_getres(clock, ts);
    return (int)SYSCALL(__NR_clock_getres, clock, ts, 0);
}

EXPORT int __vdso_gettimeofday(struct timeval_k *tv, void *tz);
EXPORT int __vdso_gettimeofday(struct timeval_k *tv, void *tz)
{
    if (FAST(VDSO_FAST_GETTIMEOFDAY))
        return vdso_data.gettimeofday(tv, tz);
    return (int)SYSCALL(__NR_gettimeofday, tv, tz, 0);
}

EXPORT int64_t __vdso_time(int64_t *t);
EXPORT int64_t __vdso_time(int64_t *t)
{
    if (FAST(VDSO_FAST_TIME))
        return vdso_data.time(t);
    return SYSCALL(__NR_time, t, 0, 0);
}

EXPORT int __vdso_getcpu(uint32_t *cpu, uint32_t *node, void *unused);
EXPORT int __vdso_getcpu(uint32_t *cpu, uint32_t *node, void *unused)
{
    if (FAST(VDSO_FAST_GETCPU))
        return vdso_data.getcpu(cpu, node, unused);
    return (int)SYSCALL(__NR_getcpu, cpu, node, unused);
}

#define ALIAS(name) \
    EXPORT extern __typeof__(__vdso_##name) name __attribute__((weak, alias("__vdso_" #name)))
ALIAS(clock_gettime);
ALIAS(clock_getres);
ALIAS(gettimeofday);
ALIAS(time);
ALIAS(getcpu);
