/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* UDP over IPv4 and IPv6: addresses, cut and empty datagrams, control data, errors that come back,
 * multicast, many at once. */
#include "check.h"
#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

static char buf[70000], control[512];

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    char room[128];
};

static socklen_t length(int family)
{
    return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static union address loopback(int family)
{
    union address a = {.four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    if (family == AF_INET6)
        a.six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    return a;
}

static int bound(int family, union address *a)
{
    socklen_t n = sizeof(*a);
    int s = socket(family, SOCK_DGRAM, 0);
    *a = loopback(family);
    NEED(s >= 0 && bind(s, &a->any, length(family)) == 0 && getsockname(s, &a->any, &n) == 0);
    return s;
}

static bool ready(int s, int ms)
{
    struct pollfd p = {s, POLLIN, 0};
    return poll(&p, 1, ms) == 1;
}

static void datagrams(int family)
{
    union address a, b, from;
    socklen_t n = sizeof(from);
    int s = bound(family, &a), c = bound(family, &b), waiting = -1;
    say("family", "%s", family == AF_INET ? "IPv4" : "IPv6");
    TRY("sendto", sendto(c, "datagram", 8, 0, &a.any, length(family)));
    NEED(ready(s, 5000));
    TRY("FIONREAD", ioctl(s, FIONREAD, &waiting));
    VALUE("waiting", waiting);
    TRY("peek", recvfrom(s, buf, 3, MSG_PEEK | MSG_TRUNC, &from.any, &n));
    VALUE("address length", n);
    CHECK("from the client", memcmp(&from, &b, length(family)) == 0);
    memset(&from, 0x55, sizeof(from));
    n = 6;
    TRY("cut", recvfrom(s, buf, 3, 0, &from.any, &n));
    VALUE("whole address length", n);
    say("cut address", "%x %x", from.room[5], from.room[6]);
    TRY("rest is gone", recv(s, buf, 9, MSG_DONTWAIT));
    TRY("empty datagram", sendto(c, "", 0, 0, &a.any, length(family)));
    NEED(ready(s, 5000));
    TRY("its length", recv(s, buf, 9, 0));
    TRY("too long", sendto(c, buf, 66000, 0, &a.any, length(family)));
    TRY("no destination", send(c, "x", 1, 0));
    TRY("short address", sendto(c, "x", 1, 0, &a.any, 7));
    TRY("other family",
        sendto(c, "x", 1, 0, (struct sockaddr *)&(struct sockaddr_in){.sin_family = 77}, 16));
    TRY("connect", connect(c, &a.any, length(family)));
    TRY("send", send(c, "connected", 9, 0));
    NEED(ready(s, 5000));
    TRY("recv", recv(s, buf, 20, 0));
    n = sizeof(from);
    TRY("getpeername", getpeername(c, &from.any, &n));
    CHECK("the server", memcmp(&from, &a, length(family)) == 0);
    union address other;
    int stranger = bound(family, &other);
    NEED(sendto(stranger, "stranger", 8, 0, &b.any, length(family)) == 8);
    TRY("strangers are not heard", (sleep_ms(5), recv(c, buf, 20, MSG_DONTWAIT)));
    TRY("disconnect", connect(c, &(struct sockaddr){.sa_family = AF_UNSPEC}, 16));
    TRY("no peer", getpeername(c, &from.any, &n));
    TRY("listen", listen(c, 1));
    TRY("accept", accept(c, NULL, NULL));
    TRY("MSG_OOB", sendto(c, "x", 1, MSG_OOB, &a.any, length(family)));
    /* two parts joined by MSG_MORE */
    NEED(connect(c, &a.any, length(family)) == 0);
    TRY("more", send(c, "one ", 4, MSG_MORE));
    TRY("and the end", send(c, "two", 3, 0));
    NEED(ready(s, 5000));
    TRY("joined", recv(s, buf, 20, 0));
    show_bytes("text", buf, 7);
    close(s), close(c), close(stranger);
}

static void refused(int family)
{
    union address a;
    int closed = bound(family, &a), c = socket(family, SOCK_DGRAM, 0), on = 1, err = 0;
    close(closed);
    NEED(connect(c, &a.any, length(family)) == 0);
    TRY("to a closed port", send(c, "x", 1, 0));
    NEED(ready(c, 5000));
    TRY("comes back", recv(c, buf, 9, 0));
    TRY("once", recv(c, buf, 9, MSG_DONTWAIT));
    TRY(family == AF_INET ? "IP_RECVERR" : "IPV6_RECVERR",
        family == AF_INET ? setsockopt(c, IPPROTO_IP, IP_RECVERR, &on, sizeof(on))
                          : setsockopt(c, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on)));
    TRY("again", send(c, "again", 5, 0));
    struct pollfd p = {c, POLLIN, 0};
    NEED(poll(&p, 1, 5000) == 1);
    say("events", "%#x", (unsigned)p.revents);
    struct iovec iov = {buf, 20};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    TRY("error queue", recvmsg(c, &m, MSG_ERRQUEUE));
    say("flags", "%#x", (unsigned)m.msg_flags);
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        struct sock_extended_err *e = (void *)CMSG_DATA(h);
        say("error", "level %d type %d: %s origin %d", h->cmsg_level, h->cmsg_type,
            errno_name((int)e->ee_errno), e->ee_origin);
    }
    socklen_t n = sizeof(err);
    TRY("SO_ERROR", getsockopt(c, SOL_SOCKET, SO_ERROR, &err, &n));
    say("error is", "%s", err ? errno_name(err) : "none");
    TRY("empty error queue", recvmsg(c, &m, MSG_ERRQUEUE));
    close(c);
}

