/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The certificate chains of quotes and collateral. All keys are P-256 and all signatures
 * ecdsa-with-SHA256; who is who is told by phrases in the common names; the root is trusted for its
 * key, since more than one certificate of Intel's root is about.
 */
#include "attest/mark.h"
#include "attest/verifier.h"

#include <stdlib.h>

/* Codes of one kind of chain, and what it is called. */
struct names {
    const char *what;
    int format, untrusted, root_missing, ca_missing, leaf_missing;
    int root_invalid, ca_invalid, leaf_invalid, ca_signature, leaf_signature;
    unsigned count; /* of certificates */
};

#define SIGNING(what, missing, bad, untrusted)                                  \
    {                                                                           \
        what, bad, untrusted, bad, missing, missing, bad, bad, bad, bad, bad, 2 \
    }

static const struct names kinds[] = {
    [CHAIN_PCK] = {"PCK certificate chain", ADYTON_ATTEST_PCK_CHAIN_FORMAT,
                   ADYTON_ATTEST_PCK_UNTRUSTED, ADYTON_ATTEST_PCK_ROOT_MISSING,
                   ADYTON_ATTEST_PCK_CA_MISSING, ADYTON_ATTEST_PCK_LEAF_MISSING,
                   ADYTON_ATTEST_PCK_ROOT_INVALID, ADYTON_ATTEST_PCK_CA_INVALID,
                   ADYTON_ATTEST_PCK_LEAF_INVALID, ADYTON_ATTEST_PCK_CA_SIGNATURE,
                   ADYTON_ATTEST_PCK_LEAF_SIGNATURE, 3},
    [CHAIN_PCK_CRL] = SIGNING("issuer chain of the PCK CRL", ADYTON_ATTEST_PCK_CRL_CHAIN,
                              ADYTON_ATTEST_PCK_CRL_CHAIN, ADYTON_ATTEST_PCK_CRL_CHAIN),
    [CHAIN_TCB_INFO] =
        SIGNING("signing chain of the TCB info", ADYTON_ATTEST_TCB_INFO_CHAIN_MISSING,
                ADYTON_ATTEST_TCB_INFO_CHAIN, ADYTON_ATTEST_TCB_INFO_CHAIN_UNTRUSTED),
    [CHAIN_QE_IDENTITY] =
        SIGNING("signing chain of the QE identity", ADYTON_ATTEST_QE_IDENTITY_CHAIN_MISSING,
                ADYTON_ATTEST_QE_IDENTITY_CHAIN, ADYTON_ATTEST_QE_IDENTITY_CHAIN_UNTRUSTED),
};

static void cert_destroy(struct object *object)
{
    struct cert *cert = (struct cert *)object;
    EVP_PKEY_free(cert->key);
    free(cert);
}

/* What every certificate must have: subject key id, key usage, basic constraints, CRL distribution
 * points, authority key id, each once; nothing critical that is not understood. */
static bool check_extensions(struct cert *cert, bool *signs)
{
    static const uint8_t wanted[] = {14, 15, 19, 31, 35};
    der list = cert->x.extensions, content;
    struct x509_extension ext;
    unsigned seen = 0;
    bool flag;
    while (list.size) {
        if (!x509_extension(&list, &ext))
            return false;
        bool known = false;
        for (unsigned i = 0; i < COUNT(wanted); i++) {
            const uint8_t oid[] = {0x55, 0x1d, wanted[i]};
            if (!bytes_equal(ext.oid, oid, 3))
                continue;
            if (seen & 1u << i)
                return false;
            seen |= 1u << i;
            known = true;
            if (wanted[i] == 15) {
                der bits;
                if (!der_take(&ext.value, DER_BIT_STRING, &bits) || bits.size < 2)
                    return false;
                *signs = bits.data[1] & 0x04;
            }
            if (wanted[i] == 19) {
                if (!der_take(&ext.value, DER_SEQUENCE, &content) || ext.value.size)
                    return false;
                cert->ca = der_take_bool(&content, &flag) && flag;
            }
        }
        if (ext.critical && !known)
            return false;
    }
    return seen == (1u << COUNT(wanted)) - 1;
}

/* Parses DER into a certificate without judging its signature. NULL: not one of ours (or, with
 * *no_memory, no memory). */
static struct cert *cert_parse(const uint8_t *data, size_t size, bool *no_memory)
{
    struct cert *cert = calloc(1, sizeof(*cert) + size);
    bool signs = false;
    *no_memory = !cert;
    if (!cert)
        return NULL;
    atomic_init(&cert->object.references, 1);
    cert->object.destroy = cert_destroy;
    cert->object.cost = sizeof(*cert) + size + 2048;
    memcpy(cert->der, data, size);
    struct x509 *x = &cert->x;
    bool ok = x509_parse(cert->der, size, x) && x->version == 3 &&
              same_bytes(x->algorithm, x->signature_algorithm) &&
              x509_common_name(x->subject, cert->name) &&
              x509_validity(x, &cert->not_before, &cert->not_after) &&
              x509_p256_point(x, &cert->point) &&
              x509_ecdsa_signature(x->signature_algorithm, x->signature, cert->rs) &&
              check_extensions(cert, &signs) && (!cert->ca || signs);
    if (!ok) {
        cert_destroy(&cert->object);
        cert = NULL;
    }
    return cert;
}

