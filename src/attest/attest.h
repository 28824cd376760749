/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Verification of SGX and TDX quotes (DCAP): C API of libadyton_attest.so.
 *
 *     struct adyton_attest_error error;
 *     adyton_attest *verifier = adyton_attest_new();
 *     adyton_collateral *collateral = adyton_collateral_new();
 *     adyton_quote *quote = NULL;
 *     adyton_verdict *verdict = NULL;
 *     if (!adyton_collateral_load_directory(collateral, "collateral", &error) &&
 *         !adyton_quote_parse(data, size, &quote, &error))
 *         adyton_attest_verify(verifier, quote, collateral, time(NULL), ADYTON_TEE_SGX, &verdict);
 *     if (verdict && !adyton_policy_check(policy, verdict, &error))
 *         ... the quote is one that the policy accepts
 *
 * ABI. Symbols carry version nodes (ADYTON_ATTEST_1); nothing is ever removed from a node or
 * changed in meaning. Objects are opaque, except for structures that the library allocates and the
 * caller only reads (adyton_quote_info, adyton_verdict): they may grow at their end, so never copy
 * them by value into storage of your own, and enumerations may get new values. struct
 * adyton_attest_error is the caller's and never changes.
 *
 * Threads. There is no global state. An adyton_attest may verify in any number of threads at once
 * once it is configured (adyton_attest_new() ... adyton_attest_set_*()). All other objects may be
 * read by several threads at once, and changed by one that has them alone.
 *
 * Errors. Functions that return int give 0 (ADYTON_ATTEST_OK) or a code of enum adyton_attest_code,
 * and fill `error` where they have one (it may be NULL). No function prints, exits or aborts; NULL
 * from an adyton_*_new() is lack of memory. Input of any kind may be hostile.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(ADYTON_ATTEST_BUILD)
#    define ADYTON_API __attribute__((visibility("default")))
#else
#    define ADYTON_API
#endif

/* The number of the newest version node that the library has; this header describes node 1. */
#define ADYTON_ATTEST_ABI 1
ADYTON_API unsigned adyton_attest_abi(void);

/* ---- codes ---------------------------------------------------------------------------------- */

/*
 * Every distinct failure has a number of its own. adyton_attest_code_name() gives the name without
 * the prefix (QUOTE_VERSION); the sentence that goes with it is in the error or verdict.
 */
enum adyton_attest_code {
    ADYTON_ATTEST_OK = 0,

    /* the caller and the machine */
    ADYTON_ATTEST_NO_MEMORY = 1,
    ADYTON_ATTEST_INVALID_ARGUMENT = 2,
    ADYTON_ATTEST_CRYPTO_LIBRARY = 3, /* OpenSSL failed where input cannot be the cause */
    ADYTON_ATTEST_FILE = 4,           /* a file cannot be read or is too large */
    ADYTON_ATTEST_POLICY_SYNTAX = 5,  /* unknown key or a value of the wrong form */

    /* form of the quote */
    ADYTON_ATTEST_QUOTE_SIZE = 100,             /* shorter than its structures, or over the limit */
    ADYTON_ATTEST_QUOTE_VERSION = 101,          /* not 3, 4, 5 */
    ADYTON_ATTEST_QUOTE_KEY_TYPE = 102,         /* not ECDSA P-256 */
    ADYTON_ATTEST_QUOTE_TEE_TYPE = 103,         /* neither SGX nor TDX, or not in this version */
    ADYTON_ATTEST_QUOTE_VENDOR = 104,           /* quoting enclave of an unknown vendor */
    ADYTON_ATTEST_QUOTE_BODY = 105,             /* v5 body type and size, or a TEE that differs */
    ADYTON_ATTEST_QUOTE_SIGNATURE_LENGTH = 106, /* signature data longer than the quote */
    ADYTON_ATTEST_QUOTE_CERTIFICATION = 107,    /* certification data of a wrong length */
    ADYTON_ATTEST_QUOTE_CERTIFICATION_TYPE = 108,
    ADYTON_ATTEST_WRONG_TEE = 109, /* a TDX quote where SGX was asked for, or vice versa */

