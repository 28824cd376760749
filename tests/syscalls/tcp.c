/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* TCP over loopback: a server thread in the same program, and clients. */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

static char buf[70000];
static struct sockaddr_in server;

static int listener(int backlog, struct sockaddr_in *at)
{
    socklen_t n = sizeof(*at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    NEED(fd >= 0 && bind(fd, (void *)at, sizeof(*at)) == 0);
    NEED(listen(fd, backlog) == 0 && getsockname(fd, (void *)at, &n) == 0);
    return fd;
}

/* A connected pair, client first. */
static void pair(int listening, int s[2])
{
    s[0] = socket(AF_INET, SOCK_STREAM, 0);
    NEED(s[0] >= 0 && connect(s[0], (void *)&server, sizeof(server)) == 0);
    s[1] = accept(listening, NULL, NULL);
    NEED(s[1] >= 0);
}

static int events(int fd, int asked, int timeout)
{
    struct pollfd f = {fd, (short)asked, 0};
    poll(&f, 1, timeout);
    return f.revents;
}

static void *echo(void *arg)
{
    char block[4096];
    int s = accept(*(int *)arg, NULL, NULL);
    ssize_t n;
    while ((n = recv(s, block, sizeof(block), 0)) > 0)
        for (ssize_t at = 0, k; at < n; at += k)
            if ((k = send(s, block + at, (size_t)(n - at), MSG_NOSIGNAL)) <= 0)
                goto out;
out:
    close(s);
    return NULL;
}

static void echoing(int listening)
{
    pthread_t t;
    struct sockaddr_in peer, own;
    socklen_t n = sizeof(peer);
    int s = (int)OK("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    TRY("FD_CLOEXEC", fcntl(s, F_GETFD));
    TRY("send before connecting", send(s, "x", 1, MSG_NOSIGNAL));
    TRY("recv before connecting", recv(s, buf, 1, 0));
    TRY("getpeername before", getpeername(s, (void *)&peer, &n));
    NEED(pthread_create(&t, NULL, echo, &listening) == 0);
    TRY("connect", connect(s, (void *)&server, sizeof(server)));
    TRY("connect again", connect(s, (void *)&server, sizeof(server)));
    TRY("getpeername", getpeername(s, (void *)&peer, &n));
    CHECK("peer is the server", peer.sin_port == server.sin_port &&
                                    peer.sin_addr.s_addr == server.sin_addr.s_addr && n == 16);
    TRY("getsockname", getsockname(s, (void *)&own, &n));
    CHECK("own address", own.sin_family == AF_INET && own.sin_port != 0 &&
                             own.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    TRY("send", send(s, "hello", 5, 0));
    TRY("recv", recv(s, buf, 5, MSG_WAITALL));
    show_bytes("echo", buf, 5);
    TRY("write", write(s, "abc", 3));
    TRY("read", read(s, buf, 100));
    long total = 0;
    for (int round = 0; round < 30; round++) {
        memset(buf, 'a' + round % 26, 30000);
        NEED(send(s, buf, 30000, 0) == 30000);
        NEED(recv(s, buf, 30000, MSG_WAITALL) == 30000);
        for (int i = 0; i < 30000; i++)
            total += buf[i] == 'a' + round % 26;
    }
    VALUE("echoed bytes right", total);
    TRY("shut down writing", shutdown(s, SHUT_WR));
    TRY("end of stream", recv(s, buf, 10, 0));
    TRY("send after shutdown", send(s, "x", 1, MSG_NOSIGNAL));
    pthread_join(t, NULL);
    close(s);
}

static void flags(int listening)
{
    int s[2], n;
    pair(listening, s);
    TRY("MSG_DONTWAIT, empty", recv(s[0], buf, 1, MSG_DONTWAIT));
    NEED(send(s[1], "abcdef", 6, 0) == 6);
    say("readable", "%#x", (unsigned)events(s[0], POLLIN | POLLOUT | POLLRDHUP, 5000));
    TRY("MSG_PEEK", recv(s[0], buf, 3, MSG_PEEK));
    TRY("FIONREAD", ioctl(s[0], FIONREAD, &n));
    VALUE("bytes", n);
    TRY("after peek", recv(s[0], buf, 2, 0));
    show_bytes("bytes read", buf, 2);
    NEED(fcntl(s[0], F_SETFL, O_NONBLOCK) == 0);
    TRY("rest", recv(s[0], buf, 100, 0));
    TRY("O_NONBLOCK, empty", recv(s[0], buf, 100, 0));
    TRY("MSG_WAITALL|MSG_DONTWAIT", recv(s[0], buf, 100, MSG_WAITALL | MSG_DONTWAIT));
    TRY("recv nothing", recv(s[0], buf, 0, MSG_DONTWAIT));
    NEED(send(s[1], "xyz", 3, 0) == 3 && events(s[0], POLLIN, 5000));
    TRY("MSG_TRUNC discards", recv(s[0], NULL, 2, MSG_TRUNC));
    TRY("left", recv(s[0], buf, 10, 0));
    TRY("ESPIPE", lseek(s[0], 0, SEEK_CUR));
    TRY("pread", pread(s[0], buf, 1, 0));
    TRY("MSG_OOB, none", recv(s[0], buf, 1, MSG_OOB));
    SYS("recv to nowhere", SYS_recvfrom, (send(s[1], "q", 1, 0), events(s[0], POLLIN, 5000), s[0]),
        BAD_LOW, 1L, 0, NULL, NULL);
    TRY("byte is still there", recv(s[0], buf, 10, 0));
    SYS("send from nowhere", SYS_sendto, s[0], BAD_LOW, 1L, MSG_NOSIGNAL, NULL, 0L);
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    NEED(send(s[1], "r", 1, 0) == 1 && events(s[0], POLLIN, 5000));
    TRY("recvfrom", recvfrom(s[0], buf, 10, 0, (void *)&from, &len));
    VALUE("no address on a stream", len);
    TRY("sendto connected with address",
        sendto(s[0], "s", 1, MSG_NOSIGNAL, (void *)&server, sizeof(server)));
    close(s[1]);
    say("peer closed", "%#x", (unsigned)events(s[0], POLLIN | POLLRDHUP, 5000));
    close(s[0]);
}

static void messages(int listening)
{
    int s[2];
    char a[3], b[4];
    pair(listening, s);
    struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cdef", 4}}, in[2] = {{a, 3}, {b, 4}};
    struct msghdr m = {.msg_iov = out, .msg_iovlen = 3};
    TRY("sendmsg", sendmsg(s[0], &m, 0));
    m = (struct msghdr){.msg_iov = in, .msg_iovlen = 2, .msg_flags = 0x7f};
    NEED(events(s[1], POLLIN, 5000));
    TRY("recvmsg", recvmsg(s[1], &m, 0));
    show_bytes("first", a, 3);
    show_bytes("second", b, 3);
    say("flags and lengths", "%#x %d %d", (unsigned)m.msg_flags, (int)m.msg_namelen,
        (int)m.msg_controllen);
    TRY("writev", writev(s[0], out, 3));
    TRY("readv", readv(s[1], in, 2));
    m = (struct msghdr){.msg_iov = in, .msg_iovlen = 2};
    TRY("recvmsg, empty", recvmsg(s[1], &m, MSG_DONTWAIT));
    m.msg_iovlen = IOV_MAX + 1;
    TRY("too many parts", sendmsg(s[0], &m, 0));
    SYS("message nowhere", SYS_sendmsg, s[0], BAD_LOW, 0);
    SYS("parts nowhere", SYS_sendmsg, s[0], (&(struct msghdr){.msg_iov = BAD_LOW, .msg_iovlen = 1}),
        0);
    SYS("recvmsg nowhere", SYS_recvmsg, s[0], BAD_LOW, 0);
    struct mmsghdr two[2] = {{{.msg_iov = out, .msg_iovlen = 1}, 0},
                             {{.msg_iov = out + 2, .msg_iovlen = 1}, 0}};
    TRY("sendmmsg", sendmmsg(s[0], two, 2, 0));
    say("lengths", "%u %u", two[0].msg_len, two[1].msg_len);
    TRY("all of it", recv(s[1], buf, 6, MSG_WAITALL));
    close(s[0]), close(s[1]);
}

static void ends(int listening)
{
    int s[2], status;
    pair(listening, s);
    TRY("shutdown reading", shutdown(s[0], SHUT_RD));
    TRY("recv after it", recv(s[0], buf, 1, 0));
    TRY("shutdown nonsense", shutdown(s[0], 7));
    TRY("shutdown both", shutdown(s[0], SHUT_RDWR));
    say("shut down", "%#x", (unsigned)events(s[0], POLLIN | POLLOUT | POLLRDHUP, 0));
    close(s[0]), close(s[1]);
    pair(listening, s);
    struct linger hard = {1, 0};
    NEED(setsockopt(s[1], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
    close(s[1]);
    say("reset", "%#x", (unsigned)events(s[0], POLLIN | POLLOUT | POLLRDHUP, 5000));
    TRY("recv after reset", recv(s[0], buf, 1, 0));
    TRY("once", recv(s[0], buf, 1, 0));
    TRY("send after reset", send(s[0], buf, 1, MSG_NOSIGNAL));
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        send(s[0], buf, 1, 0);
        _exit(0);
    }
    waitpid(child, &status, 0);
    show_status("without MSG_NOSIGNAL", status);
    close(s[0]);
}

static void connecting(int listening)
{
    struct sockaddr_in closed = server;
    int err = -1, s = listener(1, &closed);
    socklen_t n = sizeof(err);
    close(s);
    s = socket(AF_INET, SOCK_STREAM, 0);
    TRY("refused", connect(s, (void *)&closed, sizeof(closed)));
    close(s);
    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    NEED(connect(s, (void *)&closed, sizeof(closed)) == -1);
    CHECK("nonblocking, refused", errno == EINPROGRESS || errno == ECONNREFUSED);
    if (errno == EINPROGRESS) {
        events(s, POLLOUT, 5000);
        getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &n);
    } else {
        err = ECONNREFUSED;
    }
    say("its error", "%s", errno_name(err));
    close(s);
    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int r = connect(s, (void *)&server, sizeof(server));
    CHECK("nonblocking", r == 0 || errno == EINPROGRESS);
    say("becomes writable", "%#x", (unsigned)events(s, POLLOUT, 5000));
    TRY("SO_ERROR", getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &n));
    VALUE("no error", err);
    close(s);
    close(accept(listening, NULL, NULL));
    s = socket(AF_INET, SOCK_STREAM, 0);
    TRY("short address", connect(s, (void *)&server, 4));
    struct sockaddr_in odd = server;
    odd.sin_family = 77;
    TRY("wrong family", connect(s, (void *)&odd, sizeof(odd)));
    SYS("address nowhere", SYS_connect, s, BAD_LOW, 16);
    TRY("negative length", connect(s, (void *)&server, (socklen_t)-1));
    TRY("connect file", connect(open("f", O_RDWR | O_CREAT, 0600), (void *)&server, 16));
    TRY("connect closed", connect(999, (void *)&server, 16));
    TRY("accept on a client", accept(s, NULL, NULL));
    int flags = fcntl(listening, F_GETFL);
    fcntl(listening, F_SETFL, flags | O_NONBLOCK);
    TRY("accept, nobody there", accept(listening, NULL, NULL));
    fcntl(listening, F_SETFL, flags);
    TRY("accept4 unknown flag", accept4(listening, NULL, NULL, 1));
    TRY("bind twice", bind(listening, (void *)&server, sizeof(server)));
    TRY("address in use", bind(s, (void *)&server, sizeof(server)));
    odd = server;
    odd.sin_addr.s_addr = inet_addr("203.0.113.1");
    odd.sin_port = 0;
    TRY("not our address", bind(s, (void *)&odd, sizeof(odd)));
    TRY("recv on listener", recv(listening, buf, 1, 0));
    TRY("unknown family", socket(99, SOCK_STREAM, 0));
    TRY("unknown type", socket(AF_INET, 99, 0));
    TRY("protocol mismatch", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    TRY("socketpair of AF_INET", socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0, 0}));
    close(s);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int listening = listener(8, &server);
    echoing(listening);
    flags(listening);
    messages(listening);
    ends(listening);
    connecting(listening);
    return 0;
}
