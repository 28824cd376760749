/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* open, openat: creation, flags, error paths, O_PATH and O_TMPFILE. */
#include "check.h"

static void flags_of(const char *name, const char *path, int flags)
{
    int fd = open(path, flags, 0600);
    if (fd < 0)
        report_ok(name, -1);
    else
        say(name, "flags %#x fd-flags %#x", (unsigned)fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
    close(fd);
}

static void creation(void)
{
    struct stat st;
    char name[300];

    int fd = (int)OK("create", open("a", O_RDWR | O_CREAT, 0666));
    fstat(fd, &st);
    say("mode under umask 022", "%o", st.st_mode);
    close(fd);
    OK("create over existing", open("a", O_RDWR | O_CREAT, 0600));
    OK("O_EXCL over existing", open("a", O_RDWR | O_CREAT | O_EXCL, 0600));
    NEED(symlink("nowhere", "dangling") == 0);
    OK("O_EXCL over dangling link", open("dangling", O_RDWR | O_CREAT | O_EXCL, 0600));
    OK("create through dangling link", open("dangling", O_RDWR | O_CREAT, 0600));
    OK("target now exists", access("nowhere", F_OK));
    OK("missing", open("missing", O_RDONLY));
    OK("empty name", open("", O_RDONLY));
    OK("missing directory", open("no/such", O_RDWR | O_CREAT, 0600));
    memset(name, 'n', sizeof(name));
    name[255] = 0;
    OK("name of 255", open(name, O_RDWR | O_CREAT, 0600));
    name[255] = 'n', name[256] = 0;
    OK("name of 256", open(name, O_RDWR | O_CREAT, 0600));
    char *path = malloc(PATH_MAX + 1);
    for (int i = 0; i < PATH_MAX; i++)
        path[i] = i % 2 ? '/' : '.';
    path[PATH_MAX] = 0;
    OK("path of PATH_MAX", open(path, O_RDONLY));
    path[PATH_MAX - 1] = 0;
    OK("path of PATH_MAX - 1", open(path, O_RDONLY));
    free(path);
    OK("creat", creat("c", 0640));
    stat("c", &st);
    say("creat mode", "%o", st.st_mode);
    umask(0);
    OK("setuid bits on creation", open("s", O_WRONLY | O_CREAT, 04755));
    stat("s", &st);
    say("setuid mode", "%o", st.st_mode);
    umask(077);
    OK("under umask 077", open("u", O_WRONLY | O_CREAT, 0777));
    stat("u", &st);
    say("mode under umask 077", "%o", st.st_mode);
    umask(022);
}

static void kinds(void)
{
    NEED(mkdir("dir", 0755) == 0);
    NEED(symlink("dir", "to-dir") == 0 && symlink("a", "to-a") == 0);
    NEED(symlink("loop2", "loop1") == 0 && symlink("loop1", "loop2") == 0);
    OK("directory for reading", open("dir", O_RDONLY));
    OK("directory for writing", open("dir", O_WRONLY));
    OK("directory read-write", open("dir", O_RDWR));
    OK("directory with O_CREAT", open("dir", O_RDONLY | O_CREAT, 0600));
    OK("O_DIRECTORY on directory", open("dir", O_RDONLY | O_DIRECTORY));
    OK("O_DIRECTORY on file", open("a", O_RDONLY | O_DIRECTORY));
    OK("O_DIRECTORY through link", open("to-dir", O_RDONLY | O_DIRECTORY));
    OK("O_DIRECTORY|O_NOFOLLOW on link", open("to-dir", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    OK("file as directory", open("a/x", O_RDONLY));
    OK("file with slash", open("a/", O_RDONLY));
    OK("directory with slash", open("dir/", O_RDONLY));
    OK("create with slash", open("new/", O_RDWR | O_CREAT, 0600));
    OK("O_NOFOLLOW on link", open("to-a", O_RDONLY | O_NOFOLLOW));
    OK("O_NOFOLLOW on file", open("a", O_RDONLY | O_NOFOLLOW));
    OK("O_NOFOLLOW, link in the middle", open("to-dir/.", O_RDONLY | O_NOFOLLOW));
    OK("loop", open("loop1", O_RDONLY));
    OK("loop in the middle", open("loop1/x", O_RDONLY));
    OK("dot-dot through link", open("to-dir/../a", O_RDONLY));
    OK("dot-dot through file", open("a/../a", O_RDONLY));
    OK("dot-dot through nothing", open("none/../a", O_RDONLY));
    OK("many slashes", open(".//dir///..//a", O_RDONLY));
    OK("above the root", open("/../../..", O_RDONLY));
}

static void access_modes(void)
{
    char buf[16] = {0};
    struct stat st;

    put("t", "0123456789");
    flags_of("O_RDONLY", "t", O_RDONLY);
    flags_of("O_RDWR|O_APPEND", "t", O_RDWR | O_APPEND);
    flags_of("O_WRONLY|O_NONBLOCK|O_CLOEXEC", "t", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    flags_of("O_SYNC", "t", O_RDWR | O_SYNC);
    flags_of("O_NOATIME", "t", O_RDONLY | O_NOATIME);
    flags_of("creation flags are dropped", "t", O_RDWR | O_CREAT | O_NOCTTY | O_NOFOLLOW);
    flags_of("O_DIRECTORY kept", "dir", O_RDONLY | O_DIRECTORY);
    flags_of("O_PATH", "t", O_PATH | O_RDWR | O_APPEND | O_CLOEXEC);
    int fd = open("t", O_RDONLY);
    TRY("write to O_RDONLY", write(fd, "x", 1));
    close(fd);
    fd = open("t", O_WRONLY);
    TRY("read from O_WRONLY", read(fd, buf, 1));
    close(fd);
    fd = open("t", O_WRONLY | O_RDWR);
    TRY("read with access mode 3", read(fd, buf, 1));
    TRY("write with access mode 3", write(fd, buf, 1));
    close(fd);
    fd = open("t", O_RDWR | O_APPEND);
    TRY("append seeks", lseek(fd, 2, SEEK_SET));
    TRY("append writes", write(fd, "ab", 2));
    TRY("append moves the offset to the end", lseek(fd, 0, SEEK_CUR));
    TRY("append reads where told", (lseek(fd, 0, SEEK_SET), read(fd, buf, 12)));
    show_bytes("append content", buf, 12);
    close(fd);
    close(open("t", O_WRONLY | O_TRUNC));
    stat("t", &st);
    VALUE("O_TRUNC size", st.st_size);
    put("t", "xyz");
    close(open("t", O_RDONLY | O_TRUNC));
    stat("t", &st);
    VALUE("O_RDONLY|O_TRUNC size", st.st_size);
    int low = open("t", O_RDONLY), next = open("t", O_RDONLY);
    close(low);
    int again = open("t", O_RDONLY);
    CHECK("lowest descriptor is reused", again == low && next != low);
}

static void path_descriptors(void)
{
    char buf[8];
    struct stat st;

    put("p", "path");
    int fd = (int)OK("O_PATH file", open("p", O_PATH));
    TRY("O_PATH read", read(fd, buf, 4));
    TRY("O_PATH write", write(fd, buf, 4));
    TRY("O_PATH lseek", lseek(fd, 0, SEEK_SET));
    TRY("O_PATH fchmod", fchmod(fd, 0600));
    TRY("O_PATH ftruncate", ftruncate(fd, 0));
    TRY("O_PATH fstat", fstat(fd, &st));
    VALUE("O_PATH size", st.st_size);
    TRY("O_PATH mmap fails", (long)mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0));
    TRY("O_PATH fsync", fsync(fd));
    OK("O_PATH dup", dup(fd));
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    int real = (int)OK("O_PATH reopened", open(link, O_RDONLY));
    TRY("reopened read", read(real, buf, 8));
    close(real);
    close(fd);
    fd = (int)OK("O_PATH|O_NOFOLLOW on link", open("to-a", O_PATH | O_NOFOLLOW));
    fstat(fd, &st);
    CHECK("it is the link", S_ISLNK(st.st_mode));
    TRY("readlinkat of it", readlinkat(fd, "", buf, sizeof(buf)));
    close(fd);
    fd = open("dir", O_PATH);
    OK("openat under O_PATH", openat(fd, "f", O_RDWR | O_CREAT, 0600));
    TRY("fchdir to O_PATH", fchdir(fd));
    OK("seen there", access("f", F_OK));
    NEED(chdir("..") == 0);
    close(fd);
}

static void at_calls(void)
{
    int dir = open("dir", O_RDONLY | O_DIRECTORY), file = open("a", O_RDONLY);
    OK("openat", openat(dir, "g", O_RDWR | O_CREAT, 0600));
    OK("openat up", openat(dir, "../a", O_RDONLY));
    OK("openat AT_FDCWD", openat(AT_FDCWD, "dir/g", O_RDONLY));
    OK("openat bad descriptor", openat(999, "a", O_RDONLY));
    OK("openat -1", openat(-1, "a", O_RDONLY));
    OK("openat absolute ignores it", openat(999, "/", O_RDONLY));
    OK("openat under a file", openat(file, "a", O_RDONLY));
    OK("openat empty name", openat(dir, "", O_RDONLY));
    SYS("open NULL", SYS_open, BAD_NULL, O_RDONLY);
    SYS("openat bad pointer", SYS_openat, AT_FDCWD, BAD_LOW, O_RDONLY);
    SYS("openat kernel pointer", SYS_openat, AT_FDCWD, BAD_KERNEL, O_RDONLY);
    SYS("openat non-canonical pointer", SYS_openat, AT_FDCWD, BAD_NONCANON, O_RDONLY);
    char *page = page_then_none(PROT_READ | PROT_WRITE);
    memset(page, '.', PAGE);
    SYS("name runs into no access", SYS_openat, AT_FDCWD, page + PAGE - 3, O_RDONLY);
    page[PAGE - 1] = 0;
    SYS_OK("name ends at no access", SYS_openat, AT_FDCWD, page + PAGE - 2, O_RDONLY);
    NEED(rmdir("to-dir") != 0);
}

static void unnamed(void)
{
    char buf[8] = {0};
    struct stat st;
    int fd = (int)OK("O_TMPFILE", open("dir", O_TMPFILE | O_RDWR, 0600));
    if (fd >= 0) {
        fstat(fd, &st);
        VALUE("O_TMPFILE links", st.st_nlink);
        say("O_TMPFILE mode", "%o", st.st_mode);
        TRY("O_TMPFILE write", write(fd, "hello", 5));
        TRY("O_TMPFILE pread", pread(fd, buf, 5, 0));
        char link[64];
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        TRY("give it a name", linkat(AT_FDCWD, link, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
        show_file("its content", "named");
    }
    OK("O_TMPFILE read-only", open("dir", O_TMPFILE | O_RDONLY, 0600));
    OK("O_TMPFILE in a file", open("a", O_TMPFILE | O_RDWR, 0600));
    OK("O_TMPFILE nowhere", open("none", O_TMPFILE | O_RDWR, 0600));
}

/* Structures of other sizes than the kernel's, and bits that nobody knows. */
static void sized(void)
{
    struct {
        uint64_t flags, mode, resolve, later;
    } how = {.flags = O_RDONLY};
    SYS("openat2 too small", SYS_openat2, AT_FDCWD, "a", &how, 23);
    SYS_OK("openat2", SYS_openat2, AT_FDCWD, "a", &how, 24);
    SYS_OK("openat2 larger, zero", SYS_openat2, AT_FDCWD, "a", &how, 32);
    how.later = 1;
    SYS_OK("openat2 larger, not zero", SYS_openat2, AT_FDCWD, "a", &how, 32);
    SYS("openat2 over a page", SYS_openat2, AT_FDCWD, "a", &how, 4097);
    how.resolve = 0x1000;
    SYS("openat2 unknown resolve", SYS_openat2, AT_FDCWD, "a", &how, 24);
    how.resolve = 0, how.flags = 1UL << 40;
    SYS("openat2 unknown flags", SYS_openat2, AT_FDCWD, "a", &how, 24);
    how.flags = 0, how.mode = 0600;
    SYS("openat2 mode without O_CREAT", SYS_openat2, AT_FDCWD, "a", &how, 24);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    creation();
    kinds();
    access_modes();
    path_descriptors();
    at_calls();
    unnamed();
    sized();
    return 0;
}
