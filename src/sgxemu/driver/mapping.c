/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Mappings of enclaves: the program's view. A page is accessible as far as its mapping, its EPCM
 * permissions and its state agree; everything else is PROT_NONE, and a fault decides.
 */
#include "sgxemu/driver/driver.h"
#include <linux/mman.h>
#include <linux/fcntl.h>
#include <linux/personality.h>

#define FIXED (MAP_FIXED | MAP_FIXED_NOREPLACE)

/* ------------------------------------------------------------ the list of mappings */

static emu_lock vma_lock; /* of the lists of all enclaves of this process */

void vma_after_fork(void)
{
    vma_lock = 0;
}

/* The lowest mapping that overlaps [start, end). */
bool vma_first(struct enclave *e, uint64_t start, uint64_t end, struct vma *out)
{
    bool found = false;
    lock(&vma_lock);
    for (uint32_t i = 0; i < e->count; i++) {
        const struct vma *v = &e->vmas[i];
        if (v->start < end && start < v->end && (!found || v->start < out->start)) {
            *out = *v;
            found = true;
        }
    }
    unlock(&vma_lock);
    return found;
}

bool vma_at(struct enclave *e, uint64_t la, struct vma *out)
{
    return vma_first(e, la, la + 1, out);
}

static void append(struct enclave *e, uint64_t start, uint64_t end, uint32_t prot)
{
    if (e->count == e->capacity) {
        uint32_t capacity = e->capacity ? 2 * e->capacity : 1024;
        struct vma *bigger = emu_map(capacity * sizeof(*bigger), 4096);
        memcpy(bigger, e->vmas, e->count * sizeof(*bigger));
        if (e->vmas)
            sys(__NR_munmap, e->vmas, e->capacity * sizeof(*bigger));
        e->vmas = bigger;
        e->capacity = capacity;
    }
    e->vmas[e->count++] = (struct vma){start, end, prot};
}

static void remove_locked(struct enclave *e, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < e->count;) {
        struct vma v = e->vmas[i];
        if (v.start >= end || v.end <= start) {
            i++;
            continue;
        }
        e->vmas[i] = e->vmas[--e->count];
        if (v.start < start)
            append(e, v.start, start, v.prot);
        if (v.end > end)
            append(e, end, v.end, v.prot);
        i = 0;
    }
}

void vma_remove(struct enclave *e, uint64_t start, uint64_t end)
{
    lock(&vma_lock);
    e->header->generation++;
    remove_locked(e, start, end);
    unlock(&vma_lock);
}

void vma_insert(struct enclave *e, uint64_t start, uint64_t end, uint32_t prot)
{
    lock(&vma_lock);
    e->header->generation++;
    remove_locked(e, start, end);
    for (uint32_t i = 0; i < e->count; i++) { /* grow a neighbour */
        struct vma *v = &e->vmas[i];
        if (v->prot != prot || (v->end != start && v->start != end))
            continue;
        start = v->start < start ? v->start : start;
        end = v->end > end ? v->end : end;
        e->vmas[i] = e->vmas[--e->count];
        i = UINT32_MAX;
    }
    append(e, start, end, prot);
    unlock(&vma_lock);
}

/* ------------------------------------------------------------ page tables */

static int effective(struct enclave *e, uint64_t la, uint32_t prot)
{
    const struct epcm *p = epcm_of(e, la);
    if (!p->valid || p->type != SGX_PT_REG ||
        p->state & (EPCM_PENDING | EPCM_MODIFIED | EPCM_BLOCKED))
        return PROT_NONE;
    uint32_t both = p->perm & prot;
    return (both & ACCESS_R ? PROT_READ : 0) | (both & ACCESS_W ? PROT_WRITE : 0) |
           (both & ACCESS_X ? PROT_EXEC : 0);
}

/* One mapping's part of [start, end): runs of equal protection. */
static bool sync_vma(struct enclave *e, const struct vma *v, uint64_t start, uint64_t end)
{
    uint64_t la = start;
    while (la < end) {
        uint64_t chunk_end = (la - e->header->base) / (CHUNK_PAGES << 12);
        chunk_end = e->header->base + (chunk_end + 1) * (CHUNK_PAGES << 12);
        bool empty = *chunk_of(e, la) == 0;
        int prot = empty ? PROT_NONE : effective(e, la, v->prot);
        uint64_t run = la;
        while (run < end) {
            if (run >= chunk_end) {
                chunk_end += CHUNK_PAGES << 12;
                empty = *chunk_of(e, run) == 0;
            }
            if ((empty ? PROT_NONE : effective(e, run, v->prot)) != prot)
                break;
            run = empty ? (chunk_end < end ? chunk_end : end) : run + 4096;
        }
        if (sys(__NR_mprotect, la, run - la, prot))
            return false; /* the process has too many mappings */
        la = run;
    }
    return true;
}

