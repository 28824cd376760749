/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What quotes and their verification need: AESM, collateral, a clock. */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "attest/fetch.h"
#include "cli/doctor.h"
#include "cli/sgx_emu.h"
#include "sgxemu/quoting/quoting.h"

#define QCNL_FILE "/etc/sgx_default_qcnl.conf"
#define SKEW      300         /* seconds that clocks may be apart */
#define LONG_AGO  1764547200  /* 2025-12-01: a clock before that is wrong */
#define SOON      (3 * 86400) /* collateral that expires within is worth a word */
#define ABSTRACT  "sgx_aesm_socket_base"
#define AESM_FILE "/var/run/aesmd/aesm.socket"

/* ---- quotes --------------------------------------------------------------------------------- */

static bool reaches(const char *name, bool abstract)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(a.sun_path + abstract, name, strlen(name));
    bool ok = fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof(a));
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return ok;
}

static void test_platform(struct doctor *d)
{
    char fuses[PATH_MAX], dir[PATH_MAX];
    struct quoting_error e;
    struct test_platform *p;
    struct stat st;
    if (!sgxemu_fuses("adyton doctor", d->fuses, fuses) ||
        !sgxemu_platform_dir("adyton doctor", d->platform, fuses, dir))
        return;
    if (stat(dir, &st) && errno == ENOENT) {
        doctor_say(d, STATE_NOTE, "test platform",
                   "adyton sgxemu setup makes it, for quotes of the software device",
                   "there is none in %s", dir);
    } else if (test_platform_open(dir, fuses, false, &p, &e)) {
        doctor_say(d, STATE_NOTE, "test platform", "see there", "%s", e.text);
    } else {
        doctor_say(d, STATE_OK, "test platform", NULL, "%s", dir);
        test_platform_close(p);
    }
}

void doctor_quotes(struct doctor *d)
{
    int fd = open("/dev/sgx_provision", O_RDWR | O_CLOEXEC);
    doctor_say(d, fd >= 0 ? STATE_OK : STATE_NOTE, "/dev/sgx_provision",
               "AESM's user must be in the group sgx_prv that owns it; programs need it not",
               fd >= 0 ? "can be opened" : "%s", strerror(errno));
    if (fd >= 0)
        close(fd);
    bool by_name = reaches(ABSTRACT, true), ok = by_name || reaches(AESM_FILE, false);
    if (ok)
        doctor_say(d, STATE_OK, "aesm", NULL, "answers on %s", by_name ? "@" ABSTRACT : AESM_FILE);
    else
        doctor_say(
            d, STATE_MISSING, "aesm",
            "install sgx-aesm-service and libsgx-aesm-quote-ex-plugin, start aesmd, and in a "
            "container mount /var/run/aesmd; on the software device: adyton sgxemu --quoting",
            "nobody answers on @" ABSTRACT " or " AESM_FILE " (%s)", strerror(errno));
    test_platform(d);
}

/* ---- collateral ----------------------------------------------------------------------------- */

/* When a document ends; false: it cannot be told. */
static bool crl_end(const uint8_t *data, size_t size, int64_t *end)
{
    struct x509_crl crl;
    uint8_t *der = NULL;
    bool ok = x509_crl_parse(data, size, &crl);
    if (!ok && size && size % 2 == 0 && (der = malloc(size)) != NULL) {
        ok = hex_decode((const char *)data, size, der, size / 2) &&
             x509_crl_parse(der, size / 2, &crl);
    }
    if (ok)
        *end = crl.next_update;
    free(der);
    return ok;
}

static bool json_end(const uint8_t *data, size_t size, const char *member, int64_t *end)
{
    json_t *root = json_loadb((const char *)data, size, 0, NULL);
    bool ok = json_time(json_object_get(root, member), "nextUpdate", end);
    json_decref(root);
    return ok;
}

static void say_end(struct doctor *d, const char *item, bool known, int64_t end, const char *remedy)
{
    const int64_t now = time(NULL);
    char text[32] = "";
    time_t t = (time_t)end;
    struct tm tm;
    if (!known || !gmtime_r(&t, &tm) || !strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &tm))
        doctor_say(d, STATE_MISSING, item, remedy, "cannot be read");
    else
        doctor_say(d,
                   end < now          ? STATE_MISSING
                   : end < now + SOON ? STATE_NOTE
                                      : STATE_OK,
                   item, remedy, end < now ? "expired %s" : "valid until %s", text);
}

