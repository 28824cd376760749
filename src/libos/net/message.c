/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Sending and receiving, by the host or between the ends of an own pair (pair.h). */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/net/pair.h"
#include "libos/proc/vdso.h"
#include "libos/thread.h"
#include <asm/socket.h>
#include <linux/time.h>

#define MOST_IOV      1024
#define FEW_IOV       8
#define MOST_TRANSFER 0x7ffff000UL
#define MOST_MESSAGES 1024u

struct mmsg {
    struct msg msg;
    uint32_t len;
};

/* Is a blocking call to be made again, which was interrupted by nothing for the application? */
static bool again(struct file *f, int timeout_option, long *r)
{
    if (likely(*r != -EINTR))
        return false;
    if (!interrupted())
        return true;
    *r = socket_interrupted(f, timeout_option);
    return false;
}

static long receive_from(struct file *f, void *ubuf, size_t n, int flags, struct address *from)
{
    long r = socket_to_host(f);
    if (r)
        return r;
    do
        r = host_recvfrom(f->host_fd, ubuf, n, flags, from);
    while (again(f, SO_RCVTIMEO_OLD, &r));
    return r;
}

/* uaddr NULL: to nobody named. */
static long send_to(struct file *f, const void *ubuf, size_t n, int flags, const void *uaddr,
                    int len)
{
    struct address a = {.len = 0};
    int dir_fd = -1;
    long r = socket_to_host(f);
    if (!r && uaddr)
        r = address_take(f, uaddr, len, TO_SEND, &a, &dir_fd);
    if (!r) {
        do
            r = host_sendto(f->host_fd, ubuf, n, flags, uaddr ? &a : NULL);
        while (again(f, SO_SNDTIMEO_OLD, &r));
    }
    if (dir_fd >= 0)
        host_close(dir_fd);
    return r;
}

SYSCALL6(sendto, int, fd, const void *, ubuf, size_t, n, int, flags, const void *, uaddr, int, len)
{
    struct file *f;
    n = MIN(n, MOST_TRANSFER);
    if (!user_range_ok(ubuf, n))
        return -EFAULT;
    long r = socket_get_any(fd, &f);
    if (r)
        return r;
    r = is_own_pair(f) ? pair_sendto(f, ubuf, n, flags, uaddr, len) : -ENOTOWN;
    if (r == -ENOTOWN)
        r = send_to(f, ubuf, n, flags, uaddr, len);
    file_put(f);
    return r;
}

SYSCALL6(recvfrom, int, fd, void *, ubuf, size_t, n, int, flags, void *, uaddr, int *, ulen)
{
    struct file *f;
    struct address a = {.len = 0};
    n = MIN(n, MOST_TRANSFER);
    if (!user_range_ok(ubuf, n))
        return -EFAULT;
    long r = socket_get_any(fd, &f);
    if (r)
        return r;
    r = is_own_pair(f) ? pair_recvfrom(f, ubuf, n, flags) : -ENOTOWN;
    if (r == -ENOTOWN)
        r = receive_from(f, ubuf, n, flags, uaddr ? &a : NULL);
    if (r >= 0 && uaddr) {
        address_to_inside(&a);
        int err = address_give(&a, uaddr, ulen);
        r = err ? err : r;
    }
    file_put(f);
    return r;
}

/* The buffers of a message, checked; *out is `few` or heap. */
static int take_iov(const struct msg *m, struct iovec few[FEW_IOV], struct iovec **out)
{
    *out = few;
    if (m->iov_len > MOST_IOV)
        return -EMSGSIZE;
    if (m->iov_len > FEW_IOV && !(*out = heap_alloc(m->iov_len * sizeof(**out))))
        return -ENOMEM;
    int err = copy_from_user(*out, m->iov, m->iov_len * sizeof(**out)) ? -EFAULT : 0;
    for (size_t i = 0; !err && i < m->iov_len; i++) {
        size_t n = (*out)[i].iov_len;
        if ((ssize)n < 0)
            err = -EINVAL;
        else if (n && !user_range_ok((*out)[i].iov_base, MIN(n, MOST_TRANSFER)))
            err = -EFAULT;
    }
    if (err && *out != few)
        heap_free(*out);
    return err;
}

