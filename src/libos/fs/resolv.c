/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * /etc/resolv.conf with sys.enable_extra_runtime_domain_names_conf: made of what the host's says
 * and is known to be harmless (resolv.conf(5)): up to three name servers, six domains to search,
 * four options. Everything else is dropped; what cannot be an address stops the start.
 */
#include "libos/fs/resolv.h"
#include "libos/fs/pseudo.h"
#include "libos/lib/errors.h"
#include "libos/log.h"
#include "libos/proc/info.h"
#include "libos/process.h"
#include <linux/magic.h>

#define HOST_FILE      "/etc/resolv.conf"
#define MOST_SERVERS   3
#define MOST_DOMAINS   6
#define MOST_NAME      253
#define MOST_LABEL     63
#define MOST_HOST_NAME 63

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Labels of letters, digits and inner hyphens (RFC 1123, 2.1). */
static bool is_domain_name(const char *s, size_t n)
{
    size_t label = 0;
    if (!n || n > MOST_NAME)
        return false;
    for (size_t i = 0; i < n; i++) {
        bool edge = label == 0 || i + 1 == n || s[i + 1] == '.';
        if (s[i] == '.') {
            if (!label)
                return false;
            label = 0;
            continue;
        }
        if (!is_letter(s[i]) && !is_digit(s[i]) && (s[i] != '-' || edge))
            return false;
        if (++label > MOST_LABEL)
            return false;
    }
    return true;
}

static bool is_ipv4(const char *s, size_t n)
{
    int parts = 0;
    for (size_t i = 0; i < n; parts++) {
        unsigned value = 0, digits = 0;
        for (; i < n && is_digit(s[i]) && digits < 4; i++, digits++)
            value = value * 10 + (unsigned)(s[i] - '0');
        if (!digits || value > 255 || parts == 4 || (i < n && (s[i] != '.' || i + 1 == n)))
            return false;
        i++;
    }
    return parts == 4;
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* RFC 4291, 2.2: eight groups, one run of them as "::", the last two perhaps as IPv4. */
static bool is_ipv6(const char *s, size_t n)
{
    int groups = 0;
    bool gap = false;
    size_t i = 0;
    if (n >= 2 && s[0] == ':' && s[1] == ':') {
        gap = true;
        i = 2;
    }
    while (i < n) {
        size_t digits = 0;
        while (i + digits < n && is_hex(s[i + digits]))
            digits++;
        if (i + digits < n && s[i + digits] == '.') {
            groups += 2;
            return is_ipv4(s + i, n - i) && (gap ? groups < 8 : groups == 8);
        }
        if (!digits || digits > 4)
            return false;
        groups++;
        i += digits;
        if (i == n)
            break;
        if (s[i] != ':' || ++i == n)
            return false;
        if (s[i] == ':') {
            if (gap)
                return false;
            gap = true;
            i++;
        }
    }
    return gap ? groups < 8 : groups == 8;
}

struct words {
    const char *at, *end; /* of the line */
};

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static size_t next_word(struct words *w, const char **word)
{
    while (w->at < w->end && blank(*w->at))
        w->at++;
    *word = w->at;
    while (w->at < w->end && !blank(*w->at))
        w->at++;
    return (size_t)(w->at - *word);
}

static bool equals(const char *word, size_t n, const char *text)
{
    return strlen(text) == n && memcmp(word, text, n) == 0;
}

static int take_server(struct words *w, struct text *out, int *servers)
{
    const char *word;
    size_t n = next_word(w, &word);
    if (!is_ipv4(word, n) && !is_ipv6(word, n)) {
        log_error("the host's " HOST_FILE " has a 'nameserver' that is no address; correct it, or "
                  "set sys.enable_extra_runtime_domain_names_conf = false");
        return -EINVAL;
    }
    if ((*servers)++ < MOST_SERVERS)
        text_add(out, "nameserver %.*s\n", (int)n, word);
    return 0;
}

static void take_domains(struct words *w, struct text *search)
{
    const char *word;
    text_free(search); /* the last line counts */
    *search = (struct text){0};
    for (int taken = 0; taken < MOST_DOMAINS;) {
        size_t n = next_word(w, &word);
        if (!n)
            return;
        if (!is_domain_name(word, n))
            continue;
        text_add(search, " %.*s", (int)n, word);
        taken++;
    }
}

static void take_options(struct words *w, struct text *options)
{
    static const char *const known[] = {"edns0", "inet6", "rotate", "use-vc"};
    const char *word;
    for (size_t n; (n = next_word(w, &word));)
        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
            if (equals(word, n, known[i]) && options->len < 256)
                text_add(options, " %s", known[i]);
}

int resolv_sanitise(const char *host, size_t len, struct text *out)
{
    struct text search = {0}, options = {0};
    int servers = 0, err = 0;
    for (const char *at = host, *end = host + len; !err && at < end;) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at)), *word;
        struct words w = {at, line_end ? line_end : end};
        size_t n = next_word(&w, &word);
        at = w.end + 1;
        if (equals(word, n, "nameserver"))
            err = take_server(&w, out, &servers);
        else if (equals(word, n, "search"))
            take_domains(&w, &search);
        else if (equals(word, n, "options"))
            take_options(&w, &options);
    }
    if (search.len)
        text_add(out, "search%.*s\n", (int)search.len, search.data);
    if (options.len)
        text_add(out, "options%.*s\n", (int)options.len, options.data);
    if (!err && (search.failed || options.failed || out->failed))
        err = -ENOMEM;
    text_free(&search);
    text_free(&options);
    return err;
}

/* Made at start, before there is a second thread; never changed. */
static struct text resolv_text;

static int fill_resolv(const struct pseudo_ref *r, struct text *t)
{
    (void)r;
    text_add_bytes(t, resolv_text.data, resolv_text.len);
    return 0;
}

static const struct pseudo_node resolv_root = {.name = "", .mode = 0100444, .fill = fill_resolv};

PSEUDO_FS(fs_resolv, "resolv", &resolv_root, TMPFS_MAGIC);

int resolv_setup(void)
{
    struct new_utsname name;
    struct text host = {0};
    system_name(&name);
    size_t n = strnlen(name.nodename, sizeof(name.nodename));
    if (n > MOST_HOST_NAME || !is_domain_name(name.nodename, n)) {
        log_error("the host's name is no host name (RFC 1123); change it, or set "
                  "sys.enable_extra_runtime_domain_names_conf = false");
        return -EINVAL;
    }
    int err = text_add_host(&host, HOST_FILE);
    if (err)
        log_error("cannot read the host's " HOST_FILE ": %s; create it, or set "
                  "sys.enable_extra_runtime_domain_names_conf = false",
                  ERROR_TEXT(err));
    else
        err = resolv_sanitise(host.data, host.len, &resolv_text);
    text_free(&host);
    return err;
}
