/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "keyserver/verifier.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/tools.h"
#include "manifest/input.h"

#define PLATFORMS 256 /* kinds of platform whose collateral is kept */
#define RETRY     5   /* seconds after a failure, during which nobody asks again */

/* Counted, so that a refresh does not take it from under a verification. */
struct documents {
    atomic_uint references;
    adyton_collateral *collateral;
};

/* Collateral of one kind of platform: FMSPC and CA. */
struct platform {
    uint8_t fmspc[6];
    bool processor_ca;
    struct documents *documents;
    int64_t refresh_at; /* asked for again then; until it is there the old one is used */
    int64_t used, failed_at;
    struct adyton_attest_error error; /* of the last attempt */
};

struct ks_verifier {
    adyton_attest *attest;
    adyton_collateral *nothing;
    char *path; /* of static collateral; NULL: fetched */
    int64_t refresh_seconds;
    pthread_mutex_t lock; /* guards what follows */
    struct documents *documents;
    int64_t loaded;
    struct platform *platforms[PLATFORMS];
    pthread_mutex_t fetching; /* one fetch at a time; taken without `lock` */
};

static struct documents *documents_new(adyton_collateral *collateral)
{
    struct documents *d = calloc(1, sizeof(*d));
    if (!d) {
        adyton_collateral_free(collateral);
        return NULL;
    }
    d->references = 1;
    d->collateral = collateral;
    return d;
}

static void documents_release(struct documents *d)
{
    if (!d || atomic_fetch_sub(&d->references, 1) != 1)
        return;
    adyton_collateral_free(d->collateral);
    free(d);
}

static struct documents *documents_hold(struct documents *d)
{
    if (d)
        atomic_fetch_add(&d->references, 1);
    return d;
}

static int fail(struct adyton_attest_error *e, int code, const char *what, const char *path,
                const char *why)
{
    e->code = code;
    snprintf(e->text, sizeof(e->text), "%s '%.200s': %s", what, path, why);
    return code;
}

static int read_file(const char *path, struct buffer *out, struct adyton_attest_error *e)
{
    int fd = open_input(path);
    int err = fd < 0 ? -errno : read_all(fd, out, 32 << 20);
    if (fd >= 0)
        close(fd);
    return err ? fail(e, ADYTON_ATTEST_FILE, "cannot read", path, strerror(-err)) : 0;
}

static struct documents *load(const char *path, struct adyton_attest_error *e)
{
    adyton_collateral *c = adyton_collateral_new();
    struct buffer text = {0};
    struct stat st;
    int err = c ? 0 : fail(e, ADYTON_ATTEST_NO_MEMORY, "collateral", path, "no memory");
    if (!err && (stat(path, &st) || S_ISDIR(st.st_mode))) {
        err = adyton_collateral_load_directory(c, path, e);
    } else if (!err) {
        err = read_file(path, &text, e);
        if (!err)
            err = adyton_collateral_load_json(c, text.data, text.len, e);
    }
    buffer_free(&text);
    if (!err && !adyton_collateral_get(c, ADYTON_COLLATERAL_TCB_INFO).size)
        err = fail(e, ADYTON_ATTEST_TCB_INFO_MISSING, "collateral", path, "it holds no TCB info");
    if (err) {
        adyton_collateral_free(c);
        return NULL;
    }
    struct documents *d = documents_new(c);
    if (!d)
        fail(e, ADYTON_ATTEST_NO_MEMORY, "collateral", path, "no memory");
    return d;
}

static int set_up(struct ks_verifier *v, const struct ks_settings *s, struct adyton_attest_error *e)
{
    struct buffer root = {0};
    int err = 0;
    if (s->trust_root) {
        err = read_file(s->trust_root, &root, e);
        if (!err)
            err = adyton_attest_set_trust_root(v->attest, root.data, root.len, e);
    }
    buffer_free(&root);
    if (!err && s->collateral) {
        v->documents = load(s->collateral, e);
        err = v->documents ? 0 : e->code;
    } else if (!err) {
        struct adyton_fetch_options options = {
            .struct_size = sizeof(options),
            .url = s->pccs,
            .cache_dir = s->cache_dir ? s->cache_dir : "",
            .insecure_tls = s->insecure_tls,
            .timeout_ms = 5000,
        };
        err = adyton_attest_set_fetch(v->attest, &options, e);
    }
    return err;
}

