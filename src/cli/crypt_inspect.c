/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton inspect: what an encrypted file says of itself, without the key and with it. */
#include "crypt_core.h"
#include "crypto/crypto.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_RECORD 4104
#define SHOWN_MAX  100 /* damaged nodes listed; all are counted */
#define CONTINUED  "  %-14s "

struct report {
    struct crypt c;
    const char *file;
    bool json;
    int fd;
    unsigned major, minor;
    bool interrupted;                           /* the last write */
    bool longer;                                /* the host file may go on after the content */
    uint64_t host_size, hash_nodes, data_nodes; /* that the host file has room for */
    int64_t log_size;                           /* of the recovery log, or -1 */
    struct pfs *pfs;                            /* NULL without the key */
    struct pfs_damage damage[SHOWN_MAX];
    uint64_t damaged;
};

static void usage(FILE *to, const char *name)
{
    fprintf(
        to,
        "Usage: %s [-w KEY] [--json] FILE\n\n"
        "Describes an encrypted file. With the key it tells the exact size and the path that the\n"
        "file was made for, and verifies every block. Another path is said and no error.\n\n"
        "  -w, --wrap-key KEY   key file, 16 raw bytes\n"
        "  -j, --json           one JSON object\n"
        "  -h, --help           show this text\n\n"
        "Exit status: 0 nothing wrong found, 2 usage, 3 no encrypted file, wrong key or first\n"
        "block altered, 4 damaged below the first block, 5 input or output error.\n",
        name);
}

/* What everybody can see. */
static int look_outside(struct report *r)
{
    uint8_t head[PFS_NODE_SIZE] = {0};
    struct stat st;
    char log[PATH_MAX];
    int status = crypt_open_input(&r->c, r->file, &r->fd, &st);
    if (status)
        return status;
    ssize_t n = pread(r->fd, head, sizeof(head), 0);
    if (n < 0)
        return crypt_refused(&r->c, r->file, NULL, &r->fd, -errno);
    if (n == 0)
        return crypt_refused(&r->c, r->file, NULL, &r->fd, -ENODATA);
    r->longer = pfs_may_have_log(head);
    if ((st.st_size % PFS_NODE_SIZE && !r->longer) || memcmp(head, "GRAFS_PF", 8))
        return crypt_refused(&r->c, r->file, NULL, &r->fd, -EINVAL);
    r->major = head[8];
    r->minor = head[9];
    if (r->major != 1 && r->major != 2)
        return crypt_refused(&r->c, r->file, NULL, &r->fd, -EPROTONOSUPPORT);
    r->interrupted = r->major == 2 && head[58] & 1;
    r->host_size = (uint64_t)st.st_size;
    uint64_t below = r->host_size / PFS_NODE_SIZE - 1;
    r->hash_nodes = (below + PFS_GROUP_NODES - 1) / PFS_GROUP_NODES;
    r->data_nodes = below - r->hash_nodes;
    r->log_size = -1;
    if (snprintf(log, sizeof(log), "%s.gramine.recovery", r->file) < (int)sizeof(log) &&
        !stat(log, &st))
        r->log_size = st.st_size;
    return CRYPT_OK;
}

static void note_damage(void *ctx, const struct pfs_damage *d)
{
    struct report *r = ctx;
    if (r->damaged < SHOWN_MAX)
        r->damage[r->damaged] = *d;
    r->damaged++;
}

/* What the key shows: the version that everybody gets who opens the file, if it can be opened. */
static int look_inside(struct report *r)
{
    struct pfs_open_args args = {.flags = PFS_READONLY};
    struct pfs_info info;
    int rc = crypt_open_pfs(&r->c, &r->fd, &args, &r->pfs);
    if (!rc) {
        pfs_info(r->pfs, &info);
        r->interrupted |= info.recovered;
    } else if (rc == -EBADMSG) {
        args.flags = PFS_INSPECT;
        rc = crypt_open_pfs(&r->c, &r->fd, &args, &r->pfs);
    }
    if (!rc)
        rc = pfs_check(r->pfs, note_damage, r);
    return rc ? crypt_refused(&r->c, r->file, NULL, &r->fd, rc) : CRYPT_OK;
}

static void content_range(const struct report *r, uint64_t *min, uint64_t *max)
{
    *max = PFS_INLINE_SIZE + r->data_nodes * PFS_NODE_SIZE;
    *min = r->data_nodes && !r->longer ? *max - PFS_NODE_SIZE + 1 : 0;
}

static void hex(char *out, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sprintf(out + 2 * i, "%02x", p[i]);
}

/* Whether the file was made for the path by which it was named here. */
static bool path_matches(const struct report *r)
{
    char path[PFS_PATH_SIZE];
    return !pfs_normalize_path(r->file, path) && !strcmp(path, pfs_path(r->pfs));
}

static void text_damage(const struct report *r)
{
    for (uint64_t i = 0; i < r->damaged && i < SHOWN_MAX; i++) {
        const struct pfs_damage *d = &r->damage[i];
        printf(CONTINUED "node %" PRIu64 " (%s), host offset %" PRIu64 ": %s", "damaged", d->node,
               d->is_hash ? "hash" : "data", d->node * PFS_NODE_SIZE,
               d->missing ? "missing" : "altered");
        if (d->is_hash)
            printf("; %" PRIu64 " bytes of content from byte %" PRIu64 " on hang below it\n",
                   d->bytes, d->offset);
        else
            printf("; content bytes %" PRIu64 " to %" PRIu64 "\n", d->offset,
                   d->offset + d->bytes - 1);
    }
    if (r->damaged > SHOWN_MAX)
        printf(CONTINUED "%" PRIu64 " more nodes\n", "", r->damaged - SHOWN_MAX);
}

