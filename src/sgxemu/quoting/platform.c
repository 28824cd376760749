/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The test platform's keys and certificates: made once on a machine, then read from their files. */
#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attest/mark.h"
#include "crypto/crypto.h"
#include "sgxemu/quoting/quoting.h"

#define YEAR (86400ll * 365)

static const struct {
    const char *file, *name; /* .key and .pem; CN of the certificate */
    enum quoting_key issuer;
    bool ca;
} made[KEY_COUNT] = {
    [KEY_ROOT] = {"root", ATTEST_SOFTWARE_MARK " SGX Root CA", KEY_ROOT, true},
    [KEY_PLATFORM_CA] = {"pck-platform-ca", ATTEST_SOFTWARE_MARK " SGX PCK Platform CA", KEY_ROOT,
                         true},
    [KEY_PROCESSOR_CA] = {"pck-processor-ca", ATTEST_SOFTWARE_MARK " SGX PCK Processor CA",
                          KEY_ROOT, true},
    [KEY_PCK] = {"pck", ATTEST_SOFTWARE_MARK " SGX PCK Certificate", KEY_PLATFORM_CA, false},
    [KEY_TCB_SIGNING] = {"tcb-signing", ATTEST_SOFTWARE_MARK " SGX TCB Signing", KEY_ROOT, false},
    [KEY_ATTESTATION] = {"attestation", NULL, KEY_ROOT, false},
};

static const char readme[] =
    "The TEST platform of Adyton's software SGX device, made by `adyton sgxemu setup`.\n"
    "It stands for no hardware and protects nothing. Its keys are this machine's; who has them "
    "can\n"
    "make any quote. root.pem is what verifiers have to name to believe its quotes: do so for\n"
    "tests only.\n";

/* ---- the processor -------------------------------------------------------------------------- */

/* What the PCK certificate says follows from the fuse file: another file is another platform. */
static bool describe(struct test_platform *p, const uint8_t fuses[SGX_FUSES_SIZE])
{
    static const char label[] = "Adyton test platform: PPID";
    uint8_t digest[32], input[sizeof(label) + SGX_FUSES_SIZE];
    struct pki_platform *pck = &p->pck;
    memcpy(input, label, sizeof(label));
    memcpy(input + sizeof(label), fuses, SGX_FUSES_SIZE);
    bool ok = pki_sha256(input, sizeof(input), digest);
    crypto_wipe(input, sizeof(input));
    sgx_platform_from_fuses(&p->processor, fuses, NULL, 0);
    *pck = (struct pki_platform){.platform_ca = true,
                                 .fmspc = {0xad, 0x7e, 0x57, 0x00, 0x00, 0x01},
                                 .pce_svn = TEST_PCE_SVN,
                                 .sgx_type = 1,
                                 .cached_keys = true};
    memcpy(pck->ppid, "TEST", 4);
    memcpy(pck->ppid + 4, digest, 12);
    memcpy(pck->instance_id, "TEST", 4);
    memcpy(pck->instance_id + 4, digest + 16, 12);
    memcpy(pck->cpu_svn, p->processor.cpu_svn, 16);
    memcpy(pck->components, p->processor.cpu_svn, 16);
    return ok;
}

static int read_fuses(struct test_platform *p, const char *path, struct quoting_error *e)
{
    size_t size = 0;
    uint8_t *fuses = quoting_read(path, SGX_FUSES_SIZE, &size);
    bool ok = fuses && size == SGX_FUSES_SIZE && describe(p, fuses);
    if (fuses)
        crypto_wipe(fuses, size);
    free(fuses);
    return ok ? 0
              : quoting_fail(e,
                             "cannot read the fuse file %s: it must be this user's and have %d "
                             "bytes",
                             path, SGX_FUSES_SIZE);
}

/* ---- making it ------------------------------------------------------------------------------ */

