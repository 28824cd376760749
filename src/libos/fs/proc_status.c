/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * /proc/PID/status, stat, statm, limits (proc(5)). status and stat start from the host's text, so
 * that they have the fields that this kernel gives native programs; what the library OS knows
 * better is replaced line by line.
 */
#include "host/host.h"
#include "libos/proc/reach.h"
#include "libos/fs/proc.h"
#include <linux/mman.h>
#include <linux/resource.h>

/* Everything about a thread and its process that these files show. */
struct about {
    char comm[16];
    uint32_t threads, umask, fd_size, parent;
    sigmask pending, shared_pending, blocked, ignored, caught;
    struct credentials cred;
    size_t total, data, stack, text, lib; /* bytes of address space */
    size_t rss, hwm;                      /* bytes, the host's figures */
    uintptr_t code_start, code_end, stack_start, brk_start;
    uint64_t arg_start, arg_end, env_start, env_end, rss_limit;
    bool other;
};

static struct thread *thread_of(struct process *p, int tid)
{
    list_for_each (it, &p->threads) {
        struct thread *t = list_entry(it, struct thread, siblings);
        if (t->tid == tid)
            return t;
    }
    return NULL;
}

/* Names of threads the host was told (PR_SET_NAME). */
static void other_comm(const struct pseudo_ref *r, char comm[16])
{
    struct text text = {0};
    struct member *m = proc_member(r);
    memset(comm, 0, 16);
    if (m && proc_tid(r) == r->num[0]) {
        memcpy(comm, m->comm, 16);
    } else if (m) {
        if (proc_host_text(r, "comm", &text) == 0 && text.len)
            memcpy(comm, text.data, MIN(text.len - 1, (size_t)15));
        text_free(&text);
    }
    heap_free(m);
}

void proc_comm(const struct pseudo_ref *r, char comm[16])
{
    struct process *p = current_process();
    if (proc_is_other(r)) {
        other_comm(r, comm);
        return;
    }
    lock(&p->lock);
    struct thread *t = thread_of(p, proc_tid(r));
    memcpy(comm, t ? t->comm : p->comm, 16);
    unlock(&p->lock);
    comm[15] = 0;
}

static void ask_threads(struct about *a, struct process *p, int tid)
{
    lock(&p->lock);
    lock(&p->sig_lock);
    a->threads = p->nthreads;
    struct thread *t = thread_of(p, tid);
    memcpy(a->comm, t ? t->comm : p->comm, sizeof(a->comm));
    a->comm[15] = 0;
    a->pending = t ? t->pending.set : 0;
    a->blocked = t ? t->blocked : 0;
    a->shared_pending = p->pending.set;
    for (int i = 0; i < NSIG_MAX; i++) {
        uint64_t handler = p->sighand.action[i].handler;
        a->ignored |= handler == 1 ? SIGBIT(i + 1) : 0;
        a->caught |= handler > 1 ? SIGBIT(i + 1) : 0;
    }
    unlock(&p->sig_lock);
    unlock(&p->lock);
}

static void ask_memory(struct about *a, struct process *p)
{
    struct mm *mm = &p->mm;
    lock(&mm->lock);
    for (const struct vma *v = vma_first(mm); v; v = vma_next(v)) {
        size_t size = v->end - v->start;
        if (v->flags & VMA_INTERNAL)
            continue;
        bool own_program = v->file && v->file->path && p->exe && strcmp(v->file->path, p->exe) == 0;
        a->total += size;
        if (v->name && strcmp(v->name, "[stack]") == 0) {
            a->stack += size;
            a->stack_start = v->end;
        } else if (v->prot & PROT_EXEC) {
            *(own_program ? &a->text : &a->lib) += size;
        } else if (v->prot & PROT_WRITE && v->flags & MAP_PRIVATE) {
            a->data += size;
        }
        if (own_program && v->prot & PROT_EXEC) {
            a->code_start = v->start;
            a->code_end = v->end;
        }
    }
    a->brk_start = mm->brk_start;
    unlock(&mm->lock);
    a->stack_start = p->arg_start ? ALIGN_DOWN(p->arg_start, 16UL) : a->stack_start;
}

