/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Host paths at their use.
 *
 * Symbolic links that were there before the run are the manifest author's: they are followed on the
 * host, where they stand, and the file policy knows what they lead to by the path as written. Links
 * that the run has made or moved are followed inside, as if the program had written their text
 * itself: they lead to nothing that the program could not name. fs/path.c does that, here it is
 * decided which is which: by the time of the last change of the link's inode, which creating,
 * moving and linking set and which no call can set back.
 *
 * As long as no process of the run has made or moved a link, or moved a directory, the host
 * resolves paths alone, at no cost. From then on every path is walked here first, and the host is
 * given one on which it meets no link at all: the last name below a directory that was opened so.
 * Whoever exchanges a part of the path meanwhile makes the call fail.
 */
#pragma once
#include "libos/fs/vfs.h"

struct links_shared { /* of all processes of the run */
    uint32_t made;    /* has the run made or moved a link? Never goes back to 0; atomic */
    uint32_t doubt; /* times of change are not to be relied upon: every link is the run's; atomic */
    uint32_t changing; /* calls that change something by a path which the host resolves; atomic */
    uint64_t since;    /* CLOCK_REALTIME of the start, ns */
};
extern struct links_shared *links_shared;

/* Before the first mount. 0 or -ENOMEM. */
int links_setup(void);

static inline bool links_made(void)
{
    return __atomic_load_n(&links_shared->made, __ATOMIC_SEQ_CST);
}

/* Before a link is made or moved: never between use_begin() with `changes` and use_end(). */
void links_note(void);
/* After it: was the time of change of the link at the host path set? */
void links_noted(const char *host);
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

enum use_kind {
    USE_NAME,   /* a name in its directory; a link there is not followed */
    USE_PLACE,  /* the same, of what links lead to */
    USE_OBJECT, /* what is there already; links are followed */
};
struct use {
    const char *host; /* what the host is given */
    int fd;           /* the directory or object that `host` begins with, or -1 */
    bool counted;
    bool walked;           /* what `host` names is to be no link */
    bool whole;            /* `host` is the descriptor's own name */
    char path[PATH_LIMIT]; /* the host path as written: what the policy knows */
    char below[NAME_LIMIT + 40];
};
/*
 * Makes a path ready for one host call; use_end() always follows. `changes`: the call changes
 * something, so it is not to be repeated; a call that only looks is, while use_again() says so.
 */
int use_begin(struct use *u, const struct mount *m, const char *rel, enum use_kind kind,
              bool changes);
void use_end(struct use *u);
/* Instead of use_begin(): use_end() has nothing to do. */
static inline void use_none(struct use *u)
{
    u->fd = -1;
    u->counted = false;
}

/* After use_end(): did the host follow links that the run made meanwhile? */
static inline bool use_again(const struct use *u)
{
    return unlikely(links_made()) && !u->walked && !u->counted;
}

/* Flags of open(2) for u->host. */
static inline uint32_t use_flags(const struct use *u, uint32_t flags)
{
    return !u->walked ? flags : u->whole ? flags & ~(uint32_t)O_NOFOLLOW : flags | O_NOFOLLOW;
}
