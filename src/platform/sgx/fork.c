/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * fork: the host makes a process with a fresh enclave of the same files; over a channel (channel.h)
 * it gets all that this enclave has in use, and goes on where this one stands. As the base of every
 * enclave is 0 and the layout is the same, addresses stay what they are.
 *
 *   parent                                  child
 *   copy of data, stack, threads: snapshot
 *   SGX_CALL_FORK                           start with fork_fd
 *          <----- mutual attestation ----->
 *   BEGIN, MEMORY ..., END          ---->   pages to their places
 *                                   <----   READY, its pid
 *   is it the pid that the host said?
 *   GO                              ---->   data, stack, threads to their places; the mark
 *
 * The child runs no instruction of the application before GO, and the parent sends that once, to
 * the one enclave that it met: whatever the host does, there is one child or none. Memory may hold
 * what the host likes until GO; nothing of it is used before that.
 */
#include "crypto/crypto.h"
#include "host/arena.h"
#include "host/host_process.h"
#include "libos/lib/region.h"
#include "libos/log.h"
#include "platform/platform.h"
#include "platform/sgx/channel.h"
#include "platform/sgx/sgx.h"
#include <asm/unistd.h>
#include <elf.h>
#include <linux/sched.h>
#include <linux/wait.h>

enum { BEGIN = 1, MEMORY, END, READY, GO };

/* What the child takes in at the end: in memory that travels with the rest. */
struct snapshot {
    size_t size;
    struct sgx_mark mark;
    uint64_t fs;
    char *vectors;
    struct channel_buffer *buffer;
    char *free; /* room for pieces */
    uint64_t count, most;
    struct sgx_start start; /* the child's own, put here by it */
    struct sgx_piece piece[];
};

struct begin {
    uint64_t snapshot, index;
};

/* ---- the channel's ways ---- */

/* Plain calls: signals are for later. */
static bool transfer(int fd, char *p, size_t n, bool out)
{
    while (n) {
        ARENA;
        size_t part = MIN(n, ARENA_PIECE);
        void *at = out ? give(p, part) : room(p, part);
        ssize r = host_length(CALL3(out ? __NR_write : __NR_read, fd, at, part), part);
        if (r == -EINTR)
            continue;
        if (r <= 0)
            return false;
        if (!out)
            take(p, at, (size_t)r);
        p += r;
        n -= (size_t)r;
    }
    return true;
}

static bool way_out(void *fd, const void *p, size_t n)
{
    return transfer(*(int *)fd, (char *)(uintptr_t)p, n, true);
}

static bool way_in(void *fd, void *p, size_t n)
{
    return transfer(*(int *)fd, p, n, false);
}

static bool way_random(void *fd, void *p, size_t n)
{
    (void)fd;
    return !platform_random(p, n);
}

static void way_report(void *fd, const uint8_t data[64], struct sgx_report *report)
{
    (void)fd;
    sgx_peer_report(data, report);
}

static bool way_is_peer(void *fd, const struct sgx_report *report)
{
    (void)fd;
    return sgx_is_peer(report);
}

static struct channel_ways ways_over(int *fd)
{
    return (struct channel_ways){way_out, way_in, way_random, way_report, way_is_peer, fd};
}

/* ---- the snapshot ---- */

/* The image's part that is written to: what was relocated is read-only since. */
static struct sgx_piece image_data(void)
{
    const Elf64_Ehdr *h = (const void *)libos_image_start;
    const Elf64_Phdr *p = (const void *)(libos_image_start + h->e_phoff);
    uint64_t start = 0, end = 0;
    for (unsigned i = 0; i < h->e_phnum; i++) {
        if (p[i].p_type == PT_LOAD && p[i].p_flags & PF_W) {
            start = MAX(start, p[i].p_vaddr);
            end = p[i].p_vaddr + p[i].p_memsz;
        } else if (p[i].p_type == PT_GNU_RELRO) {
            start = MAX(start, p[i].p_vaddr + p[i].p_memsz);
        }
    }
    assert(start < end);
    return (struct sgx_piece){(uintptr_t)libos_image_start + start, 0, end - start};
}

static bool in_use(uint64_t index)
{
    return __atomic_load_n(&box_of(index)->own.state, __ATOMIC_SEQ_CST) != STATE_FREE;
}

static struct snapshot *snapshot_make(void)
{
    uint64_t blocks = 0;
    for (uint64_t i = 0; i < enclave_info()->threads; i++)
        blocks += in_use(i);
    uint64_t most = blocks + 2;
    size_t head = ALIGN_UP(sizeof(struct snapshot) + most * sizeof(struct sgx_piece), 64);
    size_t vectors = ALIGN_UP(platform_xstate_size(), 64);
    size_t buffer = ALIGN_UP(sizeof(struct channel_buffer), 64);
    size_t size = PAGE_UP(head + vectors + buffer + image_data().len + KSTACK_SIZE +
                          blocks * sizeof(struct thread) + most * 64);
    struct snapshot *s = region_alloc(size);
    if (!s)
        return NULL;
    *s = (struct snapshot){.size = size, .most = most};
    s->vectors = (char *)s + head;
    s->buffer = (struct channel_buffer *)(s->vectors + vectors);
    s->free = (char *)s->buffer + buffer;
    return s;
}

