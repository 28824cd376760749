/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The two sockets of a socketpair(AF_UNIX) as own objects (sync/own.h): unix(7) inside one process.
 * They become the host's at a fork and when something is asked of them that is not in here: an
 * address given, an option or flag outside the lists, a socket passed over them.
 */
#pragma once
#include "libos/net/net.h"
#include "libos/sync/own.h"

#define SMALL_PACKET 256u

#define RECEIVING 1 /* struct end.shut: not any more */
#define SENDING   2

/* What has been sent and not yet received: one message, of a stream a part of one. */
struct packet {
    struct list link;
    size_t len, at; /* bytes, and how many of them were received */
    uint32_t cost;  /* what it counts for in its sender's buffer */
    uint32_t count; /* of files */
    bool has_cred;  /* else pid 0 and nobody's ids */
    struct ucred_k cred;
    bool small;          /* has place for SMALL_PACKET bytes */
    struct file **files; /* held */
    char data[];
};

struct pair;
struct end {
    struct pair *pair;
    struct file *file;                /* NULL: closed */
    struct list packets;              /* to be received here */
    struct packet *spare;             /* for the next that is sent, or NULL */
    struct wait_queue queue;          /* of those who wait to receive, to send, or both */
    uint32_t in_flight;               /* cost of what was sent from here and is not received */
    uint32_t send_room, receive_room; /* SO_SNDBUF, SO_RCVBUF */
    int64_t receive_limit[2], send_limit[2]; /* SO_RCVTIMEO, SO_SNDTIMEO: seconds, microseconds */
    uint8_t shut;
    bool room_set;         /* one of the two by the application */
    bool wants_cred;       /* SO_PASSCRED */
    bool disconnected;     /* of datagrams: a sending told that the other end is closed */
    int error;             /* SO_ERROR, positive */
    struct address *bound; /* of the host's socket: see socket_bound() */
};

struct pair {
    struct own own;
    struct lock lock; /* all of both ends; under it the heap, news_lock of an epoll */
    int type;
    struct ucred_k maker;
    struct end end[2];
};

extern const struct file_ops pair_ops, host_pair_ops;

static inline struct end *end_of(const struct file *f)
{
    return f->priv;
}
static inline struct end *other_end(struct end *e)
{
    return &e->pair->end[e == &e->pair->end[0]];
}
/* Is the file an end that is still our own? */
static inline bool is_own_pair(const struct file *f)
{
    return f->ops == &pair_ops;
}
static inline bool is_packets(const struct end *e)
{
    return e->pair->type != SOCK_STREAM;
}

/* Two files, or an errno. `flags`: O_NONBLOCK or 0. */
int pair_make(int type, uint32_t flags, struct file *files[2]);
/* own.to_host (pair_host.c). */
int pair_to_host(struct own *o);
/* Under the lock, both: of a sender. A small one is kept for the next. */
struct packet *packet_new(struct end *sender, size_t n);
void packet_free(struct end *sender, struct packet *p);
/* Under the lock: something that was sent, or was to be, is gone. Waiters hear that there is room.
 */
void end_has_room(struct end *sender);
/* Under the lock: frees a packet that was received or is lost; its files go to the caller. */
void packet_drop(struct end *receiver, struct packet *p);

/* ---- transfers (pair_move.c) ---- */

/* What is passed with what is sent: goes with the first bytes. */
struct sent {
    struct file **files; /* taken over where anything is sent */
    uint32_t count;
    bool has_cred;
    struct ucred_k cred;
};
/* What comes beside the bytes. */
struct received {
    struct file **files; /* the caller's */
    uint32_t count;
    bool has_cred; /* asked for by SO_PASSCRED */
    struct ucred_k cred;
    bool truncated; /* the packet was longer */
};
/* send(2), recv(2) of the buffers, checked by the caller. `flags`: of those in PAIR_SEND_FLAGS,
 * PAIR_RECEIVE_FLAGS. The number of bytes, an errno, or -ENOTOWN before anything was moved. */
ssize pair_send(struct file *f, const struct iovec *iov, size_t count, int flags, struct sent *s);
ssize pair_receive(struct file *f, const struct iovec *iov, size_t count, int flags,
                   struct received *r);
void received_free(struct received *r);

/* ---- messages, options (pair_calls.c) ---- */

/* sendmsg(2), recvmsg(2) on buffers already taken; `m` is the application's header, in our memory.
 * Of pair_recvmsg() *h is what is to be told, its control data in the buffer that it came with.
 * -ENOTOWN: the host is to be asked. */
long pair_sendmsg(struct file *f, const struct msg *m, const struct iovec *iov, int flags);
long pair_recvmsg(struct file *f, const struct msg *m, const struct iovec *iov, int flags,
                  struct msg *h);
/* Without a header. */
long pair_sendto(struct file *f, const void *ubuf, size_t n, int flags, const void *uaddr, int len);
long pair_recvfrom(struct file *f, void *ubuf, size_t n, int flags);
long pair_set_option(struct file *f, int level, int option, const void *uvalue, int len);
/* *len: room, then what there is. */
long pair_get_option(struct file *f, int level, int option, void *value, int *len);
/* A pending error, which is over with that: 0 or an errno. And one for the next call. */
long pair_take_error(struct file *f);
void pair_put_error(struct file *f, long err);
long pair_shutdown(struct file *f, int how);
/* getsockname, getpeername: a family without a name. */
long pair_name(struct file *f, bool peer, struct address *a);
