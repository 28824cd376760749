/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* ENCLU and the asynchronous exit: conditions of the manual, one by one. */
#include "cases.h"
#include "crypto/crypto.h"

#define RW  (SGX_SECINFO_R | SGX_SECINFO_W)
#define REG SGX_SECINFO_PT(SGX_PT_REG)

static struct sgx_tcs *tcs(void)
{
    return at(BASE + TCS);
}

static struct sgx_gpr *gpr(unsigned frame)
{
    return at(BASE + SSA + 4096 * (frame + 1) - sizeof(struct sgx_gpr));
}

static void aex(int vector)
{
    struct sgx_event event = {.vector = vector, .address = BASE + FREE, .error = 0x8007};
    r.xstate = m.xstate;
    assert_true(sgx_aex(&c, &r, &event));
}

/* The same condition for EENTER and ERESUME: TCS and SSA checks. */
#define ENTRY(condition, outcome, change)     \
    CASE(name, condition, outcome)            \
    {                                         \
        build_init();                         \
        tcs()->cssa = leaf == SGX_ERESUME;    \
        uint64_t rbx = BASE + TCS, rcx = AEP; \
        change;                               \
        enclu(leaf, rbx, rcx, 0);             \
    }

static void entry_cases(const char *name, uint32_t leaf)
{
    ENTRY("valid", COMPLETES, );
    ENTRY("TCS not aligned", FAULT_GP, rbx += 8);
    ENTRY("TCS address not canonical", FAULT_GP, rbx = NONCANON);
    ENTRY("TCS not mapped", FAULT_PF(BASE + FREE), rbx = BASE + FREE);
    ENTRY("TCS mapped read-only", FAULT_PF(BASE + TCS), m.map[TCS / 4096].prot = ACCESS_R);
    ENTRY("TCS is not EPC", FAULT_PF(OUT), rbx = OUT);
    ENTRY("AEP not canonical", FAULT_GP, rcx = NONCANON);
    ENTRY("TCS page not valid", FAULT_PF(BASE + TCS), entry(TCS)->valid = 0);
    ENTRY("TCS page BLOCKED", FAULT_PF(BASE + TCS), entry(TCS)->state = EPCM_BLOCKED);
    ENTRY("TCS page PENDING", FAULT_PF(BASE + TCS), entry(TCS)->state = EPCM_PENDING);
    ENTRY("TCS page MODIFIED", FAULT_PF(BASE + TCS), entry(TCS)->state = EPCM_MODIFIED);
    ENTRY("page is not a TCS", FAULT_PF(BASE + DATA), rbx = BASE + DATA);
    ENTRY("TCS mapped at another address", FAULT_PF(BASE + FREE),
          (m.map[FREE / 4096] = m.map[TCS / 4096], rbx = BASE + FREE));
    ENTRY("OSSA not aligned", FAULT_GP, tcs()->ossa += 8);
    ENTRY("OFSBASE not aligned", FAULT_GP, tcs()->ofsbase += 8);
    ENTRY("OGSBASE not aligned", FAULT_GP, tcs()->ogsbase += 8);
    ENTRY("TCS.FLAGS reserved bit", FAULT_GP, tcs()->flags = 4);
    ENTRY("TCS.AEXNOTIFY without SECS.AEXNOTIFY", FAULT_GP, tcs()->flags = SGX_TCS_AEXNOTIFY);
    ENTRY("XFRM not enabled in XCR0", FAULT_GP,
          (((struct sgx_secs *)m.epc[0])->attributes.xfrm = 7, c.xcr0 = 3));
    ENTRY("32-bit enclave from 64-bit mode", FAULT_GP,
          ((struct sgx_secs *)m.epc[0])->attributes.flags &= ~SGX_FLAG_MODE64BIT);
    ENTRY("SSA page not mapped", FAULT_PF(BASE + SSA), m.map[SSA / 4096].page = -2);
    ENTRY("SSA page mapped read-only", FAULT_PF(BASE + SSA), m.map[SSA / 4096].prot = ACCESS_R);
    ENTRY("SSA page is not EPC", FAULT_PF(BASE + SSA), m.map[SSA / 4096].page = -1);
    ENTRY("SSA page not valid", FAULT_PF(BASE + SSA), entry(SSA)->valid = 0);
    ENTRY("SSA page BLOCKED", FAULT_PF(BASE + SSA), entry(SSA)->state = EPCM_BLOCKED);
    ENTRY("SSA page PENDING", FAULT_PF(BASE + SSA), entry(SSA)->state = EPCM_PENDING);
    ENTRY("SSA page MODIFIED", FAULT_PF(BASE + SSA), entry(SSA)->state = EPCM_MODIFIED);
    ENTRY("SSA page is not REG", FAULT_PF(BASE + SSA), entry(SSA)->type = SGX_PT_TCS);
    ENTRY("SSA page of another enclave", FAULT_PF(BASE + SSA), entry(SSA)->secs = 50);
    ENTRY("SSA page without EPCM.R", FAULT_PF(BASE + SSA), entry(SSA)->perm = 0);
    ENTRY("SSA page without EPCM.W", FAULT_PF(BASE + SSA), entry(SSA)->perm = ACCESS_R);
    ENTRY("SSA page recorded for another address", FAULT_PF(BASE + SSA),
          entry(SSA)->enclave_address += 4096);
    ENTRY("GPR page of the frame not valid", FAULT_PF(BASE + SSA + 0x1000),
          (((struct sgx_secs *)m.epc[0])->ssa_frame_size = 2, entry(SSA + 0x1000)->valid = 0));
    ENTRY("TCS already active", FAULT_GP, tcs()->state = 1);
    CASE(name, "enclave not initialised", FAULT_GP)
    {
        build();
        tcs()->cssa = leaf == SGX_ERESUME;
        enclu(leaf, BASE + TCS, AEP, 0);
    }
}

