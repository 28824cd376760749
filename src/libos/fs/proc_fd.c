/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* /proc/PID/fd and fdinfo. */
#include "host/host.h"
#include "libos/fs/proc.h"
#include <asm/unistd.h>

/* The path of a description that another one without a path was opened from. */
#define NO_PATH "[no path]"

static long next_fd(const struct pseudo_ref *dir, long from)
{
    struct fdtable *t = &current_process()->fds;
    long found = -1;
    if (proc_is_other(dir))
        return -1;
    lock(&t->lock);
    for (uint32_t fd = (uint32_t)from; found < 0 && fd < t->size; fd++)
        if (t->fds[fd].file)
            found = fd;
    unlock(&t->lock);
    return found;
}

static int fd_of(const struct pseudo_ref *r)
{
    return (int)r->num[r->depth - 1];
}

static bool has_path(const struct file *f)
{
    return f->path && f->path[0] == '/';
}

/* Does the path lead elsewhere by now, or nowhere? Not asked of /proc's own files, which do not go
 * away, and whose descriptors may name themselves. */
static bool is_deleted(struct file *f)
{
    kstat mine, there;
    if (f->mount && f->mount->ops == &fs_proc)
        return false;
    struct path *p = heap_alloc(sizeof(*p));
    if (!p)
        return false;
    int err = path_resolve_kernel(AT_FDCWD, f->path, false, p);
    if (!err)
        err = vfs_stat(p, true, &there);
    heap_free(p);
    if (err)
        return err == -ENOENT || err == -ENOTDIR;
    return file_stat(f, &mine) == 0 && mine.st_ino && there.st_ino &&
           (mine.st_ino != there.st_ino || mine.st_dev != there.st_dev);
}

void proc_real_path(const char *path, char out[PATH_LIMIT])
{
    fmt(out, PATH_LIMIT, "%s", path);
    if (path_real(out))
        fmt(out, PATH_LIMIT, "%s", path);
}

static ssize fd_text(struct file *f, char text[PATH_LIMIT + 16])
{
    if (has_path(f)) {
        /* Its path may lead through /proc/self/fd, and so here again: then it is left as it is. */
        bool again = current()->names_file;
        current()->names_file = true;
        if (!again && is_deleted(f))
            fmt(text, PATH_LIMIT + 16, "%s (deleted)", f->path);
        else if (!again)
            proc_real_path(f->path, text);
        else
            fmt(text, PATH_LIMIT + 16, "%s", f->path);
        current()->names_file = again;
        return (ssize)strlen(text);
    }
    if (f->host_fd < 0)
        return fmt(text, PATH_LIMIT + 16, "anon_inode:[%s]", f->ops->name);
    char host[32];
    fmt(host, sizeof(host), "/proc/self/fd/%d", f->host_fd);
    return host_readlink(host, text, PATH_LIMIT);
}

static ssize fd_link(const struct pseudo_ref *r, char *buf, size_t size)
{
    char text[PATH_LIMIT + 16];
    struct file *f = fd_get(fd_of(r));
    if (!f)
        return -ENOENT;
    ssize n = fd_text(f, text);
    file_put(f);
    if (n < 0)
        return n;
    n = MIN(n, (ssize)size);
    memcpy(buf, text, (size_t)n);
    return n;
}

static bool fd_magic(const struct pseudo_ref *r)
{
    struct file *f = fd_get(fd_of(r));
    bool magic = f && (!has_path(f) || is_deleted(f));
    file_put(f);
    return magic;
}

static int fd_stat(const struct pseudo_ref *r, kstat *st)
{
    struct file *f = fd_get(fd_of(r));
    int err = f ? file_stat(f, st) : -ENOENT;
    file_put(f);
    return err;
}

static int open_on_host(struct file *f, uint32_t flags)
{
    char host[32];
    fmt(host, sizeof(host), "/proc/self/fd/%d", f->host_fd);
    for (;;) { /* the end of a pipe may have to wait for the other */
        int fd = host_open_blocking(host, flags & ~(uint32_t)(O_CREAT | O_EXCL | O_NOFOLLOW), 0);
        if (fd != -EINTR)
            return fd;
        if (interrupted())
            return -ERESTARTSYS;
    }
}

