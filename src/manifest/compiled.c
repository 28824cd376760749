/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Opening and checking a compiled manifest, and the look-ups by path. */
#include "manifest/compiled.h"

#include <asm/errno.h>

static bool bytes_equal(const void *a, const void *b, size_t len)
{
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < len; i++)
        if (x[i] != y[i])
            return false;
    return true;
}

static uint64_t load64(const char *p)
{
    uint64_t v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

/* Order of paths: by bytes, then by length. */
static int path_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t min = a_len < b_len ? a_len : b_len, i = 0;
    while (i + 8 <= min && load64(a + i) == load64(b + i))
        i += 8;
    for (; i < min; i++)
        if (a[i] != b[i])
            return (uint8_t)a[i] < (uint8_t)b[i] ? -1 : 1;
    return a_len < b_len ? -1 : a_len > b_len;
}

static bool has_nul(const char *p, size_t len)
{
    const uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t v = load64(p + i);
        if ((v - ones) & ~v & highs)
            return true;
    }
    for (; i < len; i++)
        if (!p[i])
            return true;
    return false;
}

static bool absent(struct mf_str s)
{
    return !s.off && !s.len;
}

/* An absent string is fine unless `required`. */
static bool string_ok(const struct mf *m, struct mf_str s, bool required)
{
    if (!s.off)
        return !required && absent(s);
    uint64_t end = (uint64_t)s.off + s.len;
    if (s.off < sizeof(struct mf_image) || end >= m->image->total_size)
        return false;
    const char *p = (const char *)m->base + s.off;
    return !p[s.len] && !has_nul(p, s.len);
}

/* A normalised path that the library OS may hand on: present, not empty, not too long. */
static bool path_ok(const struct mf *m, struct mf_str s, bool absolute)
{
    if (!string_ok(m, s, true) || !s.len || s.len >= MF_PATH_MAX)
        return false;
    return !absolute || m->base[s.off] == '/';
}

static bool list_ok(const struct mf *m, struct mf_list l, size_t record)
{
    if (l.off % 8 || l.off < sizeof(struct mf_image))
        return false;
    return (uint64_t)l.off + (uint64_t)l.count * record <= m->image->total_size;
}

static bool argv_ok(const struct mf *m)
{
    const struct mf_image *im = m->image;
    for (uint32_t i = 0; i < im->argv.count; i++)
        if (!string_ok(m, mf_argv(m)[i], true))
            return false;
    switch (im->argv_mode) {
    case MF_ARGV_LIST:
        return im->argv.count > 0 && absent(im->argv_src);
    case MF_ARGV_SRC_FILE:
        return im->argv.count == 0 && path_ok(m, im->argv_src, false);
    case MF_ARGV_NONE:
    case MF_ARGV_CMDLINE:
        return im->argv.count == 1 && absent(im->argv_src);
    default:
        return false;
    }
}

static bool env_ok(const struct mf *m)
{
    const struct mf_image *im = m->image;
    for (uint32_t i = 0; i < im->env.count; i++) {
        const struct mf_env *e = &mf_envs(m)[i];
        if (!string_ok(m, e->name, true) || !e->name.len || e->passthrough > 1 || e->reserved)
            return false;
        if (!string_ok(m, e->value, !e->passthrough) || (e->passthrough && !absent(e->value)))
            return false;
    }
    switch (im->env_mode) {
    case MF_ENV_SRC_FILE:
        return path_ok(m, im->env_src, false);
    case MF_ENV_NONE:
    case MF_ENV_HOST:
        return absent(im->env_src);
    default:
        return false;
    }
}

