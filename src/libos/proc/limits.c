/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Resource limits (getrlimit(2)). The table is ours. NOFILE and STACK are applied inside; those
 * that concern only what the host counts for the application (CPU, FSIZE) are set there too.
 */
#include "host/host_process.h"
#include "libos/entry/syscall.h"
#include "libos/fs/encrypted.h"
#include "libos/proc/members.h"
#include "libos/proc/reach.h"
#include "libos/process.h"

#define MOST_FILES (1u << 20) /* fs.nr_open */

static bool is_for_host(unsigned which)
{
    return which == RLIMIT_CPU || which == RLIMIT_FSIZE;
}

/* Encrypted files are held to the limit on file size inside (fs/encrypted_file.c); on the host they
 * are a little longer. */
static struct rlimit64 host_limit(unsigned which, struct rlimit64 l)
{
    __u64 *values[] = {&l.rlim_cur, &l.rlim_max};
    for (size_t i = 0; which == RLIMIT_FSIZE && encrypted_mounted() && i < 2; i++) {
        __u64 more = *values[i] / 16 + (1 << 20);
        *values[i] = *values[i] < RLIM64_INFINITY - more ? *values[i] + more : RLIM64_INFINITY;
    }
    return l;
}

static long set_limit(struct process *p, unsigned which, const struct rlimit64 *new)
{
    struct rlimit64 *now = &p->limits[which];
    if (new->rlim_cur > new->rlim_max)
        return -EINVAL;
    if (which == RLIMIT_NOFILE && new->rlim_max > MOST_FILES)
        return -EPERM;
    if (new->rlim_max > now->rlim_max && p->cred.euid != 0)
        return -EPERM;
    if (is_for_host(which)) {
        struct rlimit64 l = host_limit(which, *new);
        int err = host_rlimit((int)which, &l, NULL);
        if (err)
            return err;
    }
    *now = *new;
    member_changed();
    return 0;
}

/* Either pointer may be NULL; both are library-OS memory. */
static long change(unsigned which, const struct rlimit64 *new, struct rlimit64 *old)
{
    struct process *p = current_process();
    if (which >= RLIM_NLIMITS)
        return -EINVAL;
    lock(&p->lock);
    if (old)
        *old = p->limits[which];
    long err = new ? set_limit(p, which, new) : 0;
    unlock(&p->lock);
    return err;
}

SYSCALL2(getrlimit, unsigned, which, struct rlimit64 *, ulimit)
{
    struct rlimit64 l;
    long err = change(which, NULL, &l);
    return err ? err : put_user(ulimit, l) ? -EFAULT : 0;
}

SYSCALL2(setrlimit, unsigned, which, const struct rlimit64 *, ulimit)
{
    struct rlimit64 l;
    if (get_user(l, ulimit))
        return -EFAULT;
    return change(which, &l, NULL);
}

SYSCALL4(prlimit64, int, pid, unsigned, which, const struct rlimit64 *, unew, struct rlimit64 *,
         uold)
{
    struct rlimit64 new, old;
    if (unew && get_user(new, unew))
        return -EFAULT;
    int process = pid ? run_process_of(pid) : current_process()->pid;
    if (process != current_process()->pid) {
        /* Another process keeps its own table. */
        struct member *m = process ? member_get(process) : NULL;
        if (!m)
            return -ESRCH;
        if (which < RLIM_NLIMITS)
            old = m->limits[which];
        heap_free(m);
        if (which >= RLIM_NLIMITS)
            return -EINVAL;
        if (unew)
            return -EPERM;
        return uold && put_user(uold, old) ? -EFAULT : 0;
    }
    long err = change(which, unew ? &new : NULL, &old);
    if (err)
        return err;
    return uold && put_user(uold, old) ? -EFAULT : 0;
}
