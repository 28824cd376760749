/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The seccomp filters: which system calls of the program trap. The number is tested first, the
 * instruction pointer only for those that would trap, so that the kernel can skip the filter for
 * all others.
 */
#include "sgxemu/emu.h"
#include <linux/mman.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#define OFF(field)   ((uint32_t)offsetof(struct seccomp_data, field))
#define LOAD(off)    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, off)
#define JEQ(k, t, f) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, t, f)
#define RET(k)       BPF_STMT(BPF_RET | BPF_K, k)
#define IP_HIGH      ((uint32_t)(EMU_BASE >> 32))

static const uint16_t always[] = {
    __NR_rt_sigaction, __NR_rt_sigprocmask,  __NR_rt_sigreturn, __NR_sigaltstack,   __NR_open,
    __NR_openat,       __NR_execve,          __NR_execveat,     __NR_clone,         __NR_clone3,
    __NR_fork,         __NR_vfork,           __NR_readlink,     __NR_readlinkat,    __NR_stat,
    __NR_lstat,        __NR_newfstatat,      __NR_statx,        __NR_access,        __NR_faccessat,
    __NR_faccessat2,   __NR_rt_sigtimedwait, __NR_openat2,      __NR_rt_sigpending,
};
static const uint16_t with_mappings[] = {__NR_munmap, __NR_mprotect, __NR_pkey_mprotect,
                                         __NR_mremap, __NR_mmap};

#define MAX_PROGRAM 64

static uint32_t program(struct sock_filter *f, const uint16_t *calls, size_t count, bool base)
{
    uint32_t n = 0;
    f[n++] = (struct sock_filter)LOAD(OFF(arch));
    f[n++] = (struct sock_filter)JEQ(AUDIT_ARCH_X86_64, 1, 0);
    f[n++] = (struct sock_filter)RET(SECCOMP_RET_ALLOW);
    f[n++] = (struct sock_filter)LOAD(OFF(nr));
    uint32_t first = n;
    for (size_t i = 0; i < count; i++)
        f[n++] = (struct sock_filter)JEQ(calls[i], 0, 0);
    uint32_t last = n;
    if (base) {
        /* prctl of Syscall User Dispatch; ioctl of the SGX class; mmap of a file */
        f[n++] = (struct sock_filter)JEQ(__NR_prctl, 0, 3);
        f[n++] = (struct sock_filter)LOAD(OFF(args[0]));
        f[n++] = (struct sock_filter)JEQ(PR_SET_SYSCALL_USER_DISPATCH, 10, 0);
        f[n++] = (struct sock_filter)RET(SECCOMP_RET_ALLOW);
        f[n++] = (struct sock_filter)JEQ(__NR_ioctl, 0, 4);
        f[n++] = (struct sock_filter)LOAD(OFF(args[1]));
        f[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff00);
        f[n++] = (struct sock_filter)JEQ(0xa400, 5, 0);
        f[n++] = (struct sock_filter)RET(SECCOMP_RET_ALLOW);
        f[n++] = (struct sock_filter)JEQ(__NR_mmap, 0, 2);
        f[n++] = (struct sock_filter)LOAD(OFF(args[3]));
        f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_ANONYMOUS, 0, 1);
        f[n++] = (struct sock_filter)RET(SECCOMP_RET_ALLOW);
    } else {
        f[n++] = (struct sock_filter)RET(SECCOMP_RET_ALLOW);
    }
    uint32_t check = n;
    f[n++] = (struct sock_filter)LOAD(OFF(instruction_pointer) + 4);
    f[n++] = (struct sock_filter)JEQ(IP_HIGH, 0, 1);
    f[n++] = (struct sock_filter)RET(SECCOMP_RET_ALLOW);
    f[n++] = (struct sock_filter)RET(SECCOMP_RET_TRAP);
    for (uint32_t i = first; i < last; i++)
        f[i].jt = (uint8_t)(check - i - 1);
    return n;
}

static void install(const uint16_t *calls, size_t count, bool base, uint32_t flags)
{
    struct sock_filter filter[MAX_PROGRAM];
    struct sock_fprog prog = {.filter = filter};
    prog.len = (uint16_t)program(filter, calls, count, base);
    sys(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    long r = sys(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
    if (r)
        die("the kernel refuses a seccomp filter; the device cannot run here", NULL);
}

void trap_install_filter(void)
{
    static const uint16_t at_exit[] = {__NR_exit_group}, connects[] = {__NR_connect};
    install(always, sizeof(always) / sizeof(always[0]), true, 0);
    if (settings.stats)
        install(at_exit, 1, false, 0);
    if (settings.aesm[0])
        install(connects, 1, false, 0);
}

void trap_install_mapping_filter(void)
{
    static uint32_t done;
    if (__sync_lock_test_and_set(&done, 1))
        return;
    install(with_mappings, sizeof(with_mappings) / sizeof(with_mappings[0]), false,
            SECCOMP_FILTER_FLAG_TSYNC);
}

void trap_install_fstat_filter(void)
{
    static const uint16_t fstat[] = {__NR_fstat};
    install(fstat, 1, false, SECCOMP_FILTER_FLAG_TSYNC);
}
