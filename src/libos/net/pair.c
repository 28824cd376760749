/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Making, watching and closing the ends of a socket pair; see pair.h. */
#include "libos/net/pair.h"
#include "libos/process.h"
#include <asm/socket.h>
#include <asm/ioctls.h>
#include <linux/eventpoll.h>
#include <linux/poll.h>

#define IN_EVENTS  (POLLIN | POLLRDNORM | POLLPRI | POLLRDBAND)
#define OUT_EVENTS (POLLOUT | POLLWRNORM | POLLWRBAND)
#define FIRST_ROOM 212992 /* net.core.wmem_default, where the host does not say */

static bool is_writable(const struct end *e)
{
    return (uint64_t)e->in_flight << 2 <= e->send_room;
}

void end_has_room(struct end *sender)
{
    if (sender->file && is_writable(sender))
        queue_wake(&sender->queue, OUT_EVENTS);
}

struct packet *packet_new(struct end *sender, size_t n)
{
    struct packet *p = n <= SMALL_PACKET ? sender->spare : NULL;
    if (p)
        sender->spare = NULL;
    else
        p = heap_alloc(sizeof(*p) + MAX(n, (size_t)SMALL_PACKET));
    if (p)
        *p = (struct packet){.len = n, .small = n <= SMALL_PACKET};
    return p;
}

void packet_free(struct end *sender, struct packet *p)
{
    if (p->small && !sender->spare)
        sender->spare = p;
    else
        heap_free(p);
}

void packet_drop(struct end *receiver, struct packet *p)
{
    struct end *sender = other_end(receiver);
    list_del(&p->link);
    sender->in_flight -= p->cost;
    end_has_room(sender);
    packet_free(sender, p);
}

static uint32_t pair_poll(struct file *f, struct waiter *w)
{
    struct end *e = end_of(f);
    struct lock *l = &e->pair->lock;
    lock(l);
    if (w)
        queue_join(&e->queue, l, w);
    uint32_t mask = e->error ? POLLERR : 0;
    if (e->shut & RECEIVING)
        mask |= POLLIN | POLLRDNORM | EPOLLRDHUP;
    if (e->shut == (RECEIVING | SENDING))
        mask |= POLLHUP;
    if (!list_empty(&e->packets))
        mask |= POLLIN | POLLRDNORM;
    if (is_writable(e))
        mask |= OUT_EVENTS;
    unlock(l);
    return mask;
}

/* ---- shutting down, closing ---- */

static void wake_all(struct end *e)
{
    if (e->file)
        queue_wake(&e->queue, 0);
}

long pair_shutdown(struct file *f, int how)
{
    struct end *e = end_of(f), *other = other_end(e);
    uint8_t mine = (uint8_t)(how + 1), theirs = 0;
    if (how < 0 || how > 2)
        return -EINVAL;
    if (mine & RECEIVING)
        theirs |= SENDING;
    if (mine & SENDING)
        theirs |= RECEIVING;
    lock(&e->pair->lock);
    e->shut |= mine;
    wake_all(e);
    if (e->pair->type != SOCK_DGRAM && other->file) {
        other->shut |= theirs;
        wake_all(other);
    }
    queue_unlock(&e->pair->lock);
    return 0;
}

/* The files that travel in what nobody will receive, put behind the lock; then the packets. */
static void lose(struct end *e)
{
    struct lock *l = &e->pair->lock;
    for (;;) {
        lock(l);
        bool none = list_empty(&e->packets);
        struct packet *p = none ? NULL : list_entry(e->packets.next, struct packet, link);
        struct file **files = none ? NULL : p->files;
        uint32_t count = none ? 0 : p->count;
        if (p)
            packet_drop(e, p);
        queue_unlock(l);
        if (none)
            return;
        received_free(&(struct received){.files = files, .count = count});
    }
}

/* Linux takes a first packet that is empty for one that has been read. */
static bool has_unread(const struct end *e)
{
    const struct list *first = e->packets.next;
    if (first == &e->packets)
        return false;
    const struct packet *p = list_entry(e->packets.next, struct packet, link);
    return p->at < p->len || first->next != &e->packets;
}

static void pair_release(struct file *f)
{
    struct end *e = end_of(f), *other = other_end(e);
    struct pair *pair = e->pair;
    lock(&pair->lock);
    bool connection = pair->type != SOCK_DGRAM;
    bool unread = has_unread(e);
    e->shut = RECEIVING | SENDING;
    if (other->file && connection) {
        other->shut = RECEIVING | SENDING;
        if (unread)
            other->error = ECONNRESET;
        queue_wake(&other->queue, 0);
    }
    queue_unlock(&pair->lock);
    lose(e);
    lock(&pair->lock);
    e->file = NULL;
    bool last = !other->file;
    unlock(&pair->lock);
    heap_free(e->bound);
    if (!last)
        return;
    own_remove(&pair->own);
    lose(other);
    heap_free(e->spare);
    heap_free(other->spare);
    heap_free(pair);
}

