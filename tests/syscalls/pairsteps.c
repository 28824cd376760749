/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Random sequences over socket pairs: streams, datagrams and packets with descriptors and
 * credentials, peeked at and cut, shut down and closed in any order, under poll and epoll. What
 * each call returns and gives must be the same. One line for each 256 steps, the digest of their
 * outcomes; with PAIRS_SHOW set, one for each step. PAIRS_STEPS and PAIRS_SEED as numbers change
 * the length and the sequence. A fork now and then makes everything shared, after which the
 * child's and the parent's steps take turns. Where a socket may change hands no member of an epoll
 * is edge triggered or for one shot: an edge reported twice is no error (epoll(7)). How many
 * messages fill a socket is the kernel's matter: what is on its way is kept below that, but for
 * sockets that are filled on purpose.
 */
#include "check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

enum { PAIRS = 5, ENDS = 2 * PAIRS, EPOLLS = 3, MEMBERS = 64, OTHERS = 6, FEW = 40000 };

static uint64_t random_state, digest;
static int fds[ENDS], types[ENDS]; /* -1: none */
static long on_way[ENDS];          /* at most, sent from there */
static int others[OTHERS];         /* what is passed: pipes, counters, files */
static int epolls[EPOLLS];
static bool show, edges; /* edges: members with flags, and no object changes hands */
static long steps_done;
static volatile sig_atomic_t broken;

static uint32_t draw(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 20) % n;
}

__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
    char line[3000];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    for (int i = 0; i < n && i < (int)sizeof(line); i++)
        digest = (digest ^ (unsigned char)line[i]) * 0x100000001b3;
    if (show)
        say("step", "%ld %s", steps_done, line);
}

/* A result, or the name of its error; and the SIGPIPEs so far. */
static const char *outcome(long r)
{
    static char text[2][48];
    static int turn;
    turn = !turn;
    if (r < 0)
        snprintf(text[turn], 48, "%s/%d", errno_name(errno), (int)broken);
    else
        snprintf(text[turn], 48, "%ld/%d", r, (int)broken);
    return text[turn];
}

static void on_pipe(int sig)
{
    (void)sig;
    broken++;
}

static char data[70000];

static uint64_t sum(const char *p, ssize_t n)
{
    uint64_t h = 0;
    for (ssize_t i = 0; i < n; i++)
        h = h * 31 + (unsigned char)p[i];
    return h;
}

static size_t some_length(void)
{
    static const size_t usual[] = {0, 1, 1, 2, 7, 8, 100, 100, 1000, 4095, 4096, 4097, 5000, 9000};
    return usual[draw(sizeof(usual) / sizeof(usual[0]))];
}

static int some_end(void)
{
    return (int)draw(ENDS);
}

/* ---- making, closing ---- */

