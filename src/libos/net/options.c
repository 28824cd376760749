/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* setsockopt(2), getsockopt(2): the options of the closed list (host/host_options.c). */
#include "libos/entry/syscall.h"
#include "libos/log.h"
#include "libos/net/pair.h"
#include <asm/socket.h>
#include <linux/filter.h>

/* Of no socket? Else said once: the program may ask for it again and again. */
static long unknown(struct file *f, int level, int option, int way)
{
    static bool told; /* atomic */
    int family = is_own_pair(f) ? AF_UNIX : socket_family(f->host_fd);
    if (family < 0)
        return family;
    if (family == AF_UNIX ? level != SOL_SOCKET : way == OPTION_GET && !host_option_level(level))
        return -EOPNOTSUPP; /* Linux has no such options either */
    if (!__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
        log_warning("a socket option that is not passed to the host is refused (level %d, option "
                    "%d): see docs/compatibility.md",
                    level, option);
    return -ENOPROTOOPT;
}

/* A filter of the old kind (struct sock_fprog): the one option with a pointer in it. */
static long set_filter(struct file *f, int option, const void *uvalue, int len)
{
    struct sock_fprog program;
    if (len != sizeof(program))
        return -EINVAL;
    if (copy_from_user(&program, uvalue, sizeof(program)))
        return -EFAULT;
    if (!program.len || program.len > BPF_MAXINSNS)
        return -EINVAL;
    struct sock_filter *own = heap_alloc(program.len * sizeof(*own));
    if (!own)
        return -ENOMEM;
    long r = copy_from_user(own, program.filter, program.len * sizeof(*own)) ? -EFAULT : 0;
    if (!r)
        r = host_option_filter(f->host_fd, option, own, program.len);
    heap_free(own);
    return r;
}

static long set_option(struct file *f, int level, int option, const void *uvalue, int len)
{
    if (level == SOL_SOCKET && (option == SO_ATTACH_FILTER || option == SO_ATTACH_REUSEPORT_CBPF))
        return set_filter(f, option, uvalue, len);
    char value[MOST_OPTION_BYTES];
    const struct host_option *known = host_option_find(level, option, OPTION_SET);
    if (!known)
        return unknown(f, level, option, OPTION_SET);
    len = MIN(len, (int)known->size);
    if (len > 0 && copy_from_user(value, uvalue, (size_t)len))
        return -EFAULT;
    return host_option_set(f->host_fd, level, option, value, len);
}

SYSCALL5(setsockopt, int, fd, int, level, int, option, const void *, uvalue, int, len)
{
    struct file *f;
    long r = socket_get_any(fd, &f);
    if (r)
        return r;
    r = is_own_pair(f) ? pair_set_option(f, level, option, uvalue, len) : -ENOTOWN;
    if (r == -ENOTOWN && !(r = socket_to_host(f)))
        r = set_option(f, level, option, uvalue, len);
    file_put(f);
    return r;
}

static long ask_host(struct file *f, int level, int option, void *value, int *len)
{
    long r = socket_to_host(f);
    if (!r)
        r = host_option_get(f->host_fd, level, option, value, len);
    if (!r && level == SOL_SOCKET && option == SO_PEERCRED)
        credentials_to_inside(value);
    return r;
}

static long get_option(struct file *f, int level, int option, void *uvalue, int *ulen)
{
    char value[MOST_OPTION_BYTES] = {0};
    int len, room;
    const struct host_option *known = host_option_find(level, option, OPTION_GET);
    if (!known)
        return unknown(f, level, option, OPTION_GET);
    if (get_user(len, ulen))
        return -EFAULT;
    room = len = MIN(len, (int)known->size);
    long r = is_own_pair(f) ? pair_get_option(f, level, option, value, &len) : -ENOTOWN;
    if (r == -ENOTOWN)
        r = ask_host(f, level, option, value, &len);
    if (!r && copy_to_user(uvalue, value, (size_t)MIN(len, room)))
        return -EFAULT;
    if ((!r || r == -ERANGE) && put_user(ulen, len)) /* -ERANGE: how much there is */
        return -EFAULT;
    return r;
}

SYSCALL5(getsockopt, int, fd, int, level, int, option, void *, uvalue, int *, ulen)
{
    struct file *f;
    long r = socket_get_any(fd, &f);
    if (r)
        return r;
    r = get_option(f, level, option, uvalue, ulen);
    file_put(f);
    return r;
}
