/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/trace/arguments.h"
#include "libos/entry/syscall_list.h"

#define NUMBER(nr, name) NR_##name = nr,
enum { SYSCALL_LIST(NUMBER) };

/* Q(name, kinds...): done at once. W: may wait, or does not return. */
/* clang-format off */
#define SIGNATURES \
    W(read, FD, OUT_BYTES, SIZE) \
    W(write, FD, BYTES, SIZE) \
    Q(open, PATH, OPEN, MODE) \
    Q(close, FD) \
    Q(stat, PATH, OUT_STAT) \
    Q(fstat, FD, OUT_STAT) \
    Q(lstat, PATH, OUT_STAT) \
    W(poll, POLL, UINT, INT) \
    Q(lseek, FD, LONG, WHENCE) \
    Q(mmap, ADDR, SIZE, PROT, MAP, FD, HEX) \
    Q(mprotect, ADDR, SIZE, PROT) \
    Q(munmap, ADDR, SIZE) \
    Q(brk, ADDR) \
    Q(rt_sigaction, SIGNAL, SIGACTION, OUT_SIGACTION, SIZE) \
    Q(rt_sigprocmask, HOW, SIGSET, OUT_SIGSET, SIZE) \
    W(rt_sigreturn, END) \
    W(ioctl, FD, IOCTL, HEX) \
    W(pread64, FD, OUT_BYTES, SIZE, LONG) \
    W(pwrite64, FD, BYTES, SIZE, LONG) \
    W(readv, FD, VECTORS, INT) \
    W(writev, FD, VECTORS, INT) \
    Q(access, PATH, ACCESS) \
    Q(pipe, OUT_PAIR) \
    W(select, INT, FDSET, FDSET, FDSET, TIMEVAL) \
    Q(sched_yield, END) \
    Q(mremap, ADDR, SIZE, SIZE, REMAP, ADDR) \
    Q(msync, ADDR, SIZE, SYNC) \
    Q(mincore, BYTES, SIZE, OUT) \
    Q(madvise, ADDR, SIZE, ADVICE) \
    Q(shmget, HEX, SIZE, HEX) \
    Q(shmat, INT, ADDR, HEX) \
    Q(shmctl, INT, INT, POINTER) \
    Q(dup, FD) \
    Q(dup2, FD, FD) \
    W(pause, END) \
    W(nanosleep, TIMESPEC, OUT_TIMESPEC) \
    Q(getitimer, ITIMER, OUT_ITIMERVAL) \
    Q(alarm, UINT) \
    Q(setitimer, ITIMER, ITIMERVAL, OUT_ITIMERVAL) \
    Q(getpid, END) \
    W(sendfile, FD, FD, OUT, SIZE) \
    Q(socket, FAMILY, SOCKTYPE, PROTOCOL) \
    W(connect, FD, SOCKADDR, UINT) \
    W(accept, FD, OUT_SOCKADDR, OUT_INT) \
    W(sendto, FD, BYTES, SIZE, MSGFLAGS, SOCKADDR, UINT) \
    W(recvfrom, FD, OUT_BYTES, SIZE, MSGFLAGS, OUT_SOCKADDR, OUT_INT) \
    W(sendmsg, FD, MESSAGE, MSGFLAGS) \
    W(recvmsg, FD, MESSAGE, MSGFLAGS) \
    Q(shutdown, FD, SHUTDOWN) \
    Q(bind, FD, SOCKADDR, UINT) \
    Q(listen, FD, INT) \
    Q(getsockname, FD, OUT_SOCKADDR, OUT_INT) \
    Q(getpeername, FD, OUT_SOCKADDR, OUT_INT) \
    Q(socketpair, FAMILY, SOCKTYPE, INT, OUT_PAIR) \
    Q(setsockopt, FD, LEVEL, OPTION, BYTES, UINT) \
    Q(getsockopt, FD, LEVEL, OPTION, OUT, OUT_INT) \
    W(clone, CLONE, ADDR, OUT, OUT, HEX) \
    W(fork, END) \
    W(vfork, END) \
    W(execve, PATH, STRINGS, COUNTED) \
    W(exit, INT) \
    W(wait4, INT, OUT_STATUS, WAIT, OUT) \
    Q(kill, INT, SIGNAL) \
    Q(uname, OUT) \
    Q(semget, HEX, INT, HEX) \
    W(semop, INT, POINTER, SIZE) \
    Q(semctl, INT, INT, INT, HEX) \
    Q(shmdt, ADDR) \
    Q(msgget, HEX, HEX) \
    W(msgsnd, INT, POINTER, SIZE, HEX) \
    W(msgrcv, INT, OUT, SIZE, LONG, HEX) \
    Q(msgctl, INT, INT, POINTER) \
    Q(fcntl, FD, FCNTL, HEX) \
    W(flock, FD, LOCK) \
    W(fsync, FD) \
    W(fdatasync, FD) \
    Q(truncate, PATH, LONG) \
    Q(ftruncate, FD, LONG) \
    Q(getdents, FD, OUT_BYTES, SIZE) \
    Q(getcwd, OUT_STRING, SIZE) \
    Q(chdir, PATH) \
    Q(fchdir, FD) \
    Q(rename, PATH, PATH) \
    Q(mkdir, PATH, MODE) \
    Q(rmdir, PATH) \
    Q(creat, PATH, MODE) \
    Q(link, PATH, PATH) \
    Q(unlink, PATH) \
    Q(symlink, STRING, PATH) \
    Q(readlink, PATH, OUT_STRING, SIZE) \
    Q(chmod, PATH, MODE) \
    Q(fchmod, FD, MODE) \
    Q(chown, PATH, INT, INT) \
    Q(fchown, FD, INT, INT) \
    Q(lchown, PATH, INT, INT) \
    Q(umask, MODE) \
    Q(gettimeofday, OUT_TIMEVAL, OUT) \
    Q(getrlimit, LIMIT, OUT_RLIMIT) \
    Q(getrusage, USAGE, OUT) \
    Q(sysinfo, OUT) \
    Q(times, OUT) \
    Q(ptrace, INT, INT, HEX, HEX) \
    Q(getuid, END) \
    Q(syslog, INT, HEX, INT) \
    Q(getgid, END) \
    Q(setuid, INT) \
    Q(setgid, INT) \
    Q(geteuid, END) \
    Q(getegid, END) \
    Q(setpgid, INT, INT) \
    Q(getppid, END) \
    Q(getpgrp, END) \
    Q(setsid, END) \
    Q(setreuid, INT, INT) \
    Q(setregid, INT, INT) \
    Q(getgroups, INT, OUT) \
    Q(setgroups, INT, POINTER) \
    Q(setresuid, INT, INT, INT) \
    Q(getresuid, OUT_INT, OUT_INT, OUT_INT) \
    Q(setresgid, INT, INT, INT) \
    Q(getresgid, OUT_INT, OUT_INT, OUT_INT) \
    Q(getpgid, INT) \
    Q(setfsuid, INT) \
    Q(setfsgid, INT) \
    Q(getsid, INT) \
    Q(capget, POINTER, OUT) \
    Q(capset, POINTER, POINTER) \
    Q(rt_sigpending, OUT_SIGSET, SIZE) \
    W(rt_sigtimedwait, SIGSET, OUT, TIMESPEC, SIZE) \
    Q(rt_sigqueueinfo, INT, SIGNAL, POINTER) \
    W(rt_sigsuspend, SIGSET, SIZE) \
    Q(sigaltstack, POINTER, OUT) \
    Q(utime, PATH, POINTER) \
    Q(mknod, PATH, MODE, HEX) \
    Q(personality, HEX) \
    Q(statfs, PATH, OUT) \
    Q(fstatfs, FD, OUT) \
    Q(getpriority, WHICH, INT) \
    Q(setpriority, WHICH, INT, INT) \
    Q(sched_setparam, INT, POINTER) \
    Q(sched_getparam, INT, OUT) \
    Q(sched_setscheduler, INT, POLICY, POINTER) \
    Q(sched_getscheduler, INT) \
    Q(sched_get_priority_max, POLICY) \
    Q(sched_get_priority_min, POLICY) \
    Q(sched_rr_get_interval, INT, OUT_TIMESPEC) \
    Q(mlock, BYTES, SIZE) \
    Q(munlock, BYTES, SIZE) \
    Q(mlockall, LOCKALL) \
    Q(munlockall, END) \
    Q(prctl, PRCTL, HEX, HEX, HEX, HEX) \
    Q(arch_prctl, ARCH, HEX) \
    Q(adjtimex, OUT) \
    Q(setrlimit, LIMIT, RLIMIT) \
    Q(chroot, PATH) \
    Q(sync, END) \
    Q(mount, STRING, PATH, STRING, HEX, HEX) \
    Q(umount2, PATH, HEX) \
    Q(sethostname, BYTES, SIZE) \
    Q(setdomainname, BYTES, SIZE) \
    Q(gettid, END) \
    Q(readahead, FD, LONG, SIZE) \
    Q(setxattr, PATH, STRING, BYTES, SIZE, XATTR) \
    Q(lsetxattr, PATH, STRING, BYTES, SIZE, XATTR) \
    Q(fsetxattr, FD, STRING, BYTES, SIZE, XATTR) \
    Q(getxattr, PATH, STRING, OUT_BYTES, SIZE) \
    Q(lgetxattr, PATH, STRING, OUT_BYTES, SIZE) \
    Q(fgetxattr, FD, STRING, OUT_BYTES, SIZE) \
    Q(listxattr, PATH, OUT_BYTES, SIZE) \
    Q(llistxattr, PATH, OUT_BYTES, SIZE) \
    Q(flistxattr, FD, OUT_BYTES, SIZE) \
    Q(removexattr, PATH, STRING) \
    Q(lremovexattr, PATH, STRING) \
    Q(fremovexattr, FD, STRING) \
    Q(tkill, INT, SIGNAL) \
    Q(time, OUT) \
    W(futex, ADDR, FUTEX, UINT, HEX, ADDR, HEX) \
    Q(sched_setaffinity, INT, SIZE, SIZED) \
    Q(sched_getaffinity, INT, SIZE, OUT_SIZED) \
    Q(epoll_create, INT) \
    Q(getdents64, FD, OUT_BYTES, SIZE) \
    Q(set_tid_address, ADDR) \
    W(restart_syscall, END) \
    Q(fadvise64, FD, LONG, LONG, INT) \
    Q(timer_create, CLOCK, POINTER, OUT_INT) \
    Q(timer_settime, INT, TIMERFLAGS, ITIMERSPEC, OUT_ITIMERSPEC) \
    Q(timer_gettime, INT, OUT_ITIMERSPEC) \
    Q(timer_getoverrun, INT) \
    Q(timer_delete, INT) \
    Q(clock_settime, CLOCK, TIMESPEC) \
    Q(clock_gettime, CLOCK, OUT_TIMESPEC) \
    Q(clock_getres, CLOCK, OUT_TIMESPEC) \
    W(clock_nanosleep, CLOCK, TIMERFLAGS, TIMESPEC, OUT_TIMESPEC) \
    W(exit_group, INT) \
    W(epoll_wait, FD, OUT_EVENTS, INT, INT) \
    Q(epoll_ctl, FD, EPOLL_OP, FD, EVENT) \
    Q(tgkill, INT, INT, SIGNAL) \
    Q(utimes, PATH, TIMEVALS) \
    Q(mbind, ADDR, SIZE, INT, POINTER, SIZE, HEX) \
    Q(set_mempolicy, INT, POINTER, SIZE) \
    Q(get_mempolicy, OUT_INT, OUT, SIZE, ADDR, HEX) \
    W(waitid, IDTYPE, INT, OUT, WAIT, OUT) \
    Q(ioprio_set, INT, INT, HEX) \
    Q(ioprio_get, INT, INT) \
    Q(inotify_init, END) \
    Q(inotify_add_watch, FD, PATH, WATCH) \
    Q(inotify_rm_watch, FD, INT) \
    Q(openat, DIRFD, PATH, OPEN, MODE) \
    Q(mkdirat, DIRFD, PATH, MODE) \
    Q(mknodat, DIRFD, PATH, MODE, HEX) \
    Q(fchownat, DIRFD, PATH, INT, INT, ATFLAGS) \
    Q(futimesat, DIRFD, PATH, TIMEVALS) \
    Q(newfstatat, DIRFD, PATH, OUT_STAT, ATFLAGS) \
    Q(unlinkat, DIRFD, PATH, UNLINK) \
    Q(renameat, DIRFD, PATH, DIRFD, PATH) \
    Q(linkat, DIRFD, PATH, DIRFD, PATH, ATFLAGS) \
    Q(symlinkat, STRING, DIRFD, PATH) \
    Q(readlinkat, DIRFD, PATH, OUT_STRING, SIZE) \
    Q(fchmodat, DIRFD, PATH, MODE) \
    Q(faccessat, DIRFD, PATH, ACCESS) \
    W(pselect6, INT, FDSET, FDSET, FDSET, TIMESPEC, POINTER) \
    W(ppoll, POLL, UINT, TIMESPEC, SIGSET, SIZE) \
    Q(unshare, CLONE) \
    Q(set_robust_list, BYTES, SIZE) \
    Q(get_robust_list, INT, OUT, OUT) \
    W(splice, FD, OUT, FD, OUT, SIZE, SPLICE) \
    W(tee, FD, FD, SIZE, SPLICE) \
    W(sync_file_range, FD, LONG, LONG, HEX) \
    W(vmsplice, FD, VECTORS, SIZE, SPLICE) \
    Q(utimensat, DIRFD, PATH, TIMESPECS, ATFLAGS) \
    W(epoll_pwait, FD, OUT_EVENTS, INT, INT, SIGSET, SIZE) \
    Q(signalfd, FD, SIGSET, SIZE) \
    Q(timerfd_create, CLOCK, TIMERFD) \
    Q(eventfd, UINT) \
    Q(fallocate, FD, ALLOCATE, LONG, LONG) \
    Q(timerfd_settime, FD, TIMERFLAGS, ITIMERSPEC, OUT_ITIMERSPEC) \
    Q(timerfd_gettime, FD, OUT_ITIMERSPEC) \
    W(accept4, FD, OUT_SOCKADDR, OUT_INT, SOCKFLAGS) \
    Q(signalfd4, FD, SIGSET, SIZE, SIGNALFD) \
    Q(eventfd2, UINT, EVENTFD) \
    Q(epoll_create1, EPOLLFLAGS) \
    Q(dup3, FD, FD, FILEFLAGS) \
    Q(pipe2, OUT_PAIR, FILEFLAGS) \
    Q(inotify_init1, INOTIFY) \
    W(preadv, FD, VECTORS, INT, LONG) \
    W(pwritev, FD, VECTORS, INT, LONG) \
    Q(rt_tgsigqueueinfo, INT, INT, SIGNAL, POINTER) \
    W(recvmmsg, FD, OUT, UINT, MSGFLAGS, TIMESPEC) \
    Q(prlimit64, INT, LIMIT, RLIMIT, OUT_RLIMIT) \
    Q(name_to_handle_at, DIRFD, PATH, OUT, OUT_INT, ATFLAGS) \
    W(syncfs, FD) \
    W(sendmmsg, FD, POINTER, UINT, MSGFLAGS) \
    Q(setns, FD, CLONE) \
    Q(getcpu, OUT_INT, OUT_INT, ADDR) \
    W(process_vm_readv, INT, VECTORS, SIZE, ADDR, SIZE, HEX) \
    W(process_vm_writev, INT, VECTORS, SIZE, ADDR, SIZE, HEX) \
    Q(kcmp, INT, INT, INT, HEX, HEX) \
    Q(sched_setattr, INT, POINTER, HEX) \
    Q(sched_getattr, INT, OUT_BYTES, SIZE, HEX) \
    Q(renameat2, DIRFD, PATH, DIRFD, PATH, RENAME) \
    Q(seccomp, INT, HEX, HEX) \
    W(getrandom, OUT_BYTES, SIZE, RANDOM) \
    Q(memfd_create, STRING, MEMFD) \
    W(execveat, DIRFD, PATH, STRINGS, COUNTED, ATFLAGS) \
    Q(membarrier, INT, HEX, INT) \
    Q(mlock2, BYTES, SIZE, HEX) \
    W(copy_file_range, FD, OUT, FD, OUT, SIZE, HEX) \
    W(preadv2, FD, VECTORS, INT, LONG, LONG, RWF) \
    W(pwritev2, FD, VECTORS, INT, LONG, LONG, RWF) \
    Q(pkey_mprotect, ADDR, SIZE, PROT, INT) \
    Q(pkey_alloc, HEX, HEX) \
    Q(pkey_free, INT) \
    Q(statx, DIRFD, PATH, ATFLAGS, STATX, OUT_STATX) \
    Q(rseq, ADDR, SIZE, HEX, HEX) \
    Q(pidfd_send_signal, FD, SIGNAL, POINTER, HEX) \
    Q(io_uring_setup, UINT, OUT) \
    Q(pidfd_open, INT, FILEFLAGS) \
    W(clone3, CLONEARGS, SIZE) \
    Q(close_range, UINT, UINT, RANGE) \
    Q(openat2, DIRFD, PATH, OPENHOW, SIZE) \
    Q(pidfd_getfd, FD, FD, HEX) \
    Q(faccessat2, DIRFD, PATH, ACCESS, ATFLAGS) \
    W(epoll_pwait2, FD, OUT_EVENTS, INT, TIMESPEC, SIGSET, SIZE) \
    W(futex_waitv, ADDR, UINT, HEX, TIMESPEC, CLOCK) \
    Q(cachestat, FD, POINTER, OUT, HEX) \
    Q(fchmodat2, DIRFD, PATH, MODE, ATFLAGS)
