/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Crash safety by enumeration: generated workloads run on a disk that records (disk.h); the process
 * is killed, or the power lost, at their host operations, and what is left is opened and compared
 * with what the application did. It must be the last synced content (after a kill: the last flushed
 * one) or a later one that the application made, and must work from there on. Recovery itself is
 * interrupted too, and workloads go on after a crash.
 *
 *   pfs-crash [WORKLOADS [SEED [STATES]]]     STATES: crash states to try for each workload
 *
 * The environment's ADYTON_CRASH_WORKLOADS is the default of WORKLOADS.
 */
#include "crash.h"

#define LARGE 401000 /* a file with a second hash node */

static struct replay replay;
static unsigned long states_power, states_kill, states_lost, states_double;

/* ---- what a crash leaves ---- */

/* Whether `got` is `to`, or begins as `to` and goes on as `from`. */
static bool between(const struct version *from, const struct version *to, const uint8_t *got,
                    size_t size)
{
    size_t p = 0, common = size < to->size ? size : to->size;
    while (p < common && got[p] == to->bytes[p])
        p++;
    if (p == size && size >= from->size)
        return true;
    return size == from->size && !memcmp(got + p, from->bytes + p, size - p);
}

/* The version that `got` is, lowest first; *partly: on the way to the next. -1: none. */
int match(const struct file *f, int low, int high, const uint8_t *got, size_t size, bool *partly)
{
    for (int i = low < 0 ? 0 : low; i <= high; i++) {
        const struct version *v = &f->version[i];
        *partly = false;
        if (v->size == size && !memcmp(v->bytes, got, size))
            return i;
        *partly = true;
        if (i < high && f->version[i + 1].gradual && between(v, v + 1, got, size))
            return i;
    }
    return -1;
}

uint8_t *content(struct pfs *f, size_t *size)
{
    *size = pfs_size(f);
    must(*size < 10000000, "the size");
    uint8_t *bytes = malloc(*size + 1);
    for (size_t off = 0; off < *size;) {
        int64_t n = pfs_read(f, off, bytes + off, *size - off);
        if (n <= 0)
            fail("reading after a crash", (long)off, (long)n);
        off += (size_t)n;
    }
    return bytes;
}

/* Opens what is left of `f` and finds out which version it is: -1 if it never was. */
static int examine(struct object *o, unsigned flags, int name, unsigned at_boot,
                   const struct file *f, int low, int high, struct pfs **out)
{
    size_t size;
    bool partly;
    int rc = open_object(o, flags, name, at_boot, out);
    if (rc == -ENODATA && low < 0) {
        *out = NULL;
        return -1;
    }
    if (rc)
        fail("opening after a crash", rc, low);
    uint8_t *got = content(*out, &size);
    int found = match(f, low, high, got, size, &partly);
    free(got);
    if (found < 0)
        fail("wrong content after a crash: versions", low, high);
    return found;
}

/* Crashes once more in the middle of what recovery writes. */
static void crash_again(const struct image *image, const struct record *r, int name,
                        const struct file *f, int low, int high)
{
    struct replay again = {0};
    struct object o = {0};
    struct pfs *p;
    image_copy(&again.durable[0], image);
    image_copy(&again.cached[0], image);
    size_t stop = pick((unsigned)r->count + 1);
    while (again.at < stop)
        replay_step(&again, r);
    size_t units = replay_units(&again, r, 0);
    replay_power_loss(&again, r, 0, (enum loss)pick(LOSS_KINDS), units ? pick((unsigned)units) : 0,
                      &rng, &o.image);
    examine(&o, 0, name, boot + 2, f, low, high, &p);
    if (p)
        pfs_close(p);
    states_double++;
    image_free(&o.image);
    replay_free(&again);
}

