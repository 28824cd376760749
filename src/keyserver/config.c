/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Policy, verifier and TLS context together. */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "keyserver/conn.h"
#include "ratls/tls.h"

static int no_password(char *buf, int size, int writing, void *arg)
{
    return -1;
}

static const char *tls_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return reason ? reason : "unknown reason";
}

static bool load_identity(SSL_CTX *tls, const struct ks_settings *s, struct diag *d)
{
    SSL_CTX_set_default_passwd_cb(tls, no_password);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(tls, s->certificate) != 1)
        diag_error(d, 0, "[server] certificate '%s' is not one in PEM: %s", s->certificate,
                   tls_reason());
    else if (SSL_CTX_use_PrivateKey_file(tls, s->key, SSL_FILETYPE_PEM) != 1)
        diag_error(d, 0,
                   "[server] key '%s' is not a private key in PEM without a password that belongs "
                   "to the certificate: %s",
                   s->key, tls_reason());
    return !d->error_count;
}

static SSL_CTX *make_tls(const struct ks_settings *s, struct diag *d)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (!tls || !tls_configure(tls) ||
        !SSL_CTX_set_cipher_list(tls, "ECDHE+AESGCM:ECDHE+CHACHA20")) {
        diag_error(d, 0, "OpenSSL cannot be set up: %s", tls_reason());
        SSL_CTX_free(tls);
        return NULL;
    }
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(tls, ks_conn_examine, NULL);
    SSL_CTX_set_max_cert_list(tls, 64 << 10);
    if (!load_identity(tls, s, d)) {
        SSL_CTX_free(tls);
        return NULL;
    }
    return tls;
}

struct ks_config *ks_config_load(const char *path, struct diag *d)
{
    struct ks_config *c = calloc(1, sizeof(*c));
    struct adyton_attest_error error = {0};
    if (!c) {
        diag_error(d, 0, "there is no memory left");
        return NULL;
    }
    c->references = 1;
    c->policy = ks_policy_load(path, d);
    if (c->policy && !(c->verifier = ks_verifier_new(&c->policy->set, &error)))
        diag_error(d, 0, "%s", error.text);
    if (c->verifier)
        c->tls = make_tls(&c->policy->set, d);
    if (!c->tls) {
        ks_config_release(c);
        c = NULL;
    }
    return c;
}

struct ks_config *ks_config_hold(struct ks_config *config)
{
    atomic_fetch_add(&config->references, 1);
    return config;
}

void ks_config_release(struct ks_config *c)
{
    if (!c || atomic_fetch_sub(&c->references, 1) != 1)
        return;
    SSL_CTX_free(c->tls);
    ks_verifier_free(c->verifier);
    ks_policy_release(c->policy);
    free(c);
}