static void text_inside(const struct report *r)
{
    uint8_t tag[PFS_TAG_SIZE];
    char tag_hex[2 * PFS_TAG_SIZE + 1];
    pfs_root_tag(r->pfs, tag);
    hex(tag_hex, tag, sizeof(tag));
    printf(CONTINUED "%" PRIu64 " bytes\n", "content", pfs_size(r->pfs));
    printf(CONTINUED "%s%s\n", "made for path", pfs_path(r->pfs),
           path_matches(r) ? "" : " (not as it was named here; a mount's uri must name it so)");
    printf(CONTINUED "%s\n", "version tag", tag_hex);
    if (r->damaged)
        text_damage(r);
    else
        puts("  all nodes authenticate");
}

static void text(const struct report *r)
{
    uint64_t min, max;
    content_range(r, &min, &max);
    printf("%s: encrypted file, format version %u.%u\n", r->file, r->major, r->minor);
    printf(CONTINUED "%" PRIu64 " bytes: 1 metadata node, %" PRIu64 " hash nodes, %" PRIu64
                     " data nodes\n",
           "host file", r->host_size, r->hash_nodes, r->data_nodes);
    printf(CONTINUED "%s\n", "last write", r->interrupted ? "interrupted" : "complete");
    if (r->log_size >= 0)
        printf(CONTINUED "%" PRId64 " nodes\n", "recovery log", r->log_size / LOG_RECORD);
    if (r->pfs)
        text_inside(r);
    else
        printf(CONTINUED "%" PRIu64 " to %" PRIu64 " bytes (the key tells)\n", "content", min, max);
}

static void json_string(const char *s)
{
    putchar('"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            printf("\\%c", *s);
        else if ((unsigned char)*s < ' ')
            printf("\\u%04x", (unsigned char)*s);
        else
            putchar(*s);
    }
    putchar('"');
}

static void json_inside(const struct report *r)
{
    uint8_t tag[PFS_TAG_SIZE];
    char tag_hex[2 * PFS_TAG_SIZE + 1];
    pfs_root_tag(r->pfs, tag);
    hex(tag_hex, tag, sizeof(tag));
    printf(", \"size\": %" PRIu64 ", \"path\": ", pfs_size(r->pfs));
    json_string(pfs_path(r->pfs));
    printf(", \"path_matches\": %s", path_matches(r) ? "true" : "false");
    printf(", \"tag\": \"%s\", \"damaged\": %" PRIu64 ", \"damage\": [", tag_hex, r->damaged);
    for (uint64_t i = 0; i < r->damaged && i < SHOWN_MAX; i++) {
        const struct pfs_damage *d = &r->damage[i];
        printf("%s{\"node\": %" PRIu64 ", \"kind\": \"%s\", \"missing\": %s, \"offset\": %" PRIu64
               ", \"bytes\": %" PRIu64 "}",
               i ? ", " : "", d->node, d->is_hash ? "hash" : "data", d->missing ? "true" : "false",
               d->offset, d->bytes);
    }
    printf("]");
}

static void json(const struct report *r)
{
    uint64_t min, max;
    content_range(r, &min, &max);
    printf("{\"file\": ");
    json_string(r->file);
    printf(", \"major\": %u, \"minor\": %u, \"pending\": %s, \"host_size\": %" PRIu64
           ", \"hash_nodes\": %" PRIu64 ", \"data_nodes\": %" PRIu64 ", \"size_min\": %" PRIu64
           ", \"size_max\": %" PRIu64 ", \"recovery_log\": ",
           r->major, r->minor, r->interrupted ? "true" : "false", r->host_size, r->hash_nodes,
           r->data_nodes, min, max);
    if (r->log_size >= 0)
        printf("%" PRId64, r->log_size / LOG_RECORD);
    else
        printf("null");
    if (r->pfs)
        json_inside(r);
    puts("}");
}

static int inspect(struct report *r, const char *key)
{
    int status = key ? crypt_read_key(&r->c, key) : CRYPT_OK;
    if (!status)
        status = look_outside(r);
    if (!status && key)
        status = look_inside(r);
    if (!status) {
        (r->json ? json : text)(r);
        status = r->damaged ? CRYPT_DAMAGED : CRYPT_OK;
        if (fflush(stdout) || ferror(stdout))
            status = crypt_output_failed(&r->c, "standard output", -errno);
    }
    if (r->pfs)
        pfs_close(r->pfs);
    if (r->fd >= 0)
        close(r->fd);
    crypto_wipe(r->c.key, sizeof(r->c.key));
    return status;
}

int cmd_inspect(int argc, char **argv)
{
    static const struct option options[] = {
        {"wrap-key", required_argument, NULL, 'w'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct report r = {.c = {.name = argv[0]}, .fd = -1};
    const char *key = NULL;
    int opt;
    optind = 0;
    while ((opt = getopt_long(argc, argv, "w:jh", options, NULL)) != -1) {
        switch (opt) {
        case 'w':
            key = optarg;
            break;
        case 'j':
            r.json = true;
            break;
        case 'h':
            usage(stdout, argv[0]);
            return CRYPT_OK;
        default:
            usage(stderr, argv[0]);
            return CRYPT_USAGE;
        }
    }
    if (optind + 1 != argc)
        return crypt_fail(&r.c, CRYPT_USAGE, "name one encrypted file; try --help");
    r.file = argv[optind];
    crypto_init(0);
    return inspect(&r, key);
}
