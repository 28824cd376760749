/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * /proc/PID/cmdline, environ, auxv: what now stands in the application's memory where execve put
 * arguments and environment. Another process's memory the host reads for us, where it lets us.
 */
#include "host/host_process.h"
#include "libos/fs/proc.h"

/* Where to read: our memory, or another process's. */
struct place {
    struct member *member; /* NULL: ours */
    int pid;
    uint64_t arg_start, arg_end, env_start, env_end, auxv_start, auxv_end;
};

static int find_place(const struct pseudo_ref *r, struct place *at)
{
    const struct process *p = current_process();
    *at = (struct place){NULL,         p->pid,     p->arg_start,  p->arg_end,
                         p->env_start, p->env_end, p->auxv_start, p->auxv_end};
    if (!proc_is_other(r))
        return 0;
    struct member *m = proc_member(r);
    if (!m)
        return -ESRCH;
    *at = (struct place){m,          (int)r->num[0], m->arg_start, m->arg_end, m->env_start,
                         m->env_end, m->auxv_start,  m->auxv_end};
    return 0;
}

static long fetch(const struct place *at, char *to, uint64_t from, size_t n)
{
    if (!at->member)
        return copy_from_user(to, (void *)from, n) ? -EFAULT : (long)n;
    return host_read_process(at->pid, from, to, n);
}

/* Unmapped by the program: what was read counts. */
static int add_memory(struct text *t, const struct place *at, uint64_t from, uint64_t to)
{
    char buf[512];
    while (from < to) {
        long n = fetch(at, buf, from, MIN(to - from, sizeof(buf)));
        if (n <= 0)
            return n == -EPERM ? -EACCES : 0;
        text_add_bytes(t, buf, (size_t)n);
        from += (uint64_t)n;
    }
    return 0;
}

/*
 * A program that writes its title over its arguments (setproctitle) leaves no NUL at their end; it
 * may go on into the environment, and ends at the first NUL. At most a page, as on Linux.
 */
static void add_arguments(struct text *t, const struct place *at)
{
    char last = 0;
    size_t begin = t->len;
    bool title = at->arg_end > at->arg_start && fetch(at, &last, at->arg_end - 1, 1) == 1 && last;
    if (!title) {
        add_memory(t, at, at->arg_start, at->arg_end);
        return;
    }
    uint64_t end = at->env_start == at->arg_end ? at->env_end : at->arg_end;
    add_memory(t, at, at->arg_start, MIN(end, at->arg_start + PAGE_SIZE));
    char *nul = t->failed ? NULL : memchr(t->data + begin, 0, t->len - begin);
    if (nul)
        t->len = (size_t)(nul - t->data) + 1;
}

int proc_fill_cmdline(const struct pseudo_ref *r, struct text *t)
{
    struct place at;
    int err = find_place(r, &at);
    if (err)
        return err;
    const struct member *m = at.member;
    size_t begin = t->len;
    if (!m || !proc_is_zombie(r)) {
        add_arguments(t, &at);
        if (proc_is_gone(r))
            t->len = begin;
        if (m && !t->len) /* not allowed to look: as it was when it began */
            text_add_bytes(t, m->text + m->cmdline_at, m->root_at - m->cmdline_at);
    }
    heap_free(at.member);
    return 0;
}

static int add_private(const struct pseudo_ref *r, struct text *t, bool environment)
{
    struct place at;
    int err = find_place(r, &at);
    if (!err && at.member && !proc_may_look(at.member))
        err = -EACCES;
    if (!err)
        err = environment ? add_memory(t, &at, at.env_start, at.env_end)
                          : add_memory(t, &at, at.auxv_start, at.auxv_end);
    if (!err && proc_is_gone(r))
        err = -ESRCH;
    heap_free(at.member);
    return err;
}

int proc_fill_environ(const struct pseudo_ref *r, struct text *t)
{
    return add_private(r, t, true);
}

int proc_fill_auxv(const struct pseudo_ref *r, struct text *t)
{
    return add_private(r, t, false);
}
