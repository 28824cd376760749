/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Enclave records, the core's view of memory, active threads, the list of rewritten sites. */
#include "sgxemu/driver/driver.h"
#include <linux/mman.h>
#include <linux/fcntl.h>

#define MAX_ENCLAVES 1024

struct stat_head {
    uint64_t dev, ino, nlink;
    uint32_t mode, rest[29];
};

static emu_lock table_lock;
static struct enclave table[MAX_ENCLAVES];
static volatile uint32_t table_top; /* records from here on have never been used */

static bool stat_file(int fd, struct stat_head *st)
{
    return sys(__NR_fstat, fd, st) == 0 && (st->mode & 0170000) == 0100000;
}

static uint64_t magic_of(int fd)
{
    uint64_t magic = 0;
    return sys(__NR_pread64, fd, &magic, 8, 0) == 8 ? magic : 0;
}

bool is_provision(int fd)
{
    return magic_of(fd) == PROVISION_MAGIC;
}

/* ------------------------------------------------------------ the core's view of memory */

static struct enclave *self(struct sgx_memory *mem)
{
    return (struct enclave *)mem;
}

static uint32_t walk(struct sgx_memory *mem, uint64_t la, uint32_t access, bool user, bool *present,
                     struct epc_page *page)
{
    struct enclave *e = self(mem);
    const uint32_t error = (user ? PF_U : 0) | (access & ACCESS_W ? PF_W : 0);
    *page = (struct epc_page){0};
    *present = true;
    if (!user && la == KERNEL_SECS) {
        *page = (struct epc_page){&e->header->secs_epcm, e->meta + FILE_SECS, 1};
        return 0;
    }
    if (!user && la >= KERNEL_ALIAS)
        la -= KERNEL_ALIAS;
    if (e->header->created && in_enclave_range(e, la)) {
        struct epcm *entry = epcm_of(e, la);
        if (user) {
            struct vma v;
            if (!vma_at(e, la, &v) || !entry->valid) {
                *present = false;
                return error;
            }
            if ((v.prot & access) != access) {
                *present = false;
                return error | PF_P;
            }
        }
        *page =
            (struct epc_page){entry, page_of(e, la), (uint32_t)((la - e->header->base) >> 12) + 2};
        return 0;
    }
    *present = !user;
    return *present ? 0 : error;
}

static uint8_t *direct(struct enclave *e, uint64_t la, size_t len)
{
    if (!e->header->created || !in_enclave_range(e, la) ||
        e->header->base + e->header->size - la < len)
        return NULL;
    return page_of(e, la) + (la & 0xfff);
}

static int mem_read(struct sgx_memory *mem, uint64_t la, void *to, size_t len, uint64_t *fault)
{
    const uint8_t *p = direct(self(mem), la, len);
    size_t left = p ? (memcpy(to, p, len), 0) : usercopy(to, (const void *)la, len);
    *fault = la + len - left;
    return left ? SGX_PF : 0;
}

static int mem_write(struct sgx_memory *mem, uint64_t la, const void *from, size_t len,
                     uint64_t *fault)
{
    uint8_t *p = direct(self(mem), la, len);
    size_t left = p ? (memcpy(p, from, len), 0) : usercopy((void *)la, from, len);
    *fault = la + len - left;
    return left ? SGX_PF : 0;
}

static void mem_secs(struct sgx_memory *mem, uint32_t handle, struct epc_page *page)
{
    struct enclave *e = self(mem);
    *page = (struct epc_page){&e->header->secs_epcm, e->meta + FILE_SECS, 1};
}

static uint64_t new_eid(struct sgx_memory *mem)
{
    uint64_t id = 0;
    sys(__NR_getrandom, &id, sizeof(id), 0);
    return id;
}

struct sgx_memory *driver_memory(struct enclave *e)
{
    return &e->mem;
}

/* ------------------------------------------------------------ records */

/* Maps a part of the file at an address of the device's own; places of forgotten enclaves come up
 * again when the range has been used once. */
