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
#include "crypto/crypto.h"
#include "disk.h"
#include "mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGE 401000 /* a file with a second hash node */

struct version {
    uint8_t *bytes;
    size_t size;
    bool gradual; /* a part of the change from the version before may be there alone */
};

struct file {
    struct object object;
    struct pfs *pfs; /* NULL: not open */
    struct version *version;
    int versions, flushed, synced; /* counts and indices; -1: never */
    bool name_synced;
};

static const uint8_t key[PFS_KEY_SIZE] = "0123456789abcdef";
static const char *const paths[DISK_NAMES] = {"d/a", "d/b", "d/c", "d/d"};
static struct file files[DISK_INODES];
static int names[DISK_NAMES], inodes;
static struct record record;
static struct replay replay;
static uint64_t rng;
static unsigned boot;
static size_t cache_bytes;
static uint64_t seed;
static unsigned long states_power, states_kill, states_lost, states_double;

static void fail(const char *what, long a, long b)
{
    fprintf(stderr, "pfs-crash: seed %llu: %s (%ld, %ld)\n", (unsigned long long)seed, what, a, b);
    abort();
}

static void must(bool ok, const char *what)
{
    if (!ok)
        fail(what, 0, 0);
}

static unsigned pick(unsigned n)
{
    return test_random(&rng) % n;
}

static int open_object(struct object *o, unsigned flags, int name, unsigned at_boot, struct pfs **f)
{
    struct pfs_env env = mem_env();
    struct pfs_backend b = object_backend(o);
    uint8_t id[PFS_BOOT_SIZE] = {1};
    memcpy(id + 1, &at_boot, sizeof at_boot);
    struct pfs_open_args args = {
        .flags = flags, .path = paths[name], .cache_bytes = cache_bytes, .boot_id = id};
    return pfs_open(&env, &b, key, &args, f);
}

/* ---- what the application did ---- */

static void note(int inode)
{
    struct file *f = &files[inode];
    record_add(&record, (struct event){EV_NOTE, inode, .began = f->versions - 1,
                                       .flushed = f->flushed, .synced = f->synced});
}

static void add_version(int inode, uint8_t *bytes, size_t size, bool gradual)
{
    struct file *f = &files[inode];
    f->version = realloc(f->version, (size_t)(f->versions + 1) * sizeof *f->version);
    f->version[f->versions++] = (struct version){bytes, size, gradual};
}

static void drop_versions(struct file *f, int keep)
{
    while (f->versions > keep)
        free(f->version[--f->versions].bytes);
}

static const struct version *newest(int inode)
{
    return &files[inode].version[files[inode].versions - 1];
}

static void did_flush(int inode, bool sync)
{
    files[inode].flushed = files[inode].versions - 1;
    if (sync)
        files[inode].synced = files[inode].flushed;
    note(inode);
}

static void sync_names(void)
{
    record_add(&record, (struct event){EV_DIRSYNC});
    for (int n = 0; n < DISK_NAMES; n++) {
        if (names[n] >= 0)
            files[names[n]].name_synced = true;
    }
}

static void ensure_open(int name)
{
    struct file *f = &files[names[name]];
    if (!f->pfs)
        must(!open_object(&f->object, 0, name, boot, &f->pfs), "opening a sound file");
}

static void close_file(int inode)
{
    struct file *f = &files[inode];
    if (!f->pfs)
        return;
    must(!pfs_close(f->pfs), "closing");
    f->pfs = NULL;
    did_flush(inode, false);
}

static void create_file(int name)
{
    int inode = inodes++;
    struct file *f = &files[inode];
    f->object = (struct object){.record = &record, .inode = inode};
    f->flushed = f->synced = -1;
    names[name] = inode;
    record_add(&record, (struct event){EV_LINK, name, .to = inode});
    add_version(inode, calloc(1, 1), 0, false);
    note(inode);
    must(!open_object(&f->object, PFS_CREATE, name, boot, &f->pfs), "creating");
    did_flush(inode, false);
}

