/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Messages with control data, options and names of a socket pair; see pair.h. */
#include "libos/net/pair.h"
#include "libos/proc/caps.h"
#include "libos/process.h"
#include <asm/socket.h>
#include <linux/capability.h>

#define PAIR_SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_EOR | MSG_MORE)
#define PAIR_RECEIVE_FLAGS \
    (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_PEEK | MSG_WAITALL | MSG_TRUNC | MSG_CMSG_CLOEXEC)

long pair_take_error(struct file *f)
{
    struct end *e = end_of(f);
    lock(&e->pair->lock);
    int err = e->error;
    e->error = 0;
    unlock(&e->pair->lock);
    return -err;
}

/* A name to send to: only datagrams heed it, streams refuse it. 0: none; 1: one that can be read.
 */
static int take_name(struct file *f, const void *uaddr, int len)
{
    char name[sizeof(struct __kernel_sockaddr_storage)];
    if (!uaddr || !len)
        return 0;
    if (len < 0 || (size_t)len > sizeof(name))
        return -EINVAL;
    if (copy_from_user(name, uaddr, (size_t)len))
        return -EFAULT;
    return end_of(f)->pair->type == SOCK_DGRAM ? -ENOTOWN : 1;
}

static bool refuses_name(struct file *f, int named)
{
    return named && end_of(f)->pair->type == SOCK_STREAM;
}

long pair_sendto(struct file *f, const void *ubuf, size_t n, int flags, const void *uaddr, int len)
{
    struct iovec one = {(void *)(uintptr_t)ubuf, n};
    struct sent nothing = {.files = NULL};
    int named = take_name(f, uaddr, len);
    if (flags & ~PAIR_SEND_FLAGS)
        return -ENOTOWN;
    if (named < 0)
        return named;
    return refuses_name(f, named) ? -EISCONN : pair_send(f, &one, 1, flags, &nothing);
}

long pair_recvfrom(struct file *f, void *ubuf, size_t n, int flags)
{
    struct iovec one = {ubuf, n};
    struct received beside = {.files = NULL};
    if (flags & ~PAIR_RECEIVE_FLAGS)
        return -ENOTOWN;
    long r = pair_receive(f, &one, 1, flags, &beside);
    received_free(&beside);
    return r;
}

/* ---- control data that is sent ---- */

static int send_rights(const struct cmsg *c, struct sent *s)
{
    const int *fds = (const int *)(c + 1);
    size_t n = (c->len - sizeof(*c)) / sizeof(int);
    if (n > MOST_RIGHTS - s->count)
        return -EINVAL;
    if (!n)
        return 0;
    struct file **all = heap_realloc(s->files, (s->count + n) * sizeof(*all));
    if (!all)
        return -ENOMEM;
    s->files = all;
    for (size_t i = 0; i < n; i++) {
        struct file *f = fd_get_unseen(fds[i]);
        if (!f)
            return -EBADF;
        all[s->count++] = f;
        /* Sockets that travel over each other in a ring only the host gets rid of. */
        if (is_own_pair(f) || f->kind == FILE_SOCKET)
            return -ENOTOWN;
    }
    return 0;
}

static bool one_of(uint32_t id, uint32_t a, uint32_t b, uint32_t c)
{
    return id == a || id == b || id == c;
}

static int send_credentials(const struct cmsg *c, struct sent *s)
{
    const struct credentials *me = &current_process()->cred;
    uint64_t caps = caps_effective(me);
    if (c->len != sizeof(*c) + sizeof(s->cred))
        return -EINVAL;
    memcpy(&s->cred, c + 1, sizeof(s->cred));
    if (s->cred.pid != current_process()->pid)
        return -EPERM;
    if (!one_of(s->cred.uid, me->uid, me->euid, me->suid)) /* may it? The host may not let us */
        return caps & 1UL << CAP_SETUID ? -ENOTOWN : -EPERM;
    if (!one_of(s->cred.gid, me->gid, me->egid, me->sgid))
        return caps & 1UL << CAP_SETGID ? -ENOTOWN : -EPERM;
    s->has_cred = true;
    return 0;
}

static int send_control(const char *data, size_t len, struct sent *s)
{
    size_t at = 0;
    int err = 0;
    while (!err && at <= len && len - at >= sizeof(struct cmsg)) {
        const struct cmsg *c = (const struct cmsg *)(data + at);
        if (c->len < sizeof(*c) || c->len > len - at)
            return -EINVAL;
        if (c->level == SOL_SOCKET)
            err = c->type == SCM_RIGHTS        ? send_rights(c, s)
                  : c->type == SCM_CREDENTIALS ? send_credentials(c, s)
                                               : -EINVAL;
        at += ALIGN_UP(c->len, 8UL);
    }
    return err;
}

