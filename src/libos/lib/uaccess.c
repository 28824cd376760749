/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Application memory: checked ranges, faults turned into -EFAULT by the platform's trap handler. */
#include "libos/libos.h"

int uaccess_copy(void *dst, const void *src, size_t n);
int uaccess_fill(void *dst, size_t n);
int uaccess_load32(uint32_t *dst, const uint32_t *src);
int uaccess_cmpxchg32(uint32_t *uaddr, uint32_t *expected, uint32_t desired);

int copy_from_user(void *dst, const void *usrc, size_t n)
{
    if (unlikely(!user_range_ok(usrc, n)))
        return -EFAULT;
    return uaccess_copy(dst, usrc, n);
}

int copy_struct_from_user(void *dst, size_t known, const void *usrc, size_t size)
{
    char later;
    if (size > PAGE_SIZE)
        return -E2BIG;
    if (copy_from_user(dst, usrc, MIN(size, known)))
        return -EFAULT;
    for (size_t i = known; i < size; i++) {
        if (copy_from_user(&later, (const char *)usrc + i, 1))
            return -EFAULT;
        if (later)
            return -E2BIG;
    }
    return 0;
}

int copy_to_user(void *udst, const void *src, size_t n)
{
    if (unlikely(!user_range_ok(udst, n)))
        return -EFAULT;
    return uaccess_copy(udst, src, n);
}

int copy_checked(void *dst, const void *src, size_t n)
{
    return uaccess_copy(dst, src, n);
}

int clear_user(void *udst, size_t n)
{
    return user_range_ok(udst, n) ? uaccess_fill(udst, n) : -EFAULT;
}

ssize strncpy_from_user(char *dst, const char *usrc, size_t size)
{
    size_t done = 0;
    while (done < size) {
        /* Up to the end of the page: what follows may be unmapped. */
        size_t chunk = PAGE_SIZE - ((uintptr_t)(usrc + done) & PAGE_MASK);
        chunk = MIN(MIN(chunk, size - done), done ? (size_t)256 : (size_t)64);
        if (copy_from_user(dst + done, usrc + done, chunk))
            return -EFAULT;
        char *nul = memchr(dst + done, 0, chunk);
        if (nul)
            return nul - dst;
        done += chunk;
    }
    return -ENAMETOOLONG;
}

int user_load32(uint32_t *out, const uint32_t *uaddr)
{
    return user_range_ok(uaddr, 4) ? uaccess_load32(out, uaddr) : -EFAULT;
}

int user_cmpxchg32(uint32_t *uaddr, uint32_t *expected, uint32_t desired)
{
    return user_range_ok(uaddr, 4) ? uaccess_cmpxchg32(uaddr, expected, desired) : -EFAULT;
}
