/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The first entry: who we are, by EREPORT; what the host hands in, each thing copied once and
 * checked; the first thread.
 */
#include "crypto/crypto.h"
#include "host/host.h"
#include "libos/lib/region.h"
#include "libos/log.h"
#include "platform/common/xstate.h"
#include "platform/platform.h"
#include "platform/sgx/sgx.h"
#include <linux/auxvec.h>

#define MOST_TEXTS (64UL << 10)  /* arguments, or variables */
#define MOST_TEXT  (128UL << 10) /* bytes of one */

__attribute__((noreturn)) static void fail(const char *what)
{
    log_line(LOG_ERROR, NULL, 0, NULL, "%s", what);
    host_exit_group(1);
}

/* Bytes of an XSAVE area in the standard format; where components lie is the same on every
 * processor with SGX. */
static size_t xsave_size(uint64_t xfrm)
{
    static const struct {
        uint64_t bits;
        size_t end;
    } parts[] = {{SGX_XFRM_AVX, 832},   {1 << 3, 1024},  {1 << 4, 1088},
                 {1 << 5, 1152},        {1 << 6, 1664},  {1 << 7, 2688},
                 {SGX_XFRM_PKRU, 2696}, {1 << 17, 2816}, {1 << 18, 11008}};
    size_t size = 576;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (xfrm & parts[i].bits)
            size = MAX(size, parts[i].end);
    return size;
}

/* `n` bytes from outside into `to`. */
static bool take_in(void *to, uint64_t from, size_t n)
{
    if (!is_outside(from, n))
        return false;
    memcpy(to, (const void *)from, n);
    return true;
}

/* A copy of the text at `from`; NULL when it is not outside, not one, or too long. */
static char *take_text(uint64_t from)
{
    size_t n = 0;
    while (n < MOST_TEXT && is_outside(from + n, 1) && *(const volatile char *)(from + n))
        n++;
    char *text = n < MOST_TEXT && is_outside(from, n + 1) ? heap_alloc(n + 1) : NULL;
    if (!text)
        return NULL;
    memcpy(text, (const char *)from, n);
    text[n] = 0; /* whatever the host has put there meanwhile */
    return heap_strdup(text);
}

/* `count` texts of the array at `from`, or all until NULL where it is MOST_TEXTS. */
static char **take_texts(uint64_t from, uint64_t count, int *taken)
{
    char **list = count <= MOST_TEXTS ? heap_zalloc((count + 1) * sizeof(*list)) : NULL;
    uint64_t at, n = 0;
    if (!list)
        fail("too many arguments or variables");
    while (n < count && take_in(&at, from + n * sizeof(at), sizeof(at)) && at) {
        list[n] = take_text(at);
        if (!list[n++])
            fail("the host handed in arguments or variables that cannot be read");
    }
    *taken = (int)n;
    return list;
}

static void take_manifest(const struct sgx_start *s)
{
    const struct enclave_info *info = enclave_info();
    uint8_t digest[32];
    void *copy = region_alloc(PAGE_UP(info->manifest_size));
    if (!copy || s->manifest_size != info->manifest_size ||
        !take_in(copy, s->manifest, info->manifest_size))
        fail("the host handed in another manifest than the one that was signed");
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, copy, info->manifest_size);
    sha256_final(&hash, digest);
    if (memcmp(digest, info->manifest_sha256, sizeof(digest)))
        fail("the compiled manifest is not the one that was signed: sign again with "
             "gramine-sgx-sign, or remove the cache (~/.cache/adyton)");
    if (mf_open(&run.manifest, copy, info->manifest_size))
        fail("the compiled manifest is damaged or of another version: sign again");
}

static void choose_kernels(const struct sgx_start *s)
{
    struct crypto_cpu cpu = {.xfrm = sgx_xfrm};
    struct sgx_cpuid c;
    sgx_cpuid_setup(s->cpuid, s->cpuid_count);
    sgx_cpuid(1, 0, &c);
    cpu.leaf1_ecx = c.ecx;
    sgx_cpuid(7, 0, &c);
    cpu.leaf7_ebx = c.ebx;
    cpu.leaf7_ecx = c.ecx;
    crypto_init_cpu(&cpu);
}

static void take_start(const struct sgx_start *s)
{
    static const uint64_t no_auxv[2] = {AT_NULL, 0};
    int count;
    run.host_auxv = no_auxv;
    run.host_argv = take_texts(s->argv, MIN(s->argc, MOST_TEXTS + 1), &run.host_argc);
    run.host_envp = take_texts(s->envp, MOST_TEXTS, &count);
    run.name = take_text(s->name);
    run.trees_fd = s->trees_fd >= 0 && s->trees_fd <= INT32_MAX ? (int)s->trees_fd : -1;
    if (!run.name)
        fail("the host handed in no name");
}

static void make_thread(const struct sgx_start *s)
{
    first_process = heap_zalloc(sizeof(*first_process));
    struct thread *t = first_process ? thread_alloc(first_process) : NULL;
    if (!t || s->tid <= 0 || s->tid > INT32_MAX)
        fail("out of memory at start");
    t->tid = t->host_tid = (int)s->tid;
}

__attribute__((used, noreturn)) void sgx_start(uint64_t start)
{
    static struct sgx_start s;
    struct sgx_box *box;
    __asm__ volatile("rdgsbase %0" : "=r"(box));
    sgx_identity_setup();
    sgx_xfrm = sgx_self()->attributes.xfrm;
    xstate_setup(sgx_xfrm, xsave_size(sgx_xfrm));
    if (!take_in(&s, start, sizeof(s)) || !sgx_calls_setup(s.arena, s.arena_slot))
        sgx_end(0); /* there is no way to say it */
    box->thread.self = &box->thread;
    sgx_call_place(box, sgx_index_of(&box->thread));
    choose_kernels(&s);
    if (s.fork_fd >= 0)
        sgx_become_child(&s);
    region_init();
    take_manifest(&s);
    sgx_stats = run.manifest.image->sgx_enable_stats;
    take_start(&s);
    make_thread(&s);
    sgx_go();
}
