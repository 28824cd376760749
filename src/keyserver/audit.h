/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The audit log: a record a line, each with the hash of the one before, and a head beside it that
 * says, signed, how far the log goes.
 *
 *     {"seq":N,"prev":"HASH OF N-1",...,"hash":"HASH"}\n
 *
 * HASH is the SHA-256, in hex, of the line up to the comma before "hash". Record 1 has prev 00..00,
 * the event "begin", and names the log (random) and the Ed25519 key of its heads. A head is a JSON
 * object with log, seq, hash, time, public_key and signature; the signature is over
 * "ADYTON KEYSERVER HEAD 1\n" log "\n" seq "\n" hash "\n" time "\n".
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KS_LINE_MAX 65536 /* of a record */

struct ks_audit_error {
    char text[600];
};

/* ---- audit_chain.c: reading ---- */

/* How far a log was followed. */
struct ks_chain {
    uint64_t count;         /* good records */
    char hash[65];          /* of the last one */
    char log[33];           /* from record 1 */
    uint8_t public_key[32]; /* from record 1 */
    uint64_t good_bytes;    /* of whole, good records */
    uint64_t tail_bytes;    /* behind the last newline: a record that is not finished */
};

/* Follows one more line (without its newline). False: it is not the next record; the text says
 * why, and the chain is as before. */
bool ks_chain_line(struct ks_chain *chain, const char *line, size_t size,
                   struct ks_audit_error *error);

/* Called for each record that follows; `record` is its JSON, or NULL when it is none. */
typedef void (*ks_visit)(void *context, const struct ks_chain *chain, const json_t *record);

/*
 * Follows a whole log from an open descriptor; `visit` may be NULL. False: it is broken at record
 * chain->count + 1, or cannot be read.
 */
bool ks_chain_follow(struct ks_chain *chain, int fd, ks_visit visit, void *context,
                     struct ks_audit_error *error);

struct ks_head {
    char log[33], hash[65], time[40];
    uint64_t seq;
    uint8_t public_key[32], signature[64];
};

/* Parses a head and checks its signature by the key in it. */
bool ks_head_parse(struct ks_head *head, const char *text, size_t size,
                   struct ks_audit_error *error);
bool ks_head_read(struct ks_head *head, const char *path, struct ks_audit_error *error);

/*
 * Whether a head belongs to a log that was followed to its end. `hash_there` is the hash of the
 * log's record head->seq, "" if the log has none.
 */
bool ks_head_fits(const struct ks_head *head, const struct ks_chain *chain, const char *hash_there,
                  struct ks_audit_error *error);

/* ks_chain_follow() with a head (NULL: none) that must fit. */
bool ks_audit_check(int fd, const struct ks_head *head, struct ks_chain *chain, ks_visit visit,
                    void *context, struct ks_audit_error *error);

/* ---- audit.c: writing ---- */

struct ks_audit;

struct ks_audit_entry {
    struct ks_audit_entry *next;
    json_t *record;                             /* an object; taken over when the entry is added */
    char *text;                                 /* the audit log's */
    bool failed;                                /* set before done(): it is not in the log */
    void (*done)(struct ks_audit_entry *entry); /* in the log's thread */
};

/*
 * Opens a log to append to (made if it is not there) after following it as a whole. It is locked:
 * two processes do not write to one log. NULL with one sentence.
 */
struct ks_audit *ks_audit_open(const char *log, const char *key, const char *head, bool sync,
                               struct ks_audit_error *error);
/* Adds a record; when it is in the log (and on the disk, with `sync`), done() is called. */
void ks_audit_add(struct ks_audit *audit, struct ks_audit_entry *entry);
/* The same, waiting; takes the record over. False: it is not in the log. */
bool ks_audit_add_now(struct ks_audit *audit, json_t *record);
/* Writes what was added, and closes. May be NULL. */
void ks_audit_close(struct ks_audit *audit);
