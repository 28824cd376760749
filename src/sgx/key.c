/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "sgx/key.h"
#include "manifest/input.h"
#include "sgx/rsa3.h"
#include "sgx/sigstruct.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_BITS 3072

struct sgx_key {
    EVP_PKEY *pkey;
    uint8_t modulus[SGX_RSA_SIZE];
};

__attribute__((format(printf, 4, 5))) static int fail(int error, char *err, size_t err_len,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(err, err_len, format, args);
    va_end(args);
    ERR_clear_error();
    return error;
}

static EVP_PKEY *new_key(void)
{
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);
    BIGNUM *e = BN_new();
    if (ctx && e && BN_set_word(e, 3) && EVP_PKEY_keygen_init(ctx) > 0 &&
        EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, KEY_BITS) > 0 &&
        EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e) > 0)
        EVP_PKEY_keygen(ctx, &pkey);
    BN_free(e);
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

/* PKCS #1 ("RSA PRIVATE KEY"). */
static bool write_pem(int fd, EVP_PKEY *pkey)
{
    OSSL_ENCODER_CTX *encoder =
        OSSL_ENCODER_CTX_new_for_pkey(pkey, OSSL_KEYMGMT_SELECT_ALL, "PEM", "type-specific", NULL);
    unsigned char *pem = NULL;
    size_t len = 0;
    bool ok = encoder && OSSL_ENCODER_to_data(encoder, &pem, &len);
    for (size_t at = 0; ok && at < len;) {
        ssize_t n = write(fd, pem + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        ok = n > 0;
        at += ok ? (size_t)n : 0;
    }
    OPENSSL_clear_free(pem, len);
    OSSL_ENCODER_CTX_free(encoder);
    return ok && fsync(fd) == 0;
}

static int make_parents(const char *path)
{
    char dir[4096];
    if (strlen(path) >= sizeof(dir))
        return -ENAMETOOLONG;
    strcpy(dir, path);
    for (char *at = strchr(dir + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(dir, 0700) < 0 && errno != EEXIST)
            return -errno;
        *at = '/';
    }
    return 0;
}

/* Puts the finished temporary file in place: link() never replaces, rename() does. */
static int publish(const char *temporary, const char *path, bool force)
{
    if (force)
        return rename(temporary, path) < 0 ? -errno : 0;
    int r = link(temporary, path) < 0 ? -errno : 0;
    unlink(temporary);
    return r;
}

static int write_key_file(const char *path, bool force, EVP_PKEY *pkey)
{
    char temporary[4096 + 32];
    int n = snprintf(temporary, sizeof(temporary), "%s.%ld.tmp", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof(temporary))
        return -ENAMETOOLONG;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = fchmod(fd, 0600) == 0 && write_pem(fd, pkey) ? 0 : -EIO;
    close(fd);
    if (r == 0)
        r = publish(temporary, path, force);
    if (r < 0)
        unlink(temporary);
    return r;
}

int sgx_key_generate(const char *path, bool force, char *err, size_t err_len)
{
    struct stat st;
    if (!force && lstat(path, &st) == 0)
        return fail(-EEXIST, err, err_len, "refusing to overwrite %s, use -f to force", path);
    int r = make_parents(path);
    if (r < 0)
        return fail(r, err, err_len, "cannot create the directory of %s: %s", path, strerror(-r));
    EVP_PKEY *pkey = new_key();
    if (!pkey)
        return fail(-EIO, err, err_len, "OpenSSL cannot create an RSA key");
    r = write_key_file(path, force, pkey);
    EVP_PKEY_free(pkey);
    if (r == -EEXIST)
        return fail(r, err, err_len, "refusing to overwrite %s, use -f to force", path);
    if (r < 0)
        return fail(r, err, err_len, "cannot write %s: %s", path, strerror(-r));
    return 0;
}

static int passphrase_callback(char *buf, int size, int rwflag, void *arg)
{
    const char *passphrase = arg;
    if (!passphrase)
        return -1;
    size_t len = strlen(passphrase);
    if (len > (size_t)size)
        return -1;
    memcpy(buf, passphrase, len);
    return (int)len;
}

/* The modulus, little-endian; false when the key is not RSA-3072 with exponent 3. */
static bool usable(EVP_PKEY *pkey, uint8_t modulus[SGX_RSA_SIZE])
{
    BIGNUM *n = NULL, *e = NULL;
    bool ok = EVP_PKEY_get_base_id(pkey) == EVP_PKEY_RSA &&
              EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) &&
              EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) &&
              BN_num_bits(n) == KEY_BITS && BN_is_word(e, 3) &&
              BN_bn2lebinpad(n, modulus, SGX_RSA_SIZE) == SGX_RSA_SIZE;
    BN_free(n);
    BN_free(e);
    return ok;
}

