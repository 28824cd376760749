/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * %gs points at the thread while the library OS runs. An application that has a GS base of its own
 * gets it back by the slow way out (entry.S), and is missed at the slow way in (trap.c).
 */
#include "host/host.h"
#include "libos/libos.h"
#include "platform/direct/direct.h"
#include "platform/platform.h"
#include <asm/hwcap2.h>
#include <asm/prctl.h>
#include <asm/unistd.h>
#include <linux/auxvec.h>

static bool have_fsgsbase; /* set once at start */

void direct_gs_setup(void)
{
    for (const uint64_t *a = run.host_auxv; a[0] != AT_NULL; a += 2)
        if (a[0] == AT_HWCAP2)
            have_fsgsbase = a[1] & HWCAP2_FSGSBASE;
}

static uint64_t get_gs(void)
{
    uint64_t base = 0;
    if (have_fsgsbase)
        __asm__ volatile("rdgsbase %0" : "=r"(base));
    else
        direct_syscall(__NR_arch_prctl, ARCH_GET_GS, (long)&base, 0, 0, 0, 0);
    return base;
}

void direct_take_gs(struct thread *t)
{
    uint64_t base = get_gs();
    if (likely(base == (uintptr_t)t))
        return;
    if (have_fsgsbase)
        __asm__ volatile("wrgsbase %0" : : "r"(t));
    else
        direct_syscall(__NR_arch_prctl, ARCH_SET_GS, (long)t, 0, 0, 0, 0);
    if (!have_fsgsbase)
        return; /* it loaded the selector; there is no quick way to give it the base back */
    if (!(t->odd & ODD_GS))
        work_set(t, WORK_GS);
    t->user_gs = base;
    t->odd |= ODD_GS;
}

uint64_t platform_get_user_gs(void)
{
    const struct thread *t = current();
    return t->odd & ODD_GS ? t->user_gs : 0;
}

int platform_set_user_gs(uint64_t base)
{
    struct thread *t = current();
    if (!have_fsgsbase)
        return -EINVAL;
    t->user_gs = base;
    t->odd |= ODD_GS;
    work_set(t, WORK_GS);
    return 0;
}

void platform_copy_user_gs(struct thread *to)
{
    const struct thread *t = current();
    to->user_gs = t->user_gs;
    to->odd |= t->odd & ODD_GS;
}
