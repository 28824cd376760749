/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A socket pair becomes the host's, with what is on its way; see pair.h and own.to_host. */
#include "libos/net/pair.h"
#include "libos/process.h"
#include "libos/sync/epoll.h"
#include <asm/socket.h>

/* Room for one message's control data: credentials and descriptors. */
struct control {
    struct cmsg cred_head;
    struct ucred_k cred;
    int pad;
    struct cmsg rights_head;
    int fds[MOST_RIGHTS];
};

/* The files that travel as the host's descriptors. */
static int put_files(const struct packet *p, struct cmsg *head, int *fds)
{
    int err = 0;
    for (uint32_t i = 0; i < p->count && !err; i++)
        err = file_passed_fd(p->files[i], &fds[i]);
    *head = (struct cmsg){sizeof(*head) + p->count * sizeof(int), SOL_SOCKET, SCM_RIGHTS};
    return err;
}

/* Sends what is left of a packet from the host socket `fd`. */
static int pour_packet(int fd, const struct packet *p)
{
    struct control *c = heap_zalloc(sizeof(*c));
    if (!c)
        return -ENOMEM;
    struct iovec one = {(void *)(uintptr_t)(p->data + p->at), p->len - p->at};
    struct msg m = {.iov = &one, .iov_len = 1};
    int err = p->count ? put_files(p, &c->rights_head, c->fds) : 0;
    if (p->has_cred) {
        c->cred_head =
            (struct cmsg){sizeof(c->cred_head) + sizeof(c->cred), SOL_SOCKET, SCM_CREDENTIALS};
        c->cred = p->cred;
        credentials_to_host(&c->cred);
        m.control = c;
        m.control_len = offsetof(struct control, rights_head);
    }
    if (p->count) {
        m.control = p->has_cred ? (void *)c : &c->rights_head;
        m.control_len += ALIGN_UP(c->rights_head.len, 8UL);
    }
    if (!err) {
        ssize r = host_sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        err = r < 0 ? (int)r : (size_t)r == one.iov_len ? 0 : -EIO;
    }
    heap_free(c);
    return err;
}

static void set_int(int fd, int option, int value)
{
    host_option_set(fd, SOL_SOCKET, option, &value, sizeof(value));
}

/* What is on its way to the end, from the other one, whose buffer holds more meanwhile: the host
 * may count differently. */
static int pour(const struct end *e, int from)
{
    int err = 0;
    if (!list_empty(&e->packets))
        set_int(from, SO_SNDBUF, INT32_MAX / 4);
    list_for_each (it, &e->packets)
        if (!err)
            err = pour_packet(from, list_entry(it, struct packet, link));
    return err;
}

/* An end that is closed: what its other end was told, and what it will be. */
static void close_like(const struct pair *p, int fd[2], int which)
{
    const struct end *left = &p->end[!which];
    char byte = 0;
    if (left->error) /* it was closed with something unread */
        host_sendto(fd[!which], &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL);
    host_close(fd[which]);
    if (left->disconnected)
        host_sendto(fd[!which], &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL);
}

static void set_state(const struct end *e, int fd)
{
    /* The host doubles both. A new socket of its own has the rooms that it told us. */
    if (e->room_set || e->in_flight)
        set_int(fd, SO_SNDBUF, (int)(e->send_room / 2));
    if (e->room_set)
        set_int(fd, SO_RCVBUF, (int)(e->receive_room / 2));
    if (e->wants_cred)
        set_int(fd, SO_PASSCRED, 1);
    if (e->send_limit[0] || e->send_limit[1])
        host_option_set(fd, SOL_SOCKET, SO_SNDTIMEO_OLD, e->send_limit, sizeof(e->send_limit));
    if (e->receive_limit[0] || e->receive_limit[1])
        host_option_set(fd, SOL_SOCKET, SO_RCVTIMEO_OLD, e->receive_limit,
                        sizeof(e->receive_limit));
}

static void shut_like(const struct end *e, int fd)
{
    if (e->shut & RECEIVING)
        host_shutdown(fd, 0);
    if (e->shut & SENDING)
        host_shutdown(fd, 1);
}

/* The packets, which the host has now. */
static void forget(struct end *e)
{
    list_for_each_safe (it, &e->packets) {
        struct packet *p = list_entry(it, struct packet, link);
        list_del(&p->link);
        received_free(&(struct received){.files = p->files, .count = p->count});
        heap_free(p);
    }
    e->in_flight = 0;
}

static void give_end(struct end *e, int fd)
{
    struct file *f = e->file;
    if (f->flags & O_NONBLOCK)
        host_fcntl(fd, F_SETFL, O_NONBLOCK);
    f->host_fd = fd;
    f->ops = &host_pair_ops;
    __atomic_store_n(&f->kind, FILE_SOCKET, __ATOMIC_RELEASE);
    epoll_file_is_hosts(f);
}

static int fill(struct pair *p, int fd[2])
{
    int err = pour(&p->end[0], fd[1]);
    if (!err)
        err = pour(&p->end[1], fd[0]);
    for (int i = 0; i < 2 && !err; i++)
        if (p->end[i].file)
            set_state(&p->end[i], fd[i]);
    return err;
}

int pair_to_host(struct own *o)
{
    struct pair *p = container_of(o, struct pair, own);
    int fd[2];
    int err = host_socketpair(AF_UNIX, p->type, 0, fd);
    if (err)
        return err;
    err = fill(p, fd);
    if (err) {
        host_close(fd[0]);
        host_close(fd[1]);
        return err;
    }
    own_remove(o);
    for (int i = 0; i < 2; i++)
        if (!p->end[i].file)
            close_like(p, fd, i);
    for (int i = 0; i < 2; i++) {
        struct end *e = &p->end[i];
        forget(e);
        if (!e->file)
            continue;
        shut_like(e, fd[i]);
        give_end(e, fd[i]);
        queue_wake(&e->queue, 0);
    }
    unpark_those();
    return 0;
}