int sgx_key_read(const char *path, const char *passphrase, struct sgx_key **key, char *err,
                 size_t err_len)
{
    FILE *file = fopen_input(path);
    if (!file)
        return fail(-errno, err, err_len,
                    "cannot read the signing key %s: %s; create one with `adyton keygen --signing`",
                    path, strerror(errno));
    EVP_PKEY *pkey = PEM_read_PrivateKey(file, NULL, passphrase_callback, (void *)passphrase);
    fclose(file);
    if (!pkey)
        return fail(-EINVAL, err, err_len, "%s holds no readable PEM private key%s", path,
                    passphrase ? " (or the passphrase is wrong)"
                               : "; if it is encrypted, give its passphrase");
    struct sgx_key *k = calloc(1, sizeof(*k));
    if (!k || !usable(pkey, k->modulus)) {
        free(k);
        EVP_PKEY_free(pkey);
        return fail(k ? -EINVAL : -ENOMEM, err, err_len,
                    "%s is not an RSA key of 3072 bits with public exponent 3, which SGX demands",
                    path);
    }
    k->pkey = pkey;
    *key = k;
    return 0;
}

void sgx_key_free(struct sgx_key *key)
{
    if (key) {
        EVP_PKEY_free(key->pkey);
        free(key);
    }
}

/* PKCS #1 v1.5 over the two signed ranges; `signature` big-endian. */
static bool rsa_sign(EVP_PKEY *pkey, const struct sgx_sigstruct *sig,
                     uint8_t signature[SGX_RSA_SIZE])
{
    size_t len = SGX_RSA_SIZE;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey) > 0 &&
              EVP_DigestSignUpdate(ctx, sig, SGX_SIGSTRUCT_HEAD_SIZE) > 0 &&
              EVP_DigestSignUpdate(ctx, (const uint8_t *)sig + SGX_SIGSTRUCT_BODY_OFFSET,
                                   SGX_SIGSTRUCT_BODY_SIZE) > 0 &&
              EVP_DigestSignFinal(ctx, signature, &len) > 0 && len == SGX_RSA_SIZE;
    EVP_MD_CTX_free(ctx);
    return ok;
}

int sgx_key_sign(const struct sgx_key *key, struct sgx_sigstruct *sig, char *err, size_t err_len)
{
    uint8_t big[SGX_RSA_SIZE];
    if (!rsa_sign(key->pkey, sig, big))
        return fail(-EIO, err, err_len, "OpenSSL cannot sign with this key");
    memcpy(sig->modulus, key->modulus, SGX_RSA_SIZE);
    for (size_t i = 0; i < SGX_RSA_SIZE; i++)
        sig->signature[i] = big[SGX_RSA_SIZE - 1 - i];
    if (!sgx_rsa3_quotients(sig->modulus, sig->signature, sig->q1, sig->q2) ||
        sgx_sigstruct_check(sig) != SGX_SUCCESS)
        return fail(-EIO, err, err_len, "the new signature does not verify; is the key damaged?");
    return 0;
}

int sgx_key_default_path(char *path, size_t len)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int n;
    if (config && *config)
        n = snprintf(path, len, "%s/gramine/enclave-key.pem", config);
    else if (home && *home)
        n = snprintf(path, len, "%s/.config/gramine/enclave-key.pem", home);
    else
        return -ENOENT;
    return n < 0 || (size_t)n >= len ? -ENAMETOOLONG : 0;
}