void cases_eenter(void **state)
{
    entry_cases("EENTER", SGX_EENTER);
    CASE("EENTER", "CSSA = NSSA", FAULT_GP)
    {
        build_init();
        tcs()->cssa = 2;
        enclu(SGX_EENTER, BASE + TCS, AEP, 0);
    }
    CASE("EENTER", "entry point not canonical", FAULT_GP)
    {
        build_init();
        tcs()->oentry = NONCANON;
        enclu(SGX_EENTER, BASE + TCS, AEP, 0);
    }
    CASE("EENTER", "FS base not canonical", FAULT_GP)
    {
        build_init();
        tcs()->ofsbase = NONCANON;
        enclu(SGX_EENTER, BASE + TCS, AEP, 0);
    }
    CASE("EENTER", "GS base not canonical", FAULT_GP)
    {
        build_init();
        tcs()->ogsbase = NONCANON;
        enclu(SGX_EENTER, BASE + TCS, AEP, 0);
    }
    CASE("EENTER", "registers after entry", COMPLETES)
    {
        build_init();
        r.r15 = 15, r.rflags = RFLAGS_TF | RFLAGS_AC, r.rsp = 0x7000, r.rbp = 0x7100;
        enclu(SGX_EENTER, BASE + TCS, AEP, 77);
        assert_true(r.rip == BASE + 0x40 && r.rax == 0 && r.rcx == RIP + 3 && r.rdx == 77);
        assert_true(r.rbx == BASE + TCS && r.r15 == 15 && r.rsp == 0x7000);
        assert_true(r.fsbase == BASE + DATA2 && r.gsbase == BASE + RO);
        assert_true(r.rflags == RFLAGS_AC);
        assert_true(gpr(0)->ursp == 0x7000 && gpr(0)->urbp == 0x7100 && tcs()->aep == AEP);
    }
    CASE("EENTER", "second entry with the same TCS while it is active", FAULT_GP)
    {
        enter();
        struct sgx_cpu other = {.mem = &m.mem, .platform = &p, .xcr0 = c.xcr0};
        r.rax = SGX_EENTER, r.rbx = BASE + TCS, r.rcx = AEP;
        fault = sgx_enclu(&other, &r);
    }
}

void cases_eexit(void **state)
{
    CASE("EEXIT", "registers after exit", COMPLETES)
    {
        build_init();
        r.rflags = RFLAGS_TF;
        enclu(SGX_EENTER, BASE + TCS, AEP, 0);
        r.r12 = 12;
        enclu(SGX_EEXIT, 0x400222, 0, 5);
        assert_true(r.rip == 0x400222 && r.rcx == AEP && r.r12 == 12 && r.rdx == 5);
        assert_true(r.fsbase == OUTER_FS && r.gsbase == OUTER_GS && r.rflags & RFLAGS_TF);
        assert_false(c.in_enclave);
        assert_int_equal(tcs()->state, 0);
        assert_int_equal(tcs()->cssa, 0);
    }
    CASE("EEXIT", "target not canonical", FAULT_GP)
    {
        enter();
        enclu(SGX_EEXIT, NONCANON, 0, 0);
    }
    CASE("EEXIT", "target inside ELRANGE is not refused", COMPLETES)
    {
        enter();
        enclu(SGX_EEXIT, BASE + CODE, 0, 0);
    }
}

static void expect_exitinfo(uint64_t misc, int vector, uint32_t want)
{
    machine_reset();
    build_init();
    ((struct sgx_secs *)m.epc[0])->miscselect = (uint32_t)misc;
    enter();
    aex(vector);
    assert_int_equal(gpr(0)->exitinfo, want);
}

void cases_aex(void **state)
{
    static const int reported[] = {0, 1, 5, 6, 16, 17, 19};
    CASE("AEX", "frame and synthetic state", COMPLETES)
    {
        enter();
        r.rax = 1, r.rsi = 2, r.r15 = 3, r.rsp = 0x5000, r.rip = BASE + 0x123;
        r.rflags = RFLAGS_CF | RFLAGS_ZF | RFLAGS_DF | RFLAGS_RF;
        r.fsbase = 0x1234000;
        aex(-1);
        assert_true(r.rax == SGX_ERESUME && r.rbx == BASE + TCS && r.rcx == AEP && r.rip == AEP);
        assert_true(r.rsp == 0x7ffff000 && r.rbp == 0x7ffff100);
        assert_true((r.rdx | r.rsi | r.rdi | r.r8 | r.r15) == 0 && r.rflags == RFLAGS_DF);
        assert_true(r.fsbase == OUTER_FS && r.gsbase == OUTER_GS);
        assert_true(gpr(0)->rax == 1 && gpr(0)->rsi == 2 && gpr(0)->r15 == 3);
        assert_true(gpr(0)->rip == BASE + 0x123 && gpr(0)->rsp == 0x5000);
        assert_true(gpr(0)->fsbase == 0x1234000 && gpr(0)->exitinfo == 0);
        assert_true(tcs()->cssa == 1 && tcs()->state == 0 && !c.in_enclave);
    }
    for (size_t i = 0; i < sizeof(reported) / sizeof(reported[0]); i++) {
        CASE("AEX", "EXITINFO of an exception that is always reported", COMPLETES)
        {
            expect_exitinfo(0, reported[i], 0x80000300U | (uint32_t)reported[i]);
        }
    }
    CASE("AEX", "EXITINFO of INT3 is a software exception", COMPLETES)
    {
        enter();
        struct sgx_event event = {.vector = 3, .software = true};
        assert_true(sgx_aex(&c, &r, &event));
        assert_int_equal(gpr(0)->exitinfo, 0x80000603U);
    }
    CASE("AEX", "#PF with EXINFO: EXITINFO, MADDR, ERRCD", COMPLETES)
    {
        enter();
        aex(SGX_PF);
        struct sgx_exinfo *e = (struct sgx_exinfo *)((char *)gpr(0) - sizeof(struct sgx_exinfo));
        assert_true(e->maddr == BASE + FREE && e->errcd == 0x8007);
        assert_int_equal(gpr(0)->exitinfo, 0x8000030eU);
    }
    CASE("AEX", "#PF without EXINFO is not reported", COMPLETES)
    {
        expect_exitinfo(0, SGX_PF, 0);
    }
    CASE("AEX", "#GP with EXINFO", COMPLETES)
    {
        expect_exitinfo(SGX_MISC_EXINFO, SGX_GP, 0x8000030dU);
    }
    CASE("AEX", "#GP without EXINFO is not reported", COMPLETES)
    {
        expect_exitinfo(0, SGX_GP, 0);
    }
    CASE("AEX", "#CP without CPINFO is not reported", COMPLETES)
    {
        expect_exitinfo(SGX_MISC_EXINFO, 21, 0);
    }
    CASE("AEX", "extended state saved, then initial with MXCSR 1FB0H", COMPLETES)
    {
        enter();
        memset(m.xstate, 0, sizeof(m.xstate));
        m.xstate[160] = 0x42;                     /* XMM0 */
        m.xstate[24] = 0x80, m.xstate[25] = 0x1f; /* MXCSR */
        m.xstate[512] = 7;                        /* XSTATE_BV: x87, SSE, AVX */
        aex(-1);
        uint8_t *ssa = at(BASE + SSA);
        assert_true(ssa[160] == 0x42 && ssa[512] == 3); /* XFRM is 3 */
        assert_true(m.xstate[512] == 4);                /* AVX is not the enclave's */
        assert_true(m.xstate[24] == 0xb0 && m.xstate[25] == 0x1f && m.xstate[0] == 0x7f);
    }
    CASE("AEX", "#MF: FCW 037EH, FSW 8081H; #XM: MXCSR 1F01H", COMPLETES)
    {
        enter();
        aex(16);
        assert_true(m.xstate[0] == 0x7e && m.xstate[2] == 0x81 && m.xstate[3] == 0x80);
        enter();
        aex(19);
        assert_true(m.xstate[24] == 0x01 && m.xstate[25] == 0x1f);
    }
}

