/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Files between processes: locks of every kind, appending, offsets, mappings, seals, FIFOs,
 * watches.
 */
#include "check.h"
#include <pthread.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

static volatile sig_atomic_t came;

static void on_signal(int sig)
{
    came = sig;
}

/* Runs `fn` in a child and waits; prints how it ended unless that is exit 0. */
static void in_child(void (*fn)(int), int arg)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        fn(arg);
        _exit(0);
    }
    waitpid(child, &status, 0);
    if (status)
        show_status("child", status);
}

static long record(int fd, int cmd, short type, off_t start, off_t len)
{
    struct flock l = {.l_type = type, .l_start = start, .l_len = len};
    long r = fcntl(fd, cmd, &l);
    if (r == 0 && (cmd == F_GETLK || cmd == F_OFD_GETLK))
        say("lock there", "type %d start %ld len %ld pid %s", l.l_type, (long)l.l_start,
            (long)l.l_len,
            l.l_pid == -1          ? "none"
            : l.l_pid == getppid() ? "the parent"
            : l.l_pid == getpid()  ? "ours"
                                   : "other");
    return r;
}

static void other_locks(int fd)
{
    TRY("child: write lock", record(fd, F_SETLK, F_WRLCK, 0, 10));
    TRY("child: read lock", record(fd, F_SETLK, F_RDLCK, 0, 10));
    TRY("child: behind it", record(fd, F_SETLK, F_WRLCK, 10, 10));
    TRY("child: ask", record(fd, F_GETLK, F_WRLCK, 0, 0));
    TRY("child: OFD", record(fd, F_OFD_SETLK, F_WRLCK, 0, 10));
    TRY("child: OFD ask", record(fd, F_OFD_GETLK, F_WRLCK, 0, 0));
}

static void wait_for_lock(int fd)
{
    struct flock l = {.l_type = F_WRLCK, .l_len = 10};
    handle(SIGALRM, on_signal, 0);
    ualarm(20000, 20000);
    TRY("child: wait, interrupted", fcntl(fd, F_SETLKW, &l));
    VALUE("by", came);
    TRY("child: flock waits, interrupted", flock(open("lock", O_RDWR), LOCK_EX));
}

