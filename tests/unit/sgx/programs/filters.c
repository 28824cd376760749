/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A program with seccomp filters of its own: prints the same natively and on the device. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int trapped, number, data, code, at_call;
extern char after_call[];

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    trapped++;
    number = info->si_syscall;
    data = info->si_errno;
    code = info->si_code;
    at_call = info->si_call_addr == (void *)uc->uc_mcontext.gregs[REG_RIP] &&
              memcmp((char *)info->si_call_addr - 2, "\x0f\x05", 2) == 0;
    uc->uc_mcontext.gregs[REG_RAX] = 4711;
}

static void add(unsigned nr, unsigned action)
{
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {4, f};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
        perror("filter");
}

static void show(const char *what, long result)
{
    printf("%s: %ld, trapped %d, call %d, data %d, code %d, address %d\n", what, result, trapped,
           number, data, code, at_call);
}

static void killed(const char *what, unsigned nr)
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        add(nr, SECCOMP_RET_KILL_PROCESS);
        syscall(nr, -1, "/nowhere", 0, 0);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    printf("%s: signal %d\n", what, WTERMSIG(status));
}

int main(void)
{
    struct sigaction a = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
    char text[64];
    sigaction(SIGSYS, &a, NULL);
    add(__NR_getppid, SECCOMP_RET_TRAP | 5);
    show("getppid", syscall(__NR_getppid));
    add(__NR_readlink, SECCOMP_RET_TRAP | 6); /* one that the device traps, too */
    show("readlink", syscall(__NR_readlink, "/nowhere", text, sizeof(text)));
    show("again", syscall(__NR_readlink, "/nowhere", text, sizeof(text)));
    add(__NR_faccessat, SECCOMP_RET_ERRNO | EXDEV);
    show("faccessat", syscall(__NR_faccessat, AT_FDCWD, "/", 0) ? -errno : 0);
    show("openat", syscall(__NR_openat, -5, "nowhere", 0) ? -errno : 0);
    killed("killed by openat", __NR_openat);
    killed("killed by getpgrp", __NR_getpgrp);
    printf("seccomp %d, no_new_privs %d\n", prctl(PR_GET_SECCOMP),
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    return 0;
}
