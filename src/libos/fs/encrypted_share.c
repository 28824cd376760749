/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/encrypted_share.h"
#include "host/host.h"
#include "libos/fs/encrypted.h"
#include "libos/fs/encrypted_map.h"
#include "libos/lib/errors.h"
#include "libos/log.h"
#include "libos/process.h"
#include "platform/platform.h"
#include <asm/unistd.h>

#define SLOTS         4096
#define LOCK_BYTE     FILE_LOCK_LIMIT /* the byte that is locked on the host file */
#define PATIENCE      10000000000UL   /* ns that another process has for letting go */
#define PATIENCE_ELSE 3000000000UL    /* the same for one that we cannot ask */
#define FIRST_WAIT    20000UL         /* ns; doubled up to LONGEST_WAIT */
#define LONGEST_WAIT  4000000UL
#define OFD_SETLK     37

#define KNOWN      4  /* processes of a slot that are known by their pid */
#define LOOK_AFTER 64 /* operations between looks at whether they still are */

/* Shared by all processes of the run; every field atomic. */
struct share_slot {
    uint32_t count; /* contexts of files of this slot, in all processes; too high after a SIGKILL */
    int owner;      /* process to be asked for the file, or 0 */
    int stores_of;  /* as enc_node.stores_of, of the file stores_ino */
    int thread;     /* of the owner, that took the file */
    uint64_t stores_ino, stores_dev;
    uint64_t who[KNOWN]; /* some of those in `count`: a pid and, above it, how many it has; or 0 */
};

static struct share_slot *slots;

int enc_share_setup(void)
{
    if (!slots)
        slots = platform_shared_pages(PAGE_UP(SLOTS * sizeof(struct share_slot)));
    return slots ? 0 : -ENOMEM;
}

bool encrypted_mounted(void)
{
    return slots != NULL;
}

#define LOAD(x)     __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define STORE(x, v) __atomic_store_n(&(x), v, __ATOMIC_SEQ_CST)

/* ---- who is there ---- */

/* Adds `change`, 1 or -1, to what process `pid` is known to have; if there is no room, nobody
 * knows.
 */
static void know(struct share_slot *slot, int pid, int change)
{
    for (int i = 0; i < KNOWN; i++) {
        uint64_t old = LOAD(slot->who[i]);
        while ((int)old == pid || (!old && change > 0)) {
            uint64_t new = old ? old + ((uint64_t)change << 32) : 1UL << 32 | (uint32_t)pid;
            if (!(new >> 32))
                new = 0;
            if (__atomic_compare_exchange_n(&slot->who[i], &old, new, false, __ATOMIC_SEQ_CST,
                                            __ATOMIC_SEQ_CST))
                return;
        }
    }
}

