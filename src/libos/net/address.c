/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Socket addresses between the application and the host. Only names of AF_UNIX sockets in the file
 * system differ: the host's socket is bound at the host path of the mount. A mount without one
 * (tmpfs) holds the name, and the host's socket has an abstract name made of this run and the
 * node's number. Abstract names are the run's own: on the host they begin with its number, so that
 * none leads to a socket outside.
 */
#include "crypto/crypto.h"
#include "host/host.h"
#include "libos/fs/links.h"
#include "libos/fs/policy.h"
#include "libos/net/net.h"
#include "libos/process.h"
#include "platform/platform.h"
#include <asm/socket.h>

#define NAME_AT  offsetof(struct sockaddr_un, sun_path)
#define S_TYPE   0170000
#define S_SOCKET 0140000

static bool is_unix(const struct file *f)
{
    return socket_family(f->host_fd) == AF_UNIX;
}

/* At most 108 bytes; the storage has room for the NUL behind. */
static void set_name(struct address *a, const char *name)
{
    size_t n = strlen(name);
    memcpy((char *)&a->at + NAME_AT, name, n + 1);
    a->len = (uint32_t)(NAME_AT + MIN(n + 1, sizeof(struct sockaddr_un) - NAME_AT));
}

/* Splits a host path at its last slash; the directory's descriptor, or an errno. */
static int open_parent(char *host, const char **name)
{
    char *slash = strrchr(host, '/');
    if (!slash || slash == host)
        return -ENAMETOOLONG;
    *slash = 0;
    *name = slash + 1;
    return host_open(host, O_PATH | O_DIRECTORY, 0);
}

/* A host path that is too long for an address is reached through its opened directory. */
static int set_host_path(struct address *a, char *host, int *dir_fd)
{
    if (strlen(host) < sizeof(((struct sockaddr_un *)0)->sun_path)) {
        set_name(a, host);
        return 0;
    }
    char name[64 + NAME_LIMIT];
    const char *last;
    *dir_fd = open_parent(host, &last);
    if (*dir_fd < 0)
        return *dir_fd;
    int n = fmt(name, sizeof(name), "/proc/self/fd/%d/%s", *dir_fd, last);
    if (n >= (int)sizeof(((struct sockaddr_un *)0)->sun_path)) {
        host_close(*dir_fd);
        *dir_fd = -1;
        return -ENAMETOOLONG;
    }
    set_name(a, name);
    return 0;
}

/* The host's descriptor of the working directory if `name` below it is `host`, else -1. */
static int open_cwd_above(const char *name, const char *host)
{
    struct path *cwd = heap_alloc(sizeof(*cwd));
    char *at = heap_alloc(PATH_LIMIT), *whole = heap_alloc(PATH_LIMIT);
    int fd = -1;
    if (cwd && at && whole && !path_resolve_kernel(AT_FDCWD, ".", true, cwd) &&
        cwd->mount->ops == &fs_chroot && cwd->mount->uri &&
        !mount_host_path(cwd->mount, cwd->rel, at) && at[0] == '/' && !path_join(at, name, whole) &&
        strcmp(whole, host) == 0)
        fd = host_open(at, O_PATH | O_DIRECTORY, 0);
    heap_free(cwd);
    heap_free(at);
    heap_free(whole);
    return fd;
}

/*
 * Others see the name that is bound (getpeername, recvfrom): where it can be, it is the one that
 * the application gave. A relative one is bound in *dir_fd.
 */
static int set_bound_name(struct address *a, const char *name, char *host, int *dir_fd)
{
    const char *last = host;
    if (name[0] != '/')
        *dir_fd = open_cwd_above(name, host);
    if (*dir_fd >= 0)
        return 0;
    *dir_fd = -1;
    if (strlen(host) > sizeof(((struct sockaddr_un *)0)->sun_path)) {
        *dir_fd = open_parent(host, &last);
        if (*dir_fd < 0)
            return *dir_fd;
    }
    if (strlen(last) <= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        set_name(a, last);
        return 0;
    }
    host_close(*dir_fd);
    *dir_fd = -1;
    return -ENAMETOOLONG;
}

/* Tells this run's abstract names from those of others. */
static uint64_t run_id;

void address_setup(void)
{
    if (platform_random(&run_id, sizeof(run_id)))
        run_id = (uint64_t)current_process()->pid << 32;
}