/* The number behind "Key:" in the host's status, in bytes for "kB". */
static size_t host_number(const struct text *host, const char *key)
{
    size_t n = strlen(key);
    for (size_t at = 0; at + n < host->len; at++) {
        if ((at && host->data[at - 1] != '\n') || memcmp(host->data + at, key, n) != 0)
            continue;
        size_t v = 0;
        for (at += n; at < host->len && (host->data[at] == ' ' || host->data[at] == '\t'); at++)
            ;
        for (; at < host->len && host->data[at] >= '0' && host->data[at] <= '9'; at++)
            v = v * 10 + (size_t)(host->data[at] - '0');
        return v << 10;
    }
    return 0;
}

/* What another process publishes; the rest of it stays zero. */
static int ask_member(const struct pseudo_ref *r, struct about *a)
{
    struct member *m = proc_member(r);
    if (!m)
        return -ESRCH;
    a->other = true;
    other_comm(r, a->comm);
    a->umask = m->umask;
    a->cred = m->cred;
    a->rss_limit = m->limits[RLIMIT_RSS].rlim_cur;
    if (a->rss) { /* it has memory still */
        a->total = m->vm_size;
        if (proc_may_look(m)) {
            a->arg_start = m->arg_start;
            a->arg_end = m->arg_end;
            a->env_start = m->env_start;
            a->env_end = m->env_end;
        }
    }
    heap_free(m);
    return 0;
}

static void ask_own(const struct pseudo_ref *r, struct about *a)
{
    struct process *p = current_process();
    ask_threads(a, p, proc_tid(r));
    ask_memory(a, p);
    a->cred = p->cred;
    a->rss_limit = p->limits[RLIMIT_RSS].rlim_cur;
    a->arg_start = p->arg_start;
    a->arg_end = p->arg_end;
    a->env_start = p->env_start;
    a->env_end = p->env_end;
    lock(&p->fs.lock);
    a->umask = p->fs.umask;
    unlock(&p->fs.lock);
    lock(&p->fds.lock);
    a->fd_size = p->fds.size;
    unlock(&p->fds.lock);
}

static int ask(const struct pseudo_ref *r, struct about *a, struct text *host)
{
    memset(a, 0, sizeof(*a));
    int err = proc_host_text(r, "status", host);
    if (err)
        return err;
    a->rss = host_number(host, "VmRSS:");
    a->hwm = MAX(host_number(host, "VmHWM:"), a->rss);
    a->parent = (uint32_t)run_parent((int)(host_number(host, "Tgid:") >> 10),
                                     (int)(host_number(host, "PPid:") >> 10));
    if (proc_is_other(r))
        err = ask_member(r, a);
    else
        ask_own(r, a);
    a->total = MAX(a->total, a->hwm); /* pages of the library OS are resident too */
    return err;
}

bool proc_is_zombie(const struct pseudo_ref *r)
{
    struct text host = {0};
    int err = proc_host_text(r, "stat", &host);
    text_add_bytes(&host, "", 1);
    const char *at = err || host.failed ? NULL : strrchr(host.data, ')');
    bool zombie = !at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X';
    text_free(&host);
    return zombie;
}

static void add_name(struct text *t, const char *comm)
{
    text_add(t, "Name:\t");
    for (; *comm; comm++)
        if (*comm == '\n' || *comm == '\\')
            text_add(t, "\\%c", *comm == '\n' ? 'n' : '\\');
        else
            text_add_bytes(t, comm, 1);
    text_add(t, "\n");
}