void cases_eresume(void **state)
{
    entry_cases("ERESUME", SGX_ERESUME);
    CASE("ERESUME", "CSSA = 0", FAULT_GP)
    {
        build_init();
        enclu(SGX_ERESUME, BASE + TCS, AEP, 0);
    }
    CASE("ERESUME", "restores what AEX saved", COMPLETES)
    {
        enter();
        r.rax = 1, r.rsi = 2, r.r15 = 3, r.rip = BASE + 0x123, r.rsp = 0x5000;
        r.rflags = RFLAGS_CF | RFLAGS_DF;
        aex(-1);
        enclu(SGX_ERESUME, BASE + TCS, AEP + 64, 0);
        assert_true(r.rax == 1 && r.rsi == 2 && r.r15 == 3 && r.rip == BASE + 0x123);
        assert_true(r.rsp == 0x5000 && r.rflags == (RFLAGS_CF | RFLAGS_DF));
        assert_true(r.fsbase == BASE + DATA2 && tcs()->cssa == 0 && tcs()->aep == AEP + 64);
    }
    CASE("ERESUME", "TF of the frame is ignored without DBGOPTIN", COMPLETES)
    {
        enter();
        aex(-1);
        gpr(0)->rflags |= RFLAGS_TF;
        enclu(SGX_ERESUME, BASE + TCS, AEP, 0);
        assert_int_equal(r.rflags & RFLAGS_TF, 0);
    }
    CASE("ERESUME", "saved RIP not canonical", FAULT_GP)
    {
        enter();
        aex(-1);
        gpr(0)->rip = NONCANON;
        enclu(SGX_ERESUME, BASE + TCS, AEP, 0);
    }
    CASE("ERESUME", "saved FS base not canonical", FAULT_GP)
    {
        enter();
        aex(-1);
        gpr(0)->fsbase = NONCANON;
        enclu(SGX_ERESUME, BASE + TCS, AEP, 0);
    }
    CASE("ERESUME", "saved GS base not canonical", FAULT_GP)
    {
        enter();
        aex(-1);
        gpr(0)->gsbase = NONCANON;
        enclu(SGX_ERESUME, BASE + TCS, AEP, 0);
    }
    CASE("ERESUME", "XSTATE_BV beyond XFRM", FAULT_GP)
    {
        enter();
        aex(-1);
        ((uint8_t *)at(BASE + SSA))[512] = 7;
        enclu(SGX_ERESUME, BASE + TCS, AEP, 0);
    }
    CASE("ERESUME", "XSAVE header reserved bytes", FAULT_GP)
    {
        enter();
        aex(-1);
        ((uint8_t *)at(BASE + SSA))[520] = 1;
        enclu(SGX_ERESUME, BASE + TCS, AEP, 0);
    }
    CASE("ERESUME", "MXCSR reserved bits", FAULT_GP)
    {
        enter();
        aex(-1);
        ((uint8_t *)at(BASE + SSA))[26] = 1;
        enclu(SGX_ERESUME, BASE + TCS, AEP, 0);
    }
    CASE("ERESUME", "AEX-Notify: enters at OENTRY on the next frame", COMPLETES)
    {
        build_init();
        ((struct sgx_secs *)m.epc[0])->attributes.flags |= SGX_FLAG_AEXNOTIFY;
        tcs()->flags = SGX_TCS_AEXNOTIFY;
        enter();
        aex(-1);
        gpr(0)->aexnotify = 1;
        enclu(SGX_ERESUME, BASE + TCS, AEP, 0);
        assert_true(r.rip == BASE + 0x40 && r.rax == 1 && tcs()->cssa == 1);
    }
    CASE("ERESUME", "AEX-Notify without a further frame", FAULT_GP)
    {
        build_init();
        ((struct sgx_secs *)m.epc[0])->attributes.flags |= SGX_FLAG_AEXNOTIFY;
        tcs()->flags = SGX_TCS_AEXNOTIFY;
        tcs()->nssa = 1;
        enter();
        aex(-1);
        gpr(0)->aexnotify = 1;
        enclu(SGX_ERESUME, BASE + TCS, AEP, 0);
    }
}

