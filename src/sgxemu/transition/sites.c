/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Where ENCLU has been rewritten: the table of sites, room for stubs, the change of the bytes. */
#include "sgxemu/emu.h"
#include <linux/membarrier.h>
#include <linux/mman.h>
#include <linux/fcntl.h>

#define MAX_SITES 4096
#define NEAR      0x70000000LL
#define HASH_BITS 15
#define HASH_SIZE (1U << HASH_BITS) /* above the slots of all stubs */
_Static_assert(MAX_SITES *STUB_TAIL_SLOTS < HASH_SIZE, "the hash must have free places");

/* Entries are complete before the hashes name them; handlers read without the lock. */
static struct site sites[MAX_SITES];
static uint32_t site_count;
static volatile uint16_t by_address[HASH_SIZE], by_slot[HASH_SIZE]; /* index + 1; 0: free */
static emu_lock sites_lock;
volatile bool sites_in_program;
static volatile uint64_t patching; /* the site whose bytes are changing; under the lock */

void sites_after_fork(void)
{
    sites_lock = 0;
    patching = 0;
}

/* ------------------------------------------------------------ the table */

GENERAL_REGS static uint32_t hash(uint64_t key)
{
    return (uint32_t)(key * 0x9e3779b97f4a7c15ULL >> (64 - HASH_BITS));
}

static void put(volatile uint16_t *table, uint64_t key, uint32_t index)
{
    uint32_t h = hash(key);
    while (table[h])
        h = (h + 1) % HASH_SIZE;
    __atomic_store_n(&table[h], (uint16_t)(index + 1), __ATOMIC_RELEASE);
}

GENERAL_REGS const struct site *site_at(uint64_t address)
{
    for (uint32_t h = hash(address); by_address[h]; h = (h + 1) % HASH_SIZE) {
        const struct site *s = &sites[by_address[h] - 1];
        if (s->address == address)
            return s;
    }
    return NULL;
}

/* Lengths of the moves that a SITE_MOV may replace. */
static const uint8_t mov_lengths[] = {5, 6, 7, 10};

const struct site *site_before(uint64_t enclu)
{
    for (size_t i = 0; i < sizeof(mov_lengths); i++) {
        const struct site *s = site_at(enclu - mov_lengths[i]);
        if (s && s->form == SITE_MOV && s->mov_len == mov_lengths[i])
            return s;
    }
    return NULL;
}

GENERAL_REGS const struct site *site_of_stub(uint64_t rip)
{
    const uint64_t slot = rip / STUB_SLOT;
    for (uint32_t h = hash(slot); by_slot[h]; h = (h + 1) % HASH_SIZE) {
        const struct site *s = &sites[by_slot[h] - 1];
        if (rip - s->stub < (uint64_t)stub_slots(s) * STUB_SLOT)
            return s;
    }
    return NULL;
}

static const struct site *insert(const struct site *s)
{
    const uint32_t index = site_count++;
    sites[index] = *s;
    for (unsigned i = 0; i < stub_slots(s); i++)
        put(by_slot, s->stub / STUB_SLOT + i, index);
    put(by_address, s->address, index);
    return &sites[index];
}

/* ------------------------------------------------------------ room for stubs */

