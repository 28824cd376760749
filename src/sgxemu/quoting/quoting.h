/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The test platform of the software SGX device: what Intel and a machine's maker are for a machine
 * with SGX. Root, PCK CAs, PCK certificate, TCB signer, revocation lists, TCB info and QE identity
 * in the real formats, under keys made on this machine; a quoting service that turns the device's
 * reports into quotes; the AESM protocol and a PCCS to reach them.
 *
 * Nothing here is worth trust, and all of it says so: the names of the certificates, the FMSPC
 * (AD7E57......) and the PPID. Verifiers believe it only where its root is named.
 *
 * Errors: functions that return int give 0 or -1 with one sentence in struct quoting_error, unless
 * said otherwise. An open platform is read-only and may be used by several threads.
 */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "sgx/arch.h"
#include "sgxemu/core/fuses.h"
#include "sgxemu/quoting/pki.h"

struct quoting_error {
    char text[1024];
};
int quoting_fail(struct quoting_error *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

enum quoting_key {
    KEY_ROOT,
    KEY_PLATFORM_CA,
    KEY_PROCESSOR_CA,
    KEY_PCK,
    KEY_TCB_SIGNING,
    KEY_CERTIFIED, /* all above have a certificate */
    KEY_ATTESTATION = KEY_CERTIFIED,
    KEY_COUNT,
};

struct test_platform {
    char dir[PATH_MAX];
    struct sgx_platform processor; /* the part that the fuse file decides */
    struct pki_platform pck;
    EVP_PKEY *keys[KEY_COUNT];
    X509 *certs[KEY_CERTIFIED];
    /* What documents say of it, for tests of verifiers; to be set before they are made. */
    const char *tcb_status; /* as in TCB info; NULL: UpToDate */
    bool revoked;           /* the PCK certificate is on its list */
};

/*
 * Opens the platform in `dir` that belongs to the fuse file; with `create` it is made if there is
 * none. Files are 0600, directories 0700. Free it with test_platform_close().
 */
int test_platform_open(const char *dir, const char *fuses, bool create, struct test_platform **out,
                       struct quoting_error *e);
void test_platform_close(struct test_platform *p);

/* The documents that a verifier needs, as of `now`, valid for 30 days. */
enum test_document {
    DOC_PCK_CHAIN,          /* PEM: leaf, CA, root */
    DOC_PLATFORM_CA_CHAIN,  /* PEM: CA, root */
    DOC_PROCESSOR_CA_CHAIN, /* PEM: CA, root */
    DOC_SIGNING_CHAIN,      /* PEM: TCB signer, root */
    DOC_ROOT_CRL,           /* DER */
    DOC_PLATFORM_CRL,       /* DER */
    DOC_PROCESSOR_CRL,      /* DER */
    DOC_TCB_INFO,           /* JSON, version 3 */
    DOC_TCB_INFO_V2,        /* JSON, version 2 */
    DOC_QE_IDENTITY,        /* JSON, version 2 */
    DOC_COUNT,
};
struct test_documents {
    struct {
        uint8_t *data; /* with a NUL behind it */
        size_t size;
    } doc[DOC_COUNT];
};
int test_documents_make(const struct test_platform *p, int64_t now, struct test_documents *out,
                        struct quoting_error *e);
void test_documents_free(struct test_documents *docs);

/* Writes them into dir/collateral, under the names that `adyton verify --collateral` reads, and the
 * root as dir/root.pem. */
int test_platform_publish(const struct test_platform *p, int64_t now, struct quoting_error *e);

/* ---- quoting (qe.c) ---- */

#define TEST_QE_SVN         8
#define TEST_PCE_SVN        13
#define TEST_QUOTE_MAX      8192
#define TEST_ATT_KEY_ID     158 /* what counts of an attestation key id */
#define TEST_QE_REPORT_INFO (512 + 16 + 32 + 432)

/* What an enclave makes its report for. */
void test_qe_target(const struct test_platform *p, struct sgx_targetinfo *target);
/* What the QE identity says of the quoting enclave. */
void test_qe_mrsigner(uint8_t mrsigner[32]);
/* The attestation key's id: SHA-256 of its point and the authentication data. */
bool test_qe_key_id(const struct test_platform *p, uint8_t id[32]);
/* Length of every quote; 0: failed. */
size_t test_quote_size(const struct test_platform *p);

/*
 * A quote (version 3, certification type 5; free()) for a report that was made on this platform for
 * the quoting enclave. *genuine is false when the report's MAC says otherwise, and the quote NULL.
 */
uint8_t *test_quote(const struct test_platform *p, const struct sgx_report *report, size_t *size,
                    bool *genuine);

/* Puts the MAC onto a report as EREPORT does for this target: the software device has no secret
 * that whoever reads its fuse file could not use. For tests that need a quote without an enclave.
 */
void test_report_seal(const struct test_platform *p, const struct sgx_targetinfo *target,
                      struct sgx_report *report);

/* ---- files (files.c) ---- */

/* The whole file with a NUL behind it (free()); NULL with errno: not there, or more than max. */
uint8_t *quoting_read(const char *path, size_t max, size_t *size);
/* Put in place as a whole, 0600. 0 or a negative errno. */
int quoting_write(const char *path, const void *data, size_t size);
/* "dir/name" */
int quoting_path(char out[PATH_MAX], const char *dir, const char *name);
/* Removes a directory that this module has made. */
void quoting_remove(const char *dir);
