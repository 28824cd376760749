/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "machine.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "sgx/key.h"
#include "sgx/sigstruct.h"

struct machine m;
struct sgx_cpu c;
struct sgx_platform p;
struct sgx_regs r;
struct sgx_fault fault;

static int next_page;

static int map_index(uint64_t la)
{
    return la >= BASE && la < BASE + SIZE ? (int)((la - BASE) / 4096) : -1;
}

static uint32_t walk(struct sgx_memory *mem, uint64_t la, uint32_t access, bool user, bool *present,
                     struct epc_page *page)
{
    *present = true;
    *page = (struct epc_page){0};
    int i = -1;
    if (!user && la >= KVA(0) && la < KVA(PAGES)) {
        i = (int)((la - KVA(0)) / 4096);
    } else if (!user && la >= KVA_PLAIN && la < KVA_PLAIN + 4096) {
        return 0;
    } else if (map_index(la) >= 0) {
        int slot = map_index(la);
        uint32_t wrong = (access & ACCESS_W ? PF_W : 0) | (user ? PF_U : 0);
        if (m.map[slot].page == -2) {
            *present = false;
            return wrong;
        }
        if (user && (m.map[slot].prot & access) != access) {
            *present = false;
            return wrong | PF_P;
        }
        i = m.map[slot].page;
    } else if (la < OUT || la >= OUT + OUT_SIZE) {
        *present = false;
        return user ? PF_U : 0;
    }
    if (i >= 0)
        *page = (struct epc_page){&m.epcm[i], m.epc[i], (uint32_t)i + 1};
    return 0;
}

static uint8_t *host(uint64_t la)
{
    if (la >= OUT && la < OUT + OUT_SIZE)
        return m.out + (la - OUT);
    if (la >= KVA_PLAIN && la < KVA_PLAIN + 4096)
        return m.plain + (la - KVA_PLAIN);
    if (la >= KVA(0) && la < KVA(PAGES))
        return m.epc[0] + (la - KVA(0));
    int slot = map_index(la);
    if (slot >= 0 && m.map[slot].page >= 0)
        return m.epc[m.map[slot].page] + la % 4096;
    return NULL;
}

static int transfer(uint64_t la, uint8_t *buf, size_t len, bool write, uint64_t *where)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t *h = host(la + i);
        if (!h) {
            *where = la + i;
            return SGX_PF;
        }
        if (write)
            *h = buf[i];
        else
            buf[i] = *h;
    }
    return 0;
}

static int mem_read(struct sgx_memory *mem, uint64_t la, void *to, size_t len, uint64_t *where)
{
    return transfer(la, to, len, false, where);
}

static int mem_write(struct sgx_memory *mem, uint64_t la, const void *from, size_t len,
                     uint64_t *where)
{
    return transfer(la, (uint8_t *)from, len, true, where);
}

static void mem_secs(struct sgx_memory *mem, uint32_t handle, struct epc_page *page)
{
    assert(handle >= 1 && handle <= PAGES);
    *page = (struct epc_page){&m.epcm[handle - 1], m.epc[handle - 1], handle};
}

static uint64_t new_eid(struct sgx_memory *mem)
{
    return ++m.eid;
}

void machine_reset(void)
{
    memset(&m, 0, sizeof(m));
    m.mem = (struct sgx_memory){walk, mem_read, mem_write, mem_secs, new_eid};
    for (size_t i = 0; i < SIZE / 4096; i++)
        m.map[i].page = -2;
    p = (struct sgx_platform){
        .flags = SGX_FLAG_DEBUG | SGX_FLAG_MODE64BIT | SGX_FLAG_PROVISIONKEY |
                 SGX_FLAG_EINITTOKEN_KEY | SGX_FLAG_KSS | SGX_FLAG_AEXNOTIFY,
        .xfrm = SGX_XFRM_LEGACY | SGX_XFRM_AVX | SGX_XFRM_AVX512 | SGX_XFRM_PKRU,
        .miscselect = SGX_MISC_EXINFO,
        .max_size_log2 = 40,
        .seal_fuses = "fuses of a test",
        .owner_epoch = "an owner's epoch",
        .report_key_id = "a report key id",
        .cpu_svn = {5, 5, 2},
    };
    p.xsave.xcr0 = 0x2e7;
    p.xsave.offset[2] = 576, p.xsave.size[2] = 256;
    p.xsave.offset[5] = 1088, p.xsave.size[5] = 64;
    p.xsave.offset[6] = 1152, p.xsave.size[6] = 512;
    p.xsave.offset[7] = 1664, p.xsave.size[7] = 1024;
    p.xsave.offset[9] = 2688, p.xsave.size[9] = 8;
    c = (struct sgx_cpu){.mem = &m.mem, .platform = &p, .xcr0 = 0x2e7};
    r = (struct sgx_regs){.rip = RIP, .fsbase = OUTER_FS, .gsbase = OUTER_GS};
    next_page = 1;
}

