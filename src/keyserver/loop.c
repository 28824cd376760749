/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One thread, its connections, and what comes back to them. */
#include <errno.h>
#include <netdb.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "keyserver/conn.h"
#include "keyserver/log.h"

#define EVENTS_MAX 256
#define SCAN_MS    200 /* how exact time-outs are */

struct ks_loop {
    struct ks_server *server;
    pthread_t thread;
    int epoll, wake;
    struct ks_conn *first, *last; /* oldest first */
    atomic_llong stop_at;         /* ms; 0: goes on */
    bool stopping;
    int64_t scanned;
    pthread_mutex_t lock; /* guards `returned` */
    struct ks_conn *returned;
};

int64_t ks_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void wake(const struct ks_loop *loop)
{
    uint64_t one = 1;
    while (write(loop->wake, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

void ks_loop_return(struct ks_conn *c)
{
    struct ks_loop *loop = c->loop;
    pthread_mutex_lock(&loop->lock);
    bool first = !loop->returned;
    c->returned = loop->returned;
    loop->returned = c;
    if (first)
        wake(loop);
    pthread_mutex_unlock(&loop->lock);
}

static void drop(struct ks_conn *c)
{
    struct ks_loop *loop = c->loop;
    struct ks_server *s = loop->server;
    if (c->previous)
        c->previous->next = c->next;
    else
        loop->first = c->next;
    if (c->next)
        c->next->previous = c->previous;
    else
        loop->last = c->previous;
    atomic_fetch_sub(&s->per_address[c->bucket], 1);
    atomic_fetch_sub(&s->metrics.open, 1);
    ks_conn_free(c);
}

/* After anything that was done with it. */
static void settle(struct ks_conn *c)
{
    struct epoll_event e = {.events = c->events | EPOLLONESHOT, .data.ptr = c};
    if (c->busy)
        return;
    if (c->state == KS_CLOSED || epoll_ctl(c->loop->epoll, EPOLL_CTL_MOD, c->fd, &e))
        drop(c);
}

static void advance(struct ks_conn *c)
{
    ks_conn_advance(c);
    settle(c);
}

static void take_returned(struct ks_loop *loop)
{
    uint64_t count;
    (void)!read(loop->wake, &count, sizeof(count));
    pthread_mutex_lock(&loop->lock);
    struct ks_conn *c = loop->returned;
    loop->returned = NULL;
    pthread_mutex_unlock(&loop->lock);
    while (c) {
        struct ks_conn *next = c->returned;
        c->busy = false;
        if (c->ended)
            drop(c);
        else
            advance(c);
        c = next;
    }
}

/* ---- newcomers ---- */

/* The one that has waited longest without having shaken hands. */
static bool displace(struct ks_loop *loop)
{
    struct ks_conn *c = loop->first;
    while (c && (c->busy || c->state > KS_HANDSHAKE))
        c = c->next;
    if (!c)
        return false;
    atomic_fetch_add(&loop->server->metrics.displaced_connections, 1);
    drop(c);
    return true;
}

/* IPv6 peers count by /64. */
static unsigned bucket_of(const struct ks_server *s, const struct sockaddr_storage *from)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
    const uint8_t *p = (const uint8_t *)&((const struct sockaddr_in *)from)->sin_addr;
    size_t len = 4;
    unsigned hash = s->seed;
    if (from->ss_family == AF_INET6) {
        p = six->sin6_addr.s6_addr;
        len = 8;
        if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
            p += 12;
            len = 4;
        }
    }
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * 16777619u;
    return (hash ^ hash >> 16) % KS_ADDRESS_BUCKETS;
}

static void name_peer(struct ks_conn *c, const struct sockaddr_storage *from, socklen_t len)
{
    char host[60], port[8];
    const char *shown = host;
    if (getnameinfo((const struct sockaddr *)from, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV)) {
        snprintf(c->peer, sizeof(c->peer), "unknown");
        return;
    }
    if (!strncmp(host, "::ffff:", 7))
        shown += 7;
    snprintf(c->peer, sizeof(c->peer), "%s port %s", shown, port);
}

static bool admit(struct ks_loop *loop, unsigned bucket)
{
    struct ks_server *s = loop->server;
    if (s->per_address[bucket] >= s->max_per_address)
        return false;
    return s->metrics.open < s->max_connections || displace(loop);
}

static void add(struct ks_loop *loop, int fd, const struct sockaddr_storage *from, socklen_t len)
{
    struct ks_server *s = loop->server;
    struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT};
    unsigned bucket = bucket_of(s, from);
    struct ks_conn *c = admit(loop, bucket) ? calloc(1, sizeof(*c)) : NULL;
    e.data.ptr = c;
    atomic_fetch_add(&s->metrics.connections, 1);
    if (!c || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &e)) {
        atomic_fetch_add(&s->metrics.refused_connections, 1);
        close(fd);
        free(c);
        return;
    }
    struct ks_config *config = ks_server_config(s);
    c->fd = fd;
    c->loop = loop;
    c->server = s;
    c->bucket = bucket;
    c->events = EPOLLIN;
    c->since = ks_now();
    c->deadline = c->since + config->policy->set.handshake_seconds * 1000;
    c->id = s->ids + atomic_fetch_add(&s->numbers, 1);
    ks_config_release(config);
    name_peer(c, from, len);
    atomic_fetch_add(&s->per_address[bucket], 1);
    atomic_fetch_add(&s->metrics.open, 1);
    c->previous = loop->last;
    if (loop->last)
        loop->last->next = c;
    else
        loop->first = c;
    loop->last = c;
}