    /* PCK certificate chain */
    ADYTON_ATTEST_PCK_CHAIN_MISSING = 200, /* types 1-4 without a chain from elsewhere */
    ADYTON_ATTEST_PCK_CHAIN_FORMAT = 201,  /* not three certificates that can be read */
    ADYTON_ATTEST_PCK_ROOT_MISSING = 202,
    ADYTON_ATTEST_PCK_CA_MISSING = 203,
    ADYTON_ATTEST_PCK_LEAF_MISSING = 204,
    ADYTON_ATTEST_PCK_ROOT_INVALID = 205, /* extensions, self-signature, names */
    ADYTON_ATTEST_PCK_CA_INVALID = 206,
    ADYTON_ATTEST_PCK_LEAF_INVALID = 207,
    ADYTON_ATTEST_PCK_EXTENSION = 208, /* SGX extension missing or malformed */
    ADYTON_ATTEST_PCK_UNTRUSTED = 209, /* the root's key is not a trusted one */
    ADYTON_ATTEST_PCK_CA_SIGNATURE = 210,
    ADYTON_ATTEST_PCK_LEAF_SIGNATURE = 211,
    ADYTON_ATTEST_PCK_CA_REVOKED = 212,
    ADYTON_ATTEST_PCK_REVOKED = 213,
    ADYTON_ATTEST_PCK_MISMATCH = 214, /* certificate from elsewhere is of another platform */

    /* revocation lists */
    ADYTON_ATTEST_ROOT_CRL_MISSING = 300,
    ADYTON_ATTEST_ROOT_CRL_FORMAT = 301,
    ADYTON_ATTEST_ROOT_CRL_ISSUER = 302,
    ADYTON_ATTEST_ROOT_CRL_SIGNATURE = 303,
    ADYTON_ATTEST_PCK_CRL_MISSING = 304,
    ADYTON_ATTEST_PCK_CRL_FORMAT = 305,
    ADYTON_ATTEST_PCK_CRL_ISSUER = 306,
    ADYTON_ATTEST_PCK_CRL_SIGNATURE = 307,
    ADYTON_ATTEST_PCK_CRL_CHAIN = 308, /* its issuer chain cannot be read or does not verify */

    /* TCB info */
    ADYTON_ATTEST_NO_COLLATERAL = 400, /* signatures are good; nothing to judge the TCB with */
    ADYTON_ATTEST_TCB_INFO_MISSING = 401,
    ADYTON_ATTEST_TCB_INFO_FORMAT = 402,
    ADYTON_ATTEST_TCB_INFO_VERSION = 403,
    ADYTON_ATTEST_TCB_INFO_SIGNATURE = 404,
    ADYTON_ATTEST_TCB_INFO_CHAIN_MISSING = 405,
    ADYTON_ATTEST_TCB_INFO_CHAIN = 406, /* cannot be read or does not verify */
    ADYTON_ATTEST_TCB_INFO_CHAIN_UNTRUSTED = 407,
    ADYTON_ATTEST_TCB_INFO_SIGNER_REVOKED = 408,
    ADYTON_ATTEST_TCB_INFO_TEE_MISMATCH = 409,
    ADYTON_ATTEST_TCB_INFO_MISMATCH = 410, /* of another FMSPC or PCE */

    /* QE identity */
    ADYTON_ATTEST_QE_IDENTITY_MISSING = 500,
    ADYTON_ATTEST_QE_IDENTITY_FORMAT = 501,
    ADYTON_ATTEST_QE_IDENTITY_VERSION = 502,
    ADYTON_ATTEST_QE_IDENTITY_SIGNATURE = 503,
    ADYTON_ATTEST_QE_IDENTITY_CHAIN_MISSING = 504,
    ADYTON_ATTEST_QE_IDENTITY_CHAIN = 505,
    ADYTON_ATTEST_QE_IDENTITY_CHAIN_UNTRUSTED = 506,
    ADYTON_ATTEST_QE_IDENTITY_SIGNER_REVOKED = 507,
    ADYTON_ATTEST_QE_IDENTITY_KIND = 508, /* identity of another kind of enclave (TD_QE for QE) */

