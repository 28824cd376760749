/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * /dev. The devices are the host's own, which is trusted here and has Linux's semantics; the list
 * of names is closed. /dev/shm is a mount (fs/mounts_setup.c). /dev/attestation is in
 * fs/attestation.c.
 */
#include "host/host.h"
#include "libos/fs/attestation.h"
#include "libos/fs/dev_own.h"
#include "libos/fs/pseudo.h"
#include "libos/fs/terminals.h"
#include "libos/process.h"
#include <linux/magic.h>

static void host_name(const struct pseudo_ref *r, char path[PATH_LIMIT])
{
    fmt(path, PATH_LIMIT, "/dev/%s", r->rel);
}

static int device_stat(const struct pseudo_ref *r, kstat *st)
{
    char path[PATH_LIMIT];
    host_name(r, path);
    return host_stat(path, true, st);
}

static long device_ioctl(struct file *f, unsigned cmd, unsigned long arg)
{
    return ioctl_host(f, true, cmd, arg);
}

static const struct file_ops device_ops = {.name = "dev", .ioctl = device_ioctl};

static int device_open(const struct pseudo_ref *r, uint32_t flags, struct file **out)
{
    char path[PATH_LIMIT];
    host_name(r, path);
    int fd = host_open(path, flags, 0);
    if (fd < 0)
        return fd;
    const struct file_ops *own = dev_own(r->rel);
    int err = file_from_host(fd, flags, out);
    if (err) {
        host_close(fd);
        return err;
    }
    (*out)->ops = own ? own : &device_ops;
    return 0;
}

/* ---- terminals ---- */

static long next_terminal(const struct pseudo_ref *dir, long from)
{
    char path[32];
    struct stat st;
    (void)dir;
    for (long n = from; n < 4096; n++) {
        fmt(path, sizeof(path), "/dev/pts/%ld", n);
        if (host_stat(path, true, &st) == 0 && terminal_is_inside(n))
            return n;
    }
    return -1;
}

static int terminal_stat(const struct pseudo_ref *r, kstat *st)
{
    return terminal_is_inside(r->num[0]) ? device_stat(r, st) : -ENOENT;
}

static int terminal_open(const struct pseudo_ref *r, uint32_t flags, struct file **out)
{
    return terminal_is_inside(r->num[0]) ? device_open(r, flags, out) : -ENOENT;
}

/* ---- links ---- */

static ssize fd_link(const struct pseudo_ref *r, char *buf, size_t size)
{
    (void)r;
    return link_text(buf, size, "/proc/self/fd");
}

static ssize stream_link(const struct pseudo_ref *r, char *buf, size_t size)
{
    return link_text(buf, size,
                     strcmp(r->node->name, "stdin") == 0    ? "/proc/self/fd/0"
                     : strcmp(r->node->name, "stdout") == 0 ? "/proc/self/fd/1"
                                                            : "/proc/self/fd/2");
}

/* ---- the tree ---- */

#define DEVICE(n)                                                             \
    {                                                                         \
        .name = n, .mode = 0020666, .open = device_open, .stat = device_stat, \
        .exists = device_exists                                               \
    }

static bool device_exists(const struct pseudo_ref *r)
{
    struct stat st;
    return device_stat(r, &st) == 0;
}

static const struct pseudo_node pts_dir[] = {{.name = "#",
                                              .mode = 0020620,
                                              .next = next_terminal,
                                              .open = terminal_open,
                                              .stat = terminal_stat},
                                             {.name = NULL}};
static const struct pseudo_node dev_children[] = {DEVICE("null"),
                                                  DEVICE("zero"),
                                                  DEVICE("full"),
                                                  DEVICE("random"),
                                                  DEVICE("urandom"),
                                                  DEVICE("tty"),
                                                  DEVICE("ptmx"),
                                                  P_DIR("pts", 0755, pts_dir),
                                                  P_DIR("attestation", 0555, attestation_nodes),
                                                  P_LINK("fd", fd_link),
                                                  P_LINK("stdin", stream_link),
                                                  P_LINK("stdout", stream_link),
                                                  P_LINK("stderr", stream_link),
                                                  {.name = NULL}};
static const struct pseudo_node dev_root = P_DIR("", 0755, dev_children);

PSEUDO_FS(fs_dev, "dev", &dev_root, TMPFS_MAGIC);
