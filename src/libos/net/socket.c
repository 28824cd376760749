/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Making, naming and connecting sockets. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/net/host_object.h"
#include "libos/fs/links.h"
#include "libos/net/pair.h"
#include "libos/process.h"
#include "libos/thread.h"
#include <asm/socket.h>

#define NETLINK_ROUTE 0

/* The name that the application bound, as it wrote it; priv of the file. */
static void socket_release(struct file *f)
{
    heap_free(f->priv);
}

const struct file_ops socket_ops = {.name = "socket", .release = socket_release};

int socket_get(int fd, struct file **out)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    if (f->host_fd < 0) {
        file_put(f);
        return -ENOTSOCK;
    }
    *out = f;
    return 0;
}

int socket_get_any(int fd, struct file **out)
{
    struct file *f = fd_get_transfer(fd);
    if (!f)
        return -EBADF;
    if (f->kind == FILE_UNSEEN && !is_own_pair(f))
        file_look(f, NULL);
    if (f->host_fd < 0 && !is_own_pair(f)) {
        file_put(f);
        return -ENOTSOCK;
    }
    *out = f;
    return 0;
}

int socket_to_host(struct file *f)
{
    if (likely(!is_own_pair(f)))
        return 0;
    file_look(f, NULL);
    return is_own_pair(f) ? -ENOBUFS : 0;
}

struct address **socket_bound(struct file *f)
{
    if (f->ops == &socket_ops)
        return (struct address **)&f->priv;
    return f->ops == &host_pair_ops ? &end_of(f)->bound : NULL;
}

int socket_file(long host_fd, uint32_t flags, struct file **out)
{
    return host_object_file(host_fd, &socket_ops, FILE_SOCKET, O_RDWR | (flags & O_NONBLOCK), out);
}

static int install(long host_fd, int flags)
{
    struct file *f;
    int err = socket_file(host_fd, (uint32_t)flags, &f);
    return err ? err : fd_install(f, 0, flags & SOCK_CLOEXEC);
}

