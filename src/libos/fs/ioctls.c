/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Which ioctls reach a host object. What is not known to stay with the object, its terminal or its
 * socket does not: ioctls make and take descriptors by the host's numbers, open files by handles
 * and change whole file systems.
 */
#include "libos/fs/ioctls.h"
#include "host/host.h"
#include "libos/fs/vfs.h"
#include <linux/fs.h>
#include <linux/sockios.h>

#define TYPE(cmd) ((cmd) >> 8 & 0xff)
#define S_TYPE    0170000
#define S_CHR     0020000
#define S_BLK     0060000

enum { TERMINAL = 'T', SOCKET = 0x89, EPOLL = 0x8a, WIRELESS = 0x8b, INOTIFY = 'I', RANDOM = 'R' };

/* Numbers below this one mean the same for every socket. */
#define FIRST_PRIVATE SIOCPROTOPRIVATE

#ifndef SIOCGSKNS
#    define SIOCGSKNS 0x894c
#endif
#define FS_IOC_FIEMAP_ 0xc020660b

static const unsigned readers[] = {FIBMAP,
                                   FIGETBSZ,
                                   FS_IOC_GETFLAGS,
                                   FS_IOC_GETVERSION,
                                   FS_IOC32_GETFLAGS,
                                   FS_IOC32_GETVERSION,
                                   FS_IOC_FIEMAP_,
                                   FS_IOC_FSGETXATTR,
                                   FS_IOC_GETFSLABEL};

static bool is_of_kind(unsigned cmd)
{
    switch (TYPE(cmd)) {
    case TERMINAL:
    case EPOLL:
    case WIRELESS:
    case INOTIFY:
    case RANDOM:
        return true;
    case SOCKET:
        return cmd < FIRST_PRIVATE ? cmd != SIOCGSKNS : cmd > 0xffff;
    default:
        return false;
    }
}

static bool is_device(int host_fd)
{
    struct stat st;
    if (host_fstat(host_fd, &st))
        return false;
    return (st.st_mode & S_TYPE) == S_CHR || (st.st_mode & S_TYPE) == S_BLK;
}

int ioctl_admit(int host_fd, uint32_t flags, bool closed, unsigned cmd)
{
    if (is_of_kind(cmd))
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
        if (cmd == readers[i])
            return 0;
    switch (cmd) {
    case FS_IOC_SETFLAGS: /* as extended attributes: a file opened for reading may be trusted */
    case FS_IOC32_SETFLAGS:
    case FS_IOC_FSSETXATTR:
        return (flags & O_ACCMODE) == O_RDONLY ? -EACCES : 0;
    case FICLONE: /* the other file is a descriptor of the host's: copy_file_range(2) does the same
                   */
    case FICLONERANGE:
    case FIDEDUPERANGE:
        return -EOPNOTSUPP;
    }
    return !closed && is_device(host_fd) ? 0 : -ENOTTY;
}
