/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Where the trees of all tmpfs mounts are, once there are several processes: in a process of their
 * own, the home, which does nothing but answer. It is forked at the first use after the first fork
 * from whoever is first, as a child that no wait finds, with nothing of the application in it, and
 * ends when nobody is left to ask. A request is one message on a socket that all processes inherit;
 * with it goes a socket for the answer. Kill whom you like, the others go on.
 */
#include "libos/fs/tmpfs.h"
#include "host/host_net.h"
#include "libos/lib/errors.h"
#include "libos/log.h"
#include "libos/process.h"
#include "platform/platform.h"

#define AF_UNIX_K      1
#define SOCK_SEQPACKET 5
#define PATIENCE_MS    10000
#define MOST_TEXT      8192UL

enum home_state {
    FORKED,   /* several processes, whose trees are still the same */
    FOUNDING, /* `founder` makes the home */
    READY
};

struct meeting { /* shared by all processes of the run; all atomic */
    uint32_t state;
    int founder;
};

/* Set by the first fork, the world standing still; then read-only but for home_fd. NULL: no process
 * has forked, the trees are its own. */
static struct meeting *meeting;
static int ask_fd = -1;  /* requests go in here */
static int home_fd = -1; /* the home's end: closed once there is a home */

/* Over one exchange with the home. Below every lock but the trees', the heap's and region's. */
static struct lock asking;
static int answers[2]; /* of process `answers_of`: ours, and the end that goes with a request */
static int answers_of;

struct request {
    uint32_t mount;
    uint16_t path_len, other_len; /* with NUL; 0: none */
    uint32_t room;
    struct tmp_call call;
    struct credentials cred;
};

struct reply {
    ssize result;
    kstat st;
};

struct message {
    union {
        struct request request;
        struct reply reply;
    };
    char text[2 * PATH_LIMIT];
};
_Static_assert(MOST_TEXT <= 2 * PATH_LIMIT, "room for the text of a reply");

/* ---- the home ---- */

static struct tmpfs *tree_of(uint32_t mount)
{
    return mount < mount_count && mounts[mount]->ops == &fs_tmpfs ? mounts[mount]->priv : NULL;
}

static ssize serve(struct message *m, size_t len, struct tmp_answer *a)
{
    struct request *q = &m->request;
    size_t strings = (size_t)q->path_len + q->other_len;
    struct tmpfs *fs = len >= sizeof(m->request) ? tree_of(q->mount) : NULL;
    if (!fs || len != offsetof(struct message, text) + strings || strings > sizeof(m->text) ||
        (q->path_len && m->text[q->path_len - 1]) || (q->other_len && m->text[strings - 1]) ||
        (!q->call.ino && !q->path_len) || q->room > MOST_TEXT)
        return -EINVAL;
    struct tmp_call c = q->call;
    c.path = q->path_len ? m->text : NULL;
    c.other = q->other_len ? m->text + q->path_len : NULL;
    c.inode = NULL;
    c.content_fd = -1;
    a->room = q->room;
    current_process()->cred = q->cred;
    lock(&fs->lock);
    ssize r = tmp_perform(fs, &c, a);
    if (!r && a->inode)
        tmp_put(a->inode);
    unlock(&fs->lock);
    return r;
}

__attribute__((noreturn)) static void answer_all(void)
{
    struct message *m = heap_alloc(sizeof(*m));
    char *text = heap_alloc(MOST_TEXT);
    while (m && text) {
        int to = -1;
        ssize n = host_receive_fd(home_fd, m, sizeof(*m), &to);
        if (n <= 0)
            break; /* nobody is left */
        struct tmp_answer a = {.text = text, .fd = -1};
        ssize r = serve(m, (size_t)n, &a);
        m->reply = (struct reply){.result = r, .st = a.st};
        size_t extra = a.room && r > 0 ? MIN((size_t)r, sizeof(m->text)) : 0;
        memcpy(m->text, text, extra);
        host_send_fd(to, m, offsetof(struct message, text) + extra, a.fd);
        if (a.fd >= 0)
            host_close(a.fd);
        if (to >= 0)
            host_close(to);
    }
    host_exit_group(0);
}