#define TAG_SIZE  (1 + sizeof(run_id))
#define TAG_BYTE  1 /* before the run's number */
#define HASH_BYTE 2 /* before what takes the place of a name that is too long with it */
#define ABSTRACT  (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static void set_tagged(struct address *a, const char *name, size_t n)
{
    char *to = ((struct sockaddr_un *)&a->at)->sun_path + 1;
    to[0] = TAG_BYTE;
    memcpy(to + 1, &run_id, sizeof(run_id));
    if (n <= ABSTRACT - TAG_SIZE) {
        memcpy(to + TAG_SIZE, name, n);
    } else {
        to[TAG_SIZE] = HASH_BYTE;
        sha256(name, n, (uint8_t *)to + TAG_SIZE + 1);
        n = 1 + SHA256_SIZE;
    }
    a->len = (uint32_t)(NAME_AT + 1 + TAG_SIZE + n);
}

static void tag_abstract(struct address *a)
{
    char name[ABSTRACT];
    size_t n = a->len - NAME_AT - 1;
    memcpy(name, ((struct sockaddr_un *)&a->at)->sun_path + 1, n);
    set_tagged(a, name, n);
}

static void untag_abstract(struct address *a)
{
    char *at = ((struct sockaddr_un *)&a->at)->sun_path + 1;
    size_t n = a->len - NAME_AT - 1;
    if (n < TAG_SIZE || at[0] != TAG_BYTE || memcmp(at + 1, &run_id, sizeof(run_id)) != 0)
        return;
    memmove(at, at + TAG_SIZE, n - TAG_SIZE);
    a->len -= (uint32_t)TAG_SIZE;
}

/* What bind(2) without a name takes: unix(7). The caller tries another if the host has it. */
int address_generate(struct file *f, struct address *a)
{
    char name[8];
    uint32_t number;
    struct address now;
    if (a->len != NAME_AT || a->at.ss_family != AF_UNIX || !is_unix(f) ||
        host_socket_name(f->host_fd, false, &now) || now.len > NAME_AT)
        return -ENOENT;
    int err = platform_random(&number, sizeof(number));
    if (err)
        return err;
    set_tagged(a, name, (size_t)fmt(name, sizeof(name), "%05x", number & 0xfffff));
    return 0;
}

static int set_node_name(struct address *a, const struct path *p, bool creating)
{
    kstat st;
    int err = 0;
    if (creating) {
        uint32_t mode = S_SOCKET | (0777 & ~current_process()->fs.umask);
        err = p->mount->ops->mknod ? p->mount->ops->mknod(p->mount, p->rel, mode, 0) : -EROFS;
    }
    if (!err)
        err = vfs_stat(p, true, &st);
    if (!err && (st.st_mode & S_TYPE) != S_SOCKET)
        err = -ECONNREFUSED;
    if (err)
        return err == -EEXIST ? -EADDRINUSE : err;
    struct sockaddr_un *un = (struct sockaddr_un *)&a->at;
    un->sun_path[0] = 0;
    int n = fmt(un->sun_path + 1, sizeof(un->sun_path) - 1, "adyton/%lx/%lx/%lx", run_id,
                (unsigned long)st.st_dev, (unsigned long)st.st_ino);
    a->len = (uint32_t)(NAME_AT + 1 + (size_t)n);
    return 0;
}

/* The name when the host may meet links on the way (fs/links.h). */
static int set_walked_name(struct address *a, const struct path *p, bool creating, int *dir_fd)
{
    struct use *u = heap_alloc(sizeof(*u));
    if (!u)
        return -ENOMEM;
    int err = use_begin(u, p->mount, p->rel, creating ? USE_NAME : USE_OBJECT, false);
    if (!err && !p->mount->device)
        err = policy_check_change(u->path, true, creating ? "create" : "connect to");
    const char *last = err ? NULL : creating ? strrchr(u->host, '/') + 1 : u->host;
    if (!err && strlen(last) > sizeof(((struct sockaddr_un *)0)->sun_path))
        err = -ENAMETOOLONG;
    if (!err) {
        set_name(a, last);
        *dir_fd = u->fd;
        u->fd = -1;
    }
    use_end(u);
    heap_free(u);
    return err;
}

/* Was no link met on the way to `dir_fd`: is it the directory that the text of `host` names? */
static bool is_parent(int dir_fd, const char *host)
{
    char name[40], *real = heap_alloc(PATH_LIMIT);
    fmt(name, sizeof(name), "/proc/self/fd/%d", dir_fd);
    ssize n = real ? host_readlink(name, real, PATH_LIMIT) : -1;
    bool same = n > 0 && strncmp(host, real, (size_t)n) == 0 && host[n] == '/' &&
                !strchr(host + n + 1, '/');
    heap_free(real);
    return same;
}

static int meets_no_link(const struct path *p)
{
    struct use *u = heap_alloc(sizeof(*u));
    if (!u)
        return -ENOMEM;
    int err = use_begin(u, p->mount, p->rel, USE_NAME, false);
    use_end(u);
    heap_free(u);
    return err;
}

