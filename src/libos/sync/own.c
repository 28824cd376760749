/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/lib/errors.h"
#include "libos/sync/own.h"
#include "libos/log.h"
#include "libos/proc/vfork.h"
#include "libos/process.h"

/* The list and the count. Lock: leaf. */
static struct lock own_lock;
static struct list own_objects = {&own_objects, &own_objects};
static uint32_t generation; /* changed while the world is stopped */
static bool handing;        /* objects become the host's just now; as above */

void own_add(struct own *o)
{
    lock(&own_lock);
    list_add_tail(&own_objects, &o->link);
    unlock(&own_lock);
}

void own_remove(struct own *o)
{
    lock(&own_lock);
    list_del(&o->link);
    unlock(&own_lock);
}

void own_hand_over(struct file *f, struct own *o)
{
    struct process *p = current_process();
    /* In a virtual vfork child the world stands still already. */
    bool nested = handing;
    bool stop = !nested && !current()->vfork && __atomic_load_n(&p->nthreads, __ATOMIC_ACQUIRE) > 1;
    if (stop)
        world_stop();
    handing = true;
    int err = f->ops->to_host ? o->to_host(o) : 0;
    handing = nested;
    if (stop)
        world_resume();
    if (err)
        log_warning("%s: no object of the host can take its place: %s", f->ops->name,
                    ERROR_TEXT(err));
}

int own_hand_over_all(void)
{
    int err = 0;
    handing = true;
    while (!err && !list_empty(&own_objects)) {
        struct own *o = list_entry(own_objects.next, struct own, link);
        err = o->to_host(o);
    }
    handing = false;
    generation++;
    return err;
}

uint32_t own_generation(void)
{
    return __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
}

static void put_file(void *f)
{
    file_put(f);
}

int own_wait(struct file *f, struct waiter *w, uint64_t until)
{
    if (unlikely(current()->vfork != NULL)) {
        queue_leave(w);
        vfork_commit_with(put_file, f);
        return 0;
    }
    int r = park(current(), w->seen, until);
    queue_leave(w);
    return r == -EINTR && interrupted() ? -ERESTARTSYS : 0;
}

void own_sigpipe(void)
{
    const struct process *p = current_process();
    siginfo_t info = {.si_signo = SIGPIPE, .si_code = SI_USER};
    info.si_pid = p->pid;
    info.si_uid = p->cred.uid;
    signal_send_thread(current(), &info);
}