static void write_file(int inode, size_t off, size_t n)
{
    const struct version *old = newest(inode);
    size_t size = off + n > old->size ? off + n : old->size;
    uint8_t *bytes = calloc(1, size + 1);
    memcpy(bytes, old->bytes, old->size);
    uint32_t fill = test_random(&rng);
    for (size_t i = 0; i < n; i++)
        bytes[off + i] = (uint8_t)(fill + i * 7 + (i >> 8) * 13) | 1;
    add_version(inode, bytes, size, true);
    note(inode);
    must(pfs_write(files[inode].pfs, off, bytes + off, n) == (int64_t)n, "writing");
}

static void resize_file(int inode, size_t size)
{
    const struct version *old = newest(inode);
    uint8_t *bytes = calloc(1, size + 1);
    memcpy(bytes, old->bytes, size < old->size ? size : old->size);
    add_version(inode, bytes, size, size > old->size);
    note(inode);
    must(!pfs_set_size(files[inode].pfs, size), "resizing");
}

static void sync_file(int inode)
{
    must(!pfs_flush(files[inode].pfs, true), "syncing");
    did_flush(inode, true);
    if (!files[inode].name_synced)
        sync_names();
}

static void rename_file(int from, int to)
{
    int inode = names[from];
    must(!pfs_rename(files[inode].pfs, paths[to]), "renaming");
    did_flush(inode, true);
    record_add(&record, (struct event){EV_RENAME, from, to});
    if (names[to] >= 0)
        close_file(names[to]);
    names[to] = inode;
    names[from] = -1;
    sync_names();
}

static void read_file(int inode)
{
    static uint8_t buf[20000];
    const struct version *v = newest(inode);
    size_t off = v->size ? pick((unsigned)v->size) : 0;
    int64_t n = pfs_read(files[inode].pfs, off, buf, sizeof buf);
    must(n >= 0 && off + (size_t)n <= v->size && !memcmp(buf, v->bytes + off, (size_t)n),
         "reading");
}

static size_t some_offset(size_t size)
{
    static const size_t edges[] = {0, 3072, 7168, 11264, 3071, 20000, 396288};
    size_t off = pick(3) ? pick((unsigned)size + 5000) : edges[pick(size > 300000 ? 7 : 6)];
    return off > size + 9000 ? size : off;
}

static void change(int name)
{
    int inode = names[name];
    ensure_open(name);
    size_t size = newest(inode)->size;
    switch (pick(14)) {
    case 0 ... 2:
        write_file(inode, some_offset(size), 1 + pick(9000));
        break;
    case 3:
        write_file(inode, size, 1 + pick(pick(4) ? 500 : 60000));
        break;
    case 4:
        write_file(inode, 3072 + 4096 * (size_t)pick(5), 4096 * (1 + (size_t)pick(8)));
        break;
    case 5:
        resize_file(inode, size ? pick((unsigned)size) : 0);
        break;
    case 6:
        resize_file(inode, pick(3) ? 0 : size + pick(30000));
        break;
    case 7:
        must(!pfs_flush(files[inode].pfs, false), "flushing"); /* one of two handles is closed */
        did_flush(inode, false);
        break;
    case 8 ... 9:
        sync_file(inode);
        break;
    case 10 ... 11:
        close_file(inode);
        break;
    case 12:
        rename_file(name, (name + 1 + (int)pick(DISK_NAMES - 1)) % DISK_NAMES);
        break;
    default:
        read_file(inode);
    }
}

static void operate(void)
{
    int name = (int)pick(pick(3) ? 1 : DISK_NAMES);
    if (names[name] < 0) {
        if (inodes < DISK_INODES)
            create_file(name);
    } else if (!pick(25)) {
        close_file(names[name]);
        names[name] = -1;
        record_add(&record, (struct event){EV_UNLINK, name});
    } else {
        change(name);
    }
}

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
static int match(const struct file *f, int low, int high, const uint8_t *got, size_t size,
                 bool *partly)
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