static void make(void)
{
    static const int kinds[] = {SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    int i = 2 * (int)draw(PAIRS), pair[2];
    if (fds[i] >= 0 || fds[i + 1] >= 0)
        return;
    types[i] = types[i + 1] = kinds[draw(4)];
    int r = socketpair(AF_UNIX, types[i] | SOCK_NONBLOCK, 0, pair);
    note("pair %d %d %s %d %d", i, types[i], outcome(r), pair[0], pair[1]);
    fds[i] = pair[0], fds[i + 1] = pair[1];
    on_way[i] = on_way[i + 1] = 0;
}

static void make_other(void)
{
    int i = (int)draw(OTHERS), pair[2];
    if (others[i] >= 0) {
        if (draw(4) == 0) {
            close(others[i]);
            others[i] = -1;
        }
        return;
    }
    switch (draw(3)) {
    case 0:
        others[i] = eventfd(draw(5), EFD_NONBLOCK);
        break;
    case 1:
        NEED(pipe2(pair, O_NONBLOCK) == 0);
        others[i] = pair[0];
        for (int k = 0; k < OTHERS; k++)
            if (others[k] < 0 && pair[1] >= 0)
                others[k] = pair[1], pair[1] = -1;
        if (pair[1] >= 0)
            close(pair[1]);
        break;
    default:
        others[i] = open("/dev/null", O_RDWR);
    }
}

static void do_close(int i)
{
    if (draw(5) || fds[i] < 0)
        return;
    note("close %d %s", i, outcome(close(fds[i])));
    fds[i] = -1;
}

static void do_shutdown(int i)
{
    if (types[i] == SOCK_DGRAM && fds[i ^ 1] < 0)
        return; /* which error comes first then has changed */
    if (draw(4) == 0)
        note("shutdown %d: %s", i, outcome(shutdown(fds[i], (int)draw(4) - (draw(30) == 0))));
}

/* ---- sending ---- */

static int cut(struct iovec iov[4], char *at, size_t n)
{
    int k = 0;
    while (k < 3 && draw(2)) {
        size_t part = n ? draw((uint32_t)n) : 0;
        iov[k++] = (struct iovec){at, part};
        at += part;
        n -= part;
    }
    iov[k++] = (struct iovec){at, n};
    return k;
}

static size_t put_cmsg(char *to, size_t at, int level, int type, const void *what, size_t n)
{
    struct cmsghdr c = {.cmsg_len = CMSG_LEN(n), .cmsg_level = level, .cmsg_type = type};
    memcpy(to + at, &c, sizeof(c));
    memcpy(to + at + sizeof(c), what, n);
    return at + CMSG_SPACE(n);
}

static int some_passed(void)
{
    if (!edges && draw(20) == 0)
        return fds[some_end()];
    return draw(25) ? others[draw(OTHERS)] : 999;
}

static size_t make_control(char *control)
{
    size_t n = 0;
    memset(control, 0, 400);
    for (int k = 0; k < 2; k++) {
        int list[5], count = (int)draw(5);
        struct ucred cred = {getpid(), getuid(), getgid()};
        switch (draw(6)) {
        case 0 ... 2:
            for (int i = 0; i < count; i++)
                list[i] = some_passed();
            n = put_cmsg(control, n, SOL_SOCKET, SCM_RIGHTS, list, (size_t)count * sizeof(int));
            break;
        case 3:
            n = put_cmsg(control, n, SOL_SOCKET, SCM_CREDENTIALS, &cred,
                         draw(10) ? sizeof(cred) : 8);
            break;
        case 4:
            if (draw(8) == 0)
                n = put_cmsg(control, n, draw(2) ? SOL_SOCKET : 77, 99, list, 0);
        }
    }
    if (n && draw(40) == 0)
        ((struct cmsghdr *)control)->cmsg_len = draw(2) ? 3 : 1000;
    return n;
}

static bool fits(int i, size_t n)
{
    on_way[i] += 2 * (long)n + 1300;
    return on_way[i] < FEW;
}

static void send_message(int i, struct iovec *iov, int parts, int flags)
{
    static char control[400] __attribute__((aligned(8)));
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "none"};
    struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = iov, .msg_iovlen = (size_t)parts}}};
    struct msghdr *h = &m[0].msg_hdr;
    /* Of two errors at once the host may say the other one, once the socket is its own. */
    if (draw(3) == 0 && (edges || types[i] != SOCK_SEQPACKET)) {
        h->msg_control = control;
        h->msg_controllen = make_control(control);
    }
    if (!h->msg_control && types[i] != SOCK_DGRAM && draw(20) == 0) {
        h->msg_name = &a;
        h->msg_namelen = sizeof(a);
    }
    m[1].msg_hdr = *h;
    if (show)
        for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
            note("control %zu %d", c->cmsg_len, c->cmsg_type);
    if (draw(6))
        note("sendmsg %d %d %x: %s", i, types[i], flags, outcome(sendmsg(fds[i], h, flags)));
    else {
        int r = sendmmsg(fds[i], m, 2, flags);
        note("sendmmsg %d %d: %s %u %u", i, types[i], outcome(r), m[0].msg_len, m[1].msg_len);
    }
}

static void do_send(int i)
{
    size_t n = some_length(), at = draw(1000);
    struct iovec iov[4];
    int flags = draw(2) ? MSG_NOSIGNAL : draw(5) ? 0 : MSG_DONTWAIT;
    if (types[i] == SOCK_SEQPACKET && !n)
        n = 1; /* whether an empty one counts as unread depends on the kernel */
    if (!fits(i, 2 * n))
        return;
    switch (draw(4)) {
    case 0:
        note("write %d %zu: %s", i, n, outcome(write(fds[i], data + at, n)));
        break;
    case 1:
        note("send %d %zu %x: %s", i, n, flags, outcome(send(fds[i], data + at, n, flags)));
        break;
    case 2: {
        int parts = cut(iov, data + at, n);
        note("writev %d %zu: %s", i, n, outcome(writev(fds[i], iov, parts)));
        break;
    }
    default: {
        int parts = cut(iov, data + at, n);
        send_message(i, iov, parts, flags);
    }
    }
}

/* ---- receiving ---- */

static char in[sizeof(data)];

