/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/trace/trace.h"
#include "libos/log.h"
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/prctl.h>

#define TMPFILE_BIT 020000000 /* of O_TMPFILE */

static enum argument_kind lock_or_flags(long command)
{
    switch (command) {
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return A_FLOCK;
    case F_SETFL:
        return A_OPEN;
    case F_SETFD:
        return A_FDFLAGS;
    case F_GETFD:
    case F_GETFL:
    case F_GETOWN:
    case F_GETSIG:
    case F_GETLEASE:
    case F_GETPIPE_SZ:
    case F_GET_SEALS:
        return A_END;
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
    case F_SETOWN:
        return A_INT;
    case F_SETSIG:
        return A_SIGNAL;
    case F_ADD_SEALS:
        return A_SEALS;
    default:
        return A_HEX;
    }
}

/* The arguments of futex(2) behind the third: what is not used by the operation may be anything. */
static enum argument_kind futex_argument(long op, int i)
{
    switch (op & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_LOCK_PI:
        return i == 3 ? A_TIMESPEC : A_END;
    case FUTEX_WAIT_BITSET:
        return i == 3 ? A_TIMESPEC : i == 4 ? A_ADDR : A_HEX;
    case FUTEX_WAKE:
    case FUTEX_UNLOCK_PI:
    case FUTEX_TRYLOCK_PI:
        return A_END;
    case FUTEX_REQUEUE:
        return i == 3 ? A_INT : i == 4 ? A_ADDR : A_END;
    case FUTEX_CMP_REQUEUE:
        return i == 3 ? A_INT : i == 4 ? A_ADDR : A_UINT;
    default:
        return i == 4 ? A_ADDR : A_HEX;
    }
}

static enum argument_kind prctl_argument(long option, int i)
{
    if (option == PR_SET_NAME)
        return i == 1 ? A_STRING : A_END;
    if (option == PR_SET_PDEATHSIG)
        return i == 1 ? A_SIGNAL : A_END;
    if (option == PR_GET_DUMPABLE || option == PR_GET_NO_NEW_PRIVS || option == PR_GET_TIMERSLACK)
        return A_END;
    if (option == PR_SET_DUMPABLE)
        return i == 1 ? A_INT : A_END;
    return A_HEX;
}

/* Most options of sockets are one int; what is longer may be a key. */
static bool fits_number(long ulen)
{
    int len = 0;
    return !get_user(len, (const int *)ulen) && len == sizeof(int);
}

/* Of argument `i`, with regard to those before it; A_END: no more of them. */
static enum argument_kind kind_of(const struct trace_call *c, int i)
{
    enum argument_kind kind = i < ARGUMENTS_MOST ? syscall_arguments(c->nr)[i] : A_END;
    switch (c->nr) {
    case __NR_open:
    case __NR_openat:
        return kind == A_MODE && !(c->arg[i - 1] & (O_CREAT | TMPFILE_BIT)) ? A_END : kind;
    case __NR_fcntl:
        return i == 2 ? lock_or_flags((int)c->arg[1]) : kind;
    case __NR_setsockopt:
        return i == 3 && (int)c->arg[4] == sizeof(int) ? A_NUMBER : kind;
    case __NR_getsockopt:
        return i == 3 && fits_number(c->arg[4]) ? A_OUT_INT : kind;
    case __NR_futex:
        return i > 2 && i < ARGUMENTS_MOST ? futex_argument(c->arg[1], i) : kind;
    case __NR_prctl:
        return i > 0 && kind != A_END ? prctl_argument(c->arg[0], i) : kind;
    default:
        return kind;
    }
}

static void put_names(struct trace_text *t, enum argument_kind kind, long value)
{
    int flags;
    const struct trace_name *names = trace_names(kind, &flags);
    if (!names)
        trace_fmt(t, "0x%lx", (unsigned long)value);
    else if (flags)
        trace_flags(t, names, (uint32_t)value);
    else if (trace_name_of(names, (uint64_t)(int)value)) /* RUSAGE_CHILDREN is -1 */
        trace_one(t, names, (uint64_t)(int)value);
    else
        trace_one(t, names, (uint32_t)value);
}

static void put_socket_type(struct trace_text *t, long value)
{
    int flags;
    uint64_t more = (uint64_t)value & ~0xfUL;
    trace_one(t, trace_names(A_SOCKTYPE, &flags), (uint64_t)value & 0xf);
    if (more) {
        trace_put(t, "|");
        trace_flags(t, trace_type_flags(), (uint32_t)more);
    }
}

static void put_futex_operation(struct trace_text *t, long value)
{
    int flags;
    uint64_t more = (uint32_t)value & ~(uint32_t)FUTEX_CMD_MASK;
    trace_one(t, trace_names(A_FUTEX, &flags), (uint32_t)value & FUTEX_CMD_MASK);
    if (more) {
        trace_put(t, "|");
        trace_flags(t, trace_futex_flags(), more);
    }
}

