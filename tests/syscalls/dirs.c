/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Directories: getdents64, seeking in them, mkdir, rmdir, chdir, getcwd. */
#include "check.h"
#include <dirent.h>
#include <sys/sysmacros.h>

#define MANY 1200

static unsigned char seen[MANY];

static void make_many(void)
{
    char name[64];
    NEED(mkdir("many", 0755) == 0);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "many/entry-with-a-longer-name-%d", i);
        NEED(mknod(name, S_IFREG | 0644, 0) == 0);
    }
}

/* Notes an entry; returns 1 if it is one of ours and new. */
static int note(const char *name)
{
    int i;
    if (sscanf(name, "entry-with-a-longer-name-%d", &i) != 1 || i < 0 || i >= MANY || seen[i])
        return 0;
    seen[i] = 1;
    return 1;
}

static void raw_listing(void)
{
    char buf[700];
    int fd = open("many", O_RDONLY | O_DIRECTORY), calls = 0, ours = 0, dots = 0, others = 0;
    bool types = true, inodes = true, lengths = true;
    long n;
    while ((n = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
        calls++;
        for (long at = 0; at < n;) {
            struct dirent64 *d = (void *)(buf + at);
            bool dot = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0;
            if (dot)
                dots++;
            else if (note(d->d_name))
                ours++;
            else
                others++;
            types &= d->d_type == (dot ? DT_DIR : DT_REG);
            inodes &= d->d_ino != 0;
            lengths &= d->d_reclen % 8 == 0 && at + d->d_reclen <= n;
            at += d->d_reclen;
        }
    }
    report("getdents64 at the end", n);
    CHECK("took several calls", calls > 10);
    say("entries", "%d dots %d others %d", ours, dots, others);
    CHECK("types", types);
    CHECK("inodes", inodes);
    CHECK("record lengths", lengths);
    TRY("again at the end", syscall(SYS_getdents64, fd, buf, sizeof(buf)));
    TRY("rewind", lseek(fd, 0, SEEK_SET));
    CHECK("after rewind", syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0);
    lseek(fd, 0, SEEK_SET);
    SYS("buffer too small", SYS_getdents64, fd, buf, 8L);
    SYS("buffer nowhere", SYS_getdents64, fd, BAD_LOW, 4096L);
    SYS("closed", SYS_getdents64, 999, buf, sizeof(buf));
    int file = open("many/entry-with-a-longer-name-1", O_RDONLY);
    SYS("not a directory", SYS_getdents64, file, buf, sizeof(buf));
    SYS("old getdents", SYS_getdents, file, buf, sizeof(buf));
    close(file);
    close(fd);
}

static void streams(void)
{
    DIR *d = opendir("many");
    struct dirent *e;
    int before = 0, after = 0;
    char first[256] = "", again[256] = "";
    long middle = 0;

    memset(seen, 0, sizeof(seen));
    while ((e = readdir(d))) {
        if (++before == 500) {
            middle = telldir(d);
            e = readdir(d);
            snprintf(first, sizeof(first), "%s", e->d_name);
            before++;
        }
    }
    VALUE("readdir entries", before);
    seekdir(d, middle);
    e = readdir(d);
    snprintf(again, sizeof(again), "%s", e ? e->d_name : "");
    CHECK("seekdir returns there", first[0] && strcmp(first, again) == 0);
    for (after = 1; (e = readdir(d)); after++)
        ;
    VALUE("entries from there", after);
    rewinddir(d);
    for (after = 0; (e = readdir(d)); after++)
        ;
    VALUE("entries after rewinddir", after);
    struct stat st, dot;
    rewinddir(d);
    while ((e = readdir(d)) && strcmp(e->d_name, ".") != 0)
        ;
    fstat(dirfd(d), &st);
    CHECK("inode of dot", e && e->d_ino == st.st_ino);
    CHECK("stat of dot", fstatat(dirfd(d), ".", &dot, 0) == 0 && dot.st_ino == st.st_ino);
    closedir(d);
}

static void deleting(void)
{
    DIR *d = opendir("many");
    struct dirent *e;
    int gone = 0;
    TRY("rmdir while full", rmdir("many"));
    while ((e = readdir(d)))
        if (e->d_name[0] == 'e' && unlinkat(dirfd(d), e->d_name, 0) == 0)
            gone++;
    VALUE("deleted while listing", gone);
    rewinddir(d);
    int left = 0;
    while (readdir(d))
        left++;
    VALUE("left", left);
    TRY("rmdir when empty", rmdir("many"));
    rewinddir(d);
    CHECK("no entry in a deleted directory", readdir(d) == NULL);
    TRY("create in a deleted directory", openat(dirfd(d), "x", O_CREAT | O_RDWR, 0600));
    closedir(d);
}

static void making(void)
{
    struct stat st;
    put("file", "");
    TRY("mkdir", mkdir("a", 0777));
    stat("a", &st);
    say("mkdir mode", "%o", st.st_mode);
    TRY("mkdir again", mkdir("a", 0777));
    TRY("mkdir over file", mkdir("file", 0777));
    TRY("mkdir in nothing", mkdir("none/a", 0777));
    TRY("mkdir in file", mkdir("file/a", 0777));
    TRY("mkdir empty", mkdir("", 0777));
    TRY("mkdir with slash", mkdir("b/", 0777));
    TRY("mkdir dot", mkdir(".", 0777));
    TRY("mkdir root", mkdir("/", 0777));
    NEED(symlink("nowhere", "dangling") == 0);
    TRY("mkdir over dangling link", mkdir("dangling", 0777));
    int fd = open("a", O_RDONLY);
    TRY("mkdirat", mkdirat(fd, "c", 01770));
    fstatat(fd, "c", &st, 0);
    say("mkdirat mode", "%o", st.st_mode);
    fstat(fd, &st);
    VALUE("parent's links", st.st_nlink);
    TRY("rmdir non-empty", rmdir("a"));
    TRY("rmdir file", rmdir("file"));
    TRY("rmdir missing", rmdir("missing"));
    TRY("rmdir dot", rmdir("a/."));
    TRY("rmdir dot-dot", rmdir("a/c/.."));
    NEED(symlink("b", "to-b") == 0);
    TRY("rmdir link", rmdir("to-b"));
    TRY("rmdir link with slash", rmdir("to-b/"));
    TRY("unlink directory", unlink("b"));
    TRY("unlink missing", unlink("missing"));
    TRY("unlink file with slash", unlink("file/"));
    TRY("unlinkat directory without flag", unlinkat(fd, "c", 0));
    TRY("unlinkat unknown flag", unlinkat(fd, "c", 0x8000));
    TRY("unlinkat AT_REMOVEDIR on file", unlinkat(AT_FDCWD, "file", AT_REMOVEDIR));
    TRY("unlinkat AT_REMOVEDIR", unlinkat(fd, "c", AT_REMOVEDIR));
    TRY("rmdir b", rmdir("b"));
    SYS("mkdir bad pointer", SYS_mkdir, BAD_LOW, 0777);
    SYS("rmdir bad pointer", SYS_rmdir, BAD_LOW);
    close(fd);
}

static void working(void)
{
    char cwd[PATH_MAX], sub[PATH_MAX + 8], buf[PATH_MAX];
    NEED(getcwd(cwd, sizeof(cwd)));
    TRY("chdir", chdir("a"));
    NEED(getcwd(sub, sizeof(sub)));
    CHECK("getcwd below",
          strncmp(sub, cwd, strlen(cwd)) == 0 && strcmp(sub + strlen(cwd), "/a") == 0);
    CHECK("raw result counts the zero",
          syscall(SYS_getcwd, buf, sizeof(buf)) == (long)strlen(sub) + 1);
    SYS("getcwd too small", SYS_getcwd, buf, 2L);
    SYS("getcwd no room", SYS_getcwd, buf, 0L);
    SYS("getcwd nowhere", SYS_getcwd, BAD_LOW, 4096L);
    TRY("chdir up", chdir(".."));
    TRY("chdir to file", chdir("file"));
    TRY("chdir to nothing", chdir("missing"));
    TRY("chdir empty", chdir(""));
    SYS("chdir bad pointer", SYS_chdir, BAD_LOW);
    int fd = open("file", O_RDONLY);
    TRY("fchdir to file", fchdir(fd));
    TRY("fchdir closed", fchdir(999));
    NEED(symlink("a", "via") == 0 && chdir("via") == 0 && getcwd(buf, sizeof(buf)));
    CHECK("getcwd is physical", strcmp(buf, sub) == 0);
    NEED(chdir(cwd) == 0 && mkdir("gone", 0755) == 0 && chdir("gone") == 0);
    TRY("remove the working directory", rmdir("../gone"));
    SYS("getcwd in nothing", SYS_getcwd, buf, sizeof(buf));
    TRY("open dot in nothing", open("x", O_CREAT | O_RDWR, 0600));
    CHECK("dot still opens", open(".", O_RDONLY) >= 0);
    TRY("out of nothing", chdir(cwd));
    TRY("chdir root", chdir("/"));
    CHECK("getcwd root", getcwd(buf, sizeof(buf)) && strcmp(buf, "/") == 0);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    make_many();
    raw_listing();
    streams();
    deleting();
    making();
    working();
    return 0;
}