void cases_edeccssa(void **state)
{
    CASE("EDECCSSA", "drops a frame", COMPLETES)
    {
        enter();
        aex(-1);
        enter();
        assert_int_equal(r.rax, 1);
        enclu(SGX_EDECCSSA, 0, 0, 0);
        assert_int_equal(tcs()->cssa, 0);
    }
    CASE("EDECCSSA", "CSSA = 0", FAULT_GP)
    {
        enter();
        enclu(SGX_EDECCSSA, 0, 0, 0);
    }
    CASE("EDECCSSA", "frame below is not writable", FAULT_PF(BASE + SSA))
    {
        enter();
        aex(-1);
        enter();
        entry(SSA)->perm = ACCESS_R;
        enclu(SGX_EDECCSSA, 0, 0, 0);
    }
}

/* An operand of ENCLU that must be a plain page of the running enclave. */
#define OPERAND_CASES(name, which, offset, write, call)                          \
    CASE(name, which " below ELRANGE", FAULT_GP)                                 \
    {                                                                            \
        enter();                                                                 \
        uint64_t where = BASE - 4096;                                            \
        call;                                                                    \
    }                                                                            \
    CASE(name, which " above ELRANGE", FAULT_GP)                                 \
    {                                                                            \
        enter();                                                                 \
        uint64_t where = BASE + SIZE;                                            \
        call;                                                                    \
    }                                                                            \
    CASE(name, which " not aligned", FAULT_GP)                                   \
    {                                                                            \
        enter();                                                                 \
        uint64_t where = BASE + (offset) + 8;                                    \
        call;                                                                    \
    }                                                                            \
    CASE(name, which " not mapped", FAULT_PF(BASE + FREE))                       \
    {                                                                            \
        enter();                                                                 \
        uint64_t where = BASE + FREE;                                            \
        call;                                                                    \
    }                                                                            \
    CASE(name, which " is not EPC", FAULT_PF(BASE + FREE))                       \
    {                                                                            \
        enter();                                                                 \
        m.map[FREE / 4096].page = -1, m.map[FREE / 4096].prot = 7;               \
        uint64_t where = BASE + FREE;                                            \
        call;                                                                    \
    }                                                                            \
    CASE(name, which " in a PENDING page", FAULT_PF(BASE + (offset)))            \
    {                                                                            \
        enter();                                                                 \
        entry(offset)->state = EPCM_PENDING;                                     \
        uint64_t where = BASE + (offset);                                        \
        call;                                                                    \
    }                                                                            \
    CASE(name, which " in a MODIFIED page", FAULT_PF(BASE + (offset)))           \
    {                                                                            \
        enter();                                                                 \
        entry(offset)->state = EPCM_MODIFIED;                                    \
        uint64_t where = BASE + (offset);                                        \
        call;                                                                    \
    }                                                                            \
    CASE(name, which " in a BLOCKED page", FAULT_PF(BASE + (offset)))            \
    {                                                                            \
        enter();                                                                 \
        entry(offset)->state = EPCM_BLOCKED;                                     \
        uint64_t where = BASE + (offset);                                        \
        call;                                                                    \
    }                                                                            \
    CASE(name, which " in a TCS page", FAULT_PF(BASE + TCS))                     \
    {                                                                            \
        enter();                                                                 \
        uint64_t where = BASE + TCS;                                             \
        call;                                                                    \
    }                                                                            \
    CASE(name, which " in a page of another enclave", FAULT_PF(BASE + (offset))) \
    {                                                                            \
        enter();                                                                 \
        entry(offset)->secs = 60;                                                \
        uint64_t where = BASE + (offset);                                        \
        call;                                                                    \
    }                                                                            \
    CASE(name, which " lacks the EPCM permission", FAULT_PF(BASE + (offset)))    \
    {                                                                            \
        enter();                                                                 \
        entry(offset)->perm = (write) ? ACCESS_R : ACCESS_X;                     \
        uint64_t where = BASE + (offset);                                        \
        call;                                                                    \
    }

void cases_ereport(void **state)
{
    OPERAND_CASES("EREPORT", "TARGETINFO", DATA, false,
                  enclu(SGX_EREPORT, where, BASE + DATA2, BASE + DATA2 + 512));
    OPERAND_CASES("EREPORT", "REPORTDATA", DATA, false,
                  enclu(SGX_EREPORT, BASE + DATA2, where, BASE + DATA2 + 512));
    OPERAND_CASES("EREPORT", "output REPORT", DATA, true,
                  enclu(SGX_EREPORT, BASE + DATA2, BASE + DATA2 + 512, where));
    CASE("EREPORT", "fields and MAC: the target's REPORT key verifies it", COMPLETES)
    {
        uint8_t mac[16];
        enter();
        struct sgx_targetinfo *t = at(BASE + DATA);
        const struct sgx_secs *secs = (const struct sgx_secs *)m.epc[0];
        memset(t, 0, sizeof(*t));
        memcpy(t->mrenclave, secs->mrenclave, 32);
        t->attributes = secs->attributes;
        t->miscselect = secs->miscselect;
        memset(at(BASE + DATA + 512), 0x77, 64);
        r.rflags = RFLAGS_CF;
        enclu(SGX_EREPORT, BASE + DATA, BASE + DATA + 512, BASE + DATA2);
        struct sgx_report *report = at(BASE + DATA2);
        assert_int_equal(r.rflags, RFLAGS_CF); /* no flag changes */
        assert_memory_equal(report->mrenclave, secs->mrenclave, 32);
        assert_memory_equal(report->mrsigner, secs->mrsigner, 32);
        assert_memory_equal(report->cpu_svn, p.cpu_svn, 16);
        assert_true(report->report_data[0] == 0x77 && report->report_data[63] == 0x77);
        assert_true(report->isv_prod_id == 7 && report->isv_svn == 3);
        struct sgx_keyrequest *k = at(BASE + DATA + 1024);
        memset(k, 0, sizeof(*k));
        k->key_name = SGX_KEY_REPORT;
        memcpy(k->key_id, report->key_id, 32);
        enclu(SGX_EGETKEY, BASE + DATA + 1024, BASE + DATA2 + 1024, 0);
        assert_int_equal(r.rax, 0);
        aes128_cmac(at(BASE + DATA2 + 1024), report, SGX_REPORT_BODY_SIZE, mac);
        assert_memory_equal(mac, report->mac, 16);
    }
    CASE("EREPORT", "another target's key does not verify it", COMPLETES)
    {
        uint8_t mac[16];
        enter();
        struct sgx_targetinfo *t = at(BASE + DATA);
        memset(t, 1, sizeof(*t));
        enclu(SGX_EREPORT, BASE + DATA, BASE + DATA + 512, BASE + DATA2);
        struct sgx_report *report = at(BASE + DATA2);
        struct sgx_keyrequest *k = at(BASE + DATA + 1024);
        memset(k, 0, sizeof(*k));
        k->key_name = SGX_KEY_REPORT;
        memcpy(k->key_id, report->key_id, 32);
        enclu(SGX_EGETKEY, BASE + DATA + 1024, BASE + DATA2 + 1024, 0);
        aes128_cmac(at(BASE + DATA2 + 1024), report, SGX_REPORT_BODY_SIZE, mac);
        assert_memory_not_equal(mac, report->mac, 16);
    }
}

