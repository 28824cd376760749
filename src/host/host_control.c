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

/* Of terminals, sockets and files: what lies behind the argument. */
static const struct {
    unsigned cmd, bytes;
} ioctls[] = {
    {TCGETS, sizeof(struct termios)},
    {TCSETS, sizeof(struct termios)},
    {TCSETSW, sizeof(struct termios)},
    {TCSETSF, sizeof(struct termios)},
    {TCGETS2, sizeof(struct termios2)},
    {TCSETS2, sizeof(struct termios2)},
    {TCSETSW2, sizeof(struct termios2)},
    {TCSETSF2, sizeof(struct termios2)},
    {TCGETA, sizeof(struct termio)},
    {TCSETA, sizeof(struct termio)},
    {TCSETAW, sizeof(struct termio)},
    {TCSETAF, sizeof(struct termio)},
    {TIOCGWINSZ, sizeof(struct winsize)},
    {TIOCSWINSZ, sizeof(struct winsize)},
    {TIOCGPGRP, sizeof(int)},
    {TIOCSPGRP, sizeof(int)},
    {TIOCGSID, sizeof(int)},
    {TIOCOUTQ, sizeof(int)},
    {TIOCMGET, sizeof(int)},
    {TIOCGETD, sizeof(int)},
    {TIOCSETD, sizeof(int)},
    {TIOCPKT, sizeof(int)},
    {TIOCGPKT, sizeof(int)},
    {TIOCGPTN, sizeof(int)},
    {TIOCSPTLCK, sizeof(int)},
    {TIOCGPTLCK, sizeof(int)},
    {TIOCGEXCL, sizeof(int)},
    {TIOCGSOFTCAR, sizeof(int)},
    {TIOCSSOFTCAR, sizeof(int)},
    {TIOCSTI, 1},
    {FIONREAD, sizeof(int)},
    {FIONBIO, sizeof(int)},
    {FIOASYNC, sizeof(int)},
    {FIOQSIZE, sizeof(int64_t)},
    {FIGETBSZ, sizeof(int)},
    {FIOGETOWN, sizeof(int)},
    {FIOSETOWN, sizeof(int)},
    {SIOCGPGRP, sizeof(int)},
    {SIOCSPGRP, sizeof(int)},
    {SIOCATMARK, sizeof(int)},
    {FS_IOC_GETFLAGS, sizeof(long)},
    {FS_IOC_SETFLAGS, sizeof(long)},
    {FS_IOC_GETVERSION, sizeof(long)},
};

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
    for (size_t i = 0; i < ARRAY_SIZE(ioctls); i++)
        if (ioctls[i].cmd == cmd)
            return ioctls[i].bytes;
    return 0;
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