static uint8_t *map_at(uint64_t address)
{
    if (address < 0x10000 || address >> 47 || driver_in_elrange(address) ||
        address - EMU_BASE < EMU_SIZE)
        return NULL;
    long at = sys(__NR_mmap, address, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (!sys_failed(at) && (uint64_t)at != address) { /* before Linux 4.17 */
        sys(__NR_munmap, at, 4096);
        return NULL;
    }
    return sys_failed(at) ? NULL : (uint8_t *)at;
}

/* A page that a jump at `site` can reach. */
static uint8_t *page_near(uint64_t site)
{
    for (int64_t d = 0x1000000; d < NEAR; d += 0x4000000) {
        for (int sign = -1; sign <= 1; sign += 2) {
            uint8_t *page = map_at((site & ~0xfffULL) + (uint64_t)(sign * d));
            if (page)
                return page;
        }
    }
    return NULL;
}

/* Does this byte, executed, always trap? (#UD in 64-bit mode, on old processors and new.) */
static bool traps(uint8_t byte)
{
    static const uint8_t invalid[] = {0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f,
                                      0x37, 0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xea};
    for (size_t i = 0; i < sizeof(invalid); i++) {
        if (invalid[i] == byte)
            return true;
    }
    return false;
}

/* A page for a SITE_TAIL: the bytes of the jump's displacement that replace what followed the ENCLU
 * are INT3 and, where a second instruction began, an invalid opcode. */
static uint8_t *page_for_tail(uint64_t site, bool two)
{
    for (int high = 0; high < 256; high++) {
        const uint8_t top = (uint8_t)(high & 1 ? 0xff - high / 2 : high / 2); /* near first */
        if (two && !traps(top))
            continue;
        const uint64_t window =
            site + SITE_JUMP + (uint64_t)(int64_t)(int32_t)((uint32_t)top << 24 | 0xcc0000);
        for (uint64_t at = (window + 0xfff) & ~0xfffULL; at + 0xfff < window + 0x10000;
             at += 4096) {
            uint8_t *page = map_at(at);
            if (page)
                return page;
        }
    }
    return NULL;
}

/* EENTER sites share pages. In an enclave each has its own: other processes of the enclave build it
 * for themselves. */
static uint8_t *room_in_program(uint64_t site)
{
    static uint8_t *pages[MAX_SITES / (4096 / STUB_SLOT) + 32];
    static uint16_t used[sizeof(pages) / sizeof(pages[0])];
    for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (!pages[i] && !(pages[i] = page_near(site)))
            return NULL;
        int64_t d = (int64_t)((uint64_t)pages[i] - site);
        if (d < NEAR && d > -NEAR && used[i] + STUB_SLOT <= 4096) {
            used[i] += STUB_SLOT;
            return pages[i] + used[i] - STUB_SLOT;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------ the bytes */

static void sync_cores(void)
{
    sys(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
}

/* Writes program text (through /proc/self/mem) or enclave text (through the device's alias). */
static bool poke(uint8_t *alias, long mem, const struct site *s, unsigned at, const uint8_t *bytes,
                 size_t n)
{
    if (!alias)
        return sys(__NR_pwrite64, mem, bytes, n, s->address + at) == (long)n;
    for (size_t i = 0; i < n; i++)
        *(volatile uint8_t *)(alias + at + i) = bytes[i];
    return true;
}

GENERAL_REGS static void jump_to(const struct site *s, uint8_t jump[SITE_JUMP])
{
    int32_t rel = (int32_t)((int64_t)s->stub - (int64_t)(s->address + SITE_JUMP));
    jump[0] = 0xe9;
    memcpy(jump + 1, &rel, 4);
}

/* INT3 at the boundaries first, then the rest, then the first byte: a thread may run through at any
 * moment, and finds instructions of before, of after, or one that traps and is tried again. */
static void patch(const struct site *s, uint8_t *alias, bool on)
{
    static const uint8_t trap = 0xcc;
    uint8_t code[SITE_JUMP];
    if (on)
        jump_to(s, code);
    else
        memcpy(code, s->original, sizeof(code));
    long mem = alias ? -1 : sys(__NR_openat, AT_FDCWD, "/proc/self/mem", O_RDWR | O_CLOEXEC, 0);
    if (!alias && sys_failed(mem))
        return;
    patching = s->address;
    if (poke(alias, mem, s, 0, &trap, 1)) {
        if (s->form == SITE_TAIL)
            poke(alias, mem, s, ENCL_INSN_LEN, &trap, 1);
        sync_cores();
        poke(alias, mem, s, 4, code + 4, 1);
        poke(alias, mem, s, 1, code + 1, 2);
        sync_cores();
        poke(alias, mem, s, 3, code + 3, 1);
        poke(alias, mem, s, 0, code, 1);
        sync_cores();
    }
    patching = 0;
    if (!alias)
        sys(__NR_close, mem);
}

/* Is the jump that patch() wrote still there? */
GENERAL_REGS bool is_patched(const struct site *s)
{
    uint8_t now[8] = {0}, jump[8] = {0};
    uint64_t a, b;
    jump_to(s, jump);
    if (!user_read(now, s->address, SITE_JUMP))
        return false;
    memcpy(&a, now, 8);
    memcpy(&b, jump, 8);
    return a == b;
}

/* ------------------------------------------------------------ choosing sites */

/* Length of an immediate move of the leaf to EAX or RAX that ends at rip; 0: none is there. What
 * may be a prefix before the shorter ones makes them something else. */
static unsigned mov_before(uint64_t rip, uint32_t leaf)
{
    static const struct {
        uint8_t length, opcode_length, opcode[3];
        bool whole; /* nothing before it could be a part of it */
    } moves[] = {{10, 2, {0x48, 0xb8}, true},
                 {7, 3, {0x48, 0xc7, 0xc0}, true},
                 {6, 2, {0xc7, 0xc0}, false},
                 {5, 1, {0xb8}, false}};
    uint8_t code[11], want[10];
    if (!user_read(code, rip - sizeof(code), sizeof(code)))
        return 0;
    for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
        const unsigned length = moves[i].length;
        const uint8_t *at = code + sizeof(code) - length;
        memset(want, 0, sizeof(want));
        memcpy(want, moves[i].opcode, moves[i].opcode_length);
        memcpy(want + moves[i].opcode_length, &leaf, sizeof(leaf));
        if (memcmp(at, want, length) == 0 &&
            (moves[i].whole || ((at[-1] & 0xf0) != 0x40 && at[-1] != 0x66)))
            return length;
    }
    return 0;
}

/* Could these bytes be the end of a longer instruction, `movl $2, -72(%rsp)` say? */
static bool is_ambiguous(uint64_t rip, unsigned mov)
{
    enum { BEFORE = 9 };
    uint8_t code[BEFORE + 10 + 16] = {0};
    bool last;
    if (!user_read(code, rip - mov - BEFORE, BEFORE + mov))
        return true;
    for (unsigned back = 1; back <= BEFORE; back++) {
        if (decode_movable(code + BEFORE - back, &last) == back + mov)
            return true;
    }
    return false;
}

static bool describe_mov(struct site *s, uint64_t rip, uint32_t leaf, unsigned length)
{
    *s = (struct site){
        .address = rip - length, .leaf = leaf, .form = SITE_MOV, .mov_len = (uint8_t)length};
    return user_read(s->original, s->address, SITE_JUMP);
}

/* What fills the room between functions: NOPs, of several bytes too, and INT3. */
static unsigned padding(const uint8_t *code)
{
    bool last;
    if (code[0] == 0x90 || code[0] == 0xcc)
        return 1;
    if (code[0] == 0x66 || code[0] == 0x2e || (code[0] == 0x0f && code[1] == 0x1f))
        return decode_movable(code, &last);
    return 0;
}

/* What follows the ENCLU, as far as the jump reaches. `two`: the jump covers two boundaries. */
static bool describe_tail(struct site *s, uint64_t rip, bool *two)
{
    uint8_t code[ENCL_INSN_LEN + 2 * TAIL_MAX];
    bool last = false;
    memset(code, 0x06, sizeof(code)); /* unreadable: no instruction */
    if (!user_read(code, rip, sizeof(code)) && !user_read(code, rip, ENCL_INSN_LEN + 2))
        return false;
    *s = (struct site){.address = rip, .form = SITE_TAIL};
    unsigned n = 0, first = 0;
    struct branch_insn b = {.kind = BRANCH_NONE};
    while (n < SITE_JUMP - ENCL_INSN_LEN && b.kind == BRANCH_NONE) {
        const uint8_t *at = code + ENCL_INSN_LEN + n;
        const bool after_end = last; /* whatever else is behind a RET may be somebody's data */
        unsigned len = after_end               ? padding(at)
                       : decode_branch(at, &b) ? b.length
                                               : decode_movable(at, &last);
        if (!len || n + len > TAIL_MAX)
            return false;
        first = first ? first : len;
        n += len;
    }
    *two = first == 1;
    s->tail_len = (uint8_t)n;
    s->fixed = (uint8_t)(n - b.length);
    memcpy(s->original, code, SITE_JUMP);
    memcpy(s->tail, code + ENCL_INSN_LEN, n);
    return true;
}

/* The ENCLUs that could not be rewritten lately: looking for room again at each would be slow. */
static uint64_t refused[64];
static unsigned refused_next;

static bool is_refused(uint64_t rip)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (refused[i] == rip)
            return true;
    }
    return false;
}

/* A new site for the ENCLU at rip; NULL when it cannot be rewritten. */
static const struct site *make(uint64_t rip, uint32_t leaf)
{
    struct site s;
    bool two = false;
    uint8_t *room;
    if (site_count == MAX_SITES || is_refused(rip))
        return NULL;
    refused[refused_next++ % (sizeof(refused) / sizeof(refused[0]))] = rip; /* until it succeeds */
    if (leaf == SGX_EENTER && !text_is_constant(rip))
        return NULL;
    const unsigned mov = mov_before(rip, leaf);
    if (mov && ((rip - mov) & 0xfff) <= 0x1000 - SITE_JUMP && !is_ambiguous(rip, mov)) {
        if (!describe_mov(&s, rip, leaf, mov))
            return NULL;
        room = leaf == SGX_EENTER ? room_in_program(s.address) : page_near(s.address);
    } else {
        if ((rip & 0xfff) > 0x1000 - SITE_JUMP || !describe_tail(&s, rip, &two))
            return NULL;
        room = page_for_tail(s.address, two);
    }
    if (!room)
        return NULL;
    refused[--refused_next % (sizeof(refused) / sizeof(refused[0]))] = 0;
    s.stub = (uint64_t)room;
    stub_build(&s);
    return insert(&s);
}

/* The site of an ENCLU that has trapped, old (its text has come back as it was) or new. */
static const struct site *site_for(uint64_t rip, uint32_t leaf)
{
    const struct site *mov = site_before(rip), *tail = site_at(rip);
    uint8_t now[SITE_JUMP];
    if (mov) {
        if (mov->leaf == leaf && user_read(now, mov->address, SITE_JUMP) &&
            memcmp(now, mov->original, SITE_JUMP) == 0)
            return mov;
        if (mov->leaf != leaf)
            return NULL;
    }
    if (tail && tail->form == SITE_TAIL) {
        bool same = user_read(now, rip, SITE_JUMP) && memcmp(now, tail->original, SITE_JUMP) == 0;
        return same ? tail : NULL;
    }
    return mov ? NULL : make(rip, leaf);
}

void sites_restore(uint64_t start, uint64_t len)
{
    if (!site_count)
        return;
    lock(&sites_lock);
    for (uint32_t i = 0; i < site_count; i++) {
        const struct site *s = &sites[i];
        if (s->address + SITE_JUMP > start && s->address < start + len &&
            !driver_owns(s->address) && is_patched(s))
            patch(s, NULL, false);
    }
    unlock(&sites_lock);
}

void fast_consider(struct thread *t, uint64_t rip, uint32_t leaf)
{
    if (leaf == SGX_ERESUME || leaf == SGX_EDECCSSA || !fast_ready(t) ||
        (leaf == SGX_EENTER) == driver_owns(rip))
        return;
    lock(&sites_lock);
    const struct site *s = site_for(rip, leaf);
    if (s && leaf == SGX_EENTER) {
        sites_in_program |= s->form == SITE_TAIL; /* before anybody can come to one */
        patch(s, NULL, true);
    } else if (s) {
        uint8_t *alias = driver_alias(s->address);
        if (alias && driver_begin_patch(t->enclave, s)) {
            patch(s, alias, true);
            driver_end_patch(t->enclave);
        }
    }
    unlock(&sites_lock);
}

/* ------------------------------------------------------------ jumps of other processes */

/* The site of an enclave is this process's too: true when its stub can be run here. */
static bool adopt(const struct site *s)
{
    const struct site *known = site_at(s->address);
    uint8_t byte;
    if (known && known->stub != s->stub)
        return false;
    if (known && user_read(&byte, s->stub, 1))
        return true;
    if ((!known && site_count == MAX_SITES) || !map_at(s->stub & ~0xfffULL))
        return false;
    stub_build(s);
    if (!known)
        insert(s);
    return true;
}

/* As adopt(); where that cannot be, the site goes back to trapping, for all. */
static bool adopt_or_restore(struct enclave *e, const struct site *s, bool usable)
{
    lock(&sites_lock);
    bool ok = usable && adopt(s);
    if (!ok && s->form == SITE_TAIL) {
        uint8_t *alias = driver_alias(s->address);
        if (alias && driver_abandon_site(e, s)) {
            patch(s, alias, false);
            driver_end_patch(e);
        }
    }
    unlock(&sites_lock);
    return ok;
}

bool fast_foreign_jump(struct enclave *e, struct sigcontext *m, uint64_t target)
{
    struct site s;
    if (!driver_find_site(e, 0, target, &s))
        return false;
    if (adopt_or_restore(e, &s, !(m->err & PF_P)))
        return true;
    if (s.form == SITE_TAIL) {
        m->rip = s.address;
    } else {
        m->rip = stub_enclu(&s);
        m->rax = s.leaf;
    }
    return true;
}

/* Somebody came to an instruction boundary under a jump, or to a site whose bytes are changing. */
bool fast_redirect(struct thread *t, struct sigcontext *m, bool int3)
{
    const uint64_t at = m->rip - int3;
    struct enclave *e = t->cpu.in_enclave ? t->enclave : NULL;
    uint8_t byte = 0xcc;
    for (unsigned back = ENCL_INSN_LEN; back < SITE_JUMP; back++) {
        const struct site *known = site_at(at - back);
        struct site s;
        if (known)
            s = *known;
        else if (!e || !driver_find_site(e, at - back, 0, &s))
            continue;
        if (s.form != SITE_TAIL || !is_patched(&s))
            continue;
        m->rip = known || adopt_or_restore(e, &s, true) ? stub_copy(&s, at) : at;
        return true;
    }
    if (!int3)
        return false;
    bool changing = (patching && (at == patching || at == patching + ENCL_INSN_LEN)) ||
                    (e && driver_is_patching(e, at)) ||
                    (site_at(at) && user_read(&byte, at, 1) && byte != 0xcc);
    if (changing)
        m->rip = at;
    return changing;
}
