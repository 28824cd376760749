/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Revocation lists: DER, PEM or hex digits. */
#include "attest/verifier.h"

#include <stdlib.h>

static const struct {
    const char *what;
    int format, issuer, signature;
} names[] = {
    {"PCK CRL", ADYTON_ATTEST_PCK_CRL_FORMAT, ADYTON_ATTEST_PCK_CRL_ISSUER,
     ADYTON_ATTEST_PCK_CRL_SIGNATURE},
    {"root CA's CRL", ADYTON_ATTEST_ROOT_CRL_FORMAT, ADYTON_ATTEST_ROOT_CRL_ISSUER,
     ADYTON_ATTEST_ROOT_CRL_SIGNATURE},
};

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 1: *out is DER and the caller's; -1 not hex; -2 no memory. */
static int from_hex(struct adyton_bytes in, uint8_t **out, size_t *size)
{
    while (in.size && is_space((char)in.data[in.size - 1]))
        in.size--;
    uint8_t *data = malloc(in.size / 2 + 1);
    bool ok = !(in.size % 2);
    for (size_t i = 0; data && ok && i < in.size / 2; i++) {
        int high = hex_digit(in.data[2 * i]), low = hex_digit(in.data[2 * i + 1]);
        ok = high >= 0 && low >= 0;
        data[i] = (uint8_t)(high << 4 | low);
    }
    if (data && ok) {
        *out = data;
        *size = in.size / 2;
        return 1;
    }
    free(data);
    return data ? -1 : -2;
}

static int to_der(struct adyton_bytes in, uint8_t **out, size_t *size)
{
    const char *text = (const char *)in.data;
    size_t left = in.size;
    if (in.size && in.data[0] != DER_SEQUENCE && hex_digit(in.data[0]) < 0)
        return pem_next(&text, &left, "X509 CRL\0CRL\0", out, size);
    if (in.size > 1 && in.data[0] == '3' && in.data[1] == '0')
        return from_hex(in, out, size);
    *out = malloc(in.size + 1);
    if (!*out)
        return -2;
    memcpy(*out, in.data, in.size);
    *size = in.size;
    return 1;
}

/* CRL number and authority key id must be there; nothing critical that is not understood. */
static bool check_extensions(const struct x509_crl *x)
{
    static const uint8_t wanted[] = {20, 35};
    der list = x->extensions;
    struct x509_extension ext;
    unsigned seen = 0;
    while (list.size) {
        bool known = false;
        if (!x509_extension(&list, &ext))
            return false;
        for (unsigned i = 0; i < COUNT(wanted); i++) {
            const uint8_t oid[] = {0x55, 0x1d, wanted[i]};
            if (!bytes_equal(ext.oid, oid, 3))
                continue;
            if (seen & 1u << i)
                return false;
            seen |= 1u << i;
            known = true;
        }
        if (ext.critical && !known)
            return false;
    }
    return seen == 3;
}

static void crl_destroy(struct object *object)
{
    free(object);
}

static int crl_make(struct session *s, bool root, const uint8_t *data, size_t size,
                    const struct cert *issuer, struct crl **out)
{
    struct crl *crl = calloc(1, sizeof(*crl) + size);
    uint8_t rs[64];
    if (!crl)
        return attest_no_memory(s->error);
    *out = crl;
    atomic_init(&crl->object.references, 1);
    crl->object.destroy = crl_destroy;
    crl->object.cost = sizeof(*crl) + size;
    memcpy(crl->der, data, size);
    struct x509_crl *x = &crl->x;
    if (!x509_crl_parse(crl->der, size, x) || !same_bytes(x->algorithm, x->signature_algorithm) ||
        !check_extensions(x))
        return attest_fail(s->error, names[root].format,
                           "the %s is malformed, or lacks an extension that it must have",
                           names[root].what);
    if (!same_bytes(x->issuer, issuer->x.subject))
        return attest_fail(s->error, names[root].issuer, "the %s is not one of '%s'",
                           names[root].what, issuer->name);
    if (!x509_ecdsa_signature(x->signature_algorithm, x->signature, rs) ||
        !p256_verify(issuer->key, x->signed_part.data, x->signed_part.size, rs))
        return attest_fail(s->error, names[root].signature, "the signature of the %s is wrong",
                           names[root].what);
    return 0;
}

int crl_load(struct session *s, bool root, struct adyton_bytes data, const struct cert *issuer,
             const struct crl **crl)
{
    struct object_id id;
    if (!object_id_make(&id, OBJECT_CRL, issuer->point, data.data, data.size))
        return attest_fail(s->error, ADYTON_ATTEST_CRYPTO_LIBRARY, "SHA-256 failed");
    struct object *known = session_find(s, &id);
    if (known && same_bytes(((struct crl *)known)->x.issuer, issuer->x.subject)) {
        *crl = (struct crl *)known;
        return 0;
    }
    uint8_t *decoded = NULL;
    struct crl *made = NULL;
    size_t size = 0;
    int found = to_der(data, &decoded, &size);
    if (found == -2)
        return attest_no_memory(s->error);
    if (found != 1)
        return attest_fail(s->error, names[root].format, "the %s is neither DER nor PEM nor hex",
                           names[root].what);
    int err = crl_make(s, root, decoded, size, issuer, &made);
    free(decoded);
    if (err && made)
        object_release(&made->object);
    if (!err)
        err = session_add(s, &id, &made->object);
    if (!err)
        *crl = made;
    return err;
}
