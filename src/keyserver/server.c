/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Starting, reloading and stopping. */
#include "keyserver/server.h"

#include <errno.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "keyserver/log.h"
#include "keyserver/notify.h"
#include "keyserver/secret.h"
#include "sgxemu/quoting/service.h"

#define VERIFYING_THREADS 8
#define BACKLOG           1024

/* One process uses one token at a time. */
static const unsigned fetching_threads[KS_SOURCE_KINDS] = {
    [KS_SOURCE_FILE] = 2, [KS_SOURCE_PKCS11] = 1, [KS_SOURCE_VAULT] = 16};

struct ks_config *ks_server_config(struct ks_server *s)
{
    pthread_mutex_lock(&s->lock);
    struct ks_config *c = ks_config_hold(s->config);
    pthread_mutex_unlock(&s->lock);
    return c;
}

static int failed(const char *name, const char *what, const char *about, const char *why)
{
    fprintf(stderr, "error: %s: %s%s%s%s: %s\n", name, what, *about ? " '" : "", about,
            *about ? "'" : "", why);
    return 1;
}

/* A socket for each connection, and some for files and servers of secrets. */
static void raise_limit(struct ks_server *s)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < (rlim_t)s->max_connections + 128) {
        ks_log_text("warning", "start",
                    "the limit of %llu open files allows fewer connections than "
                    "max_connections = %ld",
                    (unsigned long long)limit.rlim_cur, s->max_connections);
        s->max_connections = limit.rlim_cur > 256 ? (long)limit.rlim_cur - 128 : 128;
    }
}

static json_t *record(const char *event, const struct ks_config *c)
{
    char when[32];
    ks_time_text(when);
    return json_pack("{s:s,s:s,s:o,s:s}", "event", event, "time", when, "instance",
                     ks_json_text(c->policy->set.name), "policy", c->policy->digest);
}

static void warn(const struct diag *d)
{
    for (const struct diag_message *m = d->warnings; m; m = m->next)
        ks_log_text("warning", "policy", "%s:%u: %s", d->file, m->line, m->text);
}

static void say_what_is_trusted(const struct ks_config *c)
{
    const struct ks_settings *s = &c->policy->set;
    if (s->trust_root)
        ks_log_text("warning", "policy",
                    "the root of trust is not Intel's but the one of '%s': quotes may come from a "
                    "software device; secrets with allow_custom_root may go there",
                    s->trust_root);
    if (!s->audit_log)
        ks_log_text("warning", "policy",
                    "there is no [audit] log: nobody will be able to tell "
                    "afterwards who got what");
}

/* ---- reload ---- */

static void compare_fixed(const struct ks_settings *old, const struct ks_settings *new)
{
    const struct {
        const char *key, *old, *new;
    } fixed[] = {
        {"[server] listen", old->listen, new->listen},
        {"[server] metrics", old->metrics, new->metrics},
        {"[audit] log", old->audit_log, new->audit_log},
        {"[audit] key", old->audit_key, new->audit_key},
        {"[audit] head", old->audit_head, new->audit_head},
    };
    for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
        if (!fixed[i].old != !fixed[i].new ||
            (fixed[i].old && strcmp(fixed[i].old, fixed[i].new) != 0))
            ks_log_text("warning", "reload", "%s is as it was until the server is started anew",
                        fixed[i].key);
}

static void reload(struct ks_server *s)
{
    struct diag d = {.file = s->path};
    struct timespec t;
    char text[80];
    clock_gettime(CLOCK_MONOTONIC, &t);
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
    ks_notify(text);
    struct ks_config *fresh = ks_config_load(s->path, &d), *old = s->config;
    if (fresh) {
        compare_fixed(&old->policy->set, &fresh->policy->set);
        if (!ks_log_open(fresh->policy->set.log, fresh->policy->set.name))
            ks_log_text("error", "reload", "the log '%s' cannot be opened: %s; the old one is kept",
                        fresh->policy->set.log, strerror(errno));
        pthread_mutex_lock(&s->lock);
        s->config = fresh;
        pthread_mutex_unlock(&s->lock);
        ks_config_release(old);
        atomic_fetch_add(&s->metrics.reloads, 1);
        warn(&d);
        say_what_is_trusted(fresh);
        ks_log("info", "reload",
               json_pack("{s:s,s:s,s:I}", "file", s->path, "policy", fresh->policy->digest,
                         "secrets", (json_int_t)fresh->policy->count));
    } else {
        atomic_fetch_add(&s->metrics.failed_reloads, 1);
        for (const struct diag_message *m = d.errors; m; m = m->next)
            ks_log_text("error", "reload", "%s:%u: %s", s->path, m->line, m->text);
        ks_log_text("error", "reload", "the policy is refused, and the old one stays in force");
    }
    if (s->audit)
        ks_audit_add_now(s->audit, record(fresh ? "reload" : "reload-refused", s->config));
    diag_free(&d);
    ks_notify("READY=1");
}

