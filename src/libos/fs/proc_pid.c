/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* /proc/PID and /proc/PID/task/TID: the tree, links, and the short files. */
#include "host/host.h"
#include "libos/fs/proc.h"

long proc_next_pid(const struct pseudo_ref *dir, long from)
{
    int pid = current_process()->pid;
    (void)dir;
    return from <= pid ? pid : -1;
}

/* Below task/ the second number is the thread. */
static bool in_task(const struct pseudo_ref *r)
{
    const char *slash = strchr(r->rel, '/');
    return slash && strncmp(slash, "/task/", 6) == 0;
}

int proc_tid(const struct pseudo_ref *r)
{
    return (int)(in_task(r) ? r->num[1] : r->num[0]);
}

void proc_host_path(const struct pseudo_ref *r, const char *file, char path[64])
{
    if (in_task(r))
        fmt(path, 64, "/proc/self/task/%d/%s", proc_tid(r), file);
    else
        fmt(path, 64, "/proc/self/%s", file);
}

static long next_tid(const struct pseudo_ref *dir, long from)
{
    struct process *p = current_process();
    long found = -1;
    (void)dir;
    lock(&p->lock);
    list_for_each (it, &p->threads) {
        long tid = list_entry(it, struct thread, siblings)->tid;
        if (tid >= from && (found < 0 || tid < found))
            found = tid;
    }
    unlock(&p->lock);
    return found;
}

/* ---- links ---- */

static ssize cwd_link(const struct pseudo_ref *r, char *buf, size_t size)
{
    struct fs_state *fs = &current_process()->fs;
    (void)r;
    lock(&fs->lock);
    ssize n = link_text(buf, size, fs->cwd);
    unlock(&fs->lock);
    return n;
}

static ssize root_link(const struct pseudo_ref *r, char *buf, size_t size)
{
    struct fs_state *fs = &current_process()->fs;
    (void)r;
    lock(&fs->lock);
    ssize n = link_text(buf, size, fs->root);
    unlock(&fs->lock);
    return n;
}

static ssize exe_link(const struct pseudo_ref *r, char *buf, size_t size)
{
    const char *exe = current_process()->exe;
    (void)r;
    if (!exe)
        return -ENOENT;
    char real[PATH_LIMIT];
    proc_real_path(exe, real);
    return link_text(buf, size, real);
}

/* ---- application memory ---- */

static int add_user(struct text *t, uint64_t from, uint64_t to)
{
    char buf[512];
    while (from < to) {
        size_t n = MIN(to - from, sizeof(buf));
        if (copy_from_user(buf, (void *)from, n))
            return 0; /* unmapped by the program: what was read counts */
        text_add_bytes(t, buf, n);
        from += n;
    }
    return 0;
}

static int fill_cmdline(const struct pseudo_ref *r, struct text *t)
{
    const struct process *p = current_process();
    (void)r;
    return add_user(t, p->arg_start, p->arg_end);
}

static int fill_environ(const struct pseudo_ref *r, struct text *t)
{
    const struct process *p = current_process();
    (void)r;
    return add_user(t, p->env_start, p->env_end);
}

static int fill_auxv(const struct pseudo_ref *r, struct text *t)
{
    const struct process *p = current_process();
    (void)r;
    return add_user(t, p->auxv_start, p->auxv_end);
}

/* ---- short files ---- */

static int fill_comm(const struct pseudo_ref *r, struct text *t)
{
    char comm[16];
    proc_comm(r, comm);
    text_add(t, "%s\n", comm);
    return 0;
}

static ssize write_comm(const struct pseudo_ref *r, const char *buf, size_t n)
{
    struct process *p = current_process();
    int tid = proc_tid(r);
    size_t len = MIN(n, sizeof(p->comm) - 1);
    char *nl = memchr(buf, '\n', len);
    len = nl ? (size_t)(nl - buf) : len;
    lock(&p->lock);
    list_for_each (it, &p->threads) {
        struct thread *t = list_entry(it, struct thread, siblings);
        if (t->tid == tid) {
            memset(t->comm, 0, sizeof(t->comm));
            memcpy(t->comm, buf, len);
        }
    }
    unlock(&p->lock);
    return (ssize)n;
}

static int fill_cgroup(const struct pseudo_ref *r, struct text *t)
{
    (void)r;
    text_add(t, "0::/\n");
    return 0;
}

static int fill_wchan(const struct pseudo_ref *r, struct text *t)
{
    (void)r;
    text_add(t, "0");
    return 0;
}

static int fill_personality(const struct pseudo_ref *r, struct text *t)
{
    (void)r;
    text_add(t, "%08x\n", current_process()->personality);
    return 0;
}

/* Figures of the host process, which are also ours. */
static int fill_host(const struct pseudo_ref *r, struct text *t)
{
    char path[64];
    proc_host_path(r, r->node->name, path);
    return text_add_host(t, path);
}

