/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* execve(2): find the interpreter, clear the address space, load, build the initial stack. */
#include "libos/lib/errors.h"
#include "libos/mm/pages.h"
#include "libos/proc/exec.h"
#include "libos/proc/lifecycle.h"
#include "host/host_process.h"
#include "libos/entry/syscall.h"
#include "libos/fs/vfs.h"
#include "libos/log.h"
#include "libos/proc/members.h"
#include "libos/proc/program.h"
#include "libos/proc/vdso.h"
#include "libos/proc/vfork.h"
#include "libos/process.h"
#include "libos/time/timer.h"
#include "platform/platform.h"
#include <linux/mman.h>
#include <linux/auxvec.h>
#include <linux/prctl.h>

#define MOST_ARG_BYTES  (6UL << 20)   /* of argv and environment together */
#define MOST_ARG_STRING (128UL << 10) /* MAX_ARG_STRLEN */
#define DEFAULT_STACK   (8UL << 20)

int strings_add(struct strings *s, const char *text)
{
    size_t n = strlen(text) + 1;
    if (s->len + n > MOST_ARG_BYTES)
        return -E2BIG;
    if (s->len + n > s->capacity) {
        size_t capacity = MAX(s->capacity * 2, s->len + n + 4096);
        char *d = heap_realloc(s->data, capacity);
        if (!d)
            return -ENOMEM;
        s->data = d;
        s->capacity = capacity;
    }
    memcpy(s->data + s->len, text, n);
    s->len += n;
    s->count++;
    return 0;
}

void strings_free(struct strings *s)
{
    heap_free(s->data);
    *s = (struct strings){0};
}

static uint64_t stack_size(struct process *p)
{
    uint64_t size = p->limits[RLIMIT_STACK].rlim_cur;
    if (size == RLIM64_INFINITY || size > (1UL << 30))
        size = DEFAULT_STACK;
    return PAGE_UP(MAX(size, 128UL << 10));
}

/* Copies strings to the stack top; returns the address of the first. */
static uintptr_t push_strings(uintptr_t *sp, const struct strings *s)
{
    *sp -= s->len;
    return copy_to_user((void *)*sp, s->data, s->len) ? 0 : *sp;
}

struct aux {
    uint64_t pairs[48];
    size_t n;
};

static void aux_add(struct aux *a, uint64_t type, uint64_t value)
{
    a->pairs[a->n++] = type;
    a->pairs[a->n++] = value;
}

static uint64_t host_aux(uint64_t type)
{
    for (const uint64_t *a = run.host_auxv; a && a[0] != AT_NULL; a += 2)
        if (a[0] == type)
            return a[1];
    return 0;
}

static void fill_aux(struct aux *a, const struct process *p, const struct elf_loaded *prog,
                     uintptr_t interp_base, uintptr_t random, uintptr_t platform, uintptr_t execfn)
{
    if (vdso_base())
        aux_add(a, AT_SYSINFO_EHDR, vdso_base());
    aux_add(a, AT_HWCAP, host_aux(AT_HWCAP));
    aux_add(a, AT_PAGESZ, PAGE_SIZE);
    aux_add(a, AT_CLKTCK, 100);
    aux_add(a, AT_PHDR, prog->phdr);
    aux_add(a, AT_PHENT, prog->phentsize);
    aux_add(a, AT_PHNUM, prog->phnum);
    aux_add(a, AT_BASE, interp_base);
    aux_add(a, AT_FLAGS, 0);
    aux_add(a, AT_ENTRY, prog->entry);
    aux_add(a, AT_UID, p->cred.uid);
    aux_add(a, AT_EUID, p->cred.euid);
    aux_add(a, AT_GID, p->cred.gid);
    aux_add(a, AT_EGID, p->cred.egid);
    aux_add(a, AT_SECURE, 0);
    aux_add(a, AT_RANDOM, random);
    aux_add(a, AT_HWCAP2, host_aux(AT_HWCAP2));
    aux_add(a, AT_EXECFN, execfn);
    aux_add(a, AT_PLATFORM, platform);
#ifdef AT_MINSIGSTKSZ
    aux_add(a, AT_MINSIGSTKSZ, 1024 + platform_xstate_size());
#endif
    aux_add(a, AT_NULL, 0);
}

