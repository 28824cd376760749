/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * keyserver-load PORT CERT KEY CA THREADS COUNT: provisions COUNT times, each over a connection and
 * a handshake of its own, in THREADS threads; prints "COUNT in SECONDS s: RATE /s". Ends with
 * status 1 at the first provisioning that fails.
 */
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "keys/secret_prov.h"

static SSL_CTX *tls;
static uint16_t port;
static atomic_long left;

static bool read_exactly(SSL *ssl, uint8_t *out, size_t size)
{
    size_t done = 0;
    while (done < size) {
        int n = SSL_read(ssl, out + done, (int)(size - done));
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static bool provision(void)
{
    static const char text[] = SECRET_PROVISION_REQUEST;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    uint8_t head[sizeof(SECRET_PROVISION_RESPONSE) + 4], secret[65536];
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SSL *ssl = SSL_new(tls);
    bool ok = fd >= 0 && ssl && !connect(fd, (struct sockaddr *)&to, sizeof(to)) &&
              SSL_set_fd(ssl, fd) && SSL_set1_host(ssl, "localhost") && SSL_connect(ssl) == 1 &&
              SSL_write(ssl, text, sizeof(text)) == sizeof(text) &&
              read_exactly(ssl, head, sizeof(head)) &&
              !memcmp(head, SECRET_PROVISION_RESPONSE, sizeof(SECRET_PROVISION_RESPONSE));
    const uint8_t *size = head + sizeof(SECRET_PROVISION_RESPONSE);
    size_t len =
        ok ? (size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3] : 0;
    ok = ok && len && len <= sizeof(secret) && read_exactly(ssl, secret, len);
    if (ok)
        SSL_shutdown(ssl);
    SSL_free(ssl);
    if (fd >= 0)
        close(fd);
    return ok;
}

static void *work(void *arg)
{
    bool *ok = arg;
    while (*ok && atomic_fetch_sub(&left, 1) > 0)
        *ok = provision();
    if (!*ok)
        ERR_print_errors_fp(stderr);
    return NULL;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    enum { THREADS_MAX = 64 };
    pthread_t threads[THREADS_MAX];
    bool good[THREADS_MAX], all = true;
    if (argc != 7)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    tls = SSL_CTX_new(TLS_client_method());
    if (!tls || SSL_CTX_use_certificate_file(tls, argv[2], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, argv[3], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_load_verify_locations(tls, argv[4], NULL) != 1) {
        ERR_print_errors_fp(stderr);
        return 2;
    }
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    port = (uint16_t)atoi(argv[1]);
    int count = atoi(argv[5]);
    long total = atol(argv[6]);
    if (count < 1 || count > THREADS_MAX || total < 1)
        return 2;
    left = total;
    double begin = now();
    for (int i = 0; i < count; i++) {
        good[i] = true;
        if (pthread_create(&threads[i], NULL, work, &good[i]))
            return 2;
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        all = all && good[i];
    }
    double seconds = now() - begin;
    if (!all) {
        fprintf(stderr, "keyserver-load: a provisioning failed\n");
        return 1;
    }
    printf("%ld in %.2f s: %.1f /s\n", total, seconds, (double)total / seconds);
    return 0;
}