/*
 * Opens again what no path names. What the host holds as it is gets a new description; content of
 * ours (encrypted files) the old one. A file opened for reading only is not opened for writing:
 * the file policy was asked for reading.
 */
static int open_again(struct file *f, uint32_t flags, struct file **out)
{
    uint32_t access = flags & O_ACCMODE;
    if (f->kind == FILE_DIR || (flags & O_PATH && f->host_fd < 0))
        return -ENOENT;
    if (f->kind == FILE_REGULAR && access != O_RDONLY && (f->flags & O_ACCMODE) != O_RDWR &&
        access != (f->flags & O_ACCMODE))
        return -EACCES;
    if (f->host_fd < 0 || f->ops->read || f->ops->write) {
        if (!f->path)
            return -ENXIO;
        file_get(f);
        *out = f;
        return 0;
    }
    int fd = open_on_host(f, flags);
    if (fd < 0)
        return fd;
    int err = file_from_host(fd, flags, out);
    if (err) {
        host_close(fd);
        return err;
    }
    if (!f->priv && !f->ops->release) {
        (*out)->ops = f->ops;
        (*out)->kind = f->kind;
        (*out)->seekable = f->seekable;
    }
    (*out)->mount = f->mount;
    err = file_set_path(*out, has_path(f) ? f->path : NO_PATH);
    if (err)
        file_put(*out);
    return err;
}

static int fd_open(const struct pseudo_ref *r, uint32_t flags, struct file **out)
{
    struct file *f = fd_get(fd_of(r));
    int err = f ? open_again(f, flags, out) : -ENOENT;
    file_put(f);
    return err;
}

static bool is_cloexec(int fd)
{
    struct fdtable *t = &current_process()->fds;
    lock(&t->lock);
    bool on = (uint32_t)fd < t->size && t->fds[fd].cloexec;
    unlock(&t->lock);
    return on;
}

/* What only the host knows of an eventfd or timerfd; not the members of an epoll, which it knows
 * by numbers that mean nothing here. */
static void add_host_info(struct text *t, int host_fd)
{
    char host[40];
    struct text info = {0};
    fmt(host, sizeof(host), "/proc/self/fdinfo/%d", host_fd);
    if (text_add_host(&info, host) == 0)
        for (size_t at = 0, end; at < info.len; at = end) {
            char *nl = memchr(info.data + at, '\n', info.len - at);
            end = nl ? (size_t)(nl - info.data) + 1 : info.len;
            static const char *const kinds[] = {
                "eventfd-", "clockid:", "ticks:", "settime ", "it_", "sigmask:"};
            for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
                if (end - at > strlen(kinds[k]) &&
                    memcmp(info.data + at, kinds[k], strlen(kinds[k])) == 0)
                    text_add_bytes(t, info.data + at, end - at);
        }
    text_free(&info);
}

static int fill_fdinfo(const struct pseudo_ref *r, struct text *t)
{
    int fd = fd_of(r);
    kstat st = {0};
    struct file *f = fd_get(fd);
    if (!f)
        return -ENOENT;
    int64_t pos = f->pos;
    if (f->host_fd >= 0 && f->host_offset)
        pos = MAX(host_lseek(f->host_fd, 0, 1), (int64_t)0);
    file_stat(f, &st);
    uint32_t shown = (f->flags & ~(uint32_t)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC)) |
                     (is_cloexec(fd) ? O_CLOEXEC : 0);
    text_add(t, "pos:\t%ld\nflags:\t0%o\nmnt_id:\t%d\nino:\t%lu\n", pos, shown, 20, st.st_ino);
    if (f->host_fd >= 0)
        add_host_info(t, f->host_fd);
    file_put(f);
    return 0;
}

const struct pseudo_node proc_fd_dir[] = {{.name = "#",
                                           .mode = 0120700,
                                           .next = next_fd,
                                           .link = fd_link,
                                           .magic = fd_magic,
                                           .stat = fd_stat,
                                           .open = fd_open,
                                           .owner = proc_owner},
                                          {.name = NULL}};
const struct pseudo_node proc_fdinfo_dir[] = {
    {.name = "#", .mode = 0100444, .next = next_fd, .fill = fill_fdinfo, .owner = proc_owner},
    {.name = NULL}};
