/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* ENCLS: conditions of the manual, one by one. */
#include "cases.h"
#include "sgxemu/core/keys.h"
#include "sgx/sigstruct.h"

#define RW  (SGX_SECINFO_R | SGX_SECINFO_W)
#define REG SGX_SECINFO_PT(SGX_PT_REG)

static struct sgx_secinfo *outside_secinfo(void)
{
    return at(OUT + 64);
}

/* EMODPR and EMODT: a clean SECINFO with these flags in ordinary memory. */
static void secinfo(uint64_t flags)
{
    *outside_secinfo() = (struct sgx_secinfo){.flags = flags};
}

void cases_dispatch(void **state)
{
    for (uint32_t leaf = 0; leaf < 16; leaf++) {
        if (leaf == SGX_EENTER || leaf == SGX_ERESUME)
            continue;
        CASE("ENCLU", "leaf executed outside an enclave that needs one", FAULT_GP)
        {
            build_init();
            enclu(leaf, BASE + TCS, AEP, 0);
        }
    }
    for (uint32_t leaf = SGX_EENTER; leaf <= SGX_ERESUME; leaf++) {
        CASE("ENCLU", "EENTER or ERESUME inside an enclave", FAULT_GP)
        {
            enter();
            enclu(leaf, BASE + TCS, AEP, 0);
        }
    }
    CASE("ENCLU", "undefined leaf inside an enclave", FAULT_GP)
    {
        enter();
        enclu(10, 0, 0, 0);
    }
    CASE("ENCLS", "undefined leaf", FAULT_GP)
    {
        encls(77, 0, 0, 0);
    }
    CASE("ENCLS", "leaf not enumerated (ERDINFO)", FAULT_GP)
    {
        encls(16, 0, 0, 0);
    }
}

/* Changes one field of the source SECS; the leaf must then raise #GP. */
#define BAD_SECS(condition, change)         \
    CASE("ECREATE", condition, FAULT_GP)    \
    {                                       \
        prepare_ecreate();                  \
        struct sgx_secs *s = source_secs(); \
        change;                             \
        encls(SGX_ECREATE, OUT, KVA(0), 0); \
    }

void cases_ecreate(void **state)
{
    CASE("ECREATE", "valid operands", COMPLETES)
    {
        prepare_ecreate();
        encls(SGX_ECREATE, OUT, KVA(0), 0);
        assert_int_equal(m.epcm[0].valid, 1);
        assert_int_equal(m.epcm[0].type, SGX_PT_SECS);
    }
    CASE("ECREATE", "PAGEINFO not 32-byte aligned", FAULT_GP)
    {
        prepare_ecreate();
        encls(SGX_ECREATE, OUT + 16, KVA(0), 0);
    }
    CASE("ECREATE", "PAGEINFO not mapped", FAULT_PF(UNMAPPED))
    {
        prepare_ecreate();
        encls(SGX_ECREATE, UNMAPPED, KVA(0), 0);
    }
    CASE("ECREATE", "EPC page not 4 KiB aligned", FAULT_GP)
    {
        prepare_ecreate();
        encls(SGX_ECREATE, OUT, KVA(0) + 64, 0);
    }
    CASE("ECREATE", "EPC page address not canonical", FAULT_GP)
    {
        prepare_ecreate();
        encls(SGX_ECREATE, OUT, NONCANON, 0);
    }
    CASE("ECREATE", "destination is not EPC", FAULT_PF(KVA_PLAIN))
    {
        prepare_ecreate();
        encls(SGX_ECREATE, OUT, KVA_PLAIN, 0);
    }
    CASE("ECREATE", "destination not mapped", FAULT_PF(UNMAPPED))
    {
        prepare_ecreate();
        encls(SGX_ECREATE, OUT, UNMAPPED, 0);
    }
    CASE("ECREATE", "destination already valid", FAULT_PF(KVA(0)))
    {
        build();
        prepare_ecreate();
        encls(SGX_ECREATE, OUT, KVA(0), 0);
    }
    CASE("ECREATE", "PAGEINFO.LINADDR not zero", FAULT_GP)
    {
        prepare_ecreate()->linaddr = BASE;
        encls(SGX_ECREATE, OUT, KVA(0), 0);
    }
    CASE("ECREATE", "PAGEINFO.SECS not zero", FAULT_GP)
    {
        prepare_ecreate()->secs = KVA(1);
        encls(SGX_ECREATE, OUT, KVA(0), 0);
    }
    CASE("ECREATE", "PAGEINFO.SRCPGE not 4 KiB aligned", FAULT_GP)
    {
        prepare_ecreate()->srcpge += 8;
        encls(SGX_ECREATE, OUT, KVA(0), 0);
    }
    CASE("ECREATE", "PAGEINFO.SECINFO not 64-byte aligned", FAULT_GP)
    {
        prepare_ecreate()->secinfo += 8;
        encls(SGX_ECREATE, OUT, KVA(0), 0);
    }
    CASE("ECREATE", "source page not mapped", FAULT_PF(UNMAPPED))
    {
        prepare_ecreate()->srcpge = UNMAPPED;
        encls(SGX_ECREATE, OUT, KVA(0), 0);
    }
    CASE("ECREATE", "SECINFO not mapped", FAULT_PF(UNMAPPED))
    {
        prepare_ecreate()->secinfo = UNMAPPED;
        encls(SGX_ECREATE, OUT, KVA(0), 0);
    }
    CASE("ECREATE", "SECINFO page type is not SECS", FAULT_GP)
    {
        prepare_ecreate();
        outside_secinfo()->flags = REG;
        encls(SGX_ECREATE, OUT, KVA(0), 0);
    }
    CASE("ECREATE", "SECINFO reserved bytes set", FAULT_GP)
    {
        prepare_ecreate();
        outside_secinfo()->reserved[55] = 1;
        encls(SGX_ECREATE, OUT, KVA(0), 0);
    }
    CASE("ECREATE", "SECINFO reserved flag set", FAULT_GP)
    {
        prepare_ecreate();
        outside_secinfo()->flags |= 1 << 6;
        encls(SGX_ECREATE, OUT, KVA(0), 0);
    }
    BAD_SECS("XFRM without x87", s->attributes.xfrm = 2);
    BAD_SECS("XFRM without SSE", s->attributes.xfrm = 1);
    BAD_SECS("XFRM with AVX-512 but not AVX", (s->attributes.xfrm = 0xe3, s->ssa_frame_size = 2));
    BAD_SECS("XFRM with half of AVX-512", (s->attributes.xfrm = 0x27, s->ssa_frame_size = 2));
    BAD_SECS("XFRM with half of MPX", s->attributes.xfrm = 0xb);
    BAD_SECS("XFRM with half of AMX", s->attributes.xfrm = 0x20003);
    BAD_SECS("XFRM that the processor lacks", s->attributes.xfrm = 0x1b);
    BAD_SECS("XFRM[63] set", s->attributes.xfrm = 1ULL << 63 | 3);
    BAD_SECS("MISCSELECT not supported", s->miscselect = 2);
    BAD_SECS("ATTRIBUTES reserved bit 3", s->attributes.flags |= 8);
    BAD_SECS("ATTRIBUTES bit 11", s->attributes.flags |= 1 << 11);
    BAD_SECS("ATTRIBUTES.INIT set in the source", s->attributes.flags |= SGX_FLAG_INIT);
    BAD_SECS("ATTRIBUTES.CET without CET", s->attributes.flags |= SGX_FLAG_CET);
    BAD_SECS("CET_ATTRIBUTES without CET", s->cet_attributes = 1);
    BAD_SECS("CET_LEG_BITMAP_OFFSET without CET", s->cet_leg_bitmap_offset = 4096);
    BAD_SECS("SSAFRAMESIZE zero", s->ssa_frame_size = 0);
    BAD_SECS("SSA frame too small for XFRM", s->attributes.xfrm = 0x2e7; p.xsave.size[9] = 2000);
    BAD_SECS("BASEADDR not canonical", s->base = NONCANON);
    BAD_SECS("SIZE not a power of two", s->size = 0x18000);
    BAD_SECS("SIZE below 8192", s->size = 4096);
    BAD_SECS("SIZE zero", s->size = 0);
    BAD_SECS("SIZE beyond the CPUID limit", (s->size = 1ULL << 41, s->base = 0));
    BAD_SECS("BASEADDR not a multiple of SIZE", s->base = BASE + 0x1000);
    BAD_SECS("32-bit enclave above 4 GiB", (s->attributes.flags = 0, s->base = 1ULL << 32));
    BAD_SECS("CONFIGID without KSS", s->config_id[63] = 1);
    BAD_SECS("CONFIGSVN without KSS", s->config_svn = 1);
    BAD_SECS("reserved bytes after CET_ATTRIBUTES", s->reserved1[14] = 1);
    BAD_SECS("MRENCLAVE not zero", s->mrenclave[0] = 1);
    BAD_SECS("reserved bytes after MRENCLAVE", s->reserved2[0] = 1);
    BAD_SECS("MRSIGNER not zero", s->mrsigner[31] = 1);
    BAD_SECS("reserved bytes after MRSIGNER", s->reserved3[31] = 1);
    BAD_SECS("ISVPRODID not zero", s->isv_prod_id = 1);
    BAD_SECS("ISVSVN not zero", s->isv_svn = 1);
    BAD_SECS("last reserved byte", s->reserved4[3833] = 1);
    CASE("ECREATE", "CONFIGID and CONFIGSVN with KSS", COMPLETES)
    {
        prepare_ecreate();
        source_secs()->attributes.flags |= SGX_FLAG_KSS;
        source_secs()->config_id[0] = source_secs()->config_svn = 1;
        encls(SGX_ECREATE, OUT, KVA(0), 0);
    }
    CASE("ECREATE", "all supported XFRM in a frame that just fits", COMPLETES)
    {
        prepare_ecreate();
        source_secs()->attributes.xfrm = 0x2e7;
        encls(SGX_ECREATE, OUT, KVA(0), 0);
    }
}

