/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Watching files and directories. */
#include "check.h"
#include <poll.h>
#include <sys/inotify.h>

static int fd, first;

static void show(const char *name)
{
    _Alignas(struct inotify_event) char buf[4096];
    struct pollfd p = {fd, POLLIN, 0};
    poll(&p, 1, 1000);
    ssize_t n = read(fd, buf, sizeof(buf));
    if (n < 0)
        report(name, -1);
    for (ssize_t at = 0; at < n;) {
        struct inotify_event *e = (void *)(buf + at);
        say(name, "watch %d events %#x cookie %d name %s", e->wd - first, (unsigned)e->mask,
            e->cookie != 0, e->len ? e->name : "-");
        at += (ssize_t)(sizeof(*e) + e->len);
    }
}

int main(int argc, char **argv)
{
    start(argc, argv);
    NEED(mkdir("dir", 0755) == 0);
    put("file", "x");
    fd = (int)OK("inotify_init1", inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    TRY("nothing yet", read(fd, &first, 4));
    first = inotify_add_watch(fd, "dir", IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE);
    CHECK("watch a directory", first > 0);
    int second = inotify_add_watch(fd, "file", IN_MODIFY | IN_DELETE_SELF);
    CHECK("watch a file", second == first + 1);
    put("dir/new", "text");
    show("created");
    NEED(rename("dir/new", "dir/moved") == 0);
    show("renamed");
    NEED(unlink("dir/moved") == 0);
    show("removed");
    put("file", "longer");
    show("modified");
    CHECK("the same watch", inotify_add_watch(fd, "./file", IN_ATTRIB) == second);
    TRY("remove a watch", inotify_rm_watch(fd, second));
    show("removed watch");
    TRY("remove it again", inotify_rm_watch(fd, second));
    TRY("nothing there", inotify_add_watch(fd, "none", IN_ALL_EVENTS));
    TRY("no events", inotify_add_watch(fd, "dir", 0));
    TRY("only directories", inotify_add_watch(fd, "file", IN_CREATE | IN_ONLYDIR));
    TRY("not one", inotify_add_watch(0, "dir", IN_CREATE));
    TRY("closed", inotify_add_watch(999, "dir", IN_CREATE));
    SYS("nowhere", SYS_inotify_add_watch, fd, BAD_LOW, IN_CREATE);
    TRY("bad flags", inotify_init1(1));
    return 0;
}