static int push_pointers(uintptr_t *at, uintptr_t strings, const struct strings *s)
{
    for (size_t off = 0; off < s->len; off += strlen(s->data + off) + 1, *at += 8) {
        uint64_t p = strings + off;
        if (put_user((uint64_t *)*at, p))
            return -EFAULT;
    }
    uint64_t end = 0;
    *at += 8;
    return put_user((uint64_t *)(*at - 8), end);
}

/* The initial stack (psABI 3.4.1). Returns the stack pointer, or 0. */
static uintptr_t build_stack(struct process *p, uintptr_t top, const char *path,
                             const struct strings *argv, const struct strings *envp,
                             const struct elf_loaded *prog, uintptr_t interp_base)
{
    uintptr_t sp = top - 8;
    uint8_t random[16];
    if (platform_random(random, sizeof(random)))
        return 0;
    sp -= strlen(path) + 1;
    uintptr_t execfn = sp;
    p->env_end = sp;
    uintptr_t env = push_strings(&sp, envp);
    p->env_start = p->arg_end = sp;
    uintptr_t arg = push_strings(&sp, argv);
    p->arg_start = sp;
    sp -= 7;
    uintptr_t platform = sp;
    sp = ALIGN_DOWN(sp - sizeof(random), 16);
    uintptr_t random_at = sp;
    if (!env || !arg || copy_to_user((void *)execfn, path, strlen(path) + 1) ||
        copy_to_user((void *)platform, "x86_64", 7) ||
        copy_to_user((void *)random_at, random, sizeof(random)))
        return 0;
    struct aux aux = {.n = 0};
    fill_aux(&aux, p, prog, interp_base, random_at, platform, execfn);
    size_t words = 1 + argv->count + 1 + envp->count + 1 + aux.n;
    sp = ALIGN_DOWN(sp - words * 8, 16);
    uint64_t argc = argv->count;
    uintptr_t at = sp + 8;
    if (put_user((uint64_t *)sp, argc) || push_pointers(&at, arg, argv) ||
        push_pointers(&at, env, envp) || copy_to_user((void *)at, aux.pairs, aux.n * 8))
        return 0;
    p->auxv_start = at;
    p->auxv_end = at + aux.n * 8;
    return sp;
}

/* The addresses for brk() are kept free of other mappings: behind the program when it has a fixed
 * place, else anywhere. Without them brk() just never grows. */
static void set_up_brk(struct process *p, const struct elf_image *im, uintptr_t end)
{
    uint64_t limit = PAGE_UP(MIN(run.manifest.image->brk_max_size, 1UL << 40));
    lock(&p->mm.lock);
    long at = pages_reserve(&p->mm, im->fixed ? PAGE_UP(end) : 0, limit);
    bool ok = !IS_ERR(at);
    p->mm.brk_start = p->mm.brk = ok ? (uintptr_t)at : PAGE_UP(end);
    p->mm.brk_limit = p->mm.brk_start + (ok ? limit : 0);
    unlock(&p->mm.lock);
}

static void set_comm(struct process *p, const char *path)
{
    const char *base = strrchr(path, '/');
    fmt(p->comm, sizeof(p->comm), "%s", base ? base + 1 : path);
    memcpy(current()->comm, p->comm, sizeof(p->comm));
    host_set_name(p->comm); /* its threads begin with it */
}

/* The address space is empty: everything from here on must succeed. */
static int load(struct process *p, struct program *g, const char *path, struct strings *argv,
                struct strings *envp)
{
    struct elf_loaded prog, interp = {0};
    int err = elf_map(&p->mm, &g->image, g->file, &prog);
    if (!err && g->interp_file)
        err = elf_map(&p->mm, &g->interp, g->interp_file, &interp);
    if (!err)
        err = vdso_map(&p->mm);
    if (err)
        return err;
    size_t size = stack_size(p);
    size_t need = PAGE_UP(argv->len + envp->len + (argv->count + envp->count) * 8 + 8192);
    size = MAX(size, need + (128UL << 10));
    int prot = PROT_READ | PROT_WRITE | (g->image.stack_exec ? PROT_EXEC : 0);
    long stack =
        mm_map(&p->mm, 0, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, NULL,
               0, "[stack]");
    if (IS_ERR(stack))
        return (int)stack;
    uintptr_t sp = build_stack(p, (uintptr_t)stack + size, path, argv, envp, &prog, interp.bias);
    if (!sp)
        return -EFAULT;
    set_up_brk(p, &g->image, prog.end);
    struct regs *r = thread_regs(current());
    memset(r, 0, sizeof(*r));
    r->rip = g->interp_file ? interp.entry : prog.entry;
    r->rsp = sp;
    r->rflags = 0x202;
    r->orig_rax = (uint64_t)-1;
    return 0;
}

