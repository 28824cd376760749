/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What an object of the host is: a file for it, and the look that a FILE_UNSEEN one waits for. */
#include "host/host.h"
#include "libos/fs/dir.h"
#include "libos/fs/vfs.h"

#define S_TYPE 0170000
#define S_DIR  0040000
#define S_REG  0100000

static int64_t regular_size(struct file *f)
{
    struct stat st;
    int err = host_fstat(f->host_fd, &st);
    return err ? err : st.st_size;
}

static const struct file_ops regular_ops = {.name = "file", .size = regular_size};
static const struct file_ops stream_ops = {.name = "dev"};

void file_look(struct file *f, const struct stat *known)
{
    if (f->ops->to_host) {
        f->ops->to_host(f);
        return;
    }
    struct stat st = {.st_mode = S_REG};
    if (!known)
        host_fstat(f->host_fd, &st);
    uint32_t type = (known ? known : &st)->st_mode & S_TYPE;
    /* Several threads may come here; the kind says that the rest is in place. */
    if (type == S_DIR) {
        f->ops = &host_dir_ops;
        f->host_offset = false;
    } else if (type != S_REG) {
        f->ops = &stream_ops;
    }
    enum file_kind kind = type == S_DIR ? FILE_DIR : type == S_REG ? FILE_REGULAR : FILE_STREAM;
    __atomic_store_n(&f->kind, kind, __ATOMIC_RELEASE);
}

int file_from_host_unseen(int fd, uint32_t flags, struct file **out)
{
    *out = file_new(&regular_ops, FILE_UNSEEN, fd, flags);
    if (!*out)
        return -ENOMEM;
    (*out)->host_offset = true;
    (*out)->seekable = true;
    return 0;
}

int file_from_host(int fd, uint32_t flags, struct file **out)
{
    struct stat st;
    int err = host_fstat(fd, &st);
    if (!err)
        err = file_from_host_unseen(fd, flags, out);
    if (!err)
        file_look(*out, &st);
    return err;
}