static X509 *make_certificate(const struct test_platform *p, enum quoting_key k, int64_t now)
{
    uint8_t sgx[PKI_SGX_EXTENSION_MAX];
    struct pki_certificate o = {
        .name = made[k].name,
        .organization = "Adyton software SGX device: for tests, protects nothing",
        .key = p->keys[k],
        .issuer_key = p->keys[made[k].issuer],
        .issuer = k == KEY_ROOT ? NULL : p->certs[made[k].issuer],
        .ca = made[k].ca,
        .serial = 1 + (long)k,
        .not_before = now - 86400,
        .not_after = now + 10 * YEAR,
        .crl = "https://test-platform.adyton.invalid/root.crl",
    };
    if (k == KEY_PCK) {
        o.sgx = sgx;
        o.sgx_size = pki_sgx_extension(sgx, &p->pck);
    }
    return pki_certificate(&o);
}

static int save_key(const char *path, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    int r = -ENOMEM;
    if (bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)) {
        long len = BIO_get_mem_data(bio, &data);
        r = quoting_write(path, data, (size_t)len);
        crypto_wipe(data, (size_t)len);
    }
    BIO_free(bio);
    return r;
}

static int save_text(const char *dir, const char *name, const char *text)
{
    char path[PATH_MAX];
    int r = quoting_path(path, dir, name);
    return r ? r : quoting_write(path, text, strlen(text));
}

static int save(const struct test_platform *p, const char *dir, enum quoting_key k)
{
    char path[PATH_MAX], name[64];
    snprintf(name, sizeof(name), "%s.key", made[k].file);
    int r = quoting_path(path, dir, name);
    if (!r)
        r = save_key(path, p->keys[k]);
    if (r || !made[k].name)
        return r;
    snprintf(name, sizeof(name), "%s.pem", made[k].file);
    char *pem = pki_pem(p->certs[k], NULL, NULL);
    r = pem ? save_text(dir, name, pem) : -ENOMEM;
    free(pem);
    return r;
}

static int make_all(struct test_platform *p, const char *dir, struct quoting_error *e)
{
    const int64_t now = time(NULL);
    int r = 0;
    for (int k = 0; !r && k < KEY_COUNT; k++) {
        p->keys[k] = pki_key();
        if (made[k].name && p->keys[k])
            p->certs[k] = make_certificate(p, k, now);
        if (!p->keys[k] || (made[k].name && !p->certs[k]))
            return quoting_fail(e, "OpenSSL cannot make the keys of a test platform");
        r = save(p, dir, k);
    }
    if (!r)
        r = save_text(dir, "README", readme);
    return r ? quoting_fail(e, "cannot write the test platform into %s: %s", dir, strerror(-r)) : 0;
}

/* Beside its place, then renamed: of two that make it at once, one wins and both use that one. */
static int create(const char *dir, const char *fuses, struct quoting_error *e)
{
    char temporary[PATH_MAX];
    struct test_platform *p = calloc(1, sizeof(*p));
    int n = snprintf(temporary, sizeof(temporary), "%s.%ld.new", dir, (long)getpid());
    if (!p || n < 0 || (size_t)n >= sizeof(temporary)) {
        free(p);
        return quoting_fail(e, "the path %s is too long", dir);
    }
    int r = mkdir(temporary, 0700)
                ? quoting_fail(e, "cannot make the directory %s: %s", temporary, strerror(errno))
                : 0;
    if (!r)
        r = read_fuses(p, fuses, e);
    if (!r)
        r = make_all(p, temporary, e);
    if (!r && rename(temporary, dir) && errno != ENOTEMPTY && errno != EEXIST)
        r = quoting_fail(e, "cannot make %s: %s", dir, strerror(errno));
    quoting_remove(temporary);
    test_platform_close(p);
    return r;
}

/* ---- reading it ----------------------------------------------------------------------------- */

static int broken(const struct test_platform *p, const char *what, struct quoting_error *e)
{
    return quoting_fail(e,
                        "the test platform in %s is unusable: %s; remove the directory and run "
                        "`adyton sgxemu setup` for a new one (verifiers then need its new root)",
                        p->dir, what);
}

/* The PEM text of one of the files. */
static BIO *open_pem(const struct test_platform *p, enum quoting_key k, const char *kind)
{
    char path[PATH_MAX], name[64];
    size_t size = 0;
    snprintf(name, sizeof(name), "%s.%s", made[k].file, kind);
    uint8_t *data = quoting_path(path, p->dir, name) ? NULL : quoting_read(path, 16384, &size);
    BIO *bio = data ? BIO_new(BIO_s_mem()) : NULL;
    if (bio && BIO_write(bio, data, (int)size) != (int)size) {
        BIO_free(bio);
        bio = NULL;
    }
    if (data)
        crypto_wipe(data, size);
    free(data);
    return bio;
}

