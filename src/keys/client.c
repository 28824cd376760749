/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The enclave's side: connect, attest, receive. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keys/channel.h"
#include "keys/connect.h"
#include "ratls/certificate.h"
#include "ratls/tls.h"

#define API             __attribute__((visibility("default")))
#define CONNECT_TIMEOUT 10000

static int failed(const char *during, int err, const char *why)
{
    fprintf(stderr, "Secret Provisioning failed during %s with error %d%s%s\n", during, err,
            *why ? ": " : "", why);
    return err;
}

/* PEM with any number of certificates, or one in DER; a file that is bad in part is bad. */
static int load_ca(SSL_CTX *tls, const char *path)
{
    X509_STORE *store = SSL_CTX_get_cert_store(tls);
    BIO *bio = BIO_new_file(path, "rb");
    X509 *cert;
    int count = 0;
    bool ok = bio;
    while (ok && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        ok = X509_STORE_add_cert(store, cert);
        X509_free(cert);
        count++;
    }
    ok = ok && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (ok && !count) {
        cert = BIO_reset(bio) == 0 ? d2i_X509_bio(bio, NULL) : NULL;
        ok = cert && X509_STORE_add_cert(store, cert);
        X509_free(cert);
    }
    BIO_free(bio);
    ERR_clear_error();
    /* A trust anchor is trusted because it was named, whatever kind of certificate it is. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(tls), X509_V_FLAG_PARTIAL_CHAIN);
    return ok ? 0 : -EPERM;
}

static int use_certificate(SSL_CTX *tls)
{
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    int err = certificate_make(&dev_attestation, &key, &cert) ? -EPERM : 0;
    if (!err && (!SSL_CTX_use_certificate(tls, cert) || !SSL_CTX_use_PrivateKey(tls, key)))
        err = -EPERM;
    EVP_PKEY_free(key);
    X509_free(cert);
    return err;
}

/* The context of all sessions of one start: server verified by its CA, our certificate attested. */
static int make_context(const char *ca_path, SSL_CTX **out)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    int err = tls && tls_configure(tls) ? 0 : failed("TLS set-up", -ENOMEM, "");
    if (!err) {
        SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
        err = load_ca(tls, ca_path);
        if (err)
            failed("loading the CA chain", err, ca_path);
    }
    if (!err) {
        err = use_certificate(tls);
        if (err)
            failed("making the RA-TLS certificate", err, "");
    }
    if (err) {
        SSL_CTX_free(tls);
        tls = NULL;
    }
    *out = tls;
    return err;
}

static bool set_peer_name(SSL *ssl, const char *host)
{
    uint8_t address[16];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
    return SSL_set_tlsext_host_name(ssl, host) && SSL_set1_host(ssl, host);
}

static int receive(struct ra_tls_ctx *c)
{
    uint8_t answer[sizeof(SECRET_PROVISION_RESPONSE) + 4];
    const uint8_t *size = answer + sizeof(SECRET_PROVISION_RESPONSE);
    int err = channel_write(c, SECRET_PROVISION_REQUEST, sizeof(SECRET_PROVISION_REQUEST));
    if (!err)
        err = channel_read(c, answer, sizeof(answer));
    if (err)
        return err;
    if (memcmp(answer, SECRET_PROVISION_RESPONSE, sizeof(SECRET_PROVISION_RESPONSE)) != 0)
        return -EINVAL;
    c->secret_size = (size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3];
    if (c->secret_size > INT_MAX) {
        c->secret_size = 0;
        return -EINVAL;
    }
    c->secret = malloc(c->secret_size + 1);
    return c->secret ? channel_read(c, c->secret, c->secret_size) : -ENOMEM;
}

