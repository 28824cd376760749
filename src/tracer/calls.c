/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* From a system call at its entry to what is recorded of it. */
#include "tracer/tracer.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define PAGE 4096u

/* Up to `len` bytes of the tracee's memory; how many were there. */
static size_t peek(pid_t tid, uint64_t address, void *out, size_t len)
{
    size_t done = 0;
    while (done < len) {
        size_t part = PAGE - ((address + done) & (PAGE - 1));
        if (part > len - done)
            part = len - done;
        struct iovec to = {(char *)out + done, part},
                     from = {(void *)(uintptr_t)(address + done), part};
        ssize_t n = process_vm_readv(tid, &to, 1, &from, 1, 0);
        if (n <= 0)
            break;
        done += (size_t)n;
        if (memchr((char *)out + done - n, '\0', (size_t)n))
            break; /* enough for a string; structures are asked for by peek_all() */
    }
    return done;
}

static bool peek_all(pid_t tid, uint64_t address, void *out, size_t len)
{
    struct iovec to = {out, len}, from = {(void *)(uintptr_t)address, len};
    return process_vm_readv(tid, &to, 1, &from, 1, 0) == (ssize_t)len;
}

static bool peek_string(pid_t tid, uint64_t address, char out[PATH_MAX])
{
    size_t n = address ? peek(tid, address, out, PATH_MAX) : 0;
    return memchr(out, '\0', n) != NULL;
}

/* Takes the last name off; a link among what stays before a ".." is followed, as the kernel does.
 */
static bool climb(char *path)
{
    struct stat st;
    char real[PATH_MAX];
    if (*path && !lstat(path, &st) && S_ISLNK(st.st_mode)) {
        if (!realpath(path, real))
            return false;
        strcpy(path, real);
    }
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    return true;
}

/* `base` and `path` as one absolute path without ".", ".." and doubled slashes. */
static bool join(const char *base, const char *path, char out[PATH_MAX])
{
    size_t len = *path == '/' ? 0 : strlen(base);
    if (len == 1 && *base == '/')
        len = 0;
    memcpy(out, base, len);
    out[len] = '\0';
    while (*path) {
        size_t part = strcspn(path, "/");
        if (part == 2 && !memcmp(path, "..", 2)) {
            if (!climb(out))
                return false;
        } else if (part && !(part == 1 && *path == '.')) {
            len = strlen(out);
            if (len + part + 2 > PATH_MAX)
                return false;
            out[len] = '/';
            memcpy(out + len + 1, path, part);
            out[len + 1 + part] = '\0';
        }
        path += part + strspn(path + part, "/");
    }
    if (!*out)
        strcpy(out, "/");
    return true;
}

struct place {
    char base; /* '-' or '@' */
    char path[PATH_MAX];
    bool exists;
    struct stat st;
};

/* What a call's path means; false for what cannot be told or is of no interest. */
static bool resolve(const struct call *c, int dir, const char *path, struct place *p)
{
    char link[64], base[PATH_MAX] = "/";
    if (!*path)
        return false;
    p->base = *path == '/' ? '-' : '@';
    if (*path != '/') {
        if (dir == AT_FDCWD)
            snprintf(link, sizeof(link), "/proc/%d/cwd", c->tid);
        else
            snprintf(link, sizeof(link), "/proc/%d/fd/%d", c->tid, dir);
        ssize_t n = readlink(link, base, sizeof(base) - 1);
        if (n <= 0 || *base != '/')
            return false;
        base[n] = '\0';
    }
    if (!join(base, path, p->path))
        return false;
    p->exists = !strncmp(p->path, "/proc/", 6) ? !lstat(p->path, &p->st) : !stat(p->path, &p->st);
    return true;
}

static bool place_of(const struct call *c, int dir, uint64_t address, struct place *p)
{
    char path[PATH_MAX];
    return peek_string(c->tid, address, path) && resolve(c, dir, path, p);
}

/* Is its folder there? Where it is not, the call fails, natively and inside: nothing is needed. */
static bool has_folder(const struct place *p)
{
    char folder[PATH_MAX];
    struct stat st;
    const char *slash = strrchr(p->path, '/');
    snprintf(folder, sizeof(folder), "%.*s", slash > p->path ? (int)(slash - p->path) : 1, p->path);
    return !stat(folder, &st) && S_ISDIR(st.st_mode);
}

/* By which path a folder was reached, where the kernel knows it by another. */
static void note_folder(struct record *r, const struct place *p)
{
    char real[PATH_MAX], line[PATH_MAX + 1];
    if (!realpath(p->path, real) || !strcmp(real, p->path))
        return;
    snprintf(line, sizeof(line), "A%s", real);
    record_string(r, line, true);
    snprintf(line, sizeof(line), "W%s", p->path);
    record_string(r, line, true);
}

