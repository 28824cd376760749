/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What a change of the address space does to the memory itself, before it is recorded (mm.c,
 * vma.c). Where the host is trusted, by its own calls: it maps files and chooses addresses
 * (pages_host.c). Else (PLATFORM_HOST_TRUSTED 0) addresses are chosen here, and files are copied in
 * and out (pages_own.c). All under mm->lock; addresses and lengths are page multiples within the
 * application's range; address, 0, or an errno.
 */
#pragma once
#include "libos/mm/mm.h"

/* As mmap(2), of a file that may be mapped so; `f` NULL: anonymous. */
long pages_map(struct mm *mm, uintptr_t addr, size_t len, int prot, int flags, struct file *f,
               int64_t off);
/* Nothing is there any more. */
int pages_unmap(uintptr_t addr, size_t len);
int pages_protect(struct mm *mm, uintptr_t addr, size_t len, int prot);
/* The same of pages that are there, for a moment: nothing is recorded. */
int pages_open(uintptr_t addr, size_t len, int prot);
/* As mremap(2), within the mapping `v`. The record of it is the caller's. */
long pages_move(struct mm *mm, const struct vma *v, uintptr_t old, size_t old_len, size_t new_len,
                int flags, uintptr_t to);
/* Stubs of the patcher, at a place where no mapping is recorded. -EEXIST: something is there. */
long pages_map_stubs(struct mm *mm, uintptr_t addr, size_t len);
/* Addresses for brk(2), at `addr` if that is free (0: anywhere). */
long pages_reserve(struct mm *mm, uintptr_t addr, size_t len);
/* What was cut off by brk(2): unmapped, and kept. */
void pages_keep(uintptr_t addr, size_t len);
/* What was stored in [start, end) of a mapping goes to its file, where it does not by itself; with
 * `disk` on to the disk. */
int pages_sync(const struct vma *v, uintptr_t start, uintptr_t end, bool disk);

/* ---- not under mm->lock ---- */

int pages_advise(struct mm *mm, uintptr_t addr, size_t len, int advice);
/* mincore(2): a byte for each page. */
int pages_resident(struct mm *mm, uintptr_t addr, size_t len, unsigned char *uvec);
/* mlock(2) and its kin; `nr`: the call. mlockall's flags are `addr`. */
long pages_lock(struct mm *mm, long nr, uintptr_t addr, size_t len, unsigned long arg);

#if !PLATFORM_HOST_TRUSTED
/* Before a fork whose child goes on in a copy of the memory. -EOPNOTSUPP after a message: there is
 * memory that the two would have to share. */
int pages_before_fork(void);
#endif

/* Makes a fault of the application what it is on Linux: one behind the end of a mapped file is a
 * SIGBUS. */
struct fault_info;
#if PLATFORM_HOST_TRUSTED
static inline void pages_fault(struct fault_info *f)
{
    (void)f; /* the host says so itself */
}
static inline void pages_before_read(struct file *f, int64_t pos, size_t n)
{
    (void)f, (void)pos, (void)n;
}
static inline void pages_after_write(struct file *f, int64_t pos, size_t n)
{
    (void)f, (void)pos, (void)n;
}
#else
void pages_fault(struct fault_info *f);

/* Around transfers of `n` bytes at `pos` (-1: the file's own offset): what its shared mappings hold
 * is in the file, and what is in the file is in them. Takes mm->lock. */
void pages_before_read(struct file *f, int64_t pos, size_t n);
void pages_after_write(struct file *f, int64_t pos, size_t n);
/* Is it a shared mapping of a file that can be written? */
bool pages_may_change(const struct vma *v);
#endif