static struct sgx_keyrequest *request(uint16_t name, uint16_t policy)
{
    struct sgx_keyrequest *k = at(BASE + DATA);
    memset(k, 0, sizeof(*k));
    k->key_name = name;
    k->key_policy = policy;
    k->attribute_mask = (struct sgx_attributes){UINT64_MAX, UINT64_MAX};
    k->miscmask = UINT32_MAX;
    return k;
}

static void getkey(uint8_t key[16])
{
    enclu(SGX_EGETKEY, BASE + DATA, BASE + DATA2, 0);
    assert_true(!fault.vector && r.rax == 0);
    memcpy(key, at(BASE + DATA2), 16);
}

#define KEY_CASE(condition, outcome, name, policy, change)                               \
    CASE("EGETKEY", condition, outcome)                                                  \
    {                                                                                    \
        build_init();                                                                    \
        struct sgx_secs *secs = (struct sgx_secs *)m.epc[0];                             \
        (void)secs;                                                                      \
        enter();                                                                         \
        struct sgx_keyrequest *k = request(name, policy);                                \
        (void)k;                                                                         \
        memset(at(BASE + DATA2), 0xee, 16);                                              \
        change;                                                                          \
        enclu(SGX_EGETKEY, BASE + DATA, BASE + DATA2, 0);                                \
        if (fault.vector || r.rax)                                                       \
            assert_int_equal(*(uint8_t *)at(BASE + DATA2), 0xee); /* output untouched */ \
    }

/* Does this change of the request or the enclave change the sealing key? */
#define KEY_DEPENDS(condition, policy, yes, change)               \
    CASE("EGETKEY", condition, COMPLETES)                         \
    {                                                             \
        uint8_t before[16], after[16];                            \
        build_init();                                             \
        struct sgx_secs *secs = (struct sgx_secs *)m.epc[0];      \
        secs->attributes.flags |= SGX_FLAG_KSS;                   \
        secs->config_svn = 9;                                     \
        enter();                                                  \
        struct sgx_keyrequest *k = request(SGX_KEY_SEAL, policy); \
        (void)k;                                                  \
        getkey(before);                                           \
        change;                                                   \
        getkey(after);                                            \
        assert_int_equal(memcmp(before, after, 16) != 0, yes);    \
    }