static void pair_hand_over(struct file *f)
{
    own_hand_over(f, &end_of(f)->pair->own);
}

/* ---- as files ---- */

static ssize pair_read(struct file *f, void *ubuf, size_t n, int64_t pos)
{
    struct iovec one = {ubuf, n};
    struct received beside = {.files = NULL};
    (void)pos;
    if (!n)
        return 0;
    ssize r = pair_receive(f, &one, 1, 0, &beside);
    received_free(&beside);
    if (r == -ENOTOWN && !(r = socket_to_host(f)))
        r = file_read(f, ubuf, n, -1);
    return r;
}

static ssize pair_write(struct file *f, const void *ubuf, size_t n, int64_t pos)
{
    struct iovec one = {(void *)(uintptr_t)ubuf, n};
    struct sent nothing = {.files = NULL};
    (void)pos;
    ssize r = pair_send(f, &one, 1, 0, &nothing);
    if (r == -ENOTOWN && !(r = socket_to_host(f)))
        r = file_write(f, ubuf, n, -1);
    return r;
}

static ssize pair_vector(struct file *f, const struct iovec *iov, size_t count, bool write)
{
    struct received beside = {.files = NULL};
    struct sent nothing = {.files = NULL};
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += iov[i].iov_len;
    if (!n) /* not even an empty packet */
        return 0;
    if (write)
        return pair_send(f, iov, count, 0, &nothing);
    ssize r = pair_receive(f, iov, count, 0, &beside);
    received_free(&beside);
    return r;
}

/* How much there is to be received. */
static long pair_ioctl(struct file *f, unsigned cmd, unsigned long arg)
{
    struct end *e = end_of(f);
    size_t n = 0;
    (void)cmd; /* FIONREAD: the others are asked of the host */
    lock(&e->pair->lock);
    list_for_each (it, &e->packets) {
        const struct packet *p = list_entry(it, struct packet, link);
        if (e->pair->type != SOCK_DGRAM || it == e->packets.next)
            n += p->len - p->at;
    }
    unlock(&e->pair->lock);
    int bytes = (int)n;
    return put_user((int *)arg, bytes) ? -EFAULT : 0;
}

const struct file_ops pair_ops = {.name = "socket",
                                  .read = pair_read,
                                  .write = pair_write,
                                  .vector = pair_vector,
                                  .ioctl = pair_ioctl,
                                  .poll = pair_poll,
                                  .to_host = pair_hand_over,
                                  .release = pair_release};
const struct file_ops host_pair_ops = {.name = "socket", .release = pair_release};

/* ---- making them ---- */

/* SO_SNDBUF and SO_RCVBUF of a new socket; atomic, asked of the host once. */
static uint32_t first_room[2];

static uint32_t ask_room(int fd, int option)
{
    int room = 0, len = sizeof(room);
    bool good = fd >= 0 && !host_option_get(fd, SOL_SOCKET, option, &room, &len) && room > 0;
    return good ? (uint32_t)room : FIRST_ROOM;
}

static void learn_rooms(void)
{
    if (likely(__atomic_load_n(&first_room[1], __ATOMIC_ACQUIRE)))
        return;
    int fd = host_socket(AF_UNIX, SOCK_STREAM, 0);
    __atomic_store_n(&first_room[0], ask_room(fd, SO_SNDBUF), __ATOMIC_RELEASE);
    __atomic_store_n(&first_room[1], ask_room(fd, SO_RCVBUF), __ATOMIC_RELEASE);
    if (fd >= 0)
        host_close(fd);
}

int pair_make(int type, uint32_t flags, struct file *files[2])
{
    const struct process *me = current_process();
    struct pair *p = heap_zalloc(sizeof(*p));
    if (!p)
        return -ENOMEM;
    learn_rooms();
    p->type = type;
    p->maker = (struct ucred_k){me->pid, me->cred.euid, me->cred.egid};
    p->own.to_host = pair_to_host;
    list_init(&p->own.link);
    for (int i = 0; i < 2; i++) {
        struct end *e = &p->end[i];
        e->pair = p;
        e->send_room = first_room[0];
        e->receive_room = first_room[1];
        list_init(&e->packets);
        queue_init(&e->queue);
        files[i] = e->file = file_new(&pair_ops, FILE_UNSEEN, -1, O_RDWR | flags);
        if (e->file)
            e->file->priv = e;
    }
    if (files[0] && files[1]) {
        own_add(&p->own);
        return 0;
    }
    if (!files[0] && !files[1])
        heap_free(p);
    else
        file_put(files[0] ? files[0] : files[1]);
    return -ENOMEM;
}
