/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "manifest/value.h"

#include <ctype.h>
#include <string.h>

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

bool value_size(const char *s, uint64_t *bytes)
{
    int base = s[0] == '0' && (s[1] | 0x20) == 'x' ? 16 : 10;
    if (base == 16)
        s += 2;
    if (digit(*s) >= base)
        return false;
    uint64_t v = 0;
    for (; digit(*s) < base; s++)
        if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
            __builtin_add_overflow(v, (uint64_t)digit(*s), &v))
            return false;
    unsigned shift = 0;
    if (*s) {
        char unit = *s++ & ~0x20;
        shift = unit == 'K' ? 10 : unit == 'M' ? 20 : unit == 'G' ? 30 : 64;
    }
    if (*s || shift == 64 || v > (uint64_t)INT64_MAX >> shift)
        return false;
    *bytes = v << shift;
    return true;
}

bool value_hex(const char *s, uint8_t *out, size_t len)
{
    if (strlen(s) != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int hi = digit(s[2 * i]), lo = digit(s[2 * i + 1]);
        if (hi > 15 || lo > 15)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

bool value_mask(const char *s, unsigned digits, uint64_t *out)
{
    if (s[0] != '0' || (s[1] | 0x20) != 'x' || strlen(s + 2) != digits)
        return false;
    uint64_t v = 0;
    for (s += 2; *s; s++) {
        if (digit(*s) > 15)
            return false;
        v = v << 4 | (uint64_t)digit(*s);
    }
    *out = v;
    return true;
}

int value_enum(const char *s, const char *names)
{
    size_t len = strlen(s);
    for (int i = 0; *names; i++) {
        size_t n = strcspn(names, "|");
        if (n == len && !memcmp(s, names, n))
            return i;
        names += n;
        names += *names == '|';
    }
    return -1;
}

const char *uri_file(const char *uri)
{
    return strncmp(uri, "file:", 5) ? NULL : uri + 5;
}

const char *uri_dev(const char *uri)
{
    return strncmp(uri, "dev:", 4) ? NULL : uri + 4;
}

static unsigned min(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned edit_distance(const char *a, const char *b, unsigned limit)
{
    enum { MAX = 96 };
    size_t la = strlen(a), lb = strlen(b);
    if (la >= MAX || lb >= MAX || (la > lb ? la - lb : lb - la) > limit)
        return limit + 1;
    unsigned rows[3][MAX + 1];
    for (size_t j = 0; j <= lb; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned d = above[j - 1] + (a[i - 1] != b[j - 1]);
            d = min(d, min(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d = min(d, two[j - 2] + 1);
            row[j] = d;
        }
    }
    return min(rows[la % 3][lb], limit + 1);
}
