/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The seccomp filter of a traced program: what stops, what runs on, and io_uring, which could open
 * files unseen and does not exist inside. */
#include "tracer/tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const uint16_t stopping[] = {
    SYS_open,      SYS_openat,     SYS_openat2,
    SYS_creat,     SYS_execve,     SYS_execveat,
    SYS_stat,      SYS_lstat,      SYS_statx,
    SYS_access,    SYS_faccessat,  SYS_faccessat2,
    SYS_readlink,  SYS_chdir,      SYS_readlinkat,
    SYS_mkdir,     SYS_mkdirat,    SYS_rmdir,
    SYS_unlink,    SYS_unlinkat,   SYS_rename,
    SYS_renameat,  SYS_renameat2,  SYS_link,
    SYS_linkat,    SYS_symlink,    SYS_symlinkat,
    SYS_mknod,     SYS_mknodat,    SYS_truncate,
    SYS_chmod,     SYS_fchmodat,   SYS_chown,
    SYS_lchown,    SYS_fchownat,   SYS_utime,
    SYS_utimes,    SYS_utimensat,  SYS_futimesat,
    SYS_setxattr,  SYS_lsetxattr,  SYS_removexattr,
    SYS_socket,    SYS_bind,       SYS_connect,
    SYS_chroot,    SYS_mount,      SYS_pivot_root,
    SYS_setns,     SYS_unshare,    SYS_statfs,
    SYS_getxattr,  SYS_lgetxattr,  SYS_inotify_add_watch,
    SYS_listxattr, SYS_llistxattr,
};

#define COUNT(a)    (sizeof(a) / sizeof(*(a)))
#define FIELD(name) ((uint32_t)offsetof(struct seccomp_data, name))
#define LOAD(at)    (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at))
#define RETURN(how) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, (how))
/* Skips the next instruction unless the value is `k`. */
#define UNLESS(k) (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), 0, 1)

int filter_install(void)
{
    struct sock_filter code[2 * COUNT(stopping) + 20];
    unsigned short n = 0;
    code[n++] = LOAD(FIELD(arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    code[n++] = RETURN(SECCOMP_RET_TRACE);
    code[n++] = LOAD(FIELD(nr));
    code[n++] = UNLESS(SYS_io_uring_setup);
    code[n++] = RETURN(SECCOMP_RET_ERRNO | ENOSYS);
    for (size_t i = 0; i < COUNT(stopping); i++) {
        code[n++] = UNLESS(stopping[i]);
        code[n++] = RETURN(SECCOMP_RET_TRACE);
    }
    /* newfstatat with AT_EMPTY_PATH is fstat, by far the most frequent of all. */
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_newfstatat, 0, 3);
    code[n++] = LOAD(FIELD(args[3]));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, AT_EMPTY_PATH, 1, 0);
    code[n++] = RETURN(SECCOMP_RET_TRACE);
    code[n++] = RETURN(SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = n, .filter = code};
    if (!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return 0;
    /* Without the right to it, the program gives up set-user-ID programs. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return -errno;
    return 0;
}
