/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "keyserver/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyserver/policy.h"
#include "sgxemu/quoting/service.h"

#define KINDS_MAX 8192 /* of decisions: secrets times codes */

struct count {
    struct count *next;
    unsigned long n;
    const char *code; /* static storage */
    char secret[KS_NAME_MAX + 1];
};

struct ks_decisions {
    pthread_mutex_t lock; /* guards the counts */
    struct count *first;
    size_t kinds;
};

struct ks_decisions *ks_decisions_new(void)
{
    struct ks_decisions *d = calloc(1, sizeof(*d));
    if (d)
        pthread_mutex_init(&d->lock, NULL);
    return d;
}

void ks_decisions_free(struct ks_decisions *d)
{
    if (!d)
        return;
    while (d->first) {
        struct count *c = d->first;
        d->first = c->next;
        free(c);
    }
    pthread_mutex_destroy(&d->lock);
    free(d);
}

void ks_decisions_count(struct ks_decisions *d, const char *secret, const char *code)
{
    pthread_mutex_lock(&d->lock);
    struct count *c = d->first;
    while (c && (strcmp(c->secret, secret) || strcmp(c->code, code)))
        c = c->next;
    if (!c && d->kinds < KINDS_MAX && (c = calloc(1, sizeof(*c)))) {
        snprintf(c->secret, sizeof(c->secret), "%s", secret);
        c->code = code;
        c->next = d->first;
        d->first = c;
        d->kinds++;
    }
    if (c)
        c->n++;
    pthread_mutex_unlock(&d->lock);
}

static void row(FILE *out, const char *name, const char *type, const char *help, double value)
{
    fprintf(out,
            "# HELP adyton_keyserver_%s %s\n# TYPE adyton_keyserver_%s %s\n"
            "adyton_keyserver_%s %.15g\n",
            name, help, name, type, name, value);
}

char *ks_metrics_text(const struct ks_metrics *m, struct ks_decisions *d, size_t *size)
{
    const struct {
        const char *name, *help;
        const atomic_ulong *value;
    } counters[] = {
        {"connections_total", "Connections accepted.", &m->connections},
        {"connections_turned_away_total", "Connections over a limit.", &m->refused_connections},
        {"connections_displaced_total", "Idle connections ended for newer ones.",
         &m->displaced_connections},
        {"handshakes_total", "TLS handshakes that were completed.", &m->handshakes},
        {"handshakes_failed_total", "TLS handshakes that failed.", &m->failed_handshakes},
        {"timeouts_total", "Connections ended by a time-out.", &m->timeouts},
        {"bad_requests_total", "Requests of another form.", &m->bad_requests},
        {"verifications_total", "Quotes verified.", &m->verifications},
        {"collateral_waits_total", "Verifications that waited for collateral.", &m->fetches},
        {"source_errors_total", "Secrets that their source did not give.", &m->source_errors},
        {"audit_errors_total", "Records that the audit log did not take.", &m->audit_errors},
        {"reloads_total", "Policies taken over.", &m->reloads},
        {"reloads_failed_total", "Policies refused.", &m->failed_reloads},
    };
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    if (!out)
        return NULL;
    for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
        row(out, counters[i].name, "counter", counters[i].help, (double)*counters[i].value);
    row(out, "verification_seconds_total", "counter", "Time spent in verifying.",
        (double)m->verification_us / 1e6);
    row(out, "connections_open", "gauge", "Connections open now.", (double)m->open);
    row(out, "start_time_seconds", "gauge", "When the server was started.", (double)m->started);
    fputs("# HELP adyton_keyserver_decisions_total Decisions by secret and code; OK is a release.\n"
          "# TYPE adyton_keyserver_decisions_total counter\n",
          out);
    pthread_mutex_lock(&d->lock);
    for (const struct count *c = d->first; c; c = c->next)
        fprintf(out, "adyton_keyserver_decisions_total{secret=\"%s\",code=\"%s\"} %lu\n", c->secret,
                c->code, c->n);
    pthread_mutex_unlock(&d->lock);
    if (fclose(out)) {
        free(text);
        text = NULL;
    }
    return text;
}

/* ---- HTTP ---- */

static ssize_t request_length(const uint8_t *data, size_t size)
{
    const uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
    return end ? end - data + 4 : 0;
}

static void answer(void *context, const uint8_t *request, size_t size, struct reply *reply)
{
    const struct ks_scraped *what = context;
    size_t len = 0;
    char *body = NULL, *text = NULL;
    bool get = size > 5 && !memcmp(request, "GET ", 4);
    size_t path = get ? strcspn((const char *)request + 4, " ?\r") : 0;
    bool metrics = path == 8 && !memcmp(request + 4, "/metrics", 8),
         health = path == 8 && !memcmp(request + 4, "/healthz", 8);
    if (metrics)
        body = ks_metrics_text(what->metrics, what->decisions, &len);
    else if (health && (body = strdup("ok\n")))
        len = 3;
    const char *status = body ? "200 OK" : get ? "404 Not Found" : "405 Method Not Allowed";
    int total = asprintf(&text,
                         "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4\r\n"
                         "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                         status, len, body ? body : "");
    free(body);
    reply->data = total < 0 ? NULL : (uint8_t *)text;
    reply->size = total < 0 ? 0 : (size_t)total;
    reply->close = true;
}

void ks_metrics_serve(const struct ks_scraped *what)
{
    const struct service service = {
        .request_max = 8192,
        .deadline_ms = 5000,
        .length = request_length,
        .answer = answer,
        .context = (void *)what,
    };
    service_run(&service, what->listener, what->stop);
}
