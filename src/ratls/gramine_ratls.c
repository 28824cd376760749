/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* gramine-ratls: makes an RA-TLS key and certificate for a program that knows only files. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ratls/certificate.h"

#define NAME "gramine-ratls"

static int usage(FILE *to, int status)
{
    fputs("Usage: " NAME " [-h] [-D|-P] [-T] CERTFILE KEYFILE [--] [COMMAND [ARGUMENT...]]\n\n"
          "Inside an enclave: makes a key and a certificate with this enclave's quote, writes them "
          "to\n"
          "CERTFILE and KEYFILE (mode 0600; put them on a tmpfs of the manifest), and becomes "
          "COMMAND.\n\n"
          "  -D   write DER\n"
          "  -P   write PEM (default)\n"
          "  -T   PEM with the label TRUSTED CERTIFICATE, as older versions wrote it\n"
          "  -h   show this text\n",
          to);
    return status;
}

static int write_file(const char *path, mode_t mode, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode), err = fd < 0 ? -errno : 0;
    size_t done = 0;
    /* The file may have been there with another mode. */
    if (!err && mode == 0600 && fchmod(fd, mode) && errno != EPERM)
        err = -errno;
    while (!err && done < size) {
        ssize_t n = write(fd, (const char *)data + done, size - done);
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            err = -errno;
    }
    if (fd >= 0 && close(fd) && !err)
        err = -errno;
    if (err)
        fprintf(stderr, NAME ": cannot write '%s': %s\n", path, strerror(-err));
    return err;
}

static int write_bio(const char *path, mode_t mode, BIO *bio, bool ok)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);
    if (ok && size > 0)
        return write_file(path, mode, data, (size_t)size);
    fprintf(stderr, NAME ": cannot encode what goes to '%s'\n", path);
    return -EIO;
}

static bool put_cert(BIO *bio, X509 *cert, bool der, bool trusted)
{
    uint8_t *data = NULL;
    int len;
    bool ok;
    if (der)
        return i2d_X509_bio(bio, cert) == 1;
    if (!trusted)
        return PEM_write_bio_X509(bio, cert) == 1;
    len = i2d_X509(cert, &data);
    ok = len > 0 && PEM_write_bio(bio, PEM_STRING_X509_TRUSTED, "", data, len) > 0;
    OPENSSL_free(data);
    return ok;
}

static bool put_key(BIO *bio, EVP_PKEY *key, bool der)
{
    return der ? i2d_PrivateKey_bio(bio, key) == 1
               : PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
}

static int make(const char *cert_path, const char *key_path, bool der, bool trusted)
{
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_secmem());
    int err = cert_bio && key_bio ? certificate_make(&dev_attestation, &key, &cert) : -ENOMEM;
    if (!err)
        err = write_bio(cert_path, 0644, cert_bio, put_cert(cert_bio, cert, der, trusted));
    if (!err)
        err = write_bio(key_path, 0600, key_bio, put_key(key_bio, key, der));
    EVP_PKEY_free(key);
    X509_free(cert);
    BIO_free(cert_bio);
    BIO_free(key_bio);
    return err;
}

int main(int argc, char **argv)
{
    bool der = false, trusted = false;
    int c;
    while ((c = getopt(argc, argv, "hDPT")) != -1) {
        if (c == 'h')
            return usage(stdout, 0);
        if (c == '?')
            return usage(stderr, 2);
        if (c == 'T')
            trusted = true;
        else
            der = c == 'D';
    }
    if (argc - optind < 2)
        return usage(stderr, 2);
    if (make(argv[optind], argv[optind + 1], der, trusted))
        return 1;
    if (argc - optind == 2)
        return 0;
    execvp(argv[optind + 2], argv + optind + 2);
    fprintf(stderr, NAME ": cannot run '%s': %s\n", argv[optind + 2], strerror(errno));
    return 1;
}
