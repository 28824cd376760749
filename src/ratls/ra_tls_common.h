/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Names shared by both ends of RA-TLS: environment variables, extensions of the certificate, error
 * numbers. Installed as gramine/ra_tls_common.h.
 */
#pragma once

/* The verifier's policy: a value, or the word "any". All four are needed. */
#define RA_TLS_MRENCLAVE   "RA_TLS_MRENCLAVE"
#define RA_TLS_MRSIGNER    "RA_TLS_MRSIGNER"
#define RA_TLS_ISV_PROD_ID "RA_TLS_ISV_PROD_ID"
#define RA_TLS_ISV_SVN     "RA_TLS_ISV_SVN"

/* What else the verifier accepts, if the value is exactly "1". */
#define RA_TLS_ALLOW_OUTDATED_TCB_INSECURE  "RA_TLS_ALLOW_OUTDATED_TCB_INSECURE"
#define RA_TLS_ALLOW_HW_CONFIG_NEEDED       "RA_TLS_ALLOW_HW_CONFIG_NEEDED"
#define RA_TLS_ALLOW_SW_HARDENING_NEEDED    "RA_TLS_ALLOW_SW_HARDENING_NEEDED"
#define RA_TLS_ALLOW_DEBUG_ENCLAVE_INSECURE "RA_TLS_ALLOW_DEBUG_ENCLAVE_INSECURE"
/* Adyton's own: certificates outside their dates are refused without it. */
#define RA_TLS_ALLOW_EXPIRED_CERT_INSECURE "RA_TLS_ALLOW_EXPIRED_CERT_INSECURE"

/* Adyton's own: a root certificate (file) to trust instead of Intel's, a directory or file of
 * collateral, and the lowest TCB evaluation data number that is accepted. */
#define RA_TLS_TRUST_ROOT            "RA_TLS_TRUST_ROOT"
#define RA_TLS_COLLATERAL            "RA_TLS_COLLATERAL"
#define RA_TLS_MIN_EVALUATION_NUMBER "RA_TLS_MIN_EVALUATION_NUMBER"

/* The attester's certificate: YYYYMMDDhhmmss, UTC. */
#define RA_TLS_CERT_TIMESTAMP_NOT_BEFORE "RA_TLS_CERT_TIMESTAMP_NOT_BEFORE"
#define RA_TLS_CERT_TIMESTAMP_NOT_AFTER  "RA_TLS_CERT_TIMESTAMP_NOT_AFTER"

/*
 * Object identifiers of the two extensions, as bytes: 2.23.133.5.4.9 (TCG DICE tagged evidence) and
 * the older 1.2.840.113741.1337.6. ..._RAW is with tag and length. On the wire the older extension
 * has its RAW form as the content of its identifier.
 */
#define TCG_DICE_TAGGED_EVIDENCE_OID       \
    {                                      \
        0x67, 0x81, 0x05, 0x05, 0x04, 0x09 \
    }
#define TCG_DICE_TAGGED_EVIDENCE_OID_RAW               \
    {                                                  \
        0x06, 0x06, 0x67, 0x81, 0x05, 0x05, 0x04, 0x09 \
    }
#define NON_STANDARD_INTEL_SGX_QUOTE_OID                     \
    {                                                        \
        0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x8a, 0x39, 0x06 \
    }
#define NON_STANDARD_INTEL_SGX_QUOTE_OID_RAW                             \
    {                                                                    \
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x8a, 0x39, 0x06 \
    }

/* Errors, beside -EINVAL and other errno values: the numbers that Mbed TLS has for these causes. */
#define RA_TLS_ERR_BAD_CERTIFICATE (-0x2180) /* cannot be parsed, or a chain of several */
#define RA_TLS_ERR_EXTENSIONS      (-0x2500) /* no evidence in it, or malformed */
#define RA_TLS_ERR_COMMITMENT      (-0x2680) /* the quote is for another key or other claims */
#define RA_TLS_ERR_VERIFY          (-0x2700) /* quote, attributes or measurements refused */
#define RA_TLS_ERR_BAD_INPUT       (-0x2800)
#define RA_TLS_ERR_MEMORY          (-0x2880)
#define RA_TLS_ERR_FILE            (-0x2900) /* /dev/attestation */
#define RA_TLS_ERR_FATAL           (-0x3000)