static int name_to_host(struct address *a, bool creating, int *dir_fd)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&a->at;
    char name[sizeof(un->sun_path) + 1] = "";
    memcpy(name, un->sun_path, MIN(a->len - NAME_AT, sizeof(un->sun_path)));
    struct path *p = heap_alloc(sizeof(*p));
    char *host = heap_alloc(PATH_LIMIT);
    int err = p && host ? path_resolve_kernel(AT_FDCWD, name, !creating, p) : -ENOMEM;
    if (!err && (p->mount->ops != &fs_chroot || !p->mount->uri)) {
        err = set_node_name(a, p, creating);
    } else if (!err) {
        kstat st;
        err = mount_host_path(p->mount, p->rel, host);
        bool there = !err && host_stat(host, false, &st) == 0;
        if (creating && there)
            err = -EADDRINUSE;
        if (!err && (creating || there) && !p->mount->device)
            err = policy_check_change(host, true, creating ? "create" : "connect to");
        bool guarded = !err && !links_walked() && use_is_guarded(p->mount, p->rel, host);
        if (guarded && creating)
            err = meets_no_link(p);
        bool walk = links_walked() || (guarded && !creating);
        if (!err && walk)
            err = set_walked_name(a, p, creating, dir_fd);
        if (!err && walk && creating && is_parent(*dir_fd, host)) {
            host_close(*dir_fd); /* peers see the whole name, and bind() keeps its links */
            *dir_fd = -1;
            set_name(a, name);
            walk = false;
        }
        if (!err && !walk)
            err = creating ? set_bound_name(a, name, host, dir_fd) : set_host_path(a, host, dir_fd);
    }
    heap_free(p);
    heap_free(host);
    return err;
}

static bool is_for_datagrams(const struct file *f)
{
    int type = 0, len = sizeof(type);
    return host_option_get(f->host_fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_DGRAM;
}

int address_take(struct file *f, const void *uaddr, int len, enum address_use use,
                 struct address *out, int *dir_fd)
{
    *dir_fd = -1;
    memset(out, 0, sizeof(*out));
    if (len < 0 || (size_t)len > sizeof(out->at))
        return -EINVAL;
    if (copy_from_user(&out->at, uaddr, (size_t)len))
        return -EFAULT;
    out->len = (uint32_t)len;
    const struct sockaddr_un *un = (const struct sockaddr_un *)&out->at;
    if ((size_t)len <= NAME_AT || un->sun_family != AF_UNIX || (size_t)len > sizeof(*un) ||
        !is_unix(f))
        return 0;
    if (!un->sun_path[0]) {
        tag_abstract(out);
        return 0;
    }
    if (use == TO_SEND && !is_for_datagrams(f))
        return 0;
    return name_to_host(out, use == TO_BIND, dir_fd);
}

struct mount *host_to_inside(const char *host, char inside[PATH_LIMIT])
{
    for (uint32_t i = mount_count; i-- > 0;) {
        struct mount *m = mounts[i];
        if (m->ops != &fs_chroot || !m->uri)
            continue;
        size_t n = strcmp(m->uri, ".") == 0 ? 0 : strlen(m->uri);
        if (n && m->uri[n - 1] == '/')
            n--;
        bool covers = n == 0 ? (m->uri[0] == '/') == (host[0] == '/')
                             : strncmp(host, m->uri, n) == 0 && (host[n] == '/' || !host[n]);
        if (covers && !path_join(m->path, host + n, inside))
            return m;
    }
    return NULL;
}

void address_to_inside(struct address *a)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&a->at;
    char host[sizeof(un->sun_path) + 1] = "", inside[PATH_LIMIT];
    if (a->len <= NAME_AT || a->len > sizeof(*un) || a->at.ss_family != AF_UNIX)
        return;
    if (!un->sun_path[0]) {
        untag_abstract(a);
        return;
    }
    memcpy(host, un->sun_path, MIN(a->len - NAME_AT, sizeof(un->sun_path)));
    if (host_to_inside(host, inside) && strlen(inside) < sizeof(un->sun_path))
        set_name(a, inside);
}

int address_give(struct address *a, void *uaddr, int *ulen)
{
    int len;
    if (!uaddr)
        return 0;
    if (get_user(len, ulen))
        return -EFAULT;
    if (len < 0)
        return -EINVAL;
    size_t n = MIN((size_t)len, MIN((size_t)a->len, sizeof(a->at)));
    if (copy_to_user(uaddr, &a->at, n) || put_user(ulen, a->len))
        return -EFAULT;
    return 0;
}