static uint8_t *map_file(int fd, uint64_t offset, uint64_t size)
{
    static volatile uint64_t next;
    const uint64_t first = EMU_HEAP + (1ULL << 40), range = EMU_HEAP_SIZE - (1ULL << 40);
    const uint64_t span = (size + 0x200000 + 0x1fffff) & ~0x1fffffULL;
    for (unsigned tries = 0; tries < 8192; tries++) {
        uint64_t at = __sync_fetch_and_add(&next, span) % range;
        if (at + span > range)
            continue;
        long r = sys(__NR_mmap, first + at, size, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, fd, offset);
        if (r != -EEXIST)
            return sys_failed(r) ? NULL : (uint8_t *)r;
    }
    return NULL;
}

bool enclave_alias(struct enclave *e)
{
    if (e->pages)
        return true;
    e->pages = map_file(e->fd_dup, FILE_PAGES + e->header->base, e->header->size);
    return e->pages != NULL;
}

/* Programs close descriptors that they did not open, and open others at the same number. */
static bool has_descriptor(const struct enclave *e)
{
    struct stat_head st;
    return stat_file(e->fd_dup, &st) && st.dev == e->dev && st.ino == e->ino;
}

static bool keep_descriptor(struct enclave *e, int fd)
{
    long dup = sys(__NR_fcntl, fd, F_DUPFD_CLOEXEC, 200);
    if (sys_failed(dup))
        dup = sys(__NR_fcntl, fd, F_DUPFD_CLOEXEC, 3);
    if (sys_failed(dup))
        return false;
    e->fd_dup = (int)dup;
    return true;
}

static void forget(struct enclave *e)
{
    if (e->pages)
        sys(__NR_munmap, e->pages, e->header->size);
    sys(__NR_munmap, e->meta, FILE_META);
    if (has_descriptor(e))
        sys(__NR_close, e->fd_dup);
    if (e->vmas)
        sys(__NR_munmap, e->vmas, e->capacity * sizeof(struct vma));
    memset(e, 0, sizeof(*e));
}

/* Records without mappings can be forgotten, the file keeps the state; but not while another
 * handler may hold one. */
static void sweep(void)
{
    if (handlers_running != 1)
        return;
    for (unsigned i = 0; i < table_top; i++) {
        if (table[i].used && table[i].count == 0 && !thread_uses(&table[i]))
            forget(&table[i]);
    }
}

static struct enclave *free_record(void)
{
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < table_top; i++) {
            if (!table[i].used)
                return &table[i];
        }
        if (table_top < MAX_ENCLAVES / 16) /* keep some that may come back */
            break;
        sweep();
    }
    return table_top < MAX_ENCLAVES ? &table[table_top++] : NULL;
}

static struct enclave *attach(int fd, const struct stat_head *st)
{
    struct enclave *e = free_record();
    if (!e)
        return NULL;
    *e = (struct enclave){
        .mem = {walk, mem_read, mem_write, mem_secs, new_eid}, .dev = st->dev, .ino = st->ino};
    if (!keep_descriptor(e, fd))
        return NULL;
    e->meta = map_file(e->fd_dup, 0, FILE_META);
    e->header = (struct header *)e->meta;
    if (!e->meta) {
        sys(__NR_close, e->fd_dup);
        return NULL;
    }
    e->used = true;
    return e;
}

struct enclave *enclave_of(int fd, bool *ours)
{
    struct stat_head st;
    *ours = false;
    if (!stat_file(fd, &st) || magic_of(fd) != ENCLAVE_MAGIC)
        return NULL;
    *ours = true;
    lock(&table_lock);
    struct enclave *found = NULL;
    for (unsigned i = 0; i < table_top && !found; i++) {
        if (table[i].used && table[i].dev == st.dev && table[i].ino == st.ino)
            found = &table[i];
    }
    if (!found)
        found = attach(fd, &st);
    else if (!has_descriptor(found) && !keep_descriptor(found, fd))
        found = NULL;
    if (found && found->header->created && !enclave_alias(found))
        found = NULL;
    unlock(&table_lock);
    return found;
}

struct enclave *enclave_covering(uint64_t start, uint64_t end)
{
    struct vma v;
    for (unsigned i = 0; i < table_top; i++) {
        if (table[i].used && table[i].count && vma_first(&table[i], start, end, &v))
            return &table[i];
    }
    return NULL;
}

struct enclave *driver_enclave_at(uint64_t la)
{
    return enclave_covering(la, la + 1);
}