/* clang-format on */

#define KIND1(a)                          A_##a
#define KIND2(a, ...)                     A_##a, KIND1(__VA_ARGS__)
#define KIND3(a, ...)                     A_##a, KIND2(__VA_ARGS__)
#define KIND4(a, ...)                     A_##a, KIND3(__VA_ARGS__)
#define KIND5(a, ...)                     A_##a, KIND4(__VA_ARGS__)
#define KIND6(a, ...)                     A_##a, KIND5(__VA_ARGS__)
#define PICK(a, b, c, d, e, f, name, ...) name
#define KINDS(...)                        PICK(__VA_ARGS__, KIND6, KIND5, KIND4, KIND3, KIND2, KIND1, )(__VA_ARGS__)

struct signature {
    uint8_t waits, kind[ARGUMENTS_MOST];
};

#define Q(name, ...) [NR_##name] = {1, {KINDS(__VA_ARGS__)}},
#define W(name, ...) [NR_##name] = {2, {KINDS(__VA_ARGS__)}},
static const struct signature table[SYSCALL_NUMBERS] = {SIGNATURES};

static const struct signature *find(unsigned long nr)
{
    static const struct signature unlisted = {1, {A_HEX, A_HEX, A_HEX, A_HEX, A_HEX, A_HEX}};
    return nr < SYSCALL_NUMBERS && table[nr].waits ? &table[nr] : &unlisted;
}

