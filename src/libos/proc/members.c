/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/proc/members.h"
#include "host/host_process.h"
#include "platform/platform.h"
#include <linux/time.h>

#define MEMBERS       4096
#define TICK          10000000UL /* ns, as in /proc/PID/stat */
#define PID_BITS      22         /* PID_MAX_LIMIT of Linux */
#define RESERVED      (1UL << 63)
#define READ_TRIES    1000
#define FIELD_PARENT  4 /* of /proc/PID/stat */
#define FIELD_START   22
#define ARRIVAL_WAIT  500000L /* ns */
#define ARRIVAL_TRIES 200
#define FULL_TICKS    100 /* a full table is not searched again that soon */

/*
 * owner: 0 free; else pid | time of start in ticks << PID_BITS. That time is taken by the process
 * or its parent after the fork, so the host's figure for it is not later, and that of any other
 * process which gets the number afterwards is. With RESERVED it is the parent that is named, and
 * the child is about to come.
 */
struct table {
    uint64_t owner[MEMBERS]; /* atomic */
    uint32_t used;           /* entries that were ever used; atomic */
    uint32_t hand;           /* where to look for the dead next; atomic */
    uint64_t full_at;        /* when nothing was free, in ticks; atomic */
    struct member member[MEMBERS];
};

static struct table *table;         /* NULL: no memory for it */
static bool proc_is_ours;           /* the host's /proc shows processes by our numbers */
static struct lock publishing_lock; /* over changes of it, and settle(); a leaf */

static struct membership *mine(void)
{
    return &current_process()->member;
}

#define LOAD(x)     __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define STORE(x, v) __atomic_store_n(&(x), v, __ATOMIC_SEQ_CST)

static uint64_t name_of(int pid, uint64_t started_ns)
{
    return (uint64_t)pid | (started_ns / TICK) << PID_BITS;
}

static int pid_of(uint64_t owner)
{
    return (int)(owner & ((1UL << PID_BITS) - 1));
}

static uint64_t ticks_of(uint64_t owner)
{
    return (owner & ~RESERVED) >> PID_BITS;
}

