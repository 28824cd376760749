/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Host paths at their use.
 *
 * Symbolic links in places that the program cannot write to are the manifest author's: they are
 * followed on the host, where they stand, and the file policy knows what they lead to by the path
 * as written. Links in places of sgx.allowed_files, where an earlier run may have made them, and
 * links that this run has made or moved are followed inside, as if the program had written their
 * text itself: they lead to nothing that the program could not name. fs/path.c does that, here it
 * is decided which is which: by the policy of where the link stands, and by the time of the last
 * change of its inode, which creating, moving and linking set and which no call can set back.
 *
 * As long as no process of the run has made or moved such a link, or moved a directory with links
 * in it, the host resolves paths alone. In allowed places (`guarded`) it is told to meet no link:
 * opening costs nothing more for that, calls on an object go through its descriptor, and those on a
 * name rely on what the thread has seen of its directory within the last millisecond (so another
 * run that exchanges just then has that long). A link there makes the call start again at once
 * (-ERESTARTNOINTR, thread.walks): at first open, stat and their like follow one link and try as
 * before; the next time, as other calls the first time, the path is walked here, and the host is
 * given one on which it meets no link at all: the last name below a directory that was opened so.
 * Whoever exchanges a part of the path meanwhile makes the call fail.
 *
 * Once the run has made a link (links_made()) every call does so everywhere, but open and stat in
 * allowed places, which the host is told in one step to do without a link (`linkless`): they start
 * again if it meets one, and have no millisecond.
 */
#pragma once
#include "libos/fs/vfs.h"
#include "libos/thread.h"

struct links_shared { /* of all processes of the run */
    uint32_t made;    /* has the run made or moved one? Never goes back to 0; atomic */
    uint32_t doubt; /* times of change are not to be relied upon: every link is the run's; atomic */
    uint32_t changing; /* calls that change something by a path which the host resolves; atomic */
    uint32_t keeper;   /* host's number of the thread that keeps links as they are, or 0; atomic */
    uint32_t moved;    /* counts directories that were moved or removed; atomic */
    uint64_t since;    /* CLOCK_REALTIME of the start, ns */
};
extern struct links_shared *links_shared;

/* Before the first mount. 0 or -ENOMEM. */
int links_setup(void);

static inline bool links_made(void)
{
    return __atomic_load_n(&links_shared->made, __ATOMIC_SEQ_CST);
}
/* Are paths walked in this call? */
static inline bool links_walked(void)
{
    return links_made() || current()->walks;
}

/*
 * From 0 until links_let_go() no other thread of the run does the same: around every host call that
 * makes or moves a link or may move a directory, and around one that follows a whole path because
 * it needs its text (bind), together with the look that finds no link on it. Free as long as
 * links_made() is false. Does not wait for ever, for processes can be stopped: -EBUSY.
 */
int links_keep(void);
void links_let_go(void);

/* Before a link is made or moved: never between use_begin() with `changes` and use_end(). */
void links_note(void);
/* After it: was the time of change of the link at the host path set? */
void links_noted(const char *host);
/* After a directory was moved or removed. */
void links_moved(void);
/*
 * Before the directory at the host path moves: makes all links in it the run's, and asks `check`,
 * which may be NULL, about each name below it that is no directory. `rel` is its path below `dir`,
 * `target` a link's text or NULL. 0, or the first error of `check` or of the host.
 */
int links_note_tree(const char *dir, int (*check)(void *ctx, const char *rel, const char *target),
                    void *ctx);

/*
 * The first link of the run on the way along mount `m` to `rel`: 1, and rel[0..*end) is to be
 * replaced by `target`. 0: none. `follow`: the last name counts too.
 */
int links_find(const struct mount *m, const char *rel, bool follow, size_t *end,
               char target[PATH_LIMIT]);

/* Does a mount's host path lead through a link that the program, or an earlier run, can have made?
 */
bool links_redirect(const char *uri);

enum use_kind {
    USE_NAME,   /* a name in its directory; a link there is not followed */
    USE_PLACE,  /* the same, of what links lead to */
    USE_OBJECT, /* what is there already; links are followed */
};
struct use {
    const char *host; /* what the host is given */
    int root;         /* or, by calls that know of it, `name` below this directory */
    const char *name;
    int fd; /* the directory or object that `host` begins with, or -1 */
    bool counted;
    bool walked;           /* what `host` names is to be no link */
    bool guarded;          /* on the way to it the host is to meet no link */
    bool linkless;         /* by use_begin_linkless() */
    bool whole;            /* `host` is the descriptor itself, not a name below it */
    char path[PATH_LIMIT]; /* the host path as written: what the policy knows */
    char below[NAME_LIMIT + 40];
};
/*
 * Makes a path ready for one host call; use_end() always follows. `changes`: the call changes
 * something, so it is not to be repeated; a call that only looks is, while use_again() says so.
 */
int use_begin(struct use *u, const struct mount *m, const char *rel, enum use_kind kind,
              bool changes);
/*
 * The same for calls that only look and meet no link themselves: with `guarded` set they do not
 * follow what `host` names, and say use_met_link() where they should have.
 */
int use_begin_look(struct use *u, const struct mount *m, const char *rel, enum use_kind kind);
/* The same for open(2): with `guarded`, to be set by the caller, the host meets no link. */
int use_begin_open(struct use *u, const struct mount *m, const char *rel, enum use_kind kind,
                   bool changes);
/* May the program, or an earlier run, have made links on the way to the host path of `rel`? */
bool use_is_guarded(const struct mount *m, const char *rel, const char *host);
/* A link stands where the host was to meet none: -ERESTARTNOINTR, or -ELOOP when the call was
 * walked. */
int use_met_link(struct use *u);
/*
 * Instead of walking, for calls that are told in one step that there is a link on the way: does it
 * concern this path? Then use_begin_linkless(), and use_walk() after -ELOOP, which walks, and says
 * -ERESTARTNOINTR if the link is the run's.
 */
static inline bool use_tries_linkless(const struct mount *m, const char *rel)
{
    return unlikely(links_made()) && current()->walks != WALK_ALL && *rel && !m->device &&
           !m->source;
}
int use_begin_linkless(struct use *u, const struct mount *m, const char *rel);
int use_walk(struct use *u, const char *rel, enum use_kind kind);
/*
 * For calls that the library OS makes on its own behalf: does it start again? `before`: what
 * `walks` was, which it is again when it does not.
 */
static inline bool use_restarts(long err, enum walks before)
{
    struct thread *t = current();
    bool again = err == -ERESTARTNOINTR && t->met_link && t->walks < WALK_ALL;
    t->walks = again ? t->walks + 1 : before;
    t->met_link = again ? false : t->met_link;
    return again;
}
void use_end(struct use *u);

/* Around a change by a path that was made ready before: false if links were made since. */
bool links_hold(void);
void links_release(void);

/* Instead of use_begin(): use_end() has nothing to do. */
static inline void use_none(struct use *u)
{
    u->root = -1;
    u->fd = -1;
    u->counted = u->guarded = u->linkless = false;
}

/* After use_end(): did the host follow links that the run made meanwhile? */
static inline bool use_again(const struct use *u)
{
    return unlikely(links_made()) && !u->walked && !u->counted && !u->linkless;
}

/* Flags of open(2) for u->host. */
static inline uint32_t use_flags(const struct use *u, uint32_t flags)
{
    return !u->walked ? flags : u->whole ? flags & ~(uint32_t)O_NOFOLLOW : flags | O_NOFOLLOW;
}