    /* the quote itself */
    ADYTON_ATTEST_QE_REPORT_SIGNATURE = 600,
    ADYTON_ATTEST_QE_REPORT_DATA = 601,
    ADYTON_ATTEST_ATTESTATION_KEY = 602, /* not a point of the curve */
    ADYTON_ATTEST_QUOTE_SIGNATURE = 603,
    ADYTON_ATTEST_QE_MISCSELECT_MISMATCH = 604,
    ADYTON_ATTEST_QE_ATTRIBUTES_MISMATCH = 605,
    ADYTON_ATTEST_QE_MRSIGNER_MISMATCH = 606,
    ADYTON_ATTEST_QE_PRODID_MISMATCH = 607,
    ADYTON_ATTEST_QE_SVN_NOT_SUPPORTED = 608,
    ADYTON_ATTEST_TDX_MODULE_UNKNOWN = 609,
    ADYTON_ATTEST_TDX_MODULE_SIGNER_MISMATCH = 610,
    ADYTON_ATTEST_TDX_MODULE_ATTRIBUTES_MISMATCH = 611,
    ADYTON_ATTEST_TDX_MODULE_SVN_NOT_SUPPORTED = 612,
    ADYTON_ATTEST_TCB_NOT_SUPPORTED = 613,

    /* evidence in a certificate (RA-TLS) */
    ADYTON_ATTEST_CERT_FORMAT = 700,
    ADYTON_ATTEST_CERT_NO_EVIDENCE = 701,
    ADYTON_ATTEST_CERT_EVIDENCE_FORMAT = 702,
    ADYTON_ATTEST_CERT_CLAIMS_FORMAT = 703,
    ADYTON_ATTEST_CERT_CLAIMS_MISMATCH = 704, /* report data is not the hash of the claims */
    ADYTON_ATTEST_CERT_KEY_MISMATCH = 705,    /* the quote is for another public key */

    /* fetching */
    ADYTON_ATTEST_FETCH_OFF = 800,       /* nothing to fetch from was configured */
    ADYTON_ATTEST_FETCH_NETWORK = 801,   /* connection, name, TLS, timeout */
    ADYTON_ATTEST_FETCH_STATUS = 802,    /* the server refused */
    ADYTON_ATTEST_FETCH_NOT_FOUND = 803, /* the server does not know the platform */
    ADYTON_ATTEST_FETCH_RESPONSE = 804,  /* an answer that is too large or makes no sense */

    /* a policy refused what verification accepted */
    ADYTON_ATTEST_POLICY_STATUS = 900,
    ADYTON_ATTEST_POLICY_EXPIRED = 901,
    ADYTON_ATTEST_POLICY_ADVISORY = 902,
    ADYTON_ATTEST_POLICY_TCB_DATE = 903,
    ADYTON_ATTEST_POLICY_EVALUATION_NUMBER = 904,
    ADYTON_ATTEST_POLICY_COLLATERAL_AGE = 905,
    ADYTON_ATTEST_POLICY_TEE = 906,
    ADYTON_ATTEST_POLICY_DEBUG = 907,
    ADYTON_ATTEST_POLICY_ATTRIBUTES = 908,
    ADYTON_ATTEST_POLICY_MEASUREMENT = 909,
    ADYTON_ATTEST_POLICY_SVN = 910,
    ADYTON_ATTEST_POLICY_REPORT_DATA = 911,
    ADYTON_ATTEST_POLICY_PLATFORM = 912,
    ADYTON_ATTEST_POLICY_ROOT = 913,
    ADYTON_ATTEST_POLICY_TRAILING = 914, /* bytes other than zero behind the quote */
};

/* "QUOTE_VERSION"; "UNKNOWN" for a number that has none. Static storage. */
ADYTON_API const char *adyton_attest_code_name(int code);

/* The state of a TCB. Nothing above UNKNOWN says anything about trust: see docs/attestation.md. */
enum adyton_tcb_status {
    ADYTON_TCB_UNKNOWN = 0, /* verification failed before it was found */
    ADYTON_TCB_UP_TO_DATE = 1,
    ADYTON_TCB_SW_HARDENING_NEEDED = 2,
    ADYTON_TCB_CONFIGURATION_NEEDED = 3,
    ADYTON_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED = 4,
    ADYTON_TCB_OUT_OF_DATE = 5,
    ADYTON_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED = 6,
    ADYTON_TCB_REVOKED = 7,
    ADYTON_TCB_TD_RELAUNCH_ADVISED = 8,
    ADYTON_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED = 9,
};

