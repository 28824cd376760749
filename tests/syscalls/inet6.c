/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* TCP over IPv6 and both families at once, the options that servers set, ports that are shared,
 * urgent data, what the interfaces are called. */
#include "check.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in6 six(uint16_t port)
{
    return (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
}

static struct sockaddr_in four(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void option(const char *name, int s, int level, int which, int value)
{
    char line[80];
    int got = -7;
    socklen_t n = sizeof(got);
    snprintf(line, sizeof(line), "set %s", name);
    TRY(line, setsockopt(s, level, which, &value, sizeof(value)));
    if (getsockopt(s, level, which, &got, &n) != 0)
        report(name, -1);
    else
        say(name, "%d (%d bytes)", n == 1 ? got & 0xff : got, (int)n);
}

static void show_peer(const char *name, const struct sockaddr_in6 *a, socklen_t n)
{
    char text[INET6_ADDRSTRLEN] = "";
    inet_ntop(a->sin6_family,
              a->sin6_family == AF_INET6 ? (void *)&a->sin6_addr
                                         : (void *)&((struct sockaddr_in *)a)->sin_addr,
              text, sizeof(text));
    say(name, "family %d, %d bytes, %s", a->sin6_family, (int)n, text);
}

static void both_families(void)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT}, peer;
    socklen_t n = sizeof(any);
    int s = socket(AF_INET6, SOCK_STREAM, 0), off = 0;
    NEED(s >= 0 && setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &off, 4) == 0);
    NEED(bind(s, (void *)&any, sizeof(any)) == 0 && listen(s, 8) == 0 &&
         getsockname(s, (void *)&any, &n) == 0);
    struct sockaddr_in6 to6 = six(any.sin6_port);
    struct sockaddr_in to4 = four(any.sin6_port);
    int c = socket(AF_INET6, SOCK_STREAM, 0), d = socket(AF_INET, SOCK_STREAM, 0);
    TRY("connect by IPv6", connect(c, (void *)&to6, sizeof(to6)));
    n = sizeof(peer);
    int t = accept(s, (void *)&peer, &n);
    show_peer("peer", &peer, n);
    TRY("connect by IPv4", connect(d, (void *)&to4, sizeof(to4)));
    n = sizeof(peer);
    int u = accept(s, (void *)&peer, &n);
    show_peer("mapped peer", &peer, n);
    n = sizeof(peer);
    TRY("own name", getsockname(u, (void *)&peer, &n));
    show_peer("mapped self", &peer, n);
    int v4 = socket(AF_INET, SOCK_STREAM, 0);
    to4.sin_addr.s_addr = 0;
    TRY("port taken for IPv4", bind(v4, (void *)&to4, sizeof(to4)));
    TRY("V6ONLY after bind", setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, 4));
    int only = socket(AF_INET6, SOCK_STREAM, 0);
    option("IPV6_V6ONLY", only, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = any.sin6_port};
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
    TRY("mapped address with V6ONLY", connect(only, (void *)&mapped, sizeof(mapped)));
    int e = socket(AF_INET6, SOCK_STREAM, 0);
    TRY("mapped address", connect(e, (void *)&mapped, sizeof(mapped)));
    mapped.sin6_scope_id = 0;
    inet_pton(AF_INET6, "fe80::1", &mapped.sin6_addr);
    TRY("link-local without scope",
        connect(socket(AF_INET6, SOCK_STREAM, 0), (void *)&mapped, sizeof(mapped)));
    TRY("short address", connect(socket(AF_INET6, SOCK_STREAM, 0), (void *)&to6, 20));
    TRY("IPv4 address on IPv6",
        connect(socket(AF_INET6, SOCK_STREAM, 0), (void *)&to4, sizeof(to4)));
    close(s), close(c), close(d), close(t), close(u), close(v4), close(only), close(e);
}

