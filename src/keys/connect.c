/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "keys/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keys/secret_prov.h"

#define SEPARATORS ",; \t\n"

static bool parse(const char *text, size_t len, struct server_name *server)
{
    const char *host = text, *colon = memrchr(text, ':', len);
    size_t host_len = colon ? (size_t)(colon - text) : 0, port_len = len - host_len - 1;
    if (host_len && *host == '[') {
        if (host[host_len - 1] != ']')
            return false;
        host++;
        host_len -= 2;
    } else if (host_len && memchr(host, ':', host_len)) {
        return false;
    }
    if (!colon || !host_len || host_len >= sizeof(server->host) || !port_len || port_len > 5 ||
        strspn(colon + 1, "0123456789") < port_len)
        return false;
    memcpy(server->host, host, host_len);
    server->host[host_len] = 0;
    memcpy(server->port, colon + 1, port_len);
    server->port[port_len] = 0;
    int port = atoi(server->port);
    return port > 0 && port < 65536;
}

bool server_next(const char **list, struct server_name *server)
{
    for (;;) {
        const char *text = *list + strspn(*list, SEPARATORS);
        size_t len = strcspn(text, SEPARATORS);
        *list = text + len;
        if (!len)
            return false;
        if (parse(text, len, server))
            return true;
        fprintf(stderr,
                "Secret Provisioning: server '%.*s' is skipped: write host:port, or [address]:port "
                "for IPv6\n",
                len > 256 ? 256 : (int)len, text);
    }
}

/* Connects a non-blocking socket. */
static bool connected(int fd, const struct addrinfo *a, int64_t timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int error = 0, n;
    socklen_t len = sizeof(error);
    if (!connect(fd, a->ai_addr, a->ai_addrlen))
        return true;
    if (errno != EINPROGRESS)
        return false;
    while ((n = poll(&p, 1, (int)timeout_ms)) < 0 && errno == EINTR)
        ;
    return n == 1 && !getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) && !error;
}

/* A name without a resolver's help: "localhost" is this machine (RFC 6761), also where no
 * /etc/hosts says so, as in an enclave. */
static struct addrinfo *find(const struct server_name *server)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (!getaddrinfo(server->host, server->port, &hints, &found))
        return found;
    hints.ai_flags = AI_NUMERICHOST;
    if (!strcasecmp(server->host, "localhost") &&
        !getaddrinfo("127.0.0.1", server->port, &hints, &found))
        return found;
    return NULL;
}

int server_connect(const struct server_name *server, int64_t timeout_ms)
{
    struct addrinfo *found = find(server);
    int fd = -1, one = 1;
    if (!found)
        return SECRET_PROVISION_ERR_UNKNOWN_HOST;
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
        if (fd >= 0 && !connected(fd, a, timeout_ms)) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd < 0 ? SECRET_PROVISION_ERR_CONNECT : fd;
}