static void put_value(const struct trace_call *c, struct trace_text *t, enum argument_kind kind,
                      int i)
{
    long v = c->arg[i];
    switch (kind) {
    case A_HEX:
        trace_fmt(t, "0x%lx", (unsigned long)v);
        break;
    case A_INT:
    case A_FD:
        trace_fmt(t, "%d", (int)v);
        break;
    case A_UINT:
        trace_fmt(t, "%u", (unsigned)v);
        break;
    case A_LONG:
        trace_fmt(t, "%ld", v);
        break;
    case A_SIZE:
        trace_fmt(t, "%lu", (unsigned long)v);
        break;
    case A_MODE:
        trace_fmt(t, "0%o", (unsigned)v);
        break;
    case A_DIRFD:
        if ((int)v == AT_FDCWD)
            trace_put(t, "AT_FDCWD");
        else
            trace_fmt(t, "%d", (int)v);
        break;
    case A_SIGNAL:
        trace_signal_name(t, (uint64_t)(int)v);
        break;
    case A_OPEN:
        trace_open_flags(t, (uint32_t)v);
        break;
    case A_CLONE:
        trace_clone_flags(t, (uint64_t)v & ~0xffUL, (uint64_t)v & 0xff);
        break;
    case A_SOCKTYPE:
        put_socket_type(t, v);
        break;
    case A_OPTION:
        trace_one(t, trace_option_names((int)c->arg[i - 1]), (uint32_t)v);
        break;
    case A_FUTEX:
        put_futex_operation(t, v);
        break;
    default:
        if (kind >= A_PATH || kind == A_ADDR)
            trace_address(t, (uint64_t)v);
        else
            put_names(t, kind, v);
    }
}

/* Adds arguments from c->shown on; with `whole` all of them, else up to the first that is only
 * known after the call. */
static void put_arguments(struct trace_call *c, bool whole, bool after, long ret)
{
    struct trace_text *t = &c->text;
    enum argument_kind kind;
    for (int i = c->shown; (kind = kind_of(c, i)) != A_END; c->shown = ++i) {
        bool later = kind >= A_OUT_BYTES;
        if (later && !whole)
            return;
        trace_put(t, i ? ", " : "");
        if (!trace_memory(t, kind, c->arg, i, after && ret >= 0, ret))
            put_value(c, t, kind, i);
    }
}

/* What a call that may have waited stored, in braces. */
static void put_stored(struct trace_call *c, long ret)
{
    struct trace_text *t = &c->text;
    bool any = false;
    enum argument_kind kind;
    for (int i = 0; (kind = kind_of(c, i)) != A_END; i++) {
        if (kind < A_OUT_BYTES && kind != A_POLL && kind != A_FDSET)
            continue;
        size_t before = t->len;
        trace_put(t, any ? ", " : " {");
        if (trace_memory(t, kind, c->arg, i, true, ret))
            any = true;
        else
            t->text[t->len = before] = 0;
    }
    if (any)
        trace_put(t, "}");
}

static void put_result(struct trace_text *t, long ret)
{
    if (!IS_ERR(ret)) {
        trace_fmt(t, " = 0x%lx", (unsigned long)ret);
        return;
    }
    const char *name = trace_errno((unsigned)-ret);
    trace_fmt(t, name ? " = %ld (%s)" : " = %ld", ret, name);
}

static void begin(struct trace_call *c, const char *how)
{
    c->text.len = 0;
    c->text.full = false;
    if (strcmp(c->name, "?") == 0)
        trace_fmt(&c->text, "---- %ssyscall_0x%lx(", how, c->nr);
    else
        trace_fmt(&c->text, "---- %s%s(", how, c->name);
}

void trace_before(struct trace_call *c)
{
    c->waits = syscall_may_wait(c->nr) ||
               (c->nr == __NR_fcntl && (c->arg[1] == F_SETLKW || c->arg[1] == F_OFD_SETLKW));
    c->shown = 0;
    begin(c, "");
    put_arguments(c, c->waits, false, 0);
    if (!c->waits)
        return;
    trace_put(&c->text, ") ...");
    log_trace("%s", c->text.text);
}

void trace_after(struct trace_call *c, long ret)
{
    if (c->waits) {
        begin(c, "return from ");
        trace_put(&c->text, "...)");
        put_result(&c->text, ret);
        if (!IS_ERR(ret))
            put_stored(c, ret);
    } else {
        put_arguments(c, true, true, IS_ERR(ret) ? ret : ret & INT64_MAX);
        trace_put(&c->text, ")");
        put_result(&c->text, ret);
    }
    log_trace("%s", c->text.text);
}