static void close_range_of(unsigned from, unsigned to)
{
    if (from <= to)
        host_close_range(from, to);
}

/* Closes every descriptor but our socket and the content of files. */
static void keep_content(void)
{
    unsigned from = 0;
    for (;;) { /* by ascending numbers */
        unsigned next = (unsigned)home_fd >= from ? (unsigned)home_fd : UINT32_MAX;
        for (uint32_t k = 0; k < mount_count; k++)
            for (size_t h = 0; tree_of(k) && h < TMP_HASH; h++)
                for (struct tmp_inode *i = tree_of(k)->by_ino[h]; i; i = i->same_hash)
                    if (i->memfd >= 0 && (unsigned)i->memfd >= from)
                        next = MIN(next, (unsigned)i->memfd);
        if (next == UINT32_MAX)
            break;
        close_range_of(from, next - 1);
        from = next + 1;
    }
    close_range_of(from, UINT32_MAX);
}

static void lock_trees(void (*change)(struct lock *l))
{
    for (uint32_t k = 0; k < mount_count; k++)
        if (tree_of(k))
            change(&tree_of(k)->lock);
}

static void lock_one(struct lock *l)
{
    lock(l);
}

static void unlock_one(struct lock *l)
{
    unlock(l);
}

static void live_at_home(void)
{
    heap_release();
    lock_trees(unlock_one);
    host_setsid();
    keep_content();
    platform_forget_application();
    answer_all();
}

/* Other threads go on meanwhile: what the home needs of theirs is locked. */
static int found_home(void)
{
    lock_trees(lock_one);
    heap_hold();
    long pid = platform_helper(live_at_home);
    heap_release();
    lock_trees(unlock_one);
    return pid < 0 ? (int)pid : 0;
}

/* ---- everybody else ---- */