#define BAD_EADD(condition, offset, flags, outcome, change)      \
    CASE("EADD", condition, outcome)                             \
    {                                                            \
        build();                                                 \
        struct sgx_pageinfo *info = prepare_eadd(offset, flags); \
        uint64_t rbx = OUT, rcx = KVA(20);                       \
        (void)info;                                              \
        change;                                                  \
        encls(SGX_EADD, rbx, rcx, 0);                            \
    }

void cases_eadd(void **state)
{
    BAD_EADD("valid REG page", FREE, REG | RW, COMPLETES, );
    BAD_EADD("valid TCS page", FREE, SGX_SECINFO_PT(SGX_PT_TCS), COMPLETES, );
    BAD_EADD("REG page without any permission", FREE, REG, COMPLETES, );
    BAD_EADD("PAGEINFO not 32-byte aligned", FREE, REG | RW, FAULT_GP, rbx += 8);
    BAD_EADD("PAGEINFO not mapped", FREE, REG | RW, FAULT_PF(UNMAPPED), rbx = UNMAPPED);
    BAD_EADD("EPC page not aligned", FREE, REG | RW, FAULT_GP, rcx += 8);
    BAD_EADD("destination is not EPC", FREE, REG | RW, FAULT_PF(KVA_PLAIN), rcx = KVA_PLAIN);
    BAD_EADD("destination not mapped", FREE, REG | RW, FAULT_PF(UNMAPPED), rcx = UNMAPPED);
    BAD_EADD("destination already valid", FREE, REG | RW, FAULT_PF(KVA(3)), rcx = KVA(3));
    BAD_EADD("SRCPGE not aligned", FREE, REG | RW, FAULT_GP, info->srcpge += 16);
    BAD_EADD("SRCPGE not mapped", FREE, REG | RW, FAULT_PF(UNMAPPED), info->srcpge = UNMAPPED);
    BAD_EADD("SECINFO not aligned", FREE, REG | RW, FAULT_GP, info->secinfo += 16);
    BAD_EADD("SECINFO not mapped", FREE, REG | RW, FAULT_PF(UNMAPPED), info->secinfo = UNMAPPED);
    BAD_EADD("LINADDR not aligned", FREE, REG | RW, FAULT_GP, info->linaddr += 1);
    BAD_EADD("LINADDR below ELRANGE", FREE, REG | RW, FAULT_GP, info->linaddr = BASE - 4096);
    BAD_EADD("LINADDR above ELRANGE", FREE, REG | RW, FAULT_GP, info->linaddr = BASE + SIZE);
    BAD_EADD("SECS not aligned", FREE, REG | RW, FAULT_GP, info->secs += 8);
    BAD_EADD("SECS is not EPC", FREE, REG | RW, FAULT_PF(KVA_PLAIN), info->secs = KVA_PLAIN);
    BAD_EADD("SECS not mapped", FREE, REG | RW, FAULT_PF(UNMAPPED), info->secs = UNMAPPED);
    BAD_EADD("SECS page not valid", FREE, REG | RW, FAULT_PF(KVA(40)), info->secs = KVA(40));
    BAD_EADD("SECS page is not a SECS", FREE, REG | RW, FAULT_PF(KVA(1)), info->secs = KVA(1));
    BAD_EADD("SECINFO type SECS", FREE, 0, FAULT_GP, );
    BAD_EADD("SECINFO type VA", FREE, SGX_SECINFO_PT(SGX_PT_VA), FAULT_GP, );
    BAD_EADD("SECINFO type TRIM", FREE, SGX_SECINFO_PT(SGX_PT_TRIM), FAULT_GP, );
    BAD_EADD("SECINFO type SS_FIRST without CET", FREE, SGX_SECINFO_PT(5) | 3, FAULT_GP, );
    BAD_EADD("SECINFO reserved flag", FREE, REG | RW | 1 << 7, FAULT_GP, );
    BAD_EADD("SECINFO reserved byte", FREE, REG | RW, FAULT_GP, outside_secinfo()->reserved[0] = 1);
    BAD_EADD("SECINFO W without R", FREE, REG | SGX_SECINFO_W, FAULT_GP, );
    BAD_EADD("SECINFO.PENDING", FREE, REG | RW | SGX_SECINFO_PENDING, FAULT_GP, );
    BAD_EADD("SECINFO.MODIFIED", FREE, REG | RW | SGX_SECINFO_MODIFIED, FAULT_GP, );
    BAD_EADD("TCS with reserved bytes", FREE, SGX_SECINFO_PT(SGX_PT_TCS), FAULT_GP,
             source_tcs()->reserved[4007] = 1);
    BAD_EADD("TCS with reserved flags", FREE, SGX_SECINFO_PT(SGX_PT_TCS), FAULT_GP,
             source_tcs()->flags = 4);
    CASE("EADD", "TCS: DBGOPTIN, CSSA, AEP, STATE and R, W, X are cleared", COMPLETES)
    {
        build();
        prepare_eadd(FREE, SGX_SECINFO_PT(SGX_PT_TCS) | 7);
        struct sgx_tcs *tcs = source_tcs();
        tcs->flags = SGX_TCS_DBGOPTIN, tcs->cssa = 1, tcs->aep = 5, tcs->state = 1;
        encls(SGX_EADD, OUT, KVA(20), 0);
        tcs = (struct sgx_tcs *)m.epc[20];
        assert_int_equal(tcs->flags | tcs->cssa | tcs->aep | tcs->state, 0);
        assert_int_equal(m.epcm[20].perm, 0);
    }
    CASE("EADD", "enclave already initialised", FAULT_GP)
    {
        build_init();
        prepare_eadd(FREE, REG | RW);
        encls(SGX_EADD, OUT, KVA(20), 0);
    }
}

