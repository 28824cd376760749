/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What pointers of system calls lead to. The layouts are Linux's on x86-64. */
#include "libos/trace/text.h"
#include "libos/entry/syscall_list.h"
#include "libos/proc/signal.h"
#include <asm/stat.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/stat.h>

#define UTIME_NOW  ((1L << 30) - 1)
#define UTIME_OMIT ((1L << 30) - 2)

#define SHOWN_STRINGS 16    /* of argv */
#define MOST_STRINGS  65536 /* counted */
#define SHOWN_STRING  64    /* bytes of each */
#define SHOWN_PATH    1024  /* bytes */
#define SHOWN_ITEMS   8     /* of arrays */

#define GET(to, address) copy_from_user(&(to), (const void *)(uint64_t)(address), sizeof(to))

static bool put_time(struct trace_text *t, const int64_t v[2], const char *fraction)
{
    if (v[1] == UTIME_NOW || v[1] == UTIME_OMIT) { /* never those of a time */
        trace_put(t, v[1] == UTIME_NOW ? "UTIME_NOW" : "UTIME_OMIT");
        return true;
    }
    trace_fmt(t, "{tv_sec=%ld, %s=%ld}", v[0], fraction, v[1]);
    return true;
}

/* `count` times, two of them in braces as array or as interval and value. */
static bool show_times(struct trace_text *t, uint64_t at, int count, const char *fraction,
                       bool interval)
{
    int64_t v[4];
    if (copy_from_user(v, (const void *)at, (size_t)count * 16))
        return false;
    if (count == 1)
        return put_time(t, v, fraction);
    trace_put(t, interval ? "{it_interval=" : "[");
    put_time(t, v, fraction);
    trace_put(t, interval ? ", it_value=" : ", ");
    put_time(t, v + 2, fraction);
    trace_put(t, interval ? "}" : "]");
    return true;
}

static unsigned bits_of(uint64_t set)
{
    unsigned n = 0;
    for (; set; set &= set - 1)
        n++;
    return n;
}

static void put_sigset(struct trace_text *t, sigmask set)
{
    bool most = bits_of(set) > 32;
    const char *gap = "";
    trace_put(t, most ? "~[" : "[");
    for (unsigned i = 1; i <= 64; i++) {
        if (((set >> (i - 1)) & 1) == most)
            continue;
        const char *name = trace_signal(i);
        if (name)
            trace_fmt(t, "%s%s", gap, name + 3);
        else
            trace_fmt(t, "%sRT_%u", gap, i - 32);
        gap = " ";
    }
    trace_put(t, "]");
}

static bool show_sigset(struct trace_text *t, uint64_t at)
{
    sigmask set;
    if (GET(set, at))
        return false;
    put_sigset(t, set);
    return true;
}

static bool show_action(struct trace_text *t, uint64_t at)
{
    struct ksigaction a;
    if (GET(a, at))
        return false;
    if (a.handler <= 1)
        trace_fmt(t, "{sa_handler=%s, sa_mask=", a.handler ? "SIG_IGN" : "SIG_DFL");
    else
        trace_fmt(t, "{sa_handler=0x%lx, sa_mask=", a.handler);
    put_sigset(t, a.mask);
    trace_put(t, ", sa_flags=");
    trace_flags(t, trace_action_flags(), a.flags);
    trace_put(t, "}");
    return true;
}

static bool show_vectors(struct trace_text *t, uint64_t at, uint64_t count)
{
    uint64_t v[2];
    if (GET(v, at))
        return false;
    trace_put(t, "[");
    for (uint64_t i = 0; i < count; i++) {
        if (i == SHOWN_ITEMS || GET(v, at + i * sizeof(v))) {
            trace_put(t, ", ...");
            break;
        }
        trace_fmt(t, "%s{iov_base=0x%lx, iov_len=%lu}", i ? ", " : "", v[0], v[1]);
    }
    trace_put(t, "]");
    return true;
}

static void put_unix(struct trace_text *t, const char *path, size_t n)
{
    trace_put(t, "{sa_family=AF_UNIX");
    if (n && !path[0]) {
        trace_put(t, ", sun_path=@");
        trace_quoted(t, path + 1, n - 1);
    } else if (n) {
        trace_put(t, ", sun_path=");
        trace_quoted(t, path, strnlen(path, n));
    }
    trace_put(t, "}");
}

static void put_inet6(struct trace_text *t, const uint8_t *a)
{
    trace_fmt(t, "{sa_family=AF_INET6, sin6_port=htons(%u), inet_pton(AF_INET6, \"",
              a[2] * 256u + a[3]);
    for (int i = 0; i < 16; i += 2)
        trace_fmt(t, "%s%x", i ? ":" : "", a[8 + i] * 256u + a[9 + i]);
    trace_put(t, "\")}");
}