static void options(void)
{
    int s = socket(AF_INET6, SOCK_STREAM, 0), t = socket(AF_INET, SOCK_STREAM, 0);
    option("IPV6_TCLASS", s, IPPROTO_IPV6, IPV6_TCLASS, 0x28);
    option("IPV6_UNICAST_HOPS", s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33);
    option("IPV6_MTU_DISCOVER", s, IPPROTO_IPV6, IPV6_MTU_DISCOVER, 2);
    option("IPV6_RECVPKTINFO", s, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    option("IPV6_DONTFRAG", s, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
    option("IP_TOS", t, IPPROTO_IP, IP_TOS, 0x10);
    option("IP_TTL", t, IPPROTO_IP, IP_TTL, 44);
    option("IP_TTL out of range", t, IPPROTO_IP, IP_TTL, 256);
    option("IP_MTU_DISCOVER", t, IPPROTO_IP, IP_MTU_DISCOVER, 2);
    option("IP_FREEBIND", t, IPPROTO_IP, IP_FREEBIND, 1);
    option("IP_BIND_ADDRESS_NO_PORT", t, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    option("TCP_DEFER_ACCEPT", t, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
    option("TCP_QUICKACK", t, IPPROTO_TCP, TCP_QUICKACK, 0);
    option("TCP_SYNCNT", t, IPPROTO_TCP, TCP_SYNCNT, 3);
    option("TCP_LINGER2", t, IPPROTO_TCP, TCP_LINGER2, 7);
    option("TCP_MAXSEG", t, IPPROTO_TCP, TCP_MAXSEG, 1000);
    option("TCP_WINDOW_CLAMP", t, IPPROTO_TCP, TCP_WINDOW_CLAMP, 60000);
    option("TCP_FASTOPEN", t, IPPROTO_TCP, TCP_FASTOPEN, 5);
    option("TCP_NOTSENT_LOWAT", t, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384);
    option("TCP_KEEPALIVE family", t, IPPROTO_TCP, TCP_KEEPIDLE, 40000);
    option("SO_PRIORITY", t, SOL_SOCKET, SO_PRIORITY, 3);
    option("SO_RCVLOWAT", t, SOL_SOCKET, SO_RCVLOWAT, 100);
    option("SO_SNDLOWAT", t, SOL_SOCKET, SO_SNDLOWAT, 100);
    option("SO_DONTROUTE", t, SOL_SOCKET, SO_DONTROUTE, 1);
    option("SO_TIMESTAMP", t, SOL_SOCKET, SO_TIMESTAMP, 1);
    option("SO_TIMESTAMPNS", t, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    option("SO_ZEROCOPY", t, SOL_SOCKET, SO_ZEROCOPY, 1);
    option("SO_INCOMING_CPU", t, SOL_SOCKET, SO_INCOMING_CPU, 0);
    option("SO_BUSY_POLL", t, SOL_SOCKET, SO_BUSY_POLL, 0);
    char name[16] = "";
    socklen_t n = sizeof(name);
    TRY("TCP_CONGESTION", getsockopt(t, IPPROTO_TCP, TCP_CONGESTION, name, &n));
    CHECK("an algorithm", name[0] && n == 16);
    TRY("unknown algorithm", setsockopt(t, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8));
    struct tcp_info info;
    n = sizeof(info);
    TRY("TCP_INFO", getsockopt(t, IPPROTO_TCP, TCP_INFO, &info, &n));
    say("state", "%d", info.tcpi_state);
    n = 12;
    TRY("TCP_INFO cut", getsockopt(t, IPPROTO_TCP, TCP_INFO, &info, &n));
    VALUE("its length", n);
    int u = socket(AF_INET, SOCK_DGRAM, 0); /* for TCP a later Linux asks for CAP_NET_ADMIN */
    struct sock_filter all[] = {{BPF_RET | BPF_K, 0, 0, 0xffff}};
    struct sock_fprog program = {1, all};
    TRY("SO_ATTACH_FILTER", setsockopt(u, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
    TRY("SO_DETACH_FILTER", setsockopt(u, SOL_SOCKET, SO_DETACH_FILTER, &program, 4));
    program.filter = BAD_LOW;
    TRY("filter nowhere", setsockopt(u, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
    TRY("SO_BINDTODEVICE unknown", setsockopt(t, SOL_SOCKET, SO_BINDTODEVICE, "nodev77", 8));
    close(s), close(t), close(u);
}

static void shared_port(void)
{
    struct sockaddr_in a = four(0);
    socklen_t n = sizeof(a);
    int on = 1, s[2], counts[2] = {0};
    for (int i = 0; i < 2; i++) {
        s[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        NEED(setsockopt(s[i], SOL_SOCKET, SO_REUSEPORT, &on, 4) == 0);
        TRY("bind shared", bind(s[i], (void *)&a, sizeof(a)));
        NEED(listen(s[i], 64) == 0 && getsockname(s[i], (void *)&a, &n) == 0);
    }
    int without = socket(AF_INET, SOCK_STREAM, 0);
    TRY("without the option", bind(without, (void *)&a, sizeof(a)));
    for (int i = 0; i < 60; i++) {
        int c = socket(AF_INET, SOCK_STREAM, 0);
        NEED(connect(c, (void *)&a, sizeof(a)) == 0);
        struct pollfd p[2] = {{s[0], POLLIN, 0}, {s[1], POLLIN, 0}};
        NEED(poll(p, 2, 5000) >= 1);
        int which = !(p[0].revents & POLLIN);
        counts[which]++;
        close(accept(s[which], NULL, NULL));
        close(c);
    }
    CHECK("both are served", counts[0] > 0 && counts[1] > 0 && counts[0] + counts[1] == 60);
    TRY("none left", accept(s[0], NULL, NULL));
    close(s[0]), close(s[1]), close(without);
}

static void urgent(void)
{
    struct sockaddr_in a = four(0);
    socklen_t n = sizeof(a);
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), at = -1;
    char buf[20];
    NEED(bind(l, (void *)&a, sizeof(a)) == 0 && listen(l, 1) == 0 &&
         getsockname(l, (void *)&a, &n) == 0);
    NEED(connect(c, (void *)&a, sizeof(a)) == 0);
    int t = accept(l, NULL, NULL);
    NEED(send(c, "ab", 2, 0) == 2 && send(c, "!", 1, MSG_OOB) == 1 && send(c, "cd", 2, 0) == 2);
    struct pollfd p = {t, POLLPRI | POLLIN, 0};
    sleep_ms(10);
    poll(&p, 1, 5000);
    say("events", "%#x", (unsigned)p.revents);
    TRY("before the mark", recv(t, buf, 20, 0));
    TRY("SIOCATMARK", ioctl(t, SIOCATMARK, &at));
    VALUE("at the mark", at);
    TRY("urgent byte", recv(t, buf, 20, MSG_OOB));
    say("byte", "%c", buf[0]);
    TRY("no other", recv(t, buf, 20, MSG_OOB));
    TRY("behind it", recv(t, buf, 20, 0));
    int waiting = -1;
    NEED(send(c, "12345", 5, 0) == 5);
    p.events = POLLIN;
    poll(&p, 1, 5000);
    TRY("FIONREAD", ioctl(t, FIONREAD, &waiting));
    VALUE("waiting", waiting);
    TRY("SIOCOUTQ", ioctl(c, TIOCOUTQ, &waiting));
    TRY("MSG_TRUNC drops", recv(t, NULL, 2, MSG_TRUNC));
    TRY("rest", recv(t, buf, 9, 0));
    TRY("shutdown writing", shutdown(c, SHUT_WR));
    TRY("end", recv(t, buf, 9, 0));
    TRY("other way still open", send(t, "back", 4, 0));
    TRY("arrives",
        recv(c, buf, 9, MSG_WAITALL | MSG_DONTWAIT) > 0 ||
            (poll(&(struct pollfd){c, POLLIN, 0}, 1, 5000), recv(c, buf, 9, MSG_DONTWAIT)) > 0);
    close(l), close(c), close(t);
}

static void interfaces(void)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq r = {.ifr_name = "lo"};
    TRY("SIOCGIFINDEX", ioctl(s, SIOCGIFINDEX, &r));
    VALUE("index", r.ifr_ifindex);
    TRY("SIOCGIFFLAGS", ioctl(s, SIOCGIFFLAGS, &r));
    CHECK("loopback is up", (r.ifr_flags & (IFF_LOOPBACK | IFF_UP)) == (IFF_LOOPBACK | IFF_UP));
    TRY("SIOCGIFADDR", ioctl(s, SIOCGIFADDR, &r));
    say("address", "%s", inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr));
    strcpy(r.ifr_name, "nodev77");
    TRY("unknown", ioctl(s, SIOCGIFADDR, &r));
    VALUE("if_nametoindex", if_nametoindex("lo"));
    char name[IFNAMSIZ];
    say("if_indextoname", "%s", if_indextoname(1, name) ? name : "none");
    char many[4096];
    struct ifconf c = {.ifc_len = sizeof(many), .ifc_buf = many};
    TRY("SIOCGIFCONF", ioctl(s, SIOCGIFCONF, &c));
    VALUE("bytes", c.ifc_len);
    struct ifaddrs *all, *i;
    TRY("getifaddrs", getifaddrs(&all));
    for (i = all;
         i && !(i->ifa_addr && i->ifa_addr->sa_family == AF_INET && strcmp(i->ifa_name, "lo") == 0);
         i = i->ifa_next)
        ;
    CHECK("lo is there", i != NULL);
    freeifaddrs(all);
    close(s);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    both_families();
    options();
    shared_port();
    urgent();
    interfaces();
    return 0;
}