static bool mount_ok(const struct mf *m, const struct mf_mount *mt)
{
    if (!path_ok(m, mt->path, true) || mt->recovery > 1 || mt->reserved)
        return false;
    if (!string_ok(m, mt->key_name, mt->type == MF_MOUNT_ENCRYPTED))
        return false;
    bool file = mt->scheme == MF_SCHEME_FILE, dev = mt->scheme == MF_SCHEME_DEV;
    switch (mt->type) {
    case MF_MOUNT_CHROOT:
        return (file || dev) && absent(mt->key_name) && path_ok(m, mt->host, false);
    case MF_MOUNT_ENCRYPTED:
        return file && mt->key_name.len && path_ok(m, mt->host, false);
    case MF_MOUNT_TMPFS:
        return mt->scheme == MF_SCHEME_NONE && absent(mt->host) && absent(mt->key_name);
    case MF_MOUNT_UNTRUSTED_SHM:
        return dev && absent(mt->key_name) && path_ok(m, mt->host, false);
    default:
        return false;
    }
}

static bool mounts_ok(const struct mf *m)
{
    if (!mount_ok(m, &m->image->root) || m->image->root.path.len != 1)
        return false;
    for (uint32_t i = 0; i < m->image->mounts.count; i++)
        if (!mount_ok(m, &mf_mounts(m)[i]) || mf_mounts(m)[i].path.len == 1)
            return false;
    for (uint32_t i = 0; i < m->image->keys.count; i++)
        if (!string_ok(m, mf_keys(m)[i].name, true) || !mf_keys(m)[i].name.len)
            return false;
    return true;
}

static bool ascending(const struct mf *m, struct mf_str a, struct mf_str b)
{
    const char *base = (const char *)m->base;
    return path_compare(base + a.off, a.len, base + b.off, b.len) < 0;
}

static bool files_ok(const struct mf *m)
{
    const struct mf_trusted *t = mf_trusted_files(m);
    for (uint32_t i = 0; i < m->image->trusted.count; i++) {
        if (!path_ok(m, t[i].path, false) || (t[i].flags & ~(MF_TRUSTED_SHA256 | MF_TRUSTED_TREE)))
            return false;
        if (!(t[i].flags & MF_TRUSTED_SHA256) || t[i].reserved)
            return false;
        if ((t[i].flags & MF_TRUSTED_TREE) && t[i].size > INT64_MAX)
            return false;
        if (i && !ascending(m, t[i - 1].path, t[i].path))
            return false;
    }
    const struct mf_allowed *a = mf_allowed_files(m);
    for (uint32_t i = 0; i < m->image->allowed.count; i++)
        if (!path_ok(m, a[i].path, false) || (i && !ascending(m, a[i - 1].path, a[i].path)))
            return false;
    return true;
}

static bool ioctl_value_ok(const struct mf *m, const struct mf_ioctl_value *v)
{
    return string_ok(m, v->field, false);
}

static bool ioctls_ok(const struct mf *m)
{
    const struct mf_image *im = m->image;
    for (uint32_t i = 0; i < im->mocks.count; i++)
        if (!string_ok(m, mf_mocks(m)[i].name, true))
            return false;
    for (uint32_t i = 0; i < im->ioctls.count; i++) {
        uint32_t layout = mf_ioctls(m)[i].layout;
        if (mf_ioctls(m)[i].reserved || (layout != UINT32_MAX && layout >= im->ioctl_structs.count))
            return false;
    }
    for (uint32_t i = 0; i < im->ioctl_structs.count; i++) {
        const struct mf_ioctl_struct *s = &mf_ioctl_structs(m)[i];
        if (!string_ok(m, s->name, false) || (uint64_t)s->first + s->count > im->ioctl_fields.count)
            return false;
    }
    for (uint32_t i = 0; i < im->ioctl_fields.count; i++) {
        const struct mf_ioctl_field *f = &mf_ioctl_fields(m)[i];
        if (!string_ok(m, f->name, false) || !ioctl_value_ok(m, &f->size) ||
            !ioctl_value_ok(m, &f->array_len) || !ioctl_value_ok(m, &f->if_left) ||
            !ioctl_value_ok(m, &f->if_right))
            return false;
        if (f->alignment != MF_UNSET && (!f->alignment || f->alignment & (f->alignment - 1)))
            return false;
        if (f->direction > MF_DIR_INOUT || f->if_equal > 1 || f->reserved)
            return false;
        if (f->ptr != UINT32_MAX && f->ptr >= im->ioctl_structs.count)
            return false;
    }
    return true;
}