static bool host_has(const struct pseudo_ref *r)
{
    char path[64];
    struct stat st;
    proc_host_path(r, r->node->name, path);
    return host_stat(path, true, &st) == 0;
}

/* Its first line names the program. */
static int fill_sched(const struct pseudo_ref *r, struct text *t)
{
    struct text host = {0};
    char comm[16], path[64];
    proc_host_path(r, "sched", path);
    int err = text_add_host(&host, path);
    char *nl = err ? NULL : memchr(host.data, '\n', host.len);
    if (nl) {
        proc_comm(r, comm);
        text_add(t, "%s (%d, #threads: %u)", comm, proc_tid(r), current_process()->nthreads);
        text_add_bytes(t, nl, host.len - (size_t)(nl - host.data));
    }
    text_free(&host);
    return err;
}

static ssize write_oom(const struct pseudo_ref *r, const char *buf, size_t n)
{
    (void)r;
    int fd = host_open("/proc/self/oom_score_adj", O_WRONLY, 0);
    if (fd < 0)
        return fd;
    ssize w = host_pwrite(fd, buf, n, 0);
    host_close(fd);
    return w;
}

static int fill_net(const struct pseudo_ref *r, struct text *t)
{
    char path[64];
    fmt(path, sizeof(path), "/proc/self/net/%s", r->node->name);
    return text_add_host(t, path);
}

#define END          \
    {                \
        .name = NULL \
    }
#define OWN(n, m, fill_)                                             \
    {                                                                \
        .name = n, .mode = 0100000 | (m), .fill = fill_, .own = true \
    }
#define OWN_LINK(n, l)                                     \
    {                                                      \
        .name = n, .mode = 0120777, .link = l, .own = true \
    }
#define OWN_DIR(n, m, c)                                             \
    {                                                                \
        .name = n, .mode = 0040000 | (m), .children = c, .own = true \
    }
#define HOST(n)                                                                        \
    {                                                                                  \
        .name = n, .mode = 0100444, .fill = fill_host, .exists = host_has, .own = true \
    }

static const struct pseudo_node net_dir[] = {P_FILE("dev", 0444, fill_net),
                                             P_FILE("if_inet6", 0444, fill_net),
                                             P_FILE("route", 0444, fill_net),
                                             P_FILE("ipv6_route", 0444, fill_net),
                                             P_FILE("tcp", 0444, fill_net),
                                             P_FILE("tcp6", 0444, fill_net),
                                             P_FILE("udp", 0444, fill_net),
                                             P_FILE("udp6", 0444, fill_net),
                                             END};

/* What a process and each of its threads have. */
#define COMMON                                                                                  \
    OWN_LINK("cwd", cwd_link), OWN_LINK("root", root_link), OWN_LINK("exe", exe_link),          \
        OWN_DIR("fd", 0500, proc_fd_dir), OWN_DIR("fdinfo", 0555, proc_fdinfo_dir),             \
        OWN_DIR("net", 0555, net_dir), OWN("maps", 0444, proc_fill_maps),                       \
        OWN("smaps", 0444, proc_fill_smaps), OWN("smaps_rollup", 0444, proc_fill_smaps_rollup), \
        OWN("status", 0444, proc_fill_status), OWN("stat", 0444, proc_fill_stat),               \
        OWN("statm", 0444, proc_fill_statm), OWN("limits", 0444, proc_fill_limits),             \
        OWN("cmdline", 0444, fill_cmdline), OWN("environ", 0400, fill_environ),                 \
        OWN("auxv", 0400, fill_auxv), OWN("cgroup", 0444, fill_cgroup),                         \
        OWN("mounts", 0444, proc_fill_mounts), OWN("mountinfo", 0444, proc_fill_mountinfo),     \
        OWN("wchan", 0444, fill_wchan), OWN("personality", 0400, fill_personality),             \
        OWN("sched", 0444, fill_sched), HOST("schedstat"), HOST("io"), HOST("oom_score"),       \
        HOST("loginuid"), HOST("sessionid"), HOST("cpuset"),                                    \
        {.name = "comm", .mode = 0100644, .fill = fill_comm, .write = write_comm, .own = true}, \
    {                                                                                           \
        .name = "oom_score_adj", .mode = 0100644, .fill = fill_host, .write = write_oom,        \
        .own = true                                                                             \
    }

static const struct pseudo_node task_tid_dir[] = {COMMON, END};
static const struct pseudo_node task_dir[] = {
    {.name = "#", .mode = 0040555, .children = task_tid_dir, .next = next_tid, .own = true}, END};

const struct pseudo_node proc_pid_dir[] = {COMMON,
                                           OWN_DIR("task", 0555, task_dir),
                                           OWN("mountstats", 0400, proc_fill_mountstats),
                                           HOST("timerslack_ns"),
                                           HOST("autogroup"),
                                           HOST("coredump_filter"),
                                           END};
