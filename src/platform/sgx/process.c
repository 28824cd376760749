/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Processes. An enclave has one: a second is not made yet (docs/compatibility.md). */
#include "host/host.h"
#include "libos/log.h"
#include "platform/platform.h"
#include "platform/sgx/sgx.h"

static long no_process(void)
{
    log_error("a second process was asked for: in an enclave there is one only");
    return -ENOSYS;
}

long platform_fork(uint64_t flags, int *pidfd)
{
    (void)flags, (void)pidfd;
    return no_process();
}

long platform_ended_child(uint64_t flags, int *pidfd, int code)
{
    (void)flags, (void)pidfd, (void)code;
    return no_process();
}

void *platform_shared_pages(size_t size)
{
    return region_alloc(size); /* shared with nobody: there are no children */
}

long platform_helper(void (*run_helper)(void))
{
    (void)run_helper;
    return -ENOSYS;
}

void platform_die_of_signal(int sig)
{
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