static void control_data(int family)
{
    union address a, b;
    int s = bound(family, &a), c = bound(family, &b), on = 1,
        level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    TRY("packet information",
        setsockopt(s, level, family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, 4));
    TRY("hop limit",
        setsockopt(s, level, family == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT, &on, 4));
    TRY("class", setsockopt(s, level, family == AF_INET ? IP_RECVTOS : IPV6_RECVTCLASS, &on, 4));
    TRY("time stamp", setsockopt(s, SOL_SOCKET, SO_TIMESTAMP, &on, 4));
    int class = 0x20;
    TRY("set class", setsockopt(c, level, family == AF_INET ? IP_TOS : IPV6_TCLASS, &class, 4));
    NEED(sendto(c, "info", 4, 0, &a.any, length(family)) == 4 && ready(s, 5000));
    struct iovec iov = {buf, 20};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    TRY("recvmsg", recvmsg(s, &m, 0));
    VALUE("control bytes", m.msg_controllen);
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        int value = 0;
        memcpy(&value, CMSG_DATA(h),
               family == AF_INET && h->cmsg_type == IP_TOS && h->cmsg_level == level ? 1 : 4);
        bool number = h->cmsg_level == level &&
                      (h->cmsg_type == IP_TTL || h->cmsg_type == IP_TOS ||
                       h->cmsg_type == IPV6_HOPLIMIT || h->cmsg_type == IPV6_TCLASS);
        say("control", "level %d type %d, %d bytes, %d", h->cmsg_level, h->cmsg_type,
            (int)h->cmsg_len, number ? value : 0);
    }
    NEED(sendto(c, "info", 4, 0, &a.any, length(family)) == 4 && ready(s, 5000));
    m.msg_controllen = CMSG_SPACE(4);
    TRY("little room", recvmsg(s, &m, 0));
    say("cut", "%d bytes, flags %#x", (int)m.msg_controllen, (unsigned)m.msg_flags);
    if (family == AF_INET) { /* a source address given with the message */
        struct msghdr out = {.msg_name = &a,
                             .msg_namelen = length(family),
                             .msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = CMSG_SPACE(sizeof(struct in_pktinfo))};
        memset(control, 0, sizeof(control));
        struct cmsghdr *h = CMSG_FIRSTHDR(&out);
        *h = (struct cmsghdr){CMSG_LEN(sizeof(struct in_pktinfo)), IPPROTO_IP, IP_PKTINFO};
        ((struct in_pktinfo *)CMSG_DATA(h))->ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK);
        TRY("send from 127.0.0.1", sendmsg(c, &out, 0));
        ((struct in_pktinfo *)CMSG_DATA(h))->ipi_spec_dst.s_addr = inet_addr("203.0.113.9");
        TRY("send from a foreign address", sendmsg(c, &out, 0));
        h->cmsg_len = 3;
        TRY("malformed control data", sendmsg(c, &out, 0));
    }
    close(s), close(c);
}