/* ---- signals ---- */

static void tick(struct ks_server *s)
{
    struct adyton_attest_error error;
    ks_verifier_refresh(s->config->verifier, time(NULL), &error);
    if (error.code)
        ks_log_text("warning", "collateral", "%s; what was read before is used on", error.text);
    if (getenv("WATCHDOG_USEC"))
        ks_notify("WATCHDOG=1");
}

static void wait_for_end(struct ks_server *s, const sigset_t *signals)
{
    const struct timespec second = {.tv_sec = 1};
    for (;;) {
        int signal = sigtimedwait(signals, NULL, &second);
        if (signal == SIGHUP)
            reload(s);
        else if (signal == SIGTERM || signal == SIGINT)
            break;
        tick(s);
    }
}

static void *scrape(void *arg)
{
    ks_metrics_serve(arg);
    return NULL;
}

/* ---- start ---- */

static int open_audit(const char *name, struct ks_server *s)
{
    const struct ks_settings *set = &s->config->policy->set;
    struct ks_audit_error error = {0};
    if (!set->audit_log)
        return 0;
    s->audit =
        ks_audit_open(set->audit_log, set->audit_key, set->audit_head, set->audit_sync, &error);
    if (s->audit)
        return 0;
    fprintf(stderr, "error: %s: %s\n", name, error.text);
    return 1;
}

static int open_socket(const char *name, const char *key, const char *address, int *fd,
                       unsigned *port)
{
    char what[80], four[32];
    *fd = service_listen_tcp(address, port);
    /* "All addresses" of a machine without IPv6. */
    if ((*fd == -EAFNOSUPPORT || *fd == -EADDRNOTAVAIL) && !strncmp(address, "[::]:", 5)) {
        snprintf(four, sizeof(four), "0.0.0.0:%s", address + 5);
        *fd = service_listen_tcp(four, port);
    }
    if (*fd >= 0)
        return 0;
    snprintf(what, sizeof(what), "[server] %s: cannot listen on", key);
    return failed(name, what, address,
                  *fd == -EINVAL ? "it must be an address and a port, like 127.0.0.1:4433 or "
                                   "[::]:4433"
                                 : strerror(-*fd));
}

static int make_parts(const char *name, struct ks_server *s)
{
    const struct ks_settings *set = &s->config->policy->set;
    s->rates = ks_rates_new();
    s->sources = ks_sources_new();
    s->decisions = ks_decisions_new();
    s->verifying = ks_pool_new(VERIFYING_THREADS);
    bool ok = true;
    for (int i = 0; i < KS_SOURCE_KINDS; i++)
        ok = (s->fetching[i] = ks_pool_new(fetching_threads[i])) && ok;
    ok = ok && s->rates && s->sources && s->decisions && s->verifying &&
         RAND_bytes((uint8_t *)&s->ids, sizeof(s->ids)) == 1 &&
         RAND_bytes((uint8_t *)&s->seed, sizeof(s->seed)) == 1;
    s->max_connections = (long)set->max_connections;
    s->max_per_address = (unsigned)(set->max_per_address < 65535 ? set->max_per_address : 65535);
    s->metrics.started = time(NULL);
    return ok ? 0 : failed(name, "cannot start", "", "there is no memory left");
}

static int start_loops(const char *name, struct ks_server *s)
{
    long wanted = (long)s->config->policy->set.threads;
    if (!wanted)
        wanted = sysconf(_SC_NPROCESSORS_ONLN);
    wanted = wanted < 1 ? 1 : wanted > KS_LOOPS_MAX ? KS_LOOPS_MAX : wanted;
    while (s->loop_count < (unsigned)wanted && (s->loops[s->loop_count] = ks_loop_start(s)))
        s->loop_count++;
    return s->loop_count ? 0 : failed(name, "cannot start", "", "there are no threads");
}