/* "UpToDate", ... as in TCB info; "Unknown". Static storage. */
ADYTON_API const char *adyton_tcb_status_name(int status);
/* The reverse; ADYTON_TCB_UNKNOWN for a name that is none. Case counts. */
ADYTON_API int adyton_tcb_status_from_name(const char *name);

struct adyton_attest_error {
    int code;
    char text[508]; /* one sentence: what is wrong, where, and what helps; NUL-terminated */
};

/* ---- quotes --------------------------------------------------------------------------------- */

enum adyton_tee {
    ADYTON_TEE_ANY = 0, /* only as an argument */
    ADYTON_TEE_SGX = 1,
    ADYTON_TEE_TDX = 2,
};

/* Quotes are at most this long, padding included. */
#define ADYTON_QUOTE_MAX (128u * 1024)

struct adyton_bytes {
    const uint8_t *data;
    size_t size;
};

/* A parsed quote with a copy of its bytes. */
typedef struct adyton_quote adyton_quote;

/*
 * What stands in a quote, not verified. Pointers lead into the quote object, and are NULL for
 * fields that this kind of quote does not have. Integers are decoded.
 */
struct adyton_quote_info {
    uint16_t version;   /* 3, 4, 5 */
    uint16_t key_type;  /* 2 */
    int tee;            /* enum adyton_tee */
    uint16_t body_type; /* 1 SGX, 2 TD 1.0, 3 TD 1.5, 4 TD 1.5 extended; also set for v3, v4 */
    uint16_t qe_svn;    /* v3 only, else 0 */
    uint16_t pce_svn;   /* v3 only, else 0 */
    const uint8_t *vendor_id;           /* 16 */
    const uint8_t *user_data;           /* 20, of the header */
    const uint8_t *report_data;         /* 64 */
    struct adyton_bytes body;           /* the report as a whole */
    struct adyton_bytes signed_part;    /* header and body: what the quote signature covers */
    const uint8_t *signature;           /* 64: r, s */
    const uint8_t *attestation_key;     /* 64: x, y */
    const uint8_t *qe_report;           /* 384 */
    const uint8_t *qe_report_signature; /* 64 */
    struct adyton_bytes qe_auth_data;
    uint16_t certification_type; /* the innermost: 1-5, 7 */
    struct adyton_bytes certification_data;
    size_t size;           /* of the quote without what follows the signature data */
    size_t trailing;       /* bytes behind it, mostly padding; no signature covers them */
    int trailing_not_zero; /* 1: they are not all zero */

    /* SGX */
    const uint8_t *cpu_svn;         /* 16 */
    const uint8_t *mrenclave;       /* 32 */
    const uint8_t *mrsigner;        /* 32 */
    const uint8_t *config_id;       /* 64 */
    const uint8_t *isv_ext_prod_id; /* 16 */
    const uint8_t *isv_family_id;   /* 16 */
    uint32_t misc_select;
    uint64_t attribute_flags, attribute_xfrm;
    uint16_t isv_prod_id, isv_svn, config_svn;

    /* TDX */
    const uint8_t *tee_tcb_svn;     /* 16 */
    const uint8_t *tee_tcb_svn2;    /* 16, body type 3 and 4 */
    const uint8_t *mrseam;          /* 48 */
    const uint8_t *mrsigner_seam;   /* 48 */
    const uint8_t *seam_attributes; /* 8 */
    const uint8_t *td_attributes;   /* 8 */
    const uint8_t *xfam;            /* 8 */
    const uint8_t *mrtd;            /* 48 */
    const uint8_t *mrconfigid;      /* 48 */
    const uint8_t *mrowner;         /* 48 */
    const uint8_t *mrownerconfig;   /* 48 */
    const uint8_t *rtmr[4];         /* 48 each */
    const uint8_t *mrservicetd;     /* 48, body type 3 and 4 */
};

#define ADYTON_SGX_FLAG_INIT          0x01ull
#define ADYTON_SGX_FLAG_DEBUG         0x02ull
#define ADYTON_SGX_FLAG_MODE64        0x04ull
#define ADYTON_SGX_FLAG_PROVISIONKEY  0x10ull
#define ADYTON_SGX_FLAG_EINITTOKENKEY 0x20ull

/* Parses (and copies) a raw quote. Bytes behind the signature data are only counted. */
ADYTON_API int adyton_quote_parse(const void *data, size_t size, adyton_quote **quote,
                                  struct adyton_attest_error *error);
