/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* stat, statx, chmod, chown, utimensat, access: what a file says about itself. */
#include "check.h"
#include <sys/statfs.h>
#include <linux/stat.h>

static void mode_of(const char *name, const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        report_ok(name, -1);
    else
        say(name, "%o", st.st_mode);
}

static void plain(void)
{
    struct stat a, b;
    put("f", "12345");
    NEED(mkdir("d", 0750) == 0 && symlink("f", "l") == 0 && link("f", "h") == 0);
    TRY("stat", stat("f", &a));
    say("fields", "size %ld links %ld mode %o own %d", (long)a.st_size, (long)a.st_nlink, a.st_mode,
        a.st_uid == getuid() && a.st_gid == getgid());
    VALUE("block size", a.st_blksize);
    CHECK("blocks hold the size", a.st_blocks * 512 >= a.st_size);
    TRY("through a link", stat("l", &b));
    CHECK("same inode through a link", a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    TRY("hard link", stat("h", &b));
    CHECK("same inode by hard link", a.st_ino == b.st_ino);
    TRY("lstat", lstat("l", &b));
    say("link itself", "size %ld mode %o other inode %d", (long)b.st_size, b.st_mode,
        b.st_ino != a.st_ino);
    TRY("directory", stat("d", &b));
    say("directory fields", "links %ld mode %o", (long)b.st_nlink, b.st_mode);
    int fd = open("f", O_RDONLY);
    TRY("fstat", fstat(fd, &b));
    CHECK("fstat agrees", a.st_ino == b.st_ino && a.st_size == b.st_size && a.st_dev == b.st_dev);
    TRY("fstatat empty path", fstatat(fd, "", &b, AT_EMPTY_PATH));
    TRY("fstatat empty, no flag", fstatat(fd, "", &b, 0));
    TRY("fstatat cwd empty path", fstatat(AT_FDCWD, "", &b, AT_EMPTY_PATH));
    CHECK("it is a directory", S_ISDIR(b.st_mode));
    TRY("fstatat nofollow", fstatat(AT_FDCWD, "l", &b, AT_SYMLINK_NOFOLLOW));
    CHECK("it is a link", S_ISLNK(b.st_mode));
    TRY("fstatat unknown flag", fstatat(AT_FDCWD, "f", &b, 0x8000));
    TRY("fstatat under file", fstatat(fd, "x", &b, 0));
    TRY("fstatat bad descriptor", fstatat(999, "x", &b, 0));
    TRY("missing", stat("missing", &b));
    TRY("under a file", stat("f/x", &b));
    TRY("file with slash", stat("f/", &b));
    TRY("link to file with slash", lstat("l/", &b));
    TRY("empty", stat("", &b));
    TRY("fstat closed", fstat(999, &b));
    SYS("fstat to nowhere", SYS_fstat, fd, BAD_LOW);
    SYS("stat to NULL", SYS_stat, "f", BAD_NULL);
    SYS("stat of NULL", SYS_stat, BAD_NULL, &b);
    char *edge = page_then_none(PROT_READ | PROT_WRITE);
    SYS("stat over the edge", SYS_stat, "f", edge + PAGE - 8);
    SYS("stat to read-only", SYS_stat, "f", page_then_none(PROT_READ));
    struct statfs fs;
    TRY("statfs", statfs(".", &fs));
    CHECK("statfs sane", fs.f_bsize > 0 && fs.f_namelen == 255 && fs.f_blocks >= fs.f_bfree);
    TRY("fstatfs", fstatfs(fd, &fs));
    TRY("statfs missing", statfs("missing", &fs));
    TRY("fstatfs closed", fstatfs(999, &fs));
}

static void extended(void)
{
    struct statx x;
    struct stat st;
    NEED(stat("f", &st) == 0);
    memset(&x, 0, sizeof(x));
    SYS("statx", SYS_statx, AT_FDCWD, "f", 0, STATX_BASIC_STATS, &x);
    CHECK("basic fields present", (x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
    CHECK("agrees with stat", x.stx_ino == st.st_ino && x.stx_size == (uint64_t)st.st_size &&
                                  x.stx_mode == st.st_mode && x.stx_nlink == st.st_nlink &&
                                  x.stx_mtime.tv_sec == st.st_mtim.tv_sec &&
                                  x.stx_mtime.tv_nsec == st.st_mtim.tv_nsec);
    SYS("statx nofollow", SYS_statx, AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &x);
    CHECK("statx link", S_ISLNK(x.stx_mode));
    int fd = open("f", O_RDONLY);
    SYS("statx empty path", SYS_statx, fd, "", AT_EMPTY_PATH, STATX_SIZE, &x);
    VALUE("statx size", x.stx_size);
    SYS("statx unknown flag", SYS_statx, AT_FDCWD, "f", 0x80000, STATX_SIZE, &x);
    SYS("statx reserved mask", SYS_statx, AT_FDCWD, "f", 0, 0x80000000u, &x);
    SYS("statx both sync flags", SYS_statx, AT_FDCWD, "f", 0x6000, STATX_SIZE, &x);
    SYS("statx missing", SYS_statx, AT_FDCWD, "missing", 0, STATX_SIZE, &x);
    SYS("statx to nowhere", SYS_statx, AT_FDCWD, "f", 0, STATX_SIZE, BAD_LOW);
    SYS("statx closed", SYS_statx, 999, "f", 0, STATX_SIZE, &x);
}

static void modes(void)
{
    int fd = open("f", O_RDWR);
    TRY("chmod", chmod("f", 0604));
    mode_of("chmod mode", "f");
    TRY("chmod special bits", chmod("f", 07777));
    mode_of("special bits", "f");
    TRY("chmod high bits ignored", chmod("f", 0170640));
    mode_of("high bits mode", "f");
    TRY("fchmod", fchmod(fd, 0444));
    mode_of("fchmod mode", "f");
    TRY("fchmodat", fchmodat(AT_FDCWD, "l", 0600, 0));
    mode_of("fchmodat mode of target", "f");
    mode_of("fchmodat link untouched", "l");
    TRY("chmod directory", chmod("d", 01777));
    mode_of("directory mode", "d");
    TRY("chmod missing", chmod("missing", 0600));
    TRY("fchmod closed", fchmod(999, 0600));
    SYS("chmod bad pointer", SYS_chmod, BAD_LOW, 0600);
    TRY("umask old", umask(0123));
    TRY("umask back", umask(022));
    TRY("umask takes nine bits", (umask(07777), umask(022)));
    NEED(mkdir("d/e", 0777) == 0);
    mode_of("mkdir mode under umask", "d/e");
    TRY("chown to oneself", chown("f", getuid(), getgid()));
    TRY("chown nothing", lchown("l", (uid_t)-1, (gid_t)-1));
    TRY("fchown", fchown(fd, getuid(), (gid_t)-1));
    TRY("fchownat empty path", fchownat(fd, "", getuid(), getgid(), AT_EMPTY_PATH));
    TRY("fchownat unknown flag", fchownat(fd, "", getuid(), getgid(), 0x8000));
    TRY("chown missing", chown("missing", getuid(), getgid()));
    close(fd);
}

static void times_of(const char *name, const char *path)
{
    struct stat st;
    lstat(path, &st);
    say(name, "%ld.%09ld %ld.%09ld", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
        (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void times(void)
{
    struct timespec set[2] = {{1000000000, 123456789}, {1500000000, 987654321}};
    struct stat st;
    int fd = open("f", O_RDWR);
    TRY("utimensat", utimensat(AT_FDCWD, "f", set, 0));
    times_of("exact", "f");
    set[0].tv_nsec = UTIME_OMIT;
    set[1] = (struct timespec){7, 0};
    TRY("omit one", utimensat(AT_FDCWD, "l", set, 0));
    times_of("omitted", "f");
    set[0] = (struct timespec){3, 0};
    TRY("link itself", utimensat(AT_FDCWD, "l", set, AT_SYMLINK_NOFOLLOW));
    times_of("link times", "l");
    TRY("futimens", futimens(fd, set));
    set[1].tv_sec = 11;
    TRY("by empty name", utimensat(fd, "", set, AT_EMPTY_PATH));
    times_of("by empty name", "f");
    struct timespec neither[2] = {{-1, UTIME_OMIT}, {-1, UTIME_OMIT}};
    TRY("omit both", utimensat(AT_FDCWD, "f", neither, 0));
    TRY("omit both, of nothing", utimensat(AT_FDCWD, "none", neither, 0));
    TRY("omit both, bad flags", utimensat(AT_FDCWD, "none", neither, 1));
    times_of("by descriptor", "f");
    struct timespec before = {time(NULL) - 1, 0};
    TRY("now", utimensat(AT_FDCWD, "f", NULL, 0));
    stat("f", &st);
    CHECK("is now", st.st_mtim.tv_sec >= before.tv_sec && st.st_atim.tv_sec >= before.tv_sec);
    set[0].tv_nsec = 1000000000;
    TRY("bad nanoseconds", utimensat(AT_FDCWD, "f", set, 0));
    set[0].tv_nsec = 0;
    TRY("missing", utimensat(AT_FDCWD, "missing", set, 0));
    TRY("unknown flag", utimensat(AT_FDCWD, "f", set, 0x8000));
    SYS("times from nowhere", SYS_utimensat, AT_FDCWD, "f", BAD_LOW, 0);
    SYS("closed", SYS_utimensat, 999, NULL, set, 0);
    NEED(futimens(fd, (struct timespec[2]){{9, 0}, {9, 0}}) == 0);
    NEED(write(fd, "x", 1) == 1);
    stat("f", &st);
    CHECK("write updates mtime", st.st_mtim.tv_sec >= before.tv_sec && st.st_atim.tv_sec == 9);
    NEED(utimensat(AT_FDCWD, "d", (struct timespec[2]){{9, 0}, {9, 0}}, 0) == 0);
    put("d/new", "");
    stat("d", &st);
    CHECK("creation updates the directory", st.st_mtim.tv_sec >= before.tv_sec);
    NEED(utimensat(AT_FDCWD, "d", (struct timespec[2]){{9, 0}, {9, 0}}, 0) == 0);
    unlink("d/new");
    stat("d", &st);
    CHECK("unlink updates the directory", st.st_mtim.tv_sec >= before.tv_sec);
}

static void permission(void)
{
    NEED(chmod("f", 0644) == 0);
    TRY("F_OK", access("f", F_OK));
    TRY("R_OK|W_OK", access("f", R_OK | W_OK));
    TRY("X_OK without x", access("f", X_OK));
    NEED(chmod("f", 0755) == 0);
    TRY("X_OK with x", access("f", X_OK));
    TRY("directory X_OK", access("d", X_OK));
    TRY("bad mode", access("f", 8));
    TRY("missing", access("missing", F_OK));
    TRY("under a file", access("f/x", F_OK));
    NEED(symlink("void", "broken") == 0);
    TRY("broken link", access("broken", F_OK));
    SYS("faccessat2 broken, nofollow", SYS_faccessat2, AT_FDCWD, "broken", F_OK,
        AT_SYMLINK_NOFOLLOW);
    SYS("faccessat2 AT_EACCESS", SYS_faccessat2, AT_FDCWD, "f", R_OK, AT_EACCESS);
    SYS("faccessat2 unknown flag", SYS_faccessat2, AT_FDCWD, "f", R_OK, 0x8000);
    int fd = open("f", O_PATH);
    SYS("faccessat2 empty path", SYS_faccessat2, fd, "", R_OK, AT_EMPTY_PATH);
    SYS("faccessat closed", SYS_faccessat, 999, "f", R_OK);
    SYS("access bad pointer", SYS_access, BAD_LOW, R_OK);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    plain();
    extended();
    modes();
    times();
    permission();
    return 0;
}
