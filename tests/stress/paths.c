/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * paths SEED SEQUENCES HOST: random sequences of calls on paths, links and names in /in, which must
 * reach nothing outside the mount and nothing that the file policy refuses.
 *
 * HOST is the host's path of /in, of which targets of links are made. Beside it on the host lie
 * files and directories called SECRET or SECRETS and files called OUTSIDE; in it, "closed" and
 * "mixed/closed", whose files hold CLOSED and are not allowed (argument "closed": they are watched
 * for), "fixed/FIXED", which is trusted, and "free" and "mixed/free", which are allowed. What is
 * read or seen is checked here, what happened to the files by the caller.
 *
 * paths swap SEED ROUNDS: one process exchanges a directory, a link that leads out, and a file,
 * the other uses paths through them.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define EXCHANGE   2 /* RENAME_EXCHANGE */
#define MOST_STEPS 12

static uint64_t state;
static const char *host;
static int watch_closed;
static uint64_t *done_calls; /* in shared memory: how many calls succeeded */
static char history[MOST_STEPS + 4][1100];
static int steps;

static unsigned pick(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

static pid_t other; /* the process that exchanges */

static void reached(const char *what, const char *path)
{
    if (other)
        kill(other, SIGKILL);
    printf("reached %s by '%s'\n", what, path);
    for (int i = 0; i < steps; i++)
        printf("  %s\n", history[i]);
    exit(1);
}

/* ---- paths ---- */

static const char *const names[] = {"a",     "b",     "c",      "d",      "l",      "m",
                                    "..",    "..",    ".",      "free",   "mixed",  "closed",
                                    "fixed", "FIXED", "CLOSED", "SECRET", "SECRETS"};
#define NAMES (sizeof names / sizeof *names)

static void add(char *out, const char *text)
{
    if (strlen(out) + strlen(text) < 1000)
        strcat(out, text);
}

/* The text of a path or of a link. */
static void make_path(char *out, int is_link)
{
    static const char *const begins[] = {"",          "",          "",     "",
                                         "/in/free/", "/in/free/", "/in/", "/in/mixed/",
                                         "../",       "../../",    "/",    "/proc/self/cwd/"};
    *out = 0;
    unsigned kind = pick(is_link ? 20 : 14);
    if (kind < sizeof begins / sizeof *begins) {
        add(out, begins[kind]);
    } else if (kind < 16) {
        char name[40];
        snprintf(name, sizeof name, "/proc/self/fd/%u/", 3 + pick(5));
        add(out, name);
    } else if (kind < 18) {
        add(out, host);
        add(out, pick(2) ? "/" : "/../");
    } else {
        add(out, pick(2) ? "../../SECRET" : "../../../SECRETS/SECRET");
        return;
    }
    unsigned n = 1 + pick(4);
    for (unsigned i = 0; i < n; i++) {
        /* a few names most of the time, so that calls meet */
        add(out, names[pick(3) ? pick(8) : pick(NAMES)]);
        if (i + 1 < n || !pick(12))
            add(out, "/");
    }
}

static int is_fixed(const char *path)
{
    size_t n = strlen(path);
    return n >= 5 && strstr(path + n - 5, "FIXED");
}

/* ---- what was reached ---- */

static void check_name(const char *name, const char *path)
{
    if (strstr(name, "OUTSIDE"))
        reached(name, path);
}

static void check_content(int fd, const char *path)
{
    char text[64] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n > 0 && memcmp(text, "SECRET", 6) == 0)
        reached("the content of a file outside", path);
    if (n > 0 && watch_closed && memcmp(text, "CLOSED", 6) == 0)
        reached("the content of a file that is not allowed", path);
}

/* Files outside have this size. */
static void check_stat(const struct stat *st, const char *path)
{
    if (S_ISREG(st->st_mode) && st->st_size == 4242)
        reached("the attributes of a file outside", path);
}

