/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Sockets (socket(7)): the host's, behind files of ours. */
#pragma once
#include "host/host_net.h"
#include "libos/fs/vfs.h"
#include <linux/un.h>

#define SOCK_STREAM    1
#define SOCK_DGRAM     2
#define SOCK_SEQPACKET 5
#define SOCK_TYPE_MASK 0xf
#define SOCK_NONBLOCK  O_NONBLOCK
#define SOCK_CLOEXEC   O_CLOEXEC

#define AF_UNIX    1
#define AF_INET    2
#define AF_INET6   10
#define AF_NETLINK 16

#define SOL_SOCKET      1
#define SCM_RIGHTS      1
#define SCM_CREDENTIALS 2

#define MOST_CONTROL (128 * 1024UL)
#define MOST_RIGHTS  253 /* SCM_MAX_FD */

#define MSG_PEEK         0x2
#define MSG_CTRUNC       0x8
#define MSG_TRUNC        0x20
#define MSG_DONTWAIT     0x40
#define MSG_EOR          0x80
#define MSG_WAITALL      0x100
#define MSG_NOSIGNAL     0x4000
#define MSG_MORE         0x8000
#define MSG_WAITFORONE   0x10000
#define MSG_CMSG_CLOEXEC 0x40000000

extern const struct file_ops socket_ops;

/* The family of a socket (AF_*), or an errno. */
int socket_family(int host_fd);
/* The file of a descriptor that may be a socket: the host says ENOTSOCK about others of its own.
 * -EBADF, or -ENOTSOCK for what is not on the host. Counted. */
int socket_get(int fd, struct file **out);
/* The same, but an end of a socket pair that is our own stays so (net/pair.h). */
int socket_get_any(int fd, struct file **out);
/* An end of a pair that stays the host's no longer: from now on calls go to the host. 0 or
 * -ENOBUFS: the host has no room for it. */
int socket_to_host(struct file *f);
/* Where the name is kept that the application bound, as it wrote it; NULL: not made by this
 * process. */
struct address **socket_bound(struct file *f);
/* A file for a socket descriptor of the host, taken over in any case. */
int socket_file(long host_fd, uint32_t flags, struct file **out);

/* A file for an object of any kind that the host opened; takes `host_fd` over in any case. */
int file_adopt(int host_fd, struct file **out);

/* Once, before there are other processes: they all must agree on the names of sockets. */
void address_setup(void);
/*
 * Takes an address from the application. Names of AF_UNIX sockets in the file system are resolved
 * to the host's. To bind one, it is checked against the file policy; to send, only datagrams heed
 * it.
 * `*dir_fd` is -1, or a host directory to be closed after the call: it must stay open until then,
 * and a name to be bound is relative to it.
 */
enum address_use { TO_BIND, TO_CONNECT, TO_SEND };
int address_take(struct file *f, const void *uaddr, int len, enum address_use use,
                 struct address *out, int *dir_fd);
/* For bind(2) of an AF_UNIX socket without a name: one as the kernel makes it, to be tried.
 * -ENOENT: the address is no such one, or the socket has a name already. */
int address_generate(struct file *f, struct address *a);
/* Gives an address of the host to the application as accept(2) does; NULL uaddr: none wanted. */
int address_give(struct address *a, void *uaddr, int *ulen);
/* The newest mount that shows the host path, as path resolution prefers, and its path there; or
 * NULL.
 */
struct mount *host_to_inside(const char *host, char inside[PATH_LIMIT]);
/* Host names of AF_UNIX sockets become names inside. */
void address_to_inside(struct address *a);

/* What is passed with a message. */
struct passed {
    char *data; /* control buffer in library-OS memory */
    size_t len;
    struct file **files; /* held while they travel */
    uint32_t count;
};

/* Takes control data from the application; descriptors and credentials become the host's. */
int control_take(const void *ucontrol, size_t len, struct passed *out);
void control_free(struct passed *p);
/* Who sent or connected, as the host has it: our ids there are the application's. */
struct ucred_k {
    int pid;
    uint32_t uid, gid;
};
void credentials_to_inside(struct ucred_k *cred);
void credentials_to_host(struct ucred_k *cred);
/* The host's descriptor of a file that is passed to others: the bare host object, enough only where
 * the file is no more than it. -EOPNOTSUPP, said in a warning. */
int file_passed_fd(struct file *f, int *fd);
/* Received control data to the application: installs descriptors. `*flags` may gain MSG_CTRUNC. */
void control_receive(char *data, size_t len, bool cloexec, int *flags);

/* A blocking call on the socket was cut short by a signal: -EINTR when the option (SO_RCVTIMEO_OLD,
 * SO_SNDTIMEO_OLD) sets a time limit, else -ERESTARTSYS. */
long socket_interrupted(struct file *f, int timeout_option);