/* The line that begins with `key` in our own words; false: the host's is right. */
static bool own_line(struct text *t, const char *key, size_t len, const struct about *a)
{
    const struct credentials *c = &a->cred;
    const struct {
        const char *key;
        size_t bytes;
    } sizes[] = {{"VmPeak", a->total}, {"VmSize", a->total}, {"VmData", a->data},
                 {"VmStk", a->stack},  {"VmExe", a->text},   {"VmLib", a->lib}};
    const struct {
        const char *key;
        sigmask set;
    } sets[] = {{"SigPnd", a->pending},
                {"ShdPnd", a->shared_pending},
                {"SigBlk", a->blocked},
                {"SigIgn", a->ignored},
                {"SigCgt", a->caught}};
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {{"FDSize", a->fd_size}, {a->other ? "" : "Threads", a->threads},
                   {"PPid", a->parent},    {"TracerPid", 0},
                   {"Seccomp", 0},         {"Seccomp_filters", 0}};
#define IS(text) (len == strlen(text) && memcmp(key, text, len) == 0)
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        if (IS(sizes[i].key))
            return text_add(t, "%s:\t%8lu kB\n", sizes[i].key, sizes[i].bytes >> 10), true;
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
        if (IS(sets[i].key))
            return text_add(t, "%s:\t%016lx\n", sets[i].key, sets[i].set), true;
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        if (IS(numbers[i].key))
            return text_add(t, "%s:\t%u\n", numbers[i].key, numbers[i].value), true;
    if (IS("Name"))
        add_name(t, a->comm);
    else if (IS("Umask"))
        text_add(t, "Umask:\t%04o\n", a->umask);
    else if (IS("Uid"))
        text_add(t, "Uid:\t%u\t%u\t%u\t%u\n", c->uid, c->euid, c->suid, c->fsuid);
    else if (IS("Gid"))
        text_add(t, "Gid:\t%u\t%u\t%u\t%u\n", c->gid, c->egid, c->sgid, c->fsgid);
    else if (IS("Groups")) {
        text_add(t, "Groups:\t");
        for (uint32_t i = 0; i < c->ngroups; i++)
            text_add(t, "%u ", c->groups[i]);
        text_add(t, "%s\n", c->ngroups ? "" : " ");
    } else
        return false;
    return true;
#undef IS
}

int proc_fill_status(const struct pseudo_ref *r, struct text *t)
{
    struct about a;
    struct text host = {0};
    int err = ask(r, &a, &host);
    for (size_t at = 0, end; !err && at < host.len; at = end) {
        const char *line = host.data + at;
        char *nl = memchr(line, '\n', host.len - at), *colon = memchr(line, ':', host.len - at);
        end = nl ? (size_t)(nl - host.data) + 1 : host.len;
        if (!colon || !own_line(t, line, (size_t)(colon - line), &a))
            text_add_bytes(t, line, end - at);
    }
    text_free(&host);
    return err;
}

/* Field `n` (from 3) of stat in our own words. */
static bool own_field(const struct about *a, int n, uint64_t *v)
{
    switch (n) {
    case 4:
        return *v = a->parent, true;
    case 20:
        return *v = a->threads, !a->other;
    case 23:
        return *v = a->total, true;
    case 25:
        return *v = a->rss_limit, true;
    case 26:
        return *v = a->code_start, true;
    case 27:
        return *v = a->code_end, true;
    case 28:
        return *v = a->stack_start, true;
    case 31:
        return *v = a->pending & 0x7fffffff, true;
    case 32:
        return *v = a->blocked & 0x7fffffff, true;
    case 33:
        return *v = a->ignored & 0x7fffffff, true;
    case 34:
        return *v = a->caught & 0x7fffffff, true;
    case 47:
        return *v = a->brk_start, true;
    case 48:
        return *v = a->arg_start, true;
    case 49:
        return *v = a->arg_end, true;
    case 50:
        return *v = a->env_start, true;
    case 51:
        return *v = a->env_end, true;
    case 29: /* kstkesp, kstkeip, wchan, start_data, end_data: not shown */
    case 30:
    case 35:
    case 45:
    case 46:
        return *v = 0, true;
    default:
        return false;
    }
}

