/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The typed host calls that send and receive; see host_net.h. Without an arena the data goes
 * between the application's buffers and the host directly. With one it is gathered and scattered,
 * in pieces of at most ARENA_PIECE bytes; a packet is one piece.
 */
#include "host/arena.h"
#include "host/host_net.h"
#include <asm/socket.h>

#define SOL_SOCKET_  1
#define SOCK_STREAM  1
#define MSG_TRUNC    0x20
#define MSG_WAITALL  0x100
#define MSG_PEEK     0x2
#define LONGEST_MSG  INT32_MAX
#define MSG_DONTWAIT 0x40
#define AF_UNIX_     1

/* What does not wait is not interrupted. */
static long leave(long nr, int fd, const void *m, int flags)
{
    return flags & MSG_DONTWAIT ? host_syscall(nr, fd, (long)m, flags, 0, 0, 0)
                                : host_syscall_blocking(nr, fd, (long)m, flags, 0, 0, 0);
}

static size_t total(const struct msg *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->iov_len; i++)
        n += MIN(m->iov[i].iov_len, (size_t)LONGEST_MSG);
    return n;
}

/* With MSG_TRUNC the length of the packet, of which only the start has come. */
static ssize received(long r, size_t n, int flags)
{
    return host_length(r, unlikely(flags & MSG_TRUNC) ? MAX(n, (size_t)LONGEST_MSG) : n);
}

/* Every header lies within the data, and says so of what follows it; the last one may be cut. */
static bool control_ok(const char *data, size_t len)
{
    size_t at = 0;
    while (at < len && len - at >= sizeof(struct cmsg)) {
        const struct cmsg *c = (const struct cmsg *)(data + at);
        if (c->len < sizeof(*c) || c->len > len - at)
            return false;
        at += ALIGN_UP(c->len, 8UL);
    }
    return true;
}

/* What the host has written into a message besides the data. */
static bool message_ok(const struct msg *given, const struct msg *got)
{
    if (got->control_len > given->control_len || !control_ok(given->control, got->control_len))
        return false;
    if (!given->name)
        return true;
    struct address from = {.len = (uint32_t)got->name_len};
    memcpy(&from.at, given->name, MIN((size_t)given->name_len, sizeof(from.at)));
    return host_address_ok(&from, (uint32_t)given->name_len);
}

static void take_lengths(struct msg *m, const struct msg *got)
{
    m->name_len = got->name_len;
    m->control_len = got->control_len;
    m->flags = got->flags;
}

#if !PLATFORM_ARENA

ssize host_sendto(int fd, const void *ubuf, size_t n, int flags, const struct address *to)
{
    return host_length(host_syscall_blocking(__NR_sendto, fd, (long)ubuf, (long)n, flags,
                                             (long)(to ? &to->at : NULL), to ? to->len : 0),
                       n);
}

ssize host_recvfrom(int fd, void *ubuf, size_t n, int flags, struct address *from)
{
    if (from)
        *from = (struct address){.len = sizeof(from->at)};
    ssize r = received(host_syscall_blocking(__NR_recvfrom, fd, (long)ubuf, (long)n, flags,
                                             (long)(from ? &from->at : NULL),
                                             (long)(from ? &from->len : NULL)),
                       n, flags);
    return r < 0 || !from || host_address_ok(from, sizeof(from->at)) ? r : -EIO;
}

ssize host_sendmsg(int fd, const struct msg *m, int flags)
{
    return host_length(leave(__NR_sendmsg, fd, m, flags), total(m));
}

ssize host_recvmsg(int fd, struct msg *m, int flags)
{
    const struct msg given = *m;
    ssize r = received(leave(__NR_recvmsg, fd, m, flags), total(m), flags);
    if (r < 0)
        return r;
    struct msg got = *m;
    *m = given;
    take_lengths(m, &got);
    return message_ok(&given, &got) ? r : -EIO;
}

#else

/* The place in a message's buffers up to which they have been used. */
struct cursor {
    const struct iovec *iov;
    size_t at; /* in the first of them */
};

/* `n` more bytes of the buffers, out of them or into them. 0 or -EFAULT. */
static int move(struct cursor *c, char *outside, size_t n, bool out)
{
    while (n) {
        size_t part = MIN(n, c->iov->iov_len - c->at);
        char *inside = (char *)c->iov->iov_base + c->at;
        if (part && (out ? give_user(outside, inside, part) : take_user(inside, outside, part)))
            return -EFAULT;
        outside += part;
        n -= part;
        c->at += part;
        if (c->at == c->iov->iov_len)
            *c = (struct cursor){.iov = c->iov + 1};
    }
    return 0;
}

