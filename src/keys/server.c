/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The secret's side: a thread for each client, with a time limit on everything that it waits for.
 */
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "keys/channel.h"
#include "keys/listen.h"
#include "ratls/openssl_api.h"
#include "ratls/tls.h"

#define API         __attribute__((visibility("default")))
#define CLIENTS_MAX 1000
#define STACK       (512 << 10)

struct server {
    const uint8_t *secret;
    size_t secret_size;
    SSL_CTX *tls;
    verify_measurements_cb_t measurements;
    secret_provision_cb_t after;
    atomic_int clients;
};

struct client {
    struct server *server;
    int fd;
    char name[80];
    struct ra_tls_verify_callback_results results;
};

static int setup_failed(const char *what, const char *about)
{
    char text[200];
    fprintf(stderr, "Secret Provisioning: cannot start the server: %s '%s': %s\n", what, about,
            channel_tls_error(text, sizeof(text)));
    return -EPERM;
}

static int no_password(char *buf, int size, int writing, void *arg)
{
    return -1;
}

static int load_identity(SSL_CTX *tls, const char *cert, const char *key)
{
    SSL_CTX_set_default_passwd_cb(tls, no_password);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(tls, cert) != 1 &&
        SSL_CTX_use_certificate_file(tls, cert, SSL_FILETYPE_ASN1) != 1)
        return setup_failed("the certificate", cert);
    if (SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1 &&
        SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_ASN1) != 1)
        return setup_failed("the key", key);
    if (!SSL_CTX_check_private_key(tls))
        return setup_failed("the key does not belong to the certificate", cert);
    ERR_clear_error();
    return 0;
}

static int judge(X509_STORE_CTX *store, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct client *client = SSL_get_app_data(ssl);
    verify_measurements_cb_t callback = client->server->measurements;
    return ratls_verify_store(store, callback ? callback : ratls_process_callback(),
                              &client->results);
}

static SSL_CTX *make_context(const char *cert, const char *key)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    int err = tls && tls_configure(tls) ? 0 : setup_failed("the TLS context", "");
    if (!err)
        err = load_identity(tls, cert, key);
    if (err) {
        SSL_CTX_free(tls);
        return NULL;
    }
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(tls, judge, NULL);
    SSL_CTX_set_max_cert_list(tls, 64 << 10);
    return tls;
}

static void report_handshake(const struct client *client, int err)
{
    char text[200];
    const struct ra_tls_verify_callback_results *r = &client->results;
    const char *why = err == -EPERM ? channel_tls_error(text, sizeof(text)) : strerror(-err);
    if (err == -EPERM && !r->err_loc && r->attestation_scheme)
        why = "the client ended it";
    fprintf(stderr,
            "Secret Provisioning: %s: the handshake failed: %s (attestation scheme %d, error "
            "location %d, function result 0x%x, verdict 0x%x)\n",
            client->name, why, (int)r->attestation_scheme, (int)r->err_loc,
            (unsigned)r->dcap.func_verify_quote_result,
            (unsigned)r->dcap.quote_verification_result);
}

/* The request, byte for byte, and the answer. */
static int exchange(const struct server *s, struct ra_tls_ctx *c)
{
    char request[sizeof(SECRET_PROVISION_REQUEST)];
    uint8_t header[sizeof(SECRET_PROVISION_RESPONSE) + 4] = SECRET_PROVISION_RESPONSE;
    for (unsigned i = 0; i < 4; i++)
        header[sizeof(SECRET_PROVISION_RESPONSE) + i] = (uint8_t)(s->secret_size >> (24 - 8 * i));
    int err = channel_read(c, request, sizeof(request));
    if (!err && memcmp(request, SECRET_PROVISION_REQUEST, sizeof(request)) != 0)
        err = -EINVAL;
    if (!err)
        err = channel_write(c, header, sizeof(header));
    if (!err)
        err = channel_write(c, s->secret, s->secret_size);
    return err;
}

static void serve(struct client *client)
{
    struct server *s = client->server;
    struct ra_tls_ctx *c = NULL;
    int err = channel_new(s->tls, client->fd, channel_now() + channel_timeout(), &c);
    if (err) {
        fprintf(stderr, "Secret Provisioning: %s: there is no memory left\n", client->name);
        return;
    }
    SSL_set_app_data(c->ssl, client);
    err = channel_handshake(c, true);
    if (err) {
        report_handshake(client, err);
    } else {
        err = exchange(s, c);
        if (err)
            fprintf(stderr, "Secret Provisioning: %s: got no secret: %s\n", client->name,
                    err == -EINVAL ? "it did not ask for one in this protocol" : strerror(-err));
        c->deadline = 0;
        if (!err && s->after)
            s->after(c);
    }
    channel_free(c);
}

static void *client_thread(void *arg)
{
    struct client *client = arg;
    struct server *s = client->server;
    serve(client);
    free(client);
    OPENSSL_thread_stop();
    atomic_fetch_sub(&s->clients, 1);
    return NULL;
}

static void name_client(struct client *client, const struct sockaddr_storage *from, socklen_t len)
{
    char host[60], port[8];
    if (getnameinfo((const struct sockaddr *)from, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV))
        strcpy(client->name, "client");
    else
        snprintf(client->name, sizeof(client->name), "%s port %s", host, port);
}

/* Takes the socket over. */
static void start_client(struct server *s, int fd, const struct sockaddr_storage *from,
                         socklen_t len, const pthread_attr_t *attr)
{
    struct client *client = calloc(1, sizeof(*client));
    pthread_t thread;
    bool ok = client && atomic_fetch_add(&s->clients, 1) < CLIENTS_MAX;
    if (client) {
        client->server = s;
        client->fd = fd;
        name_client(client, from, len);
        if (!ok || pthread_create(&thread, attr, client_thread, client)) {
            fprintf(stderr, "Secret Provisioning: %s: turned away, there are too many clients\n",
                    client->name);
            atomic_fetch_sub(&s->clients, 1);
            free(client);
            ok = false;
        }
    }
    if (!ok)
        close(fd);
}

/* For ever. */
static void accept_clients(struct server *s, int listener)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK);
    for (;;) {
        struct sockaddr_storage from;
        socklen_t len = sizeof(from);
        int fd = accept4(listener, (struct sockaddr *)&from, &len, SOCK_CLOEXEC);
        if (fd >= 0)
            start_client(s, fd, &from, len, &attr);
        else if (errno != EINTR && errno != ECONNABORTED)
            nanosleep(&pause, NULL); /* out of descriptors or memory: let some clients end */
    }
}

API int secret_provision_start_server(uint8_t *secret, size_t secret_size, const char *port,
                                      const char *cert_path, const char *key_path,
                                      verify_measurements_cb_t m_cb, secret_provision_cb_t f_cb)
{
    if (!secret || !secret_size || secret_size > INT32_MAX || !cert_path || !key_path)
        return -EINVAL;
    struct server s = {
        .secret = secret, .secret_size = secret_size, .measurements = m_cb, .after = f_cb};
    if (ratls_verify_prepare())
        return -EINVAL;
    s.tls = make_context(cert_path, key_path);
    int listener = s.tls ? listen_on(port ? port : DEFAULT_PORT) : -1;
    if (listener < 0) {
        SSL_CTX_free(s.tls);
        return -EPERM;
    }
    accept_clients(&s, listener);
    return 0;
}
