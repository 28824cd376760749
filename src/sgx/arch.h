/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * SGX as the processor sees it: constants and memory structures of Intel's SDM volume 3D,
 * chapters "Enclave Access Control and Data Structures" and "SGX Instruction References".
 *
 * Everything is little-endian; sizes and offsets are in bytes. The structures contain no padding
 * that the manual does not have: each offset and size is checked at compile time below.
 * Freestanding: used by the signer, the software device and code inside an enclave.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SGX_PAGE_SIZE 4096ULL

/* ENCLU leaves (EAX). */
enum sgx_enclu {
    SGX_EREPORT = 0,
    SGX_EGETKEY = 1,
    SGX_EENTER = 2,
    SGX_ERESUME = 3,
    SGX_EEXIT = 4,
    SGX_EACCEPT = 5,
    SGX_EMODPE = 6,
    SGX_EACCEPTCOPY = 7,
    SGX_EVERIFYREPORT2 = 8,
    SGX_EDECCSSA = 9,
};

/* ENCLS leaves (EAX). */
enum sgx_encls {
    SGX_ECREATE = 0,
    SGX_EADD = 1,
    SGX_EINIT = 2,
    SGX_EREMOVE = 3,
    SGX_EDBGRD = 4,
    SGX_EDBGWR = 5,
    SGX_EEXTEND = 6,
    SGX_ELDB = 7,
    SGX_ELDU = 8,
    SGX_EBLOCK = 9,
    SGX_EPA = 10,
    SGX_EWB = 11,
    SGX_ETRACK = 12,
    SGX_EAUG = 13,
    SGX_EMODPR = 14,
    SGX_EMODT = 15,
};

/* Error codes: RAX with ZF = 1. */
enum sgx_error {
    SGX_SUCCESS = 0,
    SGX_INVALID_SIG_STRUCT = 1,
    SGX_INVALID_ATTRIBUTE = 2,
    SGX_BLSTATE = 3,
    SGX_INVALID_MEASUREMENT = 4,
    SGX_NOTBLOCKABLE = 5,
    SGX_PG_INVLD = 6,
    SGX_EPC_PAGE_CONFLICT = 7,
    SGX_INVALID_SIGNATURE = 8,
    SGX_MAC_COMPARE_FAIL = 9,
    SGX_PAGE_NOT_BLOCKED = 10,
    SGX_NOT_TRACKED = 11,
    SGX_VA_SLOT_OCCUPIED = 12,
    SGX_CHILD_PRESENT = 13,
    SGX_ENCLAVE_ACT = 14,
    SGX_ENTRYEPOCH_LOCKED = 15,
    SGX_INVALID_EINITTOKEN = 16,
    SGX_PREV_TRK_INCMPL = 17,
    SGX_PG_IS_SECS = 18,
    SGX_PAGE_ATTRIBUTES_MISMATCH = 19,
    SGX_PAGE_NOT_MODIFIABLE = 20,
    SGX_PAGE_NOT_DEBUGGABLE = 21,
    SGX_INVALID_CPUSVN = 32,
    SGX_INVALID_ISVSVN = 64,
    SGX_UNMASKED_EVENT = 128,
    SGX_INVALID_KEYNAME = 256,
};

/* ATTRIBUTES.FLAGS */
#define SGX_FLAG_INIT           (1ULL << 0)
#define SGX_FLAG_DEBUG          (1ULL << 1)
#define SGX_FLAG_MODE64BIT      (1ULL << 2)
#define SGX_FLAG_PROVISIONKEY   (1ULL << 4)
#define SGX_FLAG_EINITTOKEN_KEY (1ULL << 5)
#define SGX_FLAG_CET            (1ULL << 6)
#define SGX_FLAG_KSS            (1ULL << 7)
#define SGX_FLAG_AEXNOTIFY      (1ULL << 10)

/* ATTRIBUTES.XFRM, as XCR0 */
#define SGX_XFRM_X87    (1ULL << 0)
#define SGX_XFRM_SSE    (1ULL << 1)
#define SGX_XFRM_LEGACY (SGX_XFRM_X87 | SGX_XFRM_SSE)
#define SGX_XFRM_AVX    (1ULL << 2)
#define SGX_XFRM_MPX    (3ULL << 3)
#define SGX_XFRM_AVX512 (7ULL << 5)
#define SGX_XFRM_PKRU   (1ULL << 9)
#define SGX_XFRM_CET    (3ULL << 11)
#define SGX_XFRM_AMX    (3ULL << 17)

