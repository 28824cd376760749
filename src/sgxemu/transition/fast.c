/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Fast transitions: the C part, the sites, and what signals do to them. See fast.h. */
#include "sgxemu/emu.h"
#include <asm/ldt.h>
#include <linux/membarrier.h>
#include <linux/mman.h>
#include <linux/fcntl.h>

#define GENERAL_REGS __attribute__((target("general-regs-only")))
#define USER_CS      0x33
#define USER_SS      0x2b
#define MAX_SITES    256
#define STUB_SIZE    128
#define STUBS_PAGE   4096
#define NEAR         0x70000000LL

/* Offsets in a stub that matter to a signal handler. */
#define STUB_RCX_GONE 35
#define STUB_SLOW     58

extern char fast_trampoline[], fast_trampoline_busy[], fast_final[], fast_deferred[], fast_end[];
void fast_transition(struct fast_record *r);

struct site {
    uint64_t address; /* of the mov */
    uint64_t stub;
    uint32_t leaf;
};

static struct site sites[MAX_SITES];
static volatile uint32_t site_count;
static emu_lock sites_lock;
static int selector = -1;
static volatile bool disabled;

static void disable(void);

/* ------------------------------------------------------------ thread identity */

static long set_thread_area(struct user_desc *d)
{
    long r;
    __asm__ volatile("int $0x80" : "=a"(r) : "0"(243), "b"(d) : "memory", "r8", "r9", "r10", "r11");
    return (int)r;
}

/* Gives the calling thread's descriptor its number; false: this thread cannot be told apart. The
 * kernel's old call wants its operand below 4 GiB, so a page is borrowed there. */
