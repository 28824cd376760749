/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "keyserver/conn.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "keyserver/log.h"

#define DRAIN_MS 2000

_Static_assert(KS_RESPONSE_SIZE <= SECRET_FRAME, "no room for the header");

/* ---- the certificate ---- */

static int refuse_certificate(struct ks_conn *c, X509_STORE_CTX *store, const char *text)
{
    if (text) {
        c->handshake.code = ADYTON_ATTEST_CERT_FORMAT;
        snprintf(c->handshake.text, sizeof(c->handshake.text), "%s", text);
    }
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

int ks_conn_examine(X509_STORE_CTX *store, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct ks_conn *c = SSL_get_app_data(ssl);
    X509 *cert = X509_STORE_CTX_get0_cert(store);
    uint8_t *der = NULL;
    if (c->quote || !cert || sk_X509_num(X509_STORE_CTX_get0_untrusted(store)) > 1)
        return refuse_certificate(c, store, "it did not come alone, as evidence does");
    if (X509_cmp_time(X509_get0_notBefore(cert), NULL) >= 0 ||
        X509_cmp_time(X509_get0_notAfter(cert), NULL) <= 0)
        return refuse_certificate(c, store,
                                  "it is not valid at this time (is one of the clocks wrong?)");
    int len = i2d_X509(cert, &der);
    int code = len > 0 ? adyton_quote_from_certificate(der, (size_t)len, &c->quote, &c->handshake)
                       : ADYTON_ATTEST_NO_MEMORY;
    OPENSSL_free(der);
    if (code)
        return refuse_certificate(c, store, len > 0 ? NULL : "there is no memory left");
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

/* ---- ends ---- */

static const struct ks_settings *settings(const struct ks_conn *c)
{
    return &c->config->policy->set;
}

/* Ends the session in order; the socket is closed when the client has seen that, or soon. */
static bool finish(struct ks_conn *c)
{
    secret_free(&c->secret);
    secret_free(&c->out);
    if (c->ssl && SSL_is_init_finished(c->ssl))
        SSL_shutdown(c->ssl);
    ERR_clear_error();
    shutdown(c->fd, SHUT_WR);
    c->state = KS_DRAIN;
    c->events = EPOLLIN;
    c->deadline = ks_now() + DRAIN_MS;
    return true;
}

static bool close_now(struct ks_conn *c)
{
    c->state = KS_CLOSED;
    return false;
}

/* After a call of OpenSSL that gave `result`: waits, or ends. */
static bool wait_or_end(struct ks_conn *c, int result)
{
    int kind = SSL_get_error(c->ssl, result);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
        c->events = kind == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT;
        return false;
    }
    if (kind == SSL_ERROR_ZERO_RETURN)
        SSL_shutdown(c->ssl);
    ERR_clear_error();
    return close_now(c);
}

static bool drain(struct ks_conn *c)
{
    char rest[16384];
    ssize_t n = recv(c->fd, rest, sizeof(rest), 0);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) {
        c->events = EPOLLIN;
        return false;
    }
    return close_now(c);
}

static void log_connection(const struct ks_conn *c, const char *level, const char *event,
                           const char *code, const char *message)
{
    char id[20];
    if (!ks_log_may())
        return;
    snprintf(id, sizeof(id), "%016llx", (unsigned long long)c->id);
    json_t *more = json_pack("{s:s,s:o,s:s,s:o}", "id", id, "peer", ks_json_text(c->peer), "code",
                             code, "message", ks_json_text(message));
    ks_log(level, event, more);
}

/* ---- handshake and request ---- */

static bool start_tls(struct ks_conn *c)
{
    char byte;
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        c->events = EPOLLIN;
        return false;
    }
    if (n <= 0) /* came and went, as probes do */
        return close_now(c);
    struct ks_config *config = ks_server_config(c->server);
    c->ssl = SSL_new(config->tls);
    ks_config_release(config);
    if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1) {
        log_connection(c, "error", "handshake", "MEMORY", "there is no memory for a session");
        return close_now(c);
    }
    SSL_set_app_data(c->ssl, c);
    SSL_set_accept_state(c->ssl);
    c->state = KS_HANDSHAKE;
    return true;
}

