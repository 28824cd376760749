/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "sgxemu/quoting/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define NEWCOMERS (SERVICE_CONNECTIONS / 4) /* taken in before the others are served again */

struct connection {
    int fd; /* -1: free */
    int64_t since;
    uint8_t *in; /* request_max bytes */
    size_t have;
    struct reply reply;
    size_t sent;
};

struct server {
    const struct service *s;
    struct connection connections[SERVICE_CONNECTIONS];
    struct pollfd polls[SERVICE_CONNECTIONS + 2];
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void drop(struct connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c->in);
    free(c->reply.data);
    *c = (struct connection){.fd = -1};
}

/* Answers the first request that is there as a whole; false: the peer is to be dropped. */
static bool consider(const struct service *s, struct connection *c)
{
    ssize_t len = c->have ? s->length(c->in, c->have) : 0;
    if (len < 0 || (len == 0 && c->have == s->request_max) || (size_t)len > s->request_max)
        return false;
    if (len == 0 || (size_t)len > c->have)
        return true;
    s->answer(s->context, c->in, (size_t)len, &c->reply);
    memmove(c->in, c->in + len, c->have - (size_t)len);
    c->have -= (size_t)len;
    c->sent = 0;
    c->since = now_ms();
    return c->reply.data;
}

static bool receive(const struct service *s, struct connection *c)
{
    ssize_t n = recv(c->fd, c->in + c->have, s->request_max - c->have, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    c->have += (size_t)n;
    return consider(s, c);
}

static bool transmit(const struct service *s, struct connection *c)
{
    ssize_t n =
        send(c->fd, c->reply.data + c->sent, c->reply.size - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    c->sent += (size_t)n;
    if (c->sent < c->reply.size)
        return true;
    bool end = c->reply.close;
    free(c->reply.data);
    c->reply = (struct reply){0};
    c->since = now_ms();
    if (end)
        shutdown(c->fd, SHUT_RDWR);
    return !end && consider(s, c);
}

/* False: nobody waits. */
static bool welcome(struct server *v, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct connection *place = &v->connections[0];
    if (fd < 0)
        return false;
    if (v->s->welcome && !v->s->welcome(v->s->context, fd)) {
        close(fd);
        return true;
    }
    for (int i = 0; i < SERVICE_CONNECTIONS; i++) {
        struct connection *c = &v->connections[i];
        if (c->fd < 0) {
            place = c;
            break;
        }
        if (c->since < place->since)
            place = c;
    }
    drop(place);
    *place = (struct connection){.fd = fd, .since = now_ms(), .in = malloc(v->s->request_max)};
    if (!place->in)
        drop(place);
    return true;
}

static int fill_polls(struct server *v, int listener, int stop)
{
    int64_t now = now_ms(), wait = -1;
    v->polls[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    v->polls[1] = (struct pollfd){.fd = stop, .events = POLLIN};
    for (int i = 0; i < SERVICE_CONNECTIONS; i++) {
        const struct connection *c = &v->connections[i];
        int64_t left = c->since + v->s->deadline_ms - now;
        v->polls[2 + i] =
            (struct pollfd){.fd = c->fd, .events = (short)(c->reply.data ? POLLOUT : POLLIN)};
        if (c->fd >= 0 && (wait < 0 || left < wait))
            wait = left < 0 ? 0 : left;
    }
    return (int)wait;
}

static void serve_all(struct server *v)
{
    const struct service *s = v->s;
    const int64_t now = now_ms();
    for (int i = 0; i < SERVICE_CONNECTIONS; i++) {
        struct connection *c = &v->connections[i];
        const short events = v->polls[2 + i].fd == c->fd ? v->polls[2 + i].revents : 0;
        if (c->fd < 0)
            continue;
        bool keep = now - c->since < (int64_t)s->deadline_ms;
        if (keep && events)
            keep = c->reply.data ? transmit(s, c) : receive(s, c);
        if (!keep)
            drop(c);
    }
}

int service_run(const struct service *s, int listener, int stop)
{
    struct server *v = calloc(1, sizeof(*v));
    int r = v ? 0 : -ENOMEM;
    if (v)
        v->s = s;
    for (int i = 0; v && i < SERVICE_CONNECTIONS; i++)
        v->connections[i].fd = -1;
    while (!r) {
        int wait = fill_polls(v, listener, stop);
        int n = poll(v->polls, SERVICE_CONNECTIONS + 2, wait);
        if (n < 0 && errno != EINTR)
            r = -errno;
        if (n < 0)
            continue;
        if (v->polls[1].revents)
            break;
        serve_all(v);
        for (int i = 0; v->polls[0].revents && i < NEWCOMERS && welcome(v, listener); i++)
            ;
    }
    for (int i = 0; v && i < SERVICE_CONNECTIONS; i++)
        drop(&v->connections[i]);
    free(v);
    close(listener);
    return r;
}

/* ---- listening ------------------------------------------------------------------------------ */

static int listen_at(int family, const struct sockaddr *address, socklen_t len)
{
    const int yes = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, address, len) || listen(fd, 128)) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int service_listen_path(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(path) >= sizeof(a.sun_path))
        return -ENAMETOOLONG;
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (!lstat(path, &st) && S_ISSOCK(st.st_mode)) {
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int dead =
            probe >= 0 && connect(probe, (struct sockaddr *)&a, sizeof(a)) && errno == ECONNREFUSED;
        if (probe >= 0)
            close(probe);
        if (dead)
            unlink(path);
    }
    mode_t mask = umask(077);
    int fd = listen_at(AF_UNIX, (struct sockaddr *)&a, sizeof(a));
    umask(mask);
    return fd;
}

int service_listen_abstract(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    if (len + 1 > sizeof(a.sun_path))
        return -ENAMETOOLONG;
    memcpy(a.sun_path + 1, name, len);
    return listen_at(AF_UNIX, (struct sockaddr *)&a,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len));
}

int service_listen_tcp(const char *address, unsigned *port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    char host[64];
    const char *colon = strrchr(address, ':');
    char *end;
    size_t len = colon ? (size_t)(colon - address) : 0;
    unsigned long n = colon ? strtoul(colon + 1, &end, 10) : 0;
    if (!colon || colon[1] < '0' || colon[1] > '9' || *end || n > 65535 || len >= sizeof(host))
        return -EINVAL;
    bool six = len > 2 && address[0] == '[' && address[len - 1] == ']';
    memcpy(host, address + six, len - 2 * six);
    host[len - 2 * six] = 0;
    v4.sin_port = v6.sin6_port = htons((uint16_t)n);
    if (inet_pton(six ? AF_INET6 : AF_INET, host,
                  six ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr) != 1)
        return -EINVAL;
    int fd = six ? listen_at(AF_INET6, (struct sockaddr *)&v6, sizeof(v6))
                 : listen_at(AF_INET, (struct sockaddr *)&v4, sizeof(v4));
    socklen_t size = six ? sizeof(v6) : sizeof(v4);
    if (fd >= 0 && !getsockname(fd, six ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, &size))
        *port = ntohs(six ? v6.sin6_port : v4.sin_port);
    return fd;
}
