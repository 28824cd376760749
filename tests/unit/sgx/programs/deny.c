/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A machine or container that lacks something: runs a program for which some system calls fail.
 * deny RULE... -- PROGRAM ARGS...
 *
 *   NR=ERRNO        system call NR fails
 *   NR:ARG0=ERRNO   only with this first argument
 *   low=ERRNO       mappings at fixed addresses below 64 KiB (vm.mmap_min_addr = 65536)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field)     LOAD_AT(offsetof(struct seccomp_data, field))
#define LOAD_AT(k)      (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, k)
#define JEQ(k, yes, no) (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, yes, no)
#define RET(k)          (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, k)
#define FAIL(e)         RET(SECCOMP_RET_ERRNO | ((unsigned)(e)&0xffff))

static struct sock_filter code[4096];
static unsigned short n;

static void rule(const char *text)
{
    const char *value = strchr(text, '='), *argument = strchr(text, ':');
    if (!value) {
        fprintf(stderr, "not a rule: %s\n", text);
        exit(2);
    }
    const int error = atoi(value + 1);
    code[n++] = LOAD(nr);
    if (!strncmp(text, "low=", 4)) {
        code[n++] = JEQ(SYS_mmap, 0, 7);
        code[n++] = LOAD(args[3]);
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K,
                                                 MAP_FIXED | MAP_FIXED_NOREPLACE, 0, 5);
        code[n++] = LOAD_AT(offsetof(struct seccomp_data, args[0]) + 4);
        code[n++] = JEQ(0, 0, 3);
        code[n++] = LOAD(args[0]);
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 65536, 1, 0);
        code[n++] = FAIL(error);
    } else if (argument && argument < value) {
        code[n++] = JEQ((unsigned)atoi(text), 0, 3);
        code[n++] = LOAD(args[0]);
        code[n++] = JEQ((unsigned)atoi(argument + 1), 0, 1);
        code[n++] = FAIL(error);
    } else {
        code[n++] = JEQ((unsigned)atoi(text), 0, 1);
        code[n++] = FAIL(error);
    }
}

int main(int argc, char **argv)
{
    int i = 1;
    for (; i < argc && strcmp(argv[i], "--") && n < 4000; i++)
        rule(argv[i]);
    code[n++] = RET(SECCOMP_RET_ALLOW);
    struct sock_fprog program = {n, code};
    if (i + 1 >= argc || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        perror("deny");
        return 2;
    }
    execvp(argv[i + 1], argv + i + 1);
    perror(argv[i + 1]);
    return 2;
}
