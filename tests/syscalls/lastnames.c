/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Names that are made, removed and moved by paths that end in a slash, "." or "..". */
#include "check.h"
#include <sys/stat.h>

static char path[64];

static void put_back(void)
{
    static const char *const files[] = {"f", "lf", "ld", "nowhere", "loop", "new", "no"};
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        unlink(files[i]);
        rmdir(files[i]);
    }
    rmdir("d");
    rmdir("e");
    rmdir("moved");
    unlink("moved");
    NEED(mkdir("d", 0755) == 0 && mkdir("e", 0755) == 0);
    close(open("f", O_WRONLY | O_CREAT, 0644));
    NEED(symlink("d", "ld") == 0 && symlink("f", "lf") == 0);
    NEED(symlink("no", "nowhere") == 0 && symlink("loop", "loop") == 0);
}

static void make_names(void)
{
    TRY("mkdir", mkdir(path, 0755));
    put_back();
    TRY("mkfifo", mkfifo(path, 0644));
    put_back();
    TRY("symlink", symlink("x", path));
    put_back();
    TRY("link", link("f", path));
    put_back();
    TRY("link of nothing", link("none", path));
    TRY("link of a directory", link("d", path));
}

static void remove_names(void)
{
    TRY("rmdir", rmdir(path));
    put_back();
    TRY("unlink", unlink(path));
    put_back();
}

static void move_names(void)
{
    TRY("rename from", rename(path, "moved"));
    put_back();
    TRY("rename a directory to", rename("e", path));
    put_back();
    TRY("rename a file to", rename("f", path));
    put_back();
    TRY("rename nothing to", rename("none", path));
    TRY("rename . to", rename("d/.", path));
    TRY("rename to ..", rename(path, "d/.."));
    put_back();
}

static void all_with(const char *name, const char *end)
{
    snprintf(path, sizeof(path), "%s%s", name, end);
    say(path, "is");
    make_names();
    remove_names();
    move_names();
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"d",    "f",   "ld",       "lf",   "nowhere",
                                        "loop", "new", "none/new", "f/new"};
    static const char *const ends[] = {"", "/", "//", "/.", "/./", "/..", "/../"};
    start(argc, argv);
    put_back();
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        for (size_t j = 0; j < sizeof(ends) / sizeof(*ends); j++)
            all_with(names[i], ends[j]);
    NEED(chdir("d") == 0);
    static const char *const here[] = {".", "./", "..", "../"};
    for (size_t i = 0; i < sizeof(here) / sizeof(*here); i++) {
        say(here[i], "is");
        TRY("mkdir", mkdir(here[i], 0755));
        TRY("mkfifo", mkfifo(here[i], 0644));
        TRY("symlink", symlink("x", here[i]));
        TRY("link", link("../f", here[i]));
        TRY("rmdir", rmdir(here[i]));
        TRY("unlink", unlink(here[i]));
        TRY("rename from", rename(here[i], "moved"));
        TRY("rename to", rename("../e", here[i]));
    }
    return 0;
}
