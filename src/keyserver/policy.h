/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The policy file of the key server: how it serves ([server], [audit], [vault], [pkcs11]) and who
 * may have which secret ([[secret]]). docs/keyserver.md lists the keys. What is not allowed there
 * is refused; what cannot be understood is an error, never a default.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>

#include "attest/attest.h"
#include "manifest/diag.h"

#define KS_SECRETS_MAX      1024
#define KS_ALTERNATIVES_MAX 64
#define KS_NAME_MAX         64

enum ks_source_kind { KS_SOURCE_FILE, KS_SOURCE_PKCS11, KS_SOURCE_VAULT, KS_SOURCE_KINDS };
enum ks_encoding { KS_RAW, KS_HEX, KS_BASE64 };

struct ks_source {
    enum ks_source_kind kind;
    const char *path;  /* of a file; label of a PKCS#11 object; path in Vault */
    const char *field; /* Vault: of the secret; PKCS#11: label of the token, or NULL */
    enum ks_encoding encoding;
    unsigned cache_seconds; /* 0: asked for each time */
};

/* One set of rules, all of which an enclave must meet. */
struct ks_alternative {
    adyton_policy *rules;
    int64_t expires; /* seconds since 1970; 0: never */
    unsigned line;
};

struct ks_secret {
    const char *name; /* letters, digits, - _ . */
    unsigned line;
    struct ks_source source;
    int64_t expires;
    unsigned rate, rate_seconds;         /* at most `rate` releases in that time; 0: any number */
    struct ks_alternative *alternatives; /* at least one: any of them is enough */
    size_t alternative_count;
};

struct ks_settings {
    const char *listen;            /* "[::]:4433" */
    const char *certificate, *key; /* PEM files */
    const char *metrics;           /* address:port, or NULL */
    const char *log;               /* file, or NULL: stderr */
    const char *name;              /* of this instance, in log and audit log */
    const char *collateral;        /* directory or JSON file */
    const char *pccs, *cache_dir;  /* NULL: kept in memory only */
    const char *trust_root;        /* NULL: Intel's */
    const char *audit_log, *audit_key, *audit_head;
    const char *vault_url, *vault_token_file, *vault_ca, *vault_namespace;
    const char *pkcs11_module, *pkcs11_token, *pkcs11_pin_file;
    int64_t threads, max_connections, max_per_address;
    int64_t handshake_seconds, exchange_seconds, idle_seconds, shutdown_seconds;
    int64_t collateral_refresh_seconds, vault_timeout_seconds;
    bool audit_sync, insecure_tls;
};

struct ks_policy {
    atomic_uint references;
    struct arena arena;
    struct ks_settings set;
    unsigned server_line, audit_line, vault_line; /* of these tables; 0: not there */
    struct ks_secret *secrets;
    size_t count;
    char digest[65]; /* SHA-256 of the text, hex */
};

/*
 * Parses a policy. Paths in it are relative to `directory`. NULL when there is an error, one line
 * of `d` for each; the caller's, release with ks_policy_release().
 */
struct ks_policy *ks_policy_parse(const char *text, size_t size, const char *directory,
                                  struct diag *d);
/* The same from a file; also looks whether the files that it names can be read. */
struct ks_policy *ks_policy_load(const char *path, struct diag *d);
struct ks_policy *ks_policy_hold(struct ks_policy *policy);
void ks_policy_release(struct ks_policy *policy);
/* The secret of this name, or NULL. */
const struct ks_secret *ks_policy_find(const struct ks_policy *policy, const char *name,
                                       size_t len);

/* ---- policy_secret.c: one [[secret]] table ---- */
struct dom;
void ks_parse_secret(struct ks_policy *policy, struct ks_secret *secret, const struct dom *table,
                     const char *directory, struct diag *d);
/* A path relative to `directory`, in the policy's arena. */
const char *ks_path(struct ks_policy *policy, const char *directory, const char *path);
/* "; did you mean 'x'?", or "". */
const char *ks_similar(struct ks_policy *policy, const char *key, const char *const *names,
                       size_t count);
