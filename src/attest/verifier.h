/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The verifier object, what it remembers, and one verification in the making.
 *
 * Remembered are parsed objects whose signature was verified, under a digest of their content and
 * of the key that signed it; times, revocation and trust in the root are judged anew each time.
 */
#pragma once
#include <openssl/evp.h>
#include <pthread.h>

#include "attest/x509.h"

/* A parsed, verified object, counted. First member of what it heads. */
struct object {
    atomic_uint references;
    void (*destroy)(struct object *object);
    size_t cost; /* bytes, about */
};

/* What kind of object, in the digest. */
enum object_kind { OBJECT_CERT = 1, OBJECT_CHAIN, OBJECT_CRL, OBJECT_TCB_INFO, OBJECT_QE_IDENTITY };

struct object_id {
    uint8_t digest[32];
};

struct cache; /* see cache.c; its lock is the only one of the library beside `fetching` */

struct fetcher; /* see fetch.h */

struct adyton_attest {
    struct cache *cache;
    EVP_PKEY *curve; /* P-256 without a key: what others are made from */
    uint8_t root[64];
    int root_kind;           /* enum adyton_trusted_root */
    struct fetcher *fetcher; /* NULL: fetches nothing */
};

struct cache *cache_new(size_t entries);
void cache_free(struct cache *cache);
void cache_resize(struct cache *cache, size_t entries);
void cache_flush(struct cache *cache);
/* The object (held), or NULL. */
struct object *cache_find(struct cache *cache, const struct object_id *id);
/* Offers an object; the caller's reference stays the caller's. */
void cache_add(struct cache *cache, const struct object_id *id, struct object *object);
void object_release(struct object *object);

/* One verification: what it holds, so that the same document is not verified twice in it. */
struct session {
    adyton_attest *verifier;
    struct adyton_attest_error *error;
    struct {
        struct object_id id;
        struct object *object;
    } held[48];
    unsigned count;
};

/* False on failure of the hash function. `signer` is a point of 64 bytes or NULL. */
bool object_id_make(struct object_id *id, enum object_kind kind, const uint8_t *signer,
                    const void *data, size_t size);
/* The object for the length of the session, or NULL. */
struct object *session_find(struct session *s, const struct object_id *id);
/* Takes over the caller's reference, also when it fails (NO_MEMORY). */
int session_add(struct session *s, const struct object_id *id, struct object *object);
void session_end(struct session *s);

/* ---- ecdsa.c: P-256 with SHA-256 ---- */
enum { KEY_OK = 0, KEY_INVALID = -1, KEY_FAILED = -2 };
/* A public key from its point; KEY_INVALID when it is not on the curve. */
int p256_key(const adyton_attest *verifier, const uint8_t point[64], EVP_PKEY **key);
/* Whether (r, s) signs the data. */
bool p256_verify(EVP_PKEY *key, const void *data, size_t size, const uint8_t rs[64]);
EVP_PKEY *p256_curve(void);
bool sha256_of(const void *data, size_t size, uint8_t digest[32]);

/* ---- chain.c: certificates ---- */
struct cert {
    struct object object;
    struct x509 x; /* into der */
    const uint8_t *point;
    EVP_PKEY *key;
    uint8_t rs[64];
    int64_t not_before, not_after;
    char name[80];
    bool ca;
    uint8_t der[];
};

/* Root first. PCK chain: root, CA, leaf; signing and CRL chains: root, signer or CA. */
struct chain {
    struct object object;
    unsigned count;
    struct cert *certs[3];         /* each held */
    int64_t not_before, not_after; /* the time when all are valid */
};

enum chain_kind { CHAIN_PCK, CHAIN_PCK_CRL, CHAIN_TCB_INFO, CHAIN_QE_IDENTITY };

/*
 * A chain whose signatures are good and whose root has the trusted key, from PEM. `leaf`, if not
 * empty, is a PCK certificate (DER) to go with a chain that may lack it. Lives as long as the
 * session. 0 or a code (and the session's error).
 */
int chain_load(struct session *s, enum chain_kind kind, struct adyton_bytes pem, der leaf,
               const struct chain **chain);

/* ---- crl.c ---- */
struct crl {
    struct object object;
    struct x509_crl x;
    uint8_t der[];
};

/* The CRL of this issuer from DER, PEM or hex, with a good signature. */
int crl_load(struct session *s, bool root, struct adyton_bytes data, const struct cert *issuer,
             const struct crl **crl);