ADYTON_API void adyton_quote_free(adyton_quote *quote);
/* Never NULL; lives as long as the quote. */
ADYTON_API const struct adyton_quote_info *adyton_quote_get_info(const adyton_quote *quote);

/*
 * The evidence in an RA-TLS certificate: DER, or PEM (the first certificate of the text; labels
 * CERTIFICATE, TRUSTED CERTIFICATE, X509 CERTIFICATE). Takes the TCG DICE tagged evidence
 * (2.23.133.5.4.9) if the certificate has it, well-formed or not, else the older extension in
 * either of its encodings, and checks that the quote commits to the certificate's public key (all
 * 64 bytes of the report data). The certificate's own signature, names and dates are not judged,
 * and the quote is not verified yet. On success `quote` is the caller's.
 */
ADYTON_API int adyton_quote_from_certificate(const void *data, size_t size, adyton_quote **quote,
                                             struct adyton_attest_error *error);
/* The serialised CLAIMS map of a quote that came with one, else {NULL, 0}. Text claims may be
 * looked up by name (their raw value bytes); {NULL, 0} when there is none. Both live as long as the
 * quote. */
ADYTON_API struct adyton_bytes adyton_quote_claims(const adyton_quote *quote);
ADYTON_API struct adyton_bytes adyton_quote_claim(const adyton_quote *quote, const char *name);

/* ---- collateral ----------------------------------------------------------------------------- */

/* Everything that verification needs beside the quote, as raw bytes. */
typedef struct adyton_collateral adyton_collateral;

/* The documents, and the name each has in a directory. */
enum adyton_collateral_item {
    ADYTON_COLLATERAL_PCK_CHAIN = 0,            /* pck_chain.pem (for certification types 1-4) */
    ADYTON_COLLATERAL_PCK_CRL_ISSUER_CHAIN = 1, /* pck_crl_issuer_chain.pem (optional) */
    ADYTON_COLLATERAL_ROOT_CRL = 2,             /* root_ca_crl.der (or .pem) */
    ADYTON_COLLATERAL_PCK_CRL = 3,              /* pck_crl.der (or .pem) */
    ADYTON_COLLATERAL_TCB_INFO = 4,             /* tcb_info.json */
    ADYTON_COLLATERAL_TCB_INFO_CHAIN = 5,       /* tcb_info_chain.pem, else tcb_signing_chain.pem */
    ADYTON_COLLATERAL_QE_IDENTITY = 6,          /* qe_identity.json */
    ADYTON_COLLATERAL_QE_IDENTITY_CHAIN = 7, /* qe_identity_chain.pem, else tcb_signing_chain.pem */
    ADYTON_COLLATERAL_ITEMS = 8,
};

ADYTON_API adyton_collateral *adyton_collateral_new(void);
ADYTON_API void adyton_collateral_free(adyton_collateral *collateral);
/*
 * Copies one document in, replacing it; size 0 takes it out. Chains are PEM; CRLs are DER, PEM or
 * hex digits; TCB info and QE identity are the whole signed JSON text as it was sent. A byte 0 at
 * the end of a text is dropped. At most 4 MiB each. The content is judged by verification.
 */
ADYTON_API int adyton_collateral_set(adyton_collateral *collateral, int item, const void *data,
                                     size_t size, struct adyton_attest_error *error);
ADYTON_API struct adyton_bytes adyton_collateral_get(const adyton_collateral *collateral, int item);
/* Reads the files named above; those that are not there are left out. */
ADYTON_API int adyton_collateral_load_directory(adyton_collateral *collateral, const char *path,
                                                struct adyton_attest_error *error);
/*
 * One JSON object with the members pck_crl_issuer_chain, root_ca_crl, pck_crl,
 * tcb_info_issuer_chain, tcb_info, qe_identity_issuer_chain, qe_identity (and
 * pck_certificate_chain), all strings; with tcb_info_signature or qe_identity_signature beside
 * them, tcb_info or qe_identity is the bare inner object.
 */
ADYTON_API int adyton_collateral_load_json(adyton_collateral *collateral, const char *text,
                                           size_t size, struct adyton_attest_error *error);

/* ---- verifier ------------------------------------------------------------------------------- */

/* Trusted root keys, caches and where to fetch from. */
typedef struct adyton_attest adyton_attest;

