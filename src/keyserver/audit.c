/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Writing an audit log: one thread takes what has gathered, appends it in one write, brings it to
 * the disk, and signs a new head.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/tools.h"
#include "keyserver/audit_sign.h"
#include "keyserver/log.h"

struct ks_audit {
    int fd;
    char *head_path;
    EVP_PKEY *key;
    bool sync;
    bool dead; /* a write failed and could not be undone: nothing is taken any more */
    struct ks_chain chain;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t news;
    struct ks_audit_entry *first, **last;
    bool ending;
};

static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";

static bool failed(struct ks_audit_error *error, const char *what, const char *path,
                   const char *why)
{
    snprintf(error->text, sizeof(error->text), "%s '%.200s' %.300s", what, path, why);
    return false;
}

static bool sign(const struct ks_audit *a, struct ks_head *head)
{
    char message[256];
    size_t size = ks_head_message(head, message, sizeof(message)), len = 64;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, a->key) == 1 &&
              EVP_DigestSign(ctx, head->signature, &len, (const uint8_t *)message, size) == 1;
    EVP_MD_CTX_free(ctx);
    return ok && len == 64;
}

static bool write_head(const struct ks_audit *a)
{
    struct ks_head head = {.seq = a->chain.count};
    memcpy(head.log, a->chain.log, sizeof(head.log));
    memcpy(head.hash, a->chain.hash, sizeof(head.hash));
    memcpy(head.public_key, a->chain.public_key, 32);
    ks_time_text(head.time);
    if (!sign(a, &head))
        return false;
    json_t *o =
        json_pack("{s:s,s:I,s:s,s:s,s:o,s:o}", "log", head.log, "seq", (json_int_t)head.seq, "hash",
                  head.hash, "time", head.time, "public_key", ks_json_hex(head.public_key, 32),
                  "signature", ks_json_hex(head.signature, 64));
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    size_t len = text ? strlen(text) : 0;
    if (text)
        text[len] = '\n';
    bool ok = text && !replace_file(a->head_path, text, len + 1);
    if (text)
        text[len] = 0;
    free(text);
    json_decref(o);
    return ok;
}

/* The line of a record behind those of `chain`, which goes on by it. */
static bool add_line(struct buffer *out, struct ks_chain *chain, const char *text)
{
    char start[120], end[80], hash[65];
    size_t from = out->len, len = strlen(text);
    if (len < 3 || len > KS_LINE_MAX - 300)
        return false;
    snprintf(start, sizeof(start), "{\"seq\":%" PRIu64 ",\"prev\":\"%s\",", chain->count + 1,
             chain->count ? chain->hash : zeros);
    buffer_text(out, start);
    buffer_add(out, text + 1, len - 2);
    ks_hash_text(out->data + from, out->len - from, hash);
    snprintf(end, sizeof(end), ",\"hash\":\"%s\"}\n", hash);
    buffer_text(out, end);
    memcpy(chain->hash, hash, 65);
    chain->count++;
    chain->good_bytes += out->len - from;
    return *hash;
}

/* Appends it whole or not at all. */
static bool append(struct ks_audit *a, const struct buffer *lines)
{
    int err = a->dead ? -EIO : write_all(a->fd, lines->data, lines->len);
    if (!err && a->sync && fdatasync(a->fd))
        err = -errno;
    if (!err)
        return true;
    if (!a->dead && ftruncate(a->fd, (off_t)a->chain.good_bytes))
        a->dead = true;
    ks_log_text("error", "audit", "the audit log cannot be written: %s%s", strerror(-err),
                a->dead ? "; nothing is released until the server is started anew" : "");
    return false;
}

static void commit(struct ks_audit *a, struct ks_audit_entry *entries)
{
    struct ks_chain chain = a->chain;
    struct buffer lines = {0};
    bool any = false, ok = true;
    for (struct ks_audit_entry *e = entries; e; e = e->next) {
        struct ks_chain before = chain;
        size_t len = lines.len;
        e->failed = !e->text || !add_line(&lines, &chain, e->text);
        if (e->failed) {
            chain = before;
            lines.len = len;
        }
        any |= !e->failed;
    }
    if (any)
        ok = append(a, &lines);
    if (any && ok) {
        a->chain = chain;
        if (!write_head(a))
            ks_log_text("warning", "audit", "the head '%s' cannot be written: %s", a->head_path,
                        strerror(errno));
    }
    buffer_free(&lines);
    while (entries) {
        struct ks_audit_entry *next = entries->next;
        entries->failed |= !ok;
        free(entries->text);
        entries->text = NULL;
        entries->done(entries);
        entries = next;
    }
}