struct ks_verifier *ks_verifier_new(const struct ks_settings *s, struct adyton_attest_error *e)
{
    struct ks_verifier *v = calloc(1, sizeof(*v));
    if (!v) {
        fail(e, ADYTON_ATTEST_NO_MEMORY, "verifier", "", "no memory");
        return NULL;
    }
    pthread_mutex_init(&v->lock, NULL);
    pthread_mutex_init(&v->fetching, NULL);
    v->refresh_seconds = s->collateral_refresh_seconds;
    v->attest = adyton_attest_new();
    v->nothing = adyton_collateral_new();
    v->path = s->collateral ? strdup(s->collateral) : NULL;
    int err = 0;
    if (!v->attest || !v->nothing || (s->collateral && !v->path))
        err = fail(e, ADYTON_ATTEST_NO_MEMORY, "verifier", "", "no memory");
    else
        err = set_up(v, s, e);
    if (err) {
        ks_verifier_free(v);
        v = NULL;
    }
    return v;
}

static void platform_free(struct platform *p)
{
    if (p)
        documents_release(p->documents);
    free(p);
}

void ks_verifier_free(struct ks_verifier *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < PLATFORMS; i++)
        platform_free(v->platforms[i]);
    documents_release(v->documents);
    adyton_attest_free(v->attest);
    adyton_collateral_free(v->nothing);
    pthread_mutex_destroy(&v->lock);
    pthread_mutex_destroy(&v->fetching);
    free(v->path);
    free(v);
}

void ks_verifier_refresh(struct ks_verifier *v, int64_t at, struct adyton_attest_error *error)
{
    error->code = 0;
    pthread_mutex_lock(&v->lock);
    bool due = v->path && at - v->loaded >= v->refresh_seconds;
    bool first = !v->loaded;
    if (due)
        v->loaded = at;
    pthread_mutex_unlock(&v->lock);
    if (!due || first) /* what was read at the start is new */
        return;
    struct documents *fresh = load(v->path, error);
    pthread_mutex_lock(&v->lock);
    if (fresh) {
        documents_release(v->documents);
        v->documents = fresh;
    }
    pthread_mutex_unlock(&v->lock);
}

/* ---- collateral that is fetched ---- */

/* With the lock; NULL: nothing is kept of it. */
static struct platform *find(struct ks_verifier *v, const adyton_verdict *verdict)
{
    for (size_t i = 0; i < PLATFORMS && v->platforms[i]; i++)
        if (!memcmp(v->platforms[i]->fmspc, verdict->fmspc, 6) &&
            v->platforms[i]->processor_ca == !verdict->platform_instance_id)
            return v->platforms[i];
    return NULL;
}

/* With the lock: a new one, in the place of the one that was used least recently if there are too
 * many. NULL without memory. */
static struct platform *find_or_make(struct ks_verifier *v, const adyton_verdict *verdict)
{
    struct platform *p = find(v, verdict);
    size_t at = 0, i = 0;
    if (p)
        return p;
    for (; i < PLATFORMS && v->platforms[i]; i++)
        if (v->platforms[i]->used < v->platforms[at]->used)
            at = i;
    at = i < PLATFORMS ? i : at;
    p = calloc(1, sizeof(*p));
    if (p) {
        memcpy(p->fmspc, verdict->fmspc, 6);
        p->processor_ca = !verdict->platform_instance_id;
        platform_free(v->platforms[at]);
        v->platforms[at] = p;
    }
    return p;
}

/* What is kept for this platform. False when it has to be fetched; *documents may then hold what
 * can be used if that fails. */
static bool kept(struct ks_verifier *v, const adyton_verdict *verdict, int64_t at,
                 struct documents **documents, struct adyton_attest_error *error)
{
    bool ready = false;
    pthread_mutex_lock(&v->lock);
    struct platform *p = find(v, verdict);
    *documents = NULL;
    if (p) {
        p->used = at;
        *documents = documents_hold(p->documents);
        bool resting = p->failed_at && at - p->failed_at < RETRY && at >= p->failed_at;
        ready = (p->documents && at < p->refresh_at) || resting;
        if (!p->documents && resting)
            *error = p->error;
    }
    pthread_mutex_unlock(&v->lock);
    return ready;
}

