/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "keys/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))

int64_t channel_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t channel_timeout(void)
{
    const char *text = getenv(SECRET_PROVISION_TIMEOUT);
    size_t len = text ? strlen(text) : 0;
    long seconds = 30;
    if (len && len <= 4 && strspn(text, "0123456789") == len)
        seconds = strtol(text, NULL, 10);
    return seconds < 1 || seconds > 3600 ? 30000 : seconds * 1000;
}

/* A socket BIO that never raises SIGPIPE: the signal's disposition is the program's. */

static int bio_read(BIO *bio, char *data, int size)
{
    ssize_t n = recv((int)(intptr_t)BIO_get_data(bio), data, (size_t)size, 0);
    BIO_clear_retry_flags(bio);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(bio);
    return (int)n;
}

static int bio_write(BIO *bio, const char *data, int size)
{
    ssize_t n = send((int)(intptr_t)BIO_get_data(bio), data, (size_t)size, MSG_NOSIGNAL);
    BIO_clear_retry_flags(bio);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_write(bio);
    return (int)n;
}

static long bio_ctrl(BIO *bio, int cmd, long number, void *pointer)
{
    return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP;
}

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");
    if (method) {
        BIO_meth_set_read(method, bio_read);
        BIO_meth_set_write(method, bio_write);
        BIO_meth_set_ctrl(method, bio_ctrl);
    }
}

static BIO *socket_bio(int fd)
{
    pthread_once(&method_once, make_method);
    BIO *bio = method ? BIO_new(method) : NULL;
    if (bio) {
        BIO_set_data(bio, (void *)(intptr_t)fd);
        BIO_set_init(bio, 1);
    }
    return bio;
}

int channel_new(SSL_CTX *tls, int fd, int64_t deadline, struct ra_tls_ctx **out)
{
    struct ra_tls_ctx *c = calloc(1, sizeof(*c));
    BIO *bio = c ? socket_bio(fd) : NULL;
    int flags = fcntl(fd, F_GETFL);
    if (!c || !bio || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ||
        !(c->ssl = SSL_new(tls))) {
        BIO_free(bio);
        free(c);
        close(fd);
        return -ENOMEM;
    }
    c->fd = fd;
    c->deadline = deadline;
    SSL_set_bio(c->ssl, bio, bio);
    SSL_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                             SSL_MODE_RELEASE_BUFFERS);
    *out = c;
    return 0;
}

const char *channel_tls_error(char *text, size_t size)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    snprintf(text, size, "%s", reason ? reason : "");
    return text;
}

/* After a call that gave `result`: 0 when it is to be repeated. */
static int wait_for_peer(struct ra_tls_ctx *c, int result, int64_t deadline)
{
    int kind = SSL_get_error(c->ssl, result), n;
    struct pollfd p = {.fd = c->fd, .events = kind == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN};
    if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE) {
        c->broken = kind != SSL_ERROR_ZERO_RETURN;
        bool end = kind == SSL_ERROR_ZERO_RETURN || kind == SSL_ERROR_SYSCALL ||
                   ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
        return end ? -ECONNRESET : -EPERM;
    }
    int64_t left = deadline - channel_now();
    do
        n = left > 0 ? poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left) : 0;
    while (n < 0 && errno == EINTR && (left = deadline - channel_now()) > 0);
    c->broken |= n <= 0;
    return n > 0 ? 0 : -ETIMEDOUT;
}

static int64_t deadline_of(const struct ra_tls_ctx *c)
{
    return c->deadline ? c->deadline : channel_now() + channel_timeout();
}

int channel_handshake(struct ra_tls_ctx *c, bool server)
{
    int err = 0, n;
    ERR_clear_error();
    while (!err && (n = server ? SSL_accept(c->ssl) : SSL_connect(c->ssl)) != 1)
        err = wait_for_peer(c, n, c->deadline);
    c->established = !err;
    return err;
}

int channel_read(struct ra_tls_ctx *c, void *buf, size_t size)
{
    int64_t deadline = deadline_of(c);
    size_t done = 0;
    int err = 0;
    ERR_clear_error();
    while (!err && done < size) {
        size_t chunk = size - done;
        int n = SSL_read(c->ssl, (char *)buf + done, chunk > INT_MAX ? INT_MAX : (int)chunk);
        if (n > 0)
            done += (size_t)n;
        else
            err = wait_for_peer(c, n, deadline);
        if (!err && channel_now() > deadline && done < size) {
            err = -ETIMEDOUT;
            c->broken = true;
        }
    }
    return err;
}

int channel_write(struct ra_tls_ctx *c, const void *buf, size_t size)
{
    int64_t deadline = deadline_of(c);
    size_t done = 0;
    int err = 0;
    ERR_clear_error();
    while (!err && done < size) {
        size_t chunk = size - done;
        int n = SSL_write(c->ssl, (const char *)buf + done, chunk > INT_MAX ? INT_MAX : (int)chunk);
        if (n > 0)
            done += (size_t)n;
        else
            err = wait_for_peer(c, n, deadline);
    }
    return err;
}

void channel_free(struct ra_tls_ctx *c)
{
    if (!c)
        return;
    if (c->established && !c->broken)
        SSL_shutdown(c->ssl); /* only sends; nobody waits for the answer */
    SSL_free(c->ssl);
    SSL_CTX_free(c->tls);
    ERR_clear_error();
    shutdown(c->fd, SHUT_WR);
    close(c->fd);
    if (c->secret) {
        OPENSSL_cleanse(c->secret, c->secret_size);
        free(c->secret);
    }
    free(c);
}

API int secret_provision_read(struct ra_tls_ctx *ctx, uint8_t *buf, size_t size)
{
    if (!ctx || !ctx->ssl || (!buf && size) || size > INT_MAX)
        return -EINVAL;
    return channel_read(ctx, buf, size);
}

API int secret_provision_write(struct ra_tls_ctx *ctx, const uint8_t *buf, size_t size)
{
    if (!ctx || !ctx->ssl || (!buf && size) || size > INT_MAX)
        return -EINVAL;
    return channel_write(ctx, buf, size);
}
