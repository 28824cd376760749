/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Files, descriptors, mounts. A `struct file` is Linux's open file description; a `struct fs_ops`
 * is a kind of mounted file system; a path is resolved to (mount, path below it) by fs/path.c.
 * Functions return 0 or a length, or a negative errno.
 */
#pragma once
#include "libos/lib/lock.h"
#include "libos/libos.h"
#include <asm/stat.h>
#include <linux/fcntl.h>
#include <linux/stat.h>
#include <linux/time_types.h>

typedef struct stat kstat; /* the kernel's own layout (asm/stat.h) */
struct statfs64_k;

struct file;
struct mount;
struct process;
struct waiter;
struct iovec;

/* A sink for directory entries. `emit` copies one entry out; false: no room, stop before it. */
struct dir_sink {
    bool (*emit)(struct dir_sink *s, const char *name, size_t len, uint64_t ino, uint8_t type,
                 int64_t next_cookie);
    int64_t cookie; /* where to start; file->pos */
};

/*
 * Operations of an open file. NULL: the operation goes to file->host_fd when there is one, else it
 * fails as Linux fails for such an object (EINVAL, ENOTTY, ESPIPE …). `ubuf` is application memory.
 */
struct file_ops {
    const char *name; /* for /proc/self/fd of nameless files and for logs */
    /* Positioned transfer. `pos` is the offset to use; the caller advances the file's own. */
    ssize (*read)(struct file *f, void *ubuf, size_t n, int64_t pos);
    ssize (*write)(struct file *f, const void *ubuf, size_t n, int64_t pos);
    /* Both or none; none: size, then write. A write at the end of the file; a write at its own
     * offset or, with `append`, at its end, which moves the offset, under pos_lock. */
    ssize (*append)(struct file *f, const void *ubuf, size_t n);
    ssize (*write_here)(struct file *f, const void *ubuf, size_t n, bool append);
    /* Of an own object (sync/own.h): a message is read or written as a whole. -ENOTOWN: the object
     * has become the host's. */
    ssize (*vector)(struct file *f, const struct iovec *iov, size_t count, bool write);
    /* Length of the file for SEEK_END and O_APPEND; NULL: not seekable unless host-backed. */
    int64_t (*size)(struct file *f);
    int (*stat)(struct file *f, kstat *st);
    int (*truncate)(struct file *f, int64_t size);
    int (*allocate)(struct file *f, int mode, int64_t off, int64_t len);
    int (*sync)(struct file *f, bool data_only);
    long (*ioctl)(struct file *f, unsigned cmd, unsigned long arg);
    int (*chmod)(struct file *f, uint32_t mode);
    int (*chown)(struct file *f, uint32_t uid, uint32_t gid);
    int (*utimens)(struct file *f, const struct __kernel_timespec ts[2]); /* NULL ts: now */
    /*
     * Directories: calls `emit` for each entry from `cookie` on; stops when emit returns false.
     */
    int (*readdir)(struct file *f, struct dir_sink *sink);
    /*
     * mmap of a file whose content the host does not hold as it is: makes [off, off + len) ready
     * and returns the host descriptor to map. Asked again before a shared mapping becomes writable
     * or longer. Under mm.lock. NULL: host_fd.
     */
    int (*map_fd)(struct file *f, size_t len, int prot, int flags, int64_t off);
    /*
     * Before the host's content of [off, off + n) is handed on as it is, mapped or copied (read,
     * mmap are NULL): may refuse. Returns 1 when the whole file is good, 0 when this range is, or
     * an errno. n = INT64_MAX: up to the end; n = 0 asks what is known.
     */
    int (*verify)(struct file *f, int64_t off, int64_t n);
    /* With map_fd: takes over what was stored in [off, off + len) through shared mappings. */
    int (*mmap_sync)(struct file *f, size_t len, int64_t off);
    /* The host descriptor to wait on for readiness; NULL with host_fd < 0: always ready. */
    int (*poll_fd)(struct file *f);
    /*
     * Of an own object (sync/own.h), which has no such descriptor: the poll events that hold now
     * (POLLERR and POLLHUP among them); with `w` not NULL the waiter is put into the object's queue
     * before that look.
     */
    uint32_t (*poll)(struct file *f, struct waiter *w);
    /* Of an own object that becomes ready by itself: CLOCK_MONOTONIC, ns, at which to look at it
     * again without a wake-up; 0: not. */
    uint64_t (*look_at)(struct file *f);
    /* Of a FILE_UNSEEN own object: hands it to the host. Called by file_look(). */
    void (*to_host)(struct file *f);
    /* The host descriptor that carries the file's locks, below FILE_LOCK_LIMIT; NULL with host_fd <
     * 0: calls_lock.c. */
    int (*lock_fd)(struct file *f);
    /* Last reference gone. The host descriptor is closed by the caller afterwards. */
    int (*flush)(struct file *f); /* each close(): its result is close's result */
    void (*release)(struct file *f);
};

