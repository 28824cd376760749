/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Descriptor tables. */
#include "host/host.h"
#include "libos/fs/vfs.h"
#include "libos/process.h"

#define FD_FIRST_SLOTS 64
#define FD_MOST_SLOTS  (1u << 20)

int fdtable_init(struct fdtable *t)
{
    memset(t, 0, sizeof(*t));
    t->fds = heap_zalloc(FD_FIRST_SLOTS * sizeof(*t->fds));
    if (!t->fds)
        return -ENOMEM;
    t->size = FD_FIRST_SLOTS;
    return 0;
}

static int grow(struct fdtable *t, uint32_t want)
{
    uint32_t size = t->size;
    while (size <= want)
        size *= 2;
    struct fd_entry *n = heap_zalloc(size * sizeof(*n));
    if (!n)
        return -ENOMEM;
    memcpy(n, t->fds, t->size * sizeof(*n));
    __atomic_store_n(&t->fds, n, __ATOMIC_RELEASE);
    __atomic_store_n(&t->size, size, __ATOMIC_RELEASE);
    return 0;
}

static uint64_t fd_limit(void)
{
    return MIN(current_process()->limits[RLIMIT_NOFILE].rlim_cur, (uint64_t)FD_MOST_SLOTS);
}

int fd_install(struct file *f, int from, bool cloexec)
{
    struct fdtable *t = &current_process()->fds;
    lock(&t->lock);
    uint32_t fd = MAX((uint32_t)from, t->first_free);
    while (fd < t->size && t->fds[fd].file)
        fd++;
    int err = fd >= fd_limit() ? -EMFILE : fd >= t->size ? grow(t, fd) : 0;
    if (!err) {
        t->fds[fd] = (struct fd_entry){f, cloexec};
        if ((uint32_t)from <= t->first_free)
            t->first_free = fd + 1;
    }
    unlock(&t->lock);
    if (err) {
        file_put(f);
        return err;
    }
    return (int)fd;
}

static int close_file(struct file *f)
{
    int err = f->ops->flush ? f->ops->flush(f) : 0;
    file_put(f);
    return err;
}

int fd_replace(int fd, struct file *f, bool cloexec)
{
    struct fdtable *t = &current_process()->fds;
    if (fd < 0 || (uint64_t)fd >= fd_limit()) {
        file_put(f);
        return -EBADF;
    }
    lock(&t->lock);
    int err = (uint32_t)fd >= t->size ? grow(t, (uint32_t)fd) : 0;
    struct file *old = NULL;
    if (!err) {
        old = t->fds[fd].file;
        t->fds[fd] = (struct fd_entry){f, cloexec};
    }
    unlock(&t->lock);
    if (err)
        file_put(f);
    if (old)
        close_file(old);
    return err ? err : fd;
}

/* False when the description is being given back. */
static bool get_unless_free(struct file *f)
{
    uint32_t refs = __atomic_load_n(&f->refs, __ATOMIC_ACQUIRE);
    while (refs)
        if (__atomic_compare_exchange_n(&f->refs, &refs, refs + 1, true, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            return true;
    return false;
}

static NOINLINE struct file *get_beside_others(struct fdtable *t, int fd)
{
    for (;;) {
        uint32_t size = __atomic_load_n(&t->size, __ATOMIC_ACQUIRE);
        struct fd_entry *fds = __atomic_load_n(&t->fds, __ATOMIC_ACQUIRE);
        struct file *f =
            (uint32_t)fd < size ? __atomic_load_n(&fds[fd].file, __ATOMIC_ACQUIRE) : NULL;
        if (!f)
            return NULL;
        if (get_unless_free(f)) {
            if (likely(__atomic_load_n(&fds[fd].file, __ATOMIC_ACQUIRE) == f))
                return f;
            file_put(f);
        }
    }
}

struct file *fd_get_unseen(int fd)
{
    struct process *p = current_process();
    struct fdtable *t = &p->fds;
    if (p->nthreads > 1)
        return get_beside_others(t, fd);
    struct file *f = (uint32_t)fd < t->size ? t->fds[fd].file : NULL;
    if (f)
        f->refs++;
    return f;
}

struct file *fd_get(int fd)
{
    struct file *f = fd_get_unseen(fd);
    if (f && unlikely(f->kind == FILE_UNSEEN))
        file_look(f, NULL);
    return f;
}

static struct file *unless_path_only(struct file *f)
{
    if (f && unlikely(f->flags & O_PATH)) {
        file_put(f);
        return NULL;
    }
    return f;
}

struct file *fd_get_io(int fd)
{
    return unless_path_only(fd_get(fd));
}

struct file *fd_get_transfer(int fd)
{
    return unless_path_only(fd_get_unseen(fd));
}

int fd_close(int fd)
{
    struct fdtable *t = &current_process()->fds;
    struct file *f = NULL;
    lock(&t->lock);
    if ((uint32_t)fd < t->size && t->fds[fd].file) {
        f = t->fds[fd].file;
        t->fds[fd].file = NULL;
        t->first_free = MIN(t->first_free, (uint32_t)fd);
    }
    unlock(&t->lock);
    return f ? close_file(f) : -EBADF;
}

void fd_close_on_exec(struct process *p)
{
    for (uint32_t fd = 0; fd < p->fds.size; fd++)
        if (p->fds.fds[fd].file && p->fds.fds[fd].cloexec)
            fd_close((int)fd);
}

void fd_close_all(struct process *p)
{
    for (uint32_t fd = 0; fd < p->fds.size; fd++)
        if (p->fds.fds[fd].file)
            fd_close((int)fd);
}

int fd_copy_table(struct fdtable *dst, struct fdtable *src)
{
    lock(&src->lock);
    dst->lock = (struct lock){0};
    dst->size = src->size;
    dst->first_free = src->first_free;
    dst->fds = heap_alloc(src->size * sizeof(*dst->fds));
    if (dst->fds) {
        memcpy(dst->fds, src->fds, src->size * sizeof(*dst->fds));
        for (uint32_t i = 0; i < dst->size; i++)
            if (dst->fds[i].file)
                file_get(dst->fds[i].file);
    }
    unlock(&src->lock);
    return dst->fds ? 0 : -ENOMEM;
}