static void snapshot_free(struct snapshot *s)
{
    size_t size = s->size;
    crypto_wipe(s, size);
    region_free(s, size);
}

static void add(struct snapshot *s, uint64_t start, uint64_t len)
{
    assert(s->count < s->most && s->free + len <= (char *)s + s->size);
    memcpy(s->free, (const void *)start, len);
    s->piece[s->count++] = (struct sgx_piece){start, (uintptr_t)s->free, len};
    s->free += ALIGN_UP(len, 64);
}

/* What the child overwrites last: our own `self` stays NULL there until it goes on. */
static void snapshot_fill(struct snapshot *s)
{
    struct thread *t = current();
    struct sgx_piece data = image_data();
    add(s, data.to, data.len);
    add(s, s->mark.rsp, (uintptr_t)t - s->mark.rsp);
    for (uint64_t i = 0; i < enclave_info()->threads; i++) {
        const struct thread *other = &box_of(i)->thread;
        size_t skip = other == t ? sizeof(other->self) : 0;
        if (in_use(i))
            add(s, (uintptr_t)other + skip, sizeof(*other) - skip);
    }
}

/* ---- the parent ---- */

static int send_run(struct channel *c, struct snapshot *s, uintptr_t start, uintptr_t end)
{
    int err = sgx_memory_open(start, end, true);
    for (uintptr_t at = start; !err && at < end; at += MIN(end - at, (uintptr_t)CHANNEL_MOST))
        err = channel_send(c, s->buffer, MEMORY, at, (const void *)at,
                           (uint32_t)MIN(end - at, (uintptr_t)CHANNEL_MOST));
    int closed = sgx_memory_open(start, end, false);
    return err ? err : closed;
}

static int send_memory(struct channel *c, struct snapshot *s)
{
    uintptr_t start, end = enclave_info()->memory;
    int err = 0;
    while (!err && sgx_memory_used(end, &start, &end))
        err = send_run(c, s, start, end);
    return err;
}

static int talk(struct channel *c, struct snapshot *s, const struct channel_ways *ways, long pid)
{
    struct begin b = {(uintptr_t)s, sgx_index_of(current())};
    struct channel_head head;
    int err = channel_open(c, true, ways);
    if (!err)
        err = channel_send(c, s->buffer, BEGIN, 0, &b, sizeof(b));
    if (!err)
        err = send_memory(c, s);
    if (!err)
        err = channel_send(c, s->buffer, END, 0, NULL, 0);
    if (!err)
        err = channel_head(c, &head);
    if (!err)
        err = head.len ? -EBADMSG : channel_content(c, &head, NULL);
    if (!err && (head.type != READY || head.at != (uint64_t)pid))
        err = -EBADMSG;
    return err ? err : channel_send(c, s->buffer, GO, 0, NULL, 0);
}

static void explain(int err)
{
    log_error("no child process: %s",
              err == -EACCES    ? "what the host started as it is no enclave like this one"
              : err == -EBADMSG ? "the host changed what passes between the two enclaves"
                                : "its enclave did not start, or ended; see the lines above");
}

/* The host has no process for the program then. */
static void end_failed(long pid)
{
    host_kill((int)pid, SIGKILL);
    while (CALL4(__NR_wait4, pid, 0, __WALL, 0) == -EINTR)
        ;
}

static bool is_descriptor(int64_t fd)
{
    return fd >= 0 && fd <= INT32_MAX;
}

static long ask_host(int64_t nr, uint64_t flags, uint64_t arg, struct sgx_forked *f)
{
    ARENA;
    struct sgx_forked *out = room(f, sizeof(*f));
    long pid = sgx_special(nr, (int64_t)flags, (int64_t)arg, (int64_t)out);
    take(f, out, sizeof(*f));
    if (pid <= 0 || pid > INT32_MAX)
        return pid < 0 ? host_errno(pid) : -EAGAIN;
    bool sound =
        pid != current_process()->pid && (!(flags & CLONE_PIDFD) || is_descriptor(f->pidfd));
    return sound ? pid : -EAGAIN;
}

