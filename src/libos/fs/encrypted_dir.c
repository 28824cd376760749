/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "host/host.h"
#include "libos/fs/dir.h"
#include "libos/fs/encrypted_names.h"
#include "libos/fs/links.h"

struct entry { /* struct linux_dirent64 */
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

bool enc_hidden_name(const char *name, size_t len)
{
    static const char suffix[] = ".gramine.recovery";
    size_t n = sizeof(suffix) - 1;
    return len >= n && memcmp(name + len - n, suffix, n) == 0;
}

int enc_host_path(const struct mount *m, const char *rel, char host[PATH_LIMIT])
{
    for (const char *p = rel; *p;) {
        const char *end = strchr(p, '/');
        size_t len = end ? (size_t)(end - p) : strlen(p);
        if (enc_hidden_name(p, len))
            return -ENOENT;
        p += len + (end != NULL);
    }
    /* The files are bound to their paths as written: a link on them is none that the run made. */
    size_t end;
    char target[PATH_LIMIT];
    int made = links_walked() ? links_find(m, rel, false, &end, target) : 0;
    if (made)
        return made < 0 ? made : -ELOOP;
    int err = mount_host_path(m, rel, host);
    struct use u;
    if (!err && !links_walked() && use_is_guarded(m, rel, host)) {
        err = use_begin(&u, m, rel, USE_NAME, false);
        use_end(&u);
    }
    return err;
}

int enc_open_parent(const char *host, uint32_t flags, uint32_t mode)
{
    char dir[PATH_LIMIT];
    const char *slash = strrchr(host, '/');
    size_t len = slash ? (size_t)(slash - host) : 0;
    memcpy(dir, host, len);
    dir[len] = 0;
    return host_open(len ? dir : slash ? "/" : ".", flags, mode);
}

struct filter {
    struct dir_sink sink, *to;
};

static bool emit_shown(struct dir_sink *s, const char *name, size_t len, uint64_t ino, uint8_t type,
                       int64_t next)
{
    struct filter *f = container_of(s, struct filter, sink);
    if (!enc_hidden_name(name, len) && !f->to->emit(f->to, name, len, ino, type, next))
        return false;
    s->cookie = next;
    return true;
}

static int shown_readdir(struct file *f, struct dir_sink *sink)
{
    struct filter filter = {.sink = {emit_shown, sink->cookie}, .to = sink};
    int err = host_dir_ops.readdir(f, &filter.sink);
    sink->cookie = filter.sink.cookie;
    return err;
}

static const struct file_ops dir_ops = {.name = "dir", .readdir = shown_readdir};

int enc_open_dir(const char *host, uint32_t flags, struct file **out)
{
    int fd = host_open(host, flags, 0);
    if (fd < 0)
        return fd;
    int err = file_from_host(fd, flags, out);
    if (err)
        host_close(fd);
    else if ((*out)->kind == FILE_DIR)
        (*out)->ops = &dir_ops;
    return err;
}

int enc_list(const char *host, int (*fn)(void *ctx, const char *name, size_t len, uint8_t type),
             void *ctx)
{
    int fd = host_open(host, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    char *buf = heap_alloc(PAGE_SIZE);
    int err = buf ? 0 : -ENOMEM;
    while (!err) {
        ssize n = host_getdents(fd, buf, PAGE_SIZE);
        if (n <= 0) {
            err = (int)n;
            break;
        }
        for (ssize at = 0; !err && at < n;) {
            struct entry *d = (struct entry *)(buf + at);
            if (d->reclen < 24 || d->reclen > n - at) {
                err = -EIO;
                break;
            }
            size_t len = strnlen(d->name, d->reclen - offsetof(struct entry, name));
            bool dots = len <= 2 && d->name[0] == '.' && (len == 1 || d->name[1] == '.');
            err = dots ? 0 : fn(ctx, d->name, len, d->type);
            at += d->reclen;
        }
    }
    heap_free(buf);
    host_close(fd);
    return err;
}

static int refuse_shown(void *ctx, const char *name, size_t len, uint8_t type)
{
    (void)ctx, (void)type;
    return enc_hidden_name(name, len) ? 0 : -ENOTEMPTY;
}

static int remove_entry(void *ctx, const char *name, size_t len, uint8_t type)
{
    char path[PATH_LIMIT];
    (void)type;
    int n = fmt(path, sizeof(path), "%s/%.*s", (const char *)ctx, (int)len, name);
    return (size_t)n < sizeof(path) ? host_unlink(path, false) : -ENAMETOOLONG;
}

int enc_remove_dir(const char *host)
{
    int err = host_unlink(host, true);
    if (err != -ENOTEMPTY || enc_list(host, refuse_shown, NULL))
        return err;
    err = enc_list(host, remove_entry, (void *)host);
    return err ? err : host_unlink(host, true);
}
