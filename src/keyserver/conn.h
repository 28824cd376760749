/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One connection: what is read from it, decided about it and sent to it. Its loop's thread alone
 * touches it, but for the fields that a running job or audit entry was given. */
#pragma once
#include "keyserver/frames.h"
#include "keyserver/server.h"

enum ks_state {
    KS_NEW,       /* nothing has arrived */
    KS_HANDSHAKE, /* TLS */
    KS_REQUEST,   /* 35 bytes */
    KS_JUDGE,     /* verdict and decision */
    KS_SOURCE,    /* the secret is fetched */
    KS_RECORD,    /* the audit log takes the decision */
    KS_SEND,
    KS_MORE,  /* further words of the client */
    KS_DRAIN, /* ended by us; until the client has seen it */
    KS_CLOSED,
};

#define KS_WORDS_MAX 64

struct ks_conn {
    struct ks_job job; /* first */
    struct ks_audit_entry entry;
    struct ks_conn *next, *previous; /* of the loop */
    struct ks_conn *returned;        /* in the loop's list of what came back */
    struct ks_loop *loop;
    struct ks_server *server;
    int fd;
    unsigned bucket; /* of its address */
    enum ks_state state;
    bool busy;               /* a job or an audit entry has it */
    bool ended;              /* to be freed when it comes back */
    bool recording;          /* the audit log has, or had, its decision */
    uint32_t events;         /* what it waits for */
    int64_t deadline, since; /* ms */
    uint64_t id;
    char peer[80];
    SSL *ssl;
    adyton_quote *quote;
    struct adyton_attest_error handshake; /* why the certificate was refused */

    struct ks_config *config; /* from the decision on */
    adyton_verdict *verdict;
    struct adyton_attest_error fetch_error;
    int64_t judged_at; /* of the clock of the day, seconds */
    struct ks_decision decision;
    size_t next_secret; /* in the policy, for MORE */
    bool framed;        /* the next secret is sent with header and size */
    bool has_one;       /* the first secret was sent */
    struct secret secret;
    struct ks_source_error source_error;
    bool source_ok;
    unsigned words;

    uint8_t in[KS_WORD_MAX];
    size_t in_size;
    struct secret out;
    size_t sent;
};

/* SSL_CTX_set_cert_verify_callback(): takes the quote out of the certificate, which must commit to
 * its key; the quote is verified later. */
int ks_conn_examine(X509_STORE_CTX *store, void *arg);

/* Does what can be done now; afterwards it is busy, closed, or waits for `events`. */
void ks_conn_advance(struct ks_conn *c);
/* It has waited too long. */
void ks_conn_timeout(struct ks_conn *c);
/* Frees it with its descriptor; it must not be busy. */
void ks_conn_free(struct ks_conn *c);

/* loop.c: hands it back to its loop, from any thread. */
void ks_loop_return(struct ks_conn *c);
int64_t ks_now(void); /* ms of a clock that only goes forward */

/* record.c: what log and audit log say of a decision. */
json_t *ks_record(const struct ks_conn *c, const char *event);