static void list(int dir, const char *path)
{
    char buffer[4096];
    long n;
    while ((n = syscall(SYS_getdents64, dir, buffer, sizeof buffer)) > 0)
        for (long at = 0; at < n; at += *(unsigned short *)(buffer + at + 16))
            check_name(buffer + at + 19, path);
}

/* ---- calls ---- */

static int dirs[4] = {AT_FDCWD, AT_FDCWD, AT_FDCWD, AT_FDCWD};

static int some_dir(void)
{
    return dirs[pick(4)];
}

static void keep(int fd)
{
    unsigned i = pick(4);
    if (dirs[i] >= 0)
        close(dirs[i]);
    dirs[i] = fd;
}

static int open_some(int dir, const char *path)
{
    static const int modes[] = {O_RDONLY,
                                O_RDONLY,
                                O_RDWR,
                                O_WRONLY,
                                O_RDWR | O_CREAT,
                                O_WRONLY | O_CREAT | O_TRUNC,
                                O_RDWR | O_CREAT | O_EXCL,
                                O_RDWR | O_TRUNC,
                                O_PATH,
                                O_PATH | O_NOFOLLOW,
                                O_RDONLY | O_DIRECTORY,
                                O_RDWR | O_NOFOLLOW,
                                O_RDWR | O_APPEND};
    int flags = modes[pick(sizeof modes / sizeof *modes)] | O_NONBLOCK;
    int fd = openat(dir, path, flags, 0644);
    struct stat st;
    if (fd < 0)
        return -1;
    if (flags & O_PATH) { /* again by its name, with more */
        char again[40];
        if (!fstat(fd, &st))
            check_stat(&st, path);
        snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
        int more = open(again, O_RDWR | O_NONBLOCK);
        if (more >= 0) {
            check_content(more, path);
            if (write(more, "overwritten", 11) < 0) {
            }
            close(more);
        }
    } else {
        check_content(fd, path);
        if (!fstat(fd, &st))
            check_stat(&st, path);
        if (S_ISDIR(st.st_mode))
            list(fd, path);
        else if (flags & O_ACCMODE && write(fd, "overwritten", 11) < 0) {
        }
        if (flags & O_ACCMODE && pick(2))
            fchmod(fd, 0600);
    }
    if (S_ISDIR(st.st_mode) && pick(2))
        keep(fd);
    else
        close(fd);
    return 0;
}

static int read_link(int dir, const char *path)
{
    char text[1200];
    return (int)readlinkat(dir, path, text, sizeof text);
}

static int socket_at(const char *path, int connecting)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof un.sun_path)
        return -1;
    strcpy(un.sun_path, path);
    int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    int r = connecting ? connect(s, (struct sockaddr *)&un, sizeof un)
                       : bind(s, (struct sockaddr *)&un, sizeof un);
    close(s);
    return r;
}

static int watch(const char *path)
{
    static int fd = -1;
    if (fd < 0)
        fd = inotify_init1(IN_NONBLOCK);
    int r = inotify_add_watch(fd, path, IN_ATTRIB);
    if (r >= 0)
        inotify_rm_watch(fd, r);
    return r;
}

static int look(int dir, const char *path)
{
    struct stat st;
    struct statx x;
    int r = fstatat(dir, path, &st, pick(3) ? 0 : AT_SYMLINK_NOFOLLOW);
    if (!r)
        check_stat(&st, path);
    if (!statx(dir, path, 0, STATX_BASIC_STATS, &x) && S_ISREG(x.stx_mode) && x.stx_size == 4242)
        reached("the attributes of a file outside (statx)", path);
    return r;
}

static int run(const char *path)
{
    char *argv[] = {(char *)path, NULL};
    pid_t pid = vfork();
    if (!pid) {
        execve(path, argv, NULL);
        _exit(99);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 42)
        reached("a program outside", path);
    return -1;
}

