/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "attest/x509.h"

#include <openssl/evp.h>
#include <stdlib.h>

static bool parse_signed(der in, struct x509 *cert)
{
    der version, list, skipped;
    uint32_t number = 0;
    cert->extensions = (der){NULL, 0};
    if (der_take(&in, DER_CONTEXT(0), &version) &&
        (!der_take_uint(&version, DER_INTEGER, 2, &number) || version.size))
        return false;
    cert->version = number + 1;
    if (!der_take(&in, DER_INTEGER, &cert->serial) || !cert->serial.size ||
        !der_take_whole(&in, DER_SEQUENCE, &cert->algorithm) ||
        !der_take_whole(&in, DER_SEQUENCE, &cert->issuer) ||
        !der_take(&in, DER_SEQUENCE, &cert->validity) ||
        !der_take_whole(&in, DER_SEQUENCE, &cert->subject) ||
        !der_take_whole(&in, DER_SEQUENCE, &cert->public_key))
        return false;
    /* Unique identifiers of version 2: [1] and [2], implicit BIT STRING. */
    der_take(&in, 0x81, &skipped);
    der_take(&in, 0x82, &skipped);
    if (der_take(&in, DER_CONTEXT(3), &list) &&
        (!der_take(&list, DER_SEQUENCE, &cert->extensions) || list.size))
        return false;
    return !in.size;
}

static bool take_bits(der *in, der *bits)
{
    if (!der_take(in, DER_BIT_STRING, bits) || bits->size < 1 || bits->data[0])
        return false;
    bits->data++;
    bits->size--;
    return true;
}

bool x509_parse(const void *data, size_t size, struct x509 *cert)
{
    der in = {data, size}, body, content;
    if (!der_take(&in, DER_SEQUENCE, &body) || in.size)
        return false;
    cert->whole = (der){data, size};
    if (!der_take_whole(&body, DER_SEQUENCE, &cert->signed_part) ||
        !der_take_whole(&body, DER_SEQUENCE, &cert->signature_algorithm) ||
        !take_bits(&body, &cert->signature) || body.size)
        return false;
    der signed_part = cert->signed_part;
    return der_take(&signed_part, DER_SEQUENCE, &content) && parse_signed(content, cert);
}

bool x509_extension(der *list, struct x509_extension *ext)
{
    der item;
    ext->critical = false;
    if (!der_take(list, DER_SEQUENCE, &item) || !der_take(&item, DER_OID, &ext->oid))
        return false;
    if (der_next_is(&item, DER_BOOLEAN) && !der_take_bool(&item, &ext->critical))
        return false;
    return der_take(&item, DER_OCTET_STRING, &ext->value) && !item.size;
}

int x509_find_extension(const struct x509 *cert, const uint8_t *oid, size_t oid_size, der *value)
{
    der list = cert->extensions;
    struct x509_extension ext;
    int found = 0;
    while (list.size) {
        if (!x509_extension(&list, &ext))
            return -1;
        if (!bytes_equal(ext.oid, oid, oid_size))
            continue;
        if (found)
            return -1;
        found = 1;
        *value = ext.value;
    }
    return found;
}

/* Names get into messages; those of real certificates are plain. */
static bool printable(der text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] > 0x7e)
            return false;
    return true;
}

bool x509_common_name(der name, char text[80])
{
    static const uint8_t common_name[] = {0x55, 0x04, 0x03};
    der rdns, set, pair, oid, value;
    if (!der_take(&name, DER_SEQUENCE, &rdns))
        return false;
    while (der_take(&rdns, DER_SET, &set)) {
        while (der_take(&set, DER_SEQUENCE, &pair)) {
            if (!der_take(&pair, DER_OID, &oid) || !bytes_equal(oid, common_name, 3))
                continue;
            if ((!der_take(&pair, DER_UTF8, &value) && !der_take(&pair, DER_PRINTABLE, &value)) ||
                value.size >= 80 || !printable(value))
                return false;
            memcpy(text, value.data, value.size);
            text[value.size] = 0;
            return true;
        }
    }
    return false;
}

bool x509_validity(const struct x509 *cert, int64_t *not_before, int64_t *not_after)
{
    der in = cert->validity;
    return der_take_time(&in, not_before) && der_take_time(&in, not_after) && !in.size;
}