static bool handshake_failed(struct ks_conn *c, int kind)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    char text[700];
    atomic_fetch_add(&c->server->metrics.failed_handshakes, 1);
    if (c->handshake.code)
        snprintf(text, sizeof(text), "the client's certificate is refused: %s", c->handshake.text);
    else
        snprintf(text, sizeof(text), "%s",
                 kind == SSL_ERROR_SYSCALL ? "the client went away"
                 : reason                  ? reason
                                           : "unknown reason");
    log_connection(c, "warning", "handshake",
                   c->handshake.code ? adyton_attest_code_name(c->handshake.code) : "TLS", text);
    ERR_clear_error();
    return kind == SSL_ERROR_SYSCALL ? close_now(c) : finish(c);
}

static bool handshake(struct ks_conn *c)
{
    ERR_clear_error();
    int n = SSL_do_handshake(c->ssl);
    if (n != 1) {
        int kind = SSL_get_error(c->ssl, n);
        if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE)
            return handshake_failed(c, kind);
        return wait_or_end(c, n);
    }
    atomic_fetch_add(&c->server->metrics.handshakes, 1);
    c->config = ks_server_config(c->server);
    c->deadline = ks_now() + settings(c)->exchange_seconds * 1000;
    c->state = KS_REQUEST;
    return true;
}

/* More bytes of the client; false when none are there, or the end. */
static bool take(struct ks_conn *c, size_t up_to)
{
    ERR_clear_error();
    int n = SSL_read(c->ssl, c->in + c->in_size, (int)(up_to - c->in_size));
    if (n <= 0)
        return wait_or_end(c, n);
    c->in_size += (size_t)n;
    return true;
}

static bool bad_request(struct ks_conn *c, const char *what)
{
    atomic_fetch_add(&c->server->metrics.bad_requests, 1);
    log_connection(c, "warning", "request", "BAD_REQUEST", what);
    return finish(c);
}

static bool request(struct ks_conn *c)
{
    int is = ks_frame_request(c->in, c->in_size);
    if (is < 0)
        return bad_request(c, "it did not ask for a secret in this protocol");
    if (!is)
        return take(c, KS_REQUEST_SIZE);
    c->in_size = 0;
    c->state = KS_JUDGE;
    return true;
}

/* ---- the decision ---- */

static void verified(struct ks_conn *c, int64_t began)
{
    struct ks_metrics *m = &c->server->metrics;
    atomic_fetch_add(&m->verifications, 1);
    atomic_fetch_add(&m->verification_us, (unsigned long)(ks_now() - began) * 1000);
}

static void verify_waiting(struct ks_job *job)
{
    struct ks_conn *c = (struct ks_conn *)job;
    int64_t began = ks_now();
    ks_verifier_verify(c->config->verifier, c->quote, c->judged_at, true, &c->verdict,
                       &c->fetch_error);
    verified(c, began);
}

static void hand_back(struct ks_job *job)
{
    ks_loop_return((struct ks_conn *)job);
}

static bool go_to_source(struct ks_conn *c)
{
    if (!ks_rates_take(c->server->rates, c->decision.secret, ks_now())) {
        ks_refuse(&c->decision, "RATE", "%s was released %u times in this time already",
                  c->decision.secret->name, c->decision.secret->rate);
        c->state = KS_RECORD;
    } else {
        c->state = KS_SOURCE;
    }
    return true;
}

static bool decide(struct ks_conn *c)
{
    int found = -1;
    if (c->fetch_error.code)
        ks_refuse(&c->decision, adyton_attest_code_name(c->fetch_error.code), "%s",
                  c->fetch_error.text);
    else if (!c->verdict)
        ks_refuse(&c->decision, "MEMORY", "there is no memory left");
    else
        found = ks_judge_all(c->config->policy, c->verdict, c->judged_at, 0, &c->decision);
    if (found < 0) {
        c->state = KS_RECORD;
        return true;
    }
    c->next_secret = (size_t)found + 1;
    c->framed = true;
    return go_to_source(c);
}