static void directory(struct doctor *d)
{
    static const char renew[] =
        "fetch it again from a PCCS; for the test platform run adyton sgxemu "
        "setup again";
    static const struct {
        int item;
        const char *name, *member;
    } items[] = {
        {ADYTON_COLLATERAL_ROOT_CRL, "root CRL", NULL},
        {ADYTON_COLLATERAL_PCK_CRL, "PCK CRL", NULL},
        {ADYTON_COLLATERAL_TCB_INFO, "TCB info", "tcbInfo"},
        {ADYTON_COLLATERAL_QE_IDENTITY, "QE identity", "enclaveIdentity"},
    };
    struct adyton_attest_error e;
    adyton_collateral *c = adyton_collateral_new();
    if (!c || adyton_collateral_load_directory(c, d->collateral, &e)) {
        doctor_say(d, STATE_MISSING, "collateral", "name another directory with --collateral", "%s",
                   c ? e.text : "memory is out");
        adyton_collateral_free(c);
        return;
    }
    for (size_t i = 0; i < sizeof(items) / sizeof(*items); i++) {
        struct adyton_bytes b = adyton_collateral_get(c, items[i].item);
        int64_t end = 0;
        if (!b.size) {
            doctor_say(d, STATE_MISSING, items[i].name, renew, "not in %s", d->collateral);
            continue;
        }
        bool known = items[i].member ? json_end(b.data, b.size, items[i].member, &end)
                                     : crl_end(b.data, b.size, &end);
        say_end(d, items[i].name, known, end, renew);
    }
    adyton_collateral_free(c);
}

/* ---- a PCCS --------------------------------------------------------------------------------- */

static int configure(struct doctor *d, adyton_attest *verifier, struct adyton_attest_error *e)
{
    struct adyton_fetch_options o = {.struct_size = sizeof(o), .cache_dir = "", .timeout_ms = 5000};
    o.url = d->pccs ? d->pccs : getenv("ADYTON_PCCS_URL");
    if (o.url && *o.url)
        return adyton_attest_set_fetch(verifier, &o, e);
    return access(QCNL_FILE, R_OK) ? 0 : adyton_attest_set_fetch_from_qcnl(verifier, QCNL_FILE, e);
}

static void compare_clocks(struct doctor *d, const char *date)
{
    const int64_t theirs = date ? curl_getdate(date, NULL) : -1, ours = time(NULL);
    if (theirs < 0)
        return;
    bool apart = ours - theirs > SKEW || theirs - ours > SKEW;
    doctor_say(d, apart ? STATE_MISSING : STATE_OK, "clock and server",
               "one of both clocks is wrong: synchronise this one (systemctl enable --now "
               "systemd-timesyncd)",
               "this clock is %lld s %s the server's",
               (long long)(ours > theirs ? ours - theirs : theirs - ours),
               ours < theirs ? "behind" : "ahead of");
}

static void server(struct doctor *d)
{
    static const char *const date[2] = {"Date", NULL};
    struct adyton_attest_error e = {0};
    struct answer crl = {0}, identity = {0};
    adyton_attest *verifier = adyton_attest_new();
    char url[2048];
    int64_t end = 0;
    if (!verifier || configure(d, verifier, &e)) {
        doctor_say(d, STATE_MISSING, "pccs", "correct the address", "%s", e.text);
    } else if (!verifier->fetcher) {
        doctor_say(d, d->collateral ? STATE_NOTE : STATE_MISSING, "pccs",
                   "name one with --pccs URL, $ADYTON_PCCS_URL or " QCNL_FILE
                   ", or collateral on disk with --collateral",
                   "none is configured");
    } else if (http_get(verifier->fetcher, verifier->fetcher->root_crl_url, date, &crl, &e)) {
        doctor_say(d, STATE_MISSING, "pccs", "start it, or correct address, proxy or certificate",
                   "%s", e.text);
    } else {
        struct fetcher *f = verifier->fetcher;
        doctor_say(d, STATE_OK, "pccs", NULL, "%s answers", f->root);
        compare_clocks(d, crl.chain);
        bool known = crl_end(crl.body, crl.size, &end);
        say_end(d, "root CRL of the pccs", known, end, "let the PCCS refresh its cache");
        snprintf(url, sizeof(url), "%s/sgx/certification/v%u/qe/identity", f->root, f->version);
        known = !http_get(f, url, date, &identity, &e) &&
                json_end(identity.body, identity.size, "enclaveIdentity", &end);
        say_end(d, "QE identity of the pccs", known, end, "let the PCCS refresh its cache");
    }
    answer_free(&crl);
    answer_free(&identity);
    adyton_attest_free(verifier);
}

static void clock_of_this_machine(struct doctor *d)
{
    struct timex t = {0};
    if (time(NULL) < LONG_AGO) {
        doctor_say(d, STATE_MISSING, "clock", "set it: date -s, or an NTP client",
                   "it shows a time long past");
        return;
    }
    int state = adjtimex(&t);
    bool synchronised = state >= 0 && state != TIME_ERROR && !(t.status & STA_UNSYNC);
    doctor_say(d, synchronised ? STATE_OK : STATE_NOTE, "clock",
               "systemctl enable --now systemd-timesyncd, or another NTP client: expiry is judged "
               "by this clock",
               synchronised ? "synchronised"
                            : "nothing synchronises it, as far as the kernel knows");
}

void doctor_verify(struct doctor *d)
{
    clock_of_this_machine(d);
    server(d);
    if (d->collateral)
        directory(d);
}