int proc_fill_stat(const struct pseudo_ref *r, struct text *t)
{
    struct about a;
    struct text status = {0}, host = {0};
    int err = ask(r, &a, &status);
    text_free(&status);
    if (!err)
        err = proc_host_text(r, "stat", &host);
    text_add_bytes(&host, "", 1);
    char *at = !err && !host.failed ? strrchr(host.data, ')') : NULL;
    if (at) {
        text_add(t, "%d (%s)", proc_tid(r), a.comm);
        at++;
        for (int n = 3; *at == ' '; n++) {
            char *end = ++at;
            uint64_t v;
            while (*end && *end != ' ' && *end != '\n')
                end++;
            if (own_field(&a, n, &v))
                text_add(t, " %lu", v);
            else
                text_add(t, " %.*s", (int)(end - at), at);
            at = end;
        }
        text_add(t, "\n");
    }
    text_free(&host);
    return err ? err : at ? 0 : -EIO;
}

int proc_fill_statm(const struct pseudo_ref *r, struct text *t)
{
    struct about a;
    struct text status = {0};
    int err = ask(r, &a, &status);
    if (!err)
        text_add(t, "%lu %lu %lu %lu 0 %lu 0\n", a.total / PAGE_SIZE, a.rss / PAGE_SIZE,
                 (host_number(&status, "RssFile:") + host_number(&status, "RssShmem:")) / PAGE_SIZE,
                 a.text / PAGE_SIZE, (a.data + a.stack) / PAGE_SIZE);
    text_free(&status);
    return err;
}

static void add_limit(struct text *t, uint64_t v)
{
    if (v == RLIM64_INFINITY)
        text_add(t, "%-20s ", "unlimited");
    else
        text_add(t, "%-20lu ", v);
}

static int limits_of(const struct pseudo_ref *r, struct rlimit64 limits[RLIM_NLIMITS])
{
    struct process *p = current_process();
    size_t size = RLIM_NLIMITS * sizeof(limits[0]);
    if (proc_is_other(r)) {
        struct member *m = proc_member(r);
        if (m)
            memcpy(limits, m->limits, size);
        heap_free(m);
        return m ? 0 : -ESRCH;
    }
    lock(&p->lock);
    memcpy(limits, p->limits, size);
    unlock(&p->lock);
    return 0;
}

int proc_fill_limits(const struct pseudo_ref *r, struct text *t)
{
    static const struct {
        const char *name, *unit;
    } names[RLIM_NLIMITS] = {
        [RLIMIT_CPU] = {"Max cpu time", "seconds"},
        [RLIMIT_FSIZE] = {"Max file size", "bytes"},
        [RLIMIT_DATA] = {"Max data size", "bytes"},
        [RLIMIT_STACK] = {"Max stack size", "bytes"},
        [RLIMIT_CORE] = {"Max core file size", "bytes"},
        [RLIMIT_RSS] = {"Max resident set", "bytes"},
        [RLIMIT_NPROC] = {"Max processes", "processes"},
        [RLIMIT_NOFILE] = {"Max open files", "files"},
        [RLIMIT_MEMLOCK] = {"Max locked memory", "bytes"},
        [RLIMIT_AS] = {"Max address space", "bytes"},
        [RLIMIT_LOCKS] = {"Max file locks", "locks"},
        [RLIMIT_SIGPENDING] = {"Max pending signals", "signals"},
        [RLIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"},
        [RLIMIT_NICE] = {"Max nice priority", ""},
        [RLIMIT_RTPRIO] = {"Max realtime priority", ""},
        [RLIMIT_RTTIME] = {"Max realtime timeout", "us"},
    };
    struct rlimit64 limits[RLIM_NLIMITS];
    int err = limits_of(r, limits);
    if (err)
        return err;
    text_add(t, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        text_add(t, "%-25s ", names[i].name);
        add_limit(t, limits[i].rlim_cur);
        add_limit(t, limits[i].rlim_max);
        text_add(t, "%-10s\n", names[i].unit);
    }
    return 0;
}
