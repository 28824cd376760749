/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Processes; fork.c makes them. Enclaves share no memory. */
#include "host/host.h"
#include "libos/log.h"
#include "platform/platform.h"
#include "platform/sgx/sgx.h"

void *platform_shared_pages(size_t size)
{
    return region_alloc(size); /* a child gets a copy */
}

long platform_helper(void (*run_helper)(void))
{
    (void)run_helper;
    return -ENOSYS;
}

void platform_die_of_signal(int sig)
{
    sgx_special(SGX_CALL_DIE, sig, 0, 0);
    host_exit_group(128 + sig);
}

void platform_stop_by_signal(int sig)
{
    host_tgkill(current_process()->pid, current()->host_tid, sig);
}

/* What ends or stops the process at the host stays as it is there. */
void signal_host_disposition(struct process *p, int sig)
{
    (void)p, (void)sig;
}
