/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Formatted text without libc; the subset is named in libos.h. */
#include "libos/libos.h"

struct out {
    char *buf;
    size_t size, len;
};

struct spec {
    bool left, zero, upper;
    int width, precision, size; /* size: 0 int, 1 long; precision -1: none */
};

static void put(struct out *o, char c)
{
    if (o->len + 1 < o->size)
        o->buf[o->len] = c;
    o->len++;
}

static void pad(struct out *o, char c, int n)
{
    while (n-- > 0)
        put(o, c);
}

static void put_text(struct out *o, const struct spec *s, const char *text, int len)
{
    if (!s->left)
        pad(o, ' ', s->width - len);
    for (int i = 0; i < len; i++)
        put(o, text[i]);
    if (s->left)
        pad(o, ' ', s->width - len);
}

static void put_number(struct out *o, const struct spec *s, uint64_t v, unsigned base, bool minus)
{
    char digits[24];
    int n = 0;
    do {
        digits[n++] = (s->upper ? "0123456789ABCDEF" : "0123456789abcdef")[v % base];
        v /= base;
    } while (v);
    int zeros = s->precision > n ? s->precision - n : 0;
    if (s->zero && !s->left && s->precision < 0 && s->width > n + minus)
        zeros = s->width - n - minus;
    int total = n + zeros + minus;
    if (!s->left)
        pad(o, ' ', s->width - total);
    if (minus)
        put(o, '-');
    pad(o, '0', zeros);
    while (n)
        put(o, digits[--n]);
    if (s->left)
        pad(o, ' ', s->width - total);
}

static const char *parse_number(const char *p, int *out, va_list *ap)
{
    if (*p == '*') {
        *out = va_arg(*ap, int);
        return p + 1;
    }
    for (*out = 0; *p >= '0' && *p <= '9'; p++)
        *out = *out * 10 + (*p - '0');
    return p;
}

static const char *parse_spec(const char *p, struct spec *s, va_list *ap)
{
    *s = (struct spec){.precision = -1};
    for (;; p++) {
        if (*p == '-')
            s->left = true;
        else if (*p == '0')
            s->zero = true;
        else
            break;
    }
    p = parse_number(p, &s->width, ap);
    if (*p == '.')
        p = parse_number(p + 1, &s->precision, ap);
    while (*p == 'l' || *p == 'z' || *p == 'h') {
        s->size |= *p != 'h';
        p++;
    }
    return p;
}

static void convert(struct out *o, char c, struct spec *s, va_list *ap)
{
    int64_t v;
    const char *text;
    char ch;
    switch (c) {
    case 'd':
    case 'i':
        v = s->size ? va_arg(*ap, long) : va_arg(*ap, int);
        put_number(o, s, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0);
        break;
    case 'u':
        put_number(o, s, s->size ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned), 10, false);
        break;
    case 'X':
        s->upper = true; /* fall through */
    case 'x':
        put_number(o, s, s->size ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned), 16, false);
        break;
    case 'o':
        put_number(o, s, s->size ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned), 8, false);
        break;
    case 'p':
        put(o, '0');
        put(o, 'x');
        put_number(o, s, (uintptr_t)va_arg(*ap, void *), 16, false);
        break;
    case 's':
        text = va_arg(*ap, const char *);
        text = text ? text : "(null)";
        put_text(o, s, text,
                 (int)strnlen(text, s->precision < 0 ? (size_t)INT32_MAX : (size_t)s->precision));
        break;
    case 'c':
        ch = (char)va_arg(*ap, int);
        put_text(o, s, &ch, 1);
        break;
    default:
        put(o, c);
    }
}

int fmt_v(char *buf, size_t size, const char *format, va_list ap_in)
{
    struct out o = {buf, size, 0};
    va_list ap;
    va_copy(ap, ap_in);
    for (const char *p = format; *p; p++) {
        struct spec s;
        if (*p != '%') {
            put(&o, *p);
            continue;
        }
        p = parse_spec(p + 1, &s, &ap);
        if (!*p)
            break;
        convert(&o, *p, &s, &ap);
    }
    va_end(ap);
    if (size)
        buf[MIN(o.len, size - 1)] = 0;
    return (int)o.len;
}

int fmt(char *buf, size_t size, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = fmt_v(buf, size, format, ap);
    va_end(ap);
    return n;
}
