/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Sockets of the host (host_net.c, host_message.c, host_options.c); part of the host interface, see
 * host.h. What the host writes is checked there: descriptors, lengths, families and sizes of
 * addresses, control data, values of options.
 */
#pragma once
#include "host/host.h"
#include <linux/socket.h>
#include <linux/uio.h>

struct sock_filter;

/* A socket address; `len` 0: none. */
struct address {
    struct __kernel_sockaddr_storage at;
    uint32_t len;
};

/* struct user_msghdr, and what a message is for the host: all but the buffers in library-OS memory.
 */
struct msg {
    void *name;
    int name_len;
    struct iovec *iov;
    size_t iov_len;
    void *control;
    size_t control_len;
    int flags;
};

/* Header of one piece of control data (struct cmsghdr). */
struct cmsg {
    size_t len; /* this header included */
    int level, type;
};

/* Is it one that a kernel gives, within the room there was? */
bool host_address_ok(const struct address *a, uint32_t room);

/* All sockets that the host opens are close-on-exec. `type` may hold O_NONBLOCK. */
int host_socket(int family, int type, int protocol);
int host_socketpair(int family, int type, int protocol, int fd[2]);
int host_bind(int fd, const struct address *a);
int host_connect(int fd, const struct address *a); /* blocking */
int host_listen(int fd, int backlog);
/* A descriptor. Blocking. `flags`: 0 or O_NONBLOCK; `peer` is written when there is one. */
int host_accept(int fd, int flags, struct address *peer);
int host_socket_name(int fd, bool of_peer, struct address *a);
int host_shutdown(int fd, int how);

/* Transfers, all blocking. `ubuf` and the buffers of a message are application memory, checked by
 * the caller. `to`, `from` NULL: without. */
ssize host_sendto(int fd, const void *ubuf, size_t n, int flags, const struct address *to);
ssize host_recvfrom(int fd, void *ubuf, size_t n, int flags, struct address *from);
ssize host_sendmsg(int fd, const struct msg *m, int flags);
/* name_len, control_len, flags of *m are written, within what was given. */
ssize host_recvmsg(int fd, struct msg *m, int flags);

/* ---- options ---- */

#define OPTION_SET        1
#define OPTION_GET        2
#define MOST_OPTION_BYTES 1024

/* What is known of an option: it holds no pointer and no descriptor, and at most `size` bytes. */
struct host_option {
    int level, option;
    uint16_t size, ways; /* OPTION_SET, OPTION_GET */
};
/* NULL: not in the closed list. */
const struct host_option *host_option_find(int level, int option, int way);
bool host_option_level(int level); /* has any */
/* `len` as the application gave it, at most `value` has; -ENOPROTOOPT for what is not in the list.
 */
int host_option_set(int fd, int level, int option, const void *value, int len);
/* *len: room, then what there is. */
int host_option_get(int fd, int level, int option, void *value, int *len);
/* SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF: `count` instructions. */
int host_option_filter(int fd, int option, const struct sock_filter *program, uint16_t count);

/* ---- the working directory, for names of sockets ---- */
int host_fchdir(int fd);
/* From now on the calling thread's working directory is its own. */
int host_unshare_cwd(void);
/* Who runs us, as the host knows it. */
uint32_t host_getuid(void);
uint32_t host_getgid(void);