enum file_kind {
    FILE_REGULAR,
    FILE_DIR,
    FILE_STREAM,
    FILE_SOCKET,
    FILE_EPOLL,
    FILE_EVENTFD,
    FILE_OTHER,
    /* A host file just opened, whose type nobody asked for yet, or an own object: file_look() */
    FILE_UNSEEN
};

struct file {
    uint32_t refs;  /* stays first: it outlives the rest (file.c) */
    uint32_t flags; /* O_ACCMODE and status flags; changed by F_SETFL */
    enum file_kind kind;
    int host_fd; /* -1: none */
    const struct file_ops *ops;
    /*
     * host_offset: the offset lives in the host's description (so that it is shared over fork) and
     * plain read/write go there. Otherwise `pos` under pos_lock.
     */
    bool host_offset;
    bool seekable;
    struct lock pos_lock; /* held over a transfer that uses pos; last lock before object locks */
    int64_t pos;
    int pos_fd; /* -1, or the host's description whose offset stands for `pos`: shared over fork */
    struct mount *mount;
    char *path;            /* absolute path inside, or NULL for nameless objects: file_set_path() */
    void *priv;            /* of ops */
    struct watch *watches; /* registrations with epolls: sync/epoll.c */
    char short_path[96];   /* stays last: not cleared when the description is used again */
};

/* Allocates a description with one reference, everything zero but what is given. NULL: no memory */
struct file *file_new(const struct file_ops *ops, enum file_kind kind, int host_fd, uint32_t flags);
/* Gives a file the name by which it was opened, a copy. 0 or -ENOMEM. */
int file_set_path(struct file *f, const char *path);
/* A description for an object that the host opened, by its type; takes `host_fd` over on success.
 */
int file_from_host(int host_fd, uint32_t flags, struct file **out);
/* The same without a look at what it is: FILE_UNSEEN. */
int file_from_host_unseen(int host_fd, uint32_t flags, struct file **out);
/* Makes a FILE_UNSEEN file what it is: kind, operations. `st` is what fstat said, or NULL. May stop
 * the other threads: the caller holds no lock. */
void file_look(struct file *f, const struct stat *st);
#define FILE_LOCK_LIMIT (1L << 62)
/* fcntl(2) with F_GETLK, F_SETLK, F_SETLKW or their F_OFD_ forms: fs/calls_lock.c. */
long file_lock(struct file *f, int cmd, struct flock *ulock);
static inline void file_get(struct file *f)
{
    ref_get(&f->refs);
}
void file_put(struct file *f);

/*
 * ioctl(2) on a host object, the command (ioctls.h; `closed` as there) and its argument checked. A
 * process in the background that changes its terminal gets SIGTTOU, unless it blocks that signal
 * (tcsetpgrp(3)): the host is told.
 */
long ioctl_host(struct file *f, bool closed, unsigned cmd, unsigned long arg);

/* ops->verify, where there is one. */
static inline int file_verify(struct file *f, int64_t off, int64_t n)
{
    int r = f->ops->verify ? f->ops->verify(f, off, n) : 1;
    return r < 0 ? r : 0;
}