#define BAD_EEXTEND(condition, outcome, change) \
    CASE("EEXTEND", condition, outcome)         \
    {                                           \
        build();                                \
        uint64_t rbx = KVA(0), rcx = KVA(1);    \
        change;                                 \
        encls(SGX_EEXTEND, rbx, rcx, 0);        \
    }

void cases_eextend(void **state)
{
    BAD_EEXTEND("valid chunk of a REG page", COMPLETES, );
    BAD_EEXTEND("valid chunk of a TCS page", COMPLETES, rcx = KVA(2) + 0xf00);
    BAD_EEXTEND("chunk not 256-byte aligned", FAULT_GP, rcx += 128);
    BAD_EEXTEND("SECS not aligned", FAULT_GP, rbx += 8);
    BAD_EEXTEND("SECS is not EPC", FAULT_PF(KVA_PLAIN), rbx = KVA_PLAIN);
    BAD_EEXTEND("chunk is not EPC", FAULT_PF(KVA_PLAIN), rcx = KVA_PLAIN);
    BAD_EEXTEND("chunk not mapped", FAULT_PF(UNMAPPED), rcx = UNMAPPED);
    BAD_EEXTEND("page not valid", FAULT_PF(KVA(20)), rcx = KVA(20));
    BAD_EEXTEND("page is a SECS", FAULT_PF(KVA(0)), rcx = KVA(0));
    BAD_EEXTEND("page is a VA page", FAULT_PF(KVA(20)),
                (encls(SGX_EPA, SGX_PT_VA, KVA(20), 0), rcx = KVA(20)));
    BAD_EEXTEND("page belongs to another SECS", FAULT_GP, rbx = KVA(3));
    CASE("EEXTEND", "enclave already initialised", FAULT_GP)
    {
        build_init();
        encls(SGX_EEXTEND, KVA(0), KVA(1), 0);
    }
}

/* Changes the SIGSTRUCT of the standard enclave; `sign` signs it again afterwards. */
#define EINIT_CASE(condition, outcome, change, sign)                   \
    CASE("EINIT", condition, outcome)                                  \
    {                                                                  \
        build();                                                       \
        struct sgx_sigstruct *s = prepare_einit();                     \
        struct sgx_einittoken *t = at(OUT + 0x3000);                   \
        uint64_t rbx = OUT + 0x2000, rcx = KVA(0), rdx = OUT + 0x3000; \
        (void)t;                                                       \
        change;                                                        \
        if (sign)                                                      \
            resign(s);                                                 \
        encls(SGX_EINIT, rbx, rcx, rdx);                               \
    }