/* Descriptors are told apart by number, and by what a poll says of them. */
static int show_control(struct msghdr *h, char *text, size_t size)
{
    int at = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        at += snprintf(text + at, size - (size_t)at, " {%zu %d %d", c->cmsg_len, c->cmsg_level,
                       c->cmsg_type);
        size_t n = c->cmsg_len - sizeof(*c);
        if (c->cmsg_type == SCM_CREDENTIALS && n >= sizeof(struct ucred)) {
            struct ucred *u = (void *)CMSG_DATA(c);
            at += snprintf(text + at, size - (size_t)at, " %s %d %d",
                           u->pid == getpid() ? "mine"
                           : u->pid           ? "other"
                                              : "none",
                           (int)u->uid, (int)u->gid);
        }
        for (size_t k = 0; c->cmsg_type == SCM_RIGHTS && k < n / sizeof(int); k++) {
            int fd = ((int *)(void *)CMSG_DATA(c))[k];
            struct pollfd p = {fd, POLLIN | POLLOUT, 0};
            poll(&p, 1, 0);
            at += snprintf(text + at, size - (size_t)at, " %d:%x:%x", fd, (unsigned)p.revents,
                           (unsigned)fcntl(fd, F_GETFD));
            close(fd);
        }
        at += snprintf(text + at, size - (size_t)at, "}");
    }
    return at;
}

static void receive_message(int i, size_t n, int flags)
{
    static char control[2][400] __attribute__((aligned(8)));
    static const size_t rooms[] = {0, 8, 16, 20, 24, 28, 32, 40, 48, 400, 400, 400};
    struct sockaddr_un a;
    struct iovec iov[4];
    char text[2000] = "";
    struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = iov, .msg_iovlen = (size_t)cut(iov, in, n)}}};
    struct msghdr *h = &m[0].msg_hdr;
    memset(control, 0x55, sizeof(control));
    if (draw(4)) {
        h->msg_control = control[0];
        h->msg_controllen = rooms[draw(12)];
    }
    if (draw(3) == 0) {
        h->msg_name = &a;
        h->msg_namelen = sizeof(a);
    }
    m[1].msg_hdr = *h;
    m[1].msg_hdr.msg_control = h->msg_control ? control[1] : NULL;
    bool many = draw(6) == 0 && (edges || types[i] != SOCK_STREAM);
    long r = many ? recvmmsg(fds[i], m, 2, flags, NULL) : recvmsg(fds[i], h, flags);
    const char *result = outcome(r);
    int got = many ? (int)r : r >= 0, at = 0;
    for (int k = 0; k < got; k++) {
        struct msghdr *g = &m[k].msg_hdr;
        at += snprintf(text + at, sizeof(text) - (size_t)at, " [%u %x %zu %u",
                       many ? m[k].msg_len : 0, (unsigned)g->msg_flags, (size_t)g->msg_controllen,
                       g->msg_name ? g->msg_namelen : 0);
        at += show_control(g, text + at, sizeof(text) - (size_t)at);
        at += snprintf(text + at, sizeof(text) - (size_t)at, "]");
    }
    note("recvmsg %d %d %zu %x: %s %lx%s", i, types[i], n, (unsigned)flags, result,
         many ? 0 : sum(in, r > (long)n ? (long)n : r), text);
}

static void do_receive(int i)
{
    static const int kinds[] = {0,
                                0,
                                0,
                                MSG_PEEK,
                                MSG_PEEK,
                                MSG_WAITALL,
                                MSG_TRUNC,
                                MSG_PEEK | MSG_TRUNC,
                                MSG_CMSG_CLOEXEC,
                                MSG_PEEK | MSG_WAITALL};
    size_t n = some_length();
    int flags = kinds[draw(10)] | (draw(4) ? 0 : MSG_DONTWAIT);
    struct iovec iov[4];
    ssize_t r;
    switch (draw(5)) {
    case 0:
        r = read(fds[i], in, n);
        note("read %d %zu: %s %lx", i, n, outcome(r), sum(in, r));
        break;
    case 1: {
        int parts = cut(iov, in, n);
        r = readv(fds[i], iov, parts);
        note("readv %d %zu: %s %lx", i, n, outcome(r), sum(in, r));
        break;
    }
    case 2:
        r = recv(fds[i], in, n, flags);
        note("recv %d %zu %x: %s %lx", i, n, (unsigned)flags, outcome(r),
             sum(in, r > (long)n ? (long)n : r));
        break;
    default:
        receive_message(i, n, flags);
    }
}

