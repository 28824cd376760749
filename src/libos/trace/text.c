/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/trace/text.h"

void trace_put(struct trace_text *t, const char *text)
{
    size_t n = strlen(text), room = sizeof(t->text) - 4 - t->len;
    if (t->full)
        return;
    if (n > room) {
        n = room;
        t->full = true;
    }
    memcpy(t->text + t->len, text, n);
    t->len += n;
    if (t->full) {
        memcpy(t->text + t->len, "...", 3);
        t->len += 3;
    }
    t->text[t->len] = 0;
}

void trace_fmt(struct trace_text *t, const char *format, ...)
{
    char piece[160];
    va_list ap;
    va_start(ap, format);
    fmt_v(piece, sizeof(piece), format, ap);
    va_end(ap);
    trace_put(t, piece);
}

void trace_one(struct trace_text *t, const struct trace_name *names, uint64_t value)
{
    const char *name = trace_name_of(names, value);
    if (name)
        trace_put(t, name);
    else
        trace_fmt(t, "0x%lx", value);
}

void trace_flags(struct trace_text *t, const struct trace_name *names, uint64_t value)
{
    const char *zero = trace_name_of(names, 0);
    bool any = false;
    if (!value) {
        trace_put(t, zero ? zero : "0");
        return;
    }
    for (; names->text[0]; names++) {
        if (!names->value || (value & names->value) != names->value)
            continue;
        trace_fmt(t, "%s%s", any ? "|" : "", names->text);
        value &= ~names->value;
        any = true;
    }
    if (value)
        trace_fmt(t, "%s0x%lx", any ? "|" : "", value);
}

void trace_address(struct trace_text *t, uint64_t address)
{
    if (address)
        trace_fmt(t, "0x%lx", address);
    else
        trace_put(t, "NULL");
}

void trace_signal_name(struct trace_text *t, uint64_t number)
{
    const char *name = number < 64 ? trace_signal((unsigned)number) : NULL;
    if (name)
        trace_put(t, name);
    else if (number >= 32 && number <= 64)
        trace_fmt(t, "SIGRT_%lu", number - 32);
    else
        trace_fmt(t, "%ld", (long)number);
}

void trace_open_flags(struct trace_text *t, uint64_t flags)
{
    int set;
    if (!(flags & 3))
        trace_fmt(t, "O_RDONLY%s", flags ? "|" : "");
    if (flags)
        trace_flags(t, trace_names(A_OPEN, &set), flags);
}

void trace_clone_flags(struct trace_text *t, uint64_t flags, uint64_t exit_signal)
{
    int set;
    if (flags)
        trace_flags(t, trace_names(A_CLONE, &set), flags);
    if (exit_signal) {
        trace_put(t, flags ? "|" : "");
        trace_signal_name(t, exit_signal);
    }
    if (!flags && !exit_signal)
        trace_put(t, "0");
}

static void put_byte(struct trace_text *t, unsigned char c, bool digit_follows)
{
    static const char letters[] = "abtnvfr"; /* from 7 on */
    char out[2] = {(char)c, 0};
    if (c == '"' || c == '\\')
        trace_fmt(t, "\\%c", c);
    else if (c >= 7 && c <= 13)
        trace_fmt(t, "\\%c", letters[c - 7]);
    else if (c >= 32 && c < 127)
        trace_put(t, out);
    else if (digit_follows)
        trace_fmt(t, "\\%03o", c);
    else
        trace_fmt(t, "\\%o", c);
}

static void put_bytes(struct trace_text *t, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put_byte(t, (unsigned char)bytes[i],
                 i + 1 < n && bytes[i + 1] >= '0' && bytes[i + 1] <= '9');
}

void trace_quoted(struct trace_text *t, const char *bytes, size_t n)
{
    trace_put(t, "\"");
    put_bytes(t, bytes, n);
    trace_put(t, "\"");
}

/* Shows what of the string is there; its NUL, or `most` bytes, end it. */
void trace_user_string(struct trace_text *t, uint64_t address, size_t most)
{
    char piece[64];
    bool begun = false;
    for (size_t done = 0; done < most;) {
        uint64_t at = address + done;
        size_t n = MIN(MIN(sizeof(piece), PAGE_SIZE - (at & PAGE_MASK)), most - done);
        if (copy_from_user(piece, (const void *)at, n)) {
            if (!begun)
                trace_address(t, address);
            else
                trace_put(t, "\"...");
            return;
        }
        trace_put(t, begun ? "" : "\"");
        begun = true;
        const char *nul = memchr(piece, 0, n);
        put_bytes(t, piece, nul ? (size_t)(nul - piece) : n);
        if (nul) {
            trace_put(t, "\"");
            return;
        }
        done += n;
    }
    trace_put(t, "\"...");
}

void trace_user_bytes(struct trace_text *t, uint64_t address, size_t n, size_t most)
{
    char piece[256];
    size_t all = MIN(n, most), take;
    if (copy_from_user(piece, (const void *)address, MIN(all, sizeof(piece)))) {
        trace_address(t, address);
        return;
    }
    trace_put(t, "\"");
    for (size_t done = 0; done < all; done += take) {
        take = MIN(all - done, sizeof(piece));
        if (copy_from_user(piece, (const void *)(address + done), take))
            break;
        put_bytes(t, piece, take);
    }
    trace_put(t, all < n ? "\"..." : "\"");
}
