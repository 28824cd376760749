/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * From trap to jump. A site is the two bytes 0f 05 (`syscall`) at S. Two rewritings, tried in
 * order:
 *
 *   A. The nearest instruction before S of five bytes or more (mostly `mov $nr, %eax`) becomes
 *      `jmp rel32` to a stub with copies of it and of what follows it up to S. The rest stays in
 *      place, 0f 05 too: whoever jumps there, or stands there, still traps. Only instructions that
 *      compute with registers, or load from the stack, are copied (insn_movable), so that none
 *      faults in the stub while the stack is there.
 *
 *   B. 0f 05 itself becomes `jmp rel8` to five bytes of padding nearby that no execution reaches,
 *      where a `jmp rel32` to the stub is placed. Padding is what follows an unconditional jump or
 *      a return, found by decoding forward from S (insn.c).
 *
 * Else the site goes on trapping. A stub loads the return address into %rcx, as `syscall` does,
 * and jumps to the library OS. It never uses the stack: there is a red zone below it.
 *
 * Other threads may execute a site while it changes. A store that lies within one aligned 8-byte
 * word is made in one piece; any other begins with int3, and ends with the first byte, with a
 * serialisation of all threads between the steps; a thread that meets the int3 is sent back by
 * the trap handler until the site is complete.
 */
#include "libos/entry/patch.h"
#include "host/host.h"
#include "libos/entry/insn.h"
#include "libos/log.h"
#include "libos/mm/pages.h"
#include "libos/proc/vdso.h"
#include "libos/process.h"
#include "platform/platform.h"
#include <asm/unistd.h>
#include <linux/membarrier.h>
#include <linux/mman.h>

#define STUB_SIZE   32
#define STUB_LENGTH 31 /* the byte of a stub that holds the length of the copied code */
#define CHUNK_SIZE  (64 * 1024UL)
#define MOST_CHUNKS 256

/* One range of stubs. The first slot holds the address of the library OS's entry. */
struct chunk {
    uintptr_t start;
    uint32_t used; /* bytes */
};

/* Lock order: above mm.lock; never taken by the trap handler. */
static struct lock patch_lock;
static struct chunk chunks[MOST_CHUNKS];
static uint32_t chunk_count;       /* atomic: read by the trap handler */
static uintptr_t site_in_progress; /* atomic */
static bool registered;            /* membarrier */
static bool gs_is_used;            /* patch_gs_is_used() */

/*
 * A site is rewritten when it traps for the second time: many are met once only, above all in
 * forked children, which would pay for a private page of code each. By the hash of a site whether
 * it was met; atomic. One that shares its slot with another that was is rewritten at once.
 */
#define MET_SLOTS 1024
static bool met[MET_SLOTS];

static bool met_before(uintptr_t site)
{
    bool *slot = &met[(site * 0x9e3779b97f4a7c15UL >> 32) % MET_SLOTS];
    return __atomic_load_n(slot, __ATOMIC_RELAXED) ||
           __atomic_exchange_n(slot, true, __ATOMIC_RELAXED);
}

/* Has the rewriting of the code at `p` been completed? Where no jump begins the memory may end. */
static bool is_our_jump(const uint8_t *p)
{
    int32_t d;
    if (p[0] != 0xe9)
        return false;
    memcpy(&d, p + 1, 4);
    return patch_is_stub((uintptr_t)p + 5 + (uintptr_t)(intptr_t)d);
}

bool patch_in_progress_at(uintptr_t ip)
{
    return __atomic_load_n(&site_in_progress, __ATOMIC_SEQ_CST) == ip ||
           is_our_jump((const uint8_t *)ip);
}

bool patch_is_stub(uintptr_t ip)
{
    uint32_t n = __atomic_load_n(&chunk_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < n; i++)
        if (ip - chunks[i].start < CHUNK_SIZE)
            return true;
    return false;
}

/* The copied code of a stub ends at `end`, with the `lea` of the address behind the site. */
static uintptr_t stub_site(uintptr_t end)
{
    int32_t d;
    memcpy(&d, (const uint8_t *)end + 3, 4);
    return end + 7 + (uintptr_t)(intptr_t)d - 2;
}

bool patch_original(uint64_t *ip, bool stepped)
{
    uint8_t code[5];
    int32_t d;
    uintptr_t stub = ALIGN_DOWN(*ip, STUB_SIZE);
    if (patch_is_stub(*ip)) {
        size_t at = *ip - stub, copied = ((const uint8_t *)stub)[STUB_LENGTH];
        if (at > copied || !copied || (stepped && !at))
            return false;
        *ip = stub_site(stub + copied) - copied + at;
        return true;
    }
    /* The padding that a site's short jump goes to? */
    if (copy_from_user(code, (const void *)*ip, sizeof(code)) || code[0] != 0xe9)
        return true;
    memcpy(&d, code + 1, 4);
    stub = *ip + 5 + (uintptr_t)(intptr_t)d;
    return !patch_is_stub(stub) || ((const uint8_t *)stub)[STUB_LENGTH];
}