/* A file that has been recovered works as any other. */
static void go_on(struct object *o, int name, unsigned at_boot, struct pfs *p)
{
    size_t size, n = 1 + pick(9000), off;
    uint8_t *want = content(p, &size), *got;
    off = pick((unsigned)size + 1);
    if (off + n > size)
        want = realloc(want, off + n);
    memset(want + off, 0x5a, n);
    must(pfs_write(p, off, want + off, n) == (int64_t)n, "writing after a crash");
    must(!pfs_flush(p, pick(2)), "flushing after a crash");
    must(!pfs_close(p), "closing after a crash");
    must(!open_object(o, PFS_READONLY, name, at_boot, &p), "opening once more");
    size = off + n > size ? off + n : size;
    got = content(p, &n);
    must(n == size && !memcmp(got, want, n), "content of a recovered file");
    must(!pfs_close(p), "closing once more");
    free(got);
    free(want);
}

static void check_image(const struct image *image, int name, unsigned at_boot, int inode, int low)
{
    struct record r = {0};
    struct object o = {.record = &r};
    struct pfs *p;
    int high = replay.began[inode];
    image_copy(&o.image, image);
    bool look_only = !pick(4);
    examine(&o, look_only ? PFS_READONLY : 0, name, at_boot, &files[inode], low, high, &p);
    if (look_only)
        must(!r.count, "a write through PFS_READONLY");
    if (p && !look_only && !pick(3)) {
        crash_again(image, &r, name, &files[inode], low, high);
        go_on(&o, name, at_boot, p);
    } else if (p) {
        must(!pfs_close(p), "closing after a crash");
    }
    states_lost += !p;
    record_clear(&r);
    image_free(&o.image);
}

static void check_power_loss(int inode)
{
    int seen[DISK_NAMES];
    bool tried[DISK_NAMES] = {false};
    struct image image = {0};
    size_t units = replay_units(&replay, &record, inode);
    replay_power_loss(&replay, &record, inode, (enum loss)pick(LOSS_KINDS),
                      units ? pick((unsigned)units) : 0, &rng, &image);
    size_t changes = replay_names(&replay, &record, 0, seen);
    for (size_t keep = 0; keep <= changes; keep++) {
        replay_names(&replay, &record, keep, seen);
        for (int n = 0; n < DISK_NAMES; n++) {
            if (seen[n] != inode || tried[n])
                continue;
            tried[n] = true;
            check_image(&image, n, boot + 1, inode, replay.synced[inode]);
            states_power++;
        }
    }
    image_free(&image);
}

static void check_kill(int inode)
{
    for (int n = 0; n < DISK_NAMES; n++) {
        if (replay.cached_names[n] != inode)
            continue;
        check_image(&replay.cached[inode], n, boot, inode, replay.flushed[inode]);
        states_kill++;
    }
}

/* Replays what was recorded since the last time, trying about `states` crash states. */
static void check_all(unsigned states)
{
    size_t left = record.count - replay.at, per_event = 1 + 2 * states / (left + 1);
    for (; replay.at < record.count; left--) {
        const struct event *e = &record.event[replay.at];
        replay_step(&replay, &record);
        if (e->kind == EV_DIRSYNC || e->kind == EV_NOTE)
            continue;
        int inode = e->inode;
        if (e->kind == EV_LINK)
            inode = e->to;
        else if (e->kind == EV_UNLINK)
            continue;
        else if (e->kind == EV_RENAME)
            inode = replay.cached_names[e->to];
        if (replay.began[inode] < 0)
            continue;
        if (pick((unsigned)record.count) < states)
            check_kill(inode);
        for (size_t i = 0; i < per_event && pick((unsigned)record.count) < states; i++)
            check_power_loss(inode);
    }
}

/* ---- going on after a crash ---- */

void abandon(struct file *f)
{
    if (f->pfs)
        pfs_discard(f->pfs);
    f->pfs = NULL;
}

/* After the death of the process: every file is opened again, and its history ends there. */
static void live_on(int name)
{
    struct file *f = &files[names[name]];
    size_t size;
    bool partly;
    int rc = open_object(&f->object, 0, name, boot, &f->pfs);
    if (rc)
        fail("opening after a kill", rc, f->flushed);
    uint8_t *got = content(f->pfs, &size);
    int found = match(f, f->flushed, f->versions - 1, got, size, &partly);
    if (found < 0)
        fail("wrong content after a kill", f->flushed, f->versions);
    drop_versions(f, found + 1);
    if (partly)
        add_version(names[name], got, size, true);
    else
        free(got);
    did_flush(names[name], false);
}