static uint8_t *content(struct pfs *f, size_t *size)
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

static void abandon(struct file *f)
{
    struct object dead = f->object;
    if (!f->pfs)
        return;
    /* All calls fail from here on, so closing only frees. */
    f->object.record = NULL;
    f->object.fail_at = f->object.calls + 1;
    f->object.fail_onwards = true;
    f->object.error = -EIO;
    pfs_close(f->pfs);
    f->object = dead;
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

static void start_replay(void)
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

static void finish(void)
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

/* ---- host calls that fail ---- */

/* One step of a fixed sequence on file 0; its result, or 0. */
static int64_t fault_step(int step, struct pfs *f)
{
    static uint8_t data[40000];
    static const struct {
        size_t off, n;
    } writes[] = {{4000, 5000}, {60000, 30000}, {0, 0}, {0, 3000}, {0, 0}, {9000, 20000}};
    memset(data, 'a' + step, sizeof data);
    if (step == 2)
        return pfs_flush(f, false);
    if (step == 4)
        return pfs_set_size(f, 10000);
    if (step < 6)
        return pfs_write(f, writes[step].off, data, writes[step].n);
    return step == 6 ? pfs_flush(f, true) : pfs_rename(f, paths[1]);
}

/* Remembers the content as the application now sees it; no call fails meanwhile. */
static void snapshot(struct file *f)
{
    unsigned long kept = f->object.fail_at;
    size_t size;
    f->object.fail_at = 0;
    uint8_t *bytes = content(f->pfs, &size);
    f->object.fail_at = kept;
    add_version(0, bytes, size, true);
}

/* After a failure: dies at once, or after a flush that succeeded. */
static void after_fault(struct file *f, bool retry)
{
    size_t size;
    bool partly;
    f->object.fail_at = 0;
    if (retry && !pfs_flush(f->pfs, false))
        f->flushed = f->versions - 1;
    abandon(f);
    int rc = open_object(&f->object, 0, 0, boot, &f->pfs);
    if (rc == -EXDEV)
        rc = open_object(&f->object, 0, 1, boot, &f->pfs);
    if (rc)
        fail("opening after a fault", rc, f->flushed);
    uint8_t *got = content(f->pfs, &size);
    if (match(f, f->flushed, f->versions - 1, got, size, &partly) < 0)
        fail("wrong content after a fault", f->flushed, f->versions);
    free(got);
    must(!pfs_close(f->pfs), "closing after a fault");
    f->pfs = NULL;
}

/* Whether the `at`th call was reached, which failed. */
static bool fault_run(struct object how, bool retry)
{
    struct file *f = &files[0];
    int64_t rc = 0;
    inodes = 0;
    for (int n = 0; n < DISK_NAMES; n++)
        names[n] = -1;
    start_replay();
    create_file(0);
    write_file(0, 0, 60000);
    sync_file(0);
    how.image = f->object.image;
    f->object = how;
    for (int step = 0; rc >= 0 && step < 8; step++) {
        rc = fault_step(step, f->pfs);
        snapshot(f); /* a write that failed may have left its beginning */
        if (rc >= 0 && (step == 2 || step > 5))
            f->flushed = f->versions - 1;
    }
    bool reached = f->object.calls >= how.fail_at;
    must(rc >= 0 || reached, "a failure without a fault");
    after_fault(f, retry);
    finish();
    return reached;
}

static void faults(void)
{
    static const int errors[] = {-EIO, -ENOSPC, -EINTR, 0};
    unsigned long runs = 0;
    seed = 0;
    cache_bytes = 1;
    for (size_t e = 0; e < 4; e++) {
        for (int mode = 0; mode < 4; mode++) {
            for (unsigned long at = 1;; at++, runs++) {
                struct object how = {.fail_at = at,
                                     .fail_onwards = mode & 1,
                                     .error = errors[e],
                                     .short_writes = !errors[e]};
                if (!fault_run(how, mode & 2))
                    break;
            }
        }
    }
    printf("%lu failing host calls\n", runs);
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
