/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* link, symlink, readlink, rename, renameat2, mknod. */
#include "check.h"
#include <linux/fs.h>
#include <sys/xattr.h>

static long links_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 ? (long)st.st_nlink : -1;
}

static void hard(void)
{
    put("f", "one");
    NEED(mkdir("d", 0755) == 0);
    TRY("link", link("f", "g"));
    VALUE("links", links_of("f"));
    put("g", "two");
    show_file("same content", "f");
    TRY("over existing", link("f", "g"));
    TRY("to directory", link("d", "e"));
    TRY("from nothing", link("missing", "e"));
    TRY("into nothing", link("f", "none/e"));
    TRY("unlink one", unlink("f"));
    VALUE("links left", links_of("g"));
    NEED(symlink("g", "s") == 0);
    TRY("link of a symlink", link("s", "s2"));
    VALUE("it is the symlink", links_of("s2"));
    TRY("linkat follow", linkat(AT_FDCWD, "s", AT_FDCWD, "g2", AT_SYMLINK_FOLLOW));
    VALUE("it is the file", links_of("g2"));
    TRY("linkat unknown flag", linkat(AT_FDCWD, "g", AT_FDCWD, "g3", 0x8000));
    TRY("linkat closed", linkat(999, "g", AT_FDCWD, "g3", 0));
    SYS("link bad pointer", SYS_link, BAD_LOW, "x");
    SYS("link bad second pointer", SYS_link, "g", BAD_LOW);
}

static void symbolic(void)
{
    char buf[64], name[32], target[32];
    TRY("symlink", symlink("some/where", "l"));
    memset(buf, '.', sizeof(buf));
    TRY("readlink", readlink("l", buf, sizeof(buf)));
    show_bytes("no zero is added", buf, 11);
    TRY("readlink short", readlink("l", buf, 4));
    SYS("readlink of no bytes", SYS_readlink, "l", buf, 0L);
    SYS("readlink of -1 bytes", SYS_readlink, "l", buf, -1L);
    TRY("readlink of file", readlink("g", buf, sizeof(buf)));
    TRY("readlink of directory", readlink("d", buf, sizeof(buf)));
    TRY("readlink missing", readlink("missing", buf, sizeof(buf)));
    TRY("readlink under file", readlink("g/x", buf, sizeof(buf)));
    SYS("readlink to nowhere", SYS_readlink, "l", BAD_LOW, 10L);
    TRY("readlinkat closed", readlinkat(999, "l", buf, 10));
    TRY("symlink again", symlink("x", "l"));
    TRY("symlink empty target", symlink("", "empty"));
    TRY("symlink in nothing", symlink("x", "none/l"));
    char *lengthy = malloc(PATH_MAX + 2);
    memset(lengthy, 'x', PATH_MAX + 1);
    lengthy[PATH_MAX] = 0;
    TRY("symlink target too long", symlink(lengthy, "long"));
    lengthy[3000] = 0;
    TRY("symlink target of 3000", symlink(lengthy, "long"));
    struct stat st;
    lstat("long", &st);
    VALUE("its size", st.st_size);
    free(lengthy);
    TRY("symlinkat", symlinkat("g", open("d", O_RDONLY), "up"));
    TRY("relative to the link's place", access("d/up", F_OK));
    put("chain0", "end");
    for (int i = 1; i <= 41; i++) {
        snprintf(name, sizeof(name), "chain%d", i);
        snprintf(target, sizeof(target), "chain%d", i - 1);
        NEED(symlink(target, name) == 0);
    }
    TRY("40 links", access("chain40", F_OK));
    TRY("41 links", access("chain41", F_OK));
    TRY("unlink a link", unlink("chain1"));
    TRY("target stays", access("chain0", F_OK));
    NEED(symlink("/", "slash") == 0);
    TRY("absolute link", access("slash/proc/self", F_OK));
}

static void renaming(void)
{
    struct stat a, b;
    put("a", "a");
    put("b", "b");
    NEED(mkdir("empty", 0755) == 0 && mkdir("full", 0755) == 0 && mkdir("from", 0755) == 0);
    put("full/x", "x");
    put("from/y", "y");
    int fd = open("a", O_RDONLY);
    TRY("file over file", rename("a", "b"));
    show_file("new content", "b");
    TRY("old name is gone", access("a", F_OK));
    fstat(fd, &a);
    stat("b", &b);
    CHECK("open descriptor is the new name", a.st_ino == b.st_ino);
    TRY("missing", rename("missing", "z"));
    TRY("into nothing", rename("b", "none/b"));
    TRY("file over directory", rename("b", "empty"));
    TRY("directory over file", rename("empty", "b"));
    TRY("directory over full", rename("from", "full"));
    TRY("directory over empty", rename("from", "empty"));
    show_file("moved along", "empty/y");
    TRY("directory into itself", rename("empty", "empty/sub"));
    TRY("directory over its parent", rename("full/x", "full"));
    TRY("to itself", rename("b", "b"));
    NEED(link("b", "b2") == 0);
    TRY("hard links to one file", rename("b", "b2"));
    TRY("both stay", access("b", F_OK) | access("b2", F_OK));
    TRY("dot", rename(".", "z"));
    TRY("dot-dot", rename("z", ".."));
    TRY("file with slash", rename("b/", "z"));
    TRY("file to slash", rename("b", "z/"));
    TRY("directory to slash", rename("empty", "moved/"));
    show_file("moved content", "moved/y");
    NEED(symlink("b", "sym") == 0);
    TRY("link is moved itself", rename("sym", "sym2"));
    lstat("sym2", &a);
    CHECK("still a link", S_ISLNK(a.st_mode));
    TRY("over a link", rename("b2", "sym2"));
    TRY("link's target stays", access("b", F_OK));
    SYS("bad pointer", SYS_rename, BAD_LOW, "z");
    SYS("bad second pointer", SYS_rename, "b", BAD_LOW);
    close(fd);
}