static void record_locks(void)
{
    int fd = open("lock", O_RDWR | O_CREAT, 0600), other = open("lock", O_RDWR), status;
    NEED(fd >= 0 && other >= 0 && write(fd, "0123456789", 10) == 10);
    TRY("write lock", record(fd, F_SETLK, F_WRLCK, 0, 10));
    TRY("same process, other description", record(other, F_SETLK, F_WRLCK, 0, 5));
    in_child(other_locks, fd);
    TRY("shrunk to a read lock", record(fd, F_SETLK, F_RDLCK, 0, 5));
    in_child(other_locks, fd);
    close(other);
    in_child(other_locks, fd); /* closing any descriptor dropped all */
    TRY("OFD lock", record(fd, F_OFD_SETLK, F_WRLCK, 0, 10));
    in_child(other_locks, fd); /* inherited: its own */
    other = open("lock", O_RDWR);
    TRY("OFD, other description", record(other, F_OFD_SETLK, F_WRLCK, 0, 10));
    TRY("OFD, ask", record(other, F_OFD_GETLK, F_RDLCK, 0, 0));
    in_child(other_locks, other);
    struct flock bad = {.l_type = F_WRLCK, .l_pid = 1};
    TRY("OFD with a pid", fcntl(fd, F_OFD_SETLK, &bad));
    TRY("OFD unlock", record(fd, F_OFD_SETLK, F_UNLCK, 0, 0));
    TRY("flock", flock(fd, LOCK_EX));
    TRY("flock, other description", flock(other, LOCK_EX | LOCK_NB));
    TRY("record locks are others", record(other, F_SETLK, F_WRLCK, 0, 10));
    in_child(wait_for_lock, fd);
    TRY("flock shared", flock(fd, LOCK_SH));
    TRY("flock shared, other", flock(other, LOCK_SH | LOCK_NB));
    TRY("flock up", flock(other, LOCK_EX | LOCK_NB));
    TRY("flock undone", flock(fd, LOCK_UN));
    pid_t child = fork();
    if (child == 0) { /* an inherited flock is the same lock */
        TRY("child: flock up", flock(other, LOCK_EX | LOCK_NB));
        _exit(0);
    }
    waitpid(child, &status, 0);
    TRY("still held", flock(fd, LOCK_SH | LOCK_NB));
    close(other);
    TRY("gone with the last descriptor", flock(fd, LOCK_EX | LOCK_NB));
    /* Two processes wait for each other. */
    int p[2];
    char c;
    NEED(pipe(p) == 0);
    record(fd, F_SETLK, F_UNLCK, 0, 0);
    NEED(record(fd, F_SETLK, F_WRLCK, 0, 1) == 0);
    child = fork();
    if (child == 0) {
        NEED(record(fd, F_SETLK, F_WRLCK, 1, 1) == 0);
        (void)!write(p[1], "x", 1);
        long r = record(fd, F_SETLKW, F_WRLCK, 0, 1);
        _exit(r == 0 ? 0 : errno == EDEADLK ? 7 : 8);
    }
    NEED(read(p[0], &c, 1) == 1);
    sleep_ms(50);
    bool told = record(fd, F_SETLKW, F_WRLCK, 1, 1) == -1 && errno == EDEADLK;
    record(fd, F_SETLK, F_UNLCK, 0, 0);
    waitpid(child, &status, 0);
    VALUE("one of them is told", told + (status == 7 << 8));
    CHECK("the other got it", status == 0 || status == 7 << 8);
    TRY("death unlocked", record(fd, F_SETLK, F_WRLCK, 0, 0));
    child = fork();
    if (child == 0) {
        NEED(flock(open("lock", O_RDWR), LOCK_EX | LOCK_NB) == -1);
        flock(fd, LOCK_UN);
        NEED(flock(open("lock", O_RDWR), LOCK_EX) == 0);
        (void)!write(p[1], "x", 1);
        for (;;)
            pause();
    }
    NEED(read(p[0], &c, 1) == 1);
    kill(child, SIGKILL);
    TRY("flock of a killed process", flock(fd, LOCK_EX));
    waitpid(child, &status, 0);
    TRY("lockf", lockf(fd, F_TEST, 5));
    TRY("beyond the start", record(fd, F_SETLK, F_WRLCK, -5, 1));
    TRY("bad type", record(fd, F_SETLK, 9, 0, 1));
    int ro = open("lock", O_RDONLY);
    TRY("write lock on a reader", record(ro, F_SETLK, F_WRLCK, 0, 1));
    TRY("flock on a reader", flock(ro, LOCK_SH | LOCK_NB));
    TRY("lease", fcntl(ro, F_GETLEASE));
    close(ro), close(fd), close(p[0]), close(p[1]);
}

static void append_many(int fd)
{
    for (int i = 0; i < 200; i++)
        if (write(fd, "0123456789abcdef\n", 17) != 17)
            _exit(1);
}

static void appending(void)
{
    int status, good = 0;
    char line[17];
    int shared = open("append", O_WRONLY | O_CREAT | O_APPEND, 0600);
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            append_many(i % 2 ? shared : open("append", O_WRONLY | O_APPEND));
            _exit(0);
        }
    while (wait(&status) > 0)
        good += status == 0;
    VALUE("four wrote", good);
    int fd = open("append", O_RDONLY);
    good = 0;
    while (read(fd, line, 17) == 17)
        good += memcmp(line, "0123456789abcdef\n", 17) == 0;
    VALUE("whole lines", good);
    TRY("end", lseek(fd, 0, SEEK_CUR));
    lseek(fd, 100, SEEK_SET);
    pid_t child = fork();
    if (child == 0) {
        lseek(fd, 17, SEEK_CUR);
        fcntl(shared, F_SETFL, 0);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    TRY("offset moved by the child", lseek(fd, 0, SEEK_CUR));
    VALUE("flags changed by the child", fcntl(shared, F_GETFL) & O_APPEND);
    lseek(shared, 0, SEEK_SET);
    TRY("written by the child", (in_child(append_many, shared), lseek(shared, 0, SEEK_CUR)));
    close(fd), close(shared);
}