static const char *explain(int err, const SSL *ssl, char *text, size_t size)
{
    long verdict = SSL_get_verify_result(ssl);
    if (verdict != X509_V_OK)
        snprintf(text, size, "the server's certificate: %s",
                 X509_verify_cert_error_string(verdict));
    else if (err == -EPERM)
        channel_tls_error(text, size);
    else if (err == -EINVAL)
        snprintf(text, size, "the server's answer is not of this protocol");
    else if (err == -ECONNRESET)
        snprintf(text, size, "the server closed the connection");
    else
        snprintf(text, size, "%s", strerror(-err));
    return text;
}

/* One session on a connected socket. */
static int talk(SSL_CTX *tls, int fd, const struct server_name *server, struct ra_tls_ctx **out)
{
    struct ra_tls_ctx *c = NULL;
    char text[256];
    const char *during = "the TLS handshake";
    int err = channel_new(tls, fd, channel_now() + channel_timeout(), &c);
    if (err)
        return failed("TLS set-up", err, "");
    if (!set_peer_name(c->ssl, server->host))
        err = -EPERM;
    if (!err)
        err = channel_handshake(c, false);
    if (!err) {
        /* With TLS 1.3 a refusal comes only now. */
        during = "the exchange (a server that refuses an enclave ends it here, and knows why)";
        err = receive(c);
    }
    c->deadline = 0;
    if (err) {
        failed(during, err, explain(err, c->ssl, text, sizeof(text)));
        channel_free(c);
        c = NULL;
    }
    *out = c;
    return err;
}

static int try_servers(const char *servers, const char *ca_path, SSL_CTX **tls,
                       struct ra_tls_ctx **out)
{
    const char *failover = getenv(SECRET_PROVISION_FAILOVER);
    struct server_name server;
    int err = -EINVAL;
    bool go_on = true;
    while (go_on && server_next(&servers, &server)) {
        int fd = server_connect(&server, CONNECT_TIMEOUT);
        err = fd < 0 ? fd : 0;
        if (fd < 0) {
            fprintf(stderr, "Secret Provisioning: cannot reach %s:%s: %s\n", server.host,
                    server.port,
                    err == SECRET_PROVISION_ERR_CONNECT ? "no connection" : "unknown host");
            continue;
        }
        if (!*tls && (err = make_context(ca_path, tls))) {
            close(fd);
            return err;
        }
        err = talk(*tls, fd, &server, out);
        go_on = err && failover && !strcmp(failover, "1");
    }
    if (err == -EINVAL && !*tls)
        failed("reading the list of servers", err, "no usable server in it");
    return err;
}

API int secret_provision_start(const char *in_servers, const char *in_ca_chain_path,
                               struct ra_tls_ctx **out_ctx)
{
    const char *servers = in_servers ? in_servers : getenv(SECRET_PROVISION_SERVERS);
    const char *ca = in_ca_chain_path ? in_ca_chain_path : getenv(SECRET_PROVISION_CA_CHAIN_PATH);
    SSL_CTX *tls = NULL;
    if (!out_ctx)
        return -EINVAL;
    *out_ctx = NULL;
    if (!ca || !*ca)
        return failed("start", -EINVAL, "set " SECRET_PROVISION_CA_CHAIN_PATH);
    /* The configuration of the host's OpenSSL is none of an enclave's business. */
    OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    int err = try_servers(servers && *servers ? servers : DEFAULT_SERVERS, ca, &tls, out_ctx);
    if (*out_ctx)
        (*out_ctx)->tls = tls;
    else
        SSL_CTX_free(tls);
    return err;
}

API int secret_provision_get(struct ra_tls_ctx *ctx, uint8_t **out_secret, size_t *out_secret_size)
{
    if (!ctx || !out_secret || !out_secret_size || !ctx->secret)
        return -EINVAL;
    *out_secret = malloc(ctx->secret_size + 1);
    if (!*out_secret)
        return -ENOMEM;
    memcpy(*out_secret, ctx->secret, ctx->secret_size);
    *out_secret_size = ctx->secret_size;
    return 0;
}

API int secret_provision_close(struct ra_tls_ctx *ctx)
{
    if (!ctx)
        return -EINVAL;
    channel_free(ctx);
    return 0;
}