static bool lists_ok(const struct mf *m)
{
    const struct mf_image *im = m->image;
    return list_ok(m, im->argv, sizeof(struct mf_str)) &&
           list_ok(m, im->env, sizeof(struct mf_env)) &&
           list_ok(m, im->mounts, sizeof(struct mf_mount)) &&
           list_ok(m, im->keys, sizeof(struct mf_key)) &&
           list_ok(m, im->trusted, sizeof(struct mf_trusted)) &&
           list_ok(m, im->allowed, sizeof(struct mf_allowed)) &&
           list_ok(m, im->mocks, sizeof(struct mf_mock)) &&
           list_ok(m, im->ioctls, sizeof(struct mf_ioctl)) &&
           list_ok(m, im->ioctl_structs, sizeof(struct mf_ioctl_struct)) &&
           list_ok(m, im->ioctl_fields, sizeof(struct mf_ioctl_field));
}

static bool within(uint64_t value, uint64_t least, uint64_t most, uint64_t otherwise)
{
    return value == otherwise || (value >= least && value <= most);
}

static bool values_ok(const struct mf *m)
{
    const struct mf_image *im = m->image;
#define WITHIN(key, field, kind, least, most, otherwise, names) \
    if (!within(im->field, least, most, otherwise))             \
        return false;
    MF_VALUES(WITHIN)
#undef WITHIN
    return path_ok(m, im->entrypoint, false) && path_ok(m, im->start_dir, true) &&
           string_ok(m, im->log_file, false);
}

int mf_open(struct mf *m, const void *base, size_t len)
{
    const struct mf_image *im = base;
    if ((uintptr_t)base % 8)
        return -EINVAL;
    if (len < 16 || !bytes_equal(im->magic, MF_MAGIC, 8))
        return -EINVAL;
    if (im->format != mf_format)
        return -EPROTO;
    if (len < sizeof(*im) || len > MF_MAX_SIZE || im->total_size != len)
        return -EBADMSG;
    struct mf probe = {.base = base, .image = im};
    if (!lists_ok(&probe) || !values_ok(&probe) || !argv_ok(&probe) || !env_ok(&probe) ||
        !mounts_ok(&probe) || !files_ok(&probe) || !ioctls_ok(&probe))
        return -EBADMSG;
    *m = probe;
    return 0;
}

static uint64_t mix(uint64_t h, const char *p, size_t len)
{
    for (; len >= 8; p += 8, len -= 8) {
        h = (h ^ load64(p)) * 0x9e3779b97f4a7c15;
        h ^= h >> 32;
    }
    for (; len; p++, len--)
        h = (h ^ (uint8_t)*p) * 0x9e3779b97f4a7c15;
    return h;
}

uint64_t mf_checksum(const void *block, size_t len)
{
    size_t at = offsetof(struct mf_image, checksum), after = at + sizeof(uint64_t);
    return mix(mix(len, block, at), (const char *)block + after, len - after);
}

bool mf_trusted_find(const struct mf *m, const char *path, size_t len,
                     const struct mf_trusted **entry)
{
    const struct mf_trusted *t = mf_trusted_files(m);
    size_t lo = 0, hi = m->image->trusted.count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = path_compare(path, len, mf_string(m, t[mid].path), t[mid].path.len);
        if (!c) {
            *entry = &t[mid];
            return true;
        }
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return false;
}