static long drain(int i)
{
    long all = 0;
    ssize_t r;
    if (fds[i] < 0)
        return 0;
    int n = 0;
    while (n++ < 5000 &&
           ((r = recv(fds[i], in, sizeof(in), 0)) > 0 || (r == 0 && types[i] != SOCK_STREAM)))
        all += r;
    return all;
}

/* All that was sent is received, or lost. */
static void do_drain(int i)
{
    long r = drain(i ^ 1);
    note("drain %d: %ld", i, r);
    on_way[i] = 0;
}

/* Until there is no room, and until all is gone again. */
static void do_fill(int i)
{
    static const size_t sizes[] = {1, 100, 4096, 20000, 60000};
    size_t n = sizes[draw(5)];
    struct pollfd p = {fds[i], POLLIN | POLLOUT, 0}, q = {fds[i], POLLIN | POLLOUT, 0};
    long all = 0;
    ssize_t r;
    if (draw(6) || fds[i] < 0 || fds[i ^ 1] < 0)
        return;
    drain(i ^ 1);
    while ((r = send(fds[i], data, n, MSG_NOSIGNAL)) > 0)
        all += r;
    const char *why = outcome(r);
    poll(&p, 1, 0);
    long got = drain(i ^ 1);
    poll(&q, 1, 0);
    note("fill %d %zu: %s %x %x %d", i, n, why, (unsigned)p.revents, (unsigned)q.revents,
         got == all);
    on_way[i] = 0;
}

/* ---- waiting ---- */

static void do_poll(void)
{
    struct pollfd p[8];
    char text[400];
    int n = 1 + (int)draw(8), at = 0;
    for (int i = 0; i < n; i++)
        p[i] = (struct pollfd){fds[some_end()],
                               (short)(draw(4) == 0 ? POLLIN | POLLOUT | POLLRDHUP | POLLPRI
                                       : draw(2)    ? POLLIN
                                                    : POLLOUT),
                               77};
    int r = poll(p, (nfds_t)n, draw(6) ? 0 : 1);
    for (int i = 0; i < n; i++)
        at += snprintf(text + at, sizeof(text) - (size_t)at, " %d:%x", p[i].fd,
                       (unsigned)p[i].revents);
    note("poll %s%s", outcome(r), text);
}

static void do_control(void)
{
    static const uint32_t flags[] = {0, 0, EPOLLET, EPOLLET, EPOLLONESHOT, EPOLLONESHOT | EPOLLET};
    int ep = epolls[draw(EPOLLS)], fd = fds[some_end()], op = 1 + (int)draw(3);
    struct epoll_event ev = {.events = (draw(3) ? EPOLLIN : 0) | (draw(2) ? EPOLLOUT : 0) |
                                       (draw(3) ? 0 : EPOLLRDHUP) | flags[draw(6)] * edges};
    ev.data.u64 = (uint64_t)(unsigned)fd << 32 | draw(100);
    note("ctl %d %d %d %x: %s", ep, op, fd, ev.events, outcome(epoll_ctl(ep, op, fd, &ev)));
}

static int by_data(const void *a, const void *b)
{
    const struct epoll_event *x = a, *y = b;
    return x->data.u64 < y->data.u64 ? -1 : x->data.u64 > y->data.u64;
}

static void do_wait(void)
{
    struct epoll_event ev[MEMBERS];
    char text[1500] = "";
    int ep = epolls[draw(EPOLLS)], at = 0;
    int r = epoll_wait(ep, ev, MEMBERS, draw(6) ? 0 : 1);
    if (r > 0) /* who comes first is not laid down */
        qsort(ev, (size_t)r, sizeof(ev[0]), by_data);
    for (int i = 0; i < r; i++)
        at += snprintf(text + at, sizeof(text) - (size_t)at, " %lx:%x", (long)ev[i].data.u64,
                       ev[i].events);
    note("wait %d: %s%s", ep, outcome(r), text);
}

/* ---- options, and what makes a socket the host's ---- */

static void do_option(int i)
{
    static const int asked[] = {SO_TYPE,       SO_DOMAIN,   SO_PROTOCOL, SO_ERROR,
                                SO_ACCEPTCONN, SO_PASSCRED, SO_RCVTIMEO, SO_SNDTIMEO};
    int on = (int)draw(2), value[4] = {0}, o = asked[draw(8)];
    socklen_t n = draw(4) ? sizeof(value) : draw(20);
    if (draw(3) == 0) {
        if (edges && types[i] != SOCK_STREAM)
            return; /* who sends then gets a name, from the host */
        note("passcred %d %d: %s", i, on,
             outcome(setsockopt(fds[i], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on))));
        return;
    }
    int r = getsockopt(fds[i], SOL_SOCKET, o, value, &n);
    note("option %d %d: %s %d %d %d", i, o, outcome(r), value[0], value[2], (int)n);
}

