/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* pidfd_open and its family, CLONE_PIDFD, waitid on a descriptor; what clone() refuses. */
#include "check.h"
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#ifndef P_PIDFD
#    define P_PIDFD 3
#endif

static volatile sig_atomic_t got, got_value, got_code;

static void on_signal(int sig, siginfo_t *i, void *context)
{
    (void)context;
    got = sig;
    got_value = i->si_value.sival_int;
    got_code = i->si_code;
}

static int pidfd_open_(pid_t pid, unsigned flags)
{
    return (int)syscall(SYS_pidfd_open, pid, flags);
}

static pid_t waiting_child(int *gate)
{
    int p[2];
    NEED(pipe(p) == 0);
    pid_t child = fork();
    if (child == 0) {
        char c;
        close(p[1]);
        _exit(read(p[0], &c, 1) == 1 ? c : 0);
    }
    close(p[0]);
    *gate = p[1];
    return child;
}

static void opening(void)
{
    int gate, fd;
    siginfo_t info = {0};
    pid_t child = waiting_child(&gate);
    OK("open", fd = pidfd_open_(child, 0));
    TRY("close-on-exec", fcntl(fd, F_GETFD));
    struct pollfd p = {.fd = fd, .events = POLLIN};
    TRY("poll while it runs", poll(&p, 1, 0));
    char c = 7;
    TRY("read", read(fd, &c, 1));
    TRY("WNOHANG", waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG));
    NEED(write(gate, &c, 1) == 1);
    TRY("poll", poll(&p, 1, 20000));
    VALUE("readable", p.revents);
    TRY("signal to a zombie", syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    TRY("WNOWAIT", waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOWAIT));
    TRY("waitid", waitid(P_PIDFD, (id_t)fd, &info, WEXITED));
    say("child", "pid %d code %d status %d", info.si_pid == child, info.si_code, info.si_status);
    TRY("again", waitid(P_PIDFD, (id_t)fd, &info, WEXITED));
    TRY("signal to the reaped", syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    OK("open the reaped", pidfd_open_(child, 0));
    close(fd);
    close(gate);
    OK("pid 0", pidfd_open_(0, 0));
    OK("negative pid", pidfd_open_(-1, 0));
    OK("flags", pidfd_open_(getpid(), 1));
    OK("no such pid", pidfd_open_(0x3fffff, 0));
    TRY("not a pidfd", waitid(P_PIDFD, 0, &info, WEXITED));
    TRY("closed", waitid(P_PIDFD, 999, &info, WEXITED));
    child = waiting_child(&gate);
    fd = pidfd_open_(child, O_NONBLOCK);
    TRY("nonblocking waitid", waitid(P_PIDFD, (id_t)fd, &info, WEXITED));
    close(gate);
    close(fd);
    waitpid(child, NULL, 0);
}

static void signalling(void)
{
    int gate, status;
    handle_info(SIGUSR1, on_signal, 0);
    int self = pidfd_open_(getpid(), 0);
    TRY("to ourselves", syscall(SYS_pidfd_send_signal, self, SIGUSR1, NULL, 0));
    say("came", "%d code %d", got == SIGUSR1, got_code);
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    info.si_value.sival_int = 77;
    TRY("with a value", syscall(SYS_pidfd_send_signal, self, SIGUSR1, &info, 0));
    say("came", "value %d code %d", got_value, got_code);
    TRY("other number in the value", syscall(SYS_pidfd_send_signal, self, SIGUSR2, &info, 0));
    TRY("bad signal", syscall(SYS_pidfd_send_signal, self, 99, NULL, 0));
    TRY("bad flags", syscall(SYS_pidfd_send_signal, self, 0, NULL, 0x100));
    TRY("bad pointer", syscall(SYS_pidfd_send_signal, self, SIGUSR1, BAD_LOW, 0));
    TRY("not a pidfd", syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0));
    static const char *const names[] = {"/proc/self", "/proc/self/fd", "/proc", "/proc/self/task"};
    got = 0;
    for (int i = 0; i < 4; i++) {
        int dir = open(names[i], O_RDONLY | O_DIRECTORY);
        TRY(names[i], syscall(SYS_pidfd_send_signal, dir, SIGUSR1, NULL, 0));
        close(dir);
    }
    say("came", "%d code %d", got == SIGUSR1, got_code);
    int dir = open("/proc/self", O_PATH | O_DIRECTORY);
    TRY("O_PATH", syscall(SYS_pidfd_send_signal, dir, 0, NULL, 0));
    close(dir);
    pid_t child = waiting_child(&gate);
    int fd = pidfd_open_(child, 0);
    info.si_code = SI_USER;
    TRY("forged", syscall(SYS_pidfd_send_signal, fd, SIGUSR1, &info, 0));
    TRY("kill the child", syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0));
    waitpid(child, &status, 0);
    show_status("child", status);
    close(fd);
    close(gate);
    int p[2], copy;
    NEED(pipe(p) == 0);
    OK("getfd of ourselves", copy = (int)syscall(SYS_pidfd_getfd, self, p[1], 0));
    TRY("close-on-exec", fcntl(copy, F_GETFD));
    TRY("write to the copy", write(copy, "x", 1));
    TRY("getfd of nothing", syscall(SYS_pidfd_getfd, self, 999, 0));
    TRY("getfd flags", syscall(SYS_pidfd_getfd, self, p[1], 1));
    TRY("getfd through a pipe", syscall(SYS_pidfd_getfd, p[0], p[1], 0));
    close(p[0]), close(p[1]), close(copy), close(self);
}