static uint32_t load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static bool change_state(uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&meeting->state, &from, to, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

/* 0 when there is a home. */
static int find_home(void)
{
    while (load(&meeting->state) != READY) {
        if (change_state(FORKED, FOUNDING)) {
            __atomic_store_n(&meeting->founder, current_process()->pid, __ATOMIC_SEQ_CST);
            int err = found_home();
            change_state(FOUNDING, err ? FORKED : READY);
            if (err)
                return err;
            continue;
        }
        host_nap(200000);
        int founder = __atomic_load_n(&meeting->founder, __ATOMIC_SEQ_CST);
        if (founder && host_kill(founder, 0) == -ESRCH)
            change_state(FOUNDING, FORKED); /* it was killed over it */
    }
    return 0;
}

/* Under `asking`, once: what was ours is at home now. */
static void move_out(void)
{
    if (home_fd < 0)
        return;
    host_close(home_fd);
    home_fd = -1;
    for (uint32_t k = 0; k < mount_count; k++)
        if (tree_of(k)) {
            lock(&tree_of(k)->lock);
            tmp_forget(tree_of(k));
            unlock(&tree_of(k)->lock);
        }
}

static int make_answers(void)
{
    int me = current_process()->pid;
    if (answers_of == me)
        return 0;
    if (answers_of) { /* the parent's */
        host_close(answers[0]);
        host_close(answers[1]);
    }
    answers_of = 0;
    int err = host_socketpair(AF_UNIX_K, SOCK_SEQPACKET, 0, answers);
    if (!err)
        answers_of = me;
    return err;
}

/* Under `asking`. The length of the answer, or an errno. */
static ssize exchange(struct message *m, size_t len, int *fd)
{
    ssize r = host_send_fd(ask_fd, m, len, answers[1]);
    if (r < 0)
        return r;
    if (host_wait_readable(answers[0], PATIENCE_MS) == 1)
        return host_receive_fd(answers[0], m, sizeof(*m), fd);
    answers_of = -1; /* an answer may still come: not to the next question */
    return -EIO;
}

static void pack_request(struct message *m, uint32_t mount, const struct tmp_call *c, size_t room)
{
    size_t path_len = c->path && !c->ino ? strlen(c->path) + 1 : 0;
    size_t other_len = c->other ? strlen(c->other) + 1 : 0;
    m->request = (struct request){.mount = mount,
                                  .path_len = (uint16_t)path_len,
                                  .other_len = (uint16_t)other_len,
                                  .room = (uint32_t)MIN(room, MOST_TEXT),
                                  .call = *c,
                                  .cred = current_process()->cred};
    memcpy(m->text, c->path, path_len);
    memcpy(m->text + path_len, c->other, other_len);
}

/* What is open here of an inode that is at home. */
static struct tmp_inode *stand_in(const kstat *st)
{
    struct tmp_inode *i = heap_zalloc(sizeof(*i));
    if (!i)
        return NULL;
    *i = (struct tmp_inode){.refs = 1,
                            .ino = st->st_ino,
                            .mode = st->st_mode,
                            .uid = st->st_uid,
                            .gid = st->st_gid,
                            .memfd = -1,
                            .atime = {(int64_t)st->st_atime, (int64_t)st->st_atime_nsec},
                            .mtime = {(int64_t)st->st_mtime, (int64_t)st->st_mtime_nsec},
                            .ctime = {(int64_t)st->st_ctime, (int64_t)st->st_ctime_nsec}};
    list_init(&i->entries);
    return i;
}

static ssize take_answer(const struct tmp_call *c, const struct message *m, ssize len,
                         struct tmp_answer *a)
{
    ssize text = len - (ssize)offsetof(struct message, text), r = m->reply.result;
    if (text < 0 || (a->room && r > 0 && (r != text || (size_t)r > a->room)))
        return -EIO;
    a->st = m->reply.st;
    if (a->room && r > 0)
        memcpy(a->text, m->text, (size_t)r);
    if (r || c->op != TMP_OPEN)
        return r;
    a->inode = stand_in(&a->st);
    return a->inode ? 0 : -ENOMEM;
}

static ssize ask_home(uint32_t mount, const struct tmp_call *c, struct tmp_answer *a)
{
    struct message *m = heap_alloc(sizeof(*m));
    a->fd = -1;
    if (!m)
        return -ENOMEM;
    pack_request(m, mount, c, a->room);
    size_t len = offsetof(struct message, text) + m->request.path_len + m->request.other_len;
    lock(&asking);
    move_out();
    ssize r = make_answers();
    if (!r)
        r = exchange(m, len, &a->fd);
    unlock(&asking);
    if (r >= 0)
        r = take_answer(c, m, r, a);
    else
        log_error("tmpfs: the process that holds its names does not answer: %s", ERROR_TEXT(r));
    if (r && a->fd >= 0) {
        host_close(a->fd);
        a->fd = -1;
    }
    heap_free(m);
    return r;
}

static ssize here(struct tmpfs *fs, const struct tmp_call *c, struct tmp_answer *a)
{
    lock(&fs->lock);
    ssize r = tmp_perform(fs, c, a);
    unlock(&fs->lock);
    return r;
}

ssize tmp_call(struct mount *m, struct tmp_call *c, struct tmp_answer *a)
{
    if (!meeting)
        return here(m->priv, c, a);
    uint32_t mount = 0;
    while (mounts[mount] != m)
        mount++;
    ssize r = find_home();
    if (!r)
        r = ask_home(mount, c, a);
    if (r != -ESTALE || !c->inode)
        return r;
    c->inode->nlink = 0; /* no name is left, only who has it open */
    return here(m->priv, c, a);
}

int tmp_before_fork(void)
{
    int pair[2];
    if (meeting)
        return 0;
    if (platform_attests()) { /* what passes between processes there, the host could read */
        log_warning("tmpfs: what processes create there is not seen by others in enclaves");
        return 0;
    }
    int err = host_socketpair(AF_UNIX_K, SOCK_SEQPACKET, 0, pair);
    struct meeting *shared = err ? NULL : platform_shared_pages(PAGE_SIZE);
    if (!shared) {
        log_warning("tmpfs: what processes create there is not seen by others: %s",
                    ERROR_TEXT(err ? err : -ENOMEM));
        return 0;
    }
    ask_fd = pair[0];
    home_fd = pair[1];
    meeting = shared;
    return 0;
}