void cases_egetkey(void **state)
{
    OPERAND_CASES("EGETKEY", "KEYREQUEST", DATA, false, enclu(SGX_EGETKEY, where, BASE + DATA2, 0));
    OPERAND_CASES("EGETKEY", "output", DATA, true,
                  (request(SGX_KEY_SEAL, 1), memcpy(at(BASE + DATA2), at(BASE + DATA), 512),
                   enclu(SGX_EGETKEY, BASE + DATA2, where, 0)));
    KEY_CASE("SEAL key", SUCCESS, SGX_KEY_SEAL, 1, );
    KEY_CASE("REPORT key", SUCCESS, SGX_KEY_REPORT, 0, );
    KEY_CASE("unknown key name", RETURNS(SGX_INVALID_KEYNAME), 5, 0, );
    KEY_CASE("reserved bytes after ISVSVN", FAULT_GP, SGX_KEY_SEAL, 1, k->reserved1 = 1);
    KEY_CASE("reserved bytes at the end", FAULT_GP, SGX_KEY_SEAL, 1, k->reserved2[433] = 1);
    KEY_CASE("reserved policy bit", FAULT_GP, SGX_KEY_SEAL, 0x40, );
    KEY_CASE("policy NOISVPRODID without KSS", FAULT_GP, SGX_KEY_SEAL, 4, );
    KEY_CASE("policy CONFIGID without KSS", FAULT_GP, SGX_KEY_SEAL, 8, );
    KEY_CASE("policy ISVFAMILYID without KSS", FAULT_GP, SGX_KEY_SEAL, 16, );
    KEY_CASE("policy ISVEXTPRODID without KSS", FAULT_GP, SGX_KEY_SEAL, 32, );
    KEY_CASE("CONFIGSVN without KSS", FAULT_GP, SGX_KEY_SEAL, 1, k->config_svn = 1);
    KEY_CASE("SEAL: CPUSVN beyond the platform's", RETURNS(SGX_INVALID_CPUSVN), SGX_KEY_SEAL, 1,
             k->cpu_svn[0] = 6);
    KEY_CASE("SEAL: ISVSVN beyond the enclave's", RETURNS(SGX_INVALID_ISVSVN), SGX_KEY_SEAL, 1,
             k->isv_svn = 4);
    KEY_CASE("SEAL: CONFIGSVN beyond the enclave's", RETURNS(SGX_INVALID_ISVSVN), SGX_KEY_SEAL, 1,
             (secs->attributes.flags |= SGX_FLAG_KSS, k->config_svn = 1));
    KEY_CASE("PROVISION without the attribute", RETURNS(SGX_INVALID_ATTRIBUTE), SGX_KEY_PROVISION,
             0, );
    KEY_CASE("PROVISION_SEAL without the attribute", RETURNS(SGX_INVALID_ATTRIBUTE),
             SGX_KEY_PROVISION_SEAL, 0, );
    KEY_CASE("EINITTOKEN without the attribute", RETURNS(SGX_INVALID_ATTRIBUTE), SGX_KEY_EINITTOKEN,
             0, );
    KEY_CASE("PROVISION with the attribute", SUCCESS, SGX_KEY_PROVISION, 0,
             secs->attributes.flags |= SGX_FLAG_PROVISIONKEY);
    KEY_CASE("PROVISION: CPUSVN beyond the platform's", RETURNS(SGX_INVALID_CPUSVN),
             SGX_KEY_PROVISION, 0,
             (secs->attributes.flags |= SGX_FLAG_PROVISIONKEY, k->cpu_svn[15] = 1));
    KEY_CASE("PROVISION: ISVSVN beyond the enclave's", RETURNS(SGX_INVALID_ISVSVN),
             SGX_KEY_PROVISION, 0,
             (secs->attributes.flags |= SGX_FLAG_PROVISIONKEY, k->isv_svn = 4));
    KEY_CASE("PROVISION_SEAL with the attribute", SUCCESS, SGX_KEY_PROVISION_SEAL, 0,
             secs->attributes.flags |= SGX_FLAG_PROVISIONKEY);
    KEY_CASE("PROVISION_SEAL: CONFIGSVN beyond the enclave's", RETURNS(SGX_INVALID_ISVSVN),
             SGX_KEY_PROVISION_SEAL, 0,
             (secs->attributes.flags |= SGX_FLAG_PROVISIONKEY | SGX_FLAG_KSS, k->config_svn = 1));
    KEY_CASE("EINITTOKEN with the attribute", SUCCESS, SGX_KEY_EINITTOKEN, 0,
             secs->attributes.flags |= SGX_FLAG_EINITTOKEN_KEY);
    KEY_CASE("EINITTOKEN: ISVSVN beyond the enclave's", RETURNS(SGX_INVALID_ISVSVN),
             SGX_KEY_EINITTOKEN, 0,
             (secs->attributes.flags |= SGX_FLAG_EINITTOKEN_KEY, k->isv_svn = 4));
    KEY_DEPENDS("same request, same key", 1, 0, );
    KEY_DEPENDS("depends on KEYID", 1, 1, k->key_id[0]++);
    KEY_DEPENDS("depends on the requested ISVSVN", 1, 1, k->isv_svn = 2);
    KEY_DEPENDS("depends on the requested CPUSVN", 1, 1, k->cpu_svn[0] = 1);
    KEY_DEPENDS("MRENCLAVE policy: depends on MRENCLAVE", 1, 1, secs->mrenclave[0]++);
    KEY_DEPENDS("MRENCLAVE policy: not on MRSIGNER", 1, 0, secs->mrsigner[0]++);
    KEY_DEPENDS("MRSIGNER policy: depends on MRSIGNER", 2, 1, secs->mrsigner[0]++);
    KEY_DEPENDS("MRSIGNER policy: not on MRENCLAVE", 2, 0, secs->mrenclave[0]++);
    KEY_DEPENDS("depends on ISVPRODID", 2, 1, secs->isv_prod_id++);
    KEY_DEPENDS("NOISVPRODID: not on ISVPRODID", 2 | 4, 0, secs->isv_prod_id++);
    KEY_DEPENDS("without CONFIGID policy: not on CONFIGID", 2, 0, secs->config_id[0]++);
    KEY_DEPENDS("CONFIGID policy: depends on CONFIGID", 2 | 8, 1, secs->config_id[0]++);
    KEY_DEPENDS("CONFIGID policy: depends on CONFIGSVN", 2 | 8, 1, k->config_svn = 1);
    KEY_DEPENDS("ISVFAMILYID policy: depends on it", 2 | 16, 1,
                secs_state(m.epc[0])->isv_family_id[0]++);
    KEY_DEPENDS("ISVEXTPRODID policy: depends on it", 2 | 32, 1,
                secs_state(m.epc[0])->isv_ext_prod_id[0]++);
    KEY_DEPENDS("depends on masked ATTRIBUTES", 1, 1, secs->attributes.xfrm ^= 4);
    KEY_DEPENDS(
        "DEBUG always counts, even when masked out", 1, 1,
        (k->attribute_mask.flags = 0, getkey(before), secs->attributes.flags ^= SGX_FLAG_DEBUG));
    KEY_DEPENDS("ATTRIBUTES outside the mask do not count", 1, 0,
                (k->attribute_mask.xfrm = 3, getkey(before), secs->attributes.xfrm ^= 4));
    KEY_DEPENDS("depends on masked MISCSELECT", 1, 1, secs->miscselect ^= 1);
    KEY_DEPENDS("depends on the owner epoch", 1, 1, p.owner_epoch[0]++);
    KEY_DEPENDS("depends on the platform's fuses", 1, 1, p.seal_fuses[0]++);
}

#define ACCEPT(condition, outcome, flags, change)      \
    CASE("EACCEPT", condition, outcome)                \
    {                                                  \
        enter();                                       \
        augment(FREE);                                 \
        inside_secinfo(flags);                         \
        uint64_t rbx = BASE + DATA, rcx = BASE + FREE; \
        (void)rbx;                                     \
        change;                                        \
        enclu(SGX_EACCEPT, rbx, rcx, 0);               \
    }
#define PENDING (REG | RW | SGX_SECINFO_PENDING)

