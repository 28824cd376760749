/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Every pointer argument of every call in scope, given every kind of bad pointer. */
#include "check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <asm/prctl.h>
#include <linux/futex.h>
#include <netinet/in.h>

static int file, dir, in, out, event, ep, spare, tcp, one, two, none;
static char *edge, *read_only;
static struct timespec zero_time;
static struct timeval zero_timeval;
static struct itimerval no_timer;
static struct sockaddr_in address;
static socklen_t length = 16;
static char path[] = "file";

#define P  ((long)0x5050505050) /* stands for the pointer under test */
#define AT ((long)AT_FDCWD)

static void row(const char *name, long nr, long a, long b, long c, long d, long e, long f)
{
    const struct {
        const char *kind;
        void *at;
    } pointers[] = {
        {"low", BAD_LOW},         {"kernel", BAD_KERNEL}, {"odd", BAD_NONCANON},
        {"top", BAD_TOP},         {"none", edge + PAGE},  {"edge", edge + PAGE - 1},
        {"read-only", read_only},
    };
    char line[300] = "";
    for (size_t i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++) {
        long x[] = {a, b, c, d, e, f};
        for (int k = 0; k < 6; k++)
            if (x[k] == P)
                x[k] = (long)pointers[i].at;
        memset(edge + PAGE - 8, 'a', 8); /* a partial result may have been left there */
        errno = 0;
        long r = syscall(nr, x[0], x[1], x[2], x[3], x[4], x[5]);
        sprintf(line + strlen(line), "%s%s ", i ? ", " : "", pointers[i].kind);
        if (r == -1)
            strcat(line, errno_name(errno));
        else
            sprintf(line + strlen(line), "%ld", r);
    }
    say(name, "%s", line);
}

