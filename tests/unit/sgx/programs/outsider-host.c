/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What an outsider's host program does around its enclave: the vDSO function with a handler, code
 * made at run time, ways to name the device, small limits. */
#define _GNU_SOURCE
#include "outsider.h"
#include <asm/sgx.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static struct outsider e;

static int entered(void)
{
    return outsider_call(&e, 0, do_add, 20, 22).rdi == 42;
}

/* ------------------------------------------------------------ the vDSO */

typedef int (*vdso_enter)(unsigned long rdi, unsigned long rsi, unsigned long rdx,
                          unsigned function, unsigned long r8, unsigned long r9,
                          struct sgx_enclave_run *run);

static vdso_enter find_vdso(void)
{
    const char *base = (const char *)getauxval(AT_SYSINFO_EHDR), *names = NULL;
    const Elf64_Ehdr *eh = (const void *)base;
    const Elf64_Phdr *ph = (const void *)(base + eh->e_phoff);
    const Elf64_Dyn *dyn = NULL;
    const Elf64_Sym *symbols = NULL;
    const uint32_t *hash = NULL;
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        if (ph[i].p_type == PT_DYNAMIC)
            dyn = (const void *)(base + ph[i].p_offset);
    }
    for (; dyn && dyn->d_tag != DT_NULL; dyn++) {
        const void *at = base + dyn->d_un.d_ptr;
        names = dyn->d_tag == DT_STRTAB ? at : names;
        symbols = dyn->d_tag == DT_SYMTAB ? at : symbols;
        hash = dyn->d_tag == DT_HASH ? at : hash;
    }
    for (uint32_t i = 0; hash && i < hash[1]; i++) {
        if (strcmp(names + symbols[i].st_name, "__vdso_sgx_enter_enclave") == 0)
            return (vdso_enter)(base + symbols[i].st_value);
    }
    return NULL;
}

static long stack_at_exit[3];
static int exits;
static int on_exit_(long rdi, long rsi, long rdx, long rsp, long r8, long r9,
                    struct sgx_enclave_run *run)
{
    stack_at_exit[exits++] = rsp;
    return exits < 3 ? 2 : -7;
}

/* The enclave leaves room on the stack; the kernel's function enters again with that. */
static void vdso_stack(void)
{
    struct sgx_enclave_run run = {.tcs = e.base + TCS(0), .user_handler = (uint64_t)on_exit_};
    vdso_enter call = find_vdso();
    int r;
    /* R12, which the function leaves alone, tells the enclave RBP: the function's own frame. */
    __asm__ volatile("movq %%rsp, %%rbx\n"
                     "subq $512, %%rsp\n"
                     "andq $-16, %%rsp\n"
                     "subq $8, %%rsp\n"
                     "pushq %[run]\n"
                     "leaq -16(%%rsp), %%r12\n"
                     "call *%[call]\n"
                     "movq %%rbx, %%rsp"
                     : "=a"(r)
                     : [run] "r"(&run), [call] "r"(call), "D"(OFFSET(do_push)), "c"(2)
                     : "rbx", "rsi", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                       "memory", "cc");
    report(r == -7 && exits == 3 && stack_at_exit[1] == stack_at_exit[0] - 64 &&
               stack_at_exit[2] == stack_at_exit[0] - 128,
           "the stack that the enclave left");
}

/* ------------------------------------------------------------ code made at run time */

#define CODE(text) text, sizeof(text) - 1

/* uint64_t f(uint64_t tcs, uint64_t aep, uint64_t rdi, uint64_t *stored): RDX is 2 for the entry.
 */
static const char head[] = "\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57" /* push rbx rbp r12-r15 */
                           "\x48\x81\xec\x88\x00\x00\x00"             /* sub $136,%rsp */
                           "\x48\x89\x4c\x24\x08"                     /* mov %rcx,8(%rsp) */
                           "\x48\x89\xfb\x48\x89\xf1\x48\x89\xd7"     /* rbx, rcx, rdi := 1, 2, 3 */
                           "\xbe\x28\x00\x00\x00\xba\x02\x00\x00\x00" /* rsi 40, rdx 2 */
                           "\x31\xc0";                                /* xor %eax,%eax */
