/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* /proc/PID/mounts, mountinfo, mountstats (proc(5), fstab(5)). */
#include "libos/fs/proc.h"

#define FIRST_ID 20

static const char *type_of(const struct mount *m)
{
    return m->ops == &fs_sys ? "sysfs" : m->ops == &fs_dev ? "devtmpfs" : m->ops->name;
}

/* Blanks and backslashes as octal escapes. */
static void add_path(struct text *t, const char *path)
{
    for (; *path; path++) {
        if (strchr(" \t\n\\", *path))
            text_add(t, "\\%03o", (unsigned)(uint8_t)*path);
        else
            text_add_bytes(t, path, 1);
    }
}

int proc_fill_mounts(const struct pseudo_ref *r, struct text *t)
{
    (void)r;
    for (uint32_t i = 0; i < mount_count; i++) {
        text_add(t, "%s ", type_of(mounts[i]));
        add_path(t, mounts[i]->path);
        text_add(t, " %s rw,relatime 0 0\n", type_of(mounts[i]));
    }
    return 0;
}

/* The mount that `i` is mounted on. */
static uint32_t parent_of(uint32_t i)
{
    for (uint32_t k = i; k-- > 0;) {
        size_t len = mounts[k]->path_len;
        if (len == 1 || (strncmp(mounts[i]->path, mounts[k]->path, len) == 0 &&
                         (mounts[i]->path[len] == '/' || !mounts[i]->path[len])))
            return FIRST_ID + k;
    }
    return 1;
}

int proc_fill_mountinfo(const struct pseudo_ref *r, struct text *t)
{
    (void)r;
    for (uint32_t i = 0; i < mount_count; i++) {
        const struct mount *m = mounts[i];
        text_add(t, "%u %u 0:%u / ", FIRST_ID + i, i ? parent_of(i) : 1, 0xf000 + i);
        add_path(t, m->path);
        text_add(t, " rw,relatime - %s %s rw\n", type_of(m), type_of(m));
    }
    return 0;
}

int proc_fill_mountstats(const struct pseudo_ref *r, struct text *t)
{
    (void)r;
    for (uint32_t i = 0; i < mount_count; i++) {
        text_add(t, "device %s mounted on ", type_of(mounts[i]));
        add_path(t, mounts[i]->path);
        text_add(t, " with fstype %s\n", type_of(mounts[i]));
    }
    return 0;
}
