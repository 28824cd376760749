/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* AF_UNIX between processes: datagrams and packets, generated and relative names, who the peer is,
 * descriptors of every kind, queues that fill up, ends that go away. */
#include "check.h"
#include <dirent.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#define AT offsetof(struct sockaddr_un, sun_path)

static char buf[300000], control[4096];

static void give_up_administration(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    NEED(syscall(SYS_capget, &header, data) == 0);
    data[0].effective &= ~(1U << CAP_SYS_ADMIN);
    NEED(syscall(SYS_capset, &header, data) == 0);
}

static struct sockaddr_un named(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
    return a;
}

static int bind_to(int type, const char *path)
{
    struct sockaddr_un a = named(path);
    int s = socket(AF_UNIX, type, 0);
    NEED(s >= 0 && bind(s, (void *)&a, sizeof(a)) == 0);
    return s;
}

static long to(int s, const char *path, const char *text)
{
    struct sockaddr_un a = named(path);
    return sendto(s, text, strlen(text), MSG_DONTWAIT, (void *)&a, sizeof(a));
}

static void from(const char *name, int s, size_t room)
{
    struct sockaddr_un a;
    socklen_t n = sizeof(a);
    memset(&a, 0, sizeof(a));
    long r = recvfrom(s, buf, room, MSG_DONTWAIT | MSG_TRUNC, (void *)&a, &n);
    if (r < 0)
        report(name, r);
    else
        say(name, "%ld from '%s' (%d)", r, n > AT ? a.sun_path : "", (int)n);
}

static void datagrams(void)
{
    int a = bind_to(SOCK_DGRAM, "a"), b = bind_to(SOCK_DGRAM, "b"),
        none = socket(AF_UNIX, SOCK_DGRAM, 0);
    TRY("send", to(a, "b", "hello"));
    from("receive", b, 99);
    TRY("from nobody", to(none, "b", "anonymous"));
    from("nobody", b, 4);
    TRY("empty", to(a, "b", ""));
    from("empty one", b, 99);
    TRY("to nothing", to(a, "nothing", "x"));
    TRY("to a file", (put("file", ""), to(a, "file", "x")));
    struct sockaddr_un name = named("b");
    TRY("connect", connect(a, (void *)&name, sizeof(name)));
    TRY("connected send", send(a, "one", 3, 0));
    TRY("other than the peer's only", to(none, "a", "stranger"));
    from("from a", b, 99);
    TRY("b answers", to(b, "a", "answer"));
    from("answer", a, 99);
    TRY("disconnect",
        connect(a, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr)));
    TRY("no peer", send(a, "x", 1, 0));
    NEED(connect(a, (void *)&name, sizeof(name)) == 0);
    close(b);
    TRY("receiver closed", send(a, "x", 1, 0));
    TRY("name stays", to(none, "b", "x"));
    TRY("rename", rename("a", "moved"));
    TRY("by the new name", to(none, "moved", "renamed"));
    from("renamed", a, 99);
    socklen_t n = sizeof(name);
    NEED(getsockname(a, (void *)&name, &n) == 0);
    say("still called", "%s", name.sun_path);
    TRY("link", link("moved", "second"));
    TRY("by a second name", to(none, "second", "linked"));
    from("linked", a, 99);
    TRY("symlink", symlink("moved", "soft"));
    TRY("by a symbolic link", to(none, "soft", "soft"));
    from("soft", a, 99);
    int i = 0;
    for (; i < 5000 && to(none, "moved", "fill") == 4; i++)
        ;
    report("queue full", -1);
    VALUE("queue length", i);
    struct pollfd p = {none, POLLOUT, 0};
    NEED(connect(none, (void *)&(struct sockaddr_un){AF_UNIX, "moved"}, sizeof(name)) == 0);
    VALUE("writable", poll(&p, 1, 0));
    from("make room", a, 99);
    VALUE("writable then", poll(&p, 1, 1000));
    close(a), close(none);
}