static bool judge(struct ks_conn *c)
{
    struct ks_server *s = c->server;
    int64_t began = ks_now();
    if (c->judged_at) /* it came back from the pool */
        return decide(c);
    ks_config_release(c->config); /* the newest one decides */
    c->config = ks_server_config(s);
    c->judged_at = time(NULL);
    if (ks_verifier_verify(c->config->verifier, c->quote, c->judged_at, false, &c->verdict,
                           &c->fetch_error)) {
        verified(c, began);
        return decide(c);
    }
    atomic_fetch_add(&s->metrics.fetches, 1);
    c->busy = true;
    c->job.run = verify_waiting;
    c->job.done = hand_back;
    ks_pool_add(s->verifying, &c->job);
    return false;
}

static void ask_source(struct ks_job *job)
{
    struct ks_conn *c = (struct ks_conn *)job;
    c->source_ok = ks_source_get(c->server->sources, c->config->policy, c->decision.secret,
                                 &c->secret, &c->source_error);
    if (!c->source_ok && !c->source_error.text[0])
        ks_source_failed(&c->source_error, "the source gave no secret");
}

static bool source(struct ks_conn *c)
{
    if (c->source_error.text[0] == 0 && !c->source_ok) {
        c->busy = true;
        c->job.run = ask_source;
        c->job.done = hand_back;
        ks_pool_add(c->server->fetching[c->decision.secret->source.kind], &c->job);
        return false;
    }
    if (!c->source_ok) {
        atomic_fetch_add(&c->server->metrics.source_errors, 1);
        ks_refuse(&c->decision, "SOURCE", "%s", c->source_error.text);
    }
    c->source_ok = false;
    c->source_error.text[0] = 0;
    c->state = KS_RECORD;
    return true;
}

static void recorded(struct ks_audit_entry *entry)
{
    ks_loop_return((struct ks_conn *)((char *)entry - offsetof(struct ks_conn, entry)));
}

static void log_decision(const struct ks_conn *c)
{
    const struct ks_decision *d = &c->decision;
    bool other_root = c->verdict && c->verdict->trusted_root == ADYTON_ROOT_CUSTOM;
    ks_log(d->granted && !other_root ? "info" : "warning", d->granted ? "release" : "refuse",
           ks_record(c, d->granted ? "release" : "refuse"));
    ks_decisions_count(c->server->decisions, d->secret ? d->secret->name : "", d->code);
}

/* Nothing is sent before the decision is in the audit log. */
static bool record(struct ks_conn *c)
{
    if (c->server->audit && !c->recording) {
        c->recording = true; /* a second time here, it has come back */
        c->busy = true;
        c->entry = (struct ks_audit_entry){
            .record = ks_record(c, c->decision.granted ? "release" : "refuse"), .done = recorded};
        ks_audit_add(c->server->audit, &c->entry);
        return false;
    }
    if (c->recording && c->entry.failed) {
        atomic_fetch_add(&c->server->metrics.audit_errors, 1);
        if (c->decision.granted)
            ks_refuse(&c->decision, "AUDIT", "the audit log does not take the record");
    }
    c->recording = false;
    log_decision(c);
    if (!c->decision.granted)
        return finish(c);
    c->state = KS_SEND;
    return true;
}

/* ---- the answer ---- */

static bool prepare(struct ks_conn *c)
{
    size_t head = c->framed ? KS_RESPONSE_SIZE : 0, size = c->secret.size;
    if (!secret_room(&c->out, head + size))
        return false;
    if (head)
        ks_frame_response(c->out.data, size);
    memcpy(c->out.data + head, c->secret.data, size);
    secret_free(&c->secret);
    c->sent = 0;
    return true;
}

