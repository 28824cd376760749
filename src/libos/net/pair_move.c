/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Sending to the other end of a socket pair and receiving from it; see pair.h. What Linux does is
 * followed to the order in which errors are looked for (net/unix/af_unix.c's behaviour): a stream
 * is cut into packets of its size, and each counts for what it takes there, so that a sender finds
 * room, or none, where it would on Linux.
 */
#include "libos/net/pair.h"
#include "libos/proc/vdso.h"
#include "libos/process.h"
#include <linux/poll.h>
#include <linux/time.h>

#define IN_EVENTS (POLLIN | POLLRDNORM | POLLPRI | POLLRDBAND)

/* ---- what a packet counts for ---- */

#define HEAD_MOST  3776u  /* of a page, beside the kernel's own */
#define SOLID_MOST 16064u /* of four pages */
#define LOOSE_MOST 32768u /* in pages behind the head */
#define PAGES_MOST (17 * (uint32_t)PAGE_SIZE)

static uint32_t head_cost(uint32_t n)
{
    uint32_t need = ALIGN_UP(n, 64u) + 320, whole = 512;
    while (whole < need)
        whole *= 2;
    return whole + 256;
}

static uint32_t stream_cost(uint32_t n)
{
    uint32_t pages = n > HEAD_MOST ? (uint32_t)PAGE_UP(n - HEAD_MOST) : 0;
    return head_cost(n - MIN(n, pages)) + pages;
}

static uint32_t packet_cost(uint32_t n)
{
    uint32_t pages = n > SOLID_MOST ? (uint32_t)PAGE_UP(MIN(n - SOLID_MOST, PAGES_MOST)) : 0;
    return head_cost(n - MIN(n, pages)) + pages;
}

/* ---- the application's buffers ---- */

struct cursor {
    const struct iovec *iov;
    size_t at; /* in the first of them */
};

/* `n` bytes between the buffers and memory of ours; whether they move on is `peek`'s caller's. */
static int move(struct cursor *c, char *ours, size_t n, bool out)
{
    while (n) {
        size_t part = MIN(n, c->iov->iov_len - c->at);
        char *theirs = (char *)c->iov->iov_base + c->at;
        if (part && (out ? copy_from_user(ours, theirs, part) : copy_to_user(theirs, ours, part)))
            return -EFAULT;
        ours += part;
        n -= part;
        c->at += part;
        if (c->at == c->iov->iov_len && n)
            *c = (struct cursor){.iov = c->iov + 1};
    }
    return 0;
}

static size_t total(const struct iovec *iov, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += iov[i].iov_len;
    return MIN(n, 0x7ffff000UL);
}

/* ---- waiting ---- */

struct waiting {
    const int64_t *limit; /* SO_RCVTIMEO or SO_SNDTIMEO */
    uint32_t wants;       /* events */
    bool never;           /* non-blocking */
    uint64_t deadline;    /* once it waits; 0: none */
};

/* The end's lock is held, and released. 0: look again; or the errno with which the call ends. */
static long wait_or_not(struct file *f, struct waiting *how)
{
    struct end *e = end_of(f);
    struct waiter w;
    if (how->never) {
        queue_unlock(&e->pair->lock);
        return -EAGAIN;
    }
    bool limited = how->limit[0] || how->limit[1];
    if (limited && !how->deadline)
        how->deadline = vdso_clock_ns(CLOCK_MONOTONIC) + (uint64_t)how->limit[0] * 1000000000u +
                        (uint64_t)how->limit[1] * 1000u;
    own_wait_begin(&e->queue, &e->pair->lock, &w);
    w.wants = how->wants;
    queue_unlock(&e->pair->lock);
    long r = own_wait(f, &w, how->deadline);
    if (!r && how->deadline && vdso_clock_ns(CLOCK_MONOTONIC) >= how->deadline)
        how->never = true; /* one look more */
    return r == -ERESTARTSYS && limited ? -EINTR : r;
}

static long take_error(struct end *e)
{
    int err = e->error;
    e->error = 0;
    return -err;
}

static bool is_hosts(const struct file *f)
{
    return f->host_fd >= 0;
}

/* The rest of a stream transfer that has begun before the socket became the host's. */
static size_t rest_by_host(struct file *f, struct cursor c, size_t n, int flags, bool send)
{
    size_t done = 0;
    while (done < n) {
        size_t part = MIN(n - done, c.iov->iov_len - c.at);
        char *base = (char *)c.iov->iov_base + c.at;
        ssize r = !part  ? 0
                  : send ? host_sendto(f->host_fd, base, part, flags, NULL)
                         : host_recvfrom(f->host_fd, base, part, flags, NULL);
        if (r == -EINTR && !interrupted())
            continue;
        done += (size_t)MAX(r, 0L);
        if (r < (ssize)part)
            break;
        c = (struct cursor){.iov = c.iov + 1};
    }
    return done;
}

/* ---- sending ---- */

static struct packet *new_packet(struct end *e, struct cursor *c, size_t n, int *err)
{
    struct packet *p = packet_new(e, n);
    *err = p ? move(c, p->data, n, true) : -ENOMEM;
    if (!*err || !p)
        return p;
    packet_free(e, p);
    end_has_room(e);
    return NULL;
}

/* Under the lock: to the other end, and with what is passed. */
static void deliver(struct end *e, struct packet *p, struct sent *s)
{
    struct end *other = other_end(e);
    p->has_cred = s->has_cred;
    p->cred = s->cred;
    if (!p->has_cred && (e->wants_cred || other->wants_cred)) {
        const struct process *me = current_process();
        p->has_cred = true;
        p->cred = (struct ucred_k){me->pid, me->cred.uid, me->cred.gid};
    }
    p->files = s->files;
    p->count = s->count;
    s->files = NULL;
    s->count = 0;
    e->in_flight += p->cost;
    list_add_tail(&other->packets, &p->link);
    queue_wake(&other->queue, IN_EVENTS);
}

/* Under the lock: is there room to send? 0, -EAGAIN: not yet, or why not ever. */
static long may_send(struct end *e)
{
    if (e->error)
        return take_error(e);
    if (e->shut & SENDING)
        return -EPIPE;
    return e->in_flight < e->send_room ? 0 : -EAGAIN;
}

static bool nobody_receives(struct end *e)
{
    struct end *other = other_end(e);
    return !other->file || other->shut & RECEIVING;
}

/* One packet of a stream, under the lock: how many bytes, or an errno. */
static long send_part(struct end *e, struct cursor *c, size_t n, struct sent *s)
{
    int err;
    n = MIN(n, (size_t)MAX((int)(e->send_room >> 1) - 64, 1));
    n = MIN(n, (size_t)(HEAD_MOST + LOOSE_MOST));
    struct packet *p = new_packet(e, c, n, &err);
    if (!p)
        return err;
    p->cost = stream_cost((uint32_t)n);
    deliver(e, p, s);
    return (long)n;
}

static ssize send_stream(struct file *f, struct cursor c, size_t n, int flags, struct sent *s)
{
    struct end *e = end_of(f);
    struct waiting how = {.limit = e->send_limit,
                          .wants = POLLOUT,
                          .never = flags & MSG_DONTWAIT || f->flags & O_NONBLOCK};
    size_t done = 0;
    long r = 0;
    bool quiet = false; /* its end during the wait for room says nothing */
    lock(&e->pair->lock);
    if (e->shut & SENDING)
        r = -EPIPE;
    while (!r && done < n) {
        r = may_send(e);
        quiet = r == -EPIPE;
        if (!r && nobody_receives(e))
            r = -EPIPE;
        if (!r && (r = send_part(e, &c, n - done, s)) > 0) {
            done += (size_t)r;
            r = 0;
        }
        if (r != -EAGAIN)
            continue;
        r = wait_or_not(f, &how);
        lock(&e->pair->lock);
        if (!r && is_hosts(f))
            r = -ENOTOWN;
    }
    queue_unlock(&e->pair->lock);
    if (r == -ENOTOWN && done)
        return (ssize)(done + rest_by_host(f, c, n - done, flags, true));
    if (r == -EPIPE && !done && !quiet && !(flags & MSG_NOSIGNAL))
        own_sigpipe();
    return done ? (ssize)done : r;
}

/* A sender of datagrams learns that the other end is closed, and is nobody's other end any more. */
static long disconnect(struct end *e, struct received *lost)
{
    e->disconnected = true;
    while (!list_empty(&e->packets)) {
        struct packet *p = list_entry(e->packets.next, struct packet, link);
        for (uint32_t i = 0; i < p->count; i++) {
            struct file **all = heap_realloc(lost->files, (lost->count + 1) * sizeof(*all));
            if (!all)
                continue; /* no memory: they stay open */
            lost->files = all;
            all[lost->count++] = p->files[i];
        }
        heap_free(p->files);
        packet_drop(e, p);
    }
    return -ECONNREFUSED;
}

/* Under the lock, when there is room: the packet on its way, or an errno. */
static long send_whole(struct end *e, struct cursor *c, size_t n, struct sent *s,
                       struct received *lost)
{
    int err;
    struct packet *p = new_packet(e, c, n, &err);
    if (!p)
        return err;
    p->cost = packet_cost((uint32_t)n);
    if (e->disconnected || nobody_receives(e)) {
        bool closed = !other_end(e)->file;
        packet_free(e, p);
        end_has_room(e);
        return e->disconnected                         ? -ENOTCONN
               : closed && e->pair->type == SOCK_DGRAM ? disconnect(e, lost)
                                                       : -EPIPE;
    }
    deliver(e, p, s);
    return (long)n;
}

static ssize send_packet(struct file *f, struct cursor c, size_t n, int flags, struct sent *s)
{
    struct end *e = end_of(f);
    struct waiting how = {.limit = e->send_limit,
                          .wants = POLLOUT,
                          .never = flags & MSG_DONTWAIT || f->flags & O_NONBLOCK};
    struct received lost = {.files = NULL};
    long r;
    lock(&e->pair->lock);
    r = e->pair->type == SOCK_SEQPACKET ? take_error(e) : 0;
    if (!r && e->wants_cred) /* it is to have a name, which only the host can make unique */
        r = -ENOTOWN;
    if (!r && n + 32 > e->send_room)
        r = -EMSGSIZE;
    bool more = !r;
    while (more) {
        r = may_send(e);
        more = r == -EAGAIN;
        if (!r)
            r = send_whole(e, &c, n, s, &lost);
        if (!more)
            continue;
        r = wait_or_not(f, &how);
        more = !r;
        lock(&e->pair->lock);
        if (more && is_hosts(f))
            r = -ENOTOWN, more = false;
    }
    queue_unlock(&e->pair->lock);
    received_free(&lost);
    return r;
}

ssize pair_send(struct file *f, const struct iovec *iov, size_t count, int flags, struct sent *s)
{
    struct cursor c = {.iov = iov};
    size_t n = total(iov, count);
    return is_packets(end_of(f)) ? send_packet(f, c, n, flags, s) : send_stream(f, c, n, flags, s);
}

/* ---- receiving ---- */

static void take_beside(struct end *e, struct packet *p, bool peek, struct received *r)
{
    static const struct ucred_k nobody = {0, 65534, 65534};
    if (e->wants_cred) {
        r->has_cred = true;
        r->cred = p->has_cred ? p->cred : nobody;
    }
    if (!p->count)
        return;
    if (peek) {
        r->files = heap_alloc(p->count * sizeof(*r->files));
        if (!r->files)
            return;
        memcpy(r->files, p->files, p->count * sizeof(*r->files));
        for (uint32_t i = 0; i < p->count; i++)
            file_get(r->files[i]);
        r->count = p->count;
        return;
    }
    r->files = p->files;
    r->count = p->count;
    p->files = NULL;
    p->count = 0;
}

/* Messages of different senders are not put together. */
static bool other_sender(const struct end *e, const struct packet *p, const struct received *r)
{
    static const struct ucred_k nobody = {0, 65534, 65534};
    const struct ucred_k *cred = p->has_cred ? &p->cred : &nobody;
    return e->wants_cred && r->has_cred && memcmp(cred, &r->cred, sizeof(*cred)) != 0;
}

struct taking {
    struct cursor c;
    size_t n, done;
    bool peek, met; /* met: a packet, though perhaps for no bytes */
};

/* Under the lock: one packet of the stream. 1: and on with the next; 0: enough; or an errno. */
static int take_part(struct end *e, struct packet *p, struct taking *t, struct received *r)
{
    size_t part = MIN(p->len - p->at, t->n - t->done);
    if (other_sender(e, p, r))
        return 0;
    if (move(&t->c, p->data + p->at, part, false))
        return t->done ? 0 : -EFAULT;
    t->done += part;
    take_beside(e, p, t->peek, r);
    t->met = true;
    if (t->peek) /* Linux goes on to the next descriptors, also for no more bytes */
        return !r->count;
    p->at += part;
    if (p->at < p->len)
        return 0;
    packet_drop(e, p);
    return !r->count && t->done < t->n;
}

/* Under the lock: what is there. As take_part(); 1: there is no more. */
static int take_stream(struct end *e, struct taking *t, struct received *r)
{
    list_for_each_safe (it, &e->packets) {
        int on = take_part(e, list_entry(it, struct packet, link), t, r);
        if (on <= 0)
            return on;
    }
    return 1;
}

static ssize receive_stream(struct file *f, struct cursor c, size_t n, int flags,
                            struct received *beside)
{
    struct end *e = end_of(f);
    struct waiting how = {.limit = e->receive_limit,
                          .wants = POLLIN,
                          .never = flags & MSG_DONTWAIT || f->flags & O_NONBLOCK};
    struct taking t = {.c = c, .n = n, .peek = flags & MSG_PEEK};
    size_t enough = flags & MSG_WAITALL && n ? n : 1;
    long r;
    lock(&e->pair->lock);
    for (;;) {
        r = take_stream(e, &t, beside);
        bool over = r <= 0 || t.done >= enough || (t.peek && t.met);
        if (!over && (r = take_error(e)) == 0 && !(e->shut & RECEIVING)) {
            r = wait_or_not(f, &how);
            lock(&e->pair->lock);
            if (!r && is_hosts(f))
                r = -ENOTOWN;
            if (!r)
                continue;
        }
        break;
    }
    if (e->wants_cred)
        beside->has_cred = true; /* at the end, too, where it is nobody's */
    queue_unlock(&e->pair->lock);
    if (r == -ENOTOWN && t.done)
        return (ssize)(t.done + rest_by_host(f, t.c, n - t.done, flags, false));
    return t.done ? (ssize)t.done : MIN(r, 0L);
}

/* Under the lock: the packet, of which as much is given as there is room for. */
static long take_packet(struct end *e, struct packet *p, struct taking *t, int flags,
                        struct received *r)
{
    size_t part = MIN(p->len, t->n);
    long n = (long)(flags & MSG_TRUNC ? p->len : part);
    r->truncated = part < p->len;
    int err = move(&t->c, p->data, part, false);
    take_beside(e, p, t->peek, r);
    if (!t->peek)
        packet_drop(e, p);
    return err ? err : n;
}

static ssize receive_packet(struct file *f, struct cursor c, size_t n, int flags,
                            struct received *beside)
{
    struct end *e = end_of(f);
    struct waiting how = {.limit = e->receive_limit,
                          .wants = POLLIN,
                          .never = flags & MSG_DONTWAIT || f->flags & O_NONBLOCK};
    struct taking t = {.c = c, .n = n, .peek = flags & MSG_PEEK};
    bool ends_quietly = e->pair->type == SOCK_SEQPACKET;
    long r;
    lock(&e->pair->lock);
    do {
        r = take_error(e);
        if (r)
            break;
        if (!list_empty(&e->packets)) {
            struct packet *p = list_entry(e->packets.next, struct packet, link);
            r = take_packet(e, p, &t, flags, beside);
            break;
        }
        if (e->shut & RECEIVING && (!how.never || ends_quietly))
            break;
        r = wait_or_not(f, &how);
        lock(&e->pair->lock);
        if (!r && is_hosts(f))
            r = -ENOTOWN;
    } while (!r);
    queue_unlock(&e->pair->lock);
    return r;
}

ssize pair_receive(struct file *f, const struct iovec *iov, size_t count, int flags,
                   struct received *r)
{
    struct cursor c = {.iov = iov};
    size_t n = total(iov, count);
    return is_packets(end_of(f)) ? receive_packet(f, c, n, flags, r)
                                 : receive_stream(f, c, n, flags, r);
}

void received_free(struct received *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        file_put(r->files[i]);
    heap_free(r->files);
    *r = (struct received){.files = NULL};
}
