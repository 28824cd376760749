/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Control data of messages (cmsg(3)): descriptors and credentials are translated both ways. */
#include "host/host.h"
#include "libos/fs/dev_own.h"
#include "libos/fs/dir.h"
#include "libos/log.h"
#include "libos/net/net.h"
#include "libos/process.h"
#include "libos/sync/epoll.h"
#include "libos/sync/wait.h"

/* Calls `each` on every well-formed header; stops when that is not 0, which it returns. */
static int walk(char *data, size_t len, int (*each)(struct cmsg *c, void *ctx), void *ctx)
{
    size_t at = 0;
    while (len - at >= sizeof(struct cmsg)) {
        struct cmsg *c = (struct cmsg *)(data + at);
        if (c->len < sizeof(*c) || c->len > len - at)
            break; /* of the application: the host reports it */
        int err = each(c, ctx);
        if (err)
            return err;
        at += ALIGN_UP(c->len, 8UL);
        if (at >= len)
            break;
    }
    return 0;
}

static int hold(struct passed *p, struct file *f)
{
    struct file **files = heap_realloc(p->files, (p->count + 1) * sizeof(struct file *));
    if (!files) {
        file_put(f);
        return -ENOMEM;
    }
    p->files = files;
    p->files[p->count++] = f;
    return 0;
}

int file_passed_fd(struct file *f, int *fd)
{
    if (f->kind == FILE_UNSEEN)
        file_look(f, NULL);
    bool plain_dir = f->ops == &host_dir_ops && f->mount && f->mount->ops == &fs_chroot;
    bool ours = f->ops->read && f->ops != dev_own("null"); /* which the host cannot falsify */
    if (f->host_fd < 0 || ours || (f->ops->readdir && !plain_dir)) {
        log_warning("a descriptor of '%s' cannot be passed over a socket",
                    f->path ? f->path : f->ops->name);
        return -EOPNOTSUPP;
    }
    *fd = f->kind == FILE_EPOLL ? file_poll_fd(f) : f->host_fd;
    return 0;
}

static int send_rights(struct cmsg *c, struct passed *p)
{
    int *fds = (int *)(c + 1);
    size_t n = (c->len - sizeof(*c)) / sizeof(int);
    if (n > MOST_RIGHTS)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        struct file *f = fd_get(fds[i]);
        int err = f ? hold(p, f) : -EBADF;
        if (err)
            return err;
        err = file_passed_fd(f, &fds[i]);
        if (err)
            return err;
    }
    return 0;
}

static bool one_of(uint32_t id, uint32_t a, uint32_t b, uint32_t c)
{
    return id == a || id == b || id == c;
}

/* Ids are emulated: the host knows only who runs us. */
void credentials_to_host(struct ucred_k *cred)
{
    const struct credentials *me = &current_process()->cred;
    if (one_of(cred->uid, me->uid, me->euid, me->suid))
        cred->uid = host_getuid();
    if (one_of(cred->gid, me->gid, me->egid, me->sgid))
        cred->gid = host_getgid();
}

static int send_credentials(struct cmsg *c)
{
    struct ucred_k *cred = (struct ucred_k *)(c + 1);
    if (cred->pid != current_process()->pid)
        return -EPERM;
    credentials_to_host(cred);
    return 0;
}

static int send_one(struct cmsg *c, void *ctx)
{
    if (c->level != SOL_SOCKET)
        return 0;
    if (c->type == SCM_RIGHTS)
        return send_rights(c, ctx);
    if (c->type == SCM_CREDENTIALS && c->len == sizeof(*c) + sizeof(struct ucred_k))
        return send_credentials(c);
    return 1; /* the host refuses it, or takes no notice of what follows */
}

int control_take(const void *ucontrol, size_t len, struct passed *out)
{
    *out = (struct passed){0};
    if (!len)
        return 0;
    if (len > MOST_CONTROL)
        return -ENOBUFS;
    out->data = heap_alloc(len);
    if (!out->data)
        return -ENOMEM;
    out->len = len;
    int err = copy_from_user(out->data, ucontrol, len) ? -EFAULT : 0;
    if (!err)
        err = MIN(walk(out->data, len, send_one, out), 0);
    if (err)
        control_free(out);
    return err;
}

