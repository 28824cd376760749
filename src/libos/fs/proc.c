/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The root of /proc: the machine and the kernel's settings, from the host, by a closed list. */
#include "libos/fs/proc.h"
#include "libos/proc/info.h"
#include <linux/magic.h>

static ssize self_link(const struct pseudo_ref *r, char *buf, size_t size)
{
    char text[64];
    int pid = current_process()->pid;
    if (r->node->name[0] == 's')
        fmt(text, sizeof(text), "%d", pid);
    else
        fmt(text, sizeof(text), "%d/task/%d", pid, current()->tid);
    return link_text(buf, size, text);
}

static ssize mounts_link(const struct pseudo_ref *r, char *buf, size_t size)
{
    (void)r;
    return link_text(buf, size, "self/mounts");
}

static ssize net_link(const struct pseudo_ref *r, char *buf, size_t size)
{
    (void)r;
    return link_text(buf, size, "self/net");
}

/* The answers of uname(2). */
static int fill_name(const struct pseudo_ref *r, struct text *t)
{
    struct new_utsname u;
    const char *name = r->node->name;
    system_name(&u);
    text_add(t, "%s\n",
             strcmp(name, "osrelease") == 0  ? u.release
             : strcmp(name, "ostype") == 0   ? u.sysname
             : strcmp(name, "version") == 0  ? u.version
             : strcmp(name, "hostname") == 0 ? u.nodename
                                             : u.domainname);
    return 0;
}

#define END          \
    {                \
        .name = NULL \
    }

static const struct pseudo_node random_dir[] = {P_HOST("boot_id"), P_HOST("uuid"),
                                                P_HOST("entropy_avail"), P_HOST("poolsize"), END};
static const struct pseudo_node kernel_dir[] = {P_FILE("osrelease", 0444, fill_name),
                                                P_FILE("ostype", 0444, fill_name),
                                                P_FILE("version", 0444, fill_name),
                                                P_FILE("hostname", 0444, fill_name),
                                                P_FILE("domainname", 0444, fill_name),
                                                P_HOST("pid_max"),
                                                P_HOST("threads-max"),
                                                P_HOST("cap_last_cap"),
                                                P_HOST("ngroups_max"),
                                                P_HOST("overflowuid"),
                                                P_HOST("overflowgid"),
                                                P_HOST("sem"),
                                                P_HOST("shmmax"),
                                                P_HOST("shmall"),
                                                P_HOST("shmmni"),
                                                P_HOST("msgmax"),
                                                P_HOST("msgmnb"),
                                                P_HOST("msgmni"),
                                                P_HOST("randomize_va_space"),
                                                P_HOST("perf_event_paranoid"),
                                                P_HOST("sched_autogroup_enabled"),
                                                P_DIR("random", 0555, random_dir),
                                                END};
static const struct pseudo_node vm_dir[] = {P_HOST("overcommit_memory"),
                                            P_HOST("overcommit_ratio"),
                                            P_HOST("max_map_count"),
                                            P_HOST("mmap_min_addr"),
                                            P_HOST("swappiness"),
                                            P_HOST("nr_hugepages"),
                                            END};
static const struct pseudo_node inotify_dir[] = {
    P_HOST("max_user_instances"), P_HOST("max_user_watches"), P_HOST("max_queued_events"), END};
static const struct pseudo_node epoll_dir[] = {P_HOST("max_user_watches"), END};
static const struct pseudo_node fs_dir[] = {P_HOST("file-max"),
                                            P_HOST("file-nr"),
                                            P_HOST("nr_open"),
                                            P_HOST("pipe-max-size"),
                                            P_HOST("aio-max-nr"),
                                            P_DIR("inotify", 0555, inotify_dir),
                                            P_DIR("epoll", 0555, epoll_dir),
                                            END};
static const struct pseudo_node core_dir[] = {P_HOST("somaxconn"),    P_HOST("rmem_max"),
                                              P_HOST("wmem_max"),     P_HOST("rmem_default"),
                                              P_HOST("wmem_default"), END};
static const struct pseudo_node ipv4_dir[] = {P_HOST("ip_local_port_range"),
                                              P_HOST("tcp_fin_timeout"),
                                              P_HOST("tcp_keepalive_time"),
                                              P_HOST("tcp_rmem"),
                                              P_HOST("tcp_wmem"),
                                              END};
static const struct pseudo_node sys_net_dir[] = {P_DIR("core", 0555, core_dir),
                                                 P_DIR("ipv4", 0555, ipv4_dir), END};
static const struct pseudo_node sys_dir[] = {P_DIR("kernel", 0555, kernel_dir),
                                             P_DIR("vm", 0555, vm_dir), P_DIR("fs", 0555, fs_dir),
                                             P_DIR("net", 0555, sys_net_dir), END};

static const struct pseudo_node proc_children[] = {{.name = "#",
                                                    .mode = 0040555,
                                                    .children = proc_pid_dir,
                                                    .next = proc_next_pid,
                                                    .owner = proc_owner},
                                                   P_LINK("self", self_link),
                                                   P_LINK("thread-self", self_link),
                                                   P_LINK("mounts", mounts_link),
                                                   P_LINK("net", net_link),
                                                   P_HOST("cpuinfo"),
                                                   P_HOST("meminfo"),
                                                   P_HOST("stat"),
                                                   P_HOST("uptime"),
                                                   P_HOST("loadavg"),
                                                   P_HOST("version"),
                                                   P_HOST("filesystems"),
                                                   P_HOST("cmdline"),
                                                   P_HOST("devices"),
                                                   P_HOST("vmstat"),
                                                   P_HOST("swaps"),
                                                   P_DIR("sys", 0555, sys_dir),
                                                   END};
static const struct pseudo_node proc_root = P_DIR("", 0555, proc_children);

PSEUDO_FS(fs_proc, "proc", &proc_root, PROC_SUPER_MAGIC);

int proc_directory_pid(const struct file *f)
{
    if (!f->mount || f->mount->ops != &fs_proc || f->kind != FILE_DIR || !f->path)
        return -1;
    const char *at = f->path + strlen(f->mount->path);
    int pid = 0;
    for (at += *at == '/'; *at >= '0' && *at <= '9'; at++)
        pid = pid * 10 + (*at - '0');
    return *at || !pid ? -1 : pid;
}