void patch_gs_is_used(void)
{
    lock(&patch_lock);
    gs_is_used = true;
    for (uint32_t i = 0; i < chunk_count; i++)
        __atomic_store_n((uintptr_t *)chunks[i].start, platform_syscall_entry(true),
                         __ATOMIC_SEQ_CST);
    unlock(&patch_lock);
}

void patch_forget(void)
{
    lock(&patch_lock);
    __atomic_store_n(&chunk_count, 0, __ATOMIC_RELEASE);
    gs_is_used = false;
    for (size_t i = 0; i < MET_SLOTS; i++)
        if (met[i])
            met[i] = false;
    unlock(&patch_lock);
}

static bool reaches(uintptr_t from, uintptr_t to)
{
    int64_t d = (int64_t)(to - from);
    return d == (int32_t)d;
}

/* A free stub slot within reach of `site`, the last one that is used of *range; or 0. */
static uintptr_t take_slot(uintptr_t site, struct chunk **range)
{
    for (uint32_t i = chunk_count; i-- > 0;) {
        struct chunk *c = &chunks[i];
        if (c->used + STUB_SIZE <= CHUNK_SIZE && reaches(site, c->start) &&
            reaches(site, c->start + CHUNK_SIZE)) {
            c->used += STUB_SIZE;
            *range = c;
            return c->start + c->used - STUB_SIZE;
        }
    }
    if (chunk_count == MOST_CHUNKS)
        return 0;
    long p = mm_map_near(&current_process()->mm, site, CHUNK_SIZE);
    if (IS_ERR(p))
        return 0;
    *(uintptr_t *)p = platform_syscall_entry(gs_is_used);
    chunks[chunk_count] = (struct chunk){(uintptr_t)p, 2 * STUB_SIZE};
    __atomic_store_n(&chunk_count, chunk_count + 1, __ATOMIC_RELEASE);
    *range = &chunks[chunk_count - 1];
    return (uintptr_t)p + STUB_SIZE;
}

static uint8_t *put32(uint8_t *p, int64_t v)
{
    int32_t x = (int32_t)v;
    memcpy(p, &x, 4);
    return p + 4;
}

/* The code before a site that its stub repeats. */
struct prelude {
    uintptr_t at;
    size_t first; /* length of the first instruction, which the jump replaces; 0: no prelude */
};

/* Instructions from `at` on that are exactly what lies before `site`, all movable? Length of the
 * first, or 0. */
static size_t movable_until(uintptr_t at, uintptr_t site)
{
    size_t first = 0, disp;
    while (at < site) {
        size_t n = insn_movable((const uint8_t *)at, site - at, &disp);
        if (!n)
            return 0;
        first = first ? first : n;
        at += n;
    }
    return first;
}

/* Copies the instructions of [at, site) to `p`. False: a displacement does not reach. */
static bool copy_code(uint8_t **p, uintptr_t at, uintptr_t site)
{
    while (at < site) {
        size_t disp, n = insn_movable((const uint8_t *)at, site - at, &disp);
        memcpy(*p, (const void *)at, n);
        if (disp) {
            int32_t d;
            memcpy(&d, (const uint8_t *)at + disp, 4);
            uintptr_t target = at + n + (uintptr_t)(intptr_t)d;
            if (!reaches((uintptr_t)*p + n, target))
                return false;
            put32(*p + disp, (int64_t)(target - ((uintptr_t)*p + n)));
        }
        *p += n;
        at += n;
    }
    return true;
}

/* [prelude;] lea ret(%rip), %rcx; jmp *entry(%rip) */
static bool write_stub(uintptr_t stub, uintptr_t entry, const struct prelude *pre, uintptr_t site)
{
    uint8_t *p = (uint8_t *)stub;
    if (pre->first && !copy_code(&p, pre->at, site))
        return false;
    ((uint8_t *)stub)[STUB_LENGTH] = (uint8_t)(p - (uint8_t *)stub);
    *p++ = 0x48;
    *p++ = 0x8d;
    *p++ = 0x0d;
    p = put32(p, (int64_t)(site + 2 - ((uintptr_t)p + 4)));
    *p++ = 0xff;
    *p++ = 0x25;
    put32(p, (int64_t)(entry - ((uintptr_t)p + 4)));
    return true;
}

static void serialise_threads(void)
{
    if (!registered) {
        host_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
        registered = true;
    }
    host_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
}

/* Replaces `n` bytes of code that other threads may be about to execute. Pages are writable. */
static void write_code(uintptr_t at, const uint8_t *code, size_t n, bool alone)
{
    uint8_t *p = (uint8_t *)at;
    if (alone) {
        memcpy(p, code, n);
        return;
    }
    if ((at & 7) + n <= 8) {
        uint64_t *word = (uint64_t *)(at & ~7UL), value = *word;
        memcpy((uint8_t *)&value + (at & 7), code, n);
        __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
        return;
    }
    __atomic_store_n(&site_in_progress, at, __ATOMIC_SEQ_CST);
    __atomic_store_n(p, 0xcc, __ATOMIC_SEQ_CST);
    serialise_threads();
    for (size_t i = 1; i < n; i++)
        __atomic_store_n(p + i, code[i], __ATOMIC_SEQ_CST);
    serialise_threads();
    __atomic_store_n(p, code[0], __ATOMIC_SEQ_CST);
    serialise_threads();
    __atomic_store_n(&site_in_progress, 0, __ATOMIC_SEQ_CST);
}