/* A token that this platform's launch enclave would have issued. */
static void valid_token(struct sgx_einittoken *t, const struct sgx_sigstruct *s)
{
    const struct sgx_secs *secs = (const struct sgx_secs *)m.epc[0];
    memset(p.launch_key_hash, 0x77, 32); /* somebody else's key */
    memset(t, 0, sizeof(*t));
    t->valid = 1;
    t->attributes = secs->attributes;
    memcpy(t->mrenclave, s->enclave_hash, 32);
    sgx_sigstruct_mrsigner(s, t->mrsigner);
    memcpy(t->cpu_svn_le, p.cpu_svn, 16);
}

static void mac_token(struct sgx_einittoken *t)
{
    sgx_einittoken_mac(&p, t, t->mac);
}

#define TOKEN_CASE(condition, outcome, change, tail) \
    EINIT_CASE(condition, outcome, valid_token(t, s); change; mac_token(t); tail, false)

void cases_einit(void **state)
{
    EINIT_CASE("valid, signer is the launch key's owner", SUCCESS, , false);
    EINIT_CASE("SIGSTRUCT not 4 KiB aligned", FAULT_GP, rbx += 64, false);
    EINIT_CASE("SECS not aligned", FAULT_GP, rcx += 64, false);
    EINIT_CASE("EINITTOKEN not 512-byte aligned", FAULT_GP, rdx += 64, false);
    EINIT_CASE("SIGSTRUCT not mapped", FAULT_PF(UNMAPPED), rbx = UNMAPPED, false);
    EINIT_CASE("EINITTOKEN not mapped", FAULT_PF(UNMAPPED), rdx = UNMAPPED, false);
    EINIT_CASE("SECS is not EPC", FAULT_PF(KVA_PLAIN), rcx = KVA_PLAIN, false);
    EINIT_CASE("SECS not mapped", FAULT_PF(UNMAPPED), rcx = UNMAPPED, false);
    EINIT_CASE("SECS page not valid", FAULT_PF(KVA(40)), rcx = KVA(40), false);
    EINIT_CASE("page is not a SECS", FAULT_PF(KVA(1)), rcx = KVA(1), false);
    EINIT_CASE("HEADER wrong", RETURNS(SGX_INVALID_SIG_STRUCT), s->header[0] = 7, false);
    EINIT_CASE("VENDOR neither 0 nor 0x8086", RETURNS(SGX_INVALID_SIG_STRUCT), s->vendor = 1, true);
    EINIT_CASE("VENDOR 0x8086", SUCCESS, s->vendor = 0x8086, true);
    EINIT_CASE("HEADER2 wrong", RETURNS(SGX_INVALID_SIG_STRUCT), s->header2[0] = 7, false);
    EINIT_CASE("EXPONENT not 3", RETURNS(SGX_INVALID_SIG_STRUCT), s->exponent = 65537, false);
    EINIT_CASE("reserved bytes before MODULUS", RETURNS(SGX_INVALID_SIG_STRUCT),
               s->reserved1[83] = 1, false);
    EINIT_CASE("reserved bytes after MISCMASK", RETURNS(SGX_INVALID_SIG_STRUCT),
               s->reserved2[0] = 1, false);
    EINIT_CASE("reserved bytes after ENCLAVEHASH", RETURNS(SGX_INVALID_SIG_STRUCT),
               s->reserved3[0] = 1, false);
    EINIT_CASE("reserved bytes before Q1", RETURNS(SGX_INVALID_SIG_STRUCT), s->reserved4[11] = 1,
               false);
    EINIT_CASE("signature changed", RETURNS(SGX_INVALID_SIGNATURE), s->signature[0] ^= 1, false);
    EINIT_CASE("modulus changed", RETURNS(SGX_INVALID_SIGNATURE), s->modulus[0] ^= 2, false);
    EINIT_CASE("Q1 changed", RETURNS(SGX_INVALID_SIGNATURE), s->q1[0] ^= 1, false);
    EINIT_CASE("Q2 changed", RETURNS(SGX_INVALID_SIGNATURE), s->q2[0] ^= 1, false);
    EINIT_CASE("a signed field changed", RETURNS(SGX_INVALID_SIGNATURE), s->isv_svn++, false);
    EINIT_CASE("ENCLAVEHASH changed, not signed again", RETURNS(SGX_INVALID_SIGNATURE),
               s->enclave_hash[0] ^= 1, false);
    EINIT_CASE("ISVFAMILYID without KSS", RETURNS(SGX_INVALID_SIG_STRUCT), s->isv_family_id[0] = 1,
               true);
    EINIT_CASE("MRENCLAVE differs", RETURNS(SGX_INVALID_MEASUREMENT), s->enclave_hash[0] ^= 1,
               true);
    EINIT_CASE("one bit of a measured page differs", RETURNS(SGX_INVALID_MEASUREMENT),
               encls(SGX_EEXTEND, KVA(0), KVA(1), 0), false);
    EINIT_CASE("attribute outside the mask differs", SUCCESS,
               (s->attributes.flags ^= 2, s->attribute_mask.flags &= ~2ULL), true);
    EINIT_CASE("ATTRIBUTES.FLAGS differ under the mask", RETURNS(SGX_INVALID_ATTRIBUTE),
               s->attributes.flags ^= 2, true);
    EINIT_CASE("XFRM differs under the mask", RETURNS(SGX_INVALID_ATTRIBUTE),
               s->attributes.xfrm ^= 4, true);
    EINIT_CASE("MISCSELECT differs under the mask", RETURNS(SGX_INVALID_ATTRIBUTE),
               s->miscselect ^= 1, true);
    EINIT_CASE("MISCSELECT differs outside the mask", SUCCESS,
               (s->miscselect ^= 1, s->miscmask = 0), true);
    EINIT_CASE("no token, signer is not the launch key's owner", RETURNS(SGX_INVALID_EINITTOKEN),
               p.launch_key_hash[0] ^= 1, false);
    CASE("EINIT", "EINITTOKEN_KEY attribute without the launch key", RETURNS(SGX_INVALID_ATTRIBUTE))
    {
        prepare_ecreate();
        source_secs()->attributes.flags |= SGX_FLAG_EINITTOKEN_KEY;
        encls(SGX_ECREATE, OUT, KVA(0), 0);
        prepare_einit();
        p.launch_key_hash[0] ^= 1;
        encls(SGX_EINIT, OUT + 0x2000, KVA(0), OUT + 0x3000);
    }
    EINIT_CASE("enclave already initialised", FAULT_GP, encls(SGX_EINIT, rbx, rcx, rdx), false);
    TOKEN_CASE("valid token of a launch enclave", SUCCESS, , );
    TOKEN_CASE("token of a debug launch enclave for a production enclave",
               RETURNS(SGX_INVALID_EINITTOKEN), t->masked_attributes_le.flags = 2, );
    TOKEN_CASE("token with reserved bits in VALID", RETURNS(SGX_INVALID_EINITTOKEN),
               t->valid = 3, );
    TOKEN_CASE("token with reserved bytes", RETURNS(SGX_INVALID_EINITTOKEN), t->reserved4[0] = 1, );
    TOKEN_CASE("token of a newer CPUSVN", RETURNS(SGX_INVALID_CPUSVN), t->cpu_svn_le[0]++, );
    TOKEN_CASE("token with a wrong MAC", RETURNS(SGX_INVALID_EINITTOKEN), , t->mac[0] ^= 1);
    TOKEN_CASE("token for another MRENCLAVE", RETURNS(SGX_INVALID_MEASUREMENT),
               t->mrenclave[0] ^= 1, );
    TOKEN_CASE("token for another MRSIGNER", RETURNS(SGX_INVALID_MEASUREMENT),
               t->mrsigner[0] ^= 1, );
    TOKEN_CASE("token for other ATTRIBUTES", RETURNS(SGX_INVALID_ATTRIBUTE),
               t->attributes.flags ^= 2, );
}