static bool show_sockaddr(struct trace_text *t, uint64_t at, uint64_t n)
{
    int set;
    uint8_t a[110] = {0};
    n = MIN(n, sizeof(a));
    if (n < 2 || copy_from_user(a, (const void *)at, n))
        return false;
    uint16_t family = (uint16_t)(a[0] | a[1] << 8);
    if (family == 1) {
        put_unix(t, (const char *)a + 2, n - 2);
    } else if (family == 2 && n >= 8) {
        trace_fmt(t, "{sa_family=AF_INET, sin_port=htons(%u), ", a[2] * 256u + a[3]);
        trace_fmt(t, "sin_addr=inet_addr(\"%u.%u.%u.%u\")}", a[4], a[5], a[6], a[7]);
    } else if (family == 10 && n >= 24) {
        put_inet6(t, a);
    } else {
        trace_put(t, "{sa_family=");
        trace_one(t, trace_names(A_FAMILY, &set), family);
        trace_put(t, "}");
    }
    return true;
}

static bool show_message(struct trace_text *t, uint64_t at)
{
    int set;
    struct {
        uint64_t name;
        uint32_t name_len, pad;
        uint64_t vectors, count, control, control_len;
        uint32_t flags, pad2;
    } m;
    if (GET(m, at))
        return false;
    trace_put(t, "{msg_name=");
    if (!m.name || !show_sockaddr(t, m.name, m.name_len))
        trace_address(t, m.name);
    trace_put(t, ", msg_iov=");
    if (!m.vectors || !show_vectors(t, m.vectors, m.count))
        trace_address(t, m.vectors);
    trace_fmt(t, ", msg_iovlen=%lu, msg_controllen=%lu, msg_flags=", m.count, m.control_len);
    trace_flags(t, trace_names(A_MSGFLAGS, &set), m.flags);
    trace_put(t, "}");
    return true;
}

/* argv; or, of an environment, how many there are. */
static bool show_strings(struct trace_text *t, uint64_t at, bool counted)
{
    uint64_t s;
    if (GET(s, at))
        return false;
    uint64_t i = 0;
    if (!counted)
        trace_put(t, "[");
    for (; i < MOST_STRINGS && s; i++) {
        if (!counted && i == SHOWN_STRINGS) {
            trace_put(t, ", ...");
            break;
        }
        if (!counted) {
            trace_put(t, i ? ", " : "");
            trace_user_string(t, s, SHOWN_STRING);
        }
        if (GET(s, at + (i + 1) * 8))
            break;
    }
    if (counted)
        trace_fmt(t, "0x%lx /* %lu vars */", at, i);
    else
        trace_put(t, "]");
    return true;
}

static bool show_poll(struct trace_text *t, uint64_t at, uint64_t count, bool after)
{
    struct {
        int fd;
        uint16_t events, revents;
    } p;
    if (count && GET(p, at))
        return false;
    trace_put(t, "[");
    const char *gap = "";
    uint64_t shown = 0;
    for (uint64_t i = 0; i < count && !GET(p, at + i * sizeof(p)) && i < 4096; i++) {
        if (after && !p.revents)
            continue;
        if (shown++ == SHOWN_ITEMS) {
            trace_put(t, ", ...");
            break;
        }
        trace_fmt(t, "%s{fd=%d, %s=", gap, p.fd, after ? "revents" : "events");
        trace_flags(t, trace_poll_events(), after ? p.revents : p.events);
        trace_put(t, "}");
        gap = ", ";
    }
    trace_put(t, "]");
    return true;
}

static bool show_fdset(struct trace_text *t, uint64_t at, long count)
{
    uint64_t set[16] = {0};
    count = MIN(count, 1024L);
    if (count < 0 || copy_from_user(set, (const void *)at, (size_t)(count + 63) / 64 * 8))
        return false;
    trace_put(t, "[");
    const char *gap = "";
    for (long i = 0; i < count; i++) {
        if (!(set[i / 64] >> i % 64 & 1))
            continue;
        trace_fmt(t, "%s%ld", gap, i);
        gap = " ";
    }
    trace_put(t, "]");
    return true;
}

static bool show_events(struct trace_text *t, uint64_t at, long count)
{
    struct __attribute__((packed)) {
        uint32_t events;
        uint64_t data;
    } e;
    for (long i = 0; i < count; i++) {
        if (i == SHOWN_ITEMS || GET(e, at + (uint64_t)i * sizeof(e))) {
            trace_put(t, i ? ", ..." : "[");
            break;
        }
        trace_put(t, i ? ", {events=" : "[{events=");
        trace_flags(t, trace_epoll_events(), e.events);
        trace_fmt(t, ", data=0x%lx}", e.data);
    }
    trace_put(t, count > 0 ? "]" : "[]");
    return true;
}