struct change {
    uintptr_t at;
    uint8_t code[16];
    size_t n;
};

/* A jump of `n` bytes, five and nops. */
static void jump32(struct change *c, uintptr_t at, uintptr_t to, size_t n)
{
    c->at = at;
    c->n = n;
    memset(c->code + 5, 0x90, n - 5);
    c->code[0] = 0xe9;
    put32(c->code + 1, (int64_t)(to - (at + 5)));
}

/* Is the code private file content (not a JIT's) or our vDSO, and may be read, and where does its
 * mapping end? */
static bool patchable(struct mm *mm, uintptr_t site, uintptr_t *start, uintptr_t *end, int *prot)
{
    lock(&mm->lock);
    struct vma *v = vma_find(mm, site);
    bool ok = v && v->start <= site && site + 2 <= v->end && (v->file || v->start == vdso_base()) &&
              (v->flags & MAP_TYPE) == MAP_PRIVATE && v->prot & PROT_EXEC && v->prot & PROT_READ;
    if (ok) {
        *start = v->start;
        *end = v->end;
        *prot = v->prot;
    }
    unlock(&mm->lock);
    return ok;
}

/* False: the host keeps the code from being written. */
static bool apply(const struct change *c, size_t count, int prot, bool alone)
{
    uintptr_t low = PAGE_DOWN(c[0].at), high = PAGE_UP(c[0].at + c[0].n);
    for (size_t i = 1; i < count; i++) {
        low = MIN(low, PAGE_DOWN(c[i].at));
        high = MAX(high, PAGE_UP(c[i].at + c[i].n));
    }
    if (pages_open(low, high - low, prot | PROT_WRITE))
        return false;
    for (size_t i = 0; i < count; i++)
        write_code(c[i].at, c[i].code, c[i].n, alone);
    pages_open(low, high - low, prot);
    return true;
}

#define PRELUDE_MOST 15 /* bytes; stubs hold no more, and insn_begins() sees no further */

/* Is it `mov $imm32, %reg` of a register that holds just this? */
static bool just_loaded(const uint8_t *p, const struct regs *r)
{
    const uint64_t value[8] = {r->rax, r->rcx, r->rdx, r->rbx, 0, r->rbp, r->rsi, r->rdi};
    uint32_t imm;
    memcpy(&imm, p + 1, 4);
    return (p[0] & 0xf8) == 0xb8 && imm && value[p[0] & 7] == imm;
}

/* Rewriting A. pre->first = 0: not this shape. */
static void find_prelude(uintptr_t site, uintptr_t start, const struct regs *r, struct prelude *pre)
{
    for (size_t n = 5; n <= PRELUDE_MOST && n < site - start; n++) {
        const uint8_t *p = (const uint8_t *)site - n;
        size_t first = movable_until(site - n, site);
        /* A prefix before it would make it another instruction. */
        if (first >= 5 && (p[-1] & 0xf0) != 0x40 && p[-1] != 0x66 &&
            insn_begins(start, site - n, site) >= (just_loaded(p, r) ? 67 : 90)) {
            *pre = (struct prelude){site - n, first};
            return;
        }
    }
    pre->first = 0;
}

/* Under patch_lock; the site still reads 0f 05. */
static void rewrite(uintptr_t site, const struct regs *r, uintptr_t start, uintptr_t end, int prot)
{
    struct change c[2];
    struct prelude pre;
    bool alone = current_process()->nthreads == 1;
    find_prelude(site, start, r, &pre);
    uintptr_t hole = pre.first ? 0 : insn_find_hole(site + 2, MIN(end, site + 2 + 127), 5);
    if (!pre.first && !hole)
        return;
    struct chunk *range;
    uintptr_t stub = take_slot(site, &range);
    if (!stub)
        return;
    if (pre.first) {
        jump32(&c[0], pre.at, stub, pre.first);
    } else {
        jump32(&c[0], hole, stub, 5);
        c[1] = (struct change){.at = site, .code = {0xeb, (uint8_t)(hole - (site + 2))}, .n = 2};
    }
    if (!write_stub(stub, range->start, &pre, site) || !apply(c, pre.first ? 1 : 2, prot, alone))
        range->used -= STUB_SIZE; /* nobody knows of it; the site goes on trapping */
}

void patch_site(const struct regs *r)
{
    uintptr_t site = r->rip - 2, start, end;
    int prot;
    if (!met_before(site) || !patchable(&current_process()->mm, site, &start, &end, &prot))
        return;
    lock(&patch_lock);
    const uint8_t *code = (const uint8_t *)site;
    /* Another thread may have been faster, and our site may be the tail of its jump. */
    bool fresh =
        code[0] == 0x0f && code[1] == 0x05 && !(site - start >= 5 && is_our_jump(code - 5));
    if (fresh)
        rewrite(site, r, start, end, prot);
    unlock(&patch_lock);
}
