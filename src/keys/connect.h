/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Lists of servers, and TCP connections with a time limit. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct server_name {
    char host[256]; /* without brackets */
    char port[8];
};

/* Takes the next usable "host:port" off the list; entries of another form are skipped with a line
 * on stderr. False at the end. */
bool server_next(const char **list, struct server_name *server);

/* A connected socket (close on exec), or SECRET_PROVISION_ERR_... */
int server_connect(const struct server_name *server, int64_t timeout_ms);