static int take_control(const struct msg *m, struct sent *s)
{
    size_t len = m->control ? m->control_len : 0;
    if (len > MOST_CONTROL)
        return -ENOBUFS;
    if (!len)
        return 0;
    char *data = heap_alloc(len);
    if (!data)
        return -ENOMEM;
    int err = copy_from_user(data, m->control, len) ? -EFAULT : send_control(data, len, s);
    heap_free(data);
    return err;
}

long pair_sendmsg(struct file *f, const struct msg *m, const struct iovec *iov, int flags)
{
    struct sent s = {.files = NULL};
    int named =
        take_name(f, m->name, MIN(m->name_len, (int)sizeof(struct __kernel_sockaddr_storage)));
    if (flags & ~PAIR_SEND_FLAGS)
        return -ENOTOWN;
    if (named < 0)
        return named;
    long r = end_of(f)->pair->type == SOCK_SEQPACKET ? pair_take_error(f) : 0;
    if (!r)
        r = take_control(m, &s);
    if (!r && refuses_name(f, named))
        r = -EISCONN;
    if (!r)
        r = pair_send(f, iov, m->iov_len, flags, &s);
    received_free(&(struct received){.files = s.files, .count = s.count});
    return r;
}

/* ---- control data that is received ---- */

/* The application's control buffer, in our memory. */
struct control {
    char *data;
    size_t len, room;
    int *flags;
};

/* One piece, cut where the room ends. */
static void put_control(struct control *c, int type, const void *data, size_t n)
{
    struct cmsg head = {sizeof(head) + n, SOL_SOCKET, type};
    size_t left = c->room - c->len;
    if (left < sizeof(head)) {
        *c->flags |= MSG_CTRUNC;
        return;
    }
    if (left < head.len) {
        *c->flags |= MSG_CTRUNC;
        head.len = left;
    }
    memcpy(c->data + c->len, &head, sizeof(head));
    memcpy(c->data + c->len + sizeof(head), data, head.len - sizeof(head));
    c->len += MIN(ALIGN_UP(head.len, 8UL), left);
}

/* As many descriptors as there is room for. */
static void put_rights(struct control *c, struct received *r, bool cloexec)
{
    int fds[MOST_RIGHTS];
    size_t left = c->room - c->len;
    uint32_t fit =
                 left <= sizeof(struct cmsg)
                     ? 0
                     : (uint32_t)MIN((left - sizeof(struct cmsg)) / sizeof(int), (size_t)r->count),
             n = 0;
    while (n < fit) {
        file_get(r->files[n]);
        fds[n] = fd_install(r->files[n], 0, cloexec);
        if (fds[n] < 0)
            break;
        n++;
    }
    if (n)
        put_control(c, SCM_RIGHTS, fds, n * sizeof(int));
    if (n < r->count)
        *c->flags |= MSG_CTRUNC;
}

static void give_control(struct received *r, struct msg *h, int flags)
{
    struct control c = {.data = h->control, .room = h->control_len, .flags = &h->flags};
    if (!h->control && (r->has_cred || r->count))
        h->flags |= MSG_CTRUNC;
    if (h->control && r->has_cred)
        put_control(&c, SCM_CREDENTIALS, &r->cred, sizeof(r->cred));
    if (h->control && r->count)
        put_rights(&c, r, flags & MSG_CMSG_CLOEXEC);
    h->control_len = c.len;
}

long pair_recvmsg(struct file *f, const struct msg *m, const struct iovec *iov, int flags,
                  struct msg *h)
{
    struct received beside = {.files = NULL};
    if (flags & ~PAIR_RECEIVE_FLAGS)
        return -ENOTOWN;
    long r = pair_receive(f, iov, m->iov_len, flags, &beside);
    h->flags = beside.truncated ? MSG_TRUNC : 0;
    h->name_len = 0;
    if (r >= 0)
        give_control(&beside, h, flags);
    received_free(&beside);
    return r;
}

/* ---- options ---- */