static void keep(struct ks_verifier *v, const adyton_verdict *verdict, int64_t at,
                 struct documents *documents, const struct adyton_attest_error *error)
{
    pthread_mutex_lock(&v->lock);
    struct platform *p = find_or_make(v, verdict);
    if (p && documents) {
        documents_release(p->documents);
        p->documents = documents_hold(documents);
        p->refresh_at = at + v->refresh_seconds;
        p->failed_at = 0;
    } else if (p) {
        p->failed_at = at;
        p->error = *error;
    }
    if (p)
        p->used = at;
    pthread_mutex_unlock(&v->lock);
}

static struct documents *fetch(struct ks_verifier *v, const adyton_quote *quote,
                               const adyton_verdict *verdict, int64_t at,
                               struct adyton_attest_error *error)
{
    struct documents *d = NULL;
    pthread_mutex_lock(&v->fetching);
    /* Somebody else may have been faster. */
    if (!kept(v, verdict, at, &d, error)) {
        adyton_collateral *c = NULL;
        struct adyton_attest_error e = {0};
        int err = adyton_attest_fetch(v->attest, quote, at, &c, &e);
        struct documents *fresh = err ? NULL : documents_new(c);
        keep(v, verdict, at, fresh, &e);
        if (fresh) {
            documents_release(d);
            d = fresh;
        } else if (!d) {
            *error = e;
        }
    }
    pthread_mutex_unlock(&v->fetching);
    return d;
}

/* Documents that turned out to be no good are asked for again soon. */
static void doubt(struct ks_verifier *v, const struct documents *d, int64_t at)
{
    pthread_mutex_lock(&v->lock);
    for (size_t i = 0; i < PLATFORMS && v->platforms[i]; i++)
        if (v->platforms[i]->documents == d && v->platforms[i]->refresh_at > at + RETRY)
            v->platforms[i]->refresh_at = at + RETRY;
    pthread_mutex_unlock(&v->lock);
}

static bool verify_fetching(struct ks_verifier *v, const adyton_quote *quote, int64_t at,
                            bool may_wait, adyton_verdict **verdict,
                            struct adyton_attest_error *error)
{
    struct documents *d = NULL;
    /* The signatures alone: says which platform it is, once its certificates are verified. */
    adyton_attest_verify(v->attest, quote, v->nothing, at, ADYTON_TEE_SGX, verdict);
    if (!*verdict || !(*verdict)->fmspc || (*verdict)->code != ADYTON_ATTEST_NO_COLLATERAL)
        return true;
    if (!kept(v, *verdict, at, &d, error)) {
        documents_release(d);
        d = NULL;
        if (may_wait) {
            d = fetch(v, quote, *verdict, at, error);
        } else {
            adyton_verdict_free(*verdict);
            *verdict = NULL;
            return false;
        }
    }
    if (d) {
        adyton_verdict_free(*verdict);
        adyton_attest_verify(v->attest, quote, d->collateral, at, ADYTON_TEE_SGX, verdict);
        if (*verdict && (*verdict)->code >= ADYTON_ATTEST_ROOT_CRL_MISSING &&
            (*verdict)->code < ADYTON_ATTEST_QE_REPORT_SIGNATURE)
            doubt(v, d, at);
    }
    documents_release(d);
    return true;
}

bool ks_verifier_verify(struct ks_verifier *v, const adyton_quote *quote, int64_t at, bool may_wait,
                        adyton_verdict **verdict, struct adyton_attest_error *error)
{
    *verdict = NULL;
    error->code = 0;
    if (!v->path)
        return verify_fetching(v, quote, at, may_wait, verdict, error);
    pthread_mutex_lock(&v->lock);
    struct documents *d = documents_hold(v->documents);
    pthread_mutex_unlock(&v->lock);
    adyton_attest_verify(v->attest, quote, d->collateral, at, ADYTON_TEE_SGX, verdict);
    documents_release(d);
    return true;
}
