/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The untrusted program around an enclave of ours: builds it, gives it threads, makes its host
 * calls. It runs with the rights of whoever started it and protects nothing; the enclave expects
 * the worst of it (sgx/exits.h).
 */
#pragma once
#include "sgx/exits.h"
#include "sgx/layout.h"

#include <signal.h>
#include <stdbool.h>

/* Of the program, and of one that is a child of another; see main.c. */
enum { ARG_MODE = 1, ARG_MANIFEST_FD, ARG_TREES_FD, ARG_NAME, ARG_FIRST_USER };
enum { ARG_SIGNATURE_FD = ARG_FIRST_USER, ARG_FORK_FD, ARG_INDEX, ARG_MASK, ARG_CHILD_END };

/* Builds the enclave of `layout` with the signature: address space, CREATE, ADD_PAGES, INIT,
 * mappings. 0, or a negative errno after a line on standard error. */
int enclave_load(const struct sgx_layout *layout, const struct sgx_sigstruct *sig,
                 const char *sig_path);

/* What a thread of the enclave needs outside. */
struct outside {
    uint64_t tcs;
    uint64_t index;              /* of its block */
    uint64_t entry, value;       /* how it begins */
    volatile uint64_t signals;   /* that came since the last entry, for struct sgx_call */
    volatile uint32_t signalled; /* one came: the next blocking call is not made */
    uint32_t refused;            /* EENTERs in a row that faulted */
};
extern __thread struct outside *self_outside;

/* enter.S: EENTER at `tcs` with RDI = entry, RSI = value; returns at the next EEXIT, RDI in *code.
 */
uint64_t runtime_enter(uint64_t tcs, uint64_t entry, uint64_t value, uint64_t *code);
extern const char runtime_eenter[], runtime_aep[];

/* enter.S: a system call before which *signalled is looked at; a signal between look and call makes
 * it -EINTR (runtime_call_eintr). */
long runtime_call_blocking(const int64_t arg[6], long nr, volatile uint32_t *signalled);
extern const char runtime_call_check[], runtime_call_insn[], runtime_call_eintr[];

/* Runs the calling host thread as `o` until the enclave's thread ends. */
void runtime_thread(struct outside *o);
/* Makes host thread for the block; its id or a negative errno. */
long runtime_thread_start(uint64_t index);
void runtime_threads_setup(const struct sgx_layout *layout);

/* Handlers for exceptions and signals. `sigterm`: SIGTERM is the enclave's, else it ends the run.
 */
void runtime_signals_setup(bool sigterm);

/* aesm.c: 0, a negative errno, or an error of the service; each after a line on standard error, but
 * SGX_AESM_NO_KEY. */
long aesm_target(struct sgx_targetinfo *target);
long aesm_quote(const struct sgx_report *report, uint8_t quote[8192]);

/* load.c: of pages of the enclave, address, length, PROT_*; 0 or a negative errno. */
long runtime_protect(const int64_t arg[6]);

/* Makes the call and stores its result. */
void runtime_relay(struct sgx_call *call);

/* process.c: once, before the enclave is entered and after it is built. 0, or an errno. */
int runtime_process_setup(char **argv, const void *manifest, size_t manifest_size,
                          const struct sgx_sigstruct *sig);
long runtime_fork(const int64_t arg[6]);
long runtime_ended_child(const int64_t arg[6]);
/* In a child: no signal until it is born. `mask`: what is blocked then, in hexadecimal. */
void runtime_child_waits(const char *mask);
long runtime_child_born(void);
long runtime_die(int sig);