bool x509_p256_point(const struct x509 *cert, const uint8_t **point)
{
    /* id-ecPublicKey and prime256v1 as parameters, BIT STRING of 66 bytes, uncompressed */
    static const uint8_t prefix[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                     0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                     0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
    if (cert->public_key.size != sizeof(prefix) + 64 ||
        memcmp(cert->public_key.data, prefix, sizeof(prefix)))
        return false;
    *point = cert->public_key.data + sizeof(prefix);
    return true;
}

/* A positive INTEGER as 32 bytes, big endian. */
static bool take_scalar(der *in, uint8_t out[32])
{
    der content;
    if (!der_take(in, DER_INTEGER, &content) || !content.size || content.data[0] >= 0x80 ||
        (content.size > 1 && !content.data[0] && content.data[1] < 0x80))
        return false;
    if (!content.data[0]) {
        content.data++;
        content.size--;
    }
    if (content.size > 32)
        return false;
    memset(out, 0, 32);
    memcpy(out + 32 - content.size, content.data, content.size);
    return true;
}

bool x509_ecdsa_signature(der algorithm, der signature, uint8_t rs[64])
{
    static const uint8_t ecdsa_sha256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                           0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
    der pair;
    return bytes_equal(algorithm, ecdsa_sha256, sizeof(ecdsa_sha256)) &&
           der_take(&signature, DER_SEQUENCE, &pair) && !signature.size && take_scalar(&pair, rs) &&
           take_scalar(&pair, rs + 32) && !pair.size;
}

/* One entry of a CRL: serial, date, and extensions that must be a list. */
static bool take_revoked(der *list, der *serial)
{
    der item, extensions;
    int64_t date;
    if (!der_take(list, DER_SEQUENCE, &item) || !der_take(&item, DER_INTEGER, serial) ||
        !serial->size || !der_take_time(&item, &date))
        return false;
    if (item.size && !der_take(&item, DER_SEQUENCE, &extensions))
        return false;
    return !item.size;
}

static bool parse_crl_signed(der in, struct x509_crl *crl)
{
    uint32_t version;
    der list, serial;
    crl->revoked = crl->extensions = (der){NULL, 0};
    if (!der_take_uint(&in, DER_INTEGER, 1, &version) || version != 1 ||
        !der_take_whole(&in, DER_SEQUENCE, &crl->algorithm) ||
        !der_take_whole(&in, DER_SEQUENCE, &crl->issuer) ||
        !der_take_time(&in, &crl->this_update) || !der_take_time(&in, &crl->next_update))
        return false;
    der_take(&in, DER_SEQUENCE, &crl->revoked);
    if (der_take(&in, DER_CONTEXT(0), &list) &&
        (!der_take(&list, DER_SEQUENCE, &crl->extensions) || list.size))
        return false;
    for (list = crl->revoked; list.size;)
        if (!take_revoked(&list, &serial))
            return false;
    return !in.size;
}

bool x509_crl_parse(const void *data, size_t size, struct x509_crl *crl)
{
    der in = {data, size}, body, content;
    if (!der_take(&in, DER_SEQUENCE, &body) || in.size)
        return false;
    crl->whole = (der){data, size};
    if (!der_take_whole(&body, DER_SEQUENCE, &crl->signed_part) ||
        !der_take_whole(&body, DER_SEQUENCE, &crl->signature_algorithm) ||
        !take_bits(&body, &crl->signature) || body.size)
        return false;
    der signed_part = crl->signed_part;
    return der_take(&signed_part, DER_SEQUENCE, &content) && parse_crl_signed(content, crl);
}

/* The entries were looked at as a whole when the list was parsed. */
bool x509_crl_lists(const struct x509_crl *crl, der serial)
{
    der list = crl->revoked, item, listed;
    while (der_take(&list, DER_SEQUENCE, &item))
        if (der_take(&item, DER_INTEGER, &listed) && same_bytes(listed, serial))
            return true;
    return false;
}

/* Whether the label of the BEGIN line at `text` is wanted; sets the begin of the next line. */
static bool label_wanted(const char *label, size_t len, const char *labels)
{
    for (; *labels; labels += strlen(labels) + 1)
        if (strlen(labels) == len && !memcmp(labels, label, len))
            return true;
    return false;
}

/* Base64 of a PEM body, white space left out. -1: malformed. */
static int decode_body(const char *body, size_t len, uint8_t **out, size_t *size)
{
    char *packed = malloc(len + 1);
    uint8_t *decoded = malloc(len + 4);
    size_t n = 0;
    int result = packed && decoded ? 1 : -2;
    for (size_t i = 0; result == 1 && i < len; i++) {
        if (is_space(body[i]))
            continue;
        packed[n++] = body[i];
        if (!body[i])
            result = -1;
    }
    if (result == 1 && (!n || n % 4 || EVP_DecodeBlock(decoded, (uint8_t *)packed, (int)n) < 0))
        result = -1;
    if (result == 1) {
        *size = n / 4 * 3 - (packed[n - 1] == '=') - (packed[n - 2] == '=');
        *out = decoded;
        decoded = NULL;
    }
    free(packed);
    free(decoded);
    return result;
}

int pem_next(const char **text, size_t *left, const char *labels, uint8_t **out, size_t *size)
{
    static const char begin[] = "-----BEGIN ", end[] = "-----END ";
    for (;;) {
        const char *limit = *text + *left, *at = memmem(*text, *left, begin, sizeof(begin) - 1);
        if (!at)
            return 0;
        const char *label = at + sizeof(begin) - 1;
        const char *dashes = memmem(label, (size_t)(limit - label), "-----", 5);
        const char *body = dashes ? dashes + 5 : limit;
        const char *stop = memmem(body, (size_t)(limit - body), end, sizeof(end) - 1);
        if (!dashes || dashes - label > 40 || !stop || stop - body > (4 << 20))
            return -1;
        size_t len = (size_t)(dashes - label);
        const char *after = stop + sizeof(end) - 1;
        if ((size_t)(limit - after) < len + 5 || memcmp(after, label, len) ||
            memcmp(after + len, "-----", 5))
            return -1;
        *text = after + len + 5;
        *left = (size_t)(limit - *text);
        if (label_wanted(label, len, labels))
            return decode_body(body, (size_t)(stop - body), out, size);
    }
}