/* MISCSELECT */
#define SGX_MISC_EXINFO (1U << 0)
#define SGX_MISC_CPINFO (1U << 1)

/* SECINFO.FLAGS */
#define SGX_SECINFO_R          (1ULL << 0)
#define SGX_SECINFO_W          (1ULL << 1)
#define SGX_SECINFO_X          (1ULL << 2)
#define SGX_SECINFO_RWX        (7ULL << 0)
#define SGX_SECINFO_PENDING    (1ULL << 3)
#define SGX_SECINFO_MODIFIED   (1ULL << 4)
#define SGX_SECINFO_PR         (1ULL << 5)
#define SGX_SECINFO_PT_SHIFT   8
#define SGX_SECINFO_PT_MASK    (0xffULL << SGX_SECINFO_PT_SHIFT)
#define SGX_SECINFO_PT(type)   ((uint64_t)(type) << SGX_SECINFO_PT_SHIFT)
#define SGX_SECINFO_RESERVED   (~(SGX_SECINFO_PT_MASK | 0x3fULL))
#define SGX_SECINFO_TYPE(flag) (((flag)&SGX_SECINFO_PT_MASK) >> SGX_SECINFO_PT_SHIFT)

enum sgx_page_type {
    SGX_PT_SECS = 0,
    SGX_PT_TCS = 1,
    SGX_PT_REG = 2,
    SGX_PT_VA = 3,
    SGX_PT_TRIM = 4,
    SGX_PT_SS_FIRST = 5,
    SGX_PT_SS_REST = 6,
};

/* TCS.FLAGS */
#define SGX_TCS_DBGOPTIN  (1ULL << 0)
#define SGX_TCS_AEXNOTIFY (1ULL << 1)

/* KEYREQUEST.KEYNAME and KEYPOLICY */
enum sgx_keyname {
    SGX_KEY_EINITTOKEN = 0,
    SGX_KEY_PROVISION = 1,
    SGX_KEY_PROVISION_SEAL = 2,
    SGX_KEY_REPORT = 3,
    SGX_KEY_SEAL = 4,
};
#define SGX_KEYPOLICY_MRENCLAVE    (1U << 0)
#define SGX_KEYPOLICY_MRSIGNER     (1U << 1)
#define SGX_KEYPOLICY_NOISVPRODID  (1U << 2)
#define SGX_KEYPOLICY_CONFIGID     (1U << 3)
#define SGX_KEYPOLICY_ISVFAMILYID  (1U << 4)
#define SGX_KEYPOLICY_ISVEXTPRODID (1U << 5)

/* EXITINFO of an SSA frame */
#define SGX_EXITINFO_VALID    (1U << 31)
#define SGX_EXITINFO_HARDWARE (3U << 8)
#define SGX_EXITINFO_SOFTWARE (6U << 8)
/* Page-fault error code: the fault came from the EPCM, not from the page table. */
#define SGX_PF_SGX (1U << 15)

struct sgx_attributes {
    uint64_t flags;
    uint64_t xfrm;
};

struct sgx_secs {
    uint64_t size; /* bytes, power of two */
    uint64_t base;
    uint32_t ssa_frame_size; /* pages */
    uint32_t miscselect;
    uint64_t cet_leg_bitmap_offset;
    uint8_t cet_attributes;
    uint8_t reserved1[15];
    struct sgx_attributes attributes;
    uint8_t mrenclave[32];
    uint8_t reserved2[32];
    uint8_t mrsigner[32];
    uint8_t reserved3[32];
    uint8_t config_id[64];
    uint16_t isv_prod_id;
    uint16_t isv_svn;
    uint16_t config_svn;
    uint8_t reserved4[3834];
};

struct sgx_tcs {
    uint64_t state;
    uint64_t flags;
    uint64_t ossa;
    uint32_t cssa;
    uint32_t nssa;
    uint64_t oentry;
    uint64_t aep;
    uint64_t ofsbase;
    uint64_t ogsbase;
    uint32_t fslimit;
    uint32_t gslimit;
    uint64_t ocetssa;
    uint64_t prevssp;
    uint8_t reserved[4008];
};

/* The last 184 bytes of an SSA frame. */
struct sgx_gpr {
    uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rflags, rip;
    uint64_t ursp, urbp; /* of the code outside */
    uint32_t exitinfo;
    uint8_t reserved[3];
    uint8_t aexnotify;
    uint64_t fsbase, gsbase;
};

/* Directly below the GPR area when MISCSELECT.EXINFO is set. */
struct sgx_exinfo {
    uint64_t maddr;
    uint32_t errcd;
    uint32_t reserved;
};