static int check_kind(int domain, int type, int protocol)
{
    if (type & ~(SOCK_TYPE_MASK | SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    switch (domain) {
    case AF_UNIX:
    case AF_INET:
    case AF_INET6:
        return 0;
    case AF_NETLINK: /* what libc asks about interfaces and addresses */
        return protocol == NETLINK_ROUTE ? 0 : -EPROTONOSUPPORT;
    }
    return -EAFNOSUPPORT;
}

SYSCALL3(socket, int, domain, int, type, int, protocol)
{
    int err = check_kind(domain, type, protocol);
    if (err)
        return err;
    return install(host_socket(domain, type, protocol), type);
}

static int host_pair(int domain, int type, int protocol, struct file *files[2])
{
    int fd[2];
    int err = host_socketpair(domain, type, protocol, fd);
    if (err)
        return err;
    err = socket_file(fd[0], (uint32_t)type, &files[0]);
    if (err) {
        host_close(fd[1]);
        return err;
    }
    err = socket_file(fd[1], (uint32_t)type, &files[1]);
    if (err)
        file_put(files[0]);
    return err;
}

SYSCALL4(socketpair, int, domain, int, type, int, protocol, int *, ufds)
{
    int fds[2];
    struct file *files[2];
    int err = check_kind(domain, type, protocol);
    if (err)
        return err;
    int kind = type & SOCK_TYPE_MASK;
    bool own = domain == AF_UNIX && !protocol &&
               (kind == SOCK_STREAM || kind == SOCK_DGRAM || kind == SOCK_SEQPACKET);
    err = own ? pair_make(kind, (uint32_t)type & O_NONBLOCK, files)
              : host_pair(domain, type, protocol, files);
    if (err)
        return err;
    fds[0] = fd_install(files[0], 0, type & SOCK_CLOEXEC);
    if (fds[0] < 0) {
        file_put(files[1]);
        return fds[0];
    }
    fds[1] = fd_install(files[1], 0, type & SOCK_CLOEXEC);
    if (fds[1] >= 0 && !copy_to_user(ufds, fds, sizeof(fds)))
        return 0;
    fd_close(fds[0]);
    if (fds[1] < 0)
        return fds[1];
    fd_close(fds[1]);
    return -EFAULT;
}

int socket_family(int host_fd)
{
    int family = 0, len = sizeof(family);
    int err = host_option_get(host_fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
    return err ? err : family;
}

long socket_interrupted(struct file *f, int timeout_option)
{
    int64_t limit[2] = {0};
    int len = sizeof(limit);
    int err = host_option_get(f->host_fd, SOL_SOCKET, timeout_option, limit, &len);
    return !err && (limit[0] || limit[1]) ? -EINTR : -ERESTARTSYS;
}

/* getsockname shows what was bound, not where the host has it. */
static void remember_name(struct file *f, const void *uaddr, int len)
{
    struct address *a = heap_zalloc(sizeof(*a));
    if (!a || copy_from_user(&a->at, uaddr, (size_t)len) || a->at.ss_family != AF_UNIX) {
        heap_free(a);
        return;
    }
    a->len = (uint32_t)len;
    const struct sockaddr_un *un = (const struct sockaddr_un *)&a->at;
    size_t at = offsetof(struct sockaddr_un, sun_path);
    if ((size_t)len > at && un->sun_path[0]) /* the kernel counts one NUL */
        a->len = (uint32_t)(at + strnlen(un->sun_path, (size_t)len - at) + 1);
    struct address *none = NULL;
    if (!__atomic_compare_exchange_n(socket_bound(f), &none, a, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
        heap_free(a);
}

/*
 * Binds a name below the host directory dir_fd. The host's working directory is its threads' in
 * common, and launcher-relative mounts need it: it changes for this thread alone, or not at all.
 */
static long bind_below(int host_fd, const struct address *a, int dir_fd)
{
    long r = current_process()->nthreads > 1 ? host_unshare_cwd() : 0;
    int back = r ? (int)r : host_open(".", O_PATH | O_DIRECTORY, 0);
    if (back < 0)
        return back;
    r = host_fchdir(dir_fd);
    if (!r)
        r = host_bind(host_fd, a);
    host_fchdir(back);
    host_close(back);
    return r;
}

/* The file that appears has the mode of the socket as it is now, less the host's umask, which is 0
 * (unix_bind_bsd). */
static long bind_path(int host_fd, const struct address *a, int dir_fd)
{
    kstat st = {0};
    long r = host_fstat(host_fd, &st);
    if (r)
        return r;
    r = host_fchmod(host_fd, st.st_mode & 07777 & ~current_process()->fs.umask);
    if (!r)
        r = dir_fd >= 0 ? bind_below(host_fd, a, dir_fd) : host_bind(host_fd, a);
    host_fchmod(host_fd, st.st_mode & 07777);
    return r;
}

/* Not in the file system: a name that is generated may be taken already. */
static long bind_unnamed(struct file *f, struct address *a)
{
    struct address generated;
    for (int tries = 0; tries < 100; tries++) {
        generated = *a;
        if (address_generate(f, &generated))
            break;
        long r = host_bind(f->host_fd, &generated);
        if (r != -EADDRINUSE)
            return r;
    }
    return host_bind(f->host_fd, a);
}

SYSCALL3(bind, int, fd, const void *, uaddr, int, len)
{
    struct file *f;
    struct address a;
    int dir_fd = -1;
    long r = socket_get(fd, &f);
    if (r)
        return r;
    bool unwalked = !links_made(), kept = false;
    if (!unwalked)
        r = links_keep();
    kept = !unwalked && !r;
    if (!r)
        r = address_take(f, uaddr, len, TO_BIND, &a, &dir_fd);
    unwalked = unwalked && !r;
    if (unwalked && !links_hold())
        r = -ERESTARTNOINTR;
    size_t family_only = offsetof(struct sockaddr_un, sun_path);
    if (!r && a.at.ss_family == AF_UNIX && a.len > family_only &&
        ((struct sockaddr_un *)&a.at)->sun_path[0])
        r = bind_path(f->host_fd, &a, dir_fd);
    else if (!r)
        r = bind_unnamed(f, &a);
    if (!r && socket_bound(f) && (size_t)len > family_only && a.at.ss_family == AF_UNIX)
        remember_name(f, uaddr, len);
    if (unwalked)
        links_release();
    if (kept)
        links_let_go();
    if (dir_fd >= 0)
        host_close(dir_fd);
    file_put(f);
    return r;
}

SYSCALL3(connect, int, fd, const void *, uaddr, int, len)
{
    struct file *f;
    struct address a;
    int dir_fd = -1;
    long r = socket_get(fd, &f);
    if (r)
        return r;
    r = address_take(f, uaddr, len, TO_CONNECT, &a, &dir_fd);
    if (!r) {
        do
            r = host_connect(f->host_fd, &a);
        while (r == -EINTR && !interrupted());
        if (r == -EINTR)
            r = socket_interrupted(f, SO_SNDTIMEO_OLD);
    }
    if (dir_fd >= 0)
        host_close(dir_fd);
    file_put(f);
    return r;
}

SYSCALL2(listen, int, fd, int, backlog)
{
    struct file *f;
    long r = socket_get(fd, &f);
    if (r)
        return r;
    r = host_listen(f->host_fd, backlog);
    file_put(f);
    return r;
}

static long accept_on(struct file *f, void *uaddr, int *ulen, int flags)
{
    struct address a;
    struct file *peer;
    long r;
    do
        r = host_accept(f->host_fd, flags, &a);
    while (r == -EINTR && !interrupted());
    if (r == -EINTR)
        return socket_interrupted(f, SO_RCVTIMEO_OLD);
    r = socket_file(r, (uint32_t)flags, &peer);
    if (r)
        return r;
    address_to_inside(&a);
    r = address_give(&a, uaddr, ulen);
    if (!r)
        return fd_install(peer, 0, flags & SOCK_CLOEXEC);
    file_put(peer);
    return r;
}

SYSCALL4(accept4, int, fd, void *, uaddr, int *, ulen, int, flags)
{
    struct file *f;
    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    long r = socket_get(fd, &f);
    if (r)
        return r;
    r = accept_on(f, uaddr, ulen, flags);
    file_put(f);
    return r;
}

SYSCALL3(accept, int, fd, void *, uaddr, int *, ulen)
{
    return do_accept4(fd, uaddr, ulen, 0);
}

static long tell_name(int fd, bool peer, void *uaddr, int *ulen)
{
    struct file *f;
    struct address a;
    long r = socket_get_any(fd, &f);
    if (r)
        return r;
    r = is_own_pair(f) ? pair_name(f, peer, &a) : host_socket_name(f->host_fd, peer, &a);
    struct address **place = socket_bound(f);
    const struct address *bound = place ? *place : NULL;
    if (!r && !peer && bound)
        a = *bound;
    else if (!r)
        address_to_inside(&a);
    if (!r)
        r = uaddr ? address_give(&a, uaddr, ulen) : -EFAULT;
    file_put(f);
    return r;
}

SYSCALL3(getsockname, int, fd, void *, uaddr, int *, ulen)
{
    return tell_name(fd, false, uaddr, ulen);
}

SYSCALL3(getpeername, int, fd, void *, uaddr, int *, ulen)
{
    return tell_name(fd, true, uaddr, ulen);
}

SYSCALL2(shutdown, int, fd, int, how)
{
    struct file *f;
    long r = socket_get_any(fd, &f);
    if (r)
        return r;
    r = is_own_pair(f) ? pair_shutdown(f, how) : host_shutdown(f->host_fd, how);
    file_put(f);
    return r;
}