static bool identify(struct thread *t)
{
    const uint64_t number = ((uint64_t)t - EMU_HEAP) >> FAST_SHIFT;
    uint32_t seen = 0;
    if (number >= 1 << 20)
        return false;
    long at = sys(__NR_mmap, 0, 4096, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (sys_failed(at))
        return false;
    struct user_desc *d = (struct user_desc *)at;
    lock(&sites_lock);
    *d = (struct user_desc){.entry_number = selector < 0 ? (unsigned)-1 : (unsigned)selector >> 3,
                            .limit = (unsigned)number,
                            .seg_32bit = 1,
                            .useable = 1};
    bool ok = set_thread_area(d) == 0;
    if (ok && selector < 0)
        selector = (int)(d->entry_number << 3 | 3);
    unlock(&sites_lock);
    sys(__NR_munmap, at, 4096);
    if (ok)
        __asm__ volatile("lsl %1, %0" : "=r"(seen) : "r"((uint32_t)selector) : "cc");
    return ok && seen == number;
}

/* At a thread's first slow entry. */
static bool ready(struct thread *t)
{
    static volatile uint32_t registered;
    if (!settings.rewrite || disabled)
        return false;
    if (!registered) {
        if (sys(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0)) {
            disabled = true;
            return false;
        }
        registered = 1;
    }
    if (!t->fast_ok)
        t->fast_ok = identify(t);
    return t->fast_ok;
}

/* A new thread has its maker's descriptor. If it cannot get its own, nobody may rely on them. */
void fast_thread_start(struct thread *t)
{
    t->fast_ok = identify(t);
    if (!t->fast_ok)
        disable();
}

void fast_after_fork(void)
{
    sites_lock = 0;
}

/* ------------------------------------------------------------ the transition */

/* The ENCLU itself, which traps. */
GENERAL_REGS static void decline(struct fast_record *r)
{
    r->how = 0;
    r->rax = r->leaf;
    r->rip = r->site + 5;
    r->iret_rsp = r->rsp;
}

GENERAL_REGS static bool fast_eenter(struct thread *t, struct fast_record *r)
{
    struct fast_entry *f = &t->entry;
    if (t->cpu.in_enclave || f->tcs_address != r->rbx || !f->tcs_address ||
        f->generation != *f->generation_now || r->rflags & (RFLAGS_TF | RFLAGS_DF) ||
        !sgx_canonical(r->rcx))
        return false;
    struct sgx_tcs *tcs = f->tcs;
    if (!sgx_tcs_claim(tcs))
        return false;
    /* From here on nobody else uses this TCS; EMODT and its kin come with an "IPI". */
    *f->inside = 1;
    t->cpu.entry_epoch = sgx_track_enter(f->state);
    if (tcs->cssa || f->generation != *f->generation_now) {
        sgx_track_leave(f->state, t->cpu.entry_epoch);
        *f->inside = 0;
        sgx_tcs_release(tcs);
        return false;
    }
    tcs->aep = r->rcx;
    f->gpr->ursp = r->rsp;
    f->gpr->urbp = r->rbp;
    __asm__ volatile("rdfsbase %0" : "=r"(t->cpu.saved_fsbase));
    __asm__ volatile("rdgsbase %0" : "=r"(t->cpu.saved_gsbase));
    t->cpu.saved_tf = false;
    t->cpu.tcs = f->tcs_address;
    t->cpu.in_enclave = true;
    t->selector = 1;
    r->how = FAST_EENTER;
    r->landing = f->landing;
    r->rax = 0;
    r->rcx = r->site + 5 + ENCL_INSN_LEN;
    r->rip = f->target;
    r->iret_rsp = r->rsp;
    __asm__ volatile("wrfsbase %0" : : "r"(f->fsbase));
    __asm__ volatile("wrgsbase %0" : : "r"(f->gsbase));
    t->fast_enters++;
    return true;
}

GENERAL_REGS static bool fast_eexit(struct thread *t, struct fast_record *r)
{
    struct fast_entry *f = &t->entry;
    if (!t->cpu.in_enclave || f->tcs_address != t->cpu.tcs || !sgx_canonical(r->rbx) ||
        t->cpu.saved_tf || r->rflags & (RFLAGS_TF | RFLAGS_DF))
        return false;
    r->how = FAST_EEXIT;
    r->rax = r->leaf;
    r->rcx = f->tcs->aep;
    r->rip = r->rbx;
    r->iret_rsp = r->rsp;
    t->selector = 0;
    t->cpu.in_enclave = false;
    sgx_track_leave(f->state, t->cpu.entry_epoch);
    *f->inside = 0;
    sgx_tcs_release(f->tcs);
    __asm__ volatile("wrfsbase %0" : : "r"(t->cpu.saved_fsbase));
    __asm__ volatile("wrgsbase %0" : : "r"(t->cpu.saved_gsbase));
    return true;
}

GENERAL_REGS void fast_transition(struct fast_record *r)
{
    struct thread *t = (struct thread *)r;
    r->cs = USER_CS;
    r->ss = USER_SS;
    if (r->leaf == SGX_EENTER ? !fast_eenter(t, r) : !fast_eexit(t, r))
        decline(r);
}

/* ------------------------------------------------------------ sites */

static void put32(uint8_t *p, uint64_t target)
{
    int32_t rel = (int32_t)((int64_t)target - (int64_t)(uint64_t)(p + 4));
    memcpy(p, &rel, 4);
}

/* Builds a stub; the layout is what the STUB_ constants describe. */
static void build_stub(uint8_t *s, uint64_t site, uint32_t leaf)
{
    const uint64_t heap = EMU_HEAP, tramp = (uint64_t)fast_trampoline;
    uint8_t code[68] = {
        0xb8, 0,    0,         0,          0,                /*  0 mov $selector,%eax */
        0x0f, 0x03, 0xc0,                                    /*  5 lsl %eax,%eax */
        0x75, 48,                                            /*  8 jnz 58 */
        0x48, 0xc1, 0xe0,      FAST_SHIFT,                   /* 10 shl $18,%rax */
        0x48, 0x03, 0x05,      0,          0, 0, 0,          /* 14 add heap(%rip),%rax */
        0x48, 0x89, 0x48,      FAST_RCX,                     /* 21 mov %rcx,FAST_RCX(%rax) */
        0x48, 0xb9, 0,         0,          0, 0, 0, 0, 0, 0, /* 25 movabs $site,%rcx */
        0x48, 0x89, 0x88,      FAST_SITE,  0, 0, 0,          /* 35 mov %rcx,FAST_SITE(%rax) */
        0xc7, 0x80, FAST_LEAF, 0,          0, 0, 0, 0, 0, 0, /* 42 movl $leaf,FAST_LEAF(%rax) */
        0xff, 0x25, 0,         0,          0, 0,             /* 52 jmp *trampoline(%rip) */
        0xb8, 0,    0,         0,          0,                /* 58 mov $leaf,%eax */
        0xe9, 0,    0,         0,          0,                /* 63 jmp site + 5 */
    };
    uint32_t sel = (uint32_t)selector;
    memcpy(s, code, sizeof(code));
    memcpy(s + 1, &sel, 4);
    memcpy(s + 27, &site, 8);
    memcpy(s + 48, &leaf, 4);
    memcpy(s + 59, &leaf, 4);
    memcpy(s + 72, &heap, 8);
    memcpy(s + 80, &tramp, 8);
    put32(s + 17, (uint64_t)s + 72);
    put32(s + 54, (uint64_t)s + 80);
    put32(s + 64, site + 5);
}

static bool near(uint64_t a, uint64_t b)
{
    int64_t d = (int64_t)(a - b);
    return d < NEAR && d > -NEAR;
}

/* A page that a jump at `site` can reach. */
static uint8_t *page_near(uint64_t site, int sharing)
{
    for (int64_t d = 0x1000000; d < NEAR; d += 0x4000000) {
        for (int sign = -1; sign <= 1; sign += 2) {
            uint64_t hint = (site & ~0xfffULL) + (uint64_t)(sign * d);
            if (hint >> 47 || driver_owns(hint))
                continue;
            long at = sys(__NR_mmap, hint, STUBS_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                          sharing | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
            if (!sys_failed(at))
                return (uint8_t *)at;
        }
    }
    return NULL;
}

/* Room for a stub. An enclave's text is shared with processes that may have been forked before: its
 * stub has a page of its own, which they either share or do not have at all. */
static uint8_t *stub_room(uint64_t site, uint32_t leaf)
{
    static uint8_t *pages[32];
    static uint32_t used[32];
    if (leaf == SGX_EEXIT)
        return page_near(site, MAP_SHARED);
    for (unsigned i = 0; i < 32; i++) {
        if (!pages[i]) {
            pages[i] = page_near(site, MAP_PRIVATE);
            used[i] = 0;
        }
        if (!pages[i])
            return NULL;
        if (near((uint64_t)pages[i], site) && used[i] + STUB_SIZE <= STUBS_PAGE) {
            used[i] += STUB_SIZE;
            return pages[i] + used[i] - STUB_SIZE;
        }
    }
    return NULL;
}

static void sync_cores(void)
{
    sys(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
}

/* Writes program text (through /proc/self/mem) or enclave text (through the device's alias). */
static bool poke(uint8_t *alias, long mem, uint64_t at, const uint8_t *bytes, size_t n)
{
    if (!alias)
        return sys(__NR_pwrite64, mem, bytes, n, at) == (long)n;
    for (size_t i = 0; i < n; i++)
        *(volatile uint8_t *)(alias + i) = bytes[i];
    return true;
}

/* INT3 first, then the rest, then the first byte: a thread may run through at any moment. */
static void patch(const struct site *s, uint8_t *alias, bool on)
{
    uint8_t jump[5] = {on ? 0xe9 : 0xb8}, trap = 0xcc;
    int32_t rel = on ? (int32_t)((int64_t)s->stub - (int64_t)(s->address + 5)) : (int32_t)s->leaf;
    memcpy(jump + 1, &rel, 4);
    long mem = alias ? -1 : sys(__NR_openat, AT_FDCWD, "/proc/self/mem", O_RDWR | O_CLOEXEC, 0);
    if (!alias && sys_failed(mem))
        return;
    if (poke(alias, mem, s->address, &trap, 1)) {
        sync_cores();
        poke(alias ? alias + 1 : NULL, mem, s->address + 1, jump + 1, 4);
        sync_cores();
        poke(alias, mem, s->address, jump, 1);
        sync_cores();
    }
    if (!alias)
        sys(__NR_close, mem);
}

/* `mov $leaf,%eax` right before the ENCLU at rip, not the tail of a longer instruction. */
static bool is_site(uint64_t rip, uint32_t leaf)
{
    uint8_t code[6];
    if (!user_read(code, rip - 6, sizeof(code)))
        return false;
    return (code[0] & 0xf0) != 0x40 && code[1] == 0xb8 && code[2] == leaf && !code[3] && !code[4] &&
           !code[5];
}

static const struct site *site_at(uint64_t address)
{
    for (uint32_t i = 0; i < site_count; i++) {
        if (sites[i].address == address)
            return &sites[i];
    }
    return NULL;
}

/* The record of a site, old (its text has come back as it was) or new. */
static const struct site *site_for(uint64_t address, uint32_t leaf)
{
    const struct site *known = site_at(address);
    uint8_t *room;
    if (known)
        return known->leaf == leaf ? known : NULL;
    if (site_count == MAX_SITES || !(room = stub_room(address, leaf)))
        return NULL;
    struct site *s = &sites[site_count];
    build_stub(room, address, leaf);
    *s = (struct site){.address = address, .stub = (uint64_t)room, .leaf = leaf};
    __atomic_store_n(&site_count, site_count + 1, __ATOMIC_SEQ_CST);
    return s;
}

/* Is the jump that patch() wrote still there? */
static bool is_patched(const struct site *s)
{
    uint8_t code[5];
    int32_t rel = (int32_t)((int64_t)s->stub - (int64_t)(s->address + 5));
    return user_read(code, s->address, sizeof(code)) && code[0] == 0xe9 &&
           memcmp(code + 1, &rel, 4) == 0;
}

/* Back to slow sites, for good. */
static void disable(void)
{
    lock(&sites_lock);
    disabled = true;
    for (uint32_t i = 0; i < site_count; i++) {
        uint8_t *alias = sites[i].leaf == SGX_EEXIT ? driver_alias(sites[i].address) : NULL;
        if ((sites[i].leaf == SGX_EENTER || alias) && is_patched(&sites[i]))
            patch(&sites[i], alias, false);
    }
    unlock(&sites_lock);
}

void fast_consider(struct thread *t, uint64_t rip, uint32_t leaf)
{
    if (!ready(t) || !is_site(rip, leaf) || (leaf == SGX_EENTER) == driver_owns(rip))
        return;
    lock(&sites_lock);
    const struct site *s = site_for(rip - 5, leaf);
    bool same_page = ((rip - 5) & 0xfff) <= 0xff8;
    if (s && same_page && leaf == SGX_EENTER) {
        patch(s, NULL, true);
    } else if (s && same_page) {
        uint8_t *alias = driver_alias(s->address);
        if (alias && driver_note_stub(s->address, s->stub))
            patch(s, alias, true);
    }
    unlock(&sites_lock);
}

/* ------------------------------------------------------------ landings */

#define LANDING_SIZE 32
#define LANDINGS     128

static uint8_t *landings; /* one page */
static volatile uint32_t landing_count;

static bool in_landing(uint64_t rip)
{
    return landings && rip - (uint64_t)landings < LANDING_SIZE * LANDINGS;
}

/* `mov $0,%eax; jmp *target(%rip)`: where a fast EENTER leaves the trampoline. 0: no room. */
uint64_t fast_landing(uint64_t target)
{
    static const uint8_t code[11] = {0xb8, 0, 0, 0, 0, 0xff, 0x25, 0, 0, 0, 0};
    uint8_t *found = NULL;
    if (!settings.rewrite || disabled)
        return 0;
    lock(&sites_lock);
    if (!landings) {
        landings = emu_map(LANDING_SIZE * LANDINGS, 4096);
        sys(__NR_mprotect, landings, LANDING_SIZE * LANDINGS, PROT_READ | PROT_WRITE | PROT_EXEC);
    }
    for (uint32_t i = 0; i < landing_count && !found; i++) {
        if (memcmp(landings + i * LANDING_SIZE + 11, &target, 8) == 0)
            found = landings + i * LANDING_SIZE;
    }
    if (!found && landing_count < LANDINGS) {
        found = landings + landing_count++ * LANDING_SIZE;
        memcpy(found, code, sizeof(code));
        memcpy(found + 11, &target, 8);
    }
    unlock(&sites_lock);
    return (uint64_t)found;
}

/* ------------------------------------------------------------ signals */

static void complete(struct thread *t, struct ucontext *uc)
{
    struct sigcontext *m = &uc->uc_mcontext;
    const struct fast_record *r = &t->fast;
    m->rax = r->rax, m->rbx = r->rbx, m->rcx = r->rcx, m->rdx = r->rdx;
    m->rsi = r->rsi, m->rdi = r->rdi, m->rbp = r->rbp, m->rsp = r->iret_rsp;
    m->r8 = r->r8, m->r9 = r->r9, m->r10 = r->r10, m->r11 = r->r11;
    m->r12 = r->r12, m->r13 = r->r13, m->r14 = r->r14, m->r15 = r->r15;
    m->rip = r->rip;
    m->eflags = r->rflags;
    t->fast.busy = 0;
    t->fast.deferred = 0;
}

static const struct site *site_of_stub(uint64_t rip)
{
    for (uint32_t i = 0; i < site_count; i++) {
        if (rip >= sites[i].stub && rip < sites[i].stub + 68)
            return &sites[i];
    }
    return NULL;
}

/* Before anything else looks at a signal's context. */
enum fast_outcome fast_interrupted(struct thread *t, struct ucontext *uc, int sig,
                                   const siginfo_t *info)
{
    struct sigcontext *m = &uc->uc_mcontext;
    const uint64_t rip = m->rip;
    const struct site *s;
    if (!site_count)
        return FAST_NONE;
    if (sig == SIGTRAP && info->si_code > 0 && m->trapno == 3) {
        if (rip == (uint64_t)fast_deferred) {
            complete(t, uc);
            return FAST_COMPLETED;
        }
        if (site_at(rip - 1)) { /* it is being patched */
            m->rip = rip - 1;
            return FAST_DONE;
        }
    }
    if ((rip >= (uint64_t)fast_final && rip < (uint64_t)fast_end) || in_landing(rip)) {
        complete(t, uc);
        return FAST_NONE;
    }
    if (t->fast.busy) {
        if (RESERVED_SIGNALS & SIGBIT(sig)) {
            t->kept_reserved |= SIGBIT(sig);
            t->kept_info[sig] = *info;
        } else {
            t->kept_signal = sig;
            t->kept = *info;
        }
        t->fast.deferred = 1;
        return FAST_DEFER;
    }
    if (rip == (uint64_t)fast_trampoline) {
        m->rcx = t->fast.rcx;
        m->rip = t->fast.site;
    } else if ((s = site_of_stub(rip))) {
        if (rip - s->stub >= STUB_RCX_GONE && rip - s->stub < STUB_SLOW)
            m->rcx = t->fast.rcx;
        m->rip = s->address;
    }
    return FAST_NONE;
}
