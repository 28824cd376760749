/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/terminals.h"
#include "host/host.h"
#include "libos/fs/vfs.h"
#include "libos/proc/members.h"
#include "libos/process.h"

#define FIELD_TTY   7   /* of /proc/PID/stat */
#define PTS_MAJOR   136 /* 136 to 143, as encoded there */
#define LIST_SIZE   4096
#define MASTER_LINK "/ptmx"

struct search {
    long n;
    bool found;
};

static bool is_controlling(int pid, long n)
{
    long device = member_stat(pid, FIELD_TTY);
    return device > 0 && (device >> 8 & 0xfff) == PTS_MAJOR &&
           ((device & 0xff) | (device >> 12 & 0xfff00)) == n;
}

/* The other end says in its fdinfo whose it is. */
static bool is_other_end(int pid, long fd, long n)
{
    char path[48], text[512], line[32];
    fmt(path, sizeof(path), "/proc/%d/fdinfo/%ld", pid, fd);
    fmt(line, sizeof(line), "tty-index:\t%ld\n", n);
    if (host_read_text(path, text, sizeof(text)) < 0)
        return false;
    for (const char *at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, line, strlen(line)) == 0)
            return true;
    }
    return false;
}

static bool is_end(int pid, long fd, long n)
{
    char path[48], name[32], to[64];
    fmt(path, sizeof(path), "/proc/%d/fd/%ld", pid, fd);
    fmt(name, sizeof(name), "/dev/pts/%ld", n);
    ssize len = host_readlink(path, to, sizeof(to) - 1);
    if (len <= 0)
        return false;
    to[len] = 0;
    size_t tail = sizeof(MASTER_LINK) - 1;
    bool master = (size_t)len > tail && strcmp(to + len - tail, MASTER_LINK) == 0;
    return strcmp(to, name) == 0 || (master && is_other_end(pid, fd, n));
}

static bool has_end(int pid, long n)
{
    char path[32];
    bool found = false;
    fmt(path, sizeof(path), "/proc/%d/fd", pid);
    int dir = host_open(path, O_RDONLY | O_DIRECTORY, 0);
    char *list = dir >= 0 ? heap_alloc(LIST_SIZE) : NULL;
    ssize got;
    while (list && !found && (got = host_getdents(dir, list, LIST_SIZE)) > 0) {
        long fd;
        for (ssize at = 0; !found && (fd = host_listed_number(list, got, &at)) >= 0;)
            found = is_end(pid, fd, n);
    }
    heap_free(list);
    if (dir >= 0)
        host_close(dir);
    return found;
}

static void look(int pid, void *ctx)
{
    struct search *s = ctx;
    if (!s->found)
        s->found = is_controlling(pid, s->n) || has_end(pid, s->n);
}

bool terminal_is_inside(long n)
{
    struct search s = {n, false};
    look(current_process()->pid, &s);
    if (!s.found)
        members_each(false, look, &s);
    return s.found;
}