void *at(uint64_t la)
{
    void *h = host(la);
    assert(h);
    return h;
}

struct epcm *entry(uint64_t offset)
{
    int page = m.map[offset / 4096].page;
    assert(page >= 0);
    return &m.epcm[page];
}

void encls(uint32_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx)
{
    r.rax = leaf, r.rbx = rbx, r.rcx = rcx, r.rdx = rdx;
    fault = sgx_encls(&c, &r);
}

void enclu(uint32_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx)
{
    r.rax = leaf, r.rbx = rbx, r.rcx = rcx, r.rdx = rdx;
    fault = sgx_enclu(&c, &r);
}

struct sgx_secs *source_secs(void)
{
    return at(OUT + 0x1000);
}

struct sgx_tcs *source_tcs(void)
{
    return at(OUT + 0x1000);
}

struct sgx_pageinfo *prepare_ecreate(void)
{
    struct sgx_pageinfo *info = at(OUT);
    struct sgx_secinfo *secinfo = at(OUT + 64);
    memset(m.out, 0, 0x2000);
    *info = (struct sgx_pageinfo){.srcpge = OUT + 0x1000, .secinfo = OUT + 64};
    secinfo->flags = SGX_SECINFO_PT(SGX_PT_SECS);
    *source_secs() = (struct sgx_secs){
        .size = SIZE,
        .base = BASE,
        .ssa_frame_size = 1,
        .miscselect = SGX_MISC_EXINFO,
        .attributes = {SGX_FLAG_MODE64BIT, SGX_XFRM_LEGACY},
    };
    return info;
}

struct sgx_pageinfo *prepare_eadd(uint64_t offset, uint64_t flags)
{
    struct sgx_pageinfo *info = at(OUT);
    struct sgx_secinfo *secinfo = at(OUT + 64);
    memset(m.out, 0, 0x2000);
    *info = (struct sgx_pageinfo){
        .srcpge = OUT + 0x1000, .secinfo = OUT + 64, .linaddr = BASE + offset, .secs = KVA(0)};
    secinfo->flags = flags;
    if (SGX_SECINFO_TYPE(flags) == SGX_PT_TCS)
        *source_tcs() = (struct sgx_tcs){.ossa = SSA,
                                         .nssa = 2,
                                         .oentry = 0x40,
                                         .ofsbase = DATA2,
                                         .ogsbase = RO,
                                         .fslimit = 0xfff,
                                         .gslimit = 0xfff};
    return info;
}

void add_page(uint64_t offset, uint64_t flags)
{
    int page = next_page++;
    prepare_eadd(offset, flags);
    encls(SGX_EADD, OUT, KVA(page), 0);
    assert(!fault.vector);
    for (unsigned i = 0; i < 4096; i += 256) {
        encls(SGX_EEXTEND, KVA(0), KVA(page) + i, 0);
        assert(!fault.vector);
    }
    m.map[offset / 4096].page = page;
    m.map[offset / 4096].prot = ACCESS_R | ACCESS_W | ACCESS_X;
}