static void *write_entries(void *arg)
{
    struct ks_audit *a = arg;
    pthread_mutex_lock(&a->lock);
    while (a->first || !a->ending) {
        struct ks_audit_entry *all = a->first;
        a->first = NULL;
        a->last = &a->first;
        if (!all) {
            pthread_cond_wait(&a->news, &a->lock);
            continue;
        }
        pthread_mutex_unlock(&a->lock);
        commit(a, all);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    OPENSSL_thread_stop();
    return NULL;
}

static EVP_PKEY *read_key(const char *path, struct ks_audit_error *error)
{
    FILE *file = fopen(path, "re");
    EVP_PKEY *key = file ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;
    if (file)
        fclose(file);
    if (key && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519)
        return key;
    failed(error, "the audit key", path,
           "must be an Ed25519 key in PEM without a password: openssl genpkey -algorithm ed25519 "
           "-out FILE");
    EVP_PKEY_free(key);
    return NULL;
}

/* A log that is there is followed as a whole, so that nothing is built on what is broken. */
static bool resume(struct ks_audit *a, const char *path, struct ks_audit_error *error)
{
    struct ks_audit_error why;
    struct ks_head head;
    bool have_head = !access(a->head_path, F_OK);
    uint8_t public[32];
    size_t len = sizeof(public);
    if (!have_head && !lseek(a->fd, 0, SEEK_END)) /* a new one */
        return true;
    lseek(a->fd, 0, SEEK_SET);
    if (have_head && !ks_head_read(&head, a->head_path, error))
        return false;
    if (!ks_audit_check(a->fd, have_head ? &head : NULL, &a->chain, NULL, NULL, &why))
        return failed(error, "the audit log", path, why.text) ||
               (strncat(error->text, "; keep it as evidence, and begin another",
                        sizeof(error->text) - strlen(error->text) - 1),
                false);
    if (!have_head && a->chain.count > 1)
        return failed(error, "the audit log", path,
                      "has records, but its head is missing: put it back, or begin another log");
    if (a->chain.tail_bytes && ftruncate(a->fd, (off_t)a->chain.good_bytes))
        return failed(error, "the audit log", path,
                      "ends in half a record, which cannot be taken off");
    if (a->chain.count && (EVP_PKEY_get_raw_public_key(a->key, public, &len) != 1 ||
                           memcmp(public, a->chain.public_key, 32) != 0))
        return failed(error, "the audit log", path,
                      "was begun with another key: give it that key, or begin another log");
    return true;
}

static bool begin(struct ks_audit *a, const char *path, struct ks_audit_error *error)
{
    uint8_t id[16];
    size_t len = 32;
    struct buffer line = {0};
    struct ks_chain chain = {0};
    char when[32];
    ks_time_text(when);
    bool ok = RAND_bytes(id, sizeof(id)) == 1 &&
              EVP_PKEY_get_raw_public_key(a->key, chain.public_key, &len) == 1;
    json_t *o =
        json_pack("{s:s,s:s,s:i,s:o,s:o}", "event", "begin", "time", when, "version", 1, "log",
                  ks_json_hex(id, 16), "public_key", ks_json_hex(chain.public_key, 32));
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    for (int i = 0; i < 16; i++)
        sprintf(chain.log + 2 * i, "%02x", id[i]);
    ok = ok && text && add_line(&line, &chain, text) && append(a, &line);
    if (ok) {
        a->chain = chain;
        ok = write_head(a);
    }
    free(text);
    json_decref(o);
    buffer_free(&line);
    return ok || failed(error, "the audit log", path, "cannot be begun: is the disk full?");
}

static bool set_up(struct ks_audit *a, const char *log, struct ks_audit_error *error)
{
    if (a->fd < 0)
        return failed(error, "the audit log", log, strerror(errno));
    if (flock(a->fd, LOCK_EX | LOCK_NB))
        return failed(error, "the audit log", log,
                      "is in use by another server: each instance needs one of its own");
    if (!resume(a, log, error) || (!a->chain.count && !begin(a, log, error)))
        return false;
    return !pthread_create(&a->thread, NULL, write_entries, a) ||
           failed(error, "the audit log", log, "has no thread");
}

struct ks_audit *ks_audit_open(const char *log, const char *key, const char *head, bool sync,
                               struct ks_audit_error *error)
{
    struct ks_audit *a = calloc(1, sizeof(*a));
    if (!a || !(a->head_path = strdup(head))) {
        free(a);
        failed(error, "the audit log", log, "has no memory");
        return NULL;
    }
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->news, NULL);
    a->last = &a->first;
    a->sync = sync;
    a->fd = -1;
    a->key = read_key(key, error);
    if (a->key)
        a->fd = open(log, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (a->key && set_up(a, log, error))
        return a;
    if (a->fd >= 0)
        close(a->fd);
    EVP_PKEY_free(a->key);
    free(a->head_path);
    free(a);
    return NULL;
}

void ks_audit_add(struct ks_audit *a, struct ks_audit_entry *entry)
{
    entry->text = entry->record ? json_dumps(entry->record, JSON_COMPACT) : NULL;
    json_decref(entry->record);
    entry->record = NULL;
    entry->failed = false;
    entry->next = NULL;
    pthread_mutex_lock(&a->lock);
    *a->last = entry;
    a->last = &entry->next;
    pthread_cond_signal(&a->news);
    pthread_mutex_unlock(&a->lock);
}

struct waiting {
    struct ks_audit_entry entry; /* first */
    sem_t done;
};

static void post(struct ks_audit_entry *entry)
{
    sem_post(&((struct waiting *)entry)->done);
}

bool ks_audit_add_now(struct ks_audit *a, json_t *record)
{
    struct waiting w = {.entry = {.record = record, .done = post}};
    sem_init(&w.done, 0, 0);
    ks_audit_add(a, &w.entry);
    while (sem_wait(&w.done))
        ;
    sem_destroy(&w.done);
    return !w.entry.failed;
}

void ks_audit_close(struct ks_audit *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->ending = true;
    pthread_cond_signal(&a->news);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    close(a->fd);
    EVP_PKEY_free(a->key);
    free(a->head_path);
    free(a);
}
