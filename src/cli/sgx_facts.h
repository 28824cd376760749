/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What CPUID says about SGX on this machine. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct sgx_facts {
    bool cpu, sgx1, sgx2, flc, virt, oversub, edeccssa, cet, kss, aexnotify;
    bool exinfo, cpinfo;
    uint64_t max32, max64, epc; /* bytes */
};
void sgx_facts_read(struct sgx_facts *facts); /* all zero without SGX */
