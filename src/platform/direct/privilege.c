/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What root may do to the machine as a whole (network, devices, mounts, clocks, the kernel) is no
 * business of a run: as a container, it keeps what has to do with files, processes and sockets of
 * its own. Raw sockets would show it what others receive. The capabilities that programs see are
 * the library OS's (proc/caps.h).
 */
#include "host/host.h"
#include "platform/direct/direct.h"
#include <asm/unistd.h>
#include <linux/capability.h>

#define BIT(cap) (1UL << (cap))

static const uint64_t kept = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) |
                             BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_KILL) | BIT(CAP_SETGID) |
                             BIT(CAP_SETUID) | BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_IPC_LOCK) |
                             BIT(CAP_SYS_PTRACE) | BIT(CAP_SYS_NICE) | BIT(CAP_SYS_RESOURCE) |
                             BIT(CAP_LEASE) | BIT(CAP_SETFCAP) | BIT(CAP_WAKE_ALARM);

int direct_give_up_privileges(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    uint32_t given_up = 0;
    long r = direct_syscall(__NR_capget, (long)&header, (long)data, 0, 0, 0, 0);
    if (r)
        return (int)r;
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        uint32_t mask = (uint32_t)(kept >> 32 * i);
        given_up |= (data[i].permitted | data[i].inheritable) & ~mask;
        data[i].effective &= mask;
        data[i].permitted &= mask;
        data[i].inheritable &= mask;
    }
    if (!given_up)
        return 0;
    return (int)direct_syscall(__NR_capset, (long)&header, (long)data, 0, 0, 0, 0);
}
