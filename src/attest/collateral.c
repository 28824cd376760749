/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "attest/collateral.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

adyton_collateral *adyton_collateral_new(void)
{
    return calloc(1, sizeof(adyton_collateral));
}

void adyton_collateral_free(adyton_collateral *collateral)
{
    if (!collateral)
        return;
    for (unsigned i = 0; i < ADYTON_COLLATERAL_ITEMS; i++)
        free((void *)collateral->items[i].data);
    free(collateral);
}

int adyton_collateral_set(adyton_collateral *collateral, int item, const void *data, size_t size,
                          struct adyton_attest_error *error)
{
    uint8_t *copy = NULL;
    if (item < 0 || item >= ADYTON_COLLATERAL_ITEMS || (size && !data))
        return attest_fail(error, ADYTON_ATTEST_INVALID_ARGUMENT, "%d is no kind of collateral",
                           item);
    bool crl = item == ADYTON_COLLATERAL_ROOT_CRL || item == ADYTON_COLLATERAL_PCK_CRL;
    bool der = crl && size && *(const uint8_t *)data == 0x30;
    while (size && !der && !((const char *)data)[size - 1])
        size--;
    if (size > COLLATERAL_ITEM_MAX)
        return attest_fail(error, ADYTON_ATTEST_FILE,
                           "%zu bytes are too many for one piece of collateral", size);
    if (size) {
        copy = malloc(size);
        if (!copy)
            return attest_no_memory(error);
        memcpy(copy, data, size);
    }
    free((void *)collateral->items[item].data);
    collateral->items[item] = (struct adyton_bytes){copy, size};
    return 0;
}

struct adyton_bytes adyton_collateral_get(const adyton_collateral *collateral, int item)
{
    if (item < 0 || item >= ADYTON_COLLATERAL_ITEMS)
        return (struct adyton_bytes){NULL, 0};
    return collateral->items[item];
}