static void add_standard_pages(void)
{
    const uint64_t reg = SGX_SECINFO_PT(SGX_PT_REG);
    add_page(CODE, reg | SGX_SECINFO_R | SGX_SECINFO_X);
    add_page(TCS, SGX_SECINFO_PT(SGX_PT_TCS));
    add_page(SSA, reg | SGX_SECINFO_R | SGX_SECINFO_W);
    add_page(SSA + 0x1000, reg | SGX_SECINFO_R | SGX_SECINFO_W);
    add_page(DATA, reg | SGX_SECINFO_R | SGX_SECINFO_W);
    add_page(DATA2, reg | SGX_SECINFO_R | SGX_SECINFO_W);
    add_page(RO, reg | SGX_SECINFO_R);
}

/* The caller may have changed source_secs() after prepare_ecreate(). */
static void create(void)
{
    encls(SGX_ECREATE, OUT, KVA(0), 0);
    assert(!fault.vector);
    add_standard_pages();
}

void build(void)
{
    prepare_ecreate();
    create();
}

static const struct sgx_key *signing_key(void)
{
    static struct sgx_key *key;
    char path[] = "/tmp/sgx-core-key-XXXXXX", err[256];
    if (key)
        return key;
    int fd = mkstemp(path);
    if (fd < 0 || sgx_key_generate(path, true, err, sizeof(err)) < 0 ||
        sgx_key_read(path, NULL, &key, err, sizeof(err)) < 0)
        abort();
    close(fd);
    unlink(path);
    return key;
}

void resign(struct sgx_sigstruct *sig)
{
    char err[256];
    /* A malformed SIGSTRUCT is signed all the same, and refused. */
    if (sgx_key_sign(signing_key(), sig, err, sizeof(err)) < 0 && sgx_sigstruct_well_formed(sig))
        abort();
}

/* Signs whatever has been built; the signature of the standard enclave is made once. */
struct sgx_sigstruct *prepare_einit(void)
{
    static struct sgx_sigstruct last;
    struct sgx_sigstruct *sig = at(OUT + 0x2000), want;
    const struct sgx_secs *secs = (const struct sgx_secs *)m.epc[0];
    sgx_sigstruct_init(&want);
    want.miscselect = secs->miscselect;
    want.miscmask = UINT32_MAX;
    want.attributes = secs->attributes;
    want.attributes.flags &= ~SGX_FLAG_INIT;
    want.attribute_mask = (struct sgx_attributes){UINT64_MAX, UINT64_MAX};
    want.isv_prod_id = 7;
    want.isv_svn = 3;
    sgx_measure_digest(&secs_state(m.epc[0])->measure, want.enclave_hash);
    if (memcmp((char *)&last + 900, (char *)&want + 900, 128) != 0) {
        resign(&want);
        last = want;
    }
    *sig = last;
    sgx_sigstruct_mrsigner(sig, p.launch_key_hash);
    memset(at(OUT + 0x3000), 0, sizeof(struct sgx_einittoken));
    return sig;
}

void build_init(void)
{
    build();
    prepare_einit();
    encls(SGX_EINIT, OUT + 0x2000, KVA(0), OUT + 0x3000);
    assert(!fault.vector && r.rax == 0);
}

void enter(void)
{
    if (!m.epcm[0].valid)
        build_init();
    r.rip = RIP;
    r.rsp = 0x7ffff000, r.rbp = 0x7ffff100;
    r.fsbase = OUTER_FS, r.gsbase = OUTER_GS;
    enclu(SGX_EENTER, BASE + TCS, AEP, 0);
    assert(!fault.vector && c.in_enclave);
}

void augment(uint64_t offset)
{
    struct sgx_pageinfo *info = at(OUT);
    int page = 32 + (int)(offset / 4096);
    *info = (struct sgx_pageinfo){.linaddr = BASE + offset, .secs = KVA(0)};
    encls(SGX_EAUG, OUT, KVA(page), 0);
    assert(!fault.vector);
    m.map[offset / 4096].page = page;
    m.map[offset / 4096].prot = ACCESS_R | ACCESS_W | ACCESS_X;
}

struct sgx_secinfo *inside_secinfo(uint64_t flags)
{
    struct sgx_secinfo *s = at(BASE + DATA);
    *s = (struct sgx_secinfo){.flags = flags};
    return s;
}