static void flags(void)
{
    put("p", "p");
    put("q", "q");
    SYS("NOREPLACE over existing", SYS_renameat2, AT_FDCWD, "p", AT_FDCWD, "q", RENAME_NOREPLACE);
    SYS("NOREPLACE", SYS_renameat2, AT_FDCWD, "p", AT_FDCWD, "r", RENAME_NOREPLACE);
    SYS("EXCHANGE", SYS_renameat2, AT_FDCWD, "r", AT_FDCWD, "q", RENAME_EXCHANGE);
    show_file("exchanged", "r");
    SYS("EXCHANGE file and directory", SYS_renameat2, AT_FDCWD, "r", AT_FDCWD, "full",
        RENAME_EXCHANGE);
    show_file("file took the name", "full");
    show_file("directory took the name", "r/x");
    SYS("EXCHANGE missing", SYS_renameat2, AT_FDCWD, "q", AT_FDCWD, "none", RENAME_EXCHANGE);
    SYS("both", SYS_renameat2, AT_FDCWD, "q", AT_FDCWD, "r", RENAME_EXCHANGE | RENAME_NOREPLACE);
    SYS("unknown flag", SYS_renameat2, AT_FDCWD, "q", AT_FDCWD, "r", 0x100);
    SYS("renameat closed", SYS_renameat2, 999, "q", AT_FDCWD, "r", 0);
    int d = open("r", O_RDONLY);
    SYS("renameat into", SYS_renameat, AT_FDCWD, "q", d, "q2");
    show_file("renamed into", "r/q2");
    close(d);
}

static void open_but_gone(void)
{
    char buf[8];
    struct stat st;
    int fd = open("gone", O_RDWR | O_CREAT, 0600);
    NEED(write(fd, "still", 5) == 5);
    TRY("unlink open file", unlink("gone"));
    TRY("name is gone", access("gone", F_OK));
    TRY("read it", pread(fd, buf, 5, 0));
    show_bytes("bytes", buf, 5);
    TRY("grow it", pwrite(fd, "!", 1, 5));
    fstat(fd, &st);
    say("links and size", "%ld %ld", (long)st.st_nlink, (long)st.st_size);
    put("gone", "new");
    TRY("old and new are apart", pread(fd, buf, 8, 0));
    TRY("fchmod", fchmod(fd, 0640));
    TRY("ftruncate", ftruncate(fd, 1));
    show_file("new one untouched", "gone");
    TRY("mkfifo", mkfifo("fifo", 0640));
    lstat("fifo", &st);
    say("fifo mode", "%o", st.st_mode);
    TRY("mkfifo again", mkfifo("fifo", 0640));
    TRY("mknod regular", mknod("node", S_IFREG | 0600, 0));
    TRY("mknod directory", mknod("node2", S_IFDIR | 0600, 0));
    TRY("mknod nonsense", mknod("node2", 0xb000 | 0600, 0));
}

/* The root by paths that go above it; links were made, so what they name is looked up step by step.
 */
static void above_root(void)
{
    static const char *const paths[] = {"/", "/..", "/tmp/../..", "/tmp/../../../tmp/..",
                                        "/usr/../../usr/../../"};
    char buf[8];
    struct stat st, root;
    NEED(stat("/", &root) == 0);
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        const char *path = paths[i];
        say(path, "is");
        TRY("lstat", lstat(path, &st));
        CHECK("it is the root", st.st_ino == root.st_ino && S_ISDIR(st.st_mode));
        TRY("stat", stat(path, &st));
        TRY("readlink", readlink(path, buf, sizeof(buf)));
        TRY("rmdir", rmdir(path));
        TRY("unlink", unlink(path));
        TRY("mkdir", mkdir(path, 0755));
        TRY("rename", rename(path, "renamed"));
        TRY("lgetxattr", lgetxattr(path, "user.none", buf, sizeof(buf)));
        int fd = open(path, O_PATH | O_NOFOLLOW);
        TRY("fstat", fstat(fd, &st));
        CHECK("it is the root", st.st_ino == root.st_ino && S_ISDIR(st.st_mode));
        close(fd);
        OK("open", open(path, O_RDONLY | O_NOFOLLOW));
    }
    char deep[200] = "/tmp";
    for (int i = 0; i < 50; i++)
        strcat(deep, "/..");
    TRY("fifty up", lstat(deep, &st));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    hard();
    symbolic();
    renaming();
    flags();
    open_but_gone();
    above_root();
    return 0;
}