struct sgx_pageinfo {
    uint64_t linaddr;
    uint64_t srcpge;
    uint64_t secinfo;
    uint64_t secs;
} __attribute__((aligned(32)));

struct sgx_secinfo {
    uint64_t flags;
    uint8_t reserved[56];
} __attribute__((aligned(64)));

struct sgx_targetinfo {
    uint8_t mrenclave[32];
    struct sgx_attributes attributes;
    uint8_t cet_attributes;
    uint8_t reserved1;
    uint16_t config_svn;
    uint32_t miscselect;
    uint8_t reserved2[8];
    uint8_t config_id[64];
    uint8_t reserved3[384];
} __attribute__((aligned(512)));

/* No alignment attribute: the report is also embedded, whole or without its MAC, in quotes. */
struct sgx_report {
    uint8_t cpu_svn[16];
    uint32_t miscselect;
    uint8_t cet_attributes;
    uint8_t reserved1[11];
    uint8_t isv_ext_prod_id[16];
    struct sgx_attributes attributes;
    uint8_t mrenclave[32];
    uint8_t reserved2[32];
    uint8_t mrsigner[32];
    uint8_t reserved3[32];
    uint8_t config_id[64];
    uint16_t isv_prod_id;
    uint16_t isv_svn;
    uint16_t config_svn;
    uint8_t reserved4[42];
    uint8_t isv_family_id[16];
    uint8_t report_data[64];
    uint8_t key_id[32];
    uint8_t mac[16]; /* AES-CMAC over everything before key_id */
};
#define SGX_REPORT_BODY_SIZE 384
#define SGX_REPORT_ALIGN     512

struct sgx_keyrequest {
    uint16_t key_name;
    uint16_t key_policy;
    uint16_t isv_svn;
    uint16_t reserved1;
    uint8_t cpu_svn[16];
    struct sgx_attributes attribute_mask;
    uint8_t key_id[32];
    uint32_t miscmask;
    uint16_t config_svn;
    uint8_t reserved2[434];
} __attribute__((aligned(512)));

struct sgx_einittoken {
    uint32_t valid;
    uint8_t reserved1[44];
    struct sgx_attributes attributes;
    uint8_t mrenclave[32];
    uint8_t reserved2[32];
    uint8_t mrsigner[32];
    uint8_t reserved3[32];
    uint8_t cpu_svn_le[16];
    uint16_t isv_prod_id_le;
    uint16_t isv_svn_le;
    uint8_t reserved4[24];
    uint32_t masked_miscselect_le;
    struct sgx_attributes masked_attributes_le;
    uint8_t key_id[32];
    uint8_t mac[16]; /* AES-CMAC over the first 192 bytes */
} __attribute__((packed));
#define SGX_EINITTOKEN_MAC_SIZE 192
#define SGX_EINITTOKEN_ALIGN    512

#define SGX_RSA_SIZE 384 /* bytes of an RSA-3072 number */

struct sgx_sigstruct {
    uint8_t header[16];
    uint32_t vendor;
    uint8_t date[4]; /* BCD: dd mm yy-low yy-high, i.e. 0xyyyymmdd as a little-endian word */
    uint8_t header2[16];
    uint32_t swdefined;
    uint8_t reserved1[84];
    uint8_t modulus[SGX_RSA_SIZE]; /* little-endian, as signature, q1 and q2 */
    uint32_t exponent;
    uint8_t signature[SGX_RSA_SIZE];
    uint32_t miscselect;
    uint32_t miscmask;
    uint8_t cet_attributes;
    uint8_t cet_attributes_mask;
    uint8_t reserved2[2];
    uint8_t isv_family_id[16];
    struct sgx_attributes attributes;
    struct sgx_attributes attribute_mask;
    uint8_t enclave_hash[32];
    uint8_t reserved3[16];
    uint8_t isv_ext_prod_id[16];
    uint16_t isv_prod_id;
    uint16_t isv_svn;
    uint8_t reserved4[12];
    uint8_t q1[SGX_RSA_SIZE];
    uint8_t q2[SGX_RSA_SIZE];
} __attribute__((packed));
/* The signature covers two ranges: [0, 128) and [900, 1028). */
#define SGX_SIGSTRUCT_HEAD_SIZE   128
#define SGX_SIGSTRUCT_BODY_OFFSET 900
#define SGX_SIGSTRUCT_BODY_SIZE   128

