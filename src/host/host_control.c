/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The typed host calls with an argument that may lead to a structure; see host.h. */
#include "host/arena.h"
#include <asm/fcntl.h>
#include <asm/termios.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/sockios.h>

size_t host_fcntl_bytes(int cmd)
{
    switch (cmd) {
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return sizeof(struct flock);
    case F_GETOWN_EX:
    case F_SETOWN_EX:
        return sizeof(struct f_owner_ex);
    case F_GET_RW_HINT:
    case F_SET_RW_HINT:
    case F_GET_FILE_RW_HINT:
    case F_SET_FILE_RW_HINT:
        return sizeof(uint64_t);
    }
    return 0;
}

/* `arg` of a call that heeds `bytes` behind it, if any. */
static unsigned long give_argument(unsigned long arg, size_t bytes)
{
    return bytes ? (unsigned long)give((void *)arg, bytes) : arg;
}

/* Of terminals, sockets and files: how much lies behind the argument, to be read or written by the
 * host. 0: the argument is a number. With an arena others do not exist. */
enum { IN = 1, OUT = 2 };
#define IFREQ 40 /* sizeof(struct ifreq) */

static const struct known {
    unsigned cmd;
    uint16_t bytes, ways;
} ioctls[] = {
    {TCGETS, sizeof(struct termios), OUT},
    {TCSETS, sizeof(struct termios), IN},
    {TCSETSW, sizeof(struct termios), IN},
    {TCSETSF, sizeof(struct termios), IN},
    {TCGETS2, sizeof(struct termios2), OUT},
    {TCSETS2, sizeof(struct termios2), IN},
    {TCSETSW2, sizeof(struct termios2), IN},
    {TCSETSF2, sizeof(struct termios2), IN},
    {TCGETA, sizeof(struct termio), OUT},
    {TCSETA, sizeof(struct termio), IN},
    {TCSETAW, sizeof(struct termio), IN},
    {TCSETAF, sizeof(struct termio), IN},
    {TIOCGWINSZ, sizeof(struct winsize), OUT},
    {TIOCSWINSZ, sizeof(struct winsize), IN},
    {TIOCGPGRP, sizeof(int), OUT},
    {TIOCSPGRP, sizeof(int), IN},
    {TIOCGSID, sizeof(int), OUT},
    {TIOCOUTQ, sizeof(int), OUT},
    {TIOCMGET, sizeof(int), OUT},
    {TIOCGETD, sizeof(int), OUT},
    {TIOCSETD, sizeof(int), IN},
    {TIOCPKT, sizeof(int), IN},
    {TIOCGPKT, sizeof(int), OUT},
    {TIOCGPTN, sizeof(int), OUT},
    {TIOCSPTLCK, sizeof(int), IN},
    {TIOCGPTLCK, sizeof(int), OUT},
    {TIOCGEXCL, sizeof(int), OUT},
    {TIOCGSOFTCAR, sizeof(int), OUT},
    {TIOCSSOFTCAR, sizeof(int), IN},
    {TIOCSTI, 1, IN},
    {FIONREAD, sizeof(int), OUT},
    {FIONBIO, sizeof(int), IN},
    {FIOASYNC, sizeof(int), IN},
    {FIOQSIZE, sizeof(int64_t), OUT},
    {FIGETBSZ, sizeof(int), OUT},
    {FIOGETOWN, sizeof(int), OUT},
    {FIOSETOWN, sizeof(int), IN},
    {SIOCGPGRP, sizeof(int), OUT},
    {SIOCSPGRP, sizeof(int), IN},
    {SIOCATMARK, sizeof(int), OUT},
    {FS_IOC_GETFLAGS, sizeof(long), OUT},
    {FS_IOC_SETFLAGS, sizeof(long), IN},
    {FS_IOC_GETVERSION, sizeof(long), OUT},
    {TIOCMBIS, sizeof(int), IN},
    {TIOCMBIC, sizeof(int), IN},
    {TIOCMSET, sizeof(int), IN},
    {TIOCGLCKTRMIOS, sizeof(struct termios), OUT},
    {SIOCGIFNAME, IFREQ, IN | OUT},
    {SIOCGIFFLAGS, IFREQ, IN | OUT},
    {SIOCGIFADDR, IFREQ, IN | OUT},
    {SIOCGIFDSTADDR, IFREQ, IN | OUT},
    {SIOCGIFBRDADDR, IFREQ, IN | OUT},
    {SIOCGIFNETMASK, IFREQ, IN | OUT},
    {SIOCGIFMETRIC, IFREQ, IN | OUT},
    {SIOCGIFMTU, IFREQ, IN | OUT},
    {SIOCGIFHWADDR, IFREQ, IN | OUT},
    {SIOCGIFINDEX, IFREQ, IN | OUT},
    {SIOCGIFTXQLEN, IFREQ, IN | OUT},
    {TCSBRK, 0, 0},
    {TCSBRKP, 0, 0},
    {TCXONC, 0, 0},
    {TCFLSH, 0, 0},
    {TIOCSBRK, 0, 0},
    {TIOCCBRK, 0, 0},
    {TIOCEXCL, 0, 0},
    {TIOCNXCL, 0, 0},
    {TIOCSCTTY, 0, 0},
    {TIOCNOTTY, 0, 0},
    {TIOCSIG, 0, 0},
    {TIOCGPTPEER, 0, 0},
};