static void generated(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX}, b;
    socklen_t n = sizeof(b);
    int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    TRY("bind without a name", bind(s, (void *)&a, AT));
    TRY("name", getsockname(s, (void *)&b, &n));
    say("generated", "%d bytes, %d first", (int)n, b.sun_path[0]);
    NEED(listen(s, 1) == 0);
    TRY("connect to it", connect(c, (void *)&b, n));
    struct sockaddr_un peer;
    socklen_t m = sizeof(peer);
    TRY("getpeername", getpeername(c, (void *)&peer, &m));
    CHECK("the same", m == n && memcmp(&peer, &b, n) == 0);
    a.sun_path[0] = 0;
    memcpy(a.sun_path + 1, "\0x\0", 3);
    a.sun_path[4] = (char)getpid();
    memcpy(a.sun_path + 5, &(int){getpid()}, 4);
    int t = socket(AF_UNIX, SOCK_STREAM, 0);
    TRY("NULs in an abstract name", bind(t, (void *)&a, AT + 9));
    n = sizeof(b);
    NEED(getsockname(t, (void *)&b, &n) == 0);
    VALUE("length", n - AT);
    memset(a.sun_path + 9, 'f', sizeof(a.sun_path) - 9);
    int full = socket(AF_UNIX, SOCK_DGRAM, 0);
    TRY("longest abstract name", bind(full, (void *)&a, sizeof(a)));
    n = sizeof(b);
    NEED(getsockname(full, (void *)&b, &n) == 0);
    VALUE("longest", n - AT);
    memset(a.sun_path, 'p', sizeof(a.sun_path));
    int path = socket(AF_UNIX, SOCK_DGRAM, 0);
    TRY("longest path", bind(path, (void *)&a, sizeof(a)));
    n = sizeof(b);
    NEED(getsockname(path, (void *)&b, &n) == 0);
    VALUE("longest path is", n - AT);
    close(s), close(c), close(t), close(full), close(path);
}

static void relative(void)
{
    int err;
    NEED(mkdir("dir", 0700) == 0 && chdir("dir") == 0);
    int s = bind_to(SOCK_STREAM, "here");
    NEED(listen(s, 5) == 0 && chdir("..") == 0);
    struct sockaddr_un a = named("dir/here"), b;
    socklen_t n = sizeof(b);
    int c = socket(AF_UNIX, SOCK_STREAM, 0);
    TRY("from another directory", connect(c, (void *)&a, sizeof(a)));
    NEED(getpeername(c, (void *)&b, &n) == 0);
    say("peer as it was bound", "%s (%d)", b.sun_path, (int)n);
    TRY("by way of ..",
        connect(socket(AF_UNIX, SOCK_STREAM, 0),
                (void *)&(struct sockaddr_un){AF_UNIX, "dir/../dir/./here"}, sizeof(a)));
    TRY("connected already", connect(c, (void *)&a, sizeof(a)));
    TRY("a datagram to a stream", connect(socket(AF_UNIX, SOCK_DGRAM, 0), (void *)&a, sizeof(a)));
    TRY("chmod", chmod("dir/here", 0600));
    struct stat st;
    NEED(stat("dir/here", &st) == 0);
    say("mode", "%o", st.st_mode);
    TRY("open", open("dir/here", O_RDONLY));
    TRY("directory not empty", rmdir("dir"));
    TRY("through a missing directory",
        connect(c, (void *)&(struct sockaddr_un){AF_UNIX, "no/here"}, sizeof(a)));
    TRY("through a file", connect(socket(AF_UNIX, SOCK_STREAM, 0),
                                  (void *)&(struct sockaddr_un){AF_UNIX, "file/here"}, sizeof(a)));
    TRY("umask", (umask(077), bind(err = socket(AF_UNIX, SOCK_STREAM, 0),
                                   (void *)&(struct sockaddr_un){AF_UNIX, "masked"}, sizeof(a))));
    NEED(stat("masked", &st) == 0);
    say("mode under umask", "%o", st.st_mode);
    umask(022);
    DIR *d = opendir(".");
    int sockets = 0;
    for (struct dirent *e; (e = readdir(d));)
        sockets += e->d_type == DT_SOCK;
    closedir(d);
    VALUE("sockets listed", sockets);
    close(s), close(c), close(err);
}

