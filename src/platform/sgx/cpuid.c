/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * CPUID, which an enclave may not execute: answered from what the host told at start, copied once.
 * A wrong answer can make a program slow or stop it, so what goes beyond XFRM is taken out here; it
 * cannot make it compute something else, as an instruction that is not there faults.
 */
#include "platform/platform.h"
#include "platform/sgx/sgx.h"

static struct sgx_cpuid table[SGX_CPUID_MOST]; /* set once at start */
static uint64_t count;

#define LEAF1_ECX_XSAVE_AVX (1u << 28 | 1u << 12 | 1u << 29) /* AVX, FMA, F16C */
#define LEAF7_EBX_AVX512    (0xdc230000u)
#define LEAF7_ECX_AVX512    (0x00005842u)
#define LEAF7_EDX_AVX512    (0x0080010cu)
#define LEAF7_EDX_AMX       (0x03400000u)
#define LEAF7_EBX_AVX2      (1u << 5)
#define LEAF7_ECX_PKRU      (3u << 3)
#define LEAF7_EBX_SGX_MPX   (1u << 2 | 1u << 14)
#define LEAF1_ECX_MONITOR   (1u << 3)

/* What XFRM does not keep, a program must not use. */
static void limit(struct sgx_cpuid *c)
{
    bool avx = sgx_xfrm & SGX_XFRM_AVX, avx512 = (sgx_xfrm & SGX_XFRM_AVX512) == SGX_XFRM_AVX512;
    bool amx = (sgx_xfrm & SGX_XFRM_AMX) == SGX_XFRM_AMX;
    if (c->leaf == 1) {
        c->ecx &= ~(LEAF1_ECX_MONITOR | (avx ? 0 : LEAF1_ECX_XSAVE_AVX));
    } else if (c->leaf == 7 && c->subleaf == 0) {
        c->ebx &=
            ~(LEAF7_EBX_SGX_MPX | (avx ? 0 : LEAF7_EBX_AVX2) | (avx512 ? 0 : LEAF7_EBX_AVX512));
        c->ecx &= ~((sgx_xfrm & SGX_XFRM_PKRU ? 0 : LEAF7_ECX_PKRU) |
                    (avx512 ? 0 : LEAF7_ECX_AVX512) | 1u << 30);
        c->edx &= ~((avx512 ? 0 : LEAF7_EDX_AVX512) | (amx ? 0 : LEAF7_EDX_AMX));
    } else if (c->leaf == 0xd && c->subleaf == 0) {
        c->eax = (uint32_t)sgx_xfrm;
        c->edx = (uint32_t)(sgx_xfrm >> 32);
        c->ebx = c->ecx = (uint32_t)platform_xstate_size();
    } else if (c->leaf == 0xd && c->subleaf > 1 && !(sgx_xfrm >> c->subleaf & 1)) {
        c->eax = c->ebx = c->ecx = c->edx = 0;
    }
}

void sgx_cpuid_setup(const struct sgx_cpuid *list, uint64_t n)
{
    count = MIN(n, (uint64_t)SGX_CPUID_MOST);
    for (uint64_t i = 0; i < count; i++) {
        table[i] = list[i];
        limit(&table[i]);
    }
}

/* Leaves whose answer depends on ECX. */
static bool has_subleaves(uint32_t leaf)
{
    return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x14 || leaf == 0x1f;
}

void sgx_cpuid(uint32_t leaf, uint32_t subleaf, struct sgx_cpuid *out)
{
    *out = (struct sgx_cpuid){.leaf = leaf, .subleaf = subleaf};
    for (uint64_t i = 0; i < count; i++) {
        if (table[i].leaf == leaf && (table[i].subleaf == subleaf || !has_subleaves(leaf))) {
            *out = table[i];
            return;
        }
    }
}
