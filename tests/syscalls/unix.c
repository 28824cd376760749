/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* AF_UNIX sockets: names in the file system and abstract ones, datagrams, passed descriptors and
 * credentials, many messages at once. */
#include "check.h"
#include <poll.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static char control[512];

static struct sockaddr_un named(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, path);
    return a;
}

static void show_name(const char *name, const struct sockaddr_un *a, socklen_t len)
{
    size_t at = offsetof(struct sockaddr_un, sun_path);
    char text[200];
    snprintf(text, sizeof(text), "%s (%d bytes)", name, (int)len);
    show_bytes(text, a->sun_path, len > at ? len - at : 0);
}

static void names(void)
{
    struct sockaddr_un a = named("sock"), b;
    socklen_t n = sizeof(b);
    struct stat st;
    char byte = 0;
    int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    NEED(s >= 0 && c >= 0);
    TRY("not there", connect(c, (void *)&a, sizeof(a)));
    TRY("bind", bind(s, (void *)&a, sizeof(a)));
    CHECK("a socket in the tree", stat("sock", &st) == 0 && S_ISSOCK(st.st_mode));
    TRY("own name", getsockname(s, (void *)&b, &n));
    show_name("own name is", &b, n);
    n = 4;
    memset(&b, 0x55, sizeof(b));
    TRY("own name, cut", getsockname(s, (void *)&b, &n));
    say("cut", "%d %x", (int)n, b.sun_path[3]);
    TRY("bind again", bind(s, (void *)&a, sizeof(a)));
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    TRY("name in use", bind(other, (void *)&a, sizeof(a)));
    TRY("nobody listens", connect(c, (void *)&a, sizeof(a)));
    TRY("listen", listen(s, 3));
    TRY("connect", connect(c, (void *)&a, sizeof(a)));
    n = sizeof(b);
    int t = (int)OK("accept", accept(s, (void *)&b, &n));
    show_name("peer without a name", &b, n);
    TRY("write", write(c, "x", 1));
    TRY("read", read(t, &byte, 1));
    put("plain", "text");
    b = named("plain");
    TRY("no socket", connect(other, (void *)&b, sizeof(b)));
    b = named("none/sock");
    TRY("no directory", bind(other, (void *)&b, sizeof(b)));
    TRY("long name", bind(other, (void *)&a, 4096));
    TRY("negative length", bind(other, (void *)&a, (socklen_t)-1));
    TRY("empty", connect(other, (void *)&a, 0));
    TRY("unlink", unlink("sock"));
    TRY("name free again", bind(other, (void *)&a, sizeof(a)));
    close(s);
    close(c);
    close(t);
    close(other);
}

static void abstract(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX}, b;
    socklen_t len =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                    (size_t)snprintf(a.sun_path + 1, 60, "adyton-check-%d", (int)getpid()));
    socklen_t n = sizeof(b);
    int s = socket(AF_UNIX, SOCK_DGRAM, 0), c = socket(AF_UNIX, SOCK_DGRAM, 0);
    char buf[20];
    NEED(s >= 0 && c >= 0);
    TRY("abstract bind", bind(s, (void *)&a, len));
    TRY("abstract name", getsockname(s, (void *)&b, &n));
    CHECK("the same", n == len && memcmp(&a, &b, len) == 0);
    TRY("sendto", sendto(c, "datagram", 8, 0, (void *)&a, len));
    n = sizeof(b);
    TRY("recvfrom", recvfrom(s, buf, 4, 0, (void *)&b, &n));
    say("nameless sender", "%d", (int)n);
    TRY("cut datagram is gone", recv(s, buf, 20, MSG_DONTWAIT));
    TRY("listen on datagrams", listen(s, 1));
    struct sockaddr_un own = named("reply");
    TRY("bind the client", bind(c, (void *)&own, sizeof(own)));
    TRY("sendto again", sendto(c, "again", 5, 0, (void *)&a, len));
    n = sizeof(b);
    TRY("recvfrom a name", recvfrom(s, buf, 20, MSG_TRUNC, (void *)&b, &n));
    CHECK("name ends right", strcmp(b.sun_path + strlen(b.sun_path) - 5, "reply") == 0);
    close(s);
    close(c);
}

static struct msghdr message(struct iovec *iov, size_t control_len)
{
    return (struct msghdr){
        .msg_iov = iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = control_len};
}

static int send_fds(int s, const int *fds, int n)
{
    struct iovec iov = {"r", 1};
    struct msghdr m = message(&iov, CMSG_SPACE(sizeof(int) * (size_t)n));
    memset(control, 0, sizeof(control));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){CMSG_LEN(sizeof(int) * (size_t)n), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)n);
    return (int)sendmsg(s, &m, 0);
}