static const char tail[] = "\x48\x8b\x4c\x24\x08\x8b\x44\x24\xb8\x48\x89\x01" /* what was stored */
                           "\x48\x89\xf8"                                     /* mov %rdi,%rax */
                           "\x48\x81\xc4\x88\x00\x00\x00"
                           "\x41\x5f\x41\x5e\x41\x5d\x41\x5c\x5d\x5b\xc3";

static void make_code(uint8_t *at, const char *leaf, size_t n, const char *after, size_t m)
{
    memcpy(at, head, sizeof(head) - 1);
    at += sizeof(head) - 1;
    memcpy(at, leaf, n);
    memcpy(at + n, "\x0f\x01\xd7", 3);
    memcpy(at + n + 3, after, m);
    memcpy(at + n + 3 + m, tail, sizeof(tail));
}

static int runs(const uint8_t *code, uint64_t want_stored)
{
    uint64_t (*f)(uint64_t, uint64_t, uint64_t, uint64_t *) = (void *)code;
    int right = 0;
    for (int i = 0; i < 50; i++) {
        uint64_t stored = 0;
        right += f(e.base + TCS(0), (uint64_t)outsider_aep, OFFSET(do_add), &stored) == 42 &&
                 (!want_stored || stored == want_stored);
    }
    return right == 50;
}

static void loads_of_the_leaf(void)
{
    static const struct {
        const char *name, *code;
        size_t length;
        uint64_t stored;
    } ways[] = {
        {"mov", CODE("\xb8\x02\0\0\0"), 0},
        {"mov ax", CODE("\x66\xb8\x02\x00"), 0},
        {"mov al", CODE("\xb0\x02"), 0},
        {"REX mov", CODE("\x40\xb8\x02\0\0\0"), 0},
        {"movabs, upper half", CODE("\x48\xb8\x02\0\0\0\x01\0\0\0"), 0},
        {"push, pop", CODE("\x6a\x02\x58"), 0},
        {"inc, inc", CODE("\xff\xc0\xff\xc0"), 0},
        {"lea", CODE("\x8d\x40\x02"), 0},
        {"or", CODE("\x83\xc8\x02"), 0},
        {"bts", CODE("\x0f\xba\xe8\x01"), 0},
        {"setc, add", CODE("\xf9\x0f\x92\xc0\x00\xc0"), 0},
        {"mov r8, cmov", CODE("\x41\xb8\x02\0\0\0\x39\xc0\x41\x0f\x44\xc0"), 0},
        {"imul", CODE("\x6a\x01\x58\x6b\xc0\x02"), 0},
        {"by the stack", CODE("\xc7\x04\x24\x02\0\0\0\x8b\x04\x24"), 0},
        {"by a vector register", CODE("\x66\x0f\x6e\xc2\x66\x0f\x7e\xc0"), 0},
        /* ends in the bytes of a mov, and is none */
        {"store", CODE("\xb0\x02\xc7\x44\x24\xb8\x02\0\0\0"), 2},
    };
    uint8_t *page =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        int fine = 1;
        for (int protection = 0; protection < 2; protection++) {
            mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
            memset(page, 0xcc, PAGE);
            make_code(page, ways[i].code, ways[i].length, CODE("\x0f\x1f\x40\x00"));
            if (protection)
                mprotect(page, PAGE, PROT_READ | PROT_EXEC);
            fine &= runs(page, ways[i].stored);
        }
        report(fine, "leaf by %s", ways[i].name);
    }
    munmap(page, PAGE);
}