static void do_names(int i)
{
    struct sockaddr_un a = {0};
    socklen_t n = draw(3) ? sizeof(a) : draw(4);
    bool peer = draw(2);
    long r = peer ? getpeername(fds[i], (void *)&a, &n) : getsockname(fds[i], (void *)&a, &n);
    note("name %d %d: %s %d %d", i, peer, outcome(r), (int)n, a.sun_family);
}

static void do_odd(int i)
{
    int n = -1, one = 1, fd = fds[i], r;
    switch (draw(edges ? 6 : 10)) {
    case 0:
    case 1:
        r = ioctl(fd, FIONREAD, &n);
        note("fionread %d: %s %d", i, outcome(r), n);
        break;
    case 2:
        do_names(i);
        break;
    case 3:
        note("nonblock %d: %s %s", i, outcome(ioctl(fd, FIONBIO, &one)),
             outcome(fcntl(fd, F_GETFL)));
        break;
    case 4: {
        int copy = dup(fd);
        note("dup %d: %s", i, copy < 0 ? errno_name(errno) : "ok");
        if (copy >= 0)
            close(copy);
        break;
    }
    case 5:
        note("listen, accept %d: %s", i, edges ? "" : outcome(accept(fd, NULL, NULL)));
        break;
    case 6: {
        struct stat st;
        if (draw(8) == 0)
            note("fstat %d: %s", i, outcome(fstat(fd, &st)));
        break;
    }
    case 7:
        if (draw(8) == 0)
            note("out of band %d: %s", i, outcome(recv(fd, &n, 1, MSG_OOB)));
        break;
    case 8:
        if (draw(8) == 0)
            note("lowat %d: %s", i, outcome(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, 4)));
        break;
    }
}

static void step(void)
{
    int i = some_end();
    steps_done++;
    errno = 0;
    switch (draw(24)) {
    case 0:
        make();
        break;
    case 1:
        make_other();
        break;
    case 2 ... 7:
        do_send(i);
        break;
    case 8 ... 12:
        do_receive(i);
        break;
    case 13:
        if (on_way[i] >= FEW)
            do_drain(i);
        else
            do_fill(i);
        break;
    case 14:
        if (on_way[i] >= FEW)
            do_drain(i);
        do_option(i);
        break;
    case 15 ... 16:
        do_poll();
        break;
    case 17 ... 18:
        do_control();
        break;
    case 19 ... 20:
        do_wait();
        break;
    case 21:
        do_odd(i);
        break;
    case 22:
        do_shutdown(i);
        break;
    case 23:
        do_close(i);
    }
}

static void run_steps(const char *who, long n)
{
    for (long i = 0; i < n; i++) {
        step();
        if (steps_done % 256 == 0)
            say(who, "%ld %016lx", steps_done, digest);
    }
}

/* The child goes first, then the parent, on the same objects. */
static void fork_and_go_on(void)
{
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        run_steps("child", 300);
        _exit(0);
    }
    int status;
    NEED(waitpid(child, &status, 0) == child);
    show_status("child ended", status);
    for (int i = 0; i < ENDS; i++)
        on_way[i] = FEW; /* the child may have sent */
}

static void fresh(void)
{
    for (int fd = 3; fd < 200; fd++)
        close(fd);
    memset(fds, 0xff, sizeof(fds));
    memset(others, 0xff, sizeof(others));
    for (int i = 0; i < EPOLLS; i++)
        epolls[i] = epoll_create1(0);
}

int main(int argc, char **argv)
{
    const char *steps = getenv("PAIRS_STEPS"), *seed = getenv("PAIRS_SEED");
    long left = steps ? atol(steps) : 100000;
    start(argc, argv);
    show = getenv("PAIRS_SHOW") != NULL;
    signal(SIGPIPE, on_pipe);
    random_state = 0x9e3779b97f4a7c15 ^ (seed ? strtoul(seed, NULL, 0) * 0x100000001 : 0);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + i / 251);
    for (; left > 0; left -= 1000) {
        fresh();
        edges = draw(2);
        run_steps("steps", 700);
        if (!edges && draw(4) == 0)
            fork_and_go_on();
        run_steps("steps", 300);
    }
    return 0;
}