/* Trusts Intel's SGX root key; fetches nothing. */
ADYTON_API adyton_attest *adyton_attest_new(void);
ADYTON_API void adyton_attest_free(adyton_attest *verifier);

/*
 * Trusts the root of this certificate (PEM or DER, P-256, self-signed) INSTEAD of Intel's. Verdicts
 * then say so in `trusted_root`, which policies refuse unless they allow it.
 */
ADYTON_API int adyton_attest_set_trust_root(adyton_attest *verifier, const void *certificate,
                                            size_t size, struct adyton_attest_error *error);

/*
 * How much may be remembered: certificate chains and documents whose signatures were verified, by
 * SHA-256 of their content. Never verdicts. 0 remembers nothing; default 512 entries.
 */
ADYTON_API void adyton_attest_set_cache(adyton_attest *verifier, size_t entries);

struct adyton_fetch_options {
    size_t struct_size;       /* sizeof(struct adyton_fetch_options), for later additions */
    const char *url;          /* https://host:port/sgx/certification/v4/ (or v3); NULL: none */
    const char *root_crl_url; /* NULL: "rootcacrl" of a PCCS, Intel's address for Intel's PCS */
    const char *cache_dir;    /* NULL: $XDG_CACHE_HOME/adyton/collateral or ~/.cache/...; "" none */
    int insecure_tls;         /* 1: do not verify the server's certificate (all is signed anyway) */
    unsigned timeout_ms;      /* for one request, 0: 10 s */
    unsigned retries;         /* after a network failure or a 5xx, 429 answer */
    const char *update;       /* "standard" (NULL) or "early" */
    const char *api_key;      /* subscription key of the PCS, or NULL */
};

/* Makes adyton_attest_verify() with collateral NULL fetch what it needs. */
ADYTON_API int adyton_attest_set_fetch(adyton_attest *verifier,
                                       const struct adyton_fetch_options *options,
                                       struct adyton_attest_error *error);
/* The same from /etc/sgx_default_qcnl.conf or a file like it (JSON with // comments, or the old
 * KEY=VALUE form). */
ADYTON_API int adyton_attest_set_fetch_from_qcnl(adyton_attest *verifier, const char *path,
                                                 struct adyton_attest_error *error);
/* Fetches (or takes from the disk cache, if it is fresh at `at`) what this quote needs. */
ADYTON_API int adyton_attest_fetch(adyton_attest *verifier, const adyton_quote *quote, int64_t at,
                                   adyton_collateral **collateral,
                                   struct adyton_attest_error *error);

/* ---- verdicts ------------------------------------------------------------------------------- */

/* Signed or certified things with an end, in `expired` and `not_yet_valid` of a verdict. */
enum adyton_dated_item {
    ADYTON_DATED_PCK_CHAIN = 1 << 0,
    ADYTON_DATED_PCK_CRL_CHAIN = 1 << 1,
    ADYTON_DATED_ROOT_CRL = 1 << 2,
    ADYTON_DATED_PCK_CRL = 1 << 3,
    ADYTON_DATED_TCB_INFO_CHAIN = 1 << 4,
    ADYTON_DATED_TCB_INFO = 1 << 5,
    ADYTON_DATED_QE_IDENTITY_CHAIN = 1 << 6,
    ADYTON_DATED_QE_IDENTITY = 1 << 7,
};
/* "PCK CRL", "TCB info", ...: of one bit. Static storage. */
ADYTON_API const char *adyton_dated_item_name(unsigned bit);

enum adyton_trusted_root {
    ADYTON_ROOT_NONE = 0,
    ADYTON_ROOT_INTEL = 1,
    ADYTON_ROOT_CUSTOM = 2, /* named by adyton_attest_set_trust_root(), and not Intel's key */
};

/*
 * What verification found. `code` is ADYTON_ATTEST_OK when every signature and identity is good and
 * a TCB level was found; `status` then says which state it is in, and may still be OutOfDate or
 * Revoked. Otherwise `code` and `error` name the first failure, and what was not reached is 0 or
 * NULL. A revoked PCK certificate or CA gives both a code and the status Revoked. The application's
 * own attributes (DEBUG!) and measurements are no part of this: a policy judges them.
 */
