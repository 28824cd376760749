/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reading audit logs and heads. Both may be altered: that is what this finds. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attest/json.h"
#include "cli/tools.h"
#include "keyserver/audit_sign.h"
#include "manifest/input.h"

#define TAIL_SIZE (sizeof(",\"hash\":\"\"}") - 1 + 64)

static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";

__attribute__((format(printf, 2, 3))) static bool broken(struct ks_audit_error *error,
                                                         const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(error->text, sizeof(error->text), fmt, args);
    va_end(args);
    return false;
}

void ks_hash_text(const void *data, size_t size, char hash[65])
{
    uint8_t digest[32];
    *hash = 0;
    if (EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL))
        for (int i = 0; i < 32; i++)
            sprintf(hash + 2 * i, "%02x", digest[i]);
}

size_t ks_head_message(const struct ks_head *head, char *out, size_t size)
{
    return (size_t)snprintf(out, size, "ADYTON KEYSERVER HEAD 1\n%s\n%" PRIu64 "\n%s\n%s\n",
                            head->log, head->seq, head->hash, head->time);
}

/* Who began the log, from record 1. */
static bool take_begin(struct ks_chain *chain, const char *line, size_t size,
                       struct ks_audit_error *error)
{
    json_t *record = json_loadb(line, size, 0, NULL);
    const char *event = json_string_value(json_object_get(record, "event")),
               *log = json_string_value(json_object_get(record, "log"));
    bool ok = event && !strcmp(event, "begin") && log && strlen(log) == 32 &&
              strspn(log, "0123456789abcdef") == 32 &&
              json_hex(record, "public_key", chain->public_key, 32);
    if (ok)
        memcpy(chain->log, log, 33);
    json_decref(record);
    return ok || broken(error, "it does not begin a log: event, log or public_key are missing");
}

bool ks_chain_line(struct ks_chain *chain, const char *line, size_t size,
                   struct ks_audit_error *error)
{
    char start[120], hash[65];
    const char *previous = chain->count ? chain->hash : zeros;
    const char *tail = line + size - (size >= TAIL_SIZE ? TAIL_SIZE : size);
    int len = snprintf(start, sizeof(start), "{\"seq\":%" PRIu64 ",\"prev\":\"", chain->count + 1);
    if (size < TAIL_SIZE + (size_t)len + 66 || size > KS_LINE_MAX)
        return broken(error, "it is %s than a record can be",
                      size > KS_LINE_MAX ? "longer" : "shorter");
    if (memcmp(tail, ",\"hash\":\"", 9) != 0 || memcmp(tail + TAIL_SIZE - 2, "\"}", 2) != 0 ||
        memcmp(line, "{\"seq\":", 7) != 0)
        return broken(error, "it has not the form of a record");
    ks_hash_text(line, (size_t)(tail - line), hash);
    if (CRYPTO_memcmp(hash, tail + 9, 64) != 0)
        return broken(error, "it was changed: its content is not what its hash says");
    if (memcmp(line, start, (size_t)len) != 0)
        return broken(error, "it has another number: records before it were removed, added or "
                             "moved");
    if (memcmp(line + len, previous, 64) != 0 || line[len + 64] != '"')
        return broken(error, "it does not follow on the record before it: one of them was replaced "
                             "or removed");
    if (!chain->count && !take_begin(chain, line, size, error))
        return false;
    memcpy(chain->hash, hash, 65);
    chain->count++;
    chain->good_bytes += size + 1;
    return true;
}

struct follow {
    struct ks_chain *chain;
    ks_visit visit;
    void *context;
    struct ks_audit_error *error;
};

static bool follow_line(const struct follow *f, const char *line, size_t size)
{
    if (!ks_chain_line(f->chain, line, size, f->error))
        return false;
    if (f->visit) {
        json_t *record = json_loadb(line, size, 0, NULL);
        f->visit(f->context, f->chain, record);
        json_decref(record);
    }
    return true;
}

bool ks_chain_follow(struct ks_chain *chain, int fd, ks_visit visit, void *context,
                     struct ks_audit_error *error)
{
    enum { ROOM = 4 * KS_LINE_MAX };
    const struct follow f = {chain, visit, context, error};
    char *room = malloc(ROOM);
    size_t have = 0;
    ssize_t n = 1;
    bool ok = room || broken(error, "there is no memory left");
    *chain = (struct ks_chain){0};
    while (ok && n > 0) {
        n = read(fd, room + have, ROOM - have);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n < 0)
            ok = broken(error, "it cannot be read: %s", strerror(errno));
        else
            have += (size_t)n;
        size_t at = 0;
        const char *end;
        while (ok && at < have && (end = memchr(room + at, '\n', have - at))) {
            ok = follow_line(&f, room + at, (size_t)(end - room) - at);
            at = (size_t)(end - room) + 1;
        }
        if (ok && have - at > KS_LINE_MAX)
            ok = broken(error, "it is longer than a record can be");
        have -= at;
        memmove(room, room + at, have);
    }
    chain->tail_bytes = have;
    free(room);
    return ok;
}