static bool show_event(struct trace_text *t, uint64_t at)
{
    struct __attribute__((packed)) {
        uint32_t events;
        uint64_t data;
    } e;
    if (GET(e, at))
        return false;
    trace_put(t, "{events=");
    trace_flags(t, trace_epoll_events(), e.events);
    trace_fmt(t, ", data=0x%lx}", e.data);
    return true;
}

static void put_limit(struct trace_text *t, const char *name, uint64_t v)
{
    if (v == UINT64_MAX)
        trace_fmt(t, "%s=RLIM64_INFINITY", name);
    else
        trace_fmt(t, "%s=%lu", name, v);
}

static bool show_limit(struct trace_text *t, uint64_t at)
{
    uint64_t v[2];
    if (GET(v, at))
        return false;
    put_limit(t, "{rlim_cur", v[0]);
    put_limit(t, ", rlim_max", v[1]);
    trace_put(t, "}");
    return true;
}

static void put_mode(struct trace_text *t, uint32_t mode)
{
    static const char types[16][10] = {
        [1] = "S_IFIFO", [2] = "S_IFCHR",  [4] = "S_IFDIR",  [6] = "S_IFBLK",
        [8] = "S_IFREG", [10] = "S_IFLNK", [12] = "S_IFSOCK"};
    const char *type = types[mode >> 12 & 15];
    trace_fmt(t, "%s%s0%o", type, type[0] ? "|" : "", mode & 07777);
}

static bool show_stat(struct trace_text *t, uint64_t at)
{
    struct stat st;
    if (GET(st, at))
        return false;
    trace_put(t, "{st_mode=");
    put_mode(t, st.st_mode);
    trace_fmt(t, ", st_size=%ld, ...}", st.st_size);
    return true;
}

static bool show_statx(struct trace_text *t, uint64_t at)
{
    int set;
    struct statx st;
    if (GET(st, at))
        return false;
    trace_put(t, "{stx_mask=");
    trace_flags(t, trace_names(A_STATX, &set), st.stx_mask);
    trace_put(t, ", stx_mode=");
    put_mode(t, st.stx_mode);
    trace_fmt(t, ", stx_size=%lu, ...}", (uint64_t)st.stx_size);
    return true;
}

static bool show_pair(struct trace_text *t, uint64_t at)
{
    int fd[2];
    if (GET(fd, at))
        return false;
    trace_fmt(t, "[%d, %d]", fd[0], fd[1]);
    return true;
}

static bool show_int(struct trace_text *t, uint64_t at)
{
    int v;
    if (GET(v, at))
        return false;
    trace_fmt(t, "[%d]", v);
    return true;
}

static bool show_status(struct trace_text *t, uint64_t at)
{
    int s;
    if (GET(s, at))
        return false;
    unsigned sig = (unsigned)s & 0x7f;
    if (s == 0xffff) {
        trace_put(t, "[{WIFCONTINUED(s)}]");
    } else if (!sig) {
        trace_fmt(t, "[{WIFEXITED(s) && WEXITSTATUS(s) == %d}]", s >> 8 & 0xff);
    } else {
        bool stopped = sig == 0x7f;
        trace_put(t, stopped ? "[{WIFSTOPPED(s) && WSTOPSIG(s) == "
                             : "[{WIFSIGNALED(s) && WTERMSIG(s) == ");
        trace_signal_name(t, stopped ? (unsigned)s >> 8 & 0xff : sig);
        trace_put(t, "}]");
    }
    return true;
}

static bool show_how(struct trace_text *t, uint64_t at, uint64_t size)
{
    int set;
    struct open_how how = {0};
    if (copy_from_user(&how, (const void *)at, MIN(size, sizeof(how))))
        return false;
    trace_put(t, "{flags=");
    trace_open_flags(t, how.flags);
    trace_fmt(t, ", mode=0%lo, resolve=", (unsigned long)how.mode);
    trace_flags(t, trace_names(A_RESOLVE, &set), how.resolve);
    trace_put(t, "}");
    return true;
}

static bool show_clone_args(struct trace_text *t, uint64_t at, uint64_t size)
{
    struct clone_args a = {0};
    if (copy_from_user(&a, (const void *)at, MIN(size, sizeof(a))))
        return false;
    trace_put(t, "{flags=");
    trace_clone_flags(t, a.flags, 0);
    trace_put(t, ", exit_signal=");
    trace_signal_name(t, a.exit_signal);
    trace_fmt(t, ", stack=0x%lx, stack_size=0x%lx}", (unsigned long)a.stack,
              (unsigned long)a.stack_size);
    return true;
}