static int receive_fds(const char *name, int s, int *fds, int room, int flags)
{
    char byte;
    struct iovec iov = {&byte, 1};
    struct msghdr m = message(&iov, room ? CMSG_SPACE(sizeof(int) * (size_t)room) : 0);
    memset(control, 0, sizeof(control));
    TRY(name, recvmsg(s, &m, flags));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int n = c && c->cmsg_type == SCM_RIGHTS ? (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
    say("got", "%d descriptors, control %d bytes, flags %#x", n, (int)m.msg_controllen,
        (unsigned)m.msg_flags);
    if (n)
        memcpy(fds, CMSG_DATA(c), sizeof(int) * (size_t)n);
    return n;
}

static void rights(void)
{
    int s[2], p[2], got[4] = {-1, -1, -1, -1};
    char buf[10] = "";
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && pipe(p) == 0);
    int file = open("passed", O_RDWR | O_CREAT, 0600);
    NEED(file >= 0 && write(file, "content", 7) == 7);
    int fds[4] = {p[1], file, s[0], 999};
    TRY("pass three", send_fds(s[0], fds, 3));
    if (receive_fds("receive three", s[1], got, 4, MSG_CMSG_CLOEXEC) == 3) {
        CHECK("close-on-exec", fcntl(got[0], F_GETFD) == FD_CLOEXEC);
        TRY("write to the passed pipe", write(got[0], "ab", 2));
        TRY("read from it", read(p[0], buf, 10));
        TRY("offset is shared", lseek(got[1], 0, SEEK_CUR));
        TRY("move it", lseek(got[1], 3, SEEK_SET));
        TRY("moved for both", lseek(file, 0, SEEK_CUR));
        TRY("use the passed socket", write(got[2], "s", 1));
        TRY("arrives", read(s[1], buf, 1));
        for (int i = 0; i < 3; i++)
            close(got[i]);
    }
    TRY("pass a closed one", send_fds(s[0], fds + 3, 1));
    TRY("pass two", send_fds(s[0], fds, 2));
    receive_fds("room for one", s[1], got, 1, 0);
    CHECK("not close-on-exec", fcntl(got[0], F_GETFD) == 0);
    close(got[0]);
    TRY("pass one", send_fds(s[0], fds, 1));
    receive_fds("no room", s[1], got, 0, 0);
    TRY("pass the only end", send_fds(s[0], &p[1], 1));
    close(p[1]);
    struct pollfd f = {p[0], POLLIN, 0};
    TRY("end is alive while it travels", poll(&f, 1, 0));
    close(s[0]);
    close(s[1]);
    TRY("and gone with the message", read(p[0], buf, 1));
    close(p[0]);
    close(file);
}

static void credentials(void)
{
    int s[2], on = 1;
    char byte;
    NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0);
    TRY("SO_PASSCRED", setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    struct iovec iov = {"c", 1};
    struct msghdr m = message(&iov, CMSG_SPACE(sizeof(struct ucred)));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    struct ucred u = {getpid(), getuid(), getgid()}, got = {0};
    *c = (struct cmsghdr){CMSG_LEN(sizeof(u)), SOL_SOCKET, SCM_CREDENTIALS};
    memcpy(CMSG_DATA(c), &u, sizeof(u));
    TRY("send credentials", sendmsg(s[0], &m, 0));
    iov.iov_base = &byte;
    m = message(&iov, sizeof(control));
    TRY("receive them", recvmsg(s[1], &m, 0));
    c = CMSG_FIRSTHDR(&m);
    if (c)
        memcpy(&got, CMSG_DATA(c), sizeof(got));
    CHECK("the same ids", memcmp(&got, &u, sizeof(u)) == 0);
    socklen_t n = sizeof(got);
    TRY("SO_PEERCRED", getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &got, &n));
    CHECK("pid", got.pid == getpid());
    close(s[0]);
    close(s[1]);
}

static void many(void)
{
    int s[2];
    char text[3][8] = {"one", "three", "seven77"}, in[4][8] = {""};
    struct iovec out_iov[3], in_iov[4];
    struct mmsghdr out[3] = {0}, v[4] = {0};
    NEED(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) == 0);
    for (int i = 0; i < 3; i++) {
        out_iov[i] = (struct iovec){text[i], strlen(text[i])};
        out[i].msg_hdr = (struct msghdr){.msg_iov = &out_iov[i], .msg_iovlen = 1};
    }
    for (int i = 0; i < 4; i++) {
        in_iov[i] = (struct iovec){in[i], 7};
        v[i].msg_hdr = (struct msghdr){.msg_iov = &in_iov[i], .msg_iovlen = 1};
    }
    TRY("sendmmsg", sendmmsg(s[0], out, 3, 0));
    say("sent", "%u %u %u", out[0].msg_len, out[1].msg_len, out[2].msg_len);
    TRY("recvmmsg", recvmmsg(s[1], v, 4, MSG_WAITFORONE, NULL));
    say("received", "%u %s %u %s %u %s", v[0].msg_len, in[0], v[1].msg_len, in[1], v[2].msg_len,
        in[2]);
    TRY("none left", recvmmsg(s[1], v, 4, MSG_DONTWAIT, NULL));
    struct timespec t = {0, 1000000000};
    TRY("bad time", recvmmsg(s[1], v, 4, MSG_DONTWAIT, &t));
    out[1].msg_hdr.msg_iov = BAD_LOW;
    TRY("second one is bad", sendmmsg(s[0], out, 3, 0));
    out[0].msg_hdr.msg_iovlen = 1025;
    TRY("too many buffers", sendmsg(s[0], &out[0].msg_hdr, 0));
    SYS("message nowhere", SYS_sendmsg, s[0], BAD_LOW, 0);
    close(s[0]);
    close(s[1]);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    names();
    abstract();
    rights();
    credentials();
    many();
    TRY("unknown family", socket(99, SOCK_STREAM, 0));
    TRY("unknown type", socket(AF_UNIX, 15, 0));
    TRY("unknown flag", socket(AF_UNIX, SOCK_STREAM | 0x100000, 0));
    TRY("unknown protocol", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    SYS("pair nowhere", SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, BAD_LOW);
    return 0;
}