static void backlog(void)
{
    int s = bind_to(SOCK_STREAM, "backlog"), i = 0, c[10];
    struct sockaddr_un a = named("backlog");
    NEED(listen(s, 2) == 0);
    for (; i < 10; i++) {
        c[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(c[i], (void *)&a, sizeof(a)) != 0)
            break;
    }
    report("backlog full", -1);
    VALUE("connected", i);
    NEED(write(c[0], "early", 5) == 5);
    int t = (int)OK("accept4", accept4(s, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    CHECK("flags", fcntl(t, F_GETFL) & O_NONBLOCK && fcntl(t, F_GETFD) == FD_CLOEXEC);
    TRY("written before", read(t, buf, 10));
    TRY("nothing more", read(t, buf, 10));
    TRY("room again", connect(c[i], (void *)&a, sizeof(a)));
    close(s);
    TRY("never accepted", read(c[1], buf, 1));
    TRY("write to it", send(c[1], "x", 1, MSG_NOSIGNAL));
    TRY("connect after close", connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, sizeof(a)));
    TRY("unlink", unlink("backlog"));
    close(t);
    TRY("peer gone", read(c[0], buf, 1));
    while (i >= 0)
        close(c[i--]);
}

static void packets(void)
{
    int s[2], status;
    NEED(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) == 0);
    TRY("write packets", write(s[0], "first", 5) + write(s[0], "second", 6));
    struct iovec iov[2] = {{buf, 2}, {buf + 10, 2}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    TRY("scattered and cut", recvmsg(s[1], &m, 0));
    say("flags", "%#x", (unsigned)m.msg_flags);
    TRY("peek", recv(s[1], buf, 99, MSG_PEEK));
    TRY("second", read(s[1], buf, 99));
    TRY("too large", send(s[0], buf, sizeof(buf), MSG_DONTWAIT));
    TRY("end of record", send(s[0], "eor", 3, MSG_EOR));
    m = (struct msghdr){.msg_iov = iov, .msg_iovlen = 2};
    TRY("record", recvmsg(s[1], &m, 0));
    TRY("shutdown", shutdown(s[0], SHUT_WR));
    TRY("end", read(s[1], buf, 9));
    TRY("write after shutdown", send(s[0], "x", 1, MSG_NOSIGNAL));
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        if (write(s[0], "x", 1)) {
        }
        _exit(0);
    }
    waitpid(child, &status, 0);
    show_status("SIGPIPE", status);
    close(s[0]), close(s[1]);
    int l = bind_to(SOCK_SEQPACKET, "packets"), c = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    struct sockaddr_un a = named("packets");
    NEED(listen(l, 1) == 0);
    TRY("connect packets", connect(c, (void *)&a, sizeof(a)));
    int t = accept(l, NULL, NULL);
    TRY("empty packet", send(c, "", 0, 0));
    TRY("its length", recv(t, buf, 9, MSG_DONTWAIT));
    TRY("stream to packets", connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, sizeof(a)));
    close(l), close(c), close(t);
}

/* Sends descriptors with credentials; n = 0: credentials only. */
static long pass(int s, const int *fds, int n, struct ucred *cred)
{
    struct iovec iov = {"p", 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};
    memset(control, 0, sizeof(control));
    m.msg_controllen = (n ? CMSG_SPACE(4 * (size_t)n) : 0) + (cred ? CMSG_SPACE(sizeof(*cred)) : 0);
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (n) {
        *h = (struct cmsghdr){CMSG_LEN(4 * (size_t)n), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(h), fds, 4 * (size_t)n);
        h = cred ? (void *)((char *)h + CMSG_SPACE(4 * (size_t)n)) : NULL;
    }
    if (cred) {
        *h = (struct cmsghdr){CMSG_LEN(sizeof(*cred)), SOL_SOCKET, SCM_CREDENTIALS};
        memcpy(CMSG_DATA(h), cred, sizeof(*cred));
    }
    return sendmsg(s, &m, MSG_DONTWAIT);
}

/* Receives one message; shows its control data; descriptors to fds. */
static int receive(const char *name, int s, int *fds, int flags, pid_t pid)
{
    char byte;
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    int n = 0;
    TRY(name, recvmsg(s, &m, flags));
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        if (h->cmsg_type == SCM_RIGHTS) {
            n = (int)(h->cmsg_len - CMSG_LEN(0)) / 4;
            memcpy(fds, CMSG_DATA(h), 4 * (size_t)n);
            VALUE("descriptors", n);
        } else if (h->cmsg_type == SCM_CREDENTIALS) {
            struct ucred *u = (void *)CMSG_DATA(h);
            say("credentials", "pid %d uid %d gid %d", u->pid == pid, u->uid == getuid(),
                u->gid == getgid());
        } else {
            say("other", "%d %d", h->cmsg_level, h->cmsg_type);
        }
    }
    return n;
}