#define EAUG_CASE(condition, outcome, change)                                  \
    CASE("EAUG", condition, outcome)                                           \
    {                                                                          \
        build_init();                                                          \
        struct sgx_pageinfo *info = at(OUT);                                   \
        *info = (struct sgx_pageinfo){.linaddr = BASE + FREE, .secs = KVA(0)}; \
        uint64_t rbx = OUT, rcx = KVA(20);                                     \
        change;                                                                \
        encls(SGX_EAUG, rbx, rcx, 0);                                          \
    }

void cases_eaug(void **state)
{
    EAUG_CASE("valid: page zeroed, R+W, PENDING", COMPLETES, memset(m.epc[20], 0xff, 4096));
    assert_int_equal(m.epc[20][4095], 0);
    assert_int_equal(m.epcm[20].perm, RW);
    assert_int_equal(m.epcm[20].state, EPCM_PENDING);
    EAUG_CASE("PAGEINFO not aligned", FAULT_GP, rbx += 8);
    EAUG_CASE("PAGEINFO not mapped", FAULT_PF(UNMAPPED), rbx = UNMAPPED);
    EAUG_CASE("EPC page not aligned", FAULT_GP, rcx += 8);
    EAUG_CASE("destination is not EPC", FAULT_PF(KVA_PLAIN), rcx = KVA_PLAIN);
    EAUG_CASE("destination already valid", FAULT_PF(KVA(1)), rcx = KVA(1));
    EAUG_CASE("SRCPGE not zero", FAULT_GP, info->srcpge = OUT + 0x1000);
    EAUG_CASE("SECINFO not zero without CET", FAULT_GP, info->secinfo = OUT + 64);
    EAUG_CASE("LINADDR not aligned", FAULT_GP, info->linaddr += 8);
    EAUG_CASE("LINADDR below ELRANGE", FAULT_GP, info->linaddr = BASE - 4096);
    EAUG_CASE("LINADDR above ELRANGE", FAULT_GP, info->linaddr = BASE + SIZE);
    EAUG_CASE("SECS not aligned", FAULT_GP, info->secs += 8);
    EAUG_CASE("SECS is not EPC", FAULT_PF(KVA_PLAIN), info->secs = KVA_PLAIN);
    EAUG_CASE("SECS page is not a SECS", FAULT_PF(KVA(1)), info->secs = KVA(1));
    CASE("EAUG", "enclave not initialised", FAULT_GP)
    {
        build();
        *(struct sgx_pageinfo *)at(OUT) =
            (struct sgx_pageinfo){.linaddr = BASE + FREE, .secs = KVA(0)};
        encls(SGX_EAUG, OUT, KVA(20), 0);
    }
}

#define MODIFY_CASE(name, leaf, condition, flags, page, outcome, change) \
    CASE(name, condition, outcome)                                       \
    {                                                                    \
        build_init();                                                    \
        secinfo(flags);                                                  \
        uint64_t rbx = OUT + 64, rcx = KVA(page);                        \
        change;                                                          \
        encls(leaf, rbx, rcx, 0);                                        \
    }
#define PR_CASE(...) MODIFY_CASE("EMODPR", SGX_EMODPR, __VA_ARGS__)
#define T_CASE(...)  MODIFY_CASE("EMODT", SGX_EMODT, __VA_ARGS__)
#define TO_TRIM      SGX_SECINFO_PT(SGX_PT_TRIM)
#define TO_TCS       SGX_SECINFO_PT(SGX_PT_TCS)

static void modify_operand_cases(const char *name, uint32_t leaf, uint64_t flags)
{
    MODIFY_CASE(name, leaf, "SECINFO not aligned", flags, 5, FAULT_GP, rbx += 8);
    MODIFY_CASE(name, leaf, "SECINFO not mapped", flags, 5, FAULT_PF(UNMAPPED), rbx = UNMAPPED);
    MODIFY_CASE(name, leaf, "SECINFO reserved flag", flags | 1 << 6, 5, FAULT_GP, );
    MODIFY_CASE(name, leaf, "SECINFO reserved byte", flags, 5, FAULT_GP,
                outside_secinfo()->reserved[9] = 1);
    MODIFY_CASE(name, leaf, "page not aligned", flags, 5, FAULT_GP, rcx += 8);
    MODIFY_CASE(name, leaf, "page is not EPC", flags, 5, FAULT_PF(KVA_PLAIN), rcx = KVA_PLAIN);
    MODIFY_CASE(name, leaf, "page not mapped", flags, 5, FAULT_PF(UNMAPPED), rcx = UNMAPPED);
    MODIFY_CASE(name, leaf, "page not valid", flags, 50, FAULT_PF(KVA(50)), );
    MODIFY_CASE(name, leaf, "page is the SECS", flags, 0, FAULT_PF(KVA(0)), );
    MODIFY_CASE(name, leaf, "page PENDING", flags, 40, RETURNS(SGX_PAGE_NOT_MODIFIABLE),
                (augment(FREE), secinfo(flags)));
    CASE(name, "enclave not initialised", FAULT_GP)
    {
        build();
        secinfo(flags);
        encls(leaf, OUT + 64, KVA(5), 0);
    }
}

