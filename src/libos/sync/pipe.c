/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * pipe(2): a ring of our own, see sync/own.h. As in Linux the ring consists of slots of one page; a
 * write goes on in the last page if all of its odd part fits there. How full a pipe is, and what a
 * short write has written, follows from that.
 */
#include "host/host_event.h"
#include "libos/entry/syscall.h"
#include "libos/process.h"
#include "libos/sync/epoll.h"
#include "libos/sync/own.h"
#include "libos/sync/wait.h"

#define PIPE_FLAGS (O_CLOEXEC | O_NONBLOCK | O_DIRECT)
#define SLOTS      16u

#define READABLE (POLLIN | POLLRDNORM)
#define WRITABLE (POLLOUT | POLLWRNORM)

enum { READER, WRITER };

struct slot {
    char *page; /* kept until the pipe ends */
    uint32_t at, len;
};

struct pipe {
    struct own own;
    struct lock lock;
    struct wait_queue readers, writers;
    struct file *end[2]; /* NULL: closed */
    uint32_t head, tail; /* slots written and read so far */
    struct slot slot[SLOTS];
};

static const struct file_ops host_pipe_ops;

static struct slot *slot_at(struct pipe *p, uint32_t n)
{
    return &p->slot[n % SLOTS];
}

static bool is_empty(const struct pipe *p)
{
    return p->head == p->tail;
}

static bool is_full(const struct pipe *p)
{
    return p->head - p->tail >= SLOTS;
}

/* ---- reading ---- */

/* What is there, up to n bytes; 0: nothing is and nothing will be; -EAGAIN: nothing yet. */
static ssize take(struct pipe *p, char *ubuf, size_t n)
{
    size_t done = 0;
    bool was_full = is_full(p);
    if (is_empty(p))
        return p->end[WRITER] ? -EAGAIN : 0;
    while (done < n && !is_empty(p)) {
        struct slot *s = slot_at(p, p->tail);
        size_t part = MIN(n - done, (size_t)s->len);
        if (copy_to_user(ubuf + done, s->page + s->at, part))
            break;
        s->at += (uint32_t)part;
        s->len -= (uint32_t)part;
        done += part;
        if (!s->len)
            p->tail++;
    }
    if (was_full && !is_full(p))
        queue_wake(&p->writers, WRITABLE);
    return done ? (ssize)done : -EFAULT;
}

static ssize pipe_read(struct file *f, void *ubuf, size_t n, int64_t pos)
{
    struct pipe *p = f->priv;
    struct waiter w;
    (void)pos;
    while (n) {
        lock(&p->lock);
        bool hosts = f->host_fd >= 0;
        ssize r = hosts ? 0 : take(p, ubuf, n);
        bool wait = r == -EAGAIN && !(f->flags & O_NONBLOCK);
        if (wait)
            own_wait_begin(&p->readers, &p->lock, &w);
        queue_unlock(&p->lock);
        if (hosts)
            return file_read(f, ubuf, n, -1);
        if (wait)
            r = own_wait(f, &w, 0);
        if (!wait || r)
            return r;
    }
    return 0;
}

/* ---- writing ---- */

/* The odd part of n bytes, behind what the last slot holds; 0: no room there. */
static ssize merge(struct pipe *p, const char *ubuf, size_t n)
{
    size_t part = n % PAGE_SIZE;
    if (!part || is_empty(p))
        return 0;
    struct slot *s = slot_at(p, p->head - 1);
    if (s->at + s->len + part > PAGE_SIZE)
        return 0;
    if (copy_from_user(s->page + s->at + s->len, ubuf, part))
        return -EFAULT;
    s->len += (uint32_t)part;
    return (ssize)part;
}

/* A new slot with up to a page. */
static ssize append(struct pipe *p, const char *ubuf, size_t n)
{
    struct slot *s = slot_at(p, p->head);
    size_t part = MIN(n, PAGE_SIZE);
    if (!s->page && !(s->page = heap_alloc(PAGE_SIZE)))
        return -ENOMEM;
    if (copy_from_user(s->page, ubuf, part))
        return -EFAULT;
    s->at = 0;
    s->len = (uint32_t)part;
    p->head++;
    return (ssize)part;
}