bool sync_range(struct enclave *e, uint64_t start, uint64_t end)
{
    const struct header *h = e->header;
    if (!h->created)
        return true;
    if (start < h->base)
        start = h->base;
    if (end > h->base + h->size)
        end = h->base + h->size;
    struct vma v;
    while (start < end && vma_first(e, start, end, &v)) {
        if (!sync_vma(e, &v, v.start > start ? v.start : start, v.end < end ? v.end : end))
            return false;
        start = v.end;
    }
    return true;
}

bool driver_sync_page(struct enclave *e, uint64_t la)
{
    return sync_range(e, la & ~0xfffULL, (la & ~0xfffULL) + 4096);
}

int augment_page(struct enclave *e, uint64_t la)
{
    struct sgx_pageinfo info = {.linaddr = la & ~0xfffULL, .secs = KERNEL_SECS};
    struct sgx_regs regs = {
        .rax = SGX_EAUG, .rbx = (uint64_t)&info, .rcx = KERNEL_ALIAS + (la & ~0xfffULL)};
    if (driver_encls(e, &regs).vector)
        return -EFAULT;
    MAX_PROT(epcm_of(e, la)) = ACCESS_R | ACCESS_W | ACCESS_X;
    ++*chunk_of(e, la);
    return 0;
}

int driver_fault(uint64_t la, uint32_t access, bool in_enclave, uint32_t *error)
{
    struct enclave *e = driver_enclave_at(la);
    int outcome = FAULT_SIGNAL;
    if (!e)
        return outcome;
    driver_lock(e);
    struct vma v;
    bool mapped = vma_at(e, la, &v);
    if (!mapped || !e->header->created || !in_enclave_range(e, la)) {
        outcome = mapped ? FAULT_BUS : FAULT_SIGNAL;
    } else if ((v.prot & access) != access) {
        *error |= PF_P;
    } else if (!epcm_of(e, la)->valid) {
        outcome = e->header->initialized && augment_page(e, la) == 0 ? FAULT_RETRY : FAULT_BUS;
    } else {
        int have = effective(e, la, v.prot);
        int want = (access & ACCESS_R ? PROT_READ : 0) | (access & ACCESS_W ? PROT_WRITE : 0) |
                   (access & ACCESS_X ? PROT_EXEC : 0);
        if ((have & want) == want) { /* another thread or process was faster */
            outcome = driver_sync_page(e, la) ? FAULT_RETRY : FAULT_BUS;
        } else {
            *error |= PF_P | SGX_PF_SGX;
        }
    }
    driver_unlock(e);
    return outcome;
}

/* ------------------------------------------------------------ system calls */

static uint32_t to_access(uint64_t prot)
{
    return (prot & PROT_READ ? ACCESS_R : 0) | (prot & PROT_WRITE ? ACCESS_W : 0) |
           (prot & PROT_EXEC ? ACCESS_X : 0);
}

/* Linux's sgx_encl_may_map(). */
static long may_map(struct enclave *e, uint64_t start, uint64_t end, uint64_t prot)
{
    const struct header *h = e->header;
    long persona = sys(__NR_personality, 0xffffffff);
    if (persona & READ_IMPLIES_EXEC)
        return -EACCES;
    if (!h->created)
        return 0;
    if (h->initialized && (start < h->base || end > h->base + h->size))
        return -EACCES;
    const uint32_t want = to_access(prot);
    for (uint64_t la = start; la < end;) {
        if (!in_enclave_range(e, la)) {
            la += 4096;
        } else if (*chunk_of(e, la) == 0) {
            la = h->base + (((la - h->base) / (CHUNK_PAGES << 12)) + 1) * (CHUNK_PAGES << 12);
        } else {
            const struct epcm *p = epcm_of(e, la);
            if (p->valid && want & ~MAX_PROT(p))
                return -EACCES;
            la += 4096;
        }
    }
    return 0;
}

static void forget_range(uint64_t start, uint64_t len)
{
    struct enclave *e;
    uint64_t end = start + ((len + 0xfff) & ~0xfffULL);
    while ((e = enclave_covering(start, end))) {
        driver_lock(e);
        vma_remove(e, start, end);
        driver_unlock(e);
    }
}

