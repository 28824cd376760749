/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * steps WORD...: does with files what the words say, one line for each call: the call, its path,
 * and "ok", SECRET if that is what
 * was found, or the name of the error. The words of a call: its name, then its paths.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define EXCHANGE 2    /* RENAME_EXCHANGE */
#define SECRET   4242 /* bytes of one */

static int done_open(int fd)
{
    return fd < 0 ? -1 : close(fd);
}

static int read_it(const char *path)
{
    char text[8];
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (n < 0 || close(fd))
        return -1;
    return n >= 6 && memcmp(text, "SECRET", 6) == 0;
}
static int write_it(const char *path)
{
    return done_open(open(path, O_WRONLY | O_APPEND));
}
static int create(const char *path)
{
    return done_open(open(path, O_WRONLY | O_CREAT, 0644));
}
static int open_path(const char *path)
{
    return done_open(open(path, O_PATH));
}
static int list(const char *path)
{
    DIR *dir = opendir(path);
    return !dir || !readdir(dir) ? -1 : closedir(dir);
}
static int stat_it(const char *path)
{
    struct stat st;
    return stat(path, &st) ? -1 : st.st_size == SECRET;
}
/* Looks until it is there. */
static int await_it(const char *path)
{
    struct stat st;
    time_t end = time(NULL) + 30;
    while (stat(path, &st))
        if (errno != ENOENT || time(NULL) > end)
            return -1;
    return 0;
}
static int statx_it(const char *path)
{
    struct statx x;
    return statx(AT_FDCWD, path, 0, STATX_ALL, &x) ? -1 : x.stx_size == SECRET;
}
static int access_it(const char *path)
{
    return access(path, R_OK);
}
static int readlink_it(const char *path)
{
    char text[PATH_MAX];
    return readlink(path, text, sizeof text) < 0 ? -1 : 0;
}
static int real(const char *path)
{
    char text[PATH_MAX];
    return realpath(path, text) ? 0 : -1;
}
static int truncate_it(const char *path)
{
    return truncate(path, 1);
}
static int chmod_it(const char *path)
{
    return chmod(path, 0600);
}
static int chown_it(const char *path)
{
    return chown(path, getuid(), getgid());
}
static int utimens(const char *path)
{
    return utimensat(AT_FDCWD, path, NULL, 0);
}
static int set_attribute(const char *path)
{
    return setxattr(path, "user.steps", "1", 1, 0);
}
static int attributes(const char *path)
{
    char names[512];
    return listxattr(path, names, sizeof names) < 0 ? -1 : 0;
}
static int statfs_it(const char *path)
{
    struct statfs fs;
    return statfs(path, &fs);
}
static int watch(const char *path)
{
    int fd = inotify_init(), r = inotify_add_watch(fd, path, IN_ALL_EVENTS);
    int error = errno;
    close(fd);
    errno = error;
    return r < 0 ? -1 : 0;
}
static int run_it(const char *path)
{
    int status, error = 0, end[2];
    if (pipe2(end, O_CLOEXEC))
        return -1;
    pid_t child = fork();
    if (!child) {
        execl(path, path, (char *)NULL);
        error = errno;
        _exit(write(end[1], &error, sizeof error) != sizeof error);
    }
    close(end[1]);
    ssize_t n = read(end[0], &error, sizeof error);
    close(end[0]);
    waitpid(child, &status, 0);
    errno = error;
    return n > 0 ? -1 : 0;
}
static int socket_call(const char *path, int (*call)(int, const struct sockaddr *, socklen_t))
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), r = call(fd, (struct sockaddr *)&at, sizeof at);
    int error = errno;
    close(fd);
    errno = error;
    return r;
}
static int connect_it(const char *path)
{
    return socket_call(path, connect);
}
static int bind_it(const char *path)
{
    return socket_call(path, bind);
}
static int mkdir_it(const char *path)
{
    return mkdir(path, 0755);
}
static int fifo(const char *path)
{
    return mkfifo(path, 0600);
}
static int exchange(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, EXCHANGE);
}

static const struct step {
    const char *name;
    int (*one)(const char *path);
    int (*two)(const char *from, const char *to);
} steps[] = {
    {"read", read_it, NULL},
    {"write", write_it, NULL},
    {"create", create, NULL},
    {"path", open_path, NULL},
    {"list", list, NULL},
    {"stat", stat_it, NULL},
    {"await", await_it, NULL},
    {"statx", statx_it, NULL},
    {"access", access_it, NULL},
    {"readlink", readlink_it, NULL},
    {"realpath", real, NULL},
    {"truncate", truncate_it, NULL},
    {"chmod", chmod_it, NULL},
    {"chown", chown_it, NULL},
    {"utimens", utimens, NULL},
    {"setxattr", set_attribute, NULL},
    {"listxattr", attributes, NULL},
    {"statfs", statfs_it, NULL},
    {"inotify", watch, NULL},
    {"execve", run_it, NULL},
    {"connect", connect_it, NULL},
    {"bind", bind_it, NULL},
    {"mkdir", mkdir_it, NULL},
    {"mkfifo", fifo, NULL},
    {"unlink", unlink, NULL},
    {"rmdir", rmdir, NULL},
    {"chdir", chdir, NULL},
    {"rename", NULL, rename},
    {"link", NULL, link},
    {"symlink", NULL, symlink},
    {"exchange", NULL, exchange},
};
#define STEPS (sizeof steps / sizeof *steps)

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc;) {
        const struct step *s = steps;
        while (s < steps + STEPS && strcmp(s->name, argv[i]))
            s++;
        int words = s == steps + STEPS ? 0 : s->one ? 1 : 2;
        if (!words || i + words >= argc) {
            fprintf(stderr, "steps: no such call, or no path: %s\n", argv[i]);
            return 2;
        }
        const char *last = argv[i + words];
        int r = s->one ? s->one(last) : s->two(argv[i + 1], last);
        printf("%s %s: %s\n", s->name, last, r < 0 ? strerrorname_np(errno) : r ? "SECRET" : "ok");
        i += 1 + words;
    }
    return 0;
}