static const struct known *find(unsigned cmd)
{
    for (size_t i = 0; i < ARRAY_SIZE(ioctls); i++)
        if (ioctls[i].cmd == cmd)
            return &ioctls[i];
    return NULL;
}

long host_fcntl(int fd, int cmd, unsigned long arg)
{
    ARENA;
    size_t bytes = host_fcntl_bytes(cmd);
    unsigned long out = give_argument(arg, bytes);
    long r = host_number(CALL3(__NR_fcntl, fd, cmd, out), INT32_MAX);
    if (bytes && r >= 0)
        take((void *)arg, (void *)out, bytes);
    return r;
}

size_t host_ioctl_bytes(unsigned cmd)
{
    const struct known *k = find(cmd);
    return k ? k->bytes : 0;
}

long host_ioctl(int fd, unsigned cmd, unsigned long arg)
{
    ARENA;
    size_t bytes = host_ioctl_bytes(cmd);
    unsigned long out = give_argument(arg, bytes);
    long r = host_number(CALL3(__NR_ioctl, fd, cmd, out), INT32_MAX);
    if (bytes && r >= 0)
        take((void *)arg, (void *)out, bytes);
    return r;
}

#if PLATFORM_ARENA
struct ifconf_ {
    int len, pad;
    void *list;
};
#    define MOST_IFCONF (16 << 10)

/* A structure that leads to a list of interfaces, `len` bytes of it. */
static long list_interfaces(int fd, struct ifconf_ *u)
{
    ARENA;
    struct ifconf_ c, out;
    if (copy_from_user(&c, u, sizeof(c)))
        return -EFAULT;
    out = c;
    out.len = c.list ? MIN(c.len, MOST_IFCONF) : c.len;
    out.list = c.list && out.len > 0 ? room_for((size_t)out.len) : NULL;
    struct ifconf_ *at = give(&out, sizeof(out));
    long r = host_number(host_syscall_blocking(__NR_ioctl, fd, SIOCGIFCONF, (long)at, 0, 0, 0), 0);
    if (r)
        return r;
    take(&c.len, &at->len, sizeof(c.len));
    if (out.list && (c.len < 0 || c.len > out.len))
        return -EIO;
    if (out.list && copy_to_user(c.list, out.list, (size_t)c.len))
        return -EFAULT;
    return put_user(&u->len, c.len) ? -EFAULT : 0;
}

long host_ioctl_user(int fd, unsigned cmd, unsigned long uarg)
{
    ARENA;
    const struct known *k = find(cmd);
    if (cmd == SIOCGIFCONF)
        return list_interfaces(fd, (struct ifconf_ *)uarg);
    if (!k)
        return -ENOTTY;
    void *out = k->bytes ? room_for(k->bytes) : (void *)uarg;
    if (k->ways & IN && give_user(out, (void *)uarg, k->bytes))
        return -EFAULT;
    long r = host_number(host_syscall_blocking(__NR_ioctl, fd, cmd, (long)out, 0, 0, 0), INT32_MAX);
    if (r >= 0 && k->ways & OUT && take_user((void *)uarg, out, k->bytes))
        r = -EFAULT;
    return r;
}
#else
long host_ioctl_user(int fd, unsigned cmd, unsigned long uarg)
{
    return host_number(host_syscall_blocking(__NR_ioctl, fd, cmd, (long)uarg, 0, 0, 0), INT32_MAX);
}
#endif

long host_lock(int fd, int cmd, struct flock *l)
{
    ARENA;
    struct flock *out = give(l, sizeof(*l));
    int err = host_status(host_syscall_blocking(__NR_fcntl, fd, cmd, (long)out, 0, 0, 0));
    return err ? err : take(l, out, sizeof(*l));
}

int host_flock(int fd, int op)
{
    return host_status(host_syscall_blocking(__NR_flock, fd, op, 0, 0, 0, 0));
}