void cases_emodpr(void **state)
{
    PR_CASE("valid: permissions are ANDed, PR set", SGX_SECINFO_R | SGX_SECINFO_X, 5, SUCCESS, );
    assert_int_equal(m.epcm[5].perm, ACCESS_R);
    assert_int_equal(m.epcm[5].state, EPCM_PR);
    modify_operand_cases("EMODPR", SGX_EMODPR, SGX_SECINFO_R);
    PR_CASE("W without R", SGX_SECINFO_W, 5, FAULT_GP, );
    PR_CASE("page is a TCS", SGX_SECINFO_R, 2, FAULT_PF(KVA(2)), );
    PR_CASE("page MODIFIED", SGX_SECINFO_R, 5, RETURNS(SGX_PAGE_NOT_MODIFIABLE),
            (secinfo(TO_TRIM), encls(SGX_EMODT, rbx, rcx, 0), secinfo(SGX_SECINFO_R)));
    PR_CASE("accepted TRIM page", SGX_SECINFO_R, 5, FAULT_PF(KVA(5)),
            (m.epcm[5].type = SGX_PT_TRIM));
}

void cases_emodt(void **state)
{
    T_CASE("REG to TRIM: MODIFIED set, R, W, X and PR cleared", TO_TRIM, 5, SUCCESS,
           m.epcm[5].state = EPCM_PR);
    assert_int_equal(m.epcm[5].perm, 0);
    assert_int_equal(m.epcm[5].state, EPCM_MODIFIED);
    assert_int_equal(m.epcm[5].type, SGX_PT_TRIM);
    T_CASE("REG to TCS", TO_TCS, 5, SUCCESS, );
    T_CASE("TCS to TRIM", TO_TRIM, 2, SUCCESS, );
    modify_operand_cases("EMODT", SGX_EMODT, TO_TRIM);
    T_CASE("to type REG", REG, 5, FAULT_GP, );
    T_CASE("to type SECS", 0, 5, FAULT_GP, );
    T_CASE("to type VA", SGX_SECINFO_PT(SGX_PT_VA), 5, FAULT_GP, );
    T_CASE("TCS to TCS", TO_TCS, 2, FAULT_PF(KVA(2)), );
    T_CASE("page MODIFIED", TO_TRIM, 2, RETURNS(SGX_PAGE_NOT_MODIFIABLE),
           m.epcm[2].state = EPCM_MODIFIED);
    T_CASE("TRIM to TRIM", TO_TRIM, 5, FAULT_PF(KVA(5)), encls(SGX_EMODT, rbx, rcx, 0));
}

void cases_eremove(void **state)
{
    CASE("EREMOVE", "REG page, nobody inside", SUCCESS)
    {
        build_init();
        encls(SGX_EREMOVE, 0, KVA(5), 0);
    }
    CASE("EREMOVE", "page already invalid", SUCCESS)
    {
        encls(SGX_EREMOVE, 0, KVA(5), 0);
    }
    CASE("EREMOVE", "page not aligned", FAULT_GP)
    {
        build_init();
        encls(SGX_EREMOVE, 0, KVA(5) + 8, 0);
    }
    CASE("EREMOVE", "page is not EPC", FAULT_PF(KVA_PLAIN))
    {
        encls(SGX_EREMOVE, 0, KVA_PLAIN, 0);
    }
    CASE("EREMOVE", "SECS with children", RETURNS(SGX_CHILD_PRESENT))
    {
        build_init();
        encls(SGX_EREMOVE, 0, KVA(0), 0);
    }
    CASE("EREMOVE", "SECS after its last child", SUCCESS)
    {
        build_init();
        for (int i = 1; i <= 7; i++)
            encls(SGX_EREMOVE, 0, KVA(i), 0);
        encls(SGX_EREMOVE, 0, KVA(0), 0);
    }
    CASE("EREMOVE", "a thread is inside", RETURNS(SGX_ENCLAVE_ACT))
    {
        enter();
        encls(SGX_EREMOVE, 0, KVA(5), 0);
    }
    CASE("EREMOVE", "accepted TRIM page while a thread is inside", SUCCESS)
    {
        enter();
        m.epcm[5].type = SGX_PT_TRIM;
        encls(SGX_EREMOVE, 0, KVA(5), 0);
    }
    CASE("EREMOVE", "TRIM page not accepted, a thread is inside", RETURNS(SGX_ENCLAVE_ACT))
    {
        enter();
        m.epcm[5].type = SGX_PT_TRIM;
        m.epcm[5].state = EPCM_MODIFIED;
        encls(SGX_EREMOVE, 0, KVA(5), 0);
    }
    CASE("EREMOVE", "VA page", SUCCESS)
    {
        encls(SGX_EPA, SGX_PT_VA, KVA(9), 0);
        encls(SGX_EREMOVE, 0, KVA(9), 0);
    }
}

void cases_eblock(void **state)
{
    CASE("EBLOCK", "REG page", SUCCESS)
    {
        build_init();
        encls(SGX_EBLOCK, 0, KVA(5), 0);
        assert_int_equal(m.epcm[5].state, EPCM_BLOCKED);
    }
    CASE("EBLOCK", "page not aligned", FAULT_GP)
    {
        encls(SGX_EBLOCK, 0, KVA(5) + 1, 0);
    }
    CASE("EBLOCK", "page is not EPC", FAULT_PF(KVA_PLAIN))
    {
        encls(SGX_EBLOCK, 0, KVA_PLAIN, 0);
    }
    CASE("EBLOCK", "page not valid", RETURNS(SGX_PG_INVLD))
    {
        encls(SGX_EBLOCK, 0, KVA(5), 0);
    }
    CASE("EBLOCK", "page is a SECS", RETURNS(SGX_PG_IS_SECS))
    {
        build_init();
        encls(SGX_EBLOCK, 0, KVA(0), 0);
    }
    CASE("EBLOCK", "page is a VA page", RETURNS(SGX_NOTBLOCKABLE))
    {
        encls(SGX_EPA, SGX_PT_VA, KVA(9), 0);
        encls(SGX_EBLOCK, 0, KVA(9), 0);
    }
    CASE("EBLOCK", "already blocked: SGX_BLSTATE with CF, not ZF", COMPLETES)
    {
        build_init();
        encls(SGX_EBLOCK, 0, KVA(5), 0);
        encls(SGX_EBLOCK, 0, KVA(5), 0);
        assert_int_equal(r.rax, SGX_BLSTATE);
        assert_int_equal(r.rflags & RFLAGS_ARITH, RFLAGS_CF);
    }
}

