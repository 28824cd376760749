/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What `closed` has instead of direct's own: the arena, the way out, the count of what does not get
 * out. */
#include "host/arena.h"
#include "host/filter.h"
#include "libos/log.h"
#include "libos/process.h"
#include "platform/direct/direct.h"
#include "platform/platform.h"
#include <asm/prctl.h>
#include <asm/unistd.h>
#include <linux/mman.h>
#undef host_syscall
#undef host_syscall_blocking

/* ---- the arena ---- */

#define MOST_SLOTS 4096UL

static char *arena;
static uint32_t slots;      /* handed out; atomic */
static struct thread early; /* until the first thread is there */

static long map_outside(size_t size)
{
    return direct_syscall(__NR_mmap, 0, (long)size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

char *direct_arena_slot(void)
{
    uint32_t n = __atomic_fetch_add(&slots, 1, __ATOMIC_RELAXED);
    if (n < MOST_SLOTS)
        return arena + n * ARENA_SLOT;
    __atomic_fetch_sub(&slots, 1, __ATOMIC_RELAXED);
    return NULL;
}

void direct_begin(void)
{
    long p = map_outside(PAGE_SIZE + MOST_SLOTS * ARENA_SLOT);
    if (IS_ERR(p))
        direct_syscall(__NR_exit_group, 1, 0, 0, 0, 0, 0);
    arena_set_words((void *)p);
    arena = (char *)p + PAGE_SIZE;
    early.self = &early;
    early.arena.base = direct_arena_slot();
    direct_syscall(__NR_arch_prctl, ARCH_SET_GS, (long)&early, 0, 0, 0, 0);
}

/* ---- what is refused ---- */

#define MOST_PLACES 512

static struct place {
    uint64_t key; /* call << 48 | address in our image; atomic, 0: free */
    uint32_t count;
} places[MOST_PLACES];

NOINLINE long closed_refuse(long nr, long a, long b, long c, long d, long e, long f)
{
    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    uint64_t at = (uintptr_t)__builtin_return_address(0) - (uintptr_t)libos_text_start;
    uint64_t key = (uint64_t)nr << 48 | at;
    for (size_t i = 0; i < MOST_PLACES; i++) {
        uint64_t none = 0;
        if (__atomic_compare_exchange_n(&places[i].key, &none, key, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST) ||
            none == key) {
            __atomic_fetch_add(&places[i].count, 1, __ATOMIC_RELAXED);
            break;
        }
    }
    return -ENOSYS;
}

static void list_refused(void)
{
    for (size_t i = 0; i < MOST_PLACES && places[i].key; i++)
        log_debug("closed: host call %u has no typed function: refused %u times, at "
                  "adyton-closed+0x%lx",
                  (unsigned)(places[i].key >> 48), places[i].count,
                  (unsigned long)(places[i].key & 0xffffffffffffUL));
}

/* ---- the way out ---- */

static void look(long nr, const long a[6])
{
    const int needed = MAP_ANONYMOUS | MAP_FIXED | MAP_PRIVATE;
    if (nr == __NR_mmap && (a[3] & needed) != needed)
        panic("host call mmap: the host is to choose the address or the content");
    if (nr == __NR_exit_group && log_level_now >= LOG_DEBUG)
        list_refused();
}

long platform_leave(long nr, const long a[6])
{
    if (unlikely(nr == __NR_mmap || nr == __NR_exit_group))
        look(nr, a);
    return direct_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

long platform_leave_blocking(long nr, const long a[6])
{
    return direct_syscall_blocking(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}