/* `cert` (or the one like it that was verified before) if `issuer` signed it; a reference of the
 * session's, with a key. NULL: bad signature, or a key that is none. `issuer` may be `cert`. */
static struct cert *cert_verified(struct session *s, struct cert *cert, const struct cert *issuer,
                                  int *err)
{
    struct object_id id;
    *err = 0;
    if (!object_id_make(&id, OBJECT_CERT, issuer->point, cert->x.whole.data, cert->x.whole.size)) {
        *err = attest_fail(s->error, ADYTON_ATTEST_CRYPTO_LIBRARY, "SHA-256 failed");
        return NULL;
    }
    struct object *known = session_find(s, &id);
    if (known)
        return (struct cert *)known;
    int made = p256_key(s->verifier, cert->point, &cert->key);
    if (made == KEY_FAILED)
        *err = attest_fail(s->error, ADYTON_ATTEST_CRYPTO_LIBRARY, "OpenSSL made no public key");
    if (made)
        return NULL;
    if (!p256_verify(issuer->key, cert->x.signed_part.data, cert->x.signed_part.size, cert->rs))
        return NULL;
    atomic_fetch_add(&cert->object.references, 1);
    *err = session_add(s, &id, &cert->object);
    return *err ? NULL : cert;
}

/* The place of a certificate in its chain by its name: 0 root, 1 CA or signer, 2 PCK; -1 none. */
static int place_of(enum chain_kind kind, const struct cert *cert)
{
    if (strstr(cert->name, "SGX Root CA"))
        return 0;
    if (strstr(cert->name, "SGX PCK Certificate"))
        return kind == CHAIN_PCK ? 2 : -1;
    if (kind == CHAIN_PCK || kind == CHAIN_PCK_CRL)
        return strstr(cert->name, "CA") ? 1 : -1;
    return strstr(cert->name, "SGX TCB Signing") ? 1 : -1;
}

struct build {
    struct session *s;
    enum chain_kind kind;
    const struct names *names;
    struct cert *at[3]; /* references of our own */
    unsigned count;     /* of certificates seen */
};

static int add_cert(struct build *b, const uint8_t *data, size_t size)
{
    const struct names *n = b->names;
    bool no_memory;
    struct cert *cert = cert_parse(data, size, &no_memory);
    if (!cert && no_memory)
        return attest_no_memory(b->s->error);
    if (!cert)
        return attest_fail(b->s->error, n->format,
                           "certificate %u of the %s is malformed, or lacks an extension or a "
                           "P-256 key that it must have",
                           b->count + 1, n->what);
    int place = place_of(b->kind, cert);
    if (place < 0 || b->at[place]) {
        int err = attest_fail(b->s->error, n->format,
                              "certificate '%s' has no place in the %s, or is there twice",
                              cert->name, n->what);
        object_release(&cert->object);
        return err;
    }
    b->at[place] = cert;
    b->count++;
    return 0;
}

static int add_all(struct build *b, struct adyton_bytes pem)
{
    const char *text = (const char *)pem.data;
    size_t left = pem.size, size;
    uint8_t *data;
    int err = 0;
    while (!err) {
        int found = pem_next(&text, &left, PEM_CERTIFICATES, &data, &size);
        if (!found)
            break;
        if (found == -2)
            return attest_no_memory(b->s->error);
        if (found < 0)
            return attest_fail(b->s->error, b->names->format, "the %s is malformed PEM",
                               b->names->what);
        err = add_cert(b, data, size);
        free(data);
    }
    return err;
}

static int missing(const struct build *b)
{
    static const char *const roles[] = {"root", "CA", "PCK certificate"};
    const struct names *n = b->names;
    const int codes[] = {n->root_missing, n->ca_missing, n->leaf_missing};
    if (!b->count)
        return attest_fail(b->s->error, n->format, "the %s has no certificate in it", n->what);
    for (unsigned i = 0; i < n->count; i++)
        if (!b->at[i])
            return attest_fail(b->s->error, codes[i], "the %s lacks the %s", n->what,
                               i == 1 && b->kind >= CHAIN_TCB_INFO ? "signing certificate"
                                                                   : roles[i]);
    return 0;
}