static long make_child(struct snapshot *s, uint64_t flags, int *pidfd)
{
    struct sgx_forked f;
    struct channel c;
    snapshot_fill(s);
    long pid = ask_host(SGX_CALL_FORK, flags, sgx_index_of(current()), &f);
    if (pid < 0 || !is_descriptor(f.socket))
        return pid < 0 ? pid : -EAGAIN;
    int fd = (int)f.socket;
    struct channel_ways ways = ways_over(&fd);
    int err = talk(&c, s, &ways, pid);
    channel_close(&c);
    host_close(fd);
    if (!err && flags & CLONE_PIDFD)
        *pidfd = (int)f.pidfd;
    if (!err)
        return pid;
    explain(err);
    if (flags & CLONE_PIDFD)
        host_close((int)f.pidfd);
    end_failed(pid);
    return -EAGAIN;
}

/* ---- the child ---- */

__attribute__((noreturn)) static void fail(const char *what)
{
    log_line(LOG_ERROR, NULL, 0, NULL, "a child process does not start: %s", what);
    host_exit_group(1);
}

/* In `memory`: whole pages, or all of `len` bytes. */
static bool in_memory(uint64_t at, uint64_t len)
{
    const struct enclave_info *info = enclave_info();
    return at >= info->memory && at <= info->memory_end && len <= info->memory_end - at;
}

static int take_record(struct channel *c, uint32_t type, struct begin *b)
{
    struct channel_head head;
    int err = channel_head(c, &head);
    size_t expected = type == BEGIN ? sizeof(*b) : 0;
    if (!err && (head.type != type || head.len != expected))
        err = -EBADMSG;
    return err ? err : channel_content(c, &head, b);
}

/* MEMORY until END. */
static int take_memory(struct channel *c)
{
    struct channel_head head = {.type = MEMORY};
    int err = 0;
    while (!err && head.type == MEMORY) {
        err = channel_head(c, &head);
        bool sound =
            head.type == MEMORY ? in_memory(head.at, head.len) : head.type == END && head.len == 0;
        if (!err)
            err = sound ? channel_content(c, &head, (void *)head.at) : -EBADMSG;
    }
    return err;
}

static int take_over(struct channel *c, const struct sgx_start *start, struct begin *b)
{
    int fd = (int)start->fork_fd;
    struct channel_ways ways = ways_over(&fd);
    int err = channel_open(c, false, &ways);
    if (!err)
        err = take_record(c, BEGIN, b);
    if (!err &&
        (b->index != sgx_index_of(current()) || !in_memory(b->snapshot, sizeof(struct snapshot))))
        err = -EBADMSG;
    if (!err)
        err = take_memory(c);
    if (!err)
        err = channel_send(c, ((struct snapshot *)b->snapshot)->buffer, READY, (uint64_t)start->tid,
                           NULL, 0);
    return err ? err : take_record(c, GO, NULL);
}

void sgx_become_child(const struct sgx_start *start)
{
    struct channel c;
    struct begin b;
    if (start->tid <= 0 || start->tid > INT32_MAX || !is_descriptor(start->fork_fd))
        fail("the host handed in no number");
    int err = take_over(&c, start, &b);
    channel_close(&c);
    if (err == -EACCES)
        fail("its parent is no enclave like this one");
    if (err)
        fail(err == -EBADMSG ? "the host changed what passes between the two enclaves"
                             : "its parent is gone");
    host_close((int)start->fork_fd);
    struct snapshot *s = (struct snapshot *)b.snapshot;
    s->start = *start;
    current()->self = NULL; /* an event finds no thread until all of it is there */
    sgx_take_place(s->piece, s->count, &s->mark);
}

/* All is as in the parent now, but what the platform keeps of the outside. */
static void child_goes_on(const struct snapshot *s)
{
    struct sgx_box *box;
    __asm__ volatile("rdgsbase %0" : "=r"(box));
    struct thread *t = &box->thread;
    t->self = t;
    if (!sgx_calls_setup(s->start.arena, s->start.arena_slot))
        sgx_end(sgx_index_of(t)); /* there is no way to say it */
    sgx_call_place(box, sgx_index_of(t));
    t->host_tid = (int)s->start.tid;
    signal_forget_host(t);
    platform_set_fs(s->fs);
    sgx_stats_in_child();
    if (sgx_memory_in_child())
        fail("the host does not protect its memory");
    sgx_special(SGX_CALL_FORKED, 0, 0, 0);
}

/* ---- platform.h ---- */

long platform_fork(uint64_t flags, int *pidfd)
{
    struct snapshot *s = snapshot_make();
    if (!s)
        return -ENOMEM;
    long pid = 0;
    platform_xstate_save(s->vectors);
    s->fs = platform_get_fs();
    if (sgx_mark(&s->mark))
        child_goes_on(s);
    else
        pid = make_child(s, flags, pidfd);
    platform_xstate_restore(s->vectors);
    snapshot_free(s);
    return pid;
}

long platform_ended_child(uint64_t flags, int *pidfd, int code)
{
    struct sgx_forked f;
    long pid = ask_host(SGX_CALL_ENDED, flags, (uint64_t)code, &f);
    if (pid > 0 && flags & CLONE_PIDFD)
        *pidfd = (int)f.pidfd;
    return pid;
}