static bool show_lock(struct trace_text *t, uint64_t at)
{
    int set;
    struct {
        int16_t type, whence;
        int64_t start, len;
        int pid;
    } l;
    if (GET(l, at))
        return false;
    trace_put(t, "{l_type=");
    trace_one(t, trace_lock_types(), (uint64_t)l.type);
    trace_put(t, ", l_whence=");
    trace_one(t, trace_names(A_WHENCE, &set), (uint64_t)l.whence);
    trace_fmt(t, ", l_start=%ld, l_len=%ld}", l.start, l.len);
    return true;
}

static bool show_out_address(struct trace_text *t, uint64_t at, uint64_t ulen)
{
    uint32_t n;
    return !GET(n, ulen) && show_sockaddr(t, at, n);
}

/* A path of `n` bytes, of which the last may be a NUL (getcwd(2), unlike readlink(2)). */
static void show_string(struct trace_text *t, uint64_t at, size_t n)
{
    char last = 1;
    if (n && !GET(last, at + n - 1) && !last)
        n--;
    trace_user_bytes(t, at, n, SHOWN_PATH);
}

static bool show_result(struct trace_text *t, enum argument_kind kind,
                        const long arg[ARGUMENTS_MOST], int i, long ret)
{
    uint64_t at = (uint64_t)arg[i];
    long next = i + 1 < ARGUMENTS_MOST ? arg[i + 1] : 0;
    switch (kind) {
    case A_OUT_STRING:
        show_string(t, at, (size_t)ret);
        return true;
    case A_OUT_STAT:
        return show_stat(t, at);
    case A_OUT_STATX:
        return show_statx(t, at);
    case A_OUT_TIMESPEC:
        return show_times(t, at, 1, "tv_nsec", false);
    case A_OUT_TIMEVAL:
        return show_times(t, at, 1, "tv_usec", false);
    case A_OUT_ITIMERVAL:
        return show_times(t, at, 2, "tv_usec", true);
    case A_OUT_ITIMERSPEC:
        return show_times(t, at, 2, "tv_nsec", true);
    case A_OUT_SIGSET:
        return show_sigset(t, at);
    case A_OUT_SIGACTION:
        return show_action(t, at);
    case A_OUT_PAIR:
        return show_pair(t, at);
    case A_OUT_SOCKADDR:
        return show_out_address(t, at, (uint64_t)next);
    case A_OUT_INT:
        return show_int(t, at);
    case A_OUT_EVENTS:
        return show_events(t, at, ret);
    case A_OUT_RLIMIT:
        return show_limit(t, at);
    case A_OUT_STATUS:
        return show_status(t, at);
    default:
        return false;
    }
}

static bool show_given(struct trace_text *t, enum argument_kind kind,
                       const long arg[ARGUMENTS_MOST], int i)
{
    uint64_t at = (uint64_t)arg[i];
    uint64_t next = i + 1 < ARGUMENTS_MOST ? (uint64_t)arg[i + 1] : 0;
    switch (kind) {
    case A_PATH:
    case A_STRING:
        trace_user_string(t, at, SHOWN_PATH);
        return true;
    case A_VECTORS:
        return show_vectors(t, at, next);
    case A_SOCKADDR:
        return show_sockaddr(t, at, next);
    case A_MESSAGE:
        return show_message(t, at);
    case A_STRINGS:
    case A_COUNTED:
        return show_strings(t, at, kind == A_COUNTED);
    case A_TIMESPEC:
        return show_times(t, at, 1, "tv_nsec", false);
    case A_TIMESPECS:
        return show_times(t, at, 2, "tv_nsec", false);
    case A_TIMEVAL:
        return show_times(t, at, 1, "tv_usec", false);
    case A_TIMEVALS:
        return show_times(t, at, 2, "tv_usec", false);
    case A_ITIMERVAL:
        return show_times(t, at, 2, "tv_usec", true);
    case A_ITIMERSPEC:
        return show_times(t, at, 2, "tv_nsec", true);
    case A_SIGSET:
        return show_sigset(t, at);
    case A_SIGACTION:
        return show_action(t, at);
    case A_EVENT:
        return show_event(t, at);
    case A_RLIMIT:
        return show_limit(t, at);
    case A_OPENHOW:
        return show_how(t, at, next);
    case A_CLONEARGS:
        return show_clone_args(t, at, next);
    case A_FLOCK:
        return show_lock(t, at);
    case A_NUMBER:
        return show_int(t, at);
    default:
        return false;
    }
}

bool trace_memory(struct trace_text *t, enum argument_kind kind, const long arg[ARGUMENTS_MOST],
                  int i, bool after, long ret)
{
    if (!arg[i])
        return false;
    if (kind == A_POLL)
        return show_poll(t, (uint64_t)arg[i], (uint64_t)arg[i + 1], after);
    if (kind == A_FDSET)
        return show_fdset(t, (uint64_t)arg[i], arg[0]);
    if (kind >= A_OUT_BYTES)
        return after && show_result(t, kind, arg, i, ret);
    return show_given(t, kind, arg, i);
}