/* Takes out of the count what processes had that were killed. Whoever takes a pid out subtracts. */
static void bury(struct share_slot *slot)
{
    for (int i = 0; i < KNOWN; i++) {
        uint64_t old = LOAD(slot->who[i]);
        if (old && host_kill((int)old, 0) == -ESRCH &&
            __atomic_compare_exchange_n(&slot->who[i], &old, 0, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            __atomic_fetch_sub(&slot->count, (uint32_t)(old >> 32), __ATOMIC_SEQ_CST);
    }
}

void enc_share_join(struct enc_node *n)
{
    uint64_t hash = (n->ino * 0x9e3779b97f4a7c15 + n->dev) * 0x9e3779b97f4a7c15;
    n->slot = &slots[hash >> 52];
    n->own_fd = true;
    __atomic_fetch_add(&n->slot->count, 1, __ATOMIC_SEQ_CST);
    know(n->slot, current_process()->pid, 1);
}

static bool others_there(const struct enc_node *n)
{
    return LOAD(n->slot->count) > 1;
}

/* ---- the host's lock ---- */

/* F_WRLCK wants a descriptor that may write. */
static long set_lock(struct enc_node *n, short type)
{
    struct flock l = {.l_type = type, .l_start = LOCK_BYTE, .l_len = 1};
    if (type == F_WRLCK && n->readonly)
        l.l_type = F_RDLCK;
    long r = host_fcntl(n->host_fd, OFD_SETLK, (unsigned long)&l);
    return r == -EACCES ? -EAGAIN : r;
}

/* After a fork the child has the description of host_fd from its parent, and so would be its locks.
 */
static int own_description(struct enc_node *n)
{
    if (n->own_fd)
        return 0;
    int fd = enc_reopen(n);
    if (fd < 0)
        return fd;
    host_close(n->host_fd);
    n->host_fd = fd;
    n->own_fd = true;
    return 0;
}

static void ask(const struct share_slot *slot)
{
    int pid = LOAD(slot->owner);
    if (pid && pid != current_process()->pid && host_tgkill(pid, LOAD(slot->thread), NOTICE_SIGNAL))
        host_tgkill(pid, pid, NOTICE_SIGNAL);
}

static void pause_ns(uint64_t ns)
{
    host_nap((uint32_t)ns);
}

static int take_lock(struct enc_node *n, short type, const char *name)
{
    uint64_t wait = FIRST_WAIT, waited = 0;
    int err = own_description(n);
    while (!err) {
        long r = set_lock(n, type);
        if (r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP || r == -ENOLCK)
            return 0; /* a host file system without locks */
        if (r != -EAGAIN && r != -EINTR)
            return (int)r;
        if (__atomic_load_n(&current()->work, __ATOMIC_RELAXED) & WORK_KILL)
            return -EINTR;
        if (waited > (LOAD(n->slot->owner) ? PATIENCE : PATIENCE_ELSE)) {
            log_error("encrypted file '%s': another process uses it and does not let go (a "
                      "process of another run, or one that is stopped, or its disk is full)",
                      name);
            return -EBUSY;
        }
        ask(n->slot);
        encrypted_let_go();
        pause_ns(wait);
        waited += wait;
        wait = MIN(wait * 2, LONGEST_WAIT);
    }
    return err;
}

/* Nonce and tag of node 0, and its padding, where src/pfs makes notes. */
static int look(struct enc_node *n, uint8_t seen[ENC_SEEN])
{
    char *raw = enc_bounce(n, PFS_NODE_SIZE);
    if (!raw)
        return -ENOMEM;
    ssize r = host_pread(n->host_fd, raw, PFS_NODE_SIZE, 0);
    if (r != PFS_NODE_SIZE)
        return r < 0 ? (int)r : -EIO;
    memcpy(seen, raw + PFS_TAG_AT, PFS_TAG_SIZE);
    memcpy(seen + PFS_TAG_SIZE, raw + PFS_NODE_SIZE - PFS_PAD_SIZE, PFS_PAD_SIZE);
    return 0;
}

/* To be recognised when we come back. */
static void remember(struct enc_node *n)
{
    if (look(n, n->seen))
        memset(n->seen, 0, sizeof(n->seen));
}

/* ---- owning ---- */

static int write_all(struct enc_node *n)
{
    int err = enc_map_store(n, 0, INT64_MAX);
    int flushed = n->pfs ? pfs_flush(n->pfs, false) : 0;
    if (!flushed)
        enc_settle_times(n);
    return err ? err : flushed == -EBADMSG ? 0 : flushed;
}

static void disown(struct enc_node *n)
{
    n->owned = false;
    STORE(n->slot->owner, 0);
    set_lock(n, F_UNLCK);
}

/* Keeps the file when it cannot be written: the others have to do without it. */
static int let_go(struct enc_node *n)
{
    int err = write_all(n);
    if (!err) {
        remember(n);
        disown(n);
    }
    return err;
}

/* The lock is held, for good if nobody else is there and it is not shared with readers. */
static void locked(struct enc_node *n, short type)
{
    if (type != F_WRLCK || others_there(n)) {
        n->locked = true;
        return;
    }
    n->owned = true;
    STORE(n->slot->thread, current()->host_tid);
    STORE(n->slot->owner, current_process()->pid);
}

int enc_begin_open(struct enc_node *n, const char *name)
{
    int err = take_lock(n, F_WRLCK, name);
    if (!err)
        locked(n, F_WRLCK);
    return err;
}

static void unlock_file(struct enc_node *n)
{
    n->locked = false;
    set_lock(n, F_UNLCK);
}

static int reload(struct enc_node *n)
{
    int err = enc_node_reload(n);
    remember(n);
    return err;
}

/* Has another process changed the file, or did this one fail to? */
static int refresh(struct enc_node *n)
{
    uint8_t now[ENC_SEEN];
    if (!n->pfs || n->stale)
        return reload(n);
    int err = pfs_flush(n->pfs, false); /* nothing is dirty: what failed for good stays so */
    if (!err)
        err = look(n, now);
    if (err)
        return (int)enc_io_result(err);
    return memcmp(now, n->seen, sizeof(now)) == 0 ? 0 : reload(n);
}

static int make_writable(struct enc_node *n)
{
    if (n->readonly)
        return -EACCES;
    int err = (int)enc_io_result(pfs_refresh(n->pfs, true));
    n->writable = !err;
    return err;
}

static bool stored_by_others(const struct enc_node *n)
{
    int pid = LOAD(n->slot->stores_of);
    if (likely(!pid) || pid == n->stores_of || n->slot->stores_ino != n->ino ||
        n->slot->stores_dev != n->dev)
        return false;
    if (host_kill(pid, 0) == -ESRCH) {
        STORE(n->slot->stores_of, 0);
        return false;
    }
    log_error("encrypted file '%s': another process has mapped it for writing",
              n->pfs ? pfs_path(n->pfs) : "?");
    return true;
}

/* What was seen stays: the content may still be older than the file. */
static void give_up(struct enc_node *n)
{
    if (n->owned)
        disown(n);
    else
        unlock_file(n);
}

int enc_begin(struct enc_node *n, bool write)
{
    int err = 0;
    if (likely(n->owned))
        return unlikely(write && !n->writable) ? make_writable(n) : 0;
    if (write && stored_by_others(n))
        return -EBUSY;
    if (others_there(n) && ++n->shared_uses % LOOK_AFTER == 0)
        bury(n->slot);
    short type = write || !others_there(n) ? F_WRLCK : F_RDLCK;
    err = take_lock(n, type, n->pfs ? pfs_path(n->pfs) : "?");
    if (err)
        return err;
    locked(n, type);
    err = refresh(n);
    if (!err && write && !n->writable)
        err = make_writable(n);
    if (err)
        give_up(n);
    return err;
}

int enc_end(struct enc_node *n, bool wrote)
{
    if (likely(n->owned)) {
        if (unlikely(others_there(n)))
            let_go(n);
        return 0;
    }
    int err = wrote ? (int)enc_io_result(pfs_flush(n->pfs, false)) : 0;
    if (err)
        n->stale = true;
    else if (wrote)
        enc_settle_times(n);
    if (wrote)
        remember(n);
    unlock_file(n);
    return err;
}

void enc_share_leave(struct enc_node *n)
{
    if (n->stores_of == current_process()->pid && n->slot->stores_of == n->stores_of)
        STORE(n->slot->stores_of, 0);
    if (n->owned)
        STORE(n->slot->owner, 0); /* the lock goes with the descriptor */
    know(n->slot, current_process()->pid, -1);
    __atomic_fetch_sub(&n->slot->count, 1, __ATOMIC_SEQ_CST);
}

int enc_share_stores(struct enc_node *n)
{
    if (n->stores_of)
        return 0;
    if (others_there(n) || stored_by_others(n)) {
        log_error("encrypted file '%s': it cannot be mapped for writing while another process has "
                  "it open",
                  pfs_path(n->pfs));
        return -EBUSY;
    }
    n->stores_of = current_process()->pid;
    n->slot->stores_ino = n->ino;
    n->slot->stores_dev = n->dev;
    STORE(n->slot->stores_of, n->stores_of);
    return 0;
}

/* ---- the process ---- */

static bool try_lock(struct lock *l)
{
    uint32_t free = 0;
    return __atomic_compare_exchange_n(&l->word, &free, 1, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

/* Whoever holds the lock of a context looks for himself when he is done (enc_end). */
static void let_go_if_asked(struct enc_node *n)
{
    if (!LOAD(n->owned) || !others_there(n) || !try_lock(&n->lock))
        return;
    if (n->owned)
        let_go(n);
    unlock(&n->lock);
}

void encrypted_let_go(void)
{
    lock(&enc_nodes_lock);
    enc_nodes_each(let_go_if_asked);
    unlock(&enc_nodes_lock);
}

/* The offset of a description that two processes will share goes to where they share it. */
static void share_offsets(struct enc_node *n)
{
    list_for_each (it, &n->files) {
        struct enc_file *ef = list_entry(it, struct enc_file, link);
        struct file *f = ef->file;
        if (f->pos_fd >= 0)
            continue;
        int fd = enc_file_fd(ef);
        if (fd >= 0 && host_lseek(fd, f->pos, 0) >= 0)
            f->pos_fd = fd;
    }
}

static void before_fork(struct enc_node *n)
{
    int err = 0;
    if (!n->owned && enc_map_has_stores(n) && !(err = enc_begin(n, true)) && !n->owned) {
        err = enc_map_store(n, 0, INT64_MAX);
        enc_end(n, true);
    }
    if (n->owned)
        err = let_go(n);
    if (err)
        log_error("fork: writing an encrypted file failed: %s; the child does not see its "
                  "last changes",
                  ERROR_TEXT(err));
    share_offsets(n);
    __atomic_fetch_add(&n->slot->count, 1, __ATOMIC_SEQ_CST);
}

int encrypted_before_fork(void)
{
    enc_nodes_each(before_fork);
    return 0;
}

/* A description of its own at once: the parent's, kept open, would keep the parent's locks. */
static void in_child(struct enc_node *n)
{
    n->stale = n->owned; /* the parent could not write it and still has it */
    n->owned = n->own_fd = false;
    know(n->slot, current()->host_tid, 1); /* counted before the fork; its pid from now on */
    own_description(n);
}

static void without_child(struct enc_node *n)
{
    __atomic_fetch_sub(&n->slot->count, 1, __ATOMIC_SEQ_CST);
}

void encrypted_after_fork(long pid)
{
    if (pid <= 0)
        enc_nodes_each(pid ? without_child : in_child);
}
