/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Copies between descriptors: sendfile, copy_file_range, splice, tee. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/fs/vfs.h"
#include "libos/process.h"

#define CHUNK (64 * 1024UL)

static bool host_to_host(const struct file *in, const struct file *out)
{
    return in->host_fd >= 0 && out->host_fd >= 0 && !in->ops->read && !out->ops->write;
}

/* Through memory of ours; for files that the host does not hold as they are. */
static ssize write_kernel(struct file *out, const char *buf, size_t n, int64_t pos)
{
    if (out->ops->write)
        return out->ops->write(out, buf, n, pos);
    if (pos >= 0)
        return host_pwrite(out->host_fd, buf, n, pos);
    for (;;) {
        ssize r = host_write(out->host_fd, buf, n);
        if (r != -EINTR)
            return r;
        if (interrupted())
            return -ERESTARTSYS;
    }
}

static ssize read_kernel(struct file *in, char *buf, size_t n, int64_t pos)
{
    if (in->ops->read)
        return in->ops->read(in, buf, n, pos);
    if (pos >= 0)
        return host_pread(in->host_fd, buf, n, pos);
    for (;;) {
        ssize r = host_read(in->host_fd, buf, n);
        if (r != -EINTR)
            return r;
        if (interrupted())
            return -ERESTARTSYS;
    }
}

static int64_t get_pos(struct file *f)
{
    lock(&f->pos_lock);
    file_pos_load(f);
    int64_t pos = f->pos;
    unlock(&f->pos_lock);
    return pos;
}

static void set_pos(struct file *f, int64_t pos)
{
    lock(&f->pos_lock);
    f->pos = pos;
    file_pos_store(f);
    unlock(&f->pos_lock);
}

/* Positions < 0 mean the file's own. One that we keep is looked up at the start and set at the end,
 * as Linux does: copies from or to one description at once may overlap. */
static ssize copy(struct file *in, int64_t *in_pos, struct file *out, int64_t *out_pos, size_t n)
{
    bool move_in = *in_pos < 0 && in->ops->read, move_out = *out_pos < 0 && out->ops->write;
    char *buf = heap_alloc(MIN(n, CHUNK) + 1);
    ssize done = 0, r = 0;
    if (!buf)
        return -ENOMEM;
    if (move_in)
        *in_pos = get_pos(in);
    if (move_out)
        *out_pos = get_pos(out);
    while ((size_t)done < n) {
        ssize got = read_kernel(in, buf, MIN(n - (size_t)done, CHUNK), *in_pos);
        if (got <= 0) {
            r = got;
            break;
        }
        r = write_kernel(out, buf, (size_t)got, *out_pos);
        if (r < 0) {
            if (*in_pos < 0) /* what was read but not written goes back */
                host_lseek(in->host_fd, -got, 1);
            break;
        }
        if (*in_pos >= 0)
            *in_pos += r;
        else if (r < got)
            host_lseek(in->host_fd, r - got, 1);
        if (*out_pos >= 0)
            *out_pos += r;
        done += r;
        if (r < got)
            break;
    }
    heap_free(buf);
    if (move_in && done)
        set_pos(in, *in_pos);
    if (move_out && done)
        set_pos(out, *out_pos);
    return done ? done : r;
}

static int take_pos(const int64_t *uoff, int64_t *pos)
{
    *pos = -1;
    if (!uoff)
        return 0;
    if (copy_from_user(pos, uoff, sizeof(*pos)))
        return -EFAULT;
    return *pos < 0 ? -EINVAL : 0;
}

/* copy_file_range(2): no copies onto itself, nothing at the end of O_APPEND. */
static int check_range(struct file *in, int64_t in_pos, struct file *out, int64_t out_pos, size_t n)
{
    kstat a, b;
    if (in->kind != FILE_REGULAR || out->kind != FILE_REGULAR)
        return -EINVAL;
    if (out->flags & O_APPEND)
        return -EBADF;
    if (file_stat(in, &a) || file_stat(out, &b) || a.st_dev != b.st_dev || a.st_ino != b.st_ino)
        return 0;
    in_pos = in_pos < 0 ? get_pos(in) : in_pos;
    out_pos = out_pos < 0 ? get_pos(out) : out_pos;
    n = MIN(n, (size_t)MAX((int64_t)a.st_size - in_pos, 0L));
    return in_pos - out_pos < (int64_t)n && out_pos - in_pos < (int64_t)n ? -EINVAL : 0;
}

