/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "sgx/layout.h"
#include "manifest/input.h"
#include "sgx/sigstruct.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_WORDS 16
#define MAX_FILE  (1ULL << 32)

struct reader {
    const char *path;
    unsigned line;
    char *err;
    size_t err_len;
    char *words[MAX_WORDS];
    bool used[MAX_WORDS];
    size_t count;
};

static int fail(struct reader *r, int error, const char *what, const char *detail)
{
    snprintf(r->err, r->err_len, "%s:%u: %s%s%s", r->path, r->line, what, detail ? ": " : "",
             detail ? detail : "");
    return error;
}

/* The text after "name=", or NULL; marks the word as understood. */
static const char *text(struct reader *r, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 1; i < r->count; i++) {
        if (strncmp(r->words[i], name, len) == 0 && r->words[i][len] == '=') {
            r->used[i] = true;
            return r->words[i] + len + 1;
        }
    }
    return NULL;
}

static bool flag(struct reader *r, const char *name)
{
    for (size_t i = 1; i < r->count; i++) {
        if (strcmp(r->words[i], name) == 0)
            return r->used[i] = true;
    }
    return false;
}

/* Reads `name=NUMBER` up to `max`. `value` holds the default; NULL-able only by `required`. */
static int number(struct reader *r, const char *name, bool required, uint64_t max, uint64_t *value)
{
    const char *t = text(r, name);
    if (!t)
        return required ? fail(r, -EINVAL, "a value is missing", name) : 0;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(t, &end, 0);
    if (errno || end == t || *end || *t == '-' || v > max)
        return fail(r, -EINVAL, "not a number in range", t);
    *value = v;
    return 0;
}

static int no_leftovers(struct reader *r)
{
    for (size_t i = 1; i < r->count; i++) {
        if (!r->used[i])
            return fail(r, -EINVAL, "unknown word", r->words[i]);
    }
    return 0;
}

static int read_enclave(struct reader *r, struct sgx_layout *l)
{
    uint64_t frame = 1, misc = 0, debug = 0, kss = 0, flags = 0, xfrm = SGX_XFRM_LEGACY;
    uint64_t prod = 0, svn = 0;
    int e;
    if ((e = number(r, "size", true, 1ULL << 46, &l->size)) ||
        (e = number(r, "ssaframesize", false, UINT32_MAX, &frame)) ||
        (e = number(r, "miscselect", false, UINT32_MAX, &misc)) ||
        (e = number(r, "debug", false, 1, &debug)) || (e = number(r, "kss", false, 1, &kss)) ||
        (e = number(r, "flags", false, UINT64_MAX, &flags)) ||
        (e = number(r, "xfrm", false, UINT64_MAX, &xfrm)) ||
        (e = number(r, "isvprodid", false, UINT16_MAX, &prod)) ||
        (e = number(r, "isvsvn", false, UINT16_MAX, &svn)) || (e = no_leftovers(r)))
        return e;
    if (l->size < 2 * SGX_PAGE_SIZE || (l->size & (l->size - 1)))
        return fail(r, -EINVAL, "size must be a power of two, at least 0x2000", NULL);
    if (frame == 0)
        return fail(r, -EINVAL, "ssaframesize must be at least 1", NULL);
    l->ssa_frame_size = (uint32_t)frame;
    l->miscselect = (uint32_t)misc;
    l->attributes.flags =
        SGX_FLAG_MODE64BIT | (debug ? SGX_FLAG_DEBUG : 0) | (kss ? SGX_FLAG_KSS : 0) | flags;
    l->attributes.xfrm = xfrm;
    l->isv_prod_id = (uint16_t)prod;
    l->isv_svn = (uint16_t)svn;
    return 0;
}

static int read_perm(struct reader *r, uint64_t *flags)
{
    const char *perm = text(r, "perm");
    if (!perm)
        return fail(r, -EINVAL, "a value is missing", "perm");
    *flags = SGX_SECINFO_PT(SGX_PT_REG);
    for (const char *c = perm; *c; c++) {
        uint64_t bit = *c == 'r'   ? SGX_SECINFO_R
                       : *c == 'w' ? SGX_SECINFO_W
                       : *c == 'x' ? SGX_SECINFO_X
                                   : 0;
        if (!bit || (*flags & bit))
            return fail(r, -EINVAL, "permissions are made of r, w and x", perm);
        *flags |= bit;
    }
    if ((*flags & SGX_SECINFO_W) && !(*flags & SGX_SECINFO_R))
        return fail(r, -EINVAL, "a writable page must be readable", perm);
    return 0;
}