void control_free(struct passed *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        file_put(p->files[i]);
    heap_free(p->files);
    heap_free(p->data);
    *p = (struct passed){0};
}

struct receiving {
    bool cloexec;
    int *flags;
};

/* Paths relative to a directory need to know where it is. */
static int find_directory(struct file *f)
{
    char name[40], inside[PATH_LIMIT], *host = heap_alloc(PATH_LIMIT);
    fmt(name, sizeof(name), "/proc/self/fd/%d", f->host_fd);
    ssize n = host ? host_readlink(name, host, PATH_LIMIT - 1) : -ENOMEM;
    int err = n < 0 ? (int)n : 0;
    if (n >= 0) {
        host[n] = 0;
        struct mount *m = host_to_inside(host, inside);
        if (m)
            err = file_set_path(f, inside);
        if (m && !err)
            f->mount = m;
    }
    heap_free(host);
    return err;
}

static bool is_epoll(int host_fd)
{
    static const char epoll[] = "anon_inode:[eventpoll]";
    char name[40], target[sizeof(epoll)];
    fmt(name, sizeof(name), "/proc/self/fd/%d", host_fd);
    return host_readlink(name, target, sizeof(target)) == sizeof(epoll) - 1 &&
           memcmp(target, epoll, sizeof(epoll) - 1) == 0;
}

int file_adopt(int host_fd, struct file **out)
{
    long flags = host_fcntl(host_fd, F_GETFL, 0);
    if (flags < 0)
        flags = O_RDONLY;
    if (socket_family(host_fd) >= 0)
        return socket_file(host_fd, (uint32_t)flags, out);
    if (is_epoll(host_fd)) {
        int err = epoll_file(host_fd, out);
        if (!err)
            file_poll_fd(*out); /* it has a second process */
        return err;
    }
    int err = file_from_host(host_fd, (uint32_t)flags, out);
    if (err) {
        host_close(host_fd);
        return err;
    }
    err = (*out)->kind == FILE_DIR ? find_directory(*out) : 0;
    if (err)
        file_put(*out);
    return err;
}

static void receive_rights(struct cmsg *c, struct receiving *r)
{
    int *fds = (int *)(c + 1);
    size_t n = (c->len - sizeof(*c)) / sizeof(int), good = 0;
    for (size_t i = 0; i < n; i++) {
        struct file *f;
        if (good < i) { /* no room for an earlier one: nor for this */
            host_close(fds[i]);
            continue;
        }
        int fd = file_adopt(fds[i], &f);
        if (!fd)
            fd = fd_install(f, 0, r->cloexec);
        if (fd >= 0) {
            fds[i] = fd;
            good++;
        }
    }
    if (good < n)
        *r->flags |= MSG_CTRUNC;
    memset(fds + good, 0xff, (n - good) * sizeof(int)); /* -1: no descriptor */
}

void credentials_to_inside(struct ucred_k *cred)
{
    const struct credentials *me = &current_process()->cred;
    if (cred->uid == host_getuid())
        cred->uid = me->uid;
    if (cred->gid == host_getgid())
        cred->gid = me->gid;
}

static int receive_one(struct cmsg *c, void *ctx)
{
    if (c->level == SOL_SOCKET && c->type == SCM_RIGHTS)
        receive_rights(c, ctx);
    if (c->level == SOL_SOCKET && c->type == SCM_CREDENTIALS &&
        c->len >= sizeof(*c) + sizeof(struct ucred_k))
        credentials_to_inside((struct ucred_k *)(c + 1));
    return 0;
}

void control_receive(char *data, size_t len, bool cloexec, int *flags)
{
    struct receiving r = {.cloexec = cloexec, .flags = flags};
    walk(data, len, receive_one, &r);
}