static bool send_secret(struct ks_conn *c)
{
    if (!c->out.data && !prepare(c)) {
        log_connection(c, "error", "send", "MEMORY", "there is no memory for secrets left");
        return finish(c);
    }
    while (c->sent < c->out.size) {
        ERR_clear_error();
        int n = SSL_write(c->ssl, c->out.data + c->sent, (int)(c->out.size - c->sent));
        if (n <= 0)
            return wait_or_end(c, n);
        c->sent += (size_t)n;
    }
    secret_free(&c->out);
    c->state = KS_MORE;
    c->deadline = ks_now() + settings(c)->idle_seconds * 1000;
    return true;
}

/* "MORE": the next secret that is allowed, without a header. "GET NAME": that one, with. */
static bool answer_word(struct ks_conn *c, const struct ks_word *word)
{
    struct ks_decision *d = &c->decision;
    const struct ks_policy *policy = c->config->policy;
    int64_t now = time(NULL);
    c->deadline = ks_now() + settings(c)->exchange_seconds * 1000;
    if (word->kind == KS_WORD_OTHER)
        return bad_request(c, "after its secret it sent what is neither MORE nor GET NAME");
    c->framed = word->kind == KS_WORD_GET;
    if (word->kind == KS_WORD_MORE) {
        int found = ks_judge_all(policy, c->verdict, now, c->next_secret, d);
        if (found < 0)
            return finish(c);
        c->next_secret = (size_t)found + 1;
        return go_to_source(c);
    }
    const struct ks_secret *secret = ks_policy_find(policy, word->name, word->length);
    *d = (struct ks_decision){0};
    if (secret && ks_judge(secret, c->verdict, now, d))
        return go_to_source(c);
    if (!secret)
        ks_refuse(d, "UNKNOWN_SECRET", "there is no secret of the name that was asked for");
    c->state = KS_RECORD;
    return true;
}

static bool more(struct ks_conn *c)
{
    struct ks_word word;
    uint8_t bytes[KS_WORD_MAX];
    ssize_t len = ks_frame_word(c->in, c->in_size, &word);
    if (len < 0)
        return bad_request(c, "after its secret it sent a word that is too long");
    if (!len)
        return take(c, sizeof(c->in));
    if (++c->words > KS_WORDS_MAX)
        return bad_request(c, "it asked for too many secrets in one session");
    memcpy(bytes, c->in, (size_t)len);
    memmove(c->in, c->in + len, c->in_size - (size_t)len);
    c->in_size -= (size_t)len;
    ks_frame_word(bytes, (size_t)len, &word);
    return answer_word(c, &word);
}

void ks_conn_advance(struct ks_conn *c)
{
    static bool (*const steps[])(struct ks_conn *) = {
        [KS_NEW] = start_tls,    [KS_HANDSHAKE] = handshake, [KS_REQUEST] = request,
        [KS_JUDGE] = judge,      [KS_SOURCE] = source,       [KS_RECORD] = record,
        [KS_SEND] = send_secret, [KS_MORE] = more,           [KS_DRAIN] = drain,
    };
    while (c->state != KS_CLOSED && steps[c->state](c))
        ;
}

void ks_conn_timeout(struct ks_conn *c)
{
    if (c->state != KS_DRAIN && c->state != KS_MORE && c->state != KS_NEW) {
        log_connection(c, "warning", "timeout", "TIMEOUT",
                       c->state == KS_HANDSHAKE ? "the handshake took too long"
                                                : "the exchange took too long");
        atomic_fetch_add(&c->server->metrics.timeouts, 1);
    } else if (c->state == KS_NEW) {
        atomic_fetch_add(&c->server->metrics.timeouts, 1);
    }
    if (c->state == KS_MORE)
        finish(c);
    else
        c->state = KS_CLOSED;
}

void ks_conn_free(struct ks_conn *c)
{
    SSL_free(c->ssl);
    if (c->fd >= 0)
        close(c->fd);
    adyton_verdict_free(c->verdict);
    adyton_quote_free(c->quote);
    secret_free(&c->secret);
    secret_free(&c->out);
    ks_config_release(c->config);
    free(c);
}
