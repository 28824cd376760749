/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One TLS session over a socket, with a time limit on everything. */
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>

#include "keys/secret_prov.h"

struct ra_tls_ctx {
    SSL_CTX *tls; /* a client's own, else NULL */
    SSL *ssl;
    int fd;
    int64_t deadline; /* of the first exchange; 0 afterwards: each call has the time-out */
    bool established, broken;
    uint8_t *secret; /* a client's, from malloc() */
    size_t secret_size;
};

/* Milliseconds of a clock that only goes forward. */
int64_t channel_now(void);
/* SECRET_PROVISION_TIMEOUT in milliseconds. */
int64_t channel_timeout(void);

/*
 * A session on a connected socket, which becomes its own even if this fails; the handshake is yet
 * to come.
 */
int channel_new(SSL_CTX *tls, int fd, int64_t deadline, struct ra_tls_ctx **out);
int channel_handshake(struct ra_tls_ctx *c, bool server);
/* Exactly `size` bytes, until the deadline. */
int channel_read(struct ra_tls_ctx *c, void *buf, size_t size);
int channel_write(struct ra_tls_ctx *c, const void *buf, size_t size);
/* close_notify, wipe, free. May be NULL. */
void channel_free(struct ra_tls_ctx *c);
/* What OpenSSL has to say about the last failure in this thread, or "". */
const char *channel_tls_error(char *text, size_t size);