/* Compilers change, copy and move the code that they have made. */
static void code_that_changes(int protection)
{
    const int all = PROT_READ | PROT_WRITE | PROT_EXEC;
    uint8_t *page = mmap(NULL, PAGE, all, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *copy, *moved;
    make_code(page, CODE("\xb8\x02\0\0\0"), CODE("\x90\x90"));
    mprotect(page, PAGE, protection);
    int fine = runs(page, 0);
    mprotect(page, PAGE, all);
    copy = mmap(NULL, PAGE, all, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(copy, page, PAGE);
    report(fine && runs(copy, 0), "copied code");
    /* The leaf alone changes: 77 is none. */
    uint8_t *leaf = page + sizeof(head);
    fine = *leaf == 2;
    *leaf = 77;
    report(fine && *leaf == 77, "changed code");
    *leaf = 2;
    mprotect(page, PAGE, protection);
    fine = runs(page, 0);
    moved = mremap(page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, copy);
    report(fine && moved == copy && runs(moved, 0), "moved code");
    munmap(moved, PAGE);
}

/* ------------------------------------------------------------ the device's names */

static void names(void)
{
    struct {
        uint64_t flags, mode, resolve;
    } how = {O_RDWR, 0, 0};
    char *was = getcwd(NULL, 0);
    int dev = open("/dev", O_PATH);
    int fd[6] = {openat(dev, "sgx_enclave", O_RDWR), open("//dev/./sgx_enclave", O_RDWR),
                 open("/dev/../dev//sgx_provision", O_RDONLY),
                 (int)syscall(SYS_openat2, AT_FDCWD, "/dev/sgx_enclave", &how, sizeof(how))};
    int relative = chdir("/dev") == 0 && access("sgx_enclave", R_OK | W_OK) == 0;
    fd[4] = open("sgx_enclave", O_RDWR);
    fd[5] = (int)syscall(SYS_openat2, dev, "./sgx_enclave", &how, sizeof(how));
    relative &= chdir(was) == 0;
    for (int i = 0; i < 6; i++) {
        relative &= fd[i] >= 0;
        close(fd[i]);
    }
    report(relative, "names of the device");
    report(open("/dev/sgx_enclave", O_RDWR | O_CREAT | O_EXCL, 0600) == -1 && errno == EEXIST,
           "exclusive creation");
    close(dev);
    free(was);
}

/* ------------------------------------------------------------ limits */

static volatile uint32_t stop;
static void *spin(void *unused)
{
    outsider_call(&e, 1, do_spin, (uint64_t)&stop, 0);
    return NULL;
}

/* Without room for the details of a signal, another thread is still interrupted by EMODPR. */
static int no_pending_signals(void)
{
    struct rlimit none = {0, 0};
    struct sgx_enclave_restrict_permissions q = {
        .offset = DATA, .length = PAGE, .permissions = 1 /* R */};
    pthread_t t;
    setrlimit(RLIMIT_SIGPENDING, &none);
    int fine = entered() && pthread_create(&t, NULL, spin, NULL) == 0;
    usleep(20000);
    fine &= ioctl(e.fd, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &q) == 0;
    stop = 1;
    return pthread_join(t, NULL) == 0 && fine;
}

/* A soft limit of file sizes is none for enclaves. */
static int small_files(void)
{
    struct rlimit l;
    struct outsider other;
    getrlimit(RLIMIT_FSIZE, &l);
    if (l.rlim_max != RLIM_INFINITY)
        return 1;
    l.rlim_cur = 4096;
    setrlimit(RLIMIT_FSIZE, &l);
    int fine = outsider_load(&other, 0) == 0;
    getrlimit(RLIMIT_FSIZE, &l);
    return fine && l.rlim_cur == 4096;
}

static int closed_streams(void)
{
    struct outsider other;
    close(0), close(1), close(2);
    return outsider_load(&other, 0) == 0 && other.fd == 0 && entered();
}

static void in_child(const char *name, int (*f)(void))
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        _exit(!f());
    }
    waitpid(pid, &status, 0);
    report(status == 0, "%s", name);
}

int main(void)
{
    if (outsider_load(&e, 0))
        return 1;
    report(entered(), "entered");
    vdso_stack();
    loads_of_the_leaf();
    code_that_changes(PROT_READ | PROT_EXEC);
    code_that_changes(PROT_READ | PROT_WRITE | PROT_EXEC);
    names();
    in_child("no pending signals", no_pending_signals);
    in_child("small files", small_files);
    in_child("closed streams", closed_streams);
    void *data = (void *)(e.base + SSA(2));
    report(mremap(data, 2 * PAGE, PAGE, 0) == data, "shrunk mapping");
    return outsider_failures != 0;
}