static void accept_some(struct ks_loop *loop)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    /* A few at a time, so that other loops get some, too. */
    for (int i = 0; i < 4; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof(from);
        int fd = accept4(loop->server->listener, (struct sockaddr *)&from, &len,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            add(loop, fd, &from, len);
        else if ((errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) &&
                 !displace(loop))
            nanosleep(&pause, NULL);
        if (fd < 0)
            break;
    }
}

/* ---- time ---- */

static void end(struct ks_conn *c)
{
    if (c->busy)
        c->ended = true;
    else
        drop(c);
}

static void scan(struct ks_loop *loop)
{
    int64_t now = ks_now();
    if (now - loop->scanned < SCAN_MS)
        return;
    loop->scanned = now;
    bool late = loop->stopping && now >= loop->stop_at;
    for (struct ks_conn *c = loop->first, *next; c; c = next) {
        next = c->next;
        if (late || (loop->stopping && c->state == KS_NEW)) {
            end(c);
        } else if (loop->stopping && c->state == KS_MORE && !c->busy) {
            ks_conn_timeout(c);
            settle(c);
        } else if (now >= c->deadline && c->busy) {
            /* It is in the log as what it was; nobody is told of the result. */
            c->ended = true;
        } else if (now >= c->deadline) {
            ks_conn_timeout(c);
            settle(c);
        }
    }
}

static void *run(void *arg)
{
    struct ks_loop *loop = arg;
    struct epoll_event events[EVENTS_MAX];
    while (!loop->stopping || loop->first) {
        int n = epoll_wait(loop->epoll, events, EVENTS_MAX, SCAN_MS);
        bool accepting = false, woken = false;
        /* Connections first: what follows may free others of them. */
        for (int i = 0; i < n; i++)
            if (events[i].data.ptr == loop)
                woken = true;
            else if (!events[i].data.ptr)
                accepting = true;
            else
                advance(events[i].data.ptr);
        if (woken)
            take_returned(loop);
        if (accepting && !loop->stopping)
            accept_some(loop);
        if (!loop->stopping && loop->stop_at) {
            loop->stopping = true;
            loop->scanned = 0;
            epoll_ctl(loop->epoll, EPOLL_CTL_DEL, loop->server->listener, NULL);
        }
        scan(loop);
    }
    OPENSSL_thread_stop();
    return NULL;
}

void ks_loop_free(struct ks_loop *loop)
{
    if (loop->epoll >= 0)
        close(loop->epoll);
    if (loop->wake >= 0)
        close(loop->wake);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

struct ks_loop *ks_loop_start(struct ks_server *server)
{
    struct ks_loop *loop = calloc(1, sizeof(*loop));
    struct epoll_event listen = {.events = EPOLLIN | EPOLLEXCLUSIVE},
                       news = {.events = EPOLLIN, .data.ptr = loop};
    if (!loop)
        return NULL;
    loop->server = server;
    pthread_mutex_init(&loop->lock, NULL);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll >= 0 && loop->wake >= 0 &&
        !epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &news) &&
        !epoll_ctl(loop->epoll, EPOLL_CTL_ADD, server->listener, &listen) &&
        !pthread_create(&loop->thread, NULL, run, loop))
        return loop;
    ks_loop_free(loop);
    return NULL;
}

void ks_loop_stop(struct ks_loop *loop, int64_t seconds)
{
    loop->stop_at = ks_now() + seconds * 1000 + 1;
    wake(loop);
}

void ks_loop_join(struct ks_loop *loop)
{
    pthread_join(loop->thread, NULL);
}