static long map_enclave(struct enclave *e, const uint64_t a[6])
{
    uint64_t addr = a[0], len = (a[1] + 0xfff) & ~0xfffULL, flags = a[3];
    if (!(flags & MAP_SHARED) || (flags & MAP_TYPE) == MAP_PRIVATE || len == 0 || len < a[1])
        return -EINVAL;
    if (a[5] & 0xfff || (flags & FIXED && addr & 0xfff))
        return -EINVAL;
    trap_install_mapping_filter();
    long at =
        sys(__NR_mmap, addr, len, PROT_NONE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (flags & MAP_FIXED_NOREPLACE), -1, 0);
    if (flags & MAP_FIXED && !(flags & MAP_FIXED_NOREPLACE)) {
        if (!sys_failed(at))
            sys(__NR_munmap, at, len);
        at = (long)addr;
    }
    if (sys_failed(at))
        return at;
    addr = (uint64_t)at;
    if (addr + len > 1ULL << 47 || (addr < EMU_HEAP + EMU_HEAP_SIZE && addr + len > EMU_BASE))
        return -ENOMEM;
    driver_lock(e);
    long r = may_map(e, addr, addr + len, a[2]);
    if (r == 0 && flags & MAP_FIXED) { /* whatever enclave was mapped there is so no longer */
        driver_unlock(e);
        forget_range(addr, len);
        driver_lock(e);
    }
    if (r == 0)
        r = sys(__NR_mmap, addr, len, PROT_NONE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, e->fd_dup,
                FILE_PAGES + addr);
    if (!sys_failed(r)) {
        sys(__NR_madvise, addr, len, MADV_DONTDUMP);
        vma_insert(e, addr, addr + len, to_access(a[2]));
        sync_range(e, addr, addr + len);
    } else if (!(flags & MAP_FIXED)) {
        sys(__NR_munmap, addr, len);
    }
    driver_unlock(e);
    return r;
}

/* mprotect over a range that holds device mappings, and perhaps others. */
static long protect(uint64_t start, uint64_t len, uint64_t prot)
{
    uint64_t end = start + ((len + 0xfff) & ~0xfffULL);
    for (uint64_t la = start; la < end;) {
        struct enclave *e = driver_enclave_at(la);
        if (!e) {
            uint64_t next = end;
            struct vma v;
            if ((e = enclave_covering(la, end)) && vma_first(e, la, end, &v))
                next = v.start;
            long r = sys(__NR_mprotect, la, next - la, prot);
            if (r)
                return r;
            la = next;
            continue;
        }
        driver_lock(e);
        struct vma v;
        uint64_t stop = vma_at(e, la, &v) && v.end < end ? v.end : end;
        long r = may_map(e, la, stop, prot);
        if (r == 0) {
            vma_insert(e, la, stop, to_access(prot));
            sync_range(e, la, stop);
        }
        driver_unlock(e);
        if (r)
            return r;
        la = stop;
    }
    return 0;
}

bool driver_mapping(long nr, const uint64_t a[6], long *result)
{
    const uint64_t start = a[0], len = a[1], end = start + len;
    if (nr == __NR_mmap) {
        bool ours = false;
        struct enclave *e = a[3] & MAP_ANONYMOUS ? NULL : enclave_of((int)a[4], &ours);
        if (ours) {
            *result = e ? map_enclave(e, a) : -ENOMEM;
            return true;
        }
        if (!(a[3] & MAP_FIXED) || end < start || !enclave_covering(start, end))
            return false;
        *result = sys6(nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4], (long)a[5]);
        if (!sys_failed(*result))
            forget_range(start, len);
        return true;
    }
    if (end < start || !enclave_covering(start, end))
        return false;
    switch (nr) {
    case __NR_munmap:
        *result = sys(__NR_munmap, start, len);
        if (*result == 0)
            forget_range(start, len);
        return true;
    case __NR_mprotect:
        *result = start & 0xfff ? -EINVAL : protect(start, len, a[2]);
        return true;
    default: { /* mremap: enclave mappings neither grow nor move */
        const uint64_t old = (len + 0xfff) & ~0xfffULL, new = (a[2] + 0xfff) & ~0xfffULL;
        *result = -EFAULT;
        if (start & 0xfff || !new || a[3] & ~(uint64_t)MREMAP_MAYMOVE)
            *result = start & 0xfff || !new ? -EINVAL : -EFAULT;
        else if (new <= old) {
            *result = new < old ? sys(__NR_munmap, start + new, old - new) : 0;
            if (*result == 0 && new < old)
                forget_range(start + new, old - new);
            *result = *result ? *result : (long)start;
        }
        return true;
    }
    }
}