typedef struct adyton_verdict {
    int code;
    const char *error; /* sentence, or NULL when code is 0 */
    int status;        /* enum adyton_tcb_status: platform, QE and module together */
    int platform_status, qe_status, module_status;
    int current_status;            /* TD 1.5: of the TCB as it is now, else UNKNOWN */
    int64_t at;                    /* the time asked for */
    int64_t tcb_date;              /* earliest date of the levels, seconds since 1970; 0 unknown */
    uint32_t evaluation_number;    /* the lower of TCB info and QE identity */
    const char *const *advisories; /* sorted, each once */
    size_t advisory_count;
    unsigned expired;       /* adyton_dated_item: at > notAfter or nextUpdate */
    unsigned not_yet_valid; /* adyton_dated_item: at < notBefore, thisUpdate or issueDate */
    int64_t earliest_expiration, latest_issue; /* over all items; 0 unknown */
    int64_t collateral_issued; /* the earlier issue date of TCB info and QE identity; 0 unknown */
    int trusted_root;          /* enum adyton_trusted_root */
    const struct adyton_quote_info *quote; /* lives as long as the verdict */

    /* from the PCK certificate, once its chain is verified; else NULL or 0 */
    const uint8_t *fmspc;       /* 6 */
    const uint8_t *ppid;        /* 16 */
    const uint8_t *pce_id;      /* 2 */
    const uint8_t *pck_cpu_svn; /* 16 */
    uint16_t pck_pce_svn;
    const uint8_t *platform_instance_id; /* 16, or NULL under the Processor CA */
    int sgx_type;                        /* 0 standard, 1 scalable, 2 scalable with integrity */
    int dynamic_platform, cached_keys, smt_enabled; /* 0, 1, -1 not stated */

    /* the same in the numbers of the DCAP libraries */
    int qvl_status;       /* STATUS_... of the quote verification library */
    uint32_t dcap_error;  /* quote3_error_t: 0, or 0xE000 and above */
    uint32_t dcap_result; /* sgx_ql_qv_result_t: 0, or 0xA001 and above */
} adyton_verdict;

/*
 * Verifies a quote as of the time `at` (seconds since 1970; use one for everything). `tee` is what
 * the caller is prepared to handle: a quote of the other kind is refused with WRONG_TEE. With
 * collateral NULL it is fetched, if that was configured. The verdict is made in every case but lack
 * of memory; its code is returned. Free it with adyton_verdict_free().
 */
ADYTON_API int adyton_attest_verify(adyton_attest *verifier, const adyton_quote *quote,
                                    const adyton_collateral *collateral, int64_t at, int tee,
                                    adyton_verdict **verdict);
ADYTON_API void adyton_verdict_free(adyton_verdict *verdict);
/* One word for all: the TCB status, or TcbNotSupported, TdxModuleMismatch, TcbInfoMismatch,
 * QeIdentityMismatch, QeSvnNotSupported, InvalidQeReportSignature, InvalidQeReportData,
 * InvalidQuoteSignature, NoCollateral, Error. Static storage. */
ADYTON_API const char *adyton_verdict_word(const adyton_verdict *verdict);

/* ---- policies ------------------------------------------------------------------------------- */

/* What a relying party accepts. */
typedef struct adyton_policy adyton_policy;

/*
 * Accepts UpToDate, nothing expired, no DEBUG, no PROVISIONKEY or EINITTOKENKEY, Intel's root, and
 * any measurement: name one.
 */
ADYTON_API adyton_policy *adyton_policy_new(void);
ADYTON_API void adyton_policy_free(adyton_policy *policy);
/*
 * Sets one rule, by the name and in the syntax of docs/attestation.md ("mrenclave", 64 hex digits;
 * "tcb_status", "SWHardeningNeeded"; "allow_debug", "true"). Rules with a list take one more value
 * with each call; the first call replaces a default list.
 */
ADYTON_API int adyton_policy_set(adyton_policy *policy, const char *rule, const char *value,
                                 struct adyton_attest_error *error);
/* Whether it names a measurement or signer; without, any program on a good platform is accepted. */
ADYTON_API int adyton_policy_names_program(const adyton_policy *policy);
/* 0 when the verdict is acceptable, else the code of the first rule (or of the verdict itself). */
ADYTON_API int adyton_policy_check(const adyton_policy *policy, const adyton_verdict *verdict,
                                   struct adyton_attest_error *error);

#ifdef __cplusplus
}
#endif
