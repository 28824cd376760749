/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/owner.h"
#include "host/host.h"
#include "libos/proc/members.h"
#include "libos/proc/reach.h"
#include "libos/process.h"
#include <asm/ioctls.h>
#include <asm/sockios.h>
#include <asm/termbits.h>
#include <asm/unistd.h>
#include <linux/kd.h>

#define NOT_MAPPED    1UL  /* a pointer with which the host gives its own error */
#define PIDFD_IOCTLS  0xff /* PIDFS_IOCTL_MAGIC */
#define FIELD_SESSION 6    /* of /proc/PID/stat */
#define FIELD_TTY     7

/* ---- F_SETOWN and its like ---- */

/* A group that reaches outside cannot be signalled member by member: refused. */
static long check_owner(int type, int *id)
{
    if (type != F_OWNER_PGRP) {
        *id = run_named(*id);
        return 0;
    }
    if (run_group_is_mixed(*id))
        return -EPERM;
    *id = run_named_group(*id);
    return 0;
}

static long check_number(int *who)
{
    int group = *who < 0 && *who != INT32_MIN ? -*who : 0;
    long err = check_owner(group ? F_OWNER_PGRP : F_OWNER_PID, group ? &group : who);
    *who = group ? -group : *who;
    return err;
}

static long take_owner(unsigned long *arg, struct f_owner_ex *owner)
{
    if (copy_from_user(owner, (void *)*arg, sizeof(*owner)))
        return -EFAULT;
    *arg = (unsigned long)owner;
    return check_owner(owner->type, &owner->pid);
}

long owner_fcntl(int host_fd, int cmd, unsigned long *arg, struct f_owner_ex *owner)
{
    int who = (int)*arg;
    long err;
    switch (cmd) {
    case F_SETOWN:
        err = check_number(&who);
        *arg = (unsigned long)who;
        return err;
    case F_SETOWN_EX:
        return take_owner(arg, owner);
    case F_SETSIG:
    case F_SETLEASE:
    case F_NOTIFY:
        owner_is_inside(host_fd);
        return 0;
    }
    return 0;
}

static void set_owner(int fd, int type, int id)
{
    struct f_owner_ex owner = {type, id};
    host_fcntl(fd, F_SETOWN_EX, (unsigned long)&owner);
}

/* The group in the foreground, as Linux has it, or ourselves. */
static void own_terminal(int fd)
{
    int group = 0;
    if (host_ioctl(fd, TIOCGPGRP, (unsigned long)&group) == 0 && group > 0 &&
        !run_group_is_mixed(group) && run_has_group(group))
        set_owner(fd, F_OWNER_PGRP, group);
    else
        set_owner(fd, F_OWNER_PID, current_process()->pid);
}

void owner_is_inside(int host_fd)
{
    struct f_owner_ex owner = {0};
    struct termios about;
    if (host_fcntl(host_fd, F_GETOWN_EX, (unsigned long)&owner))
        return;
    int id = owner.pid;
    if (id && check_owner(owner.type, &id) == 0 && id == owner.pid)
        return;
    if (host_ioctl(host_fd, TCGETS, (unsigned long)&about) == 0)
        own_terminal(host_fd);
    else
        set_owner(host_fd, F_OWNER_PID, 0); /* one of another pid namespace shows as 0, too */
}

/* ---- terminals ---- */

struct terminal {
    uint64_t device;
    bool found;
};

static void compare_terminal(int pid, void *ctx)
{
    struct terminal *t = ctx;
    t->found |= member_stat(pid, FIELD_SESSION) == pid &&
                (uint64_t)member_stat(pid, FIELD_TTY) == t->device;
}

/* A terminal is taken away from a session of the run only. */
static bool may_steal(int host_fd)
{
    struct terminal t = {0};
    struct stat st;
    if (host_fstat(host_fd, &st))
        return false;
    t.device = st.st_rdev;
    members_each(false, compare_terminal, &t);
    return t.found;
}

static long take_number(unsigned long *arg, int *number)
{
    bool bad = copy_from_user(number, (void *)*arg, sizeof(*number));
    *arg = bad ? NOT_MAPPED : (unsigned long)number;
    return bad ? 0 : check_number(number);
}

static void take_group(unsigned long *arg, int *number)
{
    bool bad = copy_from_user(number, (void *)*arg, sizeof(*number));
    *arg = bad ? NOT_MAPPED : (unsigned long)number;
    if (!bad)
        *number = run_named_group(*number);
}

static long begin_async(int host_fd, unsigned long *arg, int *number)
{
    bool bad = copy_from_user(number, (void *)*arg, sizeof(*number));
    *arg = bad ? NOT_MAPPED : (unsigned long)number;
    if (!bad && *number)
        owner_is_inside(host_fd);
    return 0;
}

/* From the other end of a terminal: whom does a key like Ctrl-C signal? */
static bool foreground_is_inside(int host_fd)
{
    int group = 0;
    if (host_ioctl(host_fd, TIOCGPGRP, (unsigned long)&group) || !group)
        return true; /* nobody */
    return !run_group_is_mixed(group) && run_has_group(group);
}

/* Others than the usual one make a network or a device of the machine's of a terminal. */
static long take_discipline(unsigned long *arg, int *number)
{
    bool bad = copy_from_user(number, (void *)*arg, sizeof(*number));
    *arg = bad ? NOT_MAPPED : (unsigned long)number;
    return bad || *number == 0 ? 0 : -EPERM;
}

long owner_ioctl(int host_fd, unsigned cmd, unsigned long *arg, int *number)
{
    switch (cmd) {
    case FIOSETOWN:
    case SIOCSPGRP:
        return take_number(arg, number);
    case FIOASYNC:
        return begin_async(host_fd, arg, number);
    case TIOCSPGRP:
        take_group(arg, number);
        return 0;
    case TIOCSCTTY:
        *arg = *arg == 1 && may_steal(host_fd);
        return 0;
    case TIOCSIG:
        return foreground_is_inside(host_fd) ? 0 : -EPERM;
    case TIOCSETD:
        return take_discipline(arg, number);
    case TIOCSTI: /* what is typed so the next reader outside would take for its user's */
    case TIOCLINUX:
    case TIOCVHANGUP: /* ends the session of the terminal */
    case TIOCCONS:
    case TIOCSLCKTRMIOS:
    case KDSIGACCEPT:
        return -EPERM;
    }
    return cmd >> 8 == PIDFD_IOCTLS ? -ENOTTY : 0;
}
