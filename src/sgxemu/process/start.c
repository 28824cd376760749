/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * From exec to the program's first instruction. The kernel's stack is kept, so that argv, environ
 * and /proc/self/cmdline are the program's own; the device's variables are taken out and the
 * auxiliary vector is corrected in place.
 */
#include "sgxemu/emu.h"
#include <asm/prctl.h>
#include <linux/auxvec.h>
#include <linux/memfd.h>
#include <linux/prctl.h>
#include "crypto/crypto.h"

#define HWCAP2_FSGSBASE (1UL << 1)
#define OWN_PREFIX      "ADYTON_SGXEMU_"

struct settings settings;
static char program_path[4096];
static uint64_t first_mask;

_Noreturn void emu_jump(uint64_t *sp, uint64_t entry);
_Noreturn void emu_start(uint64_t *sp);

static void copy_setting(char *to, const char *from, size_t cap)
{
    if (strlen(from) >= cap)
        die("a path is too long: ", from, NULL);
    memcpy(to, from, strlen(from) + 1);
}

static uint64_t parse_hex(const char *s)
{
    uint64_t v = 0;
    for (; *s; s++)
        v = v << 4 | (uint64_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
    return v;
}

static void take_setting(const char *text)
{
    if (strncmp(text, "EXE=", 4) == 0)
        copy_setting(program_path, text + 4, sizeof(program_path));
    else if (strncmp(text, "FUSES=", 6) == 0)
        copy_setting(settings.fuses, text + 6, sizeof(settings.fuses));
    else if (strncmp(text, "STATS=", 6) == 0)
        settings.stats = text[6] == '1';
    else if (strncmp(text, "REWRITE=", 8) == 0)
        settings.rewrite = text[8] == '1';
    else if (strncmp(text, "INJECT=", 7) == 0)
        settings.inject = (uint32_t)parse_hex(text + 7);
    else if (strncmp(text, "AESM=", 5) == 0)
        copy_setting(settings.aesm, text + 5, sizeof(settings.aesm));
    else if (strncmp(text, "MASK=", 5) == 0)
        first_mask = parse_hex(text + 5);
}

/* Takes our variables out of envp and moves the auxiliary vector down behind it. */
static uint64_t *take_environment(uint64_t *envp)
{
    uint64_t *from = envp, *to = envp;
    for (; *from; from++) {
        const char *text = (const char *)*from;
        if (strncmp(text, OWN_PREFIX, sizeof(OWN_PREFIX) - 1) == 0)
            take_setting(text + sizeof(OWN_PREFIX) - 1);
        else
            *to++ = *from;
    }
    *to++ = 0;
    from++;
    uint64_t *auxv = to;
    do {
        to[0] = from[0];
        to[1] = from[1];
        to += 2;
        from += 2;
    } while (to[-2] != AT_NULL);
    return auxv;
}

static uint64_t aux(const uint64_t *auxv, uint64_t type)
{
    for (; auxv[0] != AT_NULL; auxv += 2) {
        if (auxv[0] == type)
            return auxv[1];
    }
    return 0;
}

static void set_aux(uint64_t *auxv, uint64_t type, uint64_t value)
{
    for (; auxv[0] != AT_NULL; auxv += 2) {
        if (auxv[0] == type)
            auxv[1] = value;
    }
}

static void set_name(const char *path)
{
    const char *name = path;
    for (const char *p = path; *p; p++) {
        if (*p == '/')
            name = p + 1;
    }
    sys(__NR_prctl, PR_SET_NAME, name);
}

static void absolute_exe(const char *path)
{
    char link[64] = "/proc/self/fd/", digits[24];
    long fd = sys(__NR_openat, -100, path, 010000000 /* O_PATH */, 0);
    if (sys_failed(fd))
        die("cannot open the program ", path, NULL);
    const char *d = format_dec(digits, (uint64_t)fd);
    memcpy(link + 14, d, strlen(d) + 1);
    long n = sys(__NR_readlink, link, settings.exe, sizeof(settings.exe) - 1);
    settings.exe[sys_failed(n) ? 0 : n] = '\0';
    sys(__NR_close, fd);
}

static uint64_t read_xcr0(void)
{
    uint32_t a, d;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (uint64_t)d << 32 | a;
}

static bool has_xsavec(void)
{
    uint32_t a = 0xd, b, c = 1, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return a >> 1 & 1;
}

/* Everything that the device cannot do without, each with its one line. */
static void require(const uint64_t *auxv)
{
    if (!(aux(auxv, AT_HWCAP2) & HWCAP2_FSGSBASE))
        die("this kernel does not let user code write the FS and GS bases (FSGSBASE, Linux 5.9); "
            "the device cannot run here",
            NULL);
    if (sys(__NR_prctl, 59 /* PR_SET_SYSCALL_USER_DISPATCH */, 0, 0, 0, 0))
        die("this kernel has no Syscall User Dispatch (Linux 5.11), or a container forbids it; "
            "the device cannot run here",
            NULL);
    long fd = driver_memfd("sgx", MFD_CLOEXEC);
    if (sys_failed(fd))
        die("this kernel has no memfd_create, or a container forbids it; the device cannot run "
            "here",
            NULL);
    sys(__NR_close, fd);
}

/* Fields 26 to 51 of /proc/self/stat, from 1 as proc(5) counts. */
static bool read_stat(uint64_t field[52])
{
    char text[1024];
    long fd = sys(__NR_openat, -100, "/proc/self/stat", 02000000 /* O_CLOEXEC */, 0);
    long n = sys_failed(fd) ? fd : sys(__NR_read, fd, text, sizeof(text) - 1);
    sys(__NR_close, fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *p = text + n;
    while (p > text && *p != ')') /* the name may hold anything */
        p--;
    int at = 2;
    for (; *p && at < 51; p++) {
        if (*p == ' ')
            field[++at] = 0;
        else if (*p >= '0' && *p <= '9' && at > 2)
            field[at] = field[at] * 10 + (uint64_t)(*p - '0');
    }
    for (; *p >= '0' && *p <= '9'; p++)
        field[at] = field[at] * 10 + (uint64_t)(*p - '0');
    return at == 51;
}

/* Debuggers find the program, its interpreter and its libraries by the auxiliary vector that the
 * kernel keeps, in /proc/PID/auxv and in core files. Where it may not be set, they do not. */
static void publish_auxv(uint64_t *auxv)
{
    uint64_t f[52] = {0}, words = 2;
    if (!read_stat(f))
        return;
    for (const uint64_t *a = auxv; a[0] != AT_NULL; a += 2)
        words += 2;
    struct prctl_mm_map map = {
        .start_code = f[26],
        .end_code = f[27],
        .start_stack = f[28],
        .start_data = f[45],
        .end_data = f[46],
        .start_brk = f[47],
        .brk = (uint64_t)sys(__NR_brk, 0),
        .arg_start = f[48],
        .arg_end = f[49],
        .env_start = f[50],
        .env_end = f[51],
        .auxv = (__u64 *)auxv,
        .auxv_size = (__u32)(words * sizeof(*auxv)),
        .exe_fd = (__u32)-1,
    };
    sys(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0);
}

void emu_start(uint64_t *sp)
{
    uint64_t argc = sp[0];
    uint64_t *auxv = take_environment(sp + 1 + argc + 1);
    if (!program_path[0])
        die("this program is started by `adyton sgxemu PROGRAM ARGS`", NULL);
    require(auxv);
    settings.xcr0 = read_xcr0();
    settings.vectors = (uint32_t)settings.xcr0 & 0xe7; /* x87, SSE, AVX, AVX-512 */
    settings.xsavec = has_xsavec();
    crypto_init(settings.xcr0);
    absolute_exe(program_path);
    uint64_t entry = process_load(program_path, auxv);
    set_aux(auxv, AT_EXECFN, (uint64_t)program_path);
    set_aux(auxv, AT_SYSINFO_EHDR, vdso_map(aux(auxv, AT_SYSINFO_EHDR)));
    publish_auxv(auxv);
    set_name(program_path);
    struct thread *t = thread_new();
    t->tid = (uint32_t)sys(__NR_gettid);
    t->mask = first_mask;
    static struct sighand sighand;
    t->sighand = &sighand;
    stack_t alt = {.ss_sp = (char *)t + sizeof(*t), .ss_size = THREAD_REGION - sizeof(*t)};
    sys(__NR_sigaltstack, &alt, 0);
    trap_install_handlers();
    trap_install_filter();
    platform_start();
    uint64_t mask = native_mask(first_mask);
    sys(__NR_rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
    emu_jump(sp, entry);
}
