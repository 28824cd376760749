/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The untrusted side: an enclave from a layout file, and two ways to enter it. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "hello.h"

struct loaded {
    int fd;
    uint64_t base, size;
    double build_ms; /* from ECREATE to EINIT */
};

/* ECREATE, EADD, EINIT through /dev/sgx_enclave, at e->base, or anywhere when that is 0. Prints a
 * message and exits on failure. */
void load_enclave(struct loaded *e, const char *layout, const char *sigfile);
/* The same from a layout in memory and its signature. */
struct sgx_layout;
struct sgx_sigstruct;
void build_enclave(struct loaded *e, const struct sgx_layout *l, const struct sgx_sigstruct *sig);
void unload_enclave(struct loaded *e);

/* EENTER by hand; the AEP is an ERESUME. Returns the enclave's result. */
uint64_t enter(uint64_t tcs, uint64_t command, void *argument);

/* Entry by way of the vDSO's function `vdso` (asm/sgx.h says what it does with the arguments). */
int enter_vdso(unsigned long rdi, unsigned long rsi, unsigned long rdx, unsigned leaf,
               unsigned long r8, unsigned long r9, void *run, void *vdso);
extern const char host_aep[], host_enclu[];