bool driver_owns(uint64_t la)
{
    return driver_enclave_at(la) != NULL;
}

void driver_lock(struct enclave *e)
{
    lock(&e->header->lock);
}

void driver_unlock(struct enclave *e)
{
    unlock(&e->header->lock);
}

/* The locks of this process's own tables may have been held by a thread that is not in the child.
 */
void driver_after_fork(void)
{
    table_lock = 0;
    vma_after_fork();
    for (unsigned i = 0; i < table_top; i++) /* an ADD_PAGES of another thread is not here */
        table[i].stage_start = table[i].stage_end = 0;
}

/* ------------------------------------------------------------ active threads */

static uint32_t free_slot(struct header *h)
{
    for (uint32_t i = 0; i < MAX_ACTIVE; i++) {
        if (!h->active[i].tid)
            return i;
    }
    for (uint32_t i = 0; i < MAX_ACTIVE; i++) {
        if (!h->active[i].inside && sys(__NR_tkill, h->active[i].tid, 0) == -ESRCH)
            return i;
    }
    return MAX_ACTIVE;
}

/* A thread keeps its slot until it enters another enclave. */
bool driver_enter(struct enclave *e, struct thread *t)
{
    struct header *h = e->header;
    if (t->slot_enclave != e) {
        if (t->slot_enclave && t->slot_enclave->used)
            t->slot_enclave->header->active[t->slot].tid = 0;
        t->slot_enclave = NULL;
        t->entry.tcs_address = 0;
        uint32_t i = free_slot(h);
        if (i == MAX_ACTIVE)
            return false;
        h->active[i].tid = t->tid;
        h->active[i].kicked = 0;
        h->active[i].pid = (uint32_t)sys(__NR_getpid);
        t->slot = i;
        t->slot_enclave = e;
    }
    h->active[t->slot].inside = 1;
    return true;
}

void driver_leave(struct enclave *e, struct thread *t)
{
    e->header->active[t->slot].inside = 0;
}

void driver_fast_entry(struct enclave *e, struct thread *t, struct fast_entry *f)
{
    const struct sgx_secs *secs = (const struct sgx_secs *)(e->meta + FILE_SECS);
    struct sgx_tcs *tcs = (struct sgx_tcs *)page_of(e, t->cpu.tcs);
    const uint64_t frame = SGX_PAGE_SIZE * secs->ssa_frame_size;
    const uint32_t cssa = tcs->cssa;
    if (f->tcs_address != t->cpu.tcs || f->tcs != tcs || f->generation != e->header->generation)
        memset(f->landing, 0, sizeof(f->landing));
    f->generation_now = &e->header->generation;
    f->generation = e->header->generation;
    f->inside = &e->header->active[t->slot].inside;
    f->tcs = tcs;
    f->state = secs_state(e->meta + FILE_SECS);
    f->gpr =
        (struct sgx_gpr *)(page_of(e, secs->base + tcs->ossa) + frame - sizeof(struct sgx_gpr));
    f->target = secs->base + tcs->oentry;
    f->fsbase = secs->base + tcs->ofsbase;
    f->gsbase = secs->base + tcs->ogsbase;
    f->frame_size = frame;
    if (cssa < FAST_FRAMES)
        f->landing[cssa] = fast_landing(f->target, cssa);
    f->tcs_address = tcs->flags & SGX_TCS_DBGOPTIN ? 0 : t->cpu.tcs;
}

/* ------------------------------------------------------------ rewritten sites */

static struct site *listed(struct header *h, uint64_t address)
{
    for (uint32_t i = 0; i < h->site_count && i < MAX_SITES_LISTED; i++) {
        if (h->sites[i].address == address)
            return &h->sites[i];
    }
    return NULL;
}

/* Enclave locked. One site at a time changes, unless who changed it has died. */
static bool start_patch(struct header *h, const struct site *s)
{
    if (h->patcher && sys(__NR_tkill, h->patcher, 0) != -ESRCH)
        return false;
    h->patching = s->address;
    h->patcher = (uint32_t)sys(__NR_gettid);
    return true;
}