/* Is `path` longer than `dir` and below it? Sets *c to its order to what is below. */
static bool is_below(const char *path, size_t n, const char *dir, size_t len, int *c)
{
    *c = path_compare(path, n < len ? n : len, dir, len);
    if (!*c)
        *c = n <= len ? -1 : (path[len] > '/') - (path[len] < '/');
    return !*c;
}

bool mf_trusted_below(const struct mf *m, const char *dir, size_t len)
{
    const struct mf_trusted *t = mf_trusted_files(m);
    size_t lo = 0, hi = m->image->trusted.count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c;
        if (is_below(mf_string(m, t[mid].path), t[mid].path.len, dir, len, &c))
            return true;
        if (c > 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return false;
}

bool mf_allowed_below(const struct mf *m, const char *dir, size_t len)
{
    const struct mf_allowed *a = mf_allowed_files(m);
    int c;
    for (size_t i = 0; i < m->image->allowed.count; i++)
        if (is_below(mf_string(m, a[i].path), a[i].path.len, dir, len, &c))
            return true;
    return false;
}

bool mf_allowed_named(const struct mf *m, const char *path, size_t len)
{
    const struct mf_allowed *a = mf_allowed_files(m);
    size_t lo = 0, hi = m->image->allowed.count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = path_compare(path, len, mf_string(m, a[mid].path), a[mid].path.len);
        if (!c)
            return true;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return false;
}

/* Whether the path begins with a ".." component; a normalised one has them nowhere else. */
static bool climbs(const char *path, size_t len)
{
    return len >= 2 && path[0] == '.' && path[1] == '.' && (len == 2 || path[2] == '/');
}

static bool covered_by_all(const struct mf *m, const char *path, size_t len)
{
    return path[0] == '/' ? mf_allowed_named(m, "/", 1)
                          : !climbs(path, len) && mf_allowed_named(m, ".", 1);
}

static size_t named_part(const struct mf *m, const char *path, size_t len)
{
    for (size_t i = 1; i < len; i++)
        if (path[i] == '/' && !climbs(path + i + 1, len - i - 1) && mf_allowed_named(m, path, i))
            return i;
    return 0;
}

size_t mf_allowed_folder(const struct mf *m, const char *path, size_t len)
{
    bool none = !m->image->allowed.count || !len || covered_by_all(m, path, len);
    return none ? 0 : named_part(m, path, len);
}

bool mf_allowed(const struct mf *m, const char *path, size_t len)
{
    if (!m->image->allowed.count || !len)
        return false;
    if (mf_allowed_named(m, path, len))
        return true;
    return covered_by_all(m, path, len) || named_part(m, path, len);
}

/* Drops the last component of the `n` bytes in `out`, unless it is a ".." that must stay. */
static bool drop_last(const char *out, size_t *n, size_t root)
{
    size_t start = *n;
    while (start > root && out[start - 1] != '/')
        start--;
    if (*n == root || climbs(out + start, *n - start))
        return false;
    *n = start > root ? start - 1 : root;
    return true;
}

long mf_path_normalise(const char *path, size_t len, char *out, size_t cap)
{
    if (!len || has_nul(path, len))
        return -EINVAL;
    if (cap < 2)
        return -ENAMETOOLONG;
    size_t root = path[0] == '/', n = root, i = 0;
    if (root)
        out[0] = '/';
    while (i < len) {
        while (i < len && path[i] == '/')
            i++;
        size_t start = i;
        while (i < len && path[i] != '/')
            i++;
        size_t part = i - start;
        if (!part || (part == 1 && path[start] == '.'))
            continue;
        if (part == 2 && climbs(path + start, 2) && (drop_last(out, &n, root) || root))
            continue;
        size_t sep = n > root;
        if (n + sep + part >= cap)
            return -ENAMETOOLONG;
        if (sep)
            out[n++] = '/';
        __builtin_memmove(out + n, path + start, part);
        n += part;
    }
    if (!n)
        out[n++] = '.';
    out[n] = '\0';
    return (long)n;
}
