/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What administers a machine. A program inside does not: it is told so as in any container without
 * the capability, and not with ENOSYS, which some take for a broken kernel.
 */
#include "libos/entry/syscall.h"

#define REFUSED(name)  \
    SYSCALL0(name)     \
    {                  \
        return -EPERM; \
    }

REFUSED(acct)
REFUSED(bpf)
REFUSED(clock_adjtime)
REFUSED(clock_settime)
REFUSED(delete_module)
REFUSED(finit_module)
REFUSED(fsconfig)
REFUSED(fsmount)
REFUSED(fsopen)
REFUSED(fspick)
REFUSED(init_module)
REFUSED(ioperm)
REFUSED(iopl)
REFUSED(kexec_file_load)
REFUSED(kexec_load)
REFUSED(mount)
REFUSED(mount_setattr)
REFUSED(move_mount)
REFUSED(open_by_handle_at)
REFUSED(open_tree)
REFUSED(perf_event_open)
REFUSED(pivot_root)
REFUSED(ptrace)
REFUSED(quotactl)
REFUSED(reboot)
REFUSED(setns)
REFUSED(settimeofday)
REFUSED(swapoff)
REFUSED(swapon)
REFUSED(syslog)
REFUSED(umount2)
REFUSED(unshare)
REFUSED(vhangup)