/* An execve of which nothing is left that could fail. */
struct exec_ready {
    struct program *program;
    struct strings argv, envp;
    void *owned;
    sigmask blocked;
    char name[PATH_LIMIT];
};

static void let_go(void *arg)
{
    struct exec_ready *x = arg;
    program_close(x->program);
    strings_free(&x->argv);
    strings_free(&x->envp);
    heap_free(x->owned);
    heap_free(x);
}

__attribute__((noreturn)) static void go(struct exec_ready *x)
{
    struct process *p = current_process();
    struct thread *t = current();
    threads_end_others();
    p->ending_others = false;
    p->exec_ready = NULL;
    work_clear(t, WORK_EXEC);
    thread_release_user(t); /* robust list, clear_child_tid, vfork parent */
    t->tid = p->pid;        /* whichever thread it was, it is the first one now */
    life_exec();
    t->clear_tid = NULL;
    t->robust_list = NULL;
    t->fs_base = 0;
    t->odd = 0;
    thread_set_segments(t, USER_CS, USER_SS);
    heap_free(p->exe);
    p->exe = heap_strdup(x->program->path); /* without memory for it, /proc/self/exe is missing */
    set_comm(p, x->name);
    int err = load(p, x->program, x->name, &x->argv, &x->envp);
    if (err)
        log_error("cannot load '%s': %s", x->program->path, ERROR_TEXT(err));
    member_exec(x->argv.data, x->argv.len);
    let_go(x);
    if (err)
        process_exit(err == -ENOMEM || err == -ENOEXEC ? SIGKILL : SIGSEGV);
    platform_set_fs(0);
    platform_vector_reset();
    t->walks = WALK_NOT;
    platform_resume(thread_regs(t));
}

static struct thread *main_thread(struct process *p)
{
    list_for_each (it, &p->threads) {
        struct thread *t = list_entry(it, struct thread, siblings);
        if (t->host_tid == p->pid)
            return t;
    }
    return NULL;
}

/* Under process.lock: from now on nobody else may exec, exit or make threads. */
static bool claim(struct process *p, struct exec_ready *x)
{
    if (p->exiting || p->ending_others)
        return false;
    p->exec_ready = x;
    p->ending_others = true;
    return true;
}

/*
 * The thread that execs becomes the first one (execve(2)). On the host no thread can take the place
 * of another: the first thread does it, and we wait for our end. Returns when we are to do it.
 */
static void hand_over(struct exec_ready *x)
{
    struct process *p = current_process();
    struct thread *t = current();
    for (;;) {
        lock(&p->lock);
        struct thread *first = main_thread(p);
        uint32_t seen = __atomic_load_n(&p->thread_event, __ATOMIC_SEQ_CST);
        bool free = !p->exec_ready || p->exec_ready == x || first == t;
        bool mine = free && (!first || first == t) && claim(p, x);
        if (free && !mine && first && !p->exec_ready) {
            p->exec_ready = x;
            work_set(first, WORK_EXEC);
            thread_kick(first);
        }
        unlock(&p->lock);
        if (mine)
            return;
        interrupted();
        if (__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & WORK_KILL) {
            if (p->exec_ready != x) /* another was first */
                let_go(x);
            thread_exit(0);
        }
        host_futex_wait(&p->thread_event, seen, HOST_NO_DEADLINE);
    }
}

void exec_take_over(void)
{
    struct process *p = current_process();
    struct thread *t = current();
    vfork_commit(); /* the child goes on without it */
    work_clear(t, WORK_EXEC);
    lock(&p->lock);
    struct exec_ready *x = p->exec_ready;
    bool mine = x && claim(p, x);
    unlock(&p->lock);
    if (!mine)
        return;
    t->restore_blocked = false; /* of a call that we have left */
    t->waiting_for = 0;
    signal_set_blocked(t, x->blocked);
    go(x);
}

