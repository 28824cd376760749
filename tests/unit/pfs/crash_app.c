/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What an application does to encrypted files, and what it may expect of them. */
#include "crash.h"

static const uint8_t key[PFS_KEY_SIZE] = "0123456789abcdef";
static const char *const paths[DISK_NAMES] = {"d/a", "d/b", "d/c", "d/d"};
struct file files[DISK_INODES];
int names[DISK_NAMES], inodes;
struct record record;
uint64_t rng, seed;
unsigned boot;
size_t cache_bytes;

void fail(const char *what, long a, long b)
{
    fprintf(stderr, "pfs-crash: seed %llu: %s (%ld, %ld)\n", (unsigned long long)seed, what, a, b);
    abort();
}

void must(bool ok, const char *what)
{
    if (!ok)
        fail(what, 0, 0);
}

unsigned pick(unsigned n)
{
    return test_random(&rng) % n;
}

int open_object(struct object *o, unsigned flags, int name, unsigned at_boot, struct pfs **f)
{
    struct pfs_env env = mem_env();
    struct pfs_backend b = object_backend(o);
    uint8_t id[PFS_BOOT_SIZE] = {1};
    memcpy(id + 1, &at_boot, sizeof at_boot);
    struct pfs_open_args args = {
        .flags = flags, .path = paths[name], .cache_bytes = cache_bytes, .boot_id = id};
    return pfs_open(&env, &b, key, &args, f);
}

void note(int inode)
{
    struct file *f = &files[inode];
    record_add(&record, (struct event){EV_NOTE, inode, .began = f->versions - 1,
                                       .flushed = f->flushed, .synced = f->synced});
}

void add_version(int inode, uint8_t *bytes, size_t size, bool gradual)
{
    struct file *f = &files[inode];
    f->version = realloc(f->version, (size_t)(f->versions + 1) * sizeof *f->version);
    f->version[f->versions++] = (struct version){bytes, size, gradual};
}

void drop_versions(struct file *f, int keep)
{
    while (f->versions > keep)
        free(f->version[--f->versions].bytes);
}

const struct version *newest(int inode)
{
    return &files[inode].version[files[inode].versions - 1];
}

void did_flush(int inode, bool sync)
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

void create_file(int name)
{
    int inode = inodes++;
    struct file *f = &files[inode];
    f->object = (struct object){.record = &record, .inode = inode, .copies = inode % 2};
    f->flushed = f->synced = -1;
    names[name] = inode;
    record_add(&record, (struct event){EV_LINK, name, .to = inode});
    add_version(inode, calloc(1, 1), 0, false);
    note(inode);
    must(!open_object(&f->object, PFS_CREATE, name, boot, &f->pfs), "creating");
    did_flush(inode, false);
}

void write_file(int inode, size_t off, size_t n)
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

void sync_file(int inode)
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

/* The file as it is in memory, on the way from the version before the last to the last. */
static void snapshot(int inode)
{
    size_t size;
    uint8_t *bytes = content(files[inode].pfs, &size);
    add_version(inode, bytes, size, true);
    note(inode);
}

static void try_write(int inode, size_t off, size_t n)
{
    static uint8_t data[70000];
    const struct version *old = newest(inode);
    size_t size = off + n > old->size ? off + n : old->size;
    uint8_t *bytes = calloc(1, size + 1);
    memcpy(bytes, old->bytes, old->size);
    memset(data, 1 + (int)pick(250), n);
    memcpy(bytes + off, data, n);
    add_version(inode, bytes, size, true);
    note(inode);
    if (pfs_write(files[inode].pfs, off, data, n) != (int64_t)n)
        snapshot(inode);
}

static void try_flush(int inode, bool sync)
{
    int rc = pfs_flush(files[inode].pfs, sync);
    if (!rc)
        did_flush(inode, sync);
    else if (rc != -ENOSPC)
        fail("flushing on a full disk", rc, 0);
}

/* Little room or none: writing may fail, emptying may not. */
static void on_full_disk(int inode)
{
    struct file *f = &files[inode];
    object_fill_disk(&f->object, pick(5) * pick(6));
    if (pick(2)) {
        try_write(inode, pick(2) ? newest(inode)->size : 0, 1 + pick(60000));
        if (pick(2))
            try_flush(inode, pick(2));
    }
    resize_file(inode, 0);
    if (pick(2)) {
        bool sync = pick(2);
        must(!pfs_flush(f->pfs, sync), "emptying on a full disk");
        did_flush(inode, sync);
    }
    if (pick(2))
        try_write(inode, pick(2000), 1 + pick(60000));
    try_flush(inode, pick(2));
    f->object.full = false;
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
    switch (pick(15)) {
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
        if (pick(3))
            on_full_disk(inode);
        break;
    case 13:
        rename_file(name, (name + 1 + (int)pick(DISK_NAMES - 1)) % DISK_NAMES);
        break;
    default:
        read_file(inode);
    }
}

void operate(void)
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
