/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A peer on Mbed TLS, as programs for RA-TLS were written:
 *
 *     mbed-peer client PORT CA.crt LIBRA_TLS_ATTEST      asks a server for its secret
 *     mbed-peer server CERT KEY LIBRA_TLS_VERIFY         prints its port, judges one client
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if MBEDTLS_VERSION_NUMBER >= 0x03000000
#    include <psa/crypto.h>
#    define RANDOM , mbedtls_ctr_drbg_random, &drbg
#else
#    define RANDOM
#endif

#include "secret_prov.h"

static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context drbg;
static mbedtls_ssl_config config;
static mbedtls_ssl_context ssl;
static mbedtls_net_context net, listener;
static mbedtls_x509_crt own, ca;
static mbedtls_pk_context key;

static void check(int ret, const char *what)
{
    if (ret < 0) {
        char text[200];
        mbedtls_strerror(ret, text, sizeof(text));
        printf("%s: -0x%x %s\n", what, (unsigned)-ret, text);
        exit(1);
    }
}

static void *symbol(const char *library, const char *name)
{
    void *lib = dlopen(library, RTLD_NOW), *f = lib ? dlsym(lib, name) : NULL;
    if (!f) {
        printf("%s\n", dlerror());
        exit(1);
    }
    return f;
}

static void setup(int end)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
    check(psa_crypto_init(), "psa");
#endif
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&drbg);
    mbedtls_ssl_config_init(&config);
    mbedtls_ssl_init(&ssl);
    mbedtls_net_init(&net);
    mbedtls_net_init(&listener);
    mbedtls_x509_crt_init(&own);
    mbedtls_x509_crt_init(&ca);
    mbedtls_pk_init(&key);
    check(mbedtls_ctr_drbg_seed(&drbg, mbedtls_entropy_func, &entropy, NULL, 0), "seed");
    check(mbedtls_ssl_config_defaults(&config, end, MBEDTLS_SSL_TRANSPORT_STREAM,
                                      MBEDTLS_SSL_PRESET_DEFAULT),
          "defaults");
    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &drbg);
    mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_REQUIRED);
}

static void handshake(void)
{
    int ret;
    check(mbedtls_ssl_setup(&ssl, &config), "setup");
    mbedtls_ssl_set_hostname(&ssl, "localhost");
    mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
    while ((ret = mbedtls_ssl_handshake(&ssl)) == MBEDTLS_ERR_SSL_WANT_READ ||
           ret == MBEDTLS_ERR_SSL_WANT_WRITE)
        ;
    check(ret, "handshake");
}

static void read_all(void *buf, size_t size)
{
    for (size_t done = 0; done < size;) {
        int ret = mbedtls_ssl_read(&ssl, (unsigned char *)buf + done, size - done);
        check(ret ? ret : -1, "read");
        done += (size_t)ret;
    }
}

static int client(char **argv)
{
    int (*create)(uint8_t **, size_t *, uint8_t **, size_t *) =
        symbol(argv[4], "ra_tls_create_key_and_crt_der");
    uint8_t *key_der, *crt_der, answer[41];
    size_t key_size, crt_size;
    setup(MBEDTLS_SSL_IS_CLIENT);
    check(create(&key_der, &key_size, &crt_der, &crt_size), "create");
    check(mbedtls_x509_crt_parse(&own, crt_der, crt_size), "own certificate");
    check(mbedtls_pk_parse_key(&key, key_der, key_size, NULL, 0 RANDOM), "own key");
    check(mbedtls_x509_crt_parse_file(&ca, argv[3]), "ca");
    mbedtls_ssl_conf_ca_chain(&config, &ca, NULL);
    check(mbedtls_ssl_conf_own_cert(&config, &own, &key), "own");
    check(mbedtls_net_connect(&net, "localhost", argv[2], MBEDTLS_NET_PROTO_TCP), "connect");
    handshake();
    check(mbedtls_ssl_write(&ssl, (const unsigned char *)SECRET_PROVISION_REQUEST,
                            sizeof(SECRET_PROVISION_REQUEST)),
          "write");
    read_all(answer, sizeof(answer));
    if (memcmp(answer, SECRET_PROVISION_RESPONSE, sizeof(SECRET_PROVISION_RESPONSE)) != 0)
        return 1;
    size_t size = (size_t)answer[39] << 8 | answer[40];
    unsigned char secret[4096];
    if (answer[37] || answer[38] || size > sizeof(secret))
        return 1;
    read_all(secret, size);
    printf("%s secret ", mbedtls_ssl_get_version(&ssl));
    for (size_t i = 0; i < size; i++)
        printf("%02x", secret[i]);
    printf("\n");
    mbedtls_ssl_close_notify(&ssl);
    return 0;
}

static int (*verify_der)(uint8_t *, size_t, struct ra_tls_verify_callback_results *);

static int verify(void *arg, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    struct ra_tls_verify_callback_results results;
    int ret = depth ? -0x2180 : verify_der(crt->raw.p, crt->raw.len, &results);
    printf("verified %d location %d verdict 0x%x\n", ret, (int)results.err_loc,
           (unsigned)results.dcap.quote_verification_result);
    *flags = 0;
    return ret;
}

static int server(char **argv)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    verify_der = symbol(argv[4], "ra_tls_verify_callback_extended_der");
    setup(MBEDTLS_SSL_IS_SERVER);
    check(mbedtls_x509_crt_parse_file(&own, argv[2]), "certificate");
    check(mbedtls_pk_parse_keyfile(&key, argv[3], NULL RANDOM), "key");
    check(mbedtls_ssl_conf_own_cert(&config, &own, &key), "own");
    mbedtls_ssl_conf_ca_chain(&config, &own, NULL);
    mbedtls_ssl_conf_verify(&config, verify, NULL);
    check(mbedtls_net_bind(&listener, "127.0.0.1", "0", MBEDTLS_NET_PROTO_TCP), "bind");
    check(getsockname(listener.fd, (struct sockaddr *)&address, &len), "name");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    check(mbedtls_net_accept(&listener, &net, NULL, 0, NULL), "accept");
    handshake();
    check(mbedtls_ssl_write(&ssl, (const unsigned char *)"welcome\n", 8), "write");
    printf("%s served\n", mbedtls_ssl_get_version(&ssl));
    mbedtls_ssl_close_notify(&ssl);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "client"))
        return client(argv);
    if (argc == 5 && !strcmp(argv[1], "server"))
        return server(argv);
    return 2;
}