void cases_etrack(void **state)
{
    CASE("ETRACK", "nobody inside", SUCCESS)
    {
        build_init();
        encls(SGX_ETRACK, 0, KVA(0), 0);
    }
    CASE("ETRACK", "page not aligned", FAULT_GP)
    {
        encls(SGX_ETRACK, 0, KVA(0) + 8, 0);
    }
    CASE("ETRACK", "page is not EPC", FAULT_PF(KVA_PLAIN))
    {
        encls(SGX_ETRACK, 0, KVA_PLAIN, 0);
    }
    CASE("ETRACK", "page not valid", FAULT_PF(KVA(0)))
    {
        encls(SGX_ETRACK, 0, KVA(0), 0);
    }
    CASE("ETRACK", "page is not a SECS", FAULT_PF(KVA(1)))
    {
        build_init();
        encls(SGX_ETRACK, 0, KVA(1), 0);
    }
    CASE("ETRACK", "a thread of the previous epoch is still inside", RETURNS(SGX_PREV_TRK_INCMPL))
    {
        enter();
        encls(SGX_ETRACK, 0, KVA(0), 0);
        encls(SGX_ETRACK, 0, KVA(0), 0);
    }
    CASE("ETRACK", "that thread has left", SUCCESS)
    {
        enter();
        encls(SGX_ETRACK, 0, KVA(0), 0);
        enclu(SGX_EEXIT, AEP, 0, 0);
        encls(SGX_ETRACK, 0, KVA(0), 0);
    }
}

static void build_debug(uint64_t flags)
{
    prepare_ecreate();
    source_secs()->attributes.flags |= flags;
    encls(SGX_ECREATE, OUT, KVA(0), 0);
    add_page(DATA, REG | RW);
    add_page(TCS, SGX_SECINFO_PT(SGX_PT_TCS));
}

static void debug_cases(const char *name, uint32_t leaf)
{
    CASE(name, "REG page of a debug enclave", SUCCESS)
    {
        build_debug(SGX_FLAG_DEBUG);
        encls(leaf, 42, KVA(1) + 8, 0);
    }
    CASE(name, "TCS.FLAGS of a debug enclave", SUCCESS)
    {
        build_debug(SGX_FLAG_DEBUG);
        encls(leaf, 1, KVA(2) + 8, 0);
    }
    CASE(name, "address not 8-byte aligned", FAULT_GP)
    {
        build_debug(SGX_FLAG_DEBUG);
        encls(leaf, 42, KVA(1) + 4, 0);
    }
    CASE(name, "production enclave", FAULT_GP)
    {
        build_debug(0);
        encls(leaf, 42, KVA(1) + 8, 0);
    }
    CASE(name, "page is not EPC", FAULT_PF(KVA_PLAIN))
    {
        encls(leaf, 42, KVA_PLAIN, 0);
    }
    CASE(name, "page not valid", FAULT_PF(KVA(9)))
    {
        encls(leaf, 42, KVA(9), 0);
    }
    CASE(name, "page is a SECS", FAULT_PF(KVA(0)))
    {
        build_debug(SGX_FLAG_DEBUG);
        encls(leaf, 42, KVA(0), 0);
    }
    CASE(name, "page PENDING or MODIFIED", RETURNS(SGX_PAGE_NOT_DEBUGGABLE))
    {
        build_debug(SGX_FLAG_DEBUG);
        m.epcm[1].state = EPCM_PENDING;
        encls(leaf, 42, KVA(1), 0);
    }
}

void cases_debug(void **state)
{
    debug_cases("EDBGRD", SGX_EDBGRD);
    debug_cases("EDBGWR", SGX_EDBGWR);
    CASE("EDBGRD", "value arrives in RBX", SUCCESS)
    {
        build_debug(SGX_FLAG_DEBUG);
        memset(m.epc[1] + 8, 0x5a, 8);
        encls(SGX_EDBGRD, 0, KVA(1) + 8, 0);
        assert_true(r.rbx == 0x5a5a5a5a5a5a5a5aULL);
    }
    CASE("EDBGWR", "TCS field other than FLAGS", FAULT_GP)
    {
        build_debug(SGX_FLAG_DEBUG);
        encls(SGX_EDBGWR, 1, KVA(2) + 16, 0);
    }
}

/* EWB of page 5 to OUT+0x4000 with PCMD at OUT+128 and the version in slot 3 of VA page 9. */
static struct sgx_pageinfo *prepare_ewb(bool block, bool track)
{
    build_init();
    memset(m.epc[5], 0xab, 4096);
    encls(SGX_EPA, SGX_PT_VA, KVA(9), 0);
    if (block)
        encls(SGX_EBLOCK, 0, KVA(5), 0);
    if (track)
        encls(SGX_ETRACK, 0, KVA(0), 0);
    struct sgx_pageinfo *info = at(OUT);
    *info = (struct sgx_pageinfo){.srcpge = OUT + 0x4000, .secinfo = OUT + 128};
    return info;
}

static struct sgx_pageinfo *prepare_eld(void)
{
    struct sgx_pageinfo *info = prepare_ewb(true, true);
    encls(SGX_EWB, OUT, KVA(5), KVA(9) + 24);
    assert_true(!fault.vector && r.rax == 0);
    *info = (struct sgx_pageinfo){
        .srcpge = OUT + 0x4000, .secinfo = OUT + 128, .secs = KVA(0), .linaddr = BASE + DATA};
    return info;
}

