/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A small server in one thread: requests that fit into memory, one answer each. Peers are hostile:
 * what they send is bounded, what they delay has a deadline, and the newcomer displaces the one
 * that has waited longest.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct reply {
    uint8_t *data; /* malloc()ed; NULL: the connection is closed without an answer */
    size_t size;
    bool close; /* after the answer */
};

struct service {
    size_t request_max;
    unsigned deadline_ms; /* for a whole request, and for taking its answer */
    /* How long the request at the start of what has arrived is; 0: more must come, -1: nonsense. */
    ssize_t (*length)(const uint8_t *data, size_t size);
    void (*answer)(void *context, const uint8_t *request, size_t size, struct reply *reply);
    /* NULL, or whether this peer is served. */
    bool (*welcome)(void *context, int fd);
    void *context;
};

#define SERVICE_CONNECTIONS 64

/*
 * Serves until `stop` (a descriptor; -1: none) is readable or hung up. `listener` is closed then.
 * Returns 0 or a negative errno.
 */
int service_run(const struct service *s, int listener, int stop);

/* Listening sockets, or a negative errno. A path's stale socket is replaced, another's is not. */
int service_listen_path(const char *path);
int service_listen_abstract(const char *name);
/* "127.0.0.1:8081", "[::1]:8081"; port 0 takes a free one. *port: which. -EINVAL: malformed. */
int service_listen_tcp(const char *address, unsigned *port);