static void mappings(void)
{
    int status, fd = open("map", O_RDWR | O_CREAT, 0600);
    NEED(ftruncate(fd, 3 * PAGE) == 0);
    volatile int *anon =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    volatile int *file = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    volatile int *private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    private[1] = 5;
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 1000; i++)
            __atomic_fetch_add((int *)anon, 1, __ATOMIC_SEQ_CST);
        file[0] = 77;
        file[PAGE / 4] = 78;
        private[1]++;
        pid_t inner = fork();
        if (inner == 0) {
            anon[1] = file[0] + private[1];
            _exit(0);
        }
        waitpid(inner, NULL, 0);
        _exit(private[1]);
    }
    for (int i = 0; i < 1000; i++)
        __atomic_fetch_add((int *)anon, 1, __ATOMIC_SEQ_CST);
    waitpid(child, &status, 0);
    show_status("private is the child's", status);
    say("shared memory", "%d %d, file %d %d, private %d", anon[0], anon[1], file[0], file[PAGE / 4],
        private[1]);
    int value = 0;
    TRY("read() sees it", pread(fd, &value, 4, PAGE));
    VALUE("value", value);
    value = 99;
    TRY("write() is seen", pwrite(fd, &value, 4, 2 * PAGE));
    VALUE("in the mapping", file[2 * PAGE / 4]);
    /* A futex in memory that is shared. */
    pthread_mutex_t *m =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(m, &a);
    int *n = (int *)(m + 1);
    for (int i = 0; i < 3; i++)
        if (fork() == 0) {
            for (int k = 0; k < 2000; k++) {
                pthread_mutex_lock(m);
                ++*n;
                pthread_mutex_unlock(m);
            }
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
    VALUE("counted under a mutex", *n);
    child = fork();
    if (child == 0) {
        pthread_mutex_lock(m);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    VALUE("owner died", pthread_mutex_lock(m) == EOWNERDEAD);
    close(fd);
}

static void seals(void)
{
    int status, fd = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    NEED(fd >= 0 && ftruncate(fd, PAGE) == 0);
    TRY("none yet", fcntl(fd, F_GET_SEALS));
    char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    TRY("write seal under a mapping", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    munmap(p, PAGE);
    TRY("seal", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW));
    TRY("seals", fcntl(fd, F_GET_SEALS));
    TRY("write", write(fd, "x", 1));
    TRY("shrink", ftruncate(fd, 1));
    TRY("grow", ftruncate(fd, 2 * PAGE));
    OK("writable mapping", (long)mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0));
    OK("private mapping", (long)mmap(NULL, PAGE, PROT_WRITE, MAP_PRIVATE, fd, 0) == -1 ? -1 : 0);
    TRY("the last seal", fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    TRY("no more", fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
    char path[64];
    sprintf(path, "/proc/self/fd/%d", fd);
    OK("opened again", open(path, O_RDONLY));
    OK("opened for writing", open(path, O_RDWR));
    pid_t child = fork();
    if (child == 0)
        _exit(fcntl(fd, F_GET_SEALS));
    waitpid(child, &status, 0);
    show_status("seals in the child", status);
    int plain = memfd_create("plain", 0);
    TRY("without sealing", fcntl(plain, F_GET_SEALS));
    TRY("cannot be sealed", fcntl(plain, F_ADD_SEALS, F_SEAL_GROW));
    TRY("seals of a file", fcntl(open("map", O_RDWR), F_GET_SEALS));
    OK("flags", memfd_create("x", 0x4000));
    OK("name too long", memfd_create((memset(path, 'x', 63), path[63] = 0, path), 0));
    char link[100] = "";
    sprintf(path, "/proc/self/fd/%d", plain);
    TRY("name", readlink(path, link, sizeof(link) - 1));
    say("name", "%s", link);
}

static void fifos(void)
{
    int status;
    char c[20];
    TRY("make", mkfifo("fifo", 0600));
    OK("nobody reads", open("fifo", O_WRONLY | O_NONBLOCK));
    pid_t child = fork();
    if (child == 0) {
        int fd = open("fifo", O_WRONLY);
        _exit(write(fd, "through", 7) == 7 ? 0 : 1);
    }
    int fd = open("fifo", O_RDONLY);
    TRY("read", read(fd, c, sizeof(c)));
    show_bytes("read", c, 7);
    waitpid(child, &status, 0);
    TRY("end of file", read(fd, c, sizeof(c)));
    struct stat st;
    NEED(fstat(fd, &st) == 0);
    CHECK("is a FIFO", S_ISFIFO(st.st_mode));
    TRY("seek", lseek(fd, 0, SEEK_SET));
    int w = open("fifo", O_WRONLY);
    close(fd);
    signal(SIGPIPE, SIG_IGN);
    TRY("nobody reads any more", write(w, "x", 1));
    signal(SIGPIPE, SIG_DFL);
    child = fork();
    if (child == 0) {
        (void)!write(w, "x", 1);
        _exit(0);
    }
    waitpid(child, &status, 0);
    show_status("SIGPIPE", status);
    close(w);
    handle(SIGALRM, on_signal, 0);
    ualarm(20000, 20000);
    OK("open, interrupted", open("fifo", O_RDONLY));
    ualarm(0, 0);
    TRY("pipe buffer", fcntl(open("fifo", O_RDWR), F_GETPIPE_SZ));
}

static void copies(void)
{
    char b[40] = {0};
    int p[2], q[2], fd = open("copy", O_RDWR | O_CREAT, 0600),
                    to = open("to", O_RDWR | O_CREAT, 0600);
    NEED(pipe(p) == 0 && pipe(q) == 0 && write(fd, "the quick brown fox", 19) == 19);
    loff_t at = 4;
    TRY("splice from a file", splice(fd, &at, p[1], NULL, 5, 0));
    VALUE("offset", at);
    TRY("tee", tee(p[0], q[1], 100, 0));
    TRY("splice into a file", splice(p[0], NULL, to, NULL, 100, 0));
    TRY("the copy", read(q[0], b, sizeof(b)));
    show_bytes("the copy", b, 5);
    show_file("the file", "to");
    TRY("nothing left", splice(p[0], NULL, to, NULL, 1, SPLICE_F_NONBLOCK));
    TRY("no pipe", splice(fd, NULL, to, NULL, 1, 0));
    TRY("offset of a pipe", splice(p[0], &at, to, NULL, 1, 0));
    at = 10;
    TRY("copy_file_range", copy_file_range(fd, &at, to, NULL, 100, 0));
    show_file("the file", "to");
    TRY("within itself, apart", copy_file_range(fd, &(loff_t){0}, fd, &(loff_t){30}, 10, 0));
    TRY("within itself, over itself", copy_file_range(fd, &(loff_t){0}, fd, &(loff_t){5}, 10, 0));
    TRY("flags", copy_file_range(fd, NULL, to, NULL, 1, 1));
    int ro = open("copy", O_RDONLY);
    TRY("into a reader", copy_file_range(fd, NULL, ro, NULL, 1, 0));
    int ap = open("to", O_WRONLY | O_APPEND);
    TRY("into an appender", copy_file_range(fd, NULL, ap, NULL, 1, 0));
    NEED(write(p[1], "x", 1) == 1);
    TRY("splice into an appender", splice(p[0], NULL, ap, NULL, 1, 0));
    close(p[0]), close(p[1]), close(q[0]), close(q[1]), close(fd), close(to), close(ro), close(ap);
}

static void unnamed(void)
{
    char path[64], c[8] = {0};
    struct stat st;
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    OK("O_TMPFILE", fd);
    NEED(write(fd, "hidden", 6) == 6 && fstat(fd, &st) == 0);
    VALUE("links", st.st_nlink);
    pid_t child = fork();
    if (child == 0)
        _exit(pread(fd, c, 6, 0) == 6 && !memcmp(c, "hidden", 6) ? 0 : 1);
    int status;
    waitpid(child, &status, 0);
    show_status("child reads it", status);
    sprintf(path, "/proc/self/fd/%d", fd);
    TRY("give it a name", linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    show_file("named", "named");
    int ex = open(".", O_TMPFILE | O_WRONLY | O_EXCL, 0600);
    sprintf(path, "/proc/self/fd/%d", ex);
    TRY("O_EXCL forbids", linkat(AT_FDCWD, path, AT_FDCWD, "never", AT_SYMLINK_FOLLOW));
    OK("for reading", open(".", O_TMPFILE | O_RDONLY, 0600));
    OK("not a directory", open("copy", O_TMPFILE | O_RDWR, 0600));
    close(fd), close(ex);
}

static void attributes(void)
{
    char value[20], list[100];
    int fd = open("copy", O_RDWR);
    long r = TRY("set", setxattr("copy", "user.colour", "blue", 4, 0));
    if (r)
        return;
    TRY("create again", setxattr("copy", "user.colour", "red", 3, XATTR_CREATE));
    TRY("replace none", setxattr("copy", "user.size", "red", 3, XATTR_REPLACE));
    TRY("get", getxattr("copy", "user.colour", value, sizeof(value)));
    show_bytes("value", value, 4);
    TRY("size only", getxattr("copy", "user.colour", NULL, 0));
    TRY("too small", getxattr("copy", "user.colour", value, 2));
    TRY("by descriptor", fsetxattr(fd, "user.size", "9", 1, 0));
    TRY("list", listxattr("copy", list, sizeof(list)) > 20);
    TRY("missing", getxattr("copy", "user.none", value, 1));
    TRY("no name space", setxattr("copy", "colour", "x", 1, 0));
    TRY("remove", removexattr("copy", "user.colour"));
    TRY("removed", fgetxattr(fd, "user.colour", value, 1));
    NEED(symlink("copy", "link") == 0);
    TRY("on a link", lsetxattr("link", "user.x", "1", 1, 0));
    TRY("through a link", getxattr("link", "user.size", value, sizeof(value)));
    in_child((void (*)(int))(void *)fdatasync, fd);
    close(fd);
}

static void watching(void)
{
    char b[4096] __attribute__((aligned(8)));
    int fd = inotify_init1(IN_CLOEXEC), status;
    NEED(fd >= 0 && mkdir("watched", 0700) == 0);
    int w = inotify_add_watch(fd, "watched", IN_ALL_EVENTS);
    CHECK("watch", w > 0);
    pid_t child = fork();
    if (child == 0) {
        put("watched/a", "text");
        rename("watched/a", "watched/b");
        unlink("watched/b");
        _exit(0);
    }
    waitpid(child, &status, 0);
    ssize_t n = read(fd, b, sizeof(b));
    for (ssize_t at = 0; at < n;) {
        struct inotify_event *e = (void *)(b + at);
        say("event", "%#x %s cookie %d", e->mask, e->len ? e->name : "", e->cookie != 0);
        at += (ssize_t)sizeof(*e) + e->len;
    }
    int waiting;
    TRY("nothing more", (ioctl(fd, FIONREAD, &waiting), waiting));
    rmdir("watched");
    n = read(fd, b, sizeof(b));
    for (ssize_t at = 0; at < n;) {
        struct inotify_event *e = (void *)(b + at);
        say("event", "%#x", e->mask);
        at += (ssize_t)sizeof(*e) + e->len;
    }
    TRY("watch is gone", inotify_rm_watch(fd, w));
    close(fd);
}

static void limits(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit l = {1000, RLIM_INFINITY};
        handle(SIGXFSZ, on_signal, 0);
        TRY("limit of size", setrlimit(RLIMIT_FSIZE, &l));
        int fd = open("big", O_RDWR | O_CREAT, 0600);
        char b[2000] = "";
        TRY("up to it", write(fd, b, sizeof(b)));
        TRY("beyond", write(fd, b, 1));
        VALUE("signal", came == SIGXFSZ);
        TRY("truncate", ftruncate(fd, 5000));
        signal(SIGXFSZ, SIG_DFL);
        (void)!write(fd, b, 1);
        _exit(0);
    }
    waitpid(child, &status, 0);
    show_status("without a handler", status);
    child = fork();
    if (child == 0) {
        struct rlimit l = {1, 2};
        TRY("limit of time", setrlimit(RLIMIT_CPU, &l));
        for (;;)
            ;
    }
    waitpid(child, &status, 0);
    show_status("SIGXCPU", status);
    child = fork();
    if (child == 0) {
        struct rlimit l = {60, 60}, old;
        TRY("limit of descriptors", setrlimit(RLIMIT_NOFILE, &l));
        int last = -1, fd;
        while ((fd = dup(0)) >= 0)
            last = fd;
        say("until", "%d %s", last, errno_name(errno));
        OK("pipe", pipe((int[2]){0}));
        TRY("dup2 beyond", dup2(0, 60));
        TRY("F_DUPFD beyond", fcntl(0, F_DUPFD, 60));
        OK("socket", socket(AF_UNIX, SOCK_STREAM, 0));
        l.rlim_cur = 61, l.rlim_max = 60;
        TRY("soft above hard", setrlimit(RLIMIT_NOFILE, &l));
        TRY("bad resource", getrlimit(99, &old));
        l.rlim_cur = l.rlim_max = 5;
        TRY("lower", setrlimit(RLIMIT_NOFILE, &l));
        TRY("open ones stay", fcntl(last, F_GETFD));
        pid_t inner = fork();
        if (inner == 0)
            _exit(getrlimit(RLIMIT_NOFILE, &old) == 0 ? (int)old.rlim_cur : 99);
        waitpid(inner, &status, 0);
        show_status("inherited", status);
        _exit(0);
    }
    waitpid(child, &status, 0);
}

static void memory_limits(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit l = {1 << 30, 1 << 30}, data = {16 << 20, RLIM_INFINITY};
        TRY("limit of addresses", setrlimit(RLIMIT_AS, &l));
        OK("beyond", (long)mmap(NULL, 1 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        char *p = mmap(NULL, 16 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK("below", p != MAP_FAILED);
        OK("grown beyond", (long)mremap(p, 16 << 20, 1 << 30, MREMAP_MAYMOVE));
        CHECK("malloc", malloc(1 << 30) == NULL && errno == ENOMEM);
        TRY("limit of data", setrlimit(RLIMIT_DATA, &data));
        OK("sbrk beyond", (long)sbrk(32 << 20));
        CHECK("sbrk below", sbrk(1 << 20) != (void *)-1);
        _exit(0);
    }
    waitpid(child, &status, 0);
    show_status("limited", status);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    record_locks();
    appending();
    mappings();
    seals();
    fifos();
    copies();
    unnamed();
    attributes();
    watching();
    limits();
    memory_limits();
    return 0;
}
