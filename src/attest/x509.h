/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* X.509 certificates and CRLs as far as quotes need them. Nothing is copied: all points into the
 * DER that was parsed. */
#pragma once
#include "attest/der.h"

struct x509 {
    der whole;
    der signed_part;         /* TBSCertificate, with its header */
    unsigned version;        /* 1, 2, 3 */
    der serial;              /* content of the INTEGER */
    der algorithm;           /* inner AlgorithmIdentifier, with its header */
    der issuer, subject;     /* with their headers */
    der validity;            /* content */
    der public_key;          /* SubjectPublicKeyInfo, with its header */
    der extensions;          /* content of the list; empty without any */
    der signature_algorithm; /* outer AlgorithmIdentifier, with its header */
    der signature;           /* the bits */
};

/* One certificate in DER, and nothing behind it. */
bool x509_parse(const void *data, size_t size, struct x509 *cert);

struct x509_extension {
    der oid, value;
    bool critical;
};
/* Takes the next extension from the list. */
bool x509_extension(der *list, struct x509_extension *ext);
/* The only extension with this OID: 1, none: 0, more than one or a list that is malformed: -1. */
int x509_find_extension(const struct x509 *cert, const uint8_t *oid, size_t oid_size, der *value);

/* The first common name of a name, as NUL-terminated text; false when it has none, it is too long
 * or has other than printable ASCII in it. */
bool x509_common_name(der name, char text[80]);
bool x509_validity(const struct x509 *cert, int64_t *not_before, int64_t *not_after);
/* The point (x, y) of an uncompressed P-256 key. */
bool x509_p256_point(const struct x509 *cert, const uint8_t **point);
/* r and s of an ecdsa-with-SHA256 signature; both algorithm fields must say so. */
bool x509_ecdsa_signature(der algorithm, der signature, uint8_t rs[64]);

struct x509_crl {
    der whole;
    der signed_part;
    der algorithm, signature_algorithm, signature;
    der issuer;
    int64_t this_update, next_update;
    der revoked;    /* content of the list; empty without any */
    der extensions; /* content of the list; empty without any */
};

/* One CRL in DER, and nothing behind it. Each entry is looked at. */
bool x509_crl_parse(const void *data, size_t size, struct x509_crl *crl);
bool x509_crl_lists(const struct x509_crl *crl, der serial);

/* The next PEM block whose label is one of `labels` (each with a NUL, ended by an empty one) as
 * DER. 1: *out is the caller's (free()); 0: there is no further one; -1: malformed; -2: no memory.
 */
int pem_next(const char **text, size_t *left, const char *labels, uint8_t **out, size_t *size);
#define PEM_CERTIFICATES "CERTIFICATE\0TRUSTED CERTIFICATE\0X509 CERTIFICATE\0"
