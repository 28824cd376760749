/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The typed host calls about mappings; see host.h. */
#include "host/arena.h"
#include <asm/unistd.h>
#include <linux/mman.h>

/* Where the host has put `len` bytes: whole pages, at `fixed` if that is not 0, below the kernel.
 */
static long placed(long r, size_t len, uintptr_t fixed)
{
    uintptr_t at = (uintptr_t)r;
    if (IS_ERR(r))
        return host_errno(r);
    bool good =
        !(at & PAGE_MASK) && at <= USER_TOP && len <= USER_TOP - at && (!fixed || at == fixed);
    return good ? r : -EIO;
}

long host_mmap(uintptr_t addr, size_t len, int prot, int flags, int fd, int64_t off)
{
    return placed(host_syscall(__NR_mmap, (long)addr, (long)len, prot, flags, fd, off), len,
                  flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) ? addr : 0);
}

int host_munmap(uintptr_t addr, size_t len)
{
    return host_status(CALL2(__NR_munmap, addr, len));
}

int host_mprotect(uintptr_t addr, size_t len, int prot)
{
    return host_status(CALL3(__NR_mprotect, addr, len, prot));
}

long host_mremap(uintptr_t old, size_t old_len, size_t new_len, int flags, uintptr_t to)
{
    uintptr_t fixed = flags & MREMAP_FIXED ? to : flags & MREMAP_MAYMOVE ? 0 : old;
    return placed(CALL5(__NR_mremap, old, old_len, new_len, flags, to), new_len, fixed);
}

int host_madvise(uintptr_t addr, size_t len, int advice)
{
    return host_status(CALL3(__NR_madvise, addr, len, advice));
}

int host_msync(uintptr_t addr, size_t len, int flags)
{
    return host_status(CALL3(__NR_msync, addr, len, flags));
}

#define MINCORE_PIECE (ARENA_MOST * PAGE_SIZE) /* of addresses: a byte for each page */

int host_mincore(uintptr_t addr, size_t len, unsigned char *uvec)
{
    int err = 0;
#if PLATFORM_ARENA
    for (size_t at = 0; !err && at < len; at += MINCORE_PIECE) {
        ARENA;
        size_t part = MIN(len - at, MINCORE_PIECE), pages = PAGE_UP(part) / PAGE_SIZE;
        void *out = room_for(pages);
        err = host_status(CALL3(__NR_mincore, addr + at, part, out));
        if (!err)
            err = take_user(uvec + at / PAGE_SIZE, out, pages);
    }
#else
    err = host_status(CALL3(__NR_mincore, addr, len, uvec));
#endif
    return err;
}

int host_lock_memory(long nr, uintptr_t addr, size_t len, unsigned long arg)
{
    return host_status(CALL3(nr, addr, len, arg));
}

int host_membarrier(int command, unsigned flags, int cpu)
{
    return (int)host_number(CALL3(__NR_membarrier, command, flags, cpu), INT32_MAX);
}
