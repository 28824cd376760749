/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* /sys: the processor and memory topology, and nothing else of the machine. */
#include "host/host.h"
#include "libos/fs/pseudo.h"
#include <linux/magic.h>

/* Numbered directories of the host: is there /sys/<dir>/<prefix><n>? */
static long next_dir(const struct pseudo_ref *dir, const char *prefix, long from, long last)
{
    char path[PATH_LIMIT];
    struct stat st;
    for (long n = from; n <= last; n++) {
        fmt(path, sizeof(path), "/sys/%.*s/%s%ld", (int)dir->rel_len, dir->rel, prefix, n);
        if (host_stat(path, true, &st) == 0)
            return n;
    }
    return -1;
}

/* The highest number in a range list such as "0-3,8". */
static long last_of(const char *list)
{
    struct text t = {0};
    long n = 0, last = -1;
    if (text_add_host(&t, list) == 0)
        for (size_t i = 0; i < t.len; i++) {
            bool digit = t.data[i] >= '0' && t.data[i] <= '9';
            n = digit ? MIN(n * 10 + (t.data[i] - '0'), 65535L) : 0;
            last = digit ? n : last;
        }
    text_free(&t);
    return last;
}

static long next_cpu(const struct pseudo_ref *dir, long from)
{
    return next_dir(dir, "cpu", from, last_of("/sys/devices/system/cpu/possible"));
}

static long next_cache(const struct pseudo_ref *dir, long from)
{
    return next_dir(dir, "index", from, 15);
}

static long next_node(const struct pseudo_ref *dir, long from)
{
    return next_dir(dir, "node", from, last_of("/sys/devices/system/node/possible"));
}

static const char *const hugepage_dirs[] = {"hugepages-2048kB", "hugepages-1048576kB"};

static const char *hugepage_name(long i)
{
    return i < (long)ARRAY_SIZE(hugepage_dirs) ? hugepage_dirs[i] : NULL;
}

#define END          \
    {                \
        .name = NULL \
    }
#define HOST_DIR(n, children_)                                                          \
    {                                                                                   \
        .name = n, .mode = 0040755, .children = children_, .exists = pseudo_host_exists \
    }

static const struct pseudo_node topology_dir[] = {
    P_HOST("core_id"),         P_HOST("physical_package_id"),  P_HOST("die_id"),
    P_HOST("cluster_id"),      P_HOST("core_siblings"),        P_HOST("core_siblings_list"),
    P_HOST("thread_siblings"), P_HOST("thread_siblings_list"), P_HOST("core_cpus"),
    P_HOST("core_cpus_list"),  P_HOST("package_cpus"),         P_HOST("package_cpus_list"),
    P_HOST("die_cpus"),        P_HOST("die_cpus_list"),        END};
static const struct pseudo_node cache_index_dir[] = {P_HOST("shared_cpu_map"),
                                                     P_HOST("shared_cpu_list"),
                                                     P_HOST("level"),
                                                     P_HOST("type"),
                                                     P_HOST("size"),
                                                     P_HOST("coherency_line_size"),
                                                     P_HOST("number_of_sets"),
                                                     P_HOST("physical_line_partition"),
                                                     P_HOST("ways_of_associativity"),
                                                     P_HOST("id"),
                                                     END};
static const struct pseudo_node cache_dir[] = {
    {.name = "index#", .mode = 0040755, .children = cache_index_dir, .next = next_cache}, END};
static const struct pseudo_node cpufreq_dir[] = {
    P_HOST("cpuinfo_max_freq"), P_HOST("cpuinfo_min_freq"), P_HOST("scaling_cur_freq"),
    P_HOST("scaling_max_freq"), P_HOST("scaling_min_freq"), END};
static const struct pseudo_node one_cpu_dir[] = {
    P_HOST("online"), HOST_DIR("topology", topology_dir), HOST_DIR("cache", cache_dir),
    HOST_DIR("cpufreq", cpufreq_dir), END};
static const struct pseudo_node cpu_dir[] = {
    P_HOST("online"),
    P_HOST("offline"),
    P_HOST("possible"),
    P_HOST("present"),
    P_HOST("isolated"),
    P_HOST("kernel_max"),
    {.name = "cpu#", .mode = 0040755, .children = one_cpu_dir, .next = next_cpu},
    END};

static const struct pseudo_node hugepages_dir[] = {P_HOST("nr_hugepages"), P_HOST("free_hugepages"),
                                                   END};
static const struct pseudo_node all_hugepages_dir[] = {{.name = "*",
                                                        .mode = 0040755,
                                                        .children = hugepages_dir,
                                                        .name_at = hugepage_name,
                                                        .exists = pseudo_host_exists},
                                                       END};
static const struct pseudo_node one_node_dir[] = {P_HOST("cpumap"),
                                                  P_HOST("cpulist"),
                                                  P_HOST("distance"),
                                                  P_HOST("meminfo"),
                                                  P_HOST("numastat"),
                                                  HOST_DIR("hugepages", all_hugepages_dir),
                                                  END};
static const struct pseudo_node node_dir[] = {
    P_HOST("online"),
    P_HOST("possible"),
    P_HOST("has_cpu"),
    P_HOST("has_memory"),
    P_HOST("has_normal_memory"),
    {.name = "node#", .mode = 0040755, .children = one_node_dir, .next = next_node},
    END};

static const struct pseudo_node system_dir[] = {HOST_DIR("cpu", cpu_dir),
                                                HOST_DIR("node", node_dir), END};
static const struct pseudo_node devices_dir[] = {P_DIR("system", 0755, system_dir), END};
static const struct pseudo_node thp_dir[] = {
    P_HOST("enabled"), P_HOST("defrag"), P_HOST("hpage_pmd_size"), P_HOST("shmem_enabled"), END};
static const struct pseudo_node mm_dir[] = {HOST_DIR("transparent_hugepage", thp_dir),
                                            HOST_DIR("hugepages", all_hugepages_dir), END};
static const struct pseudo_node kernel_dir[] = {P_DIR("mm", 0755, mm_dir), END};
static const struct pseudo_node sys_children[] = {P_DIR("devices", 0755, devices_dir),
                                                  P_DIR("kernel", 0755, kernel_dir), END};
static const struct pseudo_node sys_root = P_DIR("", 0555, sys_children);

PSEUDO_FS(fs_sys, "sys", &sys_root, SYSFS_MAGIC);
