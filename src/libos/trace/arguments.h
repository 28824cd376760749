/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the arguments of each system call are: for the lines of loader.log_level = "trace", and for
 * the test platform, which looks at every pointer that reaches its host. A call that is not listed
 * has six numbers.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum argument_kind {
    A_END, /* no further argument */
    /* Numbers. */
    A_HEX,
    A_INT,
    A_UINT,
    A_LONG,
    A_SIZE,
    A_MODE, /* octal */
    A_FD,
    A_DIRFD, /* or AT_FDCWD */
    A_ADDR,  /* an address inside that nobody looks behind */
    /* Names and sets of flags. */
    A_SIGNAL,
    A_OPEN,
    A_ATFLAGS,
    A_ACCESS,
    A_PROT,
    A_MAP,
    A_ADVICE,
    A_SYNC,
    A_REMAP,
    A_WHENCE,
    A_FCNTL, /* the next argument depends on it */
    A_IOCTL,
    A_FAMILY,
    A_SOCKTYPE,
    A_LEVEL,
    A_OPTION, /* by the argument before it */
    A_MSGFLAGS,
    A_SHUTDOWN,
    A_CLONE,
    A_WAIT,
    A_IDTYPE,
    A_HOW,
    A_CLOCK,
    A_ITIMER,
    A_FUTEX,
    A_EPOLL_OP,
    A_FILEFLAGS, /* O_CLOEXEC and O_NONBLOCK */
    A_LIMIT,
    A_USAGE,
    A_PRCTL,
    A_ARCH,
    A_POLICY,
    A_LOCK,
    A_MEMFD,
    A_RANDOM,
    A_STATX,
    A_RENAME,
    A_ALLOCATE,
    A_SPLICE,
    A_TIMERFLAGS,
    A_FDFLAGS,
    A_UNLINK,
    A_SOCKFLAGS,
    A_EPOLLFLAGS,
    A_TIMERFD,
    A_SIGNALFD,
    A_EVENTFD,
    A_INOTIFY,
    A_WATCH,
    A_LOCKALL,
    A_XATTR,
    A_RESOLVE,
    A_WHICH,
    A_PROTOCOL,
    A_RANGE,
    A_SEALS,
    A_RWF,
    /* Application memory that the call reads. */
    A_PATH,
    A_STRING,
    A_BYTES,    /* as many as the next argument says; never shown: it may be secret */
    A_SIZED,    /* as many bytes as the argument before it says */
    A_POINTER,  /* something else */
    A_VECTORS,  /* iovecs, the next argument says how many */
    A_SOCKADDR, /* the next argument is its length */
    A_MESSAGE,  /* msghdr */
    A_STRINGS,  /* pointers to strings, a NULL at their end */
    A_COUNTED,  /* the same, of which only the number is shown */
    A_TIMESPEC,
    A_TIMESPECS, /* two */
    A_TIMEVAL,
    A_TIMEVALS,
    A_ITIMERVAL,
    A_ITIMERSPEC,
    A_SIGSET,
    A_SIGACTION,
    A_POLL,  /* the next argument says how many; shown again after the call */
    A_FDSET, /* the first argument of the call says how large; shown again after the call */
    A_EVENT,
    A_RLIMIT,
    A_OPENHOW,
    A_CLONEARGS,
    A_FLOCK,
    A_NUMBER, /* an int */
    /* Application memory that the call writes: shown when it is done. */
    A_OUT_BYTES,  /* room for as many as the next argument says; never shown */
    A_OUT_SIZED,  /* room as the argument before it says */
    A_OUT,        /* something else */
    A_OUT_STRING, /* as long as the result says */
    A_OUT_STAT,
    A_OUT_STATX,
    A_OUT_TIMESPEC,
    A_OUT_TIMEVAL,
    A_OUT_ITIMERVAL,
    A_OUT_ITIMERSPEC,
    A_OUT_SIGSET,
    A_OUT_SIGACTION,
    A_OUT_PAIR,     /* two descriptors */
    A_OUT_SOCKADDR, /* the next argument points to its length */
    A_OUT_INT,
    A_OUT_EVENTS, /* as many as the result says */
    A_OUT_RLIMIT,
    A_OUT_STATUS, /* of a child */
    A_KINDS
};

#define ARGUMENTS_MOST 6

/* The kinds of the arguments of system call `nr`, A_END behind the last of fewer than six. */
const uint8_t *syscall_arguments(unsigned long nr);
/* Does it wait for something or never return, so that its line is to be seen before it is over? */
int syscall_may_wait(unsigned long nr);

/*
 * Does argument `i` of the call point to memory of the application, that the call itself touches?
 * Its bytes, at least 1; 0 when it is no pointer or when nothing of it is touched.
 */
size_t syscall_argument_bytes(unsigned long nr, const long arg[ARGUMENTS_MOST], int i);