/* No function call: a child in the parent's memory must not return from one. */
__attribute__((always_inline)) static inline long clone_(unsigned long flags, int *at)
{
    long r = SYS_clone;
    register long none __asm__("r10") = 0;
    register long tls __asm__("r8") = 0;
    __asm__ volatile("syscall"
                     : "+a"(r)
                     : "D"(flags), "S"(0), "d"(at), "r"(none), "r"(tls)
                     : "rcx", "r11", "memory");
    if (r < 0) {
        errno = (int)-r;
        r = -1;
    }
    return r;
}

static void cloning(void)
{
    int fd = -2, status;
    siginfo_t info;
    long child = clone_(CLONE_PIDFD | SIGCHLD, &fd);
    if (child == 0)
        _exit(fcntl(fd, F_GETFD) == -1 ? 3 : 4); /* the child has no such descriptor */
    CHECK("CLONE_PIDFD", fd >= 0 && child > 0);
    TRY("close-on-exec", fcntl(fd, F_GETFD));
    TRY("wait", waitid(P_PIDFD, (id_t)fd, &info, WEXITED));
    say("child", "pid %d status %d", info.si_pid == child, info.si_status);
    close(fd);
    child = clone_(CLONE_PIDFD | CLONE_VFORK | CLONE_VM | SIGCHLD, &fd);
    if (child == 0)
        _exit(5);
    TRY("wait after vfork", waitid(P_PIDFD, (id_t)fd, &info, WEXITED));
    say("child", "pid %d status %d", info.si_pid == child, info.si_status);
    close(fd);
    OK("no place for the number", clone_(CLONE_PIDFD | SIGCHLD, BAD_LOW));
    TRY("no child", waitpid(-1, &status, WNOHANG));
    OK("CLONE_PIDFD and CLONE_PARENT_SETTID", clone_(CLONE_PIDFD | CLONE_PARENT_SETTID, &fd));
    struct clone_args a = {.flags = CLONE_PIDFD, .exit_signal = SIGCHLD, .pidfd = (uintptr_t)&fd};
    child = syscall(SYS_clone3, &a, sizeof(a));
    if (child == 0)
        _exit(6);
    TRY("clone3, wait", waitid(P_PIDFD, (id_t)fd, &info, WEXITED));
    say("child", "pid %d status %d", info.si_pid == child, info.si_status);
    close(fd);
    struct clone_args b = {.flags = CLONE_PARENT, .exit_signal = SIGCHLD};
    OK("clone3: CLONE_PARENT with a signal", syscall(SYS_clone3, &b, sizeof(b)));
    OK("CLONE_SIGHAND alone", clone_(CLONE_SIGHAND | SIGCHLD, NULL));
    OK("CLONE_THREAD alone", clone_(CLONE_THREAD | SIGCHLD, NULL));
}

static void exit_signals(void)
{
    int status;
    handle_info(SIGUSR2, on_signal, SA_RESTART);
    got = 0;
    long child = clone_(SIGUSR2, NULL);
    if (child == 0)
        _exit(9);
    CHECK("waits for clones", waitpid((pid_t)child, &status, __WCLONE) == child);
    show_status("status", status);
    say("signal at its end", "%d code %d", got == SIGUSR2, got_code);
    child = clone_(0, NULL);
    if (child == 0)
        _exit(10);
    TRY("a plain wait does not see it", waitpid(-1, &status, 0));
    CHECK("__WALL does", waitpid(-1, &status, __WALL) == child);
    show_status("status", status);
    NEED(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pid_t me = getpid();
    child = fork();
    if (child == 0) {
        long twin = clone_(CLONE_PARENT | SIGCHLD, NULL);
        if (twin == 0)
            _exit(getppid() == me ? 21 : 22);
        _exit(waitpid((pid_t)twin, &status, 0) == -1 && errno == ECHILD ? 20 : 19);
    }
    int sum = 0, n = 0;
    while (wait(&status) > 0) {
        sum += WEXITSTATUS(status);
        n++;
    }
    say("CLONE_PARENT", "%d children, sum %d", n, sum);
    child = fork();
    if (child == 0) {
        if (fork() == 0) {
            while (getppid() != me)
                sleep_ms(1);
            _exit(31);
        }
        _exit(30);
    }
    sum = n = 0;
    while (wait(&status) > 0) {
        sum += WEXITSTATUS(status);
        n++;
    }
    say("subreaper", "%d children, sum %d", n, sum);
    NEED(prctl(PR_SET_CHILD_SUBREAPER, 0) == 0);
}

static void over_a_socket(void)
{
    int s[2], gate;
    char c = 0, room[CMSG_SPACE(sizeof(int))];
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    pid_t child = waiting_child(&gate);
    int fd = pidfd_open_(child, 0), other = -1;
    struct iovec v = {&c, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    *h = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(h), &fd, sizeof(fd));
    TRY("pass a pidfd", sendmsg(s[0], &m, 0));
    TRY("receive it", recvmsg(s[1], &m, 0));
    memcpy(&other, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(other));
    TRY("signal through it", syscall(SYS_pidfd_send_signal, other, SIGTERM, NULL, 0));
    siginfo_t info;
    TRY("wait through it", waitid(P_PIDFD, (id_t)other, &info, WEXITED));
    say("child", "code %d status %d", info.si_code, info.si_status);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    opening();
    signalling();
    cloning();
    exit_signals();
    over_a_socket();
    return 0;
}
