/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the system says about itself and how much of it we used. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/process.h"
#include "libos/proc/info.h"
#include "platform/platform.h"
#include <asm/unistd.h>
#include <linux/resource.h>
#include <linux/sysinfo.h>
#include <linux/times.h>

#define NAME_BYTES 65

/* Set by sethostname and setdomainname; inherited by children as they are. Lock: leaf. */
static struct lock names_lock;
static bool named;
static char node_name[NAME_BYTES], domain_name[NAME_BYTES];

void system_name(struct new_utsname *out)
{
    memset(out, 0, sizeof(*out));
    host_uname(out);
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
    struct sysinfo info = {0};
    int err = host_sysinfo(&info);
    return err ? err : put_user(uinfo, info) ? -EFAULT : 0;
}

SYSCALL2(getrusage, int, who, struct rusage *, uusage)
{
    struct rusage usage;
    if (!user_range_ok(uusage, sizeof(usage)))
        return -EFAULT;
    int err = host_getrusage(who, &usage);
    return err ? err : put_user(uusage, usage) ? -EFAULT : 0;
}

SYSCALL1(times, struct tms *, utms)
{
    struct tms used;
    if (utms && !user_range_ok(utms, sizeof(used)))
        return -EFAULT;
    long r = host_times(&used);
    return r >= 0 && utms && put_user(utms, used) ? -EFAULT : r;
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
    return platform_random_user(ubuf, n, flags);
}