/* EMODT of DATA2 while the thread is outside, so that tracking completes. */
static uint64_t retype(uint64_t type)
{
    memset(at(OUT), 0, 256);
    ((struct sgx_secinfo *)at(OUT + 64))->flags = type;
    encls(SGX_EMODT, OUT + 64, KVA(6), 0);
    encls(SGX_ETRACK, 0, KVA(0), 0);
    secs_state(m.epc[0])->active_previous = 0; /* everybody has left and come back */
    secs_state(m.epc[0])->active_current = 1;
    c.entry_epoch = secs_state(m.epc[0])->epoch;
    return BASE + DATA2;
}

void cases_eaccept(void **state)
{
    OPERAND_CASES("EACCEPT", "SECINFO", DATA, false, enclu(SGX_EACCEPT, where, BASE + DATA2, 0));
    ACCEPT("page from EAUG", SUCCESS, PENDING, );
    ACCEPT("target not aligned", FAULT_GP, PENDING, rcx += 8);
    ACCEPT("target below ELRANGE", FAULT_GP, PENDING, rcx = BASE - 4096);
    ACCEPT("target above ELRANGE", FAULT_GP, PENDING, rcx = BASE + SIZE);
    ACCEPT("target not mapped", FAULT_PF(BASE + 0x9000), PENDING, rcx = BASE + 0x9000);
    ACCEPT("target is not EPC", FAULT_PF(BASE + FREE), PENDING, m.map[FREE / 4096].page = -1);
    ACCEPT("SECINFO reserved flag", FAULT_GP, PENDING | 1 << 7, );
    ACCEPT("SECINFO reserved byte", FAULT_GP, PENDING,
           ((struct sgx_secinfo *)at(rbx))->reserved[0] = 1);
    ACCEPT("REG with neither PENDING nor PR", FAULT_GP, REG | RW, );
    ACCEPT("REG with MODIFIED", FAULT_GP, PENDING | SGX_SECINFO_MODIFIED, );
    ACCEPT("TCS without MODIFIED", FAULT_GP, SGX_SECINFO_PT(SGX_PT_TCS), );
    ACCEPT("TRIM without MODIFIED", FAULT_GP, SGX_SECINFO_PT(SGX_PT_TRIM), );
    ACCEPT("TCS with PENDING", FAULT_GP,
           SGX_SECINFO_PT(SGX_PT_TCS) | SGX_SECINFO_MODIFIED | SGX_SECINFO_PENDING, );
    ACCEPT("TRIM with PR", FAULT_GP,
           SGX_SECINFO_PT(SGX_PT_TRIM) | SGX_SECINFO_MODIFIED | SGX_SECINFO_PR, );
    ACCEPT("type SECS", FAULT_GP, SGX_SECINFO_PENDING, );
    ACCEPT("type VA", FAULT_GP, SGX_SECINFO_PT(SGX_PT_VA) | SGX_SECINFO_PENDING, );
    ACCEPT("target not valid", FAULT_PF(BASE + FREE), PENDING, entry(FREE)->valid = 0);
    ACCEPT("target BLOCKED", FAULT_PF(BASE + FREE), PENDING, entry(FREE)->state |= EPCM_BLOCKED);
    ACCEPT("target is a VA page", FAULT_PF(BASE + FREE), PENDING, entry(FREE)->type = SGX_PT_VA);
    ACCEPT("target of another enclave", FAULT_PF(BASE + FREE), PENDING, entry(FREE)->secs = 60);
    ACCEPT("PENDING differs", RETURNS(SGX_PAGE_ATTRIBUTES_MISMATCH), PENDING,
           entry(FREE)->state = 0);
    ACCEPT("MODIFIED differs", RETURNS(SGX_PAGE_ATTRIBUTES_MISMATCH), PENDING,
           entry(FREE)->state |= EPCM_MODIFIED);
    ACCEPT("R differs", RETURNS(SGX_PAGE_ATTRIBUTES_MISMATCH), PENDING & ~3ULL, );
    ACCEPT("W differs", RETURNS(SGX_PAGE_ATTRIBUTES_MISMATCH), PENDING & ~SGX_SECINFO_W, );
    ACCEPT("X differs", RETURNS(SGX_PAGE_ATTRIBUTES_MISMATCH), PENDING | SGX_SECINFO_X, );
    ACCEPT("type differs", RETURNS(SGX_PAGE_ATTRIBUTES_MISMATCH),
           SGX_SECINFO_PT(SGX_PT_TRIM) | SGX_SECINFO_MODIFIED, );
    ACCEPT("address differs", RETURNS(SGX_PAGE_ATTRIBUTES_MISMATCH), PENDING,
           entry(FREE)->enclave_address += 4096);
    ACCEPT("PR differs: not compared", SUCCESS, PENDING | SGX_SECINFO_PR, );
    ACCEPT("REG to TRIM after ETRACK", SUCCESS, SGX_SECINFO_PT(SGX_PT_TRIM) | SGX_SECINFO_MODIFIED,
           rcx = retype(SGX_SECINFO_PT(SGX_PT_TRIM)));
    ACCEPT("REG to TCS after ETRACK", SUCCESS, SGX_SECINFO_PT(SGX_PT_TCS) | SGX_SECINFO_MODIFIED,
           ((struct sgx_tcs *)at(BASE + DATA2))->nssa = 1;
           rcx = retype(SGX_SECINFO_PT(SGX_PT_TCS)));
    ACCEPT("ETRACK missing", RETURNS(SGX_NOT_TRACKED),
           SGX_SECINFO_PT(SGX_PT_TRIM) | SGX_SECINFO_MODIFIED,
           (rcx = retype(SGX_SECINFO_PT(SGX_PT_TRIM)),
            entry(DATA2)->epoch = secs_state(m.epc[0])->epoch));
    ACCEPT("ETRACK done, a thread of the old epoch still inside", RETURNS(SGX_NOT_TRACKED),
           SGX_SECINFO_PT(SGX_PT_TRIM) | SGX_SECINFO_MODIFIED,
           (rcx = retype(SGX_SECINFO_PT(SGX_PT_TRIM)), secs_state(m.epc[0])->active_previous = 1));
#define NEW_TCS(condition, change)                                                 \
    ACCEPT(condition, FAULT_GP, SGX_SECINFO_PT(SGX_PT_TCS) | SGX_SECINFO_MODIFIED, \
           struct sgx_tcs *t = at(BASE + DATA2);                                   \
           t->nssa = 1; change; rcx = retype(SGX_SECINFO_PT(SGX_PT_TCS)))
    NEW_TCS("new TCS with reserved bytes", t->reserved[0] = 1);
    NEW_TCS("new TCS with DBGOPTIN", t->flags = SGX_TCS_DBGOPTIN);
    NEW_TCS("new TCS with CSSA not below NSSA", t->nssa = 0);
    NEW_TCS("new TCS with AEP", t->aep = 1);
    NEW_TCS("new TCS with STATE", t->state = 1);
}