/* Transfers at the file's own offset (read/write) or at `pos` (>= 0). */
ssize file_read(struct file *f, void *ubuf, size_t n, int64_t pos);
ssize file_write(struct file *f, const void *ubuf, size_t n, int64_t pos);
/* Under pos_lock, where `pos` is used or changed: fetches it from, and gives it to, pos_fd. */
void file_pos_load(struct file *f);
void file_pos_store(struct file *f);
/* As file_write() to a file that has ops->append, at its end whatever O_APPEND says. */
ssize file_append(struct file *f, const void *ubuf, size_t n, int64_t pos);
/* Reads into library-OS memory (ELF headers, scripts, configuration). */
ssize file_read_kernel(struct file *f, void *buf, size_t n, int64_t pos);
int file_stat(struct file *f, kstat *st);

/* How many open files lose data if the process ends without closing them; atomic. */
extern uint32_t files_to_flush;

/* ---- descriptors ---- */

/* What calls of an own object answer when it is the host's by now, and the host is to be asked. */
#define ENOTOWN 530

struct fd_entry {
    struct file *file;
    bool cloexec;
};
/* Changed under the lock; looked up without it (fd_get). */
struct fdtable {
    struct lock lock;
    struct fd_entry *fds; /* an outgrown array is kept: somebody may be reading it */
    uint32_t size;        /* slots; never more than `fds` has */
    uint32_t first_free;  /* no free slot below */
};

int fdtable_init(struct fdtable *t);
/* Takes the reference over. Lowest free number >= `from`; -EMFILE. */
int fd_install(struct file *f, int from, bool cloexec);
/* Puts `f` (reference taken over) at exactly `fd`; what was there is closed. */
int fd_replace(int fd, struct file *f, bool cloexec);
/* A counted reference, or NULL (EBADF). Release with file_put. */
struct file *fd_get(int fd);
/* As fd_get, but EBADF for O_PATH descriptors. */
struct file *fd_get_io(int fd);
/* The same two for callers to whom a FILE_UNSEEN file is as good: transfers, waits, duplicates. */
struct file *fd_get_unseen(int fd);
struct file *fd_get_transfer(int fd);
int fd_close(int fd);
void fd_close_on_exec(struct process *p);
void fd_close_all(struct process *p);
int fd_copy_table(struct fdtable *dst, struct fdtable *src);

/* ---- mounts ---- */

/*
 * Operations of a mounted file system. `rel` is the path below the mount point: "" for its root,
 * else without leading or trailing slash ("a/b").
 */
struct fs_ops {
    const char *name;
    /* Links of this file system are ours, not the host's: fs/path.c follows them by readlink. */
    bool own_links;
    int (*open)(struct mount *m, const char *rel, uint32_t flags, uint32_t mode, struct file **out);
    /* `follow`: a symbolic link as last component is followed. */
    int (*stat)(struct mount *m, const char *rel, bool follow, kstat *st);
    int (*access)(struct mount *m, const char *rel, int mode, int flags);
    ssize (*readlink)(struct mount *m, const char *rel, char *buf, size_t size);
    /* With own_links: does this link lead to an object rather than to a path (/proc/self/fd of a
     * pipe)? Then as last component it is not followed: open and stat get the link itself. */
    bool (*magic_link)(struct mount *m, const char *rel);
    int (*unlink)(struct mount *m, const char *rel, bool dir);
    int (*mkdir)(struct mount *m, const char *rel, uint32_t mode);
    int (*mknod)(struct mount *m, const char *rel, uint32_t mode, uint64_t dev);
    int (*symlink)(struct mount *m, const char *target, const char *rel);
    int (*link)(struct mount *m, const char *from, const char *to);
    /* Names an open file of the file system that has no name. */
    int (*link_file)(struct mount *m, struct file *f, const char *to);
    int (*rename)(struct mount *m, const char *from, const char *to, uint32_t flags);
    int (*chmod)(struct mount *m, const char *rel, uint32_t mode);
    int (*chown)(struct mount *m, const char *rel, uint32_t uid, uint32_t gid, bool follow);
    int (*utimens)(struct mount *m, const char *rel, const struct __kernel_timespec ts[2],
                   bool follow);
    int (*statfs)(struct mount *m, struct statfs64_k *st);
    int (*truncate)(struct mount *m, const char *rel, int64_t size); /* NULL: open + truncate */
};