static ssize send_piece(int fd, const struct msg *m, struct cursor *c, size_t n, int flags)
{
    ARENA;
    struct iovec one = {room_for(n), n};
    if (move(c, one.iov_base, n, true))
        return -EFAULT;
    struct msg out = {.name = give(m->name, (size_t)m->name_len),
                      .name_len = m->name_len,
                      .iov = give(&one, sizeof(one)),
                      .iov_len = 1,
                      .control = give(m->control, m->control_len),
                      .control_len = m->control_len};
    return host_length(leave(__NR_sendmsg, fd, give(&out, sizeof(out)), flags), n);
}

static bool is_stream(int fd)
{
    int type = 0, len = sizeof(type);
    return !host_option_get(fd, SOL_SOCKET_, SO_TYPE, &type, &len) && type == SOCK_STREAM;
}

ssize host_sendmsg(int fd, const struct msg *m, int flags)
{
    struct cursor c = {.iov = m->iov};
    struct msg rest = *m;
    size_t n = total(m), done = 0, part;
    ssize r;
    if (n > ARENA_PIECE && !is_stream(fd))
        return -EMSGSIZE;
    do {
        part = MIN(n - done, ARENA_PIECE);
        r = send_piece(fd, &rest, &c, part, flags);
        done += r > 0 ? (size_t)r : 0;
        rest = (struct msg){.name = NULL}; /* the first bytes took it along */
    } while (r == (ssize)part && done < n);
    return done ? (ssize)done : r;
}

/* tcp(7): with MSG_TRUNC the bytes are dropped, not copied. */
static bool drops(int fd, int flags)
{
    int domain = 0, len = sizeof(domain);
    return flags & MSG_TRUNC && is_stream(fd) &&
           !host_option_get(fd, SOL_SOCKET_, SO_DOMAIN, &domain, &len) && domain != AF_UNIX_;
}

static ssize receive_piece(int fd, struct msg *m, struct cursor *c, size_t n, int flags)
{
    ARENA;
    bool dropped = drops(fd, flags);
    if (n && !dropped && !arena_reach_vector(c->iov, c->at, n, true))
        return -EFAULT;
    struct iovec one = {room_for(n), n};
    struct msg got, out = {.name = room(m->name, (size_t)m->name_len),
                           .name_len = m->name_len,
                           .iov = give(&one, sizeof(one)),
                           .iov_len = 1,
                           .control = room(m->control, m->control_len),
                           .control_len = m->control_len};
    struct msg *at = give(&out, sizeof(out));
    ssize r = received(leave(__NR_recvmsg, fd, at, flags), n, flags);
    if (r < 0)
        return r;
    take(&got, at, sizeof(got));
    take(m->name, out.name, (size_t)m->name_len);
    take(m->control, out.control, m->control_len);
    const struct msg given = *m;
    take_lengths(m, &got);
    if (!message_ok(&given, &got))
        return -EIO;
    return !dropped && move(c, one.iov_base, MIN((size_t)r, n), false) ? -EFAULT : r;
}

/* Only where all of it was asked for does a second piece follow. */
ssize host_recvmsg(int fd, struct msg *m, int flags)
{
    struct cursor c = {.iov = m->iov};
    struct msg rest = {.name = NULL};
    size_t n = total(m), done = MIN(n, ARENA_PIECE), part = done;
    ssize r = receive_piece(fd, m, &c, part, flags);
    if (r != (ssize)part || done == n || !(flags & MSG_WAITALL) || flags & MSG_PEEK ||
        !is_stream(fd))
        return r;
    do {
        part = MIN(n - done, ARENA_PIECE);
        r = receive_piece(fd, &rest, &c, part, flags);
        done += r > 0 ? (size_t)r : 0;
    } while (r == (ssize)part && done < n);
    return (ssize)done;
}

ssize host_sendto(int fd, const void *ubuf, size_t n, int flags, const struct address *to)
{
    struct iovec one = {(void *)(uintptr_t)ubuf, n};
    struct msg m = {.iov = &one, .iov_len = 1};
    if (to) {
        m.name = (void *)(uintptr_t)&to->at;
        m.name_len = (int)to->len;
    }
    return host_sendmsg(fd, &m, flags);
}

ssize host_recvfrom(int fd, void *ubuf, size_t n, int flags, struct address *from)
{
    struct iovec one = {ubuf, n};
    struct msg m = {.iov = &one, .iov_len = 1};
    if (from) {
        m.name = &from->at;
        m.name_len = sizeof(from->at);
    }
    ssize r = host_recvmsg(fd, &m, flags);
    if (r >= 0 && from)
        from->len = (uint32_t)m.name_len;
    return r;
}

#endif
