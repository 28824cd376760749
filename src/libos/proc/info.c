/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the system says about itself and how much of it we used. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/process.h"
#include "libos/proc/info.h"
#include <asm/unistd.h>
#include <linux/sysinfo.h>

#define RUSAGE_BYTES 144
#define NAME_BYTES   65

/* Set by sethostname and setdomainname; inherited by children as they are. Lock: leaf. */
static struct lock names_lock;
static bool named;
static char node_name[NAME_BYTES], domain_name[NAME_BYTES];

void system_name(struct new_utsname *out)
{
    memset(out, 0, sizeof(*out));
    host_pass(__NR_uname, (long)out, 0, 0, 0, 0, 0);
    out->release[NAME_BYTES - 1] = out->version[NAME_BYTES - 1] = 0;
    out->nodename[NAME_BYTES - 1] = 0;
    fmt(out->sysname, NAME_BYTES, "Linux");
    fmt(out->machine, NAME_BYTES, "x86_64");
    lock(&names_lock);
    if (!named) {
        named = true;
        fmt(node_name, NAME_BYTES, "%s",
            run.manifest.image->runtime_domain_names ? out->nodename : "localhost");
        fmt(domain_name, NAME_BYTES, "(none)");
    }
    memcpy(out->nodename, node_name, NAME_BYTES);
    memcpy(out->domainname, domain_name, NAME_BYTES);
    unlock(&names_lock);
}

SYSCALL1(uname, struct new_utsname *, uname)
{
    struct new_utsname name;
    system_name(&name);
    return copy_to_user(uname, &name, sizeof(name)) ? -EFAULT : 0;
}

static long set_name(char *which, const char *uname, int len)
{
    struct new_utsname now;
    char text[NAME_BYTES] = "";
    if (current_process()->cred.euid != 0)
        return -EPERM;
    if (len < 0 || len >= NAME_BYTES)
        return -EINVAL;
    if (copy_from_user(text, uname, (size_t)len))
        return -EFAULT;
    system_name(&now); /* the other name has its value from now on */
    lock(&names_lock);
    memcpy(which, text, NAME_BYTES);
    unlock(&names_lock);
    return 0;
}

SYSCALL2(sethostname, const char *, uname, int, len)
{
    return set_name(node_name, uname, len);
}

SYSCALL2(setdomainname, const char *, uname, int, len)
{
    return set_name(domain_name, uname, len);
}

SYSCALL1(sysinfo, struct sysinfo *, uinfo)
{
    if (!user_range_ok(uinfo, sizeof(*uinfo)))
        return -EFAULT;
    return host_pass(__NR_sysinfo, (long)uinfo, 0, 0, 0, 0, 0);
}

SYSCALL2(getrusage, int, who, void *, uusage)
{
    if (!user_range_ok(uusage, RUSAGE_BYTES))
        return -EFAULT;
    return host_pass(__NR_getrusage, who, (long)uusage, 0, 0, 0, 0);
}

SYSCALL1(times, void *, utms)
{
    if (utms && !user_range_ok(utms, 32))
        return -EFAULT;
    return host_pass(__NR_times, (long)utms, 0, 0, 0, 0, 0);
}

#define GRND_NONBLOCK 1u
#define GRND_RANDOM   2u
#define GRND_INSECURE 4u

SYSCALL3(getrandom, void *, ubuf, size_t, n, uint32_t, flags)
{
    if (flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE) ||
        (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
        return -EINVAL;
    n = MIN(n, (size_t)INT32_MAX);
    if (!user_range_ok(ubuf, n))
        return -EFAULT;
    return host_pass(__NR_getrandom, (long)ubuf, (long)n, flags, 0, 0, 0);
}