bool driver_begin_patch(struct enclave *e, const struct site *s)
{
    struct header *h = e->header;
    driver_lock(e);
    struct site *old = listed(h, s->address);
    bool ok = old ? old->stub == s->stub : h->site_count < MAX_SITES_LISTED;
    ok = ok && start_patch(h, s);
    if (ok && !old) {
        h->sites[h->site_count] = *s;
        __atomic_store_n(&h->site_count, h->site_count + 1, __ATOMIC_RELEASE);
    }
    driver_unlock(e);
    return ok;
}

bool driver_abandon_site(struct enclave *e, const struct site *s)
{
    driver_lock(e);
    struct site *old = listed(e->header, s->address);
    bool ok = old && old->stub == s->stub && start_patch(e->header, s);
    if (ok)
        old->stub = 0;
    driver_unlock(e);
    return ok;
}

void driver_end_patch(struct enclave *e)
{
    e->header->patching = 0;
    e->header->patcher = 0;
}

bool driver_is_patching(struct enclave *e, uint64_t at)
{
    const struct header *h = e->header;
    const uint64_t site = h->patching;
    return site && (at == site || at == site + ENCL_INSN_LEN) && h->patcher &&
           sys(__NR_tkill, h->patcher, 0) != -ESRCH;
}

bool driver_find_site(struct enclave *e, uint64_t address, uint64_t stub, struct site *out)
{
    const struct header *h = e->header;
    for (uint32_t i = 0; i < h->site_count && i < MAX_SITES_LISTED; i++) {
        *out = h->sites[i];
        if (out->stub && (address ? out->address == address : out->stub == stub))
            return true;
    }
    return false;
}

bool driver_in_elrange(uint64_t la)
{
    bool found = false;
    lock(&table_lock);
    for (unsigned i = 0; i < table_top && !found; i++)
        found = table[i].used && table[i].header->created && in_enclave_range(&table[i], la);
    unlock(&table_lock);
    return found;
}

uint8_t *driver_alias(uint64_t la)
{
    struct enclave *e = driver_enclave_at(la);
    if (!e || !e->pages || !in_enclave_range(e, la))
        return NULL;
    const struct epcm *p = epcm_of(e, la);
    return p->valid && p->type == SGX_PT_REG ? page_of(e, la) + (la & 0xfff) : NULL;
}

/* ------------------------------------------------------------ ENCLS, ETRACK */

struct sgx_fault driver_encls(struct enclave *e, struct sgx_regs *regs)
{
    struct sgx_cpu cpu = {.mem = &e->mem, .platform = platform(), .xcr0 = settings.xcr0};
    return sgx_encls(&cpu, regs);
}

/* "IPI": every active thread takes an AEX and resumes at its AEP. */
static unsigned kick(struct enclave *e)
{
    unsigned alive = 0;
    for (uint32_t i = 0; i < MAX_ACTIVE; i++) {
        uint32_t tid = e->header->active[i].tid;
        if (!tid || !e->header->active[i].inside)
            continue;
        siginfo_t info = {.si_signo = SIGILL, .si_code = SI_QUEUE};
        info.si_ptr = KICK_VALUE;
        e->header->active[i].kicked = 1;
        if (sys(__NR_rt_tgsigqueueinfo, e->header->active[i].pid, tid, SIGILL, &info) == -ESRCH)
            e->header->active[i].tid = e->header->active[i].inside =
                0; /* died inside: hardware would have seen it leave */
        else
            alive++;
    }
    return alive;
}

bool driver_kicked(struct thread *t)
{
    return t->slot_enclave && t->slot_enclave->used &&
           __sync_lock_test_and_set(&t->slot_enclave->header->active[t->slot].kicked, 0);
}

void track(struct enclave *e)
{
    struct secs_state *state = secs_state(e->meta + FILE_SECS);
    struct sgx_regs regs = {.rax = SGX_ETRACK, .rcx = KERNEL_SECS};
    driver_encls(e, &regs);
    for (unsigned round = 0; state->active_previous; round++) {
        if (kick(e) == 0) {
            state->active_previous = 0;
            break;
        }
        driver_unlock(e);
        struct {
            int64_t sec, nsec;
        } wait = {0, round < 10 ? 20000 : 1000000};
        sys(__NR_nanosleep, &wait, 0);
        driver_lock(e);
    }
}