static bool verify_signature(const struct ks_head *head)
{
    char message[256];
    size_t size = ks_head_message(head, message, sizeof(message));
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, head->public_key, 32);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = key && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestVerify(ctx, head->signature, 64, (const uint8_t *)message, size) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return ok;
}

static bool hex_text(const json_t *object, const char *name, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (!text || strlen(text) != size || strspn(text, "0123456789abcdef") != size)
        return false;
    memcpy(out, text, size + 1);
    return true;
}

bool ks_head_parse(struct ks_head *head, const char *text, size_t size,
                   struct ks_audit_error *error)
{
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    const char *time = json_string_value(json_object_get(root, "time"));
    const json_t *seq = json_object_get(root, "seq");
    bool ok = json_is_integer(seq) && json_integer_value(seq) > 0 && time &&
              strlen(time) < sizeof(head->time) &&
              strspn(time, "0123456789-:.TZ") == strlen(time) &&
              hex_text(root, "log", head->log, 32) && hex_text(root, "hash", head->hash, 64) &&
              json_hex(root, "public_key", head->public_key, 32) &&
              json_hex(root, "signature", head->signature, 64);
    if (ok) {
        head->seq = (uint64_t)json_integer_value(seq);
        snprintf(head->time, sizeof(head->time), "%s", time);
    }
    json_decref(root);
    if (!ok)
        return broken(error, "the head is not one: log, seq, hash, time, public_key and signature "
                             "are needed");
    return verify_signature(head) ||
           broken(error, "the head's signature is not good: it was altered");
}

bool ks_head_read(struct ks_head *head, const char *path, struct ks_audit_error *error)
{
    struct buffer text = {0};
    int fd = open_input(path);
    int err = fd < 0 ? -errno : read_all(fd, &text, 65536);
    if (fd >= 0)
        close(fd);
    bool ok = !err ? ks_head_parse(head, text.data ? text.data : "", text.len, error)
                   : broken(error, "the head '%.200s' cannot be read: %s", path, strerror(-err));
    buffer_free(&text);
    return ok;
}

bool ks_head_fits(const struct ks_head *head, const struct ks_chain *chain, const char *hash_there,
                  struct ks_audit_error *error)
{
    if (strcmp(head->log, chain->log) != 0)
        return broken(error, "the head is of another log (%.8s..., this one is %.8s...)", head->log,
                      chain->log);
    if (CRYPTO_memcmp(head->public_key, chain->public_key, 32) != 0)
        return broken(error, "the head is signed by another key than the log was begun with");
    if (head->seq > chain->count)
        return broken(error,
                      "the log was cut: the head of %s signs %" PRIu64 " records, and records from "
                      "%" PRIu64 " on are missing",
                      head->time, head->seq, chain->count + 1);
    if (strcmp(head->hash, hash_there) != 0)
        return broken(error,
                      "record %" PRIu64 " is not the one that the head of %s signs: the log was "
                      "written anew",
                      head->seq, head->time);
    return true;
}

struct check {
    uint64_t seq;
    char hash[65];
    ks_visit visit;
    void *context;
};

static void remember(void *context, const struct ks_chain *chain, const json_t *record)
{
    struct check *c = context;
    if (chain->count == c->seq)
        memcpy(c->hash, chain->hash, 65);
    if (c->visit)
        c->visit(c->context, chain, record);
}

bool ks_audit_check(int fd, const struct ks_head *head, struct ks_chain *chain, ks_visit visit,
                    void *context, struct ks_audit_error *error)
{
    struct check c = {.seq = head ? head->seq : 0, .visit = visit, .context = context};
    struct ks_audit_error why = {0};
    if (!ks_chain_follow(chain, fd, head || visit ? remember : NULL, &c, &why))
        return broken(error, "broken at record %" PRIu64 ": %.400s", chain->count + 1, why.text);
    if (!chain->count)
        return broken(error, "broken at record 1: the log is empty");
    if (head && !ks_head_fits(head, chain, c.hash, &why))
        return broken(error, "broken at record %" PRIu64 ": %.400s",
                      head->seq > chain->count ? chain->count + 1 : head->seq, why.text);
    return true;
}