/* As much as fits, *done bytes further. 0: all of it; -EAGAIN: the rest has to wait. */
static int put(struct pipe *p, const char *ubuf, size_t n, size_t *done, bool may_merge)
{
    ssize r = 0;
    if (!p->end[READER])
        return -EPIPE;
    if (may_merge && (r = merge(p, ubuf, n)) > 0)
        *done += (size_t)r;
    while (r >= 0 && *done < n && !is_full(p))
        if ((r = append(p, ubuf + *done, n - *done)) > 0)
            *done += (size_t)r;
    return r < 0 ? (int)r : *done < n ? -EAGAIN : 0;
}

static ssize broken(size_t done)
{
    own_sigpipe();
    return done ? (ssize)done : -EPIPE;
}

static ssize pipe_write(struct file *f, const void *ubuf, size_t n, int64_t pos)
{
    struct pipe *p = f->priv;
    struct waiter w;
    size_t done = 0;
    (void)pos;
    for (bool first = true; done < n; first = false) {
        lock(&p->lock);
        bool hosts = f->host_fd >= 0;
        int r = hosts ? 0 : put(p, ubuf, n, &done, first);
        queue_wake(&p->readers, READABLE); /* if nothing was written, too: an edge to Linux */
        bool wait = r == -EAGAIN && !(f->flags & O_NONBLOCK);
        if (wait)
            own_wait_begin(&p->writers, &p->lock, &w);
        queue_unlock(&p->lock);
        if (hosts) {
            ssize more = file_write(f, (const char *)ubuf + done, n - done, -1);
            return done ? (ssize)done + MAX(more, 0L) : more;
        }
        if (r == -EPIPE)
            return broken(done);
        if (wait)
            r = own_wait(f, &w, 0);
        if (r)
            return done ? (ssize)done : r;
    }
    return (ssize)done;
}

/* ---- readiness, ends ---- */

static uint32_t pipe_poll(struct file *f, struct waiter *w)
{
    struct pipe *p = f->priv;
    bool reads = (f->flags & O_ACCMODE) == O_RDONLY;
    lock(&p->lock);
    if (w)
        queue_join(reads ? &p->readers : &p->writers, &p->lock, w);
    uint32_t mask = reads ? (is_empty(p) ? 0 : READABLE) | (p->end[WRITER] ? 0 : POLLHUP)
                          : (is_full(p) ? 0 : WRITABLE) | (p->end[READER] ? 0 : POLLERR);
    unlock(&p->lock);
    return mask;
}

static void pipe_free(struct pipe *p)
{
    own_remove(&p->own);
    for (uint32_t i = 0; i < SLOTS; i++)
        heap_free(p->slot[i].page);
    heap_free(p);
}

static void pipe_release(struct file *f)
{
    struct pipe *p = f->priv;
    int which = f == p->end[WRITER];
    lock(&p->lock);
    p->end[which] = NULL;
    bool last = !p->end[!which];
    queue_wake(&p->readers, READABLE | POLLERR | POLLHUP);
    queue_wake(&p->writers, WRITABLE | POLLERR | POLLHUP);
    queue_unlock(&p->lock);
    if (last)
        pipe_free(p);
}

/* ---- as an object of the host ---- */

/* Fills the host's pipe, which blocks nobody yet, slot by slot; what was read of the first one is
 * written and read again, so that later writes find the same room. */
static int pour(struct pipe *p, const int fd[2])
{
    char gone[256];
    for (uint32_t n = p->tail; n != p->head; n++) {
        const struct slot *s = slot_at(p, n);
        size_t whole = (size_t)s->at + s->len;
        if (host_write(fd[WRITER], s->page, whole) != (ssize)whole)
            return -ENOMEM;
        for (uint32_t at = 0, part; at < s->at; at += part) {
            part = MIN(s->at - at, (uint32_t)sizeof(gone));
            if (host_read(fd[READER], gone, part) != (ssize)part)
                return -EIO;
        }
    }
    return 0;
}