enum call {
    MKDIR,
    RMDIR,
    UNLINK,
    SYMLINK,
    LINK,
    RENAME,
    SWAP,
    OPEN,
    LOOK,
    ACCESS,
    READLINK,
    CHMOD,
    CHOWN,
    UTIME,
    TRUNCATE,
    XATTR,
    MKNOD,
    BIND,
    CONNECT,
    CHDIR,
    FCHDIR,
    WATCH,
    STATFS,
    RUN,
    CALLS
};
static const char *const call_names[CALLS] = {
    "mkdir", "rmdir",  "unlink",   "symlink", "link",   "rename", "swap",     "open",
    "look",  "access", "readlink", "chmod",   "chown",  "utime",  "truncate", "xattr",
    "mknod", "bind",   "connect",  "chdir",   "fchdir", "watch",  "statfs",   "run"};
/* out of 100 */
static const unsigned char share[CALLS] = {9, 2, 3, 14, 4, 15, 7, 17, 6, 2, 1, 2,
                                           1, 2, 2, 2,  1, 1,  1, 4,  1, 1, 1, 1};

static enum call some_call(void)
{
    unsigned at = pick(100), call = 0;
    while (call < CALLS - 2 && at >= share[call])
        at -= share[call++];
    return call == CALLS - 2 && pick(20) == 0 ? RUN : (enum call)call;
}

static int call_with(enum call call, int dir, const char *a, const char *b)
{
    struct statfs fs;
    switch (call) {
    case MKDIR:
        return mkdirat(dir, a, 0755);
    case RMDIR:
        return unlinkat(dir, a, AT_REMOVEDIR);
    case UNLINK:
        return is_fixed(a) ? -1 : unlinkat(dir, a, 0);
    case SYMLINK:
        return symlinkat(b, dir, a);
    case LINK:
        return linkat(dir, a, some_dir(), b, pick(2) ? AT_SYMLINK_FOLLOW : 0);
    case RENAME:
        return renameat(dir, a, some_dir(), b);
    case SWAP:
        return (int)syscall(SYS_renameat2, dir, a, some_dir(), b, pick(4) ? EXCHANGE : 1);
    case OPEN:
        return open_some(dir, a);
    case LOOK:
        return look(dir, a);
    case ACCESS:
        return faccessat(dir, a, R_OK, 0);
    case READLINK:
        return read_link(dir, a);
    case CHMOD:
        return fchmodat(dir, a, 0777, 0);
    case CHOWN:
        return fchownat(dir, a, 1, 1, pick(2) ? 0 : AT_SYMLINK_NOFOLLOW);
    case UTIME:
        return utimensat(dir, a, NULL, pick(2) ? 0 : AT_SYMLINK_NOFOLLOW);
    case TRUNCATE:
        return truncate(a, 3);
    case XATTR:
        return setxattr(a, "user.changed", "1", 1, 0);
    case MKNOD:
        return mknodat(dir, a, (pick(2) ? S_IFREG : S_IFIFO) | 0644, 0);
    case BIND:
        return socket_at(a, 0);
    case CONNECT:
        return socket_at(a, 1);
    case CHDIR:
        return chdir(a);
    case FCHDIR:
        return fchdir(dir);
    case WATCH:
        return watch(a);
    case STATFS:
        return statfs(a, &fs);
    default:
        return run(a);
    }
}

/* They may have been moved or replaced. */
static void start_in(const char *dir)
{
    struct stat st;
    if (chdir("/in"))
        reached("no mount", "/in");
    const char *const all[] = {"/in/free", "/in/mixed", "/in/mixed/free"};
    for (int i = 0; i < 3; i++) {
        if (!lstat(all[i], &st) && S_ISDIR(st.st_mode))
            continue;
        int removed = unlink(all[i]) ? errno : 0;
        if (mkdir(all[i], 0755))
            printf("%s cannot be made again: %s, %s\n", all[i], strerror(removed), strerror(errno));
    }
    if (chdir(dir)) {
        reached("no directory to start in", dir);
    }
}

