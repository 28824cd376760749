/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A platform for tests: root, CAs, PCK certificate, revocation lists, TCB info, QE identity and
 * quotes in the real formats, made with OpenSSL under keys that exist only in memory. Ends the
 * program when anything of this fails.
 */
#pragma once
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#include "attest/attest.h"

#define FORGE_AT 1750000000 /* 2025-06-15T15:06:40Z: all is valid then, unless told otherwise */

struct forge_options {
    bool processor;              /* PCK under the Processor CA */
    bool tdx;                    /* TCB info and QE identity for TDX */
    int tcb_version;             /* 2 or 3 (0: 3) */
    const char *platform_status; /* of the level that is reached; NULL: UpToDate */
    const char *qe_status;
    const char *module_status;
    const char *advisory; /* of the platform's level; NULL: none */
    bool levels_too_high; /* no platform level is reached */
    int more_levels;      /* below the one that is reached; genuine lists have about 16 */
    bool older_launch;    /* TDX: the level above is reached only by the second SVN */
    uint8_t module_major; /* TDX: 0: module 1.0, without identities */
    bool revoke_leaf, revoke_ca, revoke_signer;
    bool other_fmspc;        /* TCB info of another platform */
    bool pretty;             /* white space in JSON documents */
    const char *extra_tcb;   /* further members of the TCB info: "\"x\":1," */
    int64_t valid_until;     /* of all lists and documents; 0: a month after FORGE_AT */
    int64_t tcb_next_update; /* 0: as above; same below */
    int64_t crl_next_update;
    int64_t certs_not_after;
};

struct forge_quote {
    int version;            /* 0: 3 */
    int body_type;          /* 0: 1, or 2 for TDX */
    int certification_type; /* 0: 5 */
    uint32_t number;        /* makes the quote differ from others */
    uint16_t qe_svn;        /* 0: 8 */
    bool qe_debug, debug;
    bool bad_quote_signature, bad_qe_signature, bad_key_hash, bad_seam;
    const uint8_t *report_data; /* 64; NULL: from number */
    size_t padding;
};

struct forge;

struct forge *forge_new(const struct forge_options *options);
void forge_free(struct forge *forge);
/* The root certificate as PEM; lives as long as the forge. */
const char *forge_root(const struct forge *forge);
/* leaf, CA, root as PEM. */
const char *forge_pck_chain(const struct forge *forge);
/* A new set; PCK chain included. */
adyton_collateral *forge_collateral(const struct forge *forge);
/* malloc()ed bytes of a quote. */
uint8_t *forge_make_quote(const struct forge *forge, const struct forge_quote *options,
                          size_t *size);
/* An RA-TLS certificate (DER, malloc()ed) with a new key; `legacy`: the older extension. */
enum forge_cert {
    FORGE_CERT_TAGGED,
    FORGE_CERT_OLDER,
    FORGE_CERT_OLDER_PROPER,
    FORGE_CERT_OTHER_KEY,    /* the claims are about another key */
    FORGE_CERT_NO_HASH,      /* claims without pubkey-hash */
    FORGE_CERT_OTHER_CLAIMS, /* report data of other claims */
    FORGE_CERT_BROKEN,       /* CBOR cut short, good older extension beside it */
    FORGE_CERT_TWICE,        /* the extension twice */
    FORGE_CERT_NONE,
};
uint8_t *forge_make_cert(const struct forge *forge, enum forge_cert kind, size_t *size);
