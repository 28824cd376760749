/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Randomness: the host's where it is trusted, else the processor's. */
#include "host/arena.h"
#include "platform/platform.h"

#if PLATFORM_HOST_TRUSTED

int platform_random(void *buf, size_t n)
{
    return host_random(buf, n);
}

ssize platform_random_user(void *ubuf, size_t n, uint32_t flags)
{
    return host_random_user(ubuf, n, flags);
}

#else

#    define TRIES 100 /* the manual: ten in a row that fail are a broken processor */

static bool rdrand(uint64_t *out)
{
    unsigned char ok = 0;
    for (int i = 0; i < TRIES && !ok; i++)
        __asm__ volatile("rdrand %0\n\tsetc %1" : "=r"(*out), "=qm"(ok) : : "cc");
    return ok;
}

int platform_random(void *buf, size_t n)
{
    uint64_t word;
    for (size_t at = 0; at < n; at += sizeof(word)) {
        if (!rdrand(&word))
            return -EIO;
        memcpy((char *)buf + at, &word, MIN(n - at, sizeof(word)));
    }
    return 0;
}

ssize platform_random_user(void *ubuf, size_t n, uint32_t flags)
{
    uint64_t some[32];
    size_t done = 0, good = arena_reach(ubuf, n, true);
    (void)flags;
    if (n && !good)
        return -EFAULT;
    n = good;
    while (done < n) {
        size_t part = MIN(n - done, sizeof(some));
        int err = platform_random(some, part);
        if (!err)
            err = copy_checked((char *)ubuf + done, some, part);
        if (err)
            return done ? (ssize)done : err;
        done += part;
    }
    return (ssize)done;
}

#endif