static int check_ends(const struct file *in, const struct file *out)
{
    if ((in->flags & O_ACCMODE) == O_WRONLY || (out->flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    return in->kind == FILE_DIR || out->kind == FILE_DIR ? -EINVAL : 0;
}

/* One of the host's own copying calls; the offsets are ours, or NULL. */
enum host_call { SENDFILE, COPY_FILES, SPLICE, TEE };

static long on_host(enum host_call call, int in, int64_t *in_off, int out, int64_t *out_off,
                    size_t n, unsigned flags)
{
    long r;
    do {
        r = call == SENDFILE     ? host_sendfile(out, in, in_off, n)
            : call == COPY_FILES ? host_copy_files(in, in_off, out, out_off, n)
            : call == SPLICE     ? host_splice(in, in_off, out, out_off, n, flags)
                                 : host_tee(in, out, n, flags);
        if (r == -EINTR && interrupted())
            r = -ERESTARTSYS;
    } while (r == -EINTR);
    return r;
}

/* The same with offsets in application memory. */
static long pass(enum host_call call, struct file *in, int64_t *uin, struct file *out,
                 int64_t *uout, size_t n, unsigned flags)
{
    int64_t from = 0, to = 0;
    if ((uin && get_user(from, uin)) || (uout && get_user(to, uout)))
        return -EFAULT;
    long r =
        on_host(call, in->host_fd, uin ? &from : NULL, out->host_fd, uout ? &to : NULL, n, flags);
    if (r >= 0 && ((uin && put_user(uin, from)) || (uout && put_user(uout, to))))
        r = -EFAULT;
    return r;
}

SYSCALL4(sendfile, int, out_fd, int, in_fd, int64_t *, uoff, size_t, n)
{
    struct file *in = fd_get_io(in_fd), *out = fd_get_io(out_fd);
    int64_t pos, none = -1;
    long r = !in || !out ? -EBADF : check_ends(in, out);
    if (!r && uoff && !user_range_ok(uoff, 8))
        r = -EFAULT;
    if (!r)
        r = file_verify(in, 0, INT64_MAX);
    if (!r && host_to_host(in, out)) {
        r = pass(SENDFILE, in, uoff, out, NULL, n, 0);
    } else if (!r) {
        bool streams =
            in->kind != FILE_REGULAR && ((in->ops->read && !in->seekable) ||
                                         (in->host_fd >= 0 && host_lseek(in->host_fd, 0, 1) < 0));
        r = streams || out->flags & O_APPEND ? -EINVAL : take_pos(uoff, &pos);
        if (!r)
            r = copy(in, &pos, out, &none, MIN(n, (size_t)0x7ffff000));
        if (r >= 0 && uoff && put_user(uoff, pos))
            r = -EFAULT;
    }
    if (in)
        file_put(in);
    if (out)
        file_put(out);
    return r;
}

SYSCALL6(copy_file_range, int, in_fd, int64_t *, uin, int, out_fd, int64_t *, uout, size_t, n,
         unsigned, flags)
{
    struct file *in = fd_get_io(in_fd), *out = fd_get_io(out_fd);
    int64_t in_pos, out_pos;
    long r = !in || !out ? -EBADF : flags ? -EINVAL : check_ends(in, out);
    if (r == -EINVAL && !flags)
        r = -EISDIR;
    if (!r && ((uin && !user_range_ok(uin, 8)) || (uout && !user_range_ok(uout, 8))))
        r = -EFAULT;
    if (!r)
        r = file_verify(in, 0, INT64_MAX);
    if (!r && host_to_host(in, out)) {
        r = pass(COPY_FILES, in, uin, out, uout, n, 0);
    } else if (!r) {
        r = take_pos(uin, &in_pos);
        if (!r)
            r = take_pos(uout, &out_pos);
        r = r == -EINVAL ? -EOVERFLOW : r ? r : check_range(in, in_pos, out, out_pos, n);
        if (!r)
            r = copy(in, &in_pos, out, &out_pos, MIN(n, (size_t)0x7ffff000));
        if (r >= 0 && ((uin && put_user(uin, in_pos)) || (uout && put_user(uout, out_pos))))
            r = -EFAULT;
    }
    if (in)
        file_put(in);
    if (out)
        file_put(out);
    return r;
}

static long splice_like(enum host_call call, int in_fd, int64_t *uin, int out_fd, int64_t *uout,
                        size_t n, unsigned flags)
{
    struct file *in = fd_get_io(in_fd), *out = fd_get_io(out_fd);
    long r = !in || !out ? -EBADF : 0;
    if (!r && ((uin && !user_range_ok(uin, 8)) || (uout && !user_range_ok(uout, 8))))
        r = -EFAULT;
    if (!r && !host_to_host(in, out))
        r = -EINVAL; /* callers fall back to read and write */
    if (!r)
        r = file_verify(in, 0, INT64_MAX);
    if (!r)
        r = pass(call, in, uin, out, uout, n, flags);
    if (in)
        file_put(in);
    if (out)
        file_put(out);
    return r;
}

SYSCALL6(splice, int, in, int64_t *, uin, int, out, int64_t *, uout, size_t, n, unsigned, flags)
{
    return splice_like(SPLICE, in, uin, out, uout, n, flags);
}

SYSCALL4(tee, int, in, int, out, size_t, n, unsigned, flags)
{
    return splice_like(TEE, in, NULL, out, NULL, n, flags);
}