static int fill(int fd, size_t max, uint8_t **data, size_t *size)
{
    struct stat st;
    if (fstat(fd, &st))
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    size_t room = S_ISREG(st.st_mode) && st.st_size >= 0 && (size_t)st.st_size < max
                      ? (size_t)st.st_size + 1
                      : max + 1;
    uint8_t *out = malloc(room + 1);
    size_t n = 0;
    ssize_t got = out ? 1 : -1;
    while (out && n < room && (got = read(fd, out + n, room - n)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        n += (size_t)got;
    }
    int err = !out ? -ENOMEM : got < 0 ? -errno : n > max ? -EFBIG : 0;
    if (err) {
        free(out);
        return err;
    }
    out[n] = 0;
    *data = out;
    *size = n;
    return 0;
}

int file_read(const char *path, size_t max, uint8_t **data, size_t *size,
              struct adyton_attest_error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return 0;
    int err = fd < 0 ? -errno : fill(fd, max, data, size);
    if (fd >= 0)
        close(fd);
    if (!err)
        return 1;
    attest_fail(e, err == -ENOMEM ? ADYTON_ATTEST_NO_MEMORY : ADYTON_ATTEST_FILE,
                "cannot read '%s': %s", path, strerror(-err));
    return -1;
}

int adyton_collateral_load_directory(adyton_collateral *collateral, const char *path,
                                     struct adyton_attest_error *error)
{
    /* Earlier names of an item go before later ones. */
    static const struct {
        int item;
        const char *name;
    } files[] = {
        {ADYTON_COLLATERAL_PCK_CHAIN, "pck_chain.pem"},
        {ADYTON_COLLATERAL_PCK_CRL_ISSUER_CHAIN, "pck_crl_issuer_chain.pem"},
        {ADYTON_COLLATERAL_ROOT_CRL, "root_ca_crl.der"},
        {ADYTON_COLLATERAL_ROOT_CRL, "root_ca_crl.pem"},
        {ADYTON_COLLATERAL_PCK_CRL, "pck_crl.der"},
        {ADYTON_COLLATERAL_PCK_CRL, "pck_crl.pem"},
        {ADYTON_COLLATERAL_TCB_INFO, "tcb_info.json"},
        {ADYTON_COLLATERAL_TCB_INFO_CHAIN, "tcb_info_chain.pem"},
        {ADYTON_COLLATERAL_TCB_INFO_CHAIN, "tcb_signing_chain.pem"},
        {ADYTON_COLLATERAL_QE_IDENTITY, "qe_identity.json"},
        {ADYTON_COLLATERAL_QE_IDENTITY_CHAIN, "qe_identity_chain.pem"},
        {ADYTON_COLLATERAL_QE_IDENTITY_CHAIN, "tcb_signing_chain.pem"},
    };
    char name[PATH_MAX];
    struct stat st;
    if (stat(path, &st) || !S_ISDIR(st.st_mode))
        return attest_fail(error, ADYTON_ATTEST_FILE, "there is no collateral directory '%s'",
                           path);
    unsigned taken = 0;
    for (unsigned i = 0; i < COUNT(files); i++) {
        uint8_t *data = NULL;
        size_t size = 0;
        if (taken & 1u << files[i].item)
            continue;
        if (snprintf(name, sizeof(name), "%s/%s", path, files[i].name) >= (int)sizeof(name))
            return attest_fail(error, ADYTON_ATTEST_FILE, "the path '%s' is too long", path);
        int found = file_read(name, COLLATERAL_ITEM_MAX, &data, &size, error);
        if (found < 0)
            return error ? error->code : ADYTON_ATTEST_FILE;
        if (!found)
            continue;
        int err = adyton_collateral_set(collateral, files[i].item, data, size, error);
        free(data);
        if (err)
            return err;
        taken |= 1u << files[i].item;
    }
    return 0;
}

/* {"tcbInfo":<bare>,"signature":"..."} */
static int set_bare(adyton_collateral *collateral, int item, const char *member, const char *bare,
                    const char *signature, struct adyton_attest_error *error)
{
    char *text = NULL;
    int len = asprintf(&text, "{\"%s\":%s,\"signature\":\"%s\"}", member, bare, signature);
    if (len < 0)
        return attest_no_memory(error);
    int err = adyton_collateral_set(collateral, item, text, (size_t)len, error);
    free(text);
    return err;
}

static int load_members(adyton_collateral *collateral, const json_t *root,
                        struct adyton_attest_error *error)
{
    static const struct {
        int item;
        const char *name, *signature, *inner;
    } members[] = {
        {ADYTON_COLLATERAL_PCK_CHAIN, "pck_certificate_chain", NULL, NULL},
        {ADYTON_COLLATERAL_PCK_CRL_ISSUER_CHAIN, "pck_crl_issuer_chain", NULL, NULL},
        {ADYTON_COLLATERAL_ROOT_CRL, "root_ca_crl", NULL, NULL},
        {ADYTON_COLLATERAL_PCK_CRL, "pck_crl", NULL, NULL},
        {ADYTON_COLLATERAL_TCB_INFO, "tcb_info", "tcb_info_signature", "tcbInfo"},
        {ADYTON_COLLATERAL_TCB_INFO_CHAIN, "tcb_info_issuer_chain", NULL, NULL},
        {ADYTON_COLLATERAL_QE_IDENTITY, "qe_identity", "qe_identity_signature", "enclaveIdentity"},
        {ADYTON_COLLATERAL_QE_IDENTITY_CHAIN, "qe_identity_issuer_chain", NULL, NULL},
    };
    int err = 0;
    for (unsigned i = 0; !err && i < COUNT(members); i++) {
        const json_t *member = json_object_get(root, members[i].name);
        const char *text = json_string_value(member), *signature = NULL;
        if (members[i].signature)
            signature = json_string_value(json_object_get(root, members[i].signature));
        if (!member || json_is_null(member))
            continue;
        if (!text)
            err = attest_fail(error, ADYTON_ATTEST_FILE, "'%s' of the collateral is not a string",
                              members[i].name);
        else if (signature)
            err = set_bare(collateral, members[i].item, members[i].inner, text, signature, error);
        else
            err = adyton_collateral_set(collateral, members[i].item, text, strlen(text), error);
    }
    return err;
}

int adyton_collateral_load_json(adyton_collateral *collateral, const char *text, size_t size,
                                struct adyton_attest_error *error)
{
    json_error_t where;
    if (size > ADYTON_COLLATERAL_ITEMS * COLLATERAL_ITEM_MAX)
        return attest_fail(error, ADYTON_ATTEST_FILE, "%zu bytes are too many for collateral",
                           size);
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(root)) {
        json_decref(root);
        return attest_fail(error, ADYTON_ATTEST_FILE,
                           "the collateral is not a JSON object (line %d: %s)", where.line,
                           where.text);
    }
    int err = load_members(collateral, root, error);
    json_decref(root);
    return err;
}