static void record_open(struct record *r, const struct call *c, int dir, uint64_t address,
                        uint64_t flags)
{
    struct place p;
    if (!place_of(c, dir, address, &p))
        return;
    bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
    if ((flags & O_TMPFILE) == O_TMPFILE)
        record_path(r, 'w', p.base, p.path);
    else if (!p.exists && (flags & O_CREAT)) {
        if (has_folder(&p))
            record_path(r, 'c', p.base, p.path);
    } else if (p.exists && S_ISDIR(p.st.st_mode)) {
        record_path(r, 'd', p.base, p.path);
        note_folder(r, &p);
    } else if (p.exists && (flags & O_PATH))
        record_path(r, 's', p.base, p.path);
    else if (p.exists && !access(p.path, writes ? W_OK : R_OK))
        record_path(r, writes ? 'w' : 'o', p.base, p.path);
}

static void record_openat2(struct record *r, const struct call *c)
{
    struct open_how how;
    if (peek_all(c->tid, c->arg[2], &how, sizeof(how)))
        record_open(r, c, (int)c->arg[0], c->arg[1], how.flags);
}

/* The program that the kernel reads besides `path`: of "#!", or an ELF file's PT_INTERP. */
static bool interpreter(const char *path, char out[PATH_MAX])
{
    char head[PAGE] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t n = pread(fd, head, sizeof(head) - 1, 0);
    bool found = false;
    const Elf64_Ehdr *elf = (const void *)head;
    if (n > 2 && head[0] == '#' && head[1] == '!') {
        char *name = head + 2 + strspn(head + 2, " \t");
        name[strcspn(name, " \t\n")] = '\0';
        found = *name && snprintf(out, PATH_MAX, "%s", name) < PATH_MAX;
    } else if (n >= (ssize_t)sizeof(*elf) && !memcmp(head, ELFMAG, SELFMAG) &&
               elf->e_phentsize == sizeof(Elf64_Phdr)) {
        for (unsigned i = 0; i < elf->e_phnum && i < 64 && !found; i++) {
            Elf64_Phdr ph;
            if (pread(fd, &ph, sizeof(ph), (off_t)(elf->e_phoff + i * sizeof(ph))) != sizeof(ph))
                break;
            if (ph.p_type != PT_INTERP || ph.p_filesz < 2 || ph.p_filesz > PATH_MAX)
                continue;
            n = pread(fd, out, ph.p_filesz, (off_t)ph.p_offset);
            found = n == (ssize_t)ph.p_filesz && !out[n - 1];
        }
    }
    close(fd);
    return found;
}

static void record_exec(struct record *r, const struct call *c, int dir, uint64_t address)
{
    enum { MOST_NESTED = 5 };
    struct place p;
    char name[PATH_MAX];
    if (!place_of(c, dir, address, &p) || !p.exists || !S_ISREG(p.st.st_mode) ||
        access(p.path, X_OK))
        return;
    record_path(r, 'x', p.base, p.path);
    for (int i = 0; i < MOST_NESTED && interpreter(p.path, name); i++) {
        if (!resolve(c, AT_FDCWD, name, &p) || !p.exists)
            break;
        record_path(r, 'i', p.base, p.path);
    }
}

/* A call that looks at, changes or makes one name. */
static void record_name(struct record *r, const struct call *c, int dir, uint64_t address,
                        char kind)
{
    struct place p;
    if (!place_of(c, dir, address, &p))
        return;
    struct stat st;
    bool there = p.exists || !lstat(p.path, &st);
    bool makes = kind == 'm' || kind == 'l';
    if (there != makes && (there || has_folder(&p)))
        record_path(r, kind, p.base, p.path);
}

static void record_rename(struct record *r, const struct call *c, int from_dir, uint64_t from,
                          int to_dir, uint64_t to)
{
    struct place a, b;
    if (!place_of(c, from_dir, from, &a) || !place_of(c, to_dir, to, &b) || !a.exists ||
        !has_folder(&b))
        return;
    record_path(r, 'u', a.base, a.path);
    record_path(r, b.exists ? 't' : S_ISDIR(a.st.st_mode) ? 'm' : 'c', b.base, b.path);
}

static void record_chdir(struct record *r, const struct call *c)
{
    struct place p;
    if (!place_of(c, AT_FDCWD, c->arg[0], &p) || !p.exists)
        return;
    record_path(r, 's', p.base, p.path);
    note_folder(r, &p);
}