const uint8_t *syscall_arguments(unsigned long nr)
{
    return find(nr)->kind;
}

int syscall_may_wait(unsigned long nr)
{
    return find(nr)->waits == 2;
}

/* Negative lengths are refused by Linux before anything is touched. */
static size_t counted(long n, size_t each)
{
    return n < 0 || (int)n < 0 ? 0 : (size_t)n * each;
}

size_t syscall_argument_bytes(unsigned long nr, const long arg[ARGUMENTS_MOST], int i)
{
    enum argument_kind kind = find(nr)->kind[i];
    long next = i + 1 < ARGUMENTS_MOST ? arg[i + 1] : 0;
    switch (kind) {
    case A_BYTES:
    case A_OUT_BYTES:
    case A_SOCKADDR:
        return counted(next, 1);
    case A_SIZED:
    case A_OUT_SIZED:
        return counted(arg[i - 1], 1);
    case A_VECTORS:
        return counted(next, 16);
    case A_POLL:
        return counted(next, 8);
    case A_TIMESPEC:
    case A_TIMEVAL:
    case A_RLIMIT:
    case A_OUT_TIMESPEC:
    case A_OUT_TIMEVAL:
    case A_OUT_RLIMIT:
        return 16;
    case A_TIMESPECS:
    case A_TIMEVALS:
    case A_ITIMERVAL:
    case A_ITIMERSPEC:
    case A_SIGACTION:
    case A_OUT_ITIMERVAL:
    case A_OUT_ITIMERSPEC:
    case A_OUT_SIGACTION:
        return 32;
    case A_SIGSET:
    case A_OUT_SIGSET:
    case A_OUT_PAIR:
        return 8;
    case A_NUMBER:
    case A_OUT_INT:
    case A_OUT_STATUS:
        return 4;
    case A_EVENT:
        return 12;
    case A_OUT_STAT:
        return 144;
    case A_OUT_STATX:
        return 256;
    default:
        return kind >= A_PATH ? 1 : 0;
    }
}