/* What the host makes of the value: it knows the limits and the clock. */
static int ask_host(struct end *e, int option, const void *value, int len, void *got, int got_len)
{
    int fd = host_socket(AF_UNIX, e->pair->type, 0);
    int err = fd < 0 ? fd : host_option_set(fd, SOL_SOCKET, option, value, len);
    if (!err)
        err = host_option_get(fd, SOL_SOCKET, option, got, &got_len);
    if (fd >= 0)
        host_close(fd);
    return err;
}

static long set_room(struct end *e, int option, const void *value, int len)
{
    int room = 0;
    long err = ask_host(e, option, value, len, &room, sizeof(room));
    if (err)
        return err;
    lock(&e->pair->lock);
    *(option == SO_SNDBUF ? &e->send_room : &e->receive_room) = (uint32_t)MAX(room, 1);
    e->room_set = true;
    queue_wake(&e->queue, 0);
    queue_unlock(&e->pair->lock);
    return 0;
}

static long set_limit(struct end *e, int option, const void *value, int len)
{
    int64_t limit[2] = {0};
    if (len >= (int)sizeof(limit) && *(const int64_t *)value < 0)
        return -ENOTOWN;
    long err = ask_host(e, option, value, len, limit, sizeof(limit));
    if (err)
        return err;
    lock(&e->pair->lock);
    int64_t *to = option == SO_SNDTIMEO_OLD ? e->send_limit : e->receive_limit;
    to[0] = MIN(MAX(limit[0], 0L), 1L << 33); /* longer than any host's clock goes on */
    to[1] = MIN(MAX(limit[1], 0L), 999999L);
    unlock(&e->pair->lock);
    return 0;
}

long pair_set_option(struct file *f, int level, int option, const void *uvalue, int len)
{
    struct end *e = end_of(f);
    int64_t value[2] = {0};
    int on;
    if (level != SOL_SOCKET || len < (int)sizeof(int))
        return -ENOTOWN;
    if (copy_from_user(value, uvalue, MIN((size_t)len, sizeof(value))))
        return -EFAULT;
    memcpy(&on, value, sizeof(on));
    switch (option) {
    case SO_PASSCRED:
        lock(&e->pair->lock);
        e->wants_cred = on;
        unlock(&e->pair->lock);
        return 0;
    case SO_SNDBUF:
    case SO_RCVBUF:
        return set_room(e, option, value, len);
    case SO_SNDTIMEO_OLD:
    case SO_RCVTIMEO_OLD:
        return set_limit(e, option, value, len);
    }
    return -ENOTOWN;
}

void pair_put_error(struct file *f, long err)
{
    struct end *e = end_of(f);
    if (err < -HOST_ERRNO_LAST)
        return;
    lock(&e->pair->lock);
    e->error = (int)-err;
    unlock(&e->pair->lock);
}

static int plain_option(struct file *f, int option)
{
    const struct end *e = end_of(f);
    switch (option) {
    case SO_TYPE:
        return e->pair->type;
    case SO_DOMAIN:
        return AF_UNIX;
    case SO_PASSCRED:
        return e->wants_cred;
    case SO_SNDBUF:
        return (int)e->send_room;
    case SO_RCVBUF:
        return (int)e->receive_room;
    case SO_ERROR:
        return (int)-pair_take_error(f);
    case SO_PROTOCOL:
    case SO_ACCEPTCONN:
        return 0;
    }
    return -ENOTOWN;
}

long pair_get_option(struct file *f, int level, int option, void *value, int *len)
{
    struct end *e = end_of(f);
    int plain;
    if (level != SOL_SOCKET)
        return -ENOTOWN;
    if (*len < 0)
        return -EINVAL;
    switch (option) {
    case SO_PEERCRED:
        *len = MIN(*len, (int)sizeof(e->pair->maker));
        memcpy(value, &e->pair->maker, (size_t)*len);
        return 0;
    case SO_SNDTIMEO_OLD:
    case SO_RCVTIMEO_OLD:
        *len = MIN(*len, (int)sizeof(e->send_limit));
        memcpy(value, option == SO_SNDTIMEO_OLD ? e->send_limit : e->receive_limit, (size_t)*len);
        return 0;
    }
    plain = plain_option(f, option);
    if (plain == -ENOTOWN)
        return plain;
    *len = MIN(*len, (int)sizeof(plain));
    memcpy(value, &plain, (size_t)*len);
    return 0;
}

long pair_name(struct file *f, bool peer, struct address *a)
{
    struct end *e = end_of(f);
    if (peer && e->disconnected)
        return -ENOTCONN;
    *a = (struct address){.len = sizeof(a->at.ss_family)};
    a->at.ss_family = AF_UNIX;
    return 0;
}