static void many(int family)
{
    union address a, b, from[4];
    int s = bound(family, &a), c = bound(family, &b);
    char text[4][6] = {"one", "two2", "thr", ""}, in[4][6];
    struct iovec out_iov[4], in_iov[4];
    struct mmsghdr out[4] = {0}, v[4] = {0};
    for (int i = 0; i < 4; i++) {
        out_iov[i] = (struct iovec){text[i], strlen(text[i])};
        out[i].msg_hdr = (struct msghdr){
            .msg_name = &a, .msg_namelen = length(family), .msg_iov = &out_iov[i], .msg_iovlen = 1};
        in_iov[i] = (struct iovec){in[i], 3};
        v[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                       .msg_namelen = sizeof(from[i]),
                                       .msg_iov = &in_iov[i],
                                       .msg_iovlen = 1};
    }
    TRY("sendmmsg", sendmmsg(c, out, 4, 0));
    sleep_ms(20);
    struct timespec t = {5, 0};
    TRY("recvmmsg", recvmmsg(s, v, 4, 0, &t));
    for (int i = 0; i < 4; i++)
        say("message", "%u bytes, flags %#x, address %d", v[i].msg_len,
            (unsigned)v[i].msg_hdr.msg_flags, (int)v[i].msg_hdr.msg_namelen);
    CHECK("time left", t.tv_sec == 4 || t.tv_sec == 5);
    TRY("none", recvmmsg(s, v, 4, MSG_DONTWAIT, NULL));
    SYS("nowhere", SYS_recvmmsg, s, BAD_LOW, 4, MSG_DONTWAIT, NULL);
    TRY("zero messages", sendmmsg(c, out, 0, 0));
    struct timeval limit = {0, 30000};
    NEED(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
    long long then = now_ms();
    TRY("times out", recvmmsg(s, v, 4, MSG_WAITFORONE, NULL));
    CHECK("in time", now_ms() - then >= 29);
    close(s), close(c);
}

static void multicast(void)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0), on = 1, v = 0;
    unsigned char ttl = 3, loop = 1;
    socklen_t n = sizeof(v);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    struct ip_mreq group = {{inet_addr("239.255.77.1")}, {htonl(INADDR_LOOPBACK)}};
    struct ip_mreqn by_index = {{inet_addr("239.255.77.2")}, {0}, 1};
    TRY("reuse", setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, 4));
    NEED(bind(s, (void *)&a, sizeof(a)) == 0);
    socklen_t len = sizeof(a);
    NEED(getsockname(s, (void *)&a, &len) == 0);
    TRY("join", setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)));
    TRY("join again", setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)));
    TRY("join by interface",
        setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_index, sizeof(by_index)));
    TRY("time to live", setsockopt(c, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, 1));
    TRY("loop", setsockopt(c, IPPROTO_IP, IP_MULTICAST_LOOP, &loop, 1));
    TRY("interface", setsockopt(c, IPPROTO_IP, IP_MULTICAST_IF, &group.imr_interface, 4));
    TRY("get time to live", getsockopt(c, IPPROTO_IP, IP_MULTICAST_TTL, &v, &n));
    say("time to live is", "%d (%d bytes)", v & 0xff, (int)n);
    a.sin_addr = group.imr_multiaddr;
    TRY("send to the group", sendto(c, "group", 5, 0, (void *)&a, sizeof(a)));
    CHECK("arrives", ready(s, 5000));
    TRY("receive", recv(s, buf, 20, MSG_DONTWAIT));
    TRY("leave", setsockopt(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof(group)));
    TRY("leave again", setsockopt(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof(group)));
    group.imr_multiaddr.s_addr = htonl(INADDR_LOOPBACK);
    TRY("no group", setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)));
    struct ipv6_mreq six = {.ipv6mr_interface = 1};
    inet_pton(AF_INET6, "ff02::77", &six.ipv6mr_multiaddr);
    int t = socket(AF_INET6, SOCK_DGRAM, 0), hops = 5;
    TRY("IPv6 join", setsockopt(t, IPPROTO_IPV6, IPV6_JOIN_GROUP, &six, sizeof(six)));
    TRY("IPv6 leave", setsockopt(t, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &six, sizeof(six)));
    TRY("IPv6 hops", setsockopt(t, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, 4));
    TRY("IPv6 interface", setsockopt(t, IPPROTO_IPV6, IPV6_MULTICAST_IF, &on, 4));
    TRY("IPv6 loop", setsockopt(t, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &on, 4));
    TRY("hops of a stream", setsockopt(t, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &(int){300}, 4));
    TRY("broadcast refused",
        sendto(c, "x", 1, 0,
               (void *)&(struct sockaddr_in){
                   .sin_family = AF_INET, .sin_port = 9, .sin_addr.s_addr = 0xffffffff},
               16));
    close(s), close(c), close(t);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    for (int i = 0; i < 2; i++) {
        int family = i ? AF_INET6 : AF_INET;
        datagrams(family);
        refused(family);
        control_data(family);
        many(family);
    }
    multicast();
    return 0;
}