struct mount {
    const struct fs_ops *ops;
    const char *path; /* absolute, normalised, no trailing slash but for "/" */
    size_t path_len;
    const char *uri; /* normalised host path; "." for the launcher's directory; may be NULL */
    bool device;     /* uri began with dev: no policy on its files */
    bool source;     /* of files that the manifest names: all links are its author's */
    const char *key_name;
    bool recovery;
    void *priv;
};

extern const struct fs_ops fs_chroot, fs_encrypted, fs_tmpfs, fs_proc, fs_sys, fs_dev;

/* All mounts in order of construction; the last one that covers a path serves it. */
extern struct mount **mounts;
extern uint32_t mount_count;

/* Builds root, /proc, /dev, /sys and the manifest's mounts; prints one line on failure. */
int mounts_setup(void);

/* ---- paths ---- */

struct fs_state {
    struct lock lock;
    char *cwd;             /* absolute, normalised */
    struct file *cwd_file; /* the directory itself: it outlives its name; may be NULL */
    char *root;            /* chroot(2) directory, "/" */
    bool has_root;         /* chroot(2) was called; atomic, read without the lock */
    uint32_t umask;
};

/* A resolved path. Points into itself: do not copy. */
struct path {
    struct mount *mount;
    const char *rel;       /* into `abs` */
    bool must_be_dir;      /* it ended in a slash */
    uint32_t depth, links; /* of fs/path.c: what was followed */
    char abs[PATH_LIMIT];  /* inside */
};

/*
 * Resolves an application path relative to dirfd. Symbolic links before the last component are
 * followed; the last one too when `follow`. Empty paths are ENOENT unless `empty_ok`
 * (AT_EMPTY_PATH, handled by the caller).
 */
int path_resolve(int dirfd, const char *upath, bool follow, struct path *out);
/* The same for calls that start again when they meet a link of the run: it may be left in place. */
int path_resolve_look(int dirfd, const char *upath, bool follow, struct path *out);
/* The same for a path in library-OS memory. */
int path_resolve_kernel(int dirfd, const char *kpath, bool follow, struct path *out);
/* A name to be made, removed or replaced: a link there is not followed, with a slash behind it
 * neither. */
int path_resolve_name(int dirfd, const char *upath, struct path *out);
/* What the path leads to if the last component is a link to be followed inside. */
int path_follow(const struct path *p, struct path *to);

/* Follows every link on the way, the last component's too, as far as they lead somewhere inside. */
int path_physical(struct path *p);

/* Text only: "/a//b/./c/../d/" -> "/a/b/d"; `out` holds PATH_LIMIT bytes. -ENAMETOOLONG. */
int path_normalise(const char *in, char *out);
/* Replaces every symbolic link in the absolute path by what it leads to, the last component too;
 * what does not exist stays as it is. Takes no lock. -ELOOP, -ENAMETOOLONG, -ENOMEM */
int path_real(char abs[PATH_LIMIT]);
/* `dir` and `rest` joined and normalised. */
int path_join(const char *dir, const char *rest, char out[PATH_LIMIT]);
/* Host path of `rel` below a mount whose uri is a host path. -ENAMETOOLONG */
int mount_host_path(const struct mount *m, const char *rel, char out[PATH_LIMIT]);

/* Does some mount lie below the absolute path, so that a directory must be seen there? */
bool mounts_imply(const char *abs);

/* Opens by path inside; the building block of open, execve and the loader. */
int vfs_open(const struct path *p, uint32_t flags, uint32_t mode, struct file **out);
/* The same; the file may be FILE_UNSEEN. */
int vfs_open_unseen(const struct path *p, uint32_t flags, uint32_t mode, struct file **out);
int vfs_open_kernel(const char *kpath, uint32_t flags, struct file **out);
int vfs_stat(const struct path *p, bool follow, kstat *st);

/* Names of mount points directly below `dir` (absolute inside), for directory listings. Calls
 * `emit` for each; stops when it returns false. */
void mounts_below(const char *dir, bool (*emit)(void *ctx, const char *name, size_t len),
                  void *ctx);
