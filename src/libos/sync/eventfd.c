/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * eventfd(2): a counter of our own, see sync/own.h. Without sys.insecure__allow_eventfd children
 * cannot use it: it is its process's own for good, as where the host is not trusted with it.
 */
#include "host/host_event.h"
#include "libos/entry/syscall.h"
#include "libos/log.h"
#include "libos/process.h"
#include "libos/sync/epoll.h"
#include "libos/sync/eventfd.h"
#include "libos/sync/own.h"
#include "libos/sync/wait.h"

#define EFD_SEMAPHORE 1
#define EFD_CLOEXEC   O_CLOEXEC
#define EFD_NONBLOCK  O_NONBLOCK

struct eventfd {
    struct own own;
    struct lock lock;
    struct wait_queue queue;
    struct file *file;
    uint64_t count;
    bool semaphore;
};

static const struct file_ops host_eventfd_ops;

/* One attempt, under the lock: 8, or -EAGAIN. */
static ssize take(struct eventfd *e, uint64_t *value)
{
    if (!e->count)
        return -EAGAIN;
    *value = e->semaphore ? 1 : e->count;
    e->count -= *value;
    queue_wake(&e->queue, POLLOUT);
    return sizeof(*value);
}

static ssize add(struct eventfd *e, uint64_t *value)
{
    if (UINT64_MAX - e->count <= *value)
        return -EAGAIN;
    e->count += *value;
    queue_wake(&e->queue, POLLIN);
    return sizeof(*value);
}

/* Makes attempts until one succeeds. 0: the counter has become the host's. */
static ssize attempt(struct file *f, ssize (*once)(struct eventfd *e, uint64_t *value),
                     uint64_t *value)
{
    struct eventfd *e = f->priv;
    struct waiter w;
    for (;;) {
        lock(&e->lock);
        ssize r = f->host_fd >= 0 ? 0 : once(e, value);
        bool wait = r == -EAGAIN && !(f->flags & O_NONBLOCK);
        if (wait)
            own_wait_begin(&e->queue, &e->lock, &w);
        queue_unlock(&e->lock);
        if (wait)
            r = own_wait(f, &w, 0);
        if (!wait || r)
            return r;
    }
}

static ssize eventfd_read(struct file *f, void *ubuf, size_t n, int64_t pos)
{
    uint64_t value;
    (void)pos;
    if (n < sizeof(value))
        return -EINVAL;
    ssize r = attempt(f, take, &value);
    if (r == 0)
        return file_read(f, ubuf, n, -1);
    if (r > 0 && copy_to_user(ubuf, &value, sizeof(value)))
        return -EFAULT;
    return r;
}

static ssize eventfd_write(struct file *f, const void *ubuf, size_t n, int64_t pos)
{
    uint64_t value;
    (void)pos;
    if (n != sizeof(value)) /* since Linux 6.9; a longer write counted for its start before */
        return -EINVAL;
    if (copy_from_user(&value, ubuf, sizeof(value)))
        return -EFAULT;
    if (value == UINT64_MAX)
        return -EINVAL;
    ssize r = attempt(f, add, &value);
    return r ? r : file_write(f, ubuf, n, -1);
}

static uint32_t eventfd_poll(struct file *f, struct waiter *w)
{
    struct eventfd *e = f->priv;
    lock(&e->lock);
    if (w)
        queue_join(&e->queue, &e->lock, w);
    uint32_t mask = (e->count ? POLLIN : 0) | (e->count < UINT64_MAX - 1 ? POLLOUT : 0);
    unlock(&e->lock);
    return mask;
}

/* The host takes 32 bits at its making and the rest as a write. */
static long eventfd_on_host(uint64_t count, int flags)
{
    uint64_t rest = count > UINT32_MAX ? count - UINT32_MAX : 0;
    int fd = host_eventfd((uint32_t)(count - rest), flags);
    if (fd >= 0 && rest && host_event_add(fd, rest)) {
        host_close(fd);
        return -EIO;
    }
    return fd;
}