static int load(struct test_platform *p, enum quoting_key k, struct quoting_error *e)
{
    char what[128];
    BIO *key = open_pem(p, k, "key"), *cert = made[k].name ? open_pem(p, k, "pem") : NULL;
    uint8_t xy[64];
    if (key)
        p->keys[k] = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    if (cert)
        p->certs[k] = PEM_read_bio_X509(cert, NULL, NULL, NULL);
    BIO_free(key);
    BIO_free(cert);
    bool ok = p->keys[k] && pki_point(p->keys[k], xy) &&
              (!made[k].name || (p->certs[k] && X509_check_private_key(p->certs[k], p->keys[k])));
    snprintf(what, sizeof(what), "%s.key%s cannot be read, or do not belong together", made[k].file,
             made[k].name ? " and its certificate" : "");
    if (!ok)
        return broken(p, what, e);
    if (made[k].name && X509_cmp_current_time(X509_get0_notAfter(p->certs[k])) < 0)
        return broken(p, "its certificates have expired", e);
    return 0;
}

/* Is the PCK certificate that of these fuses? */
static bool belongs(const struct test_platform *p)
{
    uint8_t sgx[PKI_SGX_EXTENSION_MAX];
    size_t size = pki_sgx_extension(sgx, &p->pck);
    ASN1_OBJECT *oid = OBJ_txt2obj("1.2.840.113741.1.13.1", 1);
    int at = oid ? X509_get_ext_by_OBJ(p->certs[KEY_PCK], oid, -1) : -1;
    ASN1_OBJECT_free(oid);
    const ASN1_OCTET_STRING *value =
        at < 0 ? NULL : X509_EXTENSION_get_data(X509_get_ext(p->certs[KEY_PCK], at));
    return value && (size_t)ASN1_STRING_length(value) == size &&
           !memcmp(ASN1_STRING_get0_data(value), sgx, size);
}

static int open_existing(struct test_platform *p, const char *fuses, struct quoting_error *e)
{
    int r = read_fuses(p, fuses, e);
    for (int k = 0; !r && k < KEY_COUNT; k++)
        r = load(p, k, e);
    if (!r && !belongs(p))
        r = quoting_fail(
            e,
            "the test platform in %s was made for another fuse file than %s, or for "
            "another version of the device; name another directory with --platform, or "
            "remove this one and run `adyton sgxemu setup`",
            p->dir, fuses);
    return r;
}

int test_platform_open(const char *dir, const char *fuses, bool make, struct test_platform **out,
                       struct quoting_error *e)
{
    struct test_platform *p = calloc(1, sizeof(*p));
    struct stat st;
    if (!p)
        return quoting_fail(e, "memory is out");
    int n = snprintf(p->dir, sizeof(p->dir), "%s", dir), r = 0;
    if (n < 0 || (size_t)n >= sizeof(p->dir))
        r = quoting_fail(e, "the path %s is too long", dir);
    bool there = !r && !stat(dir, &st);
    if (!r && there && !S_ISDIR(st.st_mode))
        r = quoting_fail(e, "%s is no directory: remove it, or name another with --platform", dir);
    else if (!r && !there && make)
        r = create(dir, fuses, e);
    else if (!r && !there)
        r = quoting_fail(e, "there is no test platform in %s: `adyton sgxemu setup` makes it", dir);
    if (!r)
        r = open_existing(p, fuses, e);
    if (r) {
        test_platform_close(p);
        return r;
    }
    *out = p;
    return 0;
}

void test_platform_close(struct test_platform *p)
{
    if (!p)
        return;
    for (int k = 0; k < KEY_COUNT; k++)
        EVP_PKEY_free(p->keys[k]);
    for (int k = 0; k < KEY_CERTIFIED; k++)
        X509_free(p->certs[k]);
    crypto_wipe(&p->processor, sizeof(p->processor));
    free(p);
}