static void give_end(struct pipe *p, int which, int fd)
{
    struct file *f = p->end[which];
    if (!f) {
        host_close(fd);
        return;
    }
    host_fcntl(fd, F_SETFL, f->flags & (O_NONBLOCK | O_DIRECT));
    f->host_fd = fd;
    f->ops = &host_pipe_ops;
    __atomic_store_n(&f->kind, FILE_STREAM, __ATOMIC_RELEASE);
    epoll_file_is_hosts(f);
}

static int pipe_to_host(struct own *o)
{
    struct pipe *p = container_of(o, struct pipe, own);
    int fd[2];
    long err = host_pipe(fd, O_NONBLOCK);
    if (err)
        return (int)err;
    err = pour(p, fd);
    if (err) {
        host_close(fd[READER]);
        host_close(fd[WRITER]);
        return (int)err;
    }
    own_remove(o);
    give_end(p, READER, fd[READER]);
    give_end(p, WRITER, fd[WRITER]);
    queue_wake(&p->readers, 0);
    queue_wake(&p->writers, 0);
    unpark_those();
    return 0;
}

static void pipe_hand_over(struct file *f)
{
    own_hand_over(f, &((struct pipe *)f->priv)->own);
}

static const struct file_ops pipe_ops = {.name = "pipe",
                                         .read = pipe_read,
                                         .write = pipe_write,
                                         .poll = pipe_poll,
                                         .to_host = pipe_hand_over,
                                         .release = pipe_release};
static const struct file_ops host_pipe_ops = {.name = "pipe", .release = pipe_release};

/* ---- making one ---- */

static struct pipe *new_pipe(uint32_t status)
{
    struct pipe *p = heap_zalloc(sizeof(*p));
    if (!p)
        return NULL;
    p->own.to_host = pipe_to_host;
    list_init(&p->own.link);
    queue_init(&p->readers);
    queue_init(&p->writers);
    p->end[READER] = file_new(&pipe_ops, FILE_UNSEEN, -1, O_RDONLY | status);
    p->end[WRITER] = file_new(&pipe_ops, FILE_UNSEEN, -1, O_WRONLY | status);
    for (int i = 0; i < 2; i++)
        if (p->end[i])
            p->end[i]->priv = p;
    if (p->end[READER] && p->end[WRITER]) {
        own_add(&p->own);
        return p;
    }
    if (!p->end[READER] && !p->end[WRITER])
        heap_free(p);
    else
        file_put(p->end[READER] ? p->end[READER] : p->end[WRITER]);
    return NULL;
}

static long make_pipe(int *ufds, int flags)
{
    int fds[2];
    if (flags & ~PIPE_FLAGS)
        return -EINVAL;
    struct pipe *p = new_pipe((uint32_t)flags & ~(uint32_t)O_CLOEXEC);
    if (!p)
        return -ENOMEM;
    struct file *reader = p->end[READER], *writer = p->end[WRITER];
    int err = flags & O_DIRECT ? pipe_to_host(&p->own) : 0; /* packets: the host's alone */
    if (err) {
        file_put(reader);
        file_put(writer);
        return err;
    }
    fds[READER] = fd_install(reader, 0, flags & O_CLOEXEC);
    if (fds[READER] < 0) {
        file_put(writer);
        return fds[READER];
    }
    fds[WRITER] = fd_install(writer, 0, flags & O_CLOEXEC);
    if (fds[WRITER] >= 0 && !copy_to_user(ufds, fds, sizeof(fds)))
        return 0;
    fd_close(fds[READER]);
    if (fds[WRITER] < 0)
        return fds[WRITER];
    fd_close(fds[WRITER]);
    return -EFAULT;
}

SYSCALL1(pipe, int *, ufds)
{
    return make_pipe(ufds, 0);
}

SYSCALL2(pipe2, int *, ufds, int, flags)
{
    return make_pipe(ufds, flags);
}