static void stop(struct ks_server *s)
{
    for (unsigned i = 0; i < s->loop_count; i++)
        ks_loop_stop(s->loops[i], s->config->policy->set.shutdown_seconds);
    shutdown(s->listener, SHUT_RDWR); /* connections are refused; closed when no loop uses it */
    for (unsigned i = 0; i < s->loop_count; i++)
        ks_loop_join(s->loops[i]);
    close(s->listener);
    ks_pool_free(s->verifying);
    for (int i = 0; i < KS_SOURCE_KINDS; i++)
        ks_pool_free(s->fetching[i]);
    if (s->audit)
        ks_audit_add_now(s->audit, record("stop", s->config));
    ks_audit_close(s->audit);
    for (unsigned i = 0; i < s->loop_count; i++)
        ks_loop_free(s->loops[i]);
}

static int serve(const char *name, struct ks_server *s, const sigset_t *signals)
{
    const struct ks_settings *set = &s->config->policy->set;
    struct ks_scraped scraped = {.metrics = &s->metrics, .listener = -1};
    unsigned port = 0, metrics_port = 0;
    pthread_t scraper;
    int err = make_parts(name, s);
    if (!err)
        err = open_audit(name, s);
    if (!err)
        err = open_socket(name, "listen", set->listen, &s->listener, &port);
    if (!err && set->metrics)
        err = open_socket(name, "metrics", set->metrics, &scraped.listener, &metrics_port);
    if (err)
        return err;
    listen(s->listener, BACKLOG);
    scraped.decisions = s->decisions;
    scraped.stop = eventfd(0, EFD_CLOEXEC);
    bool scraping = set->metrics && !pthread_create(&scraper, NULL, scrape, &scraped);
    if (s->audit && !ks_audit_add_now(s->audit, record("start", s->config)))
        err = failed(name, "the audit log", set->audit_log, "cannot be written");
    if (!err)
        err = start_loops(name, s);
    if (!err) {
        printf("key server on port %u", port);
        if (scraping)
            printf(", metrics on port %u", metrics_port);
        putchar('\n');
        fflush(stdout);
        ks_log("info", "start",
               json_pack("{s:i,s:s,s:I}", "port", (int)port, "policy", s->config->policy->digest,
                         "secrets", (json_int_t)s->config->policy->count));
        ks_notify("READY=1");
        wait_for_end(s, signals);
        ks_notify("STOPPING=1");
    }
    stop(s);
    uint64_t one = 1;
    if (scraping && write(scraped.stop, &one, sizeof(one)) == sizeof(one))
        pthread_join(scraper, NULL);
    ks_log_text("info", "stop", "the key server has ended");
    return err;
}

int ks_serve(const char *name, const char *policy_path)
{
    static struct ks_server s = {.lock = PTHREAD_MUTEX_INITIALIZER, .listener = -1};
    struct diag d = {.file = policy_path};
    const char *why;
    bool locked;
    sigset_t signals;
    char prefix[80];
    if (!secrets_prepare(&why, &locked))
        return failed(name, "cannot protect secrets", "", why);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write() */
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    s.path = policy_path;
    s.config = ks_config_load(policy_path, &d);
    snprintf(prefix, sizeof(prefix), "error: %s: ", name);
    diag_print_errors(&d, stderr, prefix);
    int err = s.config ? 0 : 2;
    if (!err && !ks_log_open(s.config->policy->set.log, s.config->policy->set.name))
        err = failed(name, "cannot open the log", s.config->policy->set.log, strerror(errno));
    if (!err) {
        warn(&d);
        say_what_is_trusted(s.config);
        if (!locked)
            ks_log_text("warning", "start",
                        "secrets cannot be kept from being swapped out: raise "
                        "the limit on locked memory (LimitMEMLOCK)");
        raise_limit(&s);
        err = serve(name, &s, &signals);
    }
    diag_free(&d);
    ks_sources_free(s.sources);
    ks_rates_free(s.rates);
    ks_decisions_free(s.decisions);
    ks_config_release(s.config);
    return err;
}
