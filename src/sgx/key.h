/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Signing keys of enclaves: RSA-3072 with public exponent 3, in PEM files (hosted, OpenSSL).
 *
 * Functions return 0 or a negative errno; on failure `err` (of `err_len` bytes, never NULL) holds
 * one sentence with cause and remedy.
 */
#pragma once
#include "sgx/arch.h"
#include <stddef.h>

struct sgx_key; /* an opaque private key; OpenSSL wipes it when freed */

/* Creates a key and writes it to `path` as PKCS #1 PEM without a passphrase, mode 0600, creating
 * parent directories (0700). An existing file is never replaced unless `force`; then the new file
 * takes its place atomically. -EEXIST: refused. */
int sgx_key_generate(const char *path, bool force, char *err, size_t err_len);

/* Reads a PEM key (PKCS #1 or #8). `passphrase` may be NULL; an encrypted file is then refused
 * (never prompted for). -EINVAL: not an RSA-3072 key with exponent 3. Free with sgx_key_free(). */
int sgx_key_read(const char *path, const char *passphrase, struct sgx_key **key, char *err,
                 size_t err_len);
void sgx_key_free(struct sgx_key *key);

/* Completes a SIGSTRUCT whose signed fields are set: MODULUS, SIGNATURE, Q1, Q2. PKCS #1 v1.5 is
 * deterministic, so equal input gives equal bytes. The result has passed sgx_sigstruct_check(). */
int sgx_key_sign(const struct sgx_key *key, struct sgx_sigstruct *sig, char *err, size_t err_len);

/* The default key file: $XDG_CONFIG_HOME/gramine/enclave-key.pem, else
 * ~/.config/gramine/enclave-key.pem. -ENOENT when neither variable is set. */
int sgx_key_default_path(char *path, size_t len);
