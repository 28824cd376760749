/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "keys/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int try_family(int family, const char *port)
{
    struct addrinfo hints = {.ai_family = family,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE},
                    *found = NULL;
    int fd = -1, one = 1, zero = 0;
    errno = EAFNOSUPPORT;
    if (getaddrinfo(NULL, port, &hints, &found))
        return -1;
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (family == AF_INET6) /* IPv4 too */
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
        if (bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, 128)) {
            int err = errno;
            close(fd);
            errno = err;
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

int listen_on(const char *port)
{
    int fd = try_family(AF_INET6, port);
    if (fd < 0 && errno != EADDRINUSE)
        fd = try_family(AF_INET, port);
    if (fd < 0)
        fprintf(stderr, "Secret Provisioning: cannot listen on port %s: %s\n", port,
                strerror(errno));
    return fd;
}