static void kill_process(void)
{
    for (int i = 0; i < inodes; i++)
        abandon(&files[i]);
    for (int n = 0; n < DISK_NAMES; n++) {
        if (names[n] >= 0)
            live_on(n);
    }
}

void start_replay(void)
{
    record_clear(&record);
    replay_free(&replay);
    replay = (struct replay){0};
    for (int n = 0; n < DISK_NAMES; n++)
        replay.names[n] = replay.cached_names[n] = names[n];
    for (int i = 0; i < DISK_INODES; i++) {
        replay.began[i] = replay.flushed[i] = replay.synced[i] = -1;
        if (i >= inodes)
            continue;
        image_copy(&replay.durable[i], &files[i].object.image);
        image_copy(&replay.cached[i], &files[i].object.image);
    }
}

/* A power loss now; what is left becomes the beginning of a new recording. */
static void lose_power(void)
{
    for (int i = 0; i < inodes; i++) {
        abandon(&files[i]);
        size_t units = replay_units(&replay, &record, i);
        replay_power_loss(&replay, &record, i, (enum loss)pick(LOSS_KINDS),
                          units ? pick((unsigned)units) : 0, &rng, &files[i].object.image);
    }
    replay_names(&replay, &record, pick(4), names);
    boot++;
    start_replay();
    for (int n = 0; n < DISK_NAMES; n++) {
        size_t size;
        if (names[n] < 0)
            continue;
        struct file *f = &files[names[n]];
        int found = examine(&f->object, 0, n, boot, f, f->synced, f->versions - 1, &f->pfs);
        if (found < 0) {
            names[n] = -1;
            record_add(&record, (struct event){EV_UNLINK, n});
            continue;
        }
        uint8_t *got = content(f->pfs, &size);
        drop_versions(f, 0);
        add_version(names[n], got, size, false);
        did_flush(names[n], true);
        f->name_synced = true;
    }
}

void finish(void)
{
    for (int i = 0; i < DISK_INODES; i++) {
        if (files[i].pfs)
            pfs_close(files[i].pfs);
        drop_versions(&files[i], 0);
        free(files[i].version);
        image_free(&files[i].object.image);
        files[i] = (struct file){0};
    }
    record_clear(&record);
    replay_free(&replay);
}

static void workload(unsigned states)
{
    rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int i = 0; i < 4; i++)
        test_random(&rng);
    inodes = 0;
    boot = 0;
    cache_bytes = pick(3) ? 1 : 0;
    for (int n = 0; n < DISK_NAMES; n++)
        names[n] = -1;
    start_replay();
    if (!pick(16)) {
        create_file(0);
        write_file(0, 0, LARGE);
        sync_file(0);
    }
    for (int rounds = 1 + (int)pick(3); rounds; rounds--) {
        for (int ops = 2 + (int)pick(12); ops; ops--)
            operate();
        check_all(states / 2);
        if (pick(2))
            kill_process();
        else if (!pick(3))
            lose_power();
    }
    check_all(states / 2);
    finish();
}

int main(int argc, char **argv)
{
    const char *number = argc > 1 ? argv[1] : getenv("ADYTON_CRASH_WORKLOADS");
    unsigned long count = number ? strtoul(number, NULL, 0) : 400;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    unsigned states = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 0) : 60;
    crypto_init(0);
    faults();
    for (seed = first; seed < first + count; seed++)
        workload(states);
    must(!mem_allocated, "memory was not given back");
    printf("%lu workloads: %lu power losses (%lu left nothing that was ever synced), %lu kills, "
           "%lu crashes of the recovery\n",
           count, states_power, states_lost, states_kill, states_double);
    return 0;
}
