/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* /proc/PID and /proc/PID/task/TID: the tree, links, and the short files. */
#include "host/host.h"
#include "libos/fs/proc.h"
#include "libos/proc/reach.h"

long proc_next_pid(const struct pseudo_ref *dir, long from)
{
    int pid = current_process()->pid;
    (void)dir;
    if (from == pid || (from > 0 && member_alive((int)from)))
        return from;
    long other = member_next(from);
    return from < pid && (other < 0 || pid < other) ? pid : other;
}

bool proc_is_other(const struct pseudo_ref *r)
{
    return r->depth && r->num[0] != current_process()->pid;
}

bool proc_is_gone(const struct pseudo_ref *r)
{
    return proc_is_other(r) && !member_alive((int)r->num[0]);
}

struct member *proc_member(const struct pseudo_ref *r)
{
    return member_get((int)r->num[0]);
}

static bool ids_are(uint32_t id, uint32_t real, uint32_t effective, uint32_t saved)
{
    return id == real && id == effective && id == saved;
}

bool proc_may_look(const struct member *m)
{
    const struct credentials *me = &current_process()->cred, *c = &m->cred;
    return me->euid == 0 || (m->dumpable && ids_are(me->fsuid, c->uid, c->euid, c->suid) &&
                             ids_are(me->fsgid, c->gid, c->egid, c->sgid));
}

void proc_owner(const struct pseudo_ref *r, uint32_t ids[2])
{
    struct member *m = proc_is_other(r) ? proc_member(r) : NULL;
    const struct credentials *c = m ? &m->cred : &current_process()->cred;
    bool shown = !m || m->dumpable;
    ids[0] = shown ? c->euid : 0;
    ids[1] = shown ? c->egid : 0;
    heap_free(m);
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
    char pid[16] = "self";
    if (proc_is_other(r))
        fmt(pid, sizeof(pid), "%ld", r->num[0]);
    if (in_task(r))
        fmt(path, 64, "/proc/%s/task/%d/%s", pid, proc_tid(r), file);
    else
        fmt(path, 64, "/proc/%s/%s", pid, file);
}

static long next_tid(const struct pseudo_ref *dir, long from)
{
    return run_next_thread((int)dir->num[0], from);
}

/* ---- links ---- */

/* Of another process: the text at `at` of what it has published. */
static ssize other_link(const struct pseudo_ref *r, size_t at, char *buf, size_t size)
{
    struct member *m = proc_member(r);
    const char *text = m ? m->text + *(const uint32_t *)((const char *)m + at) : "";
    ssize n = !m || !*text || proc_is_zombie(r) ? -ENOENT : !proc_may_look(m) ? -EACCES : 0;
    if (!n && at == offsetof(struct member, exe_at)) {
        char real[PATH_LIMIT];
        proc_real_path(text, real);
        n = link_text(buf, size, real);
    } else if (!n) {
        n = link_text(buf, size, text);
    }
    heap_free(m);
    return n;
}

static ssize cwd_link(const struct pseudo_ref *r, char *buf, size_t size)
{
    struct fs_state *fs = &current_process()->fs;
    if (proc_is_other(r))
        return other_link(r, offsetof(struct member, cwd_at), buf, size);
    lock(&fs->lock);
    ssize n = link_text(buf, size, fs->cwd);
    unlock(&fs->lock);
    return n;
}

static ssize root_link(const struct pseudo_ref *r, char *buf, size_t size)
{
    struct fs_state *fs = &current_process()->fs;
    if (proc_is_other(r))
        return other_link(r, offsetof(struct member, root_at), buf, size);
    lock(&fs->lock);
    ssize n = link_text(buf, size, fs->root);
    unlock(&fs->lock);
    return n;
}

static ssize exe_link(const struct pseudo_ref *r, char *buf, size_t size)
{
    const char *exe = current_process()->exe;
    if (proc_is_other(r))
        return other_link(r, offsetof(struct member, exe_at), buf, size);
    if (!exe)
        return -ENOENT;
    char real[PATH_LIMIT];
    proc_real_path(exe, real);
    return link_text(buf, size, real);
}

/* ---- short files ---- */

static ssize write_host(const struct pseudo_ref *r, const char *file, const char *buf, size_t n)
{
    char path[64];
    proc_host_path(r, file, path);
    int fd = host_open(path, O_WRONLY, 0);
    if (fd < 0)
        return fd;
    /* What is open stays with the process; is it still the one that was meant? */
    ssize w = proc_is_gone(r) ? -ESRCH : host_pwrite(fd, buf, n, 0);
    host_close(fd);
    return w;
}

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
    if (proc_is_other(r))
        return -EINVAL;
    lock(&p->lock);
    list_for_each (it, &p->threads) {
        struct thread *t = list_entry(it, struct thread, siblings);
        if (t->tid != tid)
            continue;
        memset(t->comm, 0, sizeof(t->comm));
        memcpy(t->comm, buf, len);
        if (tid == p->pid)
            memcpy(p->comm, t->comm, sizeof(p->comm));
    }
    member_changed();
    unlock(&p->lock);
    write_host(r, "comm", buf, len); /* where other processes look for threads' names */
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
    uint32_t personality = current_process()->personality;
    if (proc_is_other(r)) {
        struct member *m = proc_member(r);
        bool refused = m && !proc_may_look(m);
        personality = m ? m->personality : 0;
        heap_free(m);
        if (!m || refused)
            return m ? -EACCES : -ESRCH;
    }
    text_add(t, "%08x\n", personality);
    return 0;
}