void exec_forget(struct process *p)
{
    work_clear(current(), WORK_EXEC);
    if (p->exec_ready)
        let_go(p->exec_ready);
    p->exec_ready = NULL;
}

int exec_program(const char *path, const char *name, struct strings *argv, struct strings *envp,
                 void *owned)
{
    struct process *p = current_process();
    struct program *g = heap_zalloc(sizeof(*g));
    struct exec_ready *x = heap_zalloc(sizeof(*x));
    if (!g || !x) {
        heap_free(g);
        heap_free(x);
        return -ENOMEM;
    }
    fmt(g->path, sizeof(g->path), "%s", path);
    fmt(g->name, sizeof(g->name), "%s", name);
    int err = program_open(g, argv, envp);
    if (err) {
        if (!p->exe)
            program_explain(g, path, err);
        program_close(g);
        heap_free(x);
        return err;
    }
    *x = (struct exec_ready){g, *argv, *envp, owned, current()->blocked, ""};
    fmt(x->name, sizeof(x->name), "%s", name);
    vfork_commit_with(let_go, x);
    hand_over(x);
    go(x);
}

static int copy_strings(struct strings *out, char *const *uptr)
{
    char *buf = heap_alloc(MOST_ARG_STRING);
    if (!buf)
        return -ENOMEM;
    int err = 0;
    for (size_t i = 0; uptr && !err; i++) {
        const char *s;
        if (get_user(s, &uptr[i])) {
            err = -EFAULT;
            break;
        }
        if (!s)
            break;
        ssize n = strncpy_from_user(buf, s, MOST_ARG_STRING);
        err = n == -ENAMETOOLONG ? -E2BIG : n < 0 ? (int)n : strings_add(out, buf);
    }
    heap_free(buf);
    return err;
}

/* Strings and their pointers: what execve(2) holds against its limit. */
static size_t argument_bytes(const struct strings *argv, const struct strings *envp)
{
    return argv->len + envp->len + (argv->count + envp->count) * sizeof(char *);
}

/* A quarter of the stack, at least 32 pages, at most MOST_ARG_BYTES. */
static size_t argument_limit(struct process *p)
{
    return MAX(MIN(p->limits[RLIMIT_STACK].rlim_cur / 4, MOST_ARG_BYTES), 32 * PAGE_SIZE);
}

static long execve_at(int dirfd, const char *upath, char *const *uargv, char *const *uenvp,
                      int flags)
{
    struct path *p = heap_alloc(sizeof(*p));
    struct strings argv = {0}, envp = {0};
    if (!p)
        return -ENOMEM;
    int err;
    char first = 1;
    char name[PATH_LIMIT] = "";
    if (flags & AT_EMPTY_PATH && !get_user(first, upath) && !first) {
        struct file *f = fd_get(dirfd);
        err = !f ? -EBADF : f->path ? path_resolve_kernel(AT_FDCWD, f->path, true, p) : -EACCES;
        if (f)
            file_put(f);
        fmt(name, sizeof(name), "/dev/fd/%d", dirfd);
    } else {
        ssize n = strncpy_from_user(name, upath, sizeof(name));
        err = n < 0 ? (int)n : path_resolve_kernel(dirfd, name, true, p);
    }
    if (!err)
        err = copy_strings(&argv, uargv);
    if (!err && !argv.count)
        err = strings_add(&argv, "");
    if (!err)
        err = copy_strings(&envp, uenvp);
    if (!err && argument_bytes(&argv, &envp) > argument_limit(current_process()))
        err = -E2BIG;
    if (!err)
        err = exec_program(p->abs, name, &argv, &envp, p);
    strings_free(&argv);
    strings_free(&envp);
    heap_free(p);
    return err;
}

SYSCALL3(execve, const char *, path, char *const *, argv, char *const *, envp)
{
    return execve_at(AT_FDCWD, path, argv, envp, 0);
}

SYSCALL5(execveat, int, dirfd, const char *, path, char *const *, argv, char *const *, envp, int,
         flags)
{
    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    return execve_at(dirfd, path, argv, envp, flags);
}