#define SGX_AT(type, field, off) \
    _Static_assert(offsetof(struct type, field) == (off), #type "." #field " is misplaced")
#define SGX_SIZE(type, size) \
    _Static_assert(sizeof(struct type) == (size), #type " has a wrong size")

SGX_SIZE(sgx_attributes, 16);

SGX_SIZE(sgx_secs, 4096);
SGX_AT(sgx_secs, size, 0);
SGX_AT(sgx_secs, base, 8);
SGX_AT(sgx_secs, ssa_frame_size, 16);
SGX_AT(sgx_secs, miscselect, 20);
SGX_AT(sgx_secs, cet_leg_bitmap_offset, 24);
SGX_AT(sgx_secs, cet_attributes, 32);
SGX_AT(sgx_secs, attributes, 48);
SGX_AT(sgx_secs, mrenclave, 64);
SGX_AT(sgx_secs, mrsigner, 128);
SGX_AT(sgx_secs, config_id, 192);
SGX_AT(sgx_secs, isv_prod_id, 256);
SGX_AT(sgx_secs, isv_svn, 258);
SGX_AT(sgx_secs, config_svn, 260);
SGX_AT(sgx_secs, reserved4, 262);

SGX_SIZE(sgx_tcs, 4096);
SGX_AT(sgx_tcs, state, 0);
SGX_AT(sgx_tcs, flags, 8);
SGX_AT(sgx_tcs, ossa, 16);
SGX_AT(sgx_tcs, cssa, 24);
SGX_AT(sgx_tcs, nssa, 28);
SGX_AT(sgx_tcs, oentry, 32);
SGX_AT(sgx_tcs, aep, 40);
SGX_AT(sgx_tcs, ofsbase, 48);
SGX_AT(sgx_tcs, ogsbase, 56);
SGX_AT(sgx_tcs, fslimit, 64);
SGX_AT(sgx_tcs, gslimit, 68);
SGX_AT(sgx_tcs, ocetssa, 72);
SGX_AT(sgx_tcs, prevssp, 80);
SGX_AT(sgx_tcs, reserved, 88);

SGX_SIZE(sgx_gpr, 184);
SGX_AT(sgx_gpr, rax, 0);
SGX_AT(sgx_gpr, rcx, 8);
SGX_AT(sgx_gpr, rdx, 16);
SGX_AT(sgx_gpr, rbx, 24);
SGX_AT(sgx_gpr, rsp, 32);
SGX_AT(sgx_gpr, rbp, 40);
SGX_AT(sgx_gpr, rsi, 48);
SGX_AT(sgx_gpr, rdi, 56);
SGX_AT(sgx_gpr, r8, 64);
SGX_AT(sgx_gpr, r9, 72);
SGX_AT(sgx_gpr, r10, 80);
SGX_AT(sgx_gpr, r11, 88);
SGX_AT(sgx_gpr, r12, 96);
SGX_AT(sgx_gpr, r13, 104);
SGX_AT(sgx_gpr, r14, 112);
SGX_AT(sgx_gpr, r15, 120);
SGX_AT(sgx_gpr, rflags, 128);
SGX_AT(sgx_gpr, rip, 136);
SGX_AT(sgx_gpr, ursp, 144);
SGX_AT(sgx_gpr, urbp, 152);
SGX_AT(sgx_gpr, exitinfo, 160);
SGX_AT(sgx_gpr, aexnotify, 167);
SGX_AT(sgx_gpr, fsbase, 168);
SGX_AT(sgx_gpr, gsbase, 176);

SGX_SIZE(sgx_exinfo, 16);
SGX_AT(sgx_exinfo, maddr, 0);
SGX_AT(sgx_exinfo, errcd, 8);

SGX_SIZE(sgx_pageinfo, 32);
SGX_AT(sgx_pageinfo, linaddr, 0);
SGX_AT(sgx_pageinfo, srcpge, 8);
SGX_AT(sgx_pageinfo, secinfo, 16);
SGX_AT(sgx_pageinfo, secs, 24);

SGX_SIZE(sgx_secinfo, 64);
SGX_AT(sgx_secinfo, flags, 0);
SGX_AT(sgx_secinfo, reserved, 8);

SGX_SIZE(sgx_targetinfo, 512);
SGX_AT(sgx_targetinfo, mrenclave, 0);
SGX_AT(sgx_targetinfo, attributes, 32);
SGX_AT(sgx_targetinfo, cet_attributes, 48);
SGX_AT(sgx_targetinfo, config_svn, 50);
SGX_AT(sgx_targetinfo, miscselect, 52);
SGX_AT(sgx_targetinfo, config_id, 64);
SGX_AT(sgx_targetinfo, reserved3, 128);

SGX_SIZE(sgx_report, 432);
SGX_AT(sgx_report, cpu_svn, 0);
SGX_AT(sgx_report, miscselect, 16);
SGX_AT(sgx_report, cet_attributes, 20);
SGX_AT(sgx_report, isv_ext_prod_id, 32);
SGX_AT(sgx_report, attributes, 48);
SGX_AT(sgx_report, mrenclave, 64);
SGX_AT(sgx_report, mrsigner, 128);
SGX_AT(sgx_report, config_id, 192);
SGX_AT(sgx_report, isv_prod_id, 256);
SGX_AT(sgx_report, isv_svn, 258);
SGX_AT(sgx_report, config_svn, 260);
SGX_AT(sgx_report, isv_family_id, 304);
SGX_AT(sgx_report, report_data, 320);
SGX_AT(sgx_report, key_id, SGX_REPORT_BODY_SIZE);
SGX_AT(sgx_report, mac, 416);

SGX_SIZE(sgx_keyrequest, 512);
SGX_AT(sgx_keyrequest, key_name, 0);
SGX_AT(sgx_keyrequest, key_policy, 2);
SGX_AT(sgx_keyrequest, isv_svn, 4);
SGX_AT(sgx_keyrequest, cpu_svn, 8);
SGX_AT(sgx_keyrequest, attribute_mask, 24);
SGX_AT(sgx_keyrequest, key_id, 40);
SGX_AT(sgx_keyrequest, miscmask, 72);
SGX_AT(sgx_keyrequest, config_svn, 76);
SGX_AT(sgx_keyrequest, reserved2, 78);

SGX_SIZE(sgx_einittoken, 304);
SGX_AT(sgx_einittoken, valid, 0);
SGX_AT(sgx_einittoken, attributes, 48);
SGX_AT(sgx_einittoken, mrenclave, 64);
SGX_AT(sgx_einittoken, mrsigner, 128);
SGX_AT(sgx_einittoken, cpu_svn_le, SGX_EINITTOKEN_MAC_SIZE);
SGX_AT(sgx_einittoken, isv_prod_id_le, 208);
SGX_AT(sgx_einittoken, isv_svn_le, 210);
SGX_AT(sgx_einittoken, masked_miscselect_le, 236);
SGX_AT(sgx_einittoken, masked_attributes_le, 240);
SGX_AT(sgx_einittoken, key_id, 256);
SGX_AT(sgx_einittoken, mac, 288);

SGX_SIZE(sgx_sigstruct, 1808);
SGX_AT(sgx_sigstruct, header, 0);
SGX_AT(sgx_sigstruct, vendor, 16);
SGX_AT(sgx_sigstruct, date, 20);
SGX_AT(sgx_sigstruct, header2, 24);
SGX_AT(sgx_sigstruct, swdefined, 40);
SGX_AT(sgx_sigstruct, reserved1, 44);
SGX_AT(sgx_sigstruct, modulus, SGX_SIGSTRUCT_HEAD_SIZE);
SGX_AT(sgx_sigstruct, exponent, 512);
SGX_AT(sgx_sigstruct, signature, 516);
SGX_AT(sgx_sigstruct, miscselect, SGX_SIGSTRUCT_BODY_OFFSET);
SGX_AT(sgx_sigstruct, miscmask, 904);
SGX_AT(sgx_sigstruct, cet_attributes, 908);
SGX_AT(sgx_sigstruct, cet_attributes_mask, 909);
SGX_AT(sgx_sigstruct, isv_family_id, 912);
SGX_AT(sgx_sigstruct, attributes, 928);
SGX_AT(sgx_sigstruct, attribute_mask, 944);
SGX_AT(sgx_sigstruct, enclave_hash, 960);
SGX_AT(sgx_sigstruct, reserved3, 992);
SGX_AT(sgx_sigstruct, isv_ext_prod_id, 1008);
SGX_AT(sgx_sigstruct, isv_prod_id, 1024);
SGX_AT(sgx_sigstruct, isv_svn, 1026);
SGX_AT(sgx_sigstruct, reserved4, SGX_SIGSTRUCT_BODY_OFFSET + SGX_SIGSTRUCT_BODY_SIZE);
SGX_AT(sgx_sigstruct, q1, 1040);
SGX_AT(sgx_sigstruct, q2, 1424);

#undef SGX_AT
#undef SGX_SIZE
