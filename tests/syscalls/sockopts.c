/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* getsockopt and setsockopt of TCP sockets. */
#include "check.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

static void get(const char *name, int s, int level, int option)
{
    int v = -77;
    socklen_t n = sizeof(v);
    if (getsockopt(s, level, option, &v, &n) != 0)
        report(name, -1);
    else
        say(name, "%d (%d bytes)", v, (int)n);
}

static void set(const char *name, int s, int level, int option, int v)
{
    char line[80];
    snprintf(line, sizeof(line), "set %s", name);
    TRY(line, setsockopt(s, level, option, &v, sizeof(v)));
    get(name, s, level, option);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int s = socket(AF_INET, SOCK_STREAM, 0), v = 1, p[2];
    NEED(s >= 0 && pipe(p) == 0);
    get("SO_TYPE", s, SOL_SOCKET, SO_TYPE);
    get("SO_DOMAIN", s, SOL_SOCKET, SO_DOMAIN);
    get("SO_PROTOCOL", s, SOL_SOCKET, SO_PROTOCOL);
    get("SO_ERROR", s, SOL_SOCKET, SO_ERROR);
    get("SO_ACCEPTCONN", s, SOL_SOCKET, SO_ACCEPTCONN);
    set("SO_REUSEADDR", s, SOL_SOCKET, SO_REUSEADDR, 5);
    set("SO_REUSEPORT", s, SOL_SOCKET, SO_REUSEPORT, 1);
    set("SO_KEEPALIVE", s, SOL_SOCKET, SO_KEEPALIVE, 1);
    set("SO_BROADCAST", s, SOL_SOCKET, SO_BROADCAST, 1);
    set("SO_OOBINLINE", s, SOL_SOCKET, SO_OOBINLINE, 1);
    set("SO_SNDBUF doubles", s, SOL_SOCKET, SO_SNDBUF, 40000);
    set("SO_RCVBUF doubles", s, SOL_SOCKET, SO_RCVBUF, 50000);
    set("SO_SNDBUF minimum", s, SOL_SOCKET, SO_SNDBUF, 1);
    set("TCP_NODELAY", s, IPPROTO_TCP, TCP_NODELAY, 1);
    set("TCP_CORK", s, IPPROTO_TCP, TCP_CORK, 1);
    set("TCP_KEEPIDLE", s, IPPROTO_TCP, TCP_KEEPIDLE, 33);
    set("TCP_KEEPINTVL", s, IPPROTO_TCP, TCP_KEEPINTVL, 11);
    set("TCP_KEEPCNT", s, IPPROTO_TCP, TCP_KEEPCNT, 4);
    set("TCP_USER_TIMEOUT", s, IPPROTO_TCP, TCP_USER_TIMEOUT, 1234);
    set("TCP_KEEPIDLE out of range", s, IPPROTO_TCP, TCP_KEEPIDLE, 0);
    struct linger l = {1, 7};
    socklen_t n = sizeof(l);
    TRY("set SO_LINGER", setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
    l = (struct linger){0, 0};
    TRY("get SO_LINGER", getsockopt(s, SOL_SOCKET, SO_LINGER, &l, &n));
    say("SO_LINGER", "%d %d", l.l_onoff, l.l_linger);
    struct timeval t = {0, 40000};
    TRY("set SO_RCVTIMEO", setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
    n = sizeof(t);
    TRY("get SO_RCVTIMEO", getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, &n));
    say("SO_RCVTIMEO", "%ld s, at least 40 ms %d", (long)t.tv_sec, t.tv_usec >= 40000);
    t.tv_usec = 1000000;
    TRY("SO_SNDTIMEO out of range", setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)));
    int u[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, u) == 0);
    t = (struct timeval){0, 30000};
    NEED(setsockopt(u[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0);
    long long then = now_ms();
    TRY("receive times out", recv(u[0], &v, 1, 0));
    CHECK("in time", now_ms() - then >= 29 && now_ms() - then < 5000);
    get("SO_DOMAIN of AF_UNIX", u[0], SOL_SOCKET, SO_DOMAIN);
    get("TCP_NODELAY of AF_UNIX", u[0], IPPROTO_TCP, TCP_NODELAY);
    get("unknown option", s, SOL_SOCKET, 9999);
    get("unknown level", s, 9999, 1);
    get("unknown TCP option", s, IPPROTO_TCP, 9999);
    TRY("set unknown option", setsockopt(s, SOL_SOCKET, 9999, &v, sizeof(v)));
    TRY("set unknown level", setsockopt(s, 9999, 1, &v, sizeof(v)));
    TRY("set SO_TYPE", setsockopt(s, SOL_SOCKET, SO_TYPE, &v, sizeof(v)));
    TRY("set short", setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &v, 2));
    TRY("set TCP short", setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, 2));
    TRY("set SO_LINGER short", setsockopt(s, SOL_SOCKET, SO_LINGER, &l, 4));
    n = 2;
    v = 0;
    TRY("get short", getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n));
    say("short value", "%d (%d bytes)", v, (int)n);
    n = (socklen_t)-1;
    TRY("get negative", getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n));
    SYS("get to nowhere", SYS_getsockopt, s, SOL_SOCKET, SO_TYPE, BAD_LOW, &n);
    n = sizeof(v);
    SYS("get, value nowhere", SYS_getsockopt, s, SOL_SOCKET, SO_TYPE, BAD_LOW, &n);
    SYS("get, length nowhere", SYS_getsockopt, s, SOL_SOCKET, SO_TYPE, &v, BAD_LOW);
    SYS("set from nowhere", SYS_setsockopt, s, SOL_SOCKET, SO_REUSEADDR, BAD_LOW, 4);
    TRY("pipe", getsockopt(p[0], SOL_SOCKET, SO_TYPE, &v, &n));
    TRY("set on pipe", setsockopt(p[0], SOL_SOCKET, SO_REUSEADDR, &v, 4));
    TRY("closed", getsockopt(999, SOL_SOCKET, SO_TYPE, &v, &n));
    TRY("getsockname of pipe", getsockname(p[0], (void *)&l, &n));
    TRY("listen on pipe", listen(p[0], 1));
    int six = socket(AF_INET6, SOCK_STREAM, 0);
    if (six >= 0)
        set("IPV6_V6ONLY", six, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    else
        report("IPv6", -1);
    NEED(listen(s, 1) == 0);
    get("SO_ACCEPTCONN listening", s, SOL_SOCKET, SO_ACCEPTCONN);
    return 0;
}