static void record_address(struct record *r, const struct call *c, bool binds)
{
    struct sockaddr_storage address = {0};
    size_t len = c->arg[2] < sizeof(address) ? c->arg[2] : sizeof(address);
    if (len < 2 || !peek_all(c->tid, c->arg[1], &address, len))
        return;
    const struct sockaddr_in *in = (const void *)&address;
    const struct sockaddr_un *un = (const void *)&address;
    if (address.ss_family == AF_INET || address.ss_family == AF_INET6) {
        record_string(r, binds ? "Fbinds" : "Fconnects", false);
        if (!binds && ntohs(in->sin_port) == 53)
            record_string(r, "Fresolves", false);
    }
    char name[sizeof(address) + 1] = {0};
    memcpy(name, un->sun_path, len - 2);
    struct place p;
    if (address.ss_family != AF_UNIX || !*name || !resolve(c, AT_FDCWD, name, &p))
        return;
    if (p.exists != binds && (p.exists || has_folder(&p)))
        record_path(r, binds ? 'l' : 'n', p.base, p.path);
}

/* Calls with the path in the first argument, or a descriptor of a folder there and the path in the
 * second. */
static const struct {
    uint16_t nr;
    bool at;
    char kind;
} names[] = {
    {SYS_stat, false, 's'},        {SYS_lstat, false, 's'},      {SYS_newfstatat, true, 's'},
    {SYS_statx, true, 's'},        {SYS_access, false, 's'},     {SYS_faccessat, true, 's'},
    {SYS_faccessat2, true, 's'},   {SYS_readlink, false, 's'},   {SYS_readlinkat, true, 's'},
    {SYS_statfs, false, 's'},      {SYS_getxattr, false, 's'},   {SYS_lgetxattr, false, 's'},
    {SYS_listxattr, false, 's'},   {SYS_llistxattr, false, 's'}, {SYS_mkdir, false, 'm'},
    {SYS_mkdirat, true, 'm'},      {SYS_rmdir, false, 'u'},      {SYS_unlink, false, 'u'},
    {SYS_unlinkat, true, 'u'},     {SYS_mknod, false, 'l'},      {SYS_mknodat, true, 'l'},
    {SYS_truncate, false, 'k'},    {SYS_chmod, false, 'k'},      {SYS_fchmodat, true, 'k'},
    {SYS_chown, false, 'k'},       {SYS_lchown, false, 'k'},     {SYS_fchownat, true, 'k'},
    {SYS_utime, false, 'k'},       {SYS_utimes, false, 'k'},     {SYS_utimensat, true, 'k'},
    {SYS_futimesat, true, 'k'},    {SYS_setxattr, false, 'k'},   {SYS_lsetxattr, false, 'k'},
    {SYS_removexattr, false, 'k'},
};

void call_record(struct record *r, const struct call *c)
{
    const uint64_t *a = c->arg;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (names[i].nr != c->nr)
            continue;
        record_name(r, c, names[i].at ? (int)a[0] : AT_FDCWD, a[names[i].at], names[i].kind);
        return;
    }
    switch (c->nr) {
    case SYS_open:
        record_open(r, c, AT_FDCWD, a[0], a[1]);
        break;
    case SYS_openat:
        record_open(r, c, (int)a[0], a[1], a[2]);
        break;
    case SYS_openat2:
        record_openat2(r, c);
        break;
    case SYS_creat:
        record_open(r, c, AT_FDCWD, a[0], O_CREAT | O_WRONLY | O_TRUNC);
        break;
    case SYS_execve:
        record_exec(r, c, AT_FDCWD, a[0]);
        break;
    case SYS_execveat:
        record_exec(r, c, (int)a[0], a[1]);
        break;
    case SYS_inotify_add_watch:
        record_name(r, c, AT_FDCWD, a[1], 's');
        break;
    case SYS_chdir:
        record_chdir(r, c);
        break;
    case SYS_rename:
        record_rename(r, c, AT_FDCWD, a[0], AT_FDCWD, a[1]);
        break;
    case SYS_renameat:
    case SYS_renameat2:
        record_rename(r, c, (int)a[0], a[1], (int)a[2], a[3]);
        break;
    case SYS_link:
        record_name(r, c, AT_FDCWD, a[1], 'l');
        break;
    case SYS_linkat:
        record_name(r, c, (int)a[2], a[3], 'l');
        break;
    case SYS_symlink:
        record_name(r, c, AT_FDCWD, a[1], 'l');
        break;
    case SYS_symlinkat:
        record_name(r, c, (int)a[1], a[2], 'l');
        break;
    case SYS_socket:
        if (a[0] == AF_INET || a[0] == AF_INET6)
            record_string(r, "Fnet", false);
        break;
    case SYS_bind:
    case SYS_connect:
        record_address(r, c, c->nr == SYS_bind);
        break;
    default: /* chroot, mount, unshare ...: paths may mean other files from here on */
        record_string(r, "Fnamespace", false);
        break;
    }
}