static bool swap(uint64_t *at, uint64_t old, uint64_t new)
{
    return __atomic_compare_exchange_n(at, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* ---- life and death ---- */

/* A number of /proc/PID/stat (proc(5)). -ENOENT: no such process; another error: the host does not
 * say. */
static long stat_field(int pid, int field)
{
    char path[32], text[512];
    fmt(path, sizeof(path), "/proc/%d/stat", pid);
    ssize n = host_read_text(path, text, sizeof(text));
    if (n < 0)
        return n == -ESRCH ? -ENOENT : n;
    const char *at = strrchr(text, ')');
    for (int i = 2; at && i < field; i++)
        at = strchr(at + 1, ' ');
    long number = 0;
    for (at = at ? at + 1 : ""; *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (*at - '0');
    return number;
}

static bool lives(uint64_t owner)
{
    if (!proc_is_ours)
        return host_kill(pid_of(owner), 0) != -ESRCH;
    long at = stat_field(pid_of(owner), FIELD_START);
    if (at >= 0)
        return (uint64_t)at <= ticks_of(owner);
    return at != -ENOENT && host_kill(pid_of(owner), 0) != -ESRCH;
}

/* May be wrong when the number is in use again. */
static bool surely_dead(uint64_t owner)
{
    return host_kill(pid_of(owner), 0) == -ESRCH;
}

bool member_thread_ended(int tid)
{
    char path[32], text[512];
    if (!proc_is_ours)
        return host_kill(tid, 0) == -ESRCH;
    fmt(path, sizeof(path), "/proc/%d/stat", tid);
    ssize n = host_read_text(path, text, sizeof(text));
    const char *state = n > 0 ? strrchr(text, ')') : NULL;
    return n == -ESRCH || n == -ENOENT || (state && strlen(state) > 2 && strchr("ZXx", state[2]));
}

/* ---- entries ---- */

static bool take_from(int at, uint64_t mark)
{
    uint64_t owner = LOAD(table->owner[at]);
    return (!owner || surely_dead(owner)) && swap(&table->owner[at], owner, mark);
}

/* The last child is often gone by now; else one look of the hand at each new process keeps the dead
 * from piling up. */
static int take_dead(uint64_t mark)
{
    if (mine()->childs >= 0 && take_from(mine()->childs, mark))
        return mine()->childs;
    uint32_t used = LOAD(table->used);
    int at = used ? (int)(__atomic_fetch_add(&table->hand, 1, __ATOMIC_SEQ_CST) % used) : -1;
    return at >= 0 && take_from(at, mark) ? at : -1;
}

static int take_new(uint64_t mark)
{
    for (;;) {
        uint32_t used = LOAD(table->used);
        if (used == MEMBERS)
            return -1;
        if (__atomic_compare_exchange_n(&table->used, &used, used + 1, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST) &&
            swap(&table->owner[used], 0, mark))
            return (int)used;
    }
}

static int take_any(uint64_t mark)
{
    uint64_t now = host_clock_ns(CLOCK_BOOTTIME) / TICK;
    if (now - LOAD(table->full_at) < FULL_TICKS)
        return -1;
    for (int at = 0; at < MEMBERS; at++) {
        uint64_t owner = LOAD(table->owner[at]);
        if ((!owner || !lives(owner)) && swap(&table->owner[at], owner, mark))
            return at;
    }
    STORE(table->full_at, now);
    return -1;
}

static int take(uint64_t mark)
{
    int at = take_dead(mark);
    if (at < 0)
        at = take_new(mark);
    return at < 0 ? take_any(mark) : at;
}

static uint64_t own_name(void)
{
    const struct process *p = current_process();
    return name_of(p->pid, p->start_ns);
}

static void put_program(struct member *m, const char *cmdline, size_t len);

static void enter(void)
{
    uint64_t mark = RESERVED | own_name();
    mine()->own = take(mark);
    if (mine()->own < 0)
        return;
    struct member *m = &table->member[mine()->own];
    m->seq = 0;
    put_program(m, "", 0);
    m->vm_size = current_process()->mm.total;
    swap(&table->owner[mine()->own], mark, own_name());
}

/*
 * A child finds its entry when it first needs it: touching the table costs a child that soon ends
 * more than all the rest. Until its parent has said whose the entry is, others wait (find).
 */
static bool settle(void)
{
    if (likely(mine()->settled) || !table)
        return table && mine()->own >= 0;
    if (mine()->childs >= 0 &&
        (swap(&table->owner[mine()->childs], mine()->mark, own_name()) ||
         pid_of(LOAD(table->owner[mine()->childs])) == current_process()->pid))
        mine()->own = mine()->childs;
    else
        enter(); /* there was none, or our parent was killed and it is another's by now */
    mine()->childs = -1;
    __atomic_store_n(&mine()->settled, true, __ATOMIC_RELEASE);
    return mine()->own >= 0;
}

int member_before_fork(void)
{
    if (!settle())
        return -EAGAIN;
    mine()->mark = RESERVED | own_name();
    mine()->childs = take(mine()->mark);
    if (mine()->childs < 0)
        return -EAGAIN;
    const struct member *from = &table->member[mine()->own];
    struct member *to = &table->member[mine()->childs];
    memcpy(to, from, offsetof(struct member, text) + MIN(from->end, sizeof(from->text)));
    to->seq = 0;
    to->has_execed = 0;
    memcpy(to->comm, current()->comm, sizeof(to->comm)); /* the child's only thread is ours */
    return 0;
}

void member_after_fork(long pid)
{
    if (!pid) {
        mine()->own = -1;
        mine()->settled = false;
    } else if (mine()->childs >= 0) {
        swap(&table->owner[mine()->childs], mine()->mark,
             pid > 0 ? name_of((int)pid, host_clock_ns(CLOCK_BOOTTIME)) : 0);
    }
}

/* ---- publishing ---- */

static struct member *begin_change(void)
{
    if (current()->vfork)
        return NULL;
    lock(&publishing_lock);
    if (!settle()) {
        unlock(&publishing_lock);
        return NULL;
    }
    struct member *m = &table->member[mine()->own];
    __atomic_fetch_add(&m->seq, 1, __ATOMIC_SEQ_CST);
    return m;
}

static void end_change(struct member *m)
{
    __atomic_fetch_add(&m->seq, 1, __ATOMIC_SEQ_CST);
    unlock(&publishing_lock);
}

static void put_facts(struct member *m)
{
    const struct process *p = current_process();
    m->dumpable = p->dumpable;
    memcpy(m->comm, p->comm, sizeof(m->comm));
    m->umask = p->fs.umask;
    m->personality = p->personality;
    m->cred = p->cred;
    memcpy(m->limits, p->limits, sizeof(m->limits));
    m->arg_start = p->arg_start;
    m->arg_end = p->arg_end;
    m->env_start = p->env_start;
    m->env_end = p->env_end;
    m->auxv_start = p->auxv_start;
    m->auxv_end = p->auxv_end;
}

/* Appends at most `most` bytes; returns where they begin. */
static uint32_t put_text(struct member *m, const char *text, size_t n, size_t most)
{
    uint32_t at = m->end;
    n = MIN(n, MIN(most, sizeof(m->text) - at));
    memcpy(m->text + at, text, n);
    m->end += (uint32_t)n;
    return at;
}

static uint32_t put_path(struct member *m, const char *path)
{
    size_t n = path ? strlen(path) + 1 : 0;
    return n && n <= sizeof(m->text) - m->end ? put_text(m, path, n, n) : put_text(m, "", 1, 1);
}

static void put_directories(struct member *m)
{
    struct fs_state *fs = &current_process()->fs;
    m->end = m->root_at;
    m->root_at = put_path(m, fs->root);
    m->cwd_at = put_path(m, fs->cwd);
}

static void publish(void (*put)(struct member *m))
{
    struct member *m = begin_change();
    if (!m)
        return;
    put(m);
    end_change(m);
}

void member_changed(void)
{
    publish(put_facts);
}

void member_changed_paths(void)
{
    publish(put_directories);
}

static void put_program(struct member *m, const char *cmdline, size_t len)
{
    put_facts(m);
    m->end = 0;
    m->exe_at = put_path(m, current_process()->exe);
    m->cmdline_at = put_text(m, cmdline, len, sizeof(m->text) - m->end - 2 * PATH_LIMIT);
    m->root_at = m->end;
    put_directories(m);
}

void member_exec(const char *cmdline, size_t len)
{
    struct member *m = begin_change();
    if (!m)
        return;
    put_program(m, cmdline, len);
    m->has_execed = 1;
    end_change(m);
}

void member_set_size(uint64_t bytes)
{
    if (!table)
        return;
    if (unlikely(!__atomic_load_n(&mine()->settled, __ATOMIC_ACQUIRE))) {
        lock(&publishing_lock);
        settle();
        unlock(&publishing_lock);
    }
    if (mine()->own >= 0)
        __atomic_store_n(&table->member[mine()->own].vm_size, bytes, __ATOMIC_RELAXED);
}

static bool proc_knows_us(void)
{
    char own[16], link[16] = "";
    fmt(own, sizeof(own), "%d", current_process()->pid);
    return host_readlink("/proc/self", link, sizeof(link) - 1) > 0 && strcmp(own, link) == 0;
}

void members_setup(void)
{
    proc_is_ours = proc_knows_us();
    *mine() = (struct membership){.own = -1, .childs = -1};
    table = platform_shared_pages(PAGE_UP(sizeof(struct table)));
    if (table)
        settle();
}

/* ---- looking ---- */

static bool is_other(uint64_t owner)
{
    return owner && !(owner & RESERVED) && pid_of(owner) != current_process()->pid;
}

/* Is it the child of a process that is forking it? */
static bool is_coming(int pid)
{
    uint32_t used = LOAD(table->used);
    for (uint32_t at = 0; at < used; at++) {
        uint64_t owner = LOAD(table->owner[at]);
        if (owner & RESERVED && stat_field(pid, FIELD_PARENT) == pid_of(owner))
            return true;
    }
    return false;
}

static int look_up(int pid)
{
    uint32_t used = LOAD(table->used);
    for (uint32_t at = 0; at < used; at++) {
        uint64_t owner = LOAD(table->owner[at]);
        if (is_other(owner) && pid_of(owner) == pid && lives(owner))
            return (int)at;
    }
    return -1;
}

static int find(int pid)
{
    int at = table ? look_up(pid) : -1;
    bool coming = table && at < 0;
    for (int i = 0; coming && i < ARRIVAL_TRIES; i++) {
        coming = is_coming(pid);
        at = look_up(pid); /* afterwards: it may be there since */
        if (at >= 0 || !coming)
            break;
        host_nap(ARRIVAL_WAIT);
    }
    return at;
}

bool member_alive(int pid)
{
    return find(pid) >= 0;
}

long member_next(long from)
{
    uint32_t used = table ? LOAD(table->used) : 0;
    for (;;) {
        uint64_t lowest = 0;
        for (uint32_t at = 0; at < used; at++) {
            uint64_t owner = LOAD(table->owner[at]);
            if (is_other(owner) && pid_of(owner) >= from &&
                (!lowest || pid_of(owner) < pid_of(lowest)))
                lowest = owner;
        }
        if (!lowest)
            return -1;
        if (member_alive(pid_of(lowest)))
            return pid_of(lowest);
        from = pid_of(lowest) + 1;
    }
}

long member_stat(int pid, int field)
{
    long v = stat_field(pid, field);
    return find(pid) >= 0 ? v : -ESRCH;
}

int member_of_thread(int tid)
{
    uint32_t used = table ? LOAD(table->used) : 0;
    for (uint32_t at = 0; at < used; at++) {
        uint64_t owner = LOAD(table->owner[at]);
        if (is_other(owner) && host_tgkill(pid_of(owner), tid, 0) != -ESRCH && lives(owner))
            return pid_of(owner);
    }
    return 0;
}

#define DONE (~0UL)

struct looking {
    bool later_too, news;
    uint32_t used;
    void (*each)(int pid, void *ctx);
    void *ctx;
    uint64_t seen[MEMBERS]; /* whom `each` was called with; DONE: of no concern any more */
};

/* True: somebody is still to come. */
static bool look_at(struct looking *l, uint32_t at)
{
    uint64_t owner = LOAD(table->owner[at]);
    if (l->seen[at] == DONE || (owner && owner == l->seen[at]))
        return false;
    if (owner & RESERVED)
        return lives(owner);
    l->seen[at] = l->later_too ? owner : DONE;
    if (is_other(owner) && lives(owner)) {
        l->news = true;
        l->each(pid_of(owner), l->ctx);
    }
    return false;
}

int members_each(bool later_too, void (*each)(int pid, void *ctx), void *ctx)
{
    struct looking *l = table ? heap_zalloc(sizeof(*l)) : NULL;
    if (!l)
        return table ? -ENOMEM : 0;
    l->later_too = later_too;
    l->used = LOAD(table->used);
    l->each = each;
    l->ctx = ctx;
    bool on = true;
    for (int i = 0; on && i < ARRIVAL_TRIES; i++) {
        bool coming = false;
        l->news = false;
        for (uint32_t at = 0; at < l->used; at++)
            coming |= look_at(l, at);
        if (coming)
            host_nap(ARRIVAL_WAIT);
        on = coming || (later_too && l->news);
        l->used = later_too ? LOAD(table->used) : l->used;
    }
    heap_free(l);
    return 0;
}

bool member_has_execed(int pid)
{
    int at = find(pid);
    return at >= 0 && LOAD(table->member[at].has_execed);
}

/* As far as the entry's own figures are within its bounds. */
static bool is_sound(const struct member *m)
{
    return m->exe_at <= m->cmdline_at && m->cmdline_at <= m->root_at && m->root_at <= m->cwd_at &&
           m->cwd_at <= m->end && m->end <= sizeof(m->text);
}

static void copy(struct member *to, const struct member *from)
{
    for (int i = 0; i < READ_TRIES; i++) {
        uint32_t seq = LOAD(from->seq);
        memcpy(to, from, offsetof(struct member, text));
        if (!is_sound(to))
            continue;
        memcpy(to->text, from->text, to->end);
        if (!(seq & 1) && LOAD(from->seq) == seq)
            return;
    } /* it was killed while it changed its entry */
    if (!is_sound(to))
        to->exe_at = to->cmdline_at = to->root_at = to->cwd_at = to->end = 0;
}

struct member *member_get(int pid)
{
    int at = find(pid);
    struct member *m = at < 0 ? NULL : heap_alloc(sizeof(*m) + 1);
    if (!m)
        return NULL;
    uint64_t owner = LOAD(table->owner[at]);
    copy(m, &table->member[at]);
    m->text[m->end] = 0;
    m->comm[sizeof(m->comm) - 1] = 0;
    if (LOAD(table->owner[at]) == owner && pid_of(owner) == pid)
        return m;
    heap_free(m);
    return NULL;
}
