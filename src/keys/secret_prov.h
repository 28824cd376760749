/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Secret provisioning: an enclave gets its secrets from a server that has verified it, over RA-TLS.
 * Installed as gramine/secret_prov.h. libsecret_prov_attest.so is the enclave's side,
 * libsecret_prov_verify_dcap.so the server's.
 *
 * Functions return 0 or a negative number: -EINVAL (arguments, no CA file, a peer that speaks
 * another protocol), -ENOMEM, -EPERM (TLS, certificates, attestation), -ECONNRESET (the peer
 * closed), -ETIMEDOUT, or, when no server could be reached, SECRET_PROVISION_ERR_...
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "ra_tls.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Both go over the wire with their NUL. */
#define SECRET_PROVISION_REQUEST  "SECRET_PROVISION_RA_TLS_REQUEST_V1"
#define SECRET_PROVISION_RESPONSE "SECRET_PROVISION_RA_TLS_RESPONSE_V1:"

#define DEFAULT_SERVERS "localhost:4433"
#define DEFAULT_PORT    "4433"

#define SECRET_PROVISION_CONSTRUCTOR   "SECRET_PROVISION_CONSTRUCTOR"
#define SECRET_PROVISION_SERVERS       "SECRET_PROVISION_SERVERS"
#define SECRET_PROVISION_CA_CHAIN_PATH "SECRET_PROVISION_CA_CHAIN_PATH"
#define SECRET_PROVISION_SET_KEY       "SECRET_PROVISION_SET_KEY"
#define SECRET_PROVISION_SECRET_STRING "SECRET_PROVISION_SECRET_STRING"
/* Not used by anything. */
#define SECRET_PROVISION_LISTENING_PORT "SECRET_PROVISION_LISTENING_PORT"
/* Adyton's own. "1": the next server is tried also after a TLS failure or a refusal. Seconds (1 to
 * 3600, default 30): for the handshake with the first exchange, and for each later read or write;
 * both sides. */
#define SECRET_PROVISION_FAILOVER "SECRET_PROVISION_FAILOVER"
#define SECRET_PROVISION_TIMEOUT  "SECRET_PROVISION_TIMEOUT"

#define SECRET_PROVISION_ERR_CONNECT      (-0x44)
#define SECRET_PROVISION_ERR_UNKNOWN_HOST (-0x52)

/* One TLS session. Not for several threads at once. */
struct ra_tls_ctx;

/* ---- both sides ----------------------------------------------------------------------------- */

/* All of `size` bytes, or an error. */
int secret_provision_write(struct ra_tls_ctx *ctx, const uint8_t *buf, size_t size);
int secret_provision_read(struct ra_tls_ctx *ctx, uint8_t *buf, size_t size);

/* ---- client --------------------------------------------------------------------------------- */

/*
 * Connects to the first server of the list ("host:port", "[::1]:port"; separated by , ; or spaces)
 * that accepts, attests, and receives the secret. NULL: the environment's values. The session stays
 * open for further reads and writes.
 */
int secret_provision_start(const char *in_servers, const char *in_ca_chain_path,
                           struct ra_tls_ctx **out_ctx);
/* A copy of the secret from malloc(): wipe it, then free() it. */
int secret_provision_get(struct ra_tls_ctx *ctx, uint8_t **out_secret, size_t *out_secret_size);
/* Wipes the secret, ends the session and frees everything. */
int secret_provision_close(struct ra_tls_ctx *ctx);

/* ---- server --------------------------------------------------------------------------------- */

/* Called in the client's thread after the secret was sent; the session is closed afterwards. */
typedef int (*secret_provision_cb_t)(struct ra_tls_ctx *ctx);

/*
 * Serves the secret on all interfaces until the process ends; returns only errors of set-up. `port`
 * NULL: 4433. Certificate and key are PEM or DER files, without a password. `m_cb` judges the
 * enclaves; NULL: RA_TLS_MRENCLAVE and the others.
 */
int secret_provision_start_server(uint8_t *secret, size_t secret_size, const char *port,
                                  const char *cert_path, const char *key_path,
                                  verify_measurements_cb_t m_cb, secret_provision_cb_t f_cb);

#ifdef __cplusplus
}
#endif