#define ROW6(name, nr, a, b, c, d, e, f, ...) \
    row(name, nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define ROW(...) ROW6(__VA_ARGS__, 0, 0, 0, 0, 0, 0)

static void files(void)
{
    char buf[64];
    ROW("read pipe", SYS_read, in, P, 8);
    ROW("read file", SYS_pread64, file, P, 8, 0);
    ROW("read eventfd", SYS_read, event, P, 8);
    ROW("write pipe", SYS_write, out, P, 8);
    ROW("write file", SYS_pwrite64, file, P, 8, 0);
    ROW("write eventfd", SYS_write, spare, P, 8);
    ROW("readv", SYS_readv, file, P, 1);
    ROW("writev", SYS_writev, file, P, 1);
    ROW("preadv", SYS_preadv, file, P, 1, 0, 0);
    ROW("pwritev2", SYS_pwritev2, file, P, 1, 0, 0, 0);
    ROW("open", SYS_open, P, O_RDONLY);
    ROW("openat", SYS_openat, AT, P, O_RDONLY);
    ROW("creat", SYS_creat, P, 0600);
    ROW("stat path", SYS_stat, P, buf);
    ROW("stat result", SYS_stat, path, P);
    ROW("lstat result", SYS_lstat, path, P);
    ROW("fstat", SYS_fstat, file, P);
    ROW("newfstatat path", SYS_newfstatat, AT, P, buf, 0);
    ROW("newfstatat result", SYS_newfstatat, AT, path, P, 0);
    ROW("statx path", SYS_statx, AT, P, 0, STATX_SIZE, buf);
    ROW("statx result", SYS_statx, AT, path, 0, STATX_SIZE, P);
    ROW("statfs path", SYS_statfs, P, buf);
    ROW("statfs result", SYS_statfs, path, P);
    ROW("fstatfs", SYS_fstatfs, file, P);
    ROW("access", SYS_access, P, R_OK);
    ROW("faccessat2", SYS_faccessat2, AT, P, R_OK, 0);
    ROW("truncate", SYS_truncate, P, 5);
    ROW("getdents64", SYS_getdents64, dir, P, 4096);
    ROW("getcwd", SYS_getcwd, P, 4096);
    ROW("chdir", SYS_chdir, P);
    ROW("rename from", SYS_rename, P, path);
    ROW("rename to", SYS_rename, path, P);
    ROW("renameat2 from", SYS_renameat2, AT, P, AT, path, 0);
    ROW("renameat2 to", SYS_renameat2, AT, path, AT, P, 0);
    ROW("mkdir", SYS_mkdir, P, 0700);
    ROW("mkdirat", SYS_mkdirat, AT, P, 0700);
    ROW("rmdir", SYS_rmdir, P);
    ROW("link from", SYS_link, P, "new");
    ROW("link to", SYS_link, path, P);
    ROW("symlink target", SYS_symlink, P, "new");
    ROW("symlink name", SYS_symlink, path, P);
    ROW("unlink", SYS_unlink, P);
    ROW("unlinkat", SYS_unlinkat, AT, P, 0);
    ROW("readlink path", SYS_readlink, P, buf, 10);
    ROW("readlink result", SYS_readlink, "symlink", P, 10);
    ROW("readlinkat result", SYS_readlinkat, AT, "symlink", P, 10);
    ROW("chmod", SYS_chmod, P, 0600);
    ROW("fchmodat", SYS_fchmodat, AT, P, 0600);
    ROW("chown", SYS_chown, P, -1, -1);
    ROW("fchownat", SYS_fchownat, AT, P, -1, -1, 0);
    ROW("mknod", SYS_mknod, P, S_IFREG | 0600, 0);
    ROW("utimensat path", SYS_utimensat, AT, P, 0, 0);
    ROW("utimensat times", SYS_utimensat, AT, path, P, 0);
    ROW("sendfile", SYS_sendfile, out, file, P, 1);
    ROW("copy_file_range", SYS_copy_file_range, file, P, file, 0, 1, 0);
    ROW("pipe", SYS_pipe, P);
    ROW("pipe2", SYS_pipe2, P, O_CLOEXEC);
    ROW("F_SETLK", SYS_fcntl, file, F_SETLK, P);
    ROW("F_GETLK", SYS_fcntl, file, F_GETLK, P);
    ROW("FIONBIO", SYS_ioctl, in, 0x5421, P);
    ROW("FIONREAD", SYS_ioctl, in, 0x541b, P);
    fcntl(in, F_SETFL, O_NONBLOCK);
}

static void waiting(void)
{
    struct epoll_event e;
    ROW("poll", SYS_poll, P, 1, 0);
    ROW("ppoll descriptors", SYS_ppoll, P, 1, &zero_time, 0, 8);
    ROW("ppoll time", SYS_ppoll, 0, 0, P, 0, 8);
    ROW("ppoll mask", SYS_ppoll, 0, 0, &zero_time, P, 8);
    ROW("select", SYS_select, 4, P, 0, 0, &zero_timeval);
    ROW("select time", SYS_select, 0, 0, 0, 0, P);
    ROW("pselect6 mask", SYS_pselect6, 0, 0, 0, 0, &zero_time, P);
    ROW("epoll_ctl", SYS_epoll_ctl, ep, EPOLL_CTL_MOD, event, P);
    e.events = EPOLLIN;
    NEED(epoll_ctl(ep, EPOLL_CTL_MOD, event, &e) == 0);
    ROW("epoll_wait", SYS_epoll_wait, ep, P, 4, 0);
    ROW("epoll_pwait mask", SYS_epoll_pwait, ep, &e, 1, 0, P, 8);
    ROW("nanosleep", SYS_nanosleep, P, 0);
    ROW("clock_nanosleep", SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, P, 0);
    ROW("futex wait, private", SYS_futex, P, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0);
    ROW("futex time", SYS_futex, &one, FUTEX_WAIT, 1, P, 0, 0);
    ROW("setitimer new", SYS_setitimer, ITIMER_REAL, P, 0);
    ROW("setitimer old", SYS_setitimer, ITIMER_REAL, &no_timer, P);
    ROW("getitimer", SYS_getitimer, ITIMER_REAL, P);
    ROW("wait4 without children", SYS_wait4, -1, P, 0, 0);
}

static void sockets(void)
{
    ROW("connect", SYS_connect, tcp, P, 16);
    ROW("sendto data", SYS_sendto, one, P, 8, MSG_DONTWAIT, 0, 0);
    ROW("sendto address", SYS_sendto, tcp, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL, P, 16);
    ROW("recvfrom data", SYS_recvfrom, two, P, 4, MSG_DONTWAIT, 0, 0);
    ROW("sendmsg", SYS_sendmsg, one, P, MSG_DONTWAIT);
    ROW("recvmsg", SYS_recvmsg, two, P, MSG_DONTWAIT);
    ROW("getsockname address", SYS_getsockname, tcp, P, &length);
    ROW("getsockname length", SYS_getsockname, tcp, &address, P);
    ROW("socketpair", SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, P);
    ROW("setsockopt", SYS_setsockopt, tcp, SOL_SOCKET, SO_REUSEADDR, P, 4);
    ROW("getsockopt value", SYS_getsockopt, tcp, SOL_SOCKET, SO_TYPE, P, &length);
    ROW("getsockopt length", SYS_getsockopt, tcp, SOL_SOCKET, SO_TYPE, &none, P);
}

static void processes(void)
{
    char word[64];
    void *robust;
    ROW("execve path", SYS_execve, P, 0, 0);
    ROW("rt_sigaction new", SYS_rt_sigaction, SIGUSR1, P, 0, 8);
    ROW("rt_sigaction old", SYS_rt_sigaction, SIGUSR1, 0, P, 8);
    ROW("rt_sigprocmask new", SYS_rt_sigprocmask, SIG_BLOCK, P, 0, 8);
    ROW("rt_sigprocmask old", SYS_rt_sigprocmask, SIG_BLOCK, 0, P, 8);
    ROW("rt_sigpending", SYS_rt_sigpending, P, 8);
    ROW("rt_sigtimedwait set", SYS_rt_sigtimedwait, P, 0, &zero_time, 8);
    ROW("rt_sigtimedwait time", SYS_rt_sigtimedwait, memset(word, 0, 8), 0, P, 8);
    ROW("sigaltstack old", SYS_sigaltstack, 0, P);
    ROW("getrlimit", SYS_getrlimit, RLIMIT_CORE, P);
    ROW("prlimit64 old", SYS_prlimit64, 0, RLIMIT_CORE, 0, P);
    ROW("setrlimit", SYS_setrlimit, RLIMIT_CORE, P);
    ROW("getrusage", SYS_getrusage, RUSAGE_SELF, P);
    ROW("uname", SYS_uname, P);
    ROW("sysinfo", SYS_sysinfo, P);
    ROW("gettimeofday", SYS_gettimeofday, P, 0);
    ROW("clock_gettime", SYS_clock_gettime, CLOCK_REALTIME, P);
    ROW("clock_getres", SYS_clock_getres, CLOCK_REALTIME, P);
    ROW("getrandom", SYS_getrandom, P, 8, 0);
    ROW("getcpu", SYS_getcpu, P, 0, 0);
    ROW("sched_getaffinity", SYS_sched_getaffinity, 0, 128, P);
    ROW("sched_setaffinity", SYS_sched_setaffinity, 0, 128, P);
    ROW("sched_getparam", SYS_sched_getparam, 0, P);
    ROW("sched_setparam", SYS_sched_setparam, 0, P);
    ROW("getresuid", SYS_getresuid, P, word, word + 8);
    ROW("getresgid", SYS_getresgid, word, word + 8, P);
    ROW("PR_SET_NAME", SYS_prctl, PR_SET_NAME, P);
    ROW("PR_GET_NAME", SYS_prctl, PR_GET_NAME, P);
    ROW("PR_GET_PDEATHSIG", SYS_prctl, PR_GET_PDEATHSIG, P);
    ROW("ARCH_GET_FS", SYS_arch_prctl, ARCH_GET_FS, P);
    ROW("get_robust_list head", SYS_get_robust_list, 0, P, word);
    ROW("get_robust_list size", SYS_get_robust_list, 0, &robust, P);
    ROW("mincore", SYS_mincore, edge, PAGE, P);
    ROW("waitid", SYS_waitid, P_ALL, 0, P, WEXITED | WNOHANG, 0);
}

int main(int argc, char **argv)
{
    int p[2], s[2];
    struct epoll_event e = {.events = EPOLLIN};
    start(argc, argv);
    edge = page_then_none(PROT_READ | PROT_WRITE);
    memset(edge, 'a', PAGE);
    read_only = page_then_none(PROT_READ);
    put(path, "0123456789abcdef");
    NEED(symlink("target", "symlink") == 0 && pipe2(p, O_NONBLOCK) == 0);
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    in = p[0], out = p[1], one = s[0], two = s[1];
    file = open(path, O_RDWR), dir = open(".", O_RDONLY),
    event = eventfd(100, EFD_NONBLOCK | EFD_SEMAPHORE);
    spare = eventfd(0, EFD_NONBLOCK), tcp = socket(AF_INET, SOCK_STREAM, 0);
    ep = epoll_create1(0);
    NEED(write(out, "0123456789", 10) == 10 && write(one, "01234567", 8) == 8);
    NEED(epoll_ctl(ep, EPOLL_CTL_ADD, event, &e) == 0);
    files();
    waiting();
    sockets();
    processes();
    return 0;
}