/* Test platforms write what they are into their names: a hint for people, not evidence. */
static int untrusted(const struct build *b)
{
    const struct names *n = b->names;
    const bool intel = b->s->verifier->root_kind == ADYTON_ROOT_INTEL;
    if (!strncmp(b->at[0]->name, ATTEST_SOFTWARE_MARK, strlen(ATTEST_SOFTWARE_MARK)))
        return attest_fail(
            b->s->error, n->untrusted,
            "the %s is that of a software SGX device's test platform, which protects "
            "nothing ('%s'), and its key is not that of the trusted root: %s",
            n->what, b->at[0]->name,
            intel ? "for tests only, name its root.pem as trusted root"
                  : "the root that was named is not this test platform's");
    return attest_fail(b->s->error, n->untrusted,
                       "the %s ends in '%s', whose key is not that of the trusted root%s", n->what,
                       b->at[0]->name,
                       intel ? ": it may be a software device's, which has to be named as trusted "
                               "root"
                             : "");
}

/* Root key, CA flags, names and signatures, from the root down. */
static int verify(struct build *b)
{
    const struct names *n = b->names;
    struct session *s = b->s;
    const int invalid[] = {n->root_invalid, n->ca_invalid, n->leaf_invalid};
    const int bad[] = {n->root_invalid, n->ca_signature, n->leaf_signature};
    if (memcmp(b->at[0]->point, s->verifier->root, 64))
        return untrusted(b);
    for (unsigned i = 0; i < n->count; i++) {
        struct cert *cert = b->at[i], *issuer = b->at[i ? i - 1 : 0];
        int err;
        if (!same_bytes(cert->x.issuer, issuer->x.subject) || !issuer->ca)
            return attest_fail(s->error, invalid[i],
                               "'%s' of the %s was not issued by '%s', or that is no CA",
                               cert->name, n->what, issuer->name);
        struct cert *verified = cert_verified(s, cert, issuer, &err);
        if (err)
            return err;
        if (!verified)
            return attest_fail(s->error, bad[i], "the signature of '%s' in the %s is wrong",
                               cert->name, n->what);
        atomic_fetch_add(&verified->object.references, 1);
        object_release(&cert->object);
        b->at[i] = verified;
    }
    return 0;
}

static void chain_destroy(struct object *object)
{
    struct chain *chain = (struct chain *)object;
    for (unsigned i = 0; i < chain->count; i++)
        object_release(&chain->certs[i]->object);
    free(chain);
}

static struct chain *chain_make(struct build *b)
{
    struct chain *chain = calloc(1, sizeof(*chain));
    if (!chain)
        return NULL;
    atomic_init(&chain->object.references, 1);
    chain->object.destroy = chain_destroy;
    chain->object.cost = sizeof(*chain);
    chain->count = b->names->count;
    chain->not_before = INT64_MIN;
    chain->not_after = INT64_MAX;
    for (unsigned i = 0; i < chain->count; i++) {
        struct cert *cert = b->at[i];
        chain->certs[i] = cert;
        b->at[i] = NULL;
        if (cert->not_before > chain->not_before)
            chain->not_before = cert->not_before;
        if (cert->not_after < chain->not_after)
            chain->not_after = cert->not_after;
    }
    return chain;
}

int chain_load(struct session *s, enum chain_kind kind, struct adyton_bytes pem, der leaf,
               const struct chain **chain)
{
    struct build b = {.s = s, .kind = kind, .names = &kinds[kind]};
    struct object_id id;
    /* The two signing chains, mostly one and the same, have the same rules. */
    const uint8_t salt[64] = {(uint8_t)(kind == CHAIN_QE_IDENTITY ? CHAIN_TCB_INFO : kind)};
    if (!object_id_make(&id, OBJECT_CHAIN, salt, pem.data, pem.size))
        return attest_fail(s->error, ADYTON_ATTEST_CRYPTO_LIBRARY, "SHA-256 failed");
    struct object *known = leaf.size ? NULL : session_find(s, &id);
    if (known) {
        *chain = (struct chain *)known;
        return 0;
    }
    int err = add_all(&b, pem);
    if (!err && leaf.size && !b.at[2])
        err = add_cert(&b, leaf.data, leaf.size);
    if (!err && leaf.size && !same_bytes(b.at[2]->x.whole, leaf))
        err = attest_fail(s->error, ADYTON_ATTEST_PCK_MISMATCH,
                          "the PCK certificate in the quote is not that of the chain beside it");
    if (!err)
        err = missing(&b);
    if (!err)
        err = verify(&b);
    struct chain *made = err ? NULL : chain_make(&b);
    if (!err && !made)
        err = attest_no_memory(s->error);
    for (unsigned i = 0; i < 3; i++)
        if (b.at[i])
            object_release(&b.at[i]->object);
    if (!err && leaf.size && !object_id_make(&id, OBJECT_CHAIN, salt, leaf.data, leaf.size)) {
        object_release(&made->object);
        err = attest_fail(s->error, ADYTON_ATTEST_CRYPTO_LIBRARY, "SHA-256 failed");
    }
    if (!err)
        err = session_add(s, &id, &made->object);
    if (!err)
        *chain = made;
    return err;
}
