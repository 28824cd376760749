/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Choice of the kernels by CPU features and by the register state that may be used. */
#include "crypto.h"
#include "kernels.h"

/* CPUID leaf 1, ECX */
#define ECX1_PCLMULQDQ (1u << 1)
#define ECX1_SSSE3     (1u << 9)
#define ECX1_SSE41     (1u << 19)
#define ECX1_AES       (1u << 25)
#define ECX1_OSXSAVE   (1u << 27)
#define ECX1_AVX       (1u << 28)
/* CPUID leaf 7, subleaf 0, EBX and ECX */
#define EBX7_AVX2       (1u << 5)
#define EBX7_AVX512F    (1u << 16)
#define EBX7_AVX512DQ   (1u << 17)
#define EBX7_SHA        (1u << 29)
#define EBX7_AVX512BW   (1u << 30)
#define EBX7_AVX512VL   (1u << 31)
#define ECX7_VAES       (1u << 9)
#define ECX7_VPCLMULQDQ (1u << 10)
/* XCR0, XFRM */
#define XFRM_X87_SSE 0x3u
#define XFRM_AVX     0x7u
#define XFRM_AVX512  0xe7u

const struct aes_kernel *aes_kernel = &aes_portable;
const struct sha256_kernel *sha256_kernel = &sha256_portable;
sha256_lanes_fn *sha256_lanes;

static void cpuid(uint32_t leaf, uint32_t regs[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3])
                     : "a"(leaf), "c"(0));
}

void crypto_read_cpu(struct crypto_cpu *cpu)
{
    uint32_t regs[4], low, high;

    *cpu = (struct crypto_cpu){.xfrm = XFRM_X87_SSE};
    cpuid(1, regs);
    cpu->leaf1_ecx = regs[2];
    bool more = regs[2] & ECX1_OSXSAVE; /* whoever has XSAVE has leaf 13, which describes it */
    if (!more) {
        cpuid(0, regs);
        more = regs[0] >= 7;
    }
    if (more) {
        cpuid(7, regs);
        cpu->leaf7_ebx = regs[1];
        cpu->leaf7_ecx = regs[2];
    }
    if (cpu->leaf1_ecx & ECX1_OSXSAVE) {
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        cpu->xfrm = (uint64_t)high << 32 | low;
    }
}

static bool has(uint64_t set, uint64_t needed)
{
    return (set & needed) == needed;
}

void crypto_init_cpu(const struct crypto_cpu *cpu)
{
    bool sse = has(cpu->leaf1_ecx, ECX1_SSSE3 | ECX1_SSE41) && has(cpu->xfrm, XFRM_X87_SSE);
    bool aesni = sse && has(cpu->leaf1_ecx, ECX1_AES | ECX1_PCLMULQDQ);
    bool vaes = aesni && has(cpu->leaf7_ecx, ECX7_VAES | ECX7_VPCLMULQDQ) &&
                has(cpu->leaf1_ecx, ECX1_AVX) && has(cpu->leaf7_ebx, EBX7_AVX2) &&
                has(cpu->xfrm, XFRM_AVX);
    bool avx512 =
        has(cpu->leaf7_ebx, EBX7_AVX512F | EBX7_AVX512DQ | EBX7_AVX512BW | EBX7_AVX512VL) &&
        has(cpu->xfrm, XFRM_AVX512);

    aes_kernel = vaes && avx512 ? &aes_vaes512
                 : vaes         ? &aes_vaes256
                 : aesni        ? &aes_aesni
                                : &aes_portable;
    sha256_kernel = sse && has(cpu->leaf7_ebx, EBX7_SHA) ? &sha256_shani : &sha256_portable;
    sha256_lanes = avx512 ? sha256_lanes_avx512 : NULL;
}

void crypto_init(uint64_t xfrm)
{
    struct crypto_cpu cpu;

    crypto_read_cpu(&cpu);
    if (xfrm)
        cpu.xfrm &= xfrm;
    crypto_init_cpu(&cpu);
}

const char *crypto_kernels(void)
{
    static const struct {
        const struct aes_kernel *aes;
        const char *plain, *sha;
    } names[] = {
        {&aes_vaes512, "aes-gcm: vaes512, sha256: portable", "aes-gcm: vaes512, sha256: sha-ni"},
        {&aes_vaes256, "aes-gcm: vaes256, sha256: portable", "aes-gcm: vaes256, sha256: sha-ni"},
        {&aes_aesni, "aes-gcm: aes-ni, sha256: portable", "aes-gcm: aes-ni, sha256: sha-ni"},
        {&aes_portable, "aes-gcm: portable, sha256: portable", "aes-gcm: portable, sha256: sha-ni"},
    };
    size_t i = 0;

    while (names[i].aes != aes_kernel)
        i++;
    return sha256_kernel == &sha256_shani ? names[i].sha : names[i].plain;
}