static int read_content(struct reader *r, struct sgx_layout_area *area, const char *name,
                        uint64_t skip, uint64_t length)
{
    char path[4096];
    const char *slash = strrchr(r->path, '/');
    int dir = slash && name[0] != '/' ? (int)(slash - r->path + 1) : 0;
    int n = snprintf(path, sizeof(path), "%.*s%s", dir, r->path, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return fail(r, -ENAMETOOLONG, "file name too long", name);
    FILE *file = fopen_input(path);
    struct stat st;
    if (!file || fstat(fileno(file), &st) < 0 || !S_ISREG(st.st_mode)) {
        if (file)
            fclose(file);
        return fail(r, -ENOENT, "cannot open the file", path);
    }
    uint64_t size = (uint64_t)st.st_size;
    uint64_t left = skip < size ? size - skip : 0;
    area->data_len = length && length < left ? length : left;
    area->pages = ((length ? length : left) + SGX_PAGE_SIZE - 1) / SGX_PAGE_SIZE;
    bool ok = area->data_len <= MAX_FILE && area->pages > 0;
    area->data = ok ? malloc(area->data_len ? area->data_len : 1) : NULL;
    ok = area->data && fseeko(file, (off_t)skip, SEEK_SET) == 0 &&
         fread(area->data, 1, area->data_len, file) == area->data_len;
    fclose(file);
    return ok ? 0 : fail(r, -EIO, "the file is empty, too large or unreadable", path);
}

static int read_file(struct reader *r, struct sgx_layout_area *area)
{
    uint64_t skip = 0, length = 0;
    int e;
    const char *name = text(r, "path");
    if (!name || !*name)
        return fail(r, -EINVAL, "a value is missing", "path");
    if ((e = read_perm(r, &area->flags)) || (e = number(r, "skip", false, MAX_FILE, &skip)) ||
        (e = number(r, "length", false, MAX_FILE, &length)))
        return e;
    return read_content(r, area, name, skip, length);
}

static int read_zero(struct reader *r, struct sgx_layout_area *area)
{
    int e = read_perm(r, &area->flags);
    return e ? e : number(r, "pages", true, 1ULL << 34, &area->pages);
}

static int read_tcs(struct reader *r, struct sgx_layout_area *area)
{
    uint64_t nssa = 0;
    int e;
    struct sgx_tcs *tcs = calloc(1, sizeof(*tcs));
    if (!tcs)
        return fail(r, -ENOMEM, "out of memory", NULL);
    area->data = (uint8_t *)tcs;
    area->data_len = sizeof(*tcs);
    area->pages = 1;
    area->flags = SGX_SECINFO_PT(SGX_PT_TCS);
    tcs->fslimit = tcs->gslimit = 0xfff;
    if ((e = number(r, "ossa", true, UINT64_MAX, &tcs->ossa)) ||
        (e = number(r, "nssa", true, UINT32_MAX, &nssa)) ||
        (e = number(r, "oentry", true, UINT64_MAX, &tcs->oentry)) ||
        (e = number(r, "ofsbase", false, UINT64_MAX, &tcs->ofsbase)) ||
        (e = number(r, "ogsbase", false, UINT64_MAX, &tcs->ogsbase)))
        return e;
    tcs->nssa = (uint32_t)nssa;
    return 0;
}

static int check_place(struct reader *r, const struct sgx_layout *l,
                       const struct sgx_layout_area *area)
{
    if (area->offset % SGX_PAGE_SIZE || area->pages == 0 || area->offset >= l->size ||
        area->pages > (l->size - area->offset) / SGX_PAGE_SIZE)
        return fail(r, -EINVAL, "the area is empty, unaligned or outside the enclave", NULL);
    uint64_t end = area->offset + area->pages * SGX_PAGE_SIZE;
    for (size_t i = 0; i < l->count; i++) {
        const struct sgx_layout_area *other = &l->areas[i];
        if (area->offset < other->offset + other->pages * SGX_PAGE_SIZE && other->offset < end)
            return fail(r, -EINVAL, "the area overlaps an earlier one", NULL);
    }
    return 0;
}

static int read_area(struct reader *r, struct sgx_layout *l)
{
    if (l->size == 0)
        return fail(r, -EINVAL, "the first line must be `enclave size=...`", NULL);
    struct sgx_layout_area area = {.measured = !flag(r, "unmeasured")};
    const char *kind = r->words[0];
    int e = number(r, "offset", true, UINT64_MAX, &area.offset);
    if (e == 0)
        e = strcmp(kind, "file") == 0   ? read_file(r, &area)
            : strcmp(kind, "zero") == 0 ? read_zero(r, &area)
            : strcmp(kind, "tcs") == 0  ? read_tcs(r, &area)
                                        : fail(r, -EINVAL, "unknown item", kind);
    if (e == 0)
        e = no_leftovers(r);
    if (e == 0)
        e = check_place(r, l, &area);
    if (e) {
        free(area.data);
        return e;
    }
    return sgx_layout_add(l, &area) ? fail(r, -ENOMEM, "out of memory", NULL) : 0;
}

static int read_line(struct reader *r, struct sgx_layout *l, char *line)
{
    char *save = NULL;
    line[strcspn(line, "#\n")] = '\0';
    r->count = 0;
    memset(r->used, 0, sizeof(r->used));
    for (char *w = strtok_r(line, " \t\r", &save); w; w = strtok_r(NULL, " \t\r", &save)) {
        if (r->count == MAX_WORDS)
            return fail(r, -EINVAL, "too many words", w);
        r->words[r->count++] = w;
    }
    if (r->count == 0)
        return 0;
    if (strcmp(r->words[0], "enclave") != 0)
        return read_area(r, l);
    if (l->size)
        return fail(r, -EINVAL, "a second `enclave` line", NULL);
    return read_enclave(r, l);
}

int sgx_layout_read(const char *path, struct sgx_layout *layout, char *err, size_t err_len)
{
    struct reader r = {.path = path, .err = err, .err_len = err_len};
    char *line = NULL;
    size_t cap = 0;
    int e = 0;
    *layout = (struct sgx_layout){0};
    FILE *file = fopen_input(path);
    if (!file)
        return fail(&r, -errno, "cannot open the layout", strerror(errno));
    struct stat st;
    if (fstat(fileno(file), &st) < 0 || S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
        fclose(file); /* a line of it may have no end */
        return fail(&r, -EINVAL, "cannot open the layout", "it is a device");
    }
    for (r.line = 1; e == 0 && getline(&line, &cap, file) >= 0; r.line++)
        e = read_line(&r, layout, line);
    if (e == 0 && ferror(file))
        e = fail(&r, -EIO, "cannot read the layout", NULL);
    if (e == 0 && layout->count == 0)
        e = fail(&r, -EINVAL, "the layout describes no pages", NULL);
    free(line);
    fclose(file);
    if (e)
        sgx_layout_free(layout);
    return e;
}

int sgx_layout_add(struct sgx_layout *layout, const struct sgx_layout_area *area)
{
    if (layout->count == layout->room) {
        size_t room = layout->room ? 2 * layout->room : 32;
        struct sgx_layout_area *areas = reallocarray(layout->areas, room, sizeof(*areas));
        if (!areas) {
            free(area->data);
            return -ENOMEM;
        }
        layout->areas = areas;
        layout->room = room;
    }
    layout->areas[layout->count++] = *area;
    return 0;
}

void sgx_layout_free(struct sgx_layout *layout)
{
    for (size_t i = 0; i < layout->count; i++)
        free(layout->areas[i].data);
    free(layout->areas);
    layout->areas = NULL;
    layout->count = layout->room = 0;
}

void sgx_layout_page(const struct sgx_layout_area *area, uint64_t index,
                     uint8_t page[SGX_PAGE_SIZE])
{
    uint64_t at = index * SGX_PAGE_SIZE;
    size_t have = at < area->data_len ? area->data_len - at : 0;
    if (have > SGX_PAGE_SIZE)
        have = SGX_PAGE_SIZE;
    if (have)
        memcpy(page, area->data + at, have);
    memset(page + have, 0, SGX_PAGE_SIZE - have);
}

void sgx_layout_measure(const struct sgx_layout *layout, uint8_t mrenclave[32])
{
    crypto_init(0); /* the fastest hash that this machine has */
    struct sgx_measure m;
    uint8_t page[SGX_PAGE_SIZE];
    sgx_measure_create(&m, layout->ssa_frame_size, layout->size);
    for (size_t i = 0; i < layout->count; i++) {
        const struct sgx_layout_area *area = &layout->areas[i];
        struct sgx_secinfo secinfo = {.flags = area->flags};
        for (uint64_t p = 0; p < area->pages; p++) {
            uint64_t offset = area->offset + p * SGX_PAGE_SIZE;
            if (area->measured) {
                sgx_layout_page(area, p, page);
                sgx_measure_page(&m, offset, area->flags, page);
            } else {
                sgx_measure_add(&m, offset, &secinfo);
            }
        }
    }
    sgx_measure_digest(&m, mrenclave);
}

void sgx_layout_sigstruct(const struct sgx_layout *layout, struct sgx_sigstruct *sig)
{
    sgx_sigstruct_init(sig);
    sig->miscselect = layout->miscselect;
    sig->miscmask = UINT32_MAX;
    sig->attributes = layout->attributes;
    sig->attribute_mask = (struct sgx_attributes){.flags = UINT64_MAX, .xfrm = UINT64_MAX};
    sig->isv_prod_id = layout->isv_prod_id;
    sig->isv_svn = layout->isv_svn;
    sgx_layout_measure(layout, sig->enclave_hash);
}