static void sequence(void)
{
    unsigned n = 4 + pick(MOST_STEPS - 3);
    char a[1024], b[1024];
    start_in(pick(4) ? "/in/free" : "/in/mixed/free");
    steps = 0;
    for (unsigned i = 0; i < n; i++) {
        enum call call = some_call();
        int dir = some_dir();
        make_path(a, 0);
        make_path(b, call == SYMLINK);
        char *note = history[steps++];
        snprintf(note, sizeof *history, "%s(%d) '%.500s' '%.500s'", call_names[call], dir, a, b);
        if (call_with(call, dir, a, b) >= 0)
            done_calls[call]++;
    }
}

static void remove_below(int dir)
{
    DIR *d = fdopendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || is_fixed(e->d_name))
            continue;
        if (!unlinkat(dir, e->d_name, 0))
            continue;
        int sub = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (sub >= 0)
            remove_below(sub);
        unlinkat(dir, e->d_name, AT_REMOVEDIR);
    }
    if (d)
        closedir(d);
}

static void clean(const char *path)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (dir >= 0)
        remove_below(dir);
}

static int sequences(long n)
{
    for (long i = 0; i < n; i++) {
        sequence();
        if (i % 16 == 15) {
            for (int d = 0; d < 4; d++)
                keep(AT_FDCWD);
            clean("/in/free");
            clean("/in/mixed/free");
        }
    }
    for (int i = 0; i < CALLS; i++)
        printf("%s %llu\n", call_names[i], (unsigned long long)done_calls[i]);
    return 0;
}

/* ---- exchanges ---- */

static void swap(const char *a, const char *b)
{
    syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, EXCHANGE);
}

static void use(long n)
{
    static const char *const at[] = {"r/SECRET", "r", "f", "r/.", "r/../f", "r/new"};
    for (long i = 0; i < n; i++) {
        const char *path = at[pick(sizeof at / sizeof *at)];
        enum call call = some_call();
        steps = 0;
        if (call == SYMLINK || call == RUN || call == CHDIR || call == FCHDIR || call == RENAME ||
            call == SWAP)
            call = pick(2) ? OPEN : LOOK;
        if (call == RMDIR || call == UNLINK || call == MKDIR || call == LINK)
            path = pick(2) ? "r/SECRET" : "r/new";
        if (pick(16) == 0) { /* bind follows a whole path on the host, so it shall meet many */
            call = BIND;
            path = "r/new";
            unlink(path);
        }
        if (call_with(call, AT_FDCWD, path, "kept") >= 0)
            done_calls[call]++;
        unlink("kept");
    }
}

static int storm(long n)
{
    if (chdir("/in/free") || mkdir("r", 0755) || symlink("../../SECRETS", "l") ||
        symlink("../../SECRET", "m"))
        return 3;
    close(open("r/SECRET", O_RDWR | O_CREAT, 0644));
    close(open("f", O_RDWR | O_CREAT, 0644));
    other = fork();
    if (!other) {
        for (;;) {
            swap("r", "l");
            swap("f", "m");
        }
    }
    use(n);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    printf("survived: %llu opened, %llu looked at\n", (unsigned long long)done_calls[OPEN],
           (unsigned long long)done_calls[LOOK]);
    return !(done_calls[OPEN] && done_calls[LOOK]);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    umask(022);
    done_calls = calloc(CALLS, sizeof *done_calls);
    int swaps = strcmp(argv[1], "swap") == 0;
    state = strtoull(argv[1 + swaps], NULL, 0) * 0x9e3779b97f4a7c15 | 1;
    for (int i = 0; i < 8; i++)
        pick(2);
    host = swaps ? "" : argv[3];
    watch_closed = argc > 4 && strcmp(argv[4], "closed") == 0;
    return swaps ? storm(atol(argv[3])) : sequences(atol(argv[2]));
}
