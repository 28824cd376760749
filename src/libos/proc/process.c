/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The end of a process. */
#include "libos/fs/encrypted.h"
#include "libos/proc/vfork.h"
#include "libos/process.h"
#include "host/host.h"
#include "libos/log.h"
#include "platform/platform.h"

struct process *first_process;

/* Only one thread ends the process; the others wait for it to end them. */
static void claim_exit(struct process *p)
{
    lock(&p->lock);
    bool mine = !p->exiting && !p->ending_others; /* else another ends us */
    p->exiting |= mine;
    unlock(&p->lock);
    while (!mine) {
        struct thread *t = current();
        interrupted();
        thread_end_if_told();
        host_futex_wait_lock(&t->park_word, t->park_word);
    }
}

void process_exit(int wait_status)
{
    if (!(wait_status & 0x7f))
        vfork_exit(wait_status >> 8);
    vfork_commit();
    struct process *p = current_process();
    claim_exit(p);
    /* Where something is still to be written, other threads must not be at it. */
    if (__atomic_load_n(&files_to_flush, __ATOMIC_ACQUIRE)) {
        threads_end_others();
        mm_clear(&p->mm);
        fd_close_all(p);
        encrypted_flush_all(false); /* whose handle an ended thread had in use */
    }
    log_debug("process exits with wait status 0x%x", (unsigned)wait_status);
    if (wait_status & 0x7f)
        platform_die_of_signal(wait_status & 0x7f);
    host_exit_group(wait_status >> 8);
}