static void objects(void)
{
    int s[2], p[2], u[2], got[300], e = eventfd(7, 0), t = timerfd_create(CLOCK_MONOTONIC, 0),
                                    ep = epoll_create1(0);
    int dir = open("dir", O_RDONLY | O_DIRECTORY), null = open("/dev/null", O_RDWR),
        path = open("file", O_PATH);
    uint64_t count = 0;
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && pipe(p) == 0 &&
         socketpair(AF_UNIX, SOCK_DGRAM, 0, u) == 0);
    NEED(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &(struct epoll_event){.events = EPOLLIN}) == 0);
    TRY("eventfd, timerfd, epoll", pass(s[0], (int[]){e, t, ep}, 3, NULL));
    if (receive("received", s[1], got, 0, 0) == 3) {
        TRY("read eventfd", read(got[0], &count, 8));
        VALUE("count", count);
        struct itimerspec it = {.it_value.tv_nsec = 1000000};
        TRY("arm timer", timerfd_settime(got[1], 0, &it, NULL));
        TRY("it fires for the other", read(t, &count, 8));
        NEED(write(p[1], "x", 1) == 1);
        struct epoll_event ev;
        TRY("wait on the passed epoll", epoll_wait(got[2], &ev, 1, 1000));
        TRY("add to the passed epoll",
            epoll_ctl(got[2], EPOLL_CTL_ADD, u[0], &(struct epoll_event){.events = EPOLLOUT}));
        TRY("seen by both", epoll_wait(ep, (struct epoll_event[2]){0}, 2, 0));
        TRY("fcntl", fcntl(got[2], F_GETFL) & O_ACCMODE);
    }
    TRY("directory, device, path", pass(s[0], (int[]){dir, null, path}, 3, NULL));
    if (receive("received those", s[1], got, 0, 0) == 3) {
        struct stat st, other;
        TRY("fstat", fstat(got[0], &st));
        CHECK("the directory",
              fstat(dir, &other) == 0 && st.st_ino == other.st_ino && S_ISDIR(st.st_mode));
        OK("openat below it", openat(got[0], "here", O_PATH));
        TRY("fchdir", fchdir(got[0]) || chdir(".."));
        TRY("write to null", write(got[1], "x", 1));
        TRY("read a path", read(got[2], &count, 1));
    }
    TRY("a socket through itself", pass(s[0], s, 2, NULL));
    receive("received them", s[1], got, 0, 0);
    for (int i = 0; i < 300; i++)
        got[i] = null;
    TRY("253", pass(s[0], got, 253, NULL));
    VALUE("received", receive("253", s[1], got, 0, 0));
    for (int i = 0; i < 253; i++)
        close(got[i]);
    for (int i = 0; i < 300; i++)
        got[i] = null;
    TRY("254", pass(s[0], got, 254, NULL));
    TRY("with peek", pass(s[0], &p[1], 1, NULL));
    receive("peeked", s[1], got, MSG_PEEK, 0);
    TRY("peeked one works", write(got[0], "y", 1));
    receive("then taken", s[1], got + 1, 0, 0);
    CHECK("two descriptors", got[0] != got[1]);
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    TRY("over UDP", pass(udp, &null, 1, NULL));
    TRY("over a pipe", pass(p[1], &null, 1, NULL));
    struct ucred me = {getpid(), getuid(), getgid()};
    TRY("both kinds", pass(u[0], &null, 1, &me));
    TRY("SO_PASSCRED", setsockopt(u[1], SOL_SOCKET, SO_PASSCRED, &(int){1}, 4));
    receive("both", u[1], got, MSG_CMSG_CLOEXEC, getpid());
    me.pid = fork();
    NEED(me.pid >= 0);
    if (me.pid == 0)
        for (;;)
            pause();
    give_up_administration(); /* as which root may name others; inside nobody may */
    TRY("another's pid", pass(u[0], NULL, 0, &me));
    kill(me.pid, SIGKILL);
    waitpid(me.pid, NULL, 0);
    TRY("nobody's pid", pass(u[0], NULL, 0, &me));
    close(s[0]), close(s[1]);
}

