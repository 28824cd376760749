/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* is-sgx-available [--quiet]: what CPUID, the device nodes and the platform software say. */
#include "cli/sgx_commands.h"
#include "cli/sgx_facts.h"
#include "sgx/arch.h"
#include <cpuid.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum status { USABLE = 0, NO_CPU = 1, DISABLED = 2, NO_PSW = 3, NO_AESM = 4 };

struct facts {
    struct sgx_facts sgx;
    bool driver, aesmd, psw;
};

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static bool any_exists(const char *const *paths)
{
    for (; *paths; paths++) {
        if (exists(*paths))
            return true;
    }
    return false;
}

static uint64_t epc_size(void)
{
    uint64_t total = 0;
    unsigned a, b, c, d;
    for (unsigned leaf = 2; leaf < 64; leaf++) {
        __cpuid_count(0x12, leaf, a, b, c, d);
        if ((a & 0xf) != 1)
            break;
        total += (uint64_t)(d & 0xfffff) << 32 | (c & 0xfffff000);
    }
    return total;
}

static uint64_t power(unsigned log2)
{
    return log2 && log2 < 64 ? 1ULL << log2 : 0;
}

void sgx_facts_read(struct sgx_facts *f)
{
    unsigned a, b, c, d;
    *f = (struct sgx_facts){0};
    if (__get_cpuid_max(0, NULL) < 7)
        return;
    __cpuid_count(7, 0, a, b, c, d);
    f->cpu = b >> 2 & 1;
    f->flc = c >> 30 & 1;
    if (!f->cpu || __get_cpuid_max(0, NULL) < 0x12)
        return;
    __cpuid_count(0x12, 0, a, b, c, d);
    f->sgx1 = a & 1;
    f->sgx2 = a >> 1 & 1;
    f->virt = a >> 5 & 1;
    f->oversub = a >> 6 & 1;
    f->edeccssa = a >> 11 & 1;
    f->exinfo = b & SGX_MISC_EXINFO;
    f->cpinfo = b & SGX_MISC_CPINFO;
    f->max32 = power(d & 0xff);
    f->max64 = power(d >> 8 & 0xff);
    __cpuid_count(0x12, 1, a, b, c, d);
    f->cet = a & SGX_FLAG_CET;
    f->kss = a & SGX_FLAG_KSS;
    f->aexnotify = a & SGX_FLAG_AEXNOTIFY;
    f->epc = epc_size();
}

static void ask_system(struct facts *f)
{
    static const char *const libraries[] = {
        "/usr/lib/x86_64-linux-gnu/libsgx_urts.so.2",
        "/usr/lib/x86_64-linux-gnu/libsgx_urts.so",
        "/usr/lib64/libsgx_urts.so.2",
        "/usr/lib64/libsgx_urts.so",
        "/usr/lib/libsgx_urts.so.2",
        "/usr/lib/libsgx_urts.so",
        "/usr/lib/x86_64-linux-gnu/libsgx_enclave_common.so.1",
        NULL,
    };
    f->driver = exists("/dev/sgx_enclave");
    f->aesmd = exists("/var/run/aesmd/aesm.socket");
    f->psw = any_exists(libraries);
}

static void yes_no(const char *label, bool value)
{
    printf("%s: %s\n", label, value ? "true" : "false");
}

static void size(const char *label, uint64_t value)
{
    printf("%s: 0x%" PRIx64 "\n", label, value);
}

static void print(const struct facts *facts)
{
    const struct sgx_facts *f = &facts->sgx;
    yes_no("SGX supported by CPU", f->cpu);
    if (!f->cpu)
        return;
    yes_no("SGX1 leaves", f->sgx1);
    yes_no("SGX2 leaves", f->sgx2);
    yes_no("Flexible Launch Control (launch-key MSRs)", f->flc);
    yes_no("Virtualization leaves (ENCLV)", f->virt);
    yes_no("Concurrent memory management leaves", f->oversub);
    yes_no("EDECCSSA", f->edeccssa);
    yes_no("CET attributes", f->cet);
    yes_no("Key separation and sharing (KSS)", f->kss);
    yes_no("AEX-Notify", f->aexnotify);
    size("Max enclave size (32-bit)", f->max32);
    size("Max enclave size (64-bit)", f->max64);
    size("EPC size", f->epc);
    yes_no("SGX driver loaded (/dev/sgx_enclave)", facts->driver);
    yes_no("AESMD installed", facts->aesmd);
    yes_no("SGX PSW/libsgx installed", facts->psw);
    yes_no("EXINFO for #PF and #GP", f->exinfo);
    yes_no("EXINFO for #CP", f->cpinfo);
}

static enum status judge(const struct facts *f)
{
    if (!f->sgx.cpu)
        return NO_CPU;
    if (!f->sgx.max32 || !f->sgx.max64 || !f->sgx.epc)
        return DISABLED;
    if (!f->driver || !f->psw)
        return NO_PSW;
    return f->aesmd ? USABLE : NO_AESM;
}

int cmd_is_sgx_available(int argc, char **argv)
{
    bool quiet = argc == 2 && strcmp(argv[1], "--quiet") == 0;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("Usage: %s [--quiet]\n\nReports what SGX offers on this machine. Exit status: 0 "
               "usable, 1 no CPU support,\n2 disabled in firmware, 3 driver or platform software "
               "missing, 4 no AESM socket.\n",
               argv[0]);
        return 0;
    }
    if (argc > 1 && !quiet) {
        fprintf(stderr, "Usage: %s [--quiet]\n", argv[0]);
        return 2;
    }
    struct facts f = {0};
    sgx_facts_read(&f.sgx);
    ask_system(&f);
    if (!quiet)
        print(&f);
    return judge(&f);
}