void cases_emodpe(void **state)
{
    OPERAND_CASES("EMODPE", "SECINFO", DATA, false, enclu(SGX_EMODPE, where, BASE + DATA2, 0));
    OPERAND_CASES("EMODPE", "target", DATA2, false,
                  (entry(DATA2)->perm == ACCESS_X ? (void)(entry(DATA2)->valid = 0) : (void)0,
                   inside_secinfo(REG | SGX_SECINFO_X), enclu(SGX_EMODPE, BASE + DATA, where, 0)));
    CASE("EMODPE", "permissions are ORed, no flag changes", COMPLETES)
    {
        enter();
        inside_secinfo(REG | SGX_SECINFO_X);
        r.rflags = RFLAGS_ZF;
        enclu(SGX_EMODPE, BASE + DATA, BASE + RO, 0);
        assert_int_equal(entry(RO)->perm, ACCESS_R | ACCESS_X);
        assert_int_equal(r.rflags, RFLAGS_ZF);
    }
    CASE("EMODPE", "W for a page that then lacks R", FAULT_GP)
    {
        enter();
        entry(RO)->perm = 0;
        inside_secinfo(REG | SGX_SECINFO_W);
        enclu(SGX_EMODPE, BASE + DATA, BASE + RO, 0);
    }
    CASE("EMODPE", "SECINFO reserved flag", FAULT_GP)
    {
        enter();
        inside_secinfo(REG | 1 << 6);
        enclu(SGX_EMODPE, BASE + DATA, BASE + RO, 0);
    }
    CASE("EMODPE", "target recorded for another address", FAULT_PF(BASE + RO))
    {
        enter();
        entry(RO)->enclave_address += 4096;
        inside_secinfo(REG | SGX_SECINFO_X);
        enclu(SGX_EMODPE, BASE + DATA, BASE + RO, 0);
    }
}

#define COPY_CASE(condition, outcome, flags, change)            \
    CASE("EACCEPTCOPY", condition, outcome)                     \
    {                                                           \
        enter();                                                \
        augment(FREE);                                          \
        memset(at(BASE + DATA2), 0x5a, 4096);                   \
        inside_secinfo(flags);                                  \
        uint64_t rcx = BASE + FREE;                             \
        change;                                                 \
        enclu(SGX_EACCEPTCOPY, BASE + DATA, rcx, BASE + DATA2); \
    }

void cases_eacceptcopy(void **state)
{
    OPERAND_CASES("EACCEPTCOPY", "SECINFO", DATA, false,
                  enclu(SGX_EACCEPTCOPY, where, BASE + DATA2, BASE + RO));
    OPERAND_CASES("EACCEPTCOPY", "source", DATA2, false,
                  (augment(0xa000), inside_secinfo(REG | 5),
                   enclu(SGX_EACCEPTCOPY, BASE + DATA, BASE + 0xa000, where)));
    COPY_CASE("page copied, permissions from SECINFO", SUCCESS, REG | 5, );
    assert_int_equal(*(uint8_t *)at(BASE + FREE + 4095), 0x5a);
    assert_int_equal(entry(FREE)->perm, ACCESS_R | ACCESS_X);
    assert_int_equal(entry(FREE)->state, 0);
    COPY_CASE("SECINFO W without R", FAULT_GP, REG | 2, );
    COPY_CASE("SECINFO type not REG", FAULT_GP, SGX_SECINFO_PT(SGX_PT_TCS), );
    COPY_CASE("SECINFO reserved flag", FAULT_GP, REG | 3 | 1 << 6, );
    COPY_CASE("destination not aligned", FAULT_GP, REG | 3, rcx += 8);
    COPY_CASE("destination outside ELRANGE", FAULT_GP, REG | 3, rcx = BASE + SIZE);
    COPY_CASE("destination not mapped", FAULT_PF(BASE + 0x9000), REG | 3, rcx = BASE + 0x9000);
    COPY_CASE("destination is not EPC", FAULT_PF(BASE + FREE), REG | 3,
              m.map[FREE / 4096].page = -1);
    COPY_CASE("destination not PENDING", RETURNS(SGX_PAGE_ATTRIBUTES_MISMATCH), REG | 3,
              entry(FREE)->state = 0);
    COPY_CASE("destination MODIFIED", RETURNS(SGX_PAGE_ATTRIBUTES_MISMATCH), REG | 3,
              entry(FREE)->state |= EPCM_MODIFIED);
    COPY_CASE("destination not valid", RETURNS(SGX_PAGE_ATTRIBUTES_MISMATCH), REG | 3,
              entry(FREE)->valid = 0);
    COPY_CASE("destination not REG", RETURNS(SGX_PAGE_ATTRIBUTES_MISMATCH), REG | 3,
              entry(FREE)->type = SGX_PT_TCS);
    COPY_CASE("destination of another enclave", RETURNS(SGX_PAGE_ATTRIBUTES_MISMATCH), REG | 3,
              entry(FREE)->secs = 60);
    COPY_CASE("destination not R+W", RETURNS(SGX_PAGE_ATTRIBUTES_MISMATCH), REG | 3,
              entry(FREE)->perm = ACCESS_R);
    COPY_CASE("destination recorded for another address", RETURNS(SGX_PAGE_ATTRIBUTES_MISMATCH),
              REG | 3, entry(FREE)->enclave_address += 4096);
}