static void other_process(void)
{
    int s[2], go[2], got[4], status;
    struct ucred u = {0};
    socklen_t n = sizeof(u);
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && pipe(go) == 0);
    TRY("SO_PASSCRED", setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &(int){1}, 4));
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        int l = bind_to(SOCK_STREAM, "child");
        NEED(listen(l, 1) == 0);
        int file = open("child-file", O_RDWR | O_CREAT, 0600);
        NEED(write(file, "from the child", 14) == 14 && lseek(file, 5, SEEK_SET) == 5);
        NEED(pass(s[1], (int[]){file, l}, 2, NULL) == 1);
        int c = accept(l, NULL, NULL);
        struct ucred peer;
        NEED(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0);
        NEED(pass(c, NULL, 0, &(struct ucred){getpid(), getuid(), getgid()}) == 1);
        bool known = peer.pid == parent && peer.uid == getuid();
        _exit(read(c, buf, 1) == 0 && known ? 3 : 4);
    }
    if (receive("from the child", s[0], got, 0, child) == 2) {
        TRY("its file", read(got[0], buf, 99));
        show_bytes("text", buf, 9);
        struct sockaddr_un a;
        socklen_t len = sizeof(a);
        TRY("its listener's name", getsockname(got[1], (void *)&a, &len));
        say("name", "%s", a.sun_path);
    }
    struct sockaddr_un a = named("child");
    int c = socket(AF_UNIX, SOCK_STREAM, 0);
    NEED(setsockopt(c, SOL_SOCKET, SO_PASSCRED, &(int){1}, 4) == 0);
    TRY("connect", connect(c, (void *)&a, sizeof(a)));
    TRY("SO_PEERCRED", getsockopt(c, SOL_SOCKET, SO_PEERCRED, &u, &n));
    CHECK("parent sees the child", u.pid == child && u.uid == getuid() && u.gid == getgid());
    char groups[4096];
    n = sizeof(groups);
    TRY("SO_PEERGROUPS",
        getsockopt(c, SOL_SOCKET, SO_PEERGROUPS, groups, &n) == 0 || errno == ERANGE);
    receive("over the connection", c, got, 0, child);
    close(c);
    waitpid(child, &status, 0);
    show_status("child", status);
    TRY("the listener outlives it",
        connect(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), (void *)&a, sizeof(a)));
    close(s[0]), close(s[1]);
}

static void streams(void)
{
    int s[2], sum = 0;
    NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s) == 0);
    TRY("flags", fcntl(s[0], F_GETFD) == FD_CLOEXEC && fcntl(s[1], F_GETFL) & O_NONBLOCK);
    long full = 0, r;
    while ((r = write(s[0], buf, 4096)) > 0)
        full += r;
    report("full", r);
    CHECK("some room", full >= 65536);
    while ((r = read(s[1], buf, sizeof(buf))) > 0)
        sum += (int)r;
    CHECK("all arrives", sum == full);
    TRY("MSG_OOB", send(s[0], "o", 1, MSG_OOB) == 1 || errno == EOPNOTSUPP);
    while (recv(s[1], buf, 9, MSG_OOB) > 0 || read(s[1], buf, 9) > 0)
        ;
    NEED(write(s[0], "peeked", 6) == 6);
    TRY("SO_PEEK_OFF", setsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &(int){2}, 4));
    TRY("peek on", recv(s[1], buf, 2, MSG_PEEK));
    show_bytes("third and fourth", buf, 2);
    TRY("peek further", recv(s[1], buf, 9, MSG_PEEK));
    NEED(setsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &(int){-1}, 4) == 0);
    TRY("all of it", recv(s[1], buf, 6, MSG_WAITALL));
    TRY("dontwait", recv(s[1], buf, 6, MSG_DONTWAIT));
    TRY("shutdown both", shutdown(s[0], SHUT_RDWR));
    struct pollfd p = {s[1], POLLIN | POLLOUT | POLLRDHUP, 0};
    poll(&p, 1, 0);
    say("events", "%#x", (unsigned)p.revents);
    TRY("no sendto with a name",
        sendto(s[0], "x", 1, MSG_NOSIGNAL, (void *)&(struct sockaddr_un){AF_UNIX, "file"}, 7));
    close(s[1]);
    TRY("after all", read(s[0], buf, 1));
    close(s[0]);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    datagrams();
    generated();
    relative();
    backlog();
    packets();
    objects();
    other_process();
    streams();
    return 0;
}