int proc_host_text(const struct pseudo_ref *r, const char *file, struct text *t)
{
    char path[64];
    proc_host_path(r, file, path);
    int err = text_add_host(t, path);
    return !err && proc_is_gone(r) ? -ESRCH : err;
}

/* Figures of the host process, which are also ours. */
static int fill_host(const struct pseudo_ref *r, struct text *t)
{
    return proc_host_text(r, r->node->name, t);
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
    char comm[16];
    int err = proc_host_text(r, "sched", &host);
    char *nl = err ? NULL : memchr(host.data, '\n', host.len);
    if (nl) {
        proc_comm(r, comm);
        char *end = memchr(host.data, ',', host.len);
        end = end && end < nl ? end : nl;
        text_add(t, "%s (%d", comm, proc_tid(r));
        text_add_bytes(t, end, (size_t)(nl - end));
        text_add_bytes(t, nl, host.len - (size_t)(nl - host.data));
    }
    text_free(&host);
    return err;
}

static ssize write_oom(const struct pseudo_ref *r, const char *buf, size_t n)
{
    return write_host(r, "oom_score_adj", buf, n);
}

static int fill_net(const struct pseudo_ref *r, struct text *t)
{
    char path[64];
    fmt(path, sizeof(path), "/proc/self/net/%s", r->node->name);
    return text_add_host(t, path);
}

static int own_process(const struct pseudo_ref *r)
{
    return proc_is_other(r) ? -EACCES : 0;
}

#define END          \
    {                \
        .name = NULL \
    }
#define OWN(n, m, fill_)                                                     \
    {                                                                        \
        .name = n, .mode = 0100000 | (m), .fill = fill_, .owner = proc_owner \
    }
#define OWN_LINK(n, l)                                             \
    {                                                              \
        .name = n, .mode = 0120777, .link = l, .owner = proc_owner \
    }
#define OWN_DIR(n, m, c)                                                     \
    {                                                                        \
        .name = n, .mode = 0040000 | (m), .children = c, .owner = proc_owner \
    }
#define OWN_FDS(n, m, c)                                                                           \
    {                                                                                              \
        .name = n, .mode = 0040000 | (m), .children = c, .owner = proc_owner, .check = own_process \
    }
#define HOST(n)                                                                                \
    {                                                                                          \
        .name = n, .mode = 0100444, .fill = fill_host, .exists = host_has, .owner = proc_owner \
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
        OWN_FDS("fd", 0500, proc_fd_dir), OWN_FDS("fdinfo", 0555, proc_fdinfo_dir),             \
        OWN_DIR("net", 0555, net_dir), OWN("maps", 0444, proc_fill_maps),                       \
        OWN("smaps", 0444, proc_fill_smaps), OWN("smaps_rollup", 0444, proc_fill_smaps_rollup), \
        OWN("status", 0444, proc_fill_status), OWN("stat", 0444, proc_fill_stat),               \
        OWN("statm", 0444, proc_fill_statm), OWN("limits", 0444, proc_fill_limits),             \
        OWN("cmdline", 0444, proc_fill_cmdline), OWN("environ", 0400, proc_fill_environ),       \
        OWN("auxv", 0400, proc_fill_auxv), OWN("cgroup", 0444, fill_cgroup),                    \
        OWN("mounts", 0444, proc_fill_mounts), OWN("mountinfo", 0444, proc_fill_mountinfo),     \
        OWN("wchan", 0444, fill_wchan), OWN("personality", 0400, fill_personality),             \
        OWN("sched", 0444, fill_sched), HOST("schedstat"), HOST("io"), HOST("oom_score"),       \
        HOST("loginuid"), HOST("sessionid"), HOST("cpuset"),                                    \
        {.name = "comm",                                                                        \
         .mode = 0100644,                                                                       \
         .fill = fill_comm,                                                                     \
         .write = write_comm,                                                                   \
         .owner = proc_owner},                                                                  \
    {                                                                                           \
        .name = "oom_score_adj", .mode = 0100644, .fill = fill_host, .write = write_oom,        \
        .owner = proc_owner                                                                     \
    }

static const struct pseudo_node task_tid_dir[] = {COMMON, END};
static const struct pseudo_node task_dir[] = {
    {.name = "#", .mode = 0040555, .children = task_tid_dir, .next = next_tid, .owner = proc_owner},
    END};

const struct pseudo_node proc_pid_dir[] = {COMMON,
                                           OWN_DIR("task", 0555, task_dir),
                                           OWN("mountstats", 0400, proc_fill_mountstats),
                                           HOST("timerslack_ns"),
                                           HOST("autogroup"),
                                           HOST("coredump_filter"),
                                           END};