#define EWB_CASE(condition, outcome, change)                 \
    CASE("EWB", condition, outcome)                          \
    {                                                        \
        struct sgx_pageinfo *info = prepare_ewb(true, true); \
        uint64_t rbx = OUT, rcx = KVA(5), rdx = KVA(9) + 24; \
        (void)info;                                          \
        change;                                              \
        encls(SGX_EWB, rbx, rcx, rdx);                       \
    }
#define ELD_CASE(condition, outcome, change)                  \
    CASE("ELDU", condition, outcome)                          \
    {                                                         \
        struct sgx_pageinfo *info = prepare_eld();            \
        uint64_t rbx = OUT, rcx = KVA(30), rdx = KVA(9) + 24; \
        (void)info;                                           \
        change;                                               \
        encls(SGX_ELDU, rbx, rcx, rdx);                       \
    }

void cases_paging(void **state)
{
    CASE("EPA", "valid", COMPLETES)
    {
        encls(SGX_EPA, SGX_PT_VA, KVA(9), 0);
    }
    CASE("EPA", "RBX is not PT_VA", FAULT_GP)
    {
        encls(SGX_EPA, SGX_PT_REG, KVA(9), 0);
    }
    CASE("EPA", "page not aligned", FAULT_GP)
    {
        encls(SGX_EPA, SGX_PT_VA, KVA(9) + 8, 0);
    }
    CASE("EPA", "page is not EPC", FAULT_PF(KVA_PLAIN))
    {
        encls(SGX_EPA, SGX_PT_VA, KVA_PLAIN, 0);
    }
    CASE("EPA", "page already valid", FAULT_PF(KVA(1)))
    {
        build();
        encls(SGX_EPA, SGX_PT_VA, KVA(1), 0);
    }
    EWB_CASE("blocked and tracked page", SUCCESS, );
    assert_int_equal(m.epcm[5].valid, 0);
    assert_true(((uint8_t *)at(OUT + 0x4000))[0] != 0xab ||
                ((uint8_t *)at(OUT + 0x4000))[1] != 0xab);
    EWB_CASE("PAGEINFO not aligned", FAULT_GP, rbx += 8);
    EWB_CASE("page not aligned", FAULT_GP, rcx += 8);
    EWB_CASE("slot not 8-byte aligned", FAULT_GP, rdx += 4);
    EWB_CASE("page is not EPC", FAULT_PF(KVA_PLAIN), rcx = KVA_PLAIN);
    EWB_CASE("slot is not EPC", FAULT_PF(KVA_PLAIN), rdx = KVA_PLAIN);
    EWB_CASE("slot in the same page", FAULT_GP, rdx = rcx);
    EWB_CASE("PAGEINFO.LINADDR not zero", FAULT_GP, info->linaddr = 4096);
    EWB_CASE("PAGEINFO.SECS not zero", FAULT_GP, info->secs = KVA(0));
    EWB_CASE("PCMD not 128-byte aligned", FAULT_GP, info->secinfo += 64);
    EWB_CASE("SRCPGE not aligned", FAULT_GP, info->srcpge += 64);
    EWB_CASE("page not valid", FAULT_PF(KVA(30)), rcx = KVA(30));
    EWB_CASE("slot is not in a VA page", FAULT_PF(KVA(4)), rdx = KVA(4));
    EWB_CASE("SECS with children", RETURNS(SGX_CHILD_PRESENT), rcx = KVA(0));
    EWB_CASE("slot occupied: SGX_VA_SLOT_OCCUPIED with CF", COMPLETES, m.epc[9][24] = 1);
    assert_int_equal(r.rax, SGX_VA_SLOT_OCCUPIED);
    assert_int_equal(r.rflags & RFLAGS_ARITH, RFLAGS_CF);
    CASE("EWB", "page not blocked", RETURNS(SGX_PAGE_NOT_BLOCKED))
    {
        prepare_ewb(false, true);
        encls(SGX_EWB, OUT, KVA(5), KVA(9) + 24);
    }
    CASE("EWB", "ETRACK missing", RETURNS(SGX_NOT_TRACKED))
    {
        prepare_ewb(true, false);
        encls(SGX_EWB, OUT, KVA(5), KVA(9) + 24);
    }
    ELD_CASE("page comes back unchanged", SUCCESS, );
    assert_int_equal(m.epc[30][0], 0xab);
    assert_int_equal(m.epc[30][4095], 0xab);
    assert_int_equal(m.epcm[30].state, 0);
    ELD_CASE("PAGEINFO not aligned", FAULT_GP, rbx += 8);
    ELD_CASE("page not aligned", FAULT_GP, rcx += 8);
    ELD_CASE("slot not aligned", FAULT_GP, rdx += 4);
    ELD_CASE("destination is not EPC", FAULT_PF(KVA_PLAIN), rcx = KVA_PLAIN);
    ELD_CASE("destination valid", FAULT_PF(KVA(1)), rcx = KVA(1));
    ELD_CASE("slot is not in a VA page", FAULT_PF(KVA(4)), rdx = KVA(4));
    ELD_CASE("parent SECS not aligned", FAULT_GP, info->secs += 8);
    ELD_CASE("parent is not EPC", FAULT_PF(KVA_PLAIN), info->secs = KVA_PLAIN);
    ELD_CASE("parent is not a SECS", FAULT_PF(KVA(1)), info->secs = KVA(1));
    ELD_CASE("content changed", RETURNS(SGX_MAC_COMPARE_FAIL), m.out[0x4000] ^= 1);
    ELD_CASE("linear address changed", RETURNS(SGX_MAC_COMPARE_FAIL), info->linaddr += 4096);
    ELD_CASE("permissions changed", RETURNS(SGX_MAC_COMPARE_FAIL), m.out[128] ^= 4);
    ELD_CASE("MAC changed", RETURNS(SGX_MAC_COMPARE_FAIL), m.out[128 + 127] ^= 1);
    ELD_CASE("version of another slot (replay)", RETURNS(SGX_MAC_COMPARE_FAIL), rdx += 8);
    CASE("ELDB", "page comes back blocked", SUCCESS)
    {
        prepare_eld();
        encls(SGX_ELDB, OUT, KVA(30), KVA(9) + 24);
        assert_int_equal(m.epcm[30].state, EPCM_BLOCKED);
    }
}
