/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The memory and string functions of ISO C that freestanding code needs. */
#include "libos/libos.h"

static inline uint64_t load64(const void *p)
{
    uint64_t w;
    __builtin_memcpy(&w, p, 8);
    return w;
}

static inline void store64(void *p, uint64_t w)
{
    __builtin_memcpy(p, &w, 8);
}

/* Of the bytes of a word those that are zero have their highest bit set, up to the first of them.
 */
static inline uint64_t zero_bytes(uint64_t w)
{
    return (w - 0x0101010101010101UL) & ~w & 0x8080808080808080UL;
}

#define SHORT 256 /* up to here words are faster than the string instructions */

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    char *d = dst;
    const char *s = src;
    if (n >= 8 && n <= SHORT) {
        uint64_t last = load64(s + n - 8);
        char *end = d + n - 8;
        for (; d < end; d += 8, s += 8) {
            store64(d, load64(s));
            __asm__ volatile("" : : : "memory"); /* not to be made a call of ourselves */
        }
        store64(end, last);
        return dst;
    }
    if (n < 8) {
        while (n--) {
            *d++ = *s++;
            __asm__ volatile("" : : : "memory");
        }
        return dst;
    }
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    char *d = dst;
    const char *s = src;
    if ((uintptr_t)d - (uintptr_t)s >= n)
        return memcpy(dst, src, n);
    while (n >= 32) { /* four words at a time: loads before stores */
        n -= 32;
        uint64_t w[4];
        __builtin_memcpy(w, s + n, 32);
        __builtin_memcpy(d + n, w, 32);
    }
    while (n >= 8) {
        n -= 8;
        store64(d + n, load64(s + n));
    }
    while (n--)
        d[n] = s[n];
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    char *d = dst;
    if (n >= 8 && n <= SHORT) {
        uint64_t w = (uint8_t)c * 0x0101010101010101UL;
        char *end = d + n - 8;
        for (; d < end; d += 8) {
            store64(d, w);
            __asm__ volatile("" : : : "memory");
        }
        store64(end, w);
        return dst;
    }
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;
    for (; n >= 8 && load64(x) == load64(y); n -= 8, x += 8, y += 8)
        ;
    for (; n; n--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

/* Whole aligned words are read, which never cross into another page. */
void *memchr(const void *s, int c, size_t n)
{
    uintptr_t at = (uintptr_t)s & ~7UL, end = (uintptr_t)s + n;
    uint64_t pattern = (uint8_t)c * 0x0101010101010101UL;
    uint64_t before = (1UL << ((uintptr_t)s & 7) * 8) - 1; /* bytes that are not ours */
    if (!n)
        return NULL;
    if (end < n)
        end = UINTPTR_MAX;
    uint64_t found = zero_bytes((load64((void *)at) ^ pattern) | before);
    while (!found && end - at > 8) {
        at += 8;
        found = zero_bytes(load64((void *)at) ^ pattern);
    }
    at += (unsigned)__builtin_ctzl(found | 1UL << 63) / 8;
    return found && at < end ? (void *)at : NULL;
}

size_t strnlen(const char *s, size_t n)
{
    const char *end = memchr(s, 0, n);
    return end ? (size_t)(end - s) : n;
}

size_t strlen(const char *s)
{
    uintptr_t at = (uintptr_t)s & ~7UL;
    uint64_t end = zero_bytes(load64((void *)at) | ((1UL << ((uintptr_t)s & 7) * 8) - 1));
    while (!end)
        end = zero_bytes(load64((void *)(at += 8)));
    return at + (unsigned)__builtin_ctzl(end) / 8 - (uintptr_t)s;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n; n--, a++, b++)
        if (*a != *b || !*a)
            return (unsigned char)*a - (unsigned char)*b;
    return 0;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)s;
        if (!*s)
            return NULL;
    }
}

char *strrchr(const char *s, int c)
{
    char *found = NULL;
    for (;; s++) {
        if (*s == (char)c)
            found = (char *)s;
        if (!*s)
            return found;
    }
}