static long send_by_host(struct file *f, const struct msg *m, struct iovec *iov, int flags)
{
    struct address a;
    struct passed control = {0};
    struct msg h = {.iov = iov, .iov_len = m->iov_len};
    int dir_fd = -1;
    long r = socket_to_host(f);
    if (!r && m->name && m->name_len) { /* longer names are cut (copy_msghdr_from_user) */
        int len = MIN(m->name_len, (int)sizeof(a.at));
        r = address_take(f, m->name, len, TO_SEND, &a, &dir_fd);
        h.name = &a.at;
        h.name_len = (int)a.len;
    }
    if (!r)
        r = control_take(m->control, m->control ? m->control_len : 0, &control);
    h.control = control.data;
    h.control_len = control.len;
    if (!r) {
        do
            r = host_sendmsg(f->host_fd, &h, flags);
        while (again(f, SO_SNDTIMEO_OLD, &r));
    }
    control_free(&control);
    if (dir_fd >= 0)
        host_close(dir_fd);
    return r;
}

static long send_message(struct file *f, const struct msg *umsg, int flags)
{
    struct msg m;
    struct iovec few[FEW_IOV], *iov;
    if (get_user(m, umsg))
        return -EFAULT;
    long r = take_iov(&m, few, &iov);
    if (r)
        return r;
    r = is_own_pair(f) ? pair_sendmsg(f, &m, iov, flags) : -ENOTOWN;
    if (r == -ENOTOWN)
        r = send_by_host(f, &m, iov, flags);
    if (iov != few)
        heap_free(iov);
    return r;
}

/* Writes back what recvmsg reports beside the data. */
static int give_message(struct msg *umsg, const struct msg *m, struct msg *h, struct address *a,
                        int flags)
{
    int err = 0;
    if (h->control_len)
        err = copy_to_user(m->control, h->control, h->control_len);
    if (m->name) {
        a->len = (uint32_t)h->name_len;
        address_to_inside(a);
        size_t room = (size_t)MIN(m->name_len, (int)sizeof(a->at));
        if (copy_to_user(m->name, &a->at, MIN(room, (size_t)a->len)) ||
            put_user(&umsg->name_len, a->len))
            err = -EFAULT;
    }
    h->flags = (h->flags & ~MSG_CMSG_CLOEXEC) | (flags & MSG_CMSG_CLOEXEC);
    if (put_user(&umsg->flags, h->flags) || put_user(&umsg->control_len, h->control_len))
        err = -EFAULT;
    return err;
}

static long receive_by_host(struct file *f, struct msg *h, int flags)
{
    const struct msg given = *h;
    long r = socket_to_host(f);
    if (r)
        return r;
    do {
        *h = given;
        r = host_recvmsg(f->host_fd, h, flags | MSG_CMSG_CLOEXEC);
    } while (again(f, SO_RCVTIMEO_OLD, &r));
    if (r >= 0)
        control_receive(h->control, h->control_len, flags & MSG_CMSG_CLOEXEC, &h->flags);
    return r;
}

