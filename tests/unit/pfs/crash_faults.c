/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Host calls that fail. */
#include "crash.h"

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
    return step == 6 ? pfs_flush(f, true) : pfs_rename(f, "d/b");
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

void faults(void)
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
                                     .copies = e % 2,
                                     .error = errors[e],
                                     .short_writes = !errors[e]};
                if (!fault_run(how, mode & 2))
                    break;
            }
        }
    }
    printf("%lu failing host calls\n", runs);
}