static int eventfd_to_host(struct own *o)
{
    struct eventfd *e = container_of(o, struct eventfd, own);
    struct file *f = e->file;
    int flags = (f->flags & O_NONBLOCK ? EFD_NONBLOCK : 0) | (e->semaphore ? EFD_SEMAPHORE : 0);
    long fd = eventfd_on_host(e->count, flags);
    if (fd < 0)
        return (int)fd;
    f->host_fd = (int)fd;
    f->ops = &host_eventfd_ops;
    __atomic_store_n(&f->kind, FILE_EVENTFD, __ATOMIC_RELEASE);
    own_remove(o);
    epoll_file_is_hosts(f);
    queue_wake(&e->queue, 0);
    unpark_those();
    return 0;
}

static void eventfd_hand_over(struct file *f)
{
    own_hand_over(f, &((struct eventfd *)f->priv)->own);
}

static void eventfd_release(struct file *f)
{
    struct eventfd *e = f->priv;
    own_remove(&e->own);
    heap_free(e);
}

/* Of the parent, in its child. */
static ssize refuse_read(struct file *f, void *ubuf, size_t n, int64_t pos)
{
    static bool told; /* atomic; once is enough */
    (void)f, (void)ubuf, (void)n, (void)pos;
    if (!__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
        log_warning("an eventfd of the parent process is refused in its child: set "
                    "sys.insecure__allow_eventfd if processes are to share it");
    return -EIO;
}

static ssize refuse_write(struct file *f, const void *ubuf, size_t n, int64_t pos)
{
    (void)ubuf;
    return refuse_read(f, NULL, n, pos);
}

static const struct file_ops eventfd_ops = {.name = "anon_inode:[eventfd]",
                                            .read = eventfd_read,
                                            .write = eventfd_write,
                                            .poll = eventfd_poll,
                                            .to_host = eventfd_hand_over,
                                            .release = eventfd_release};
static const struct file_ops host_eventfd_ops = {.name = "anon_inode:[eventfd]",
                                                 .release = eventfd_release};
static const struct file_ops refused_eventfd_ops = {.name = "anon_inode:[eventfd]",
                                                    .read = refuse_read,
                                                    .write = refuse_write,
                                                    .release = eventfd_release};

static bool any_eventfd; /* atomic; one was made, here or by an ancestor */

void eventfd_in_child(struct fdtable *t)
{
    if (run.manifest.image->allow_eventfd || !__atomic_load_n(&any_eventfd, __ATOMIC_RELAXED))
        return;
    for (uint32_t fd = 0; fd < t->size; fd++) {
        struct file *f = t->fds[fd].file;
        if (f && f->ops == &host_eventfd_ops)
            f->ops = &refused_eventfd_ops;
    }
}

static long make_eventfd(uint32_t count, int flags)
{
    if (flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK))
        return -EINVAL;
    struct eventfd *e = heap_zalloc(sizeof(*e));
    struct file *f =
        e ? file_new(&eventfd_ops, FILE_UNSEEN, -1, O_RDWR | ((uint32_t)flags & EFD_NONBLOCK))
          : NULL;
    if (!f) {
        heap_free(e);
        return -ENOMEM;
    }
    e->own.to_host = eventfd_to_host;
    e->file = f;
    e->count = count;
    __atomic_store_n(&any_eventfd, true, __ATOMIC_RELAXED);
    e->semaphore = flags & EFD_SEMAPHORE;
    queue_init(&e->queue);
    f->priv = e;
    own_add(&e->own);
    return fd_install(f, 0, flags & EFD_CLOEXEC);
}

SYSCALL1(eventfd, uint32_t, count)
{
    return make_eventfd(count, 0);
}

SYSCALL2(eventfd2, uint32_t, count, int, flags)
{
    return make_eventfd(count, flags);
}