static long receive_message(struct file *f, struct msg *umsg, int flags)
{
    struct msg m, h;
    struct iovec few[FEW_IOV], *iov;
    struct address a;
    if (get_user(m, umsg))
        return -EFAULT;
    if (m.name && m.name_len < 0)
        return -EINVAL;
    long r = take_iov(&m, few, &iov);
    if (r)
        return r;
    h = (struct msg){.iov = iov, .iov_len = m.iov_len};
    if (m.name) {
        h.name = &a.at;
        h.name_len = sizeof(a.at);
    }
    h.control_len = m.control ? MIN(m.control_len, MOST_CONTROL) : 0;
    if (h.control_len && !(h.control = heap_zalloc(h.control_len)))
        r = -ENOMEM;
    void *control = h.control;
    if (!r)
        r = is_own_pair(f) ? pair_recvmsg(f, &m, iov, flags, &h) : -ENOTOWN;
    if (r == -ENOTOWN)
        r = receive_by_host(f, &h, flags);
    if (r >= 0) {
        int err = give_message(umsg, &m, &h, &a, flags);
        r = err ? err : r;
    }
    heap_free(control);
    if (iov != few)
        heap_free(iov);
    return r;
}

SYSCALL3(sendmsg, int, fd, const struct msg *, umsg, int, flags)
{
    struct file *f;
    long r = socket_get_any(fd, &f);
    if (r)
        return r;
    r = send_message(f, umsg, flags);
    file_put(f);
    return r;
}

SYSCALL3(recvmsg, int, fd, struct msg *, umsg, int, flags)
{
    struct file *f;
    long r = socket_get_any(fd, &f);
    if (r)
        return r;
    r = receive_message(f, umsg, flags);
    file_put(f);
    return r;
}

SYSCALL4(sendmmsg, int, fd, struct mmsg *, uvec, uint32_t, n, int, flags)
{
    struct file *f;
    long r = socket_get_any(fd, &f);
    if (r)
        return r;
    uint32_t done = 0;
    for (n = MIN(n, MOST_MESSAGES); done < n; done++) {
        r = send_message(f, &uvec[done].msg, flags);
        uint32_t len = (uint32_t)r;
        if (r >= 0 && put_user(&uvec[done].len, len))
            r = -EFAULT;
        if (r < 0)
            break;
    }
    file_put(f);
    return done ? done : r;
}

/* The time limit counts after each message only (recvmmsg(2), BUGS). */
static long receive_many(struct file *f, struct mmsg *uvec, uint32_t n, int flags, uint64_t end)
{
    long r = is_own_pair(f) ? pair_take_error(f) : 0;
    uint32_t done = 0;
    while (!r && done < n) {
        r = receive_message(f, &uvec[done].msg, flags & ~MSG_WAITFORONE);
        uint32_t len = (uint32_t)r;
        if (r >= 0 && put_user(&uvec[done].len, len))
            r = -EFAULT;
        if (r < 0)
            break;
        r = 0;
        done++;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        if (end && vdso_clock_ns(CLOCK_MONOTONIC) >= end)
            break;
    }
    if (done && r && r != -EAGAIN && is_own_pair(f))
        pair_put_error(f, r); /* for the next call */
    return done ? done : r;
}

SYSCALL5(recvmmsg, int, fd, struct mmsg *, uvec, uint32_t, n, int, flags,
         struct __kernel_timespec *, uts)
{
    struct __kernel_timespec ts;
    struct file *f;
    uint64_t end = 0;
    if (uts) {
        if (get_user(ts, uts))
            return -EFAULT;
        if (ts.tv_sec < 0 || (uint64_t)ts.tv_nsec >= 1000000000)
            return -EINVAL;
        end = vdso_clock_ns(CLOCK_MONOTONIC) +
              (uint64_t)MIN(ts.tv_sec, (__kernel_time64_t)1000000000) * 1000000000 +
              (uint64_t)ts.tv_nsec;
    }
    long r = socket_get_any(fd, &f);
    if (r)
        return r;
    r = receive_many(f, uvec, MIN(n, MOST_MESSAGES), flags, end);
    file_put(f);
    if (r > 0 && uts) {
        uint64_t now = vdso_clock_ns(CLOCK_MONOTONIC), left = end > now ? end - now : 0;
        ts.tv_sec = (int64_t)(left / 1000000000);
        ts.tv_nsec = (int64_t)(left % 1000000000);
        if (put_user(uts, ts))
            return -EFAULT;
    }
    return r;
}
