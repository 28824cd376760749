/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* sgx_default_qcnl.conf: JSON with // comments, or the older KEY=VALUE lines. */
#include <stdlib.h>

#include "attest/fetch.h"

#define QCNL_MAX 65536

/* Blanks out // comments outside strings. */
static void drop_comments(char *text, size_t size)
{
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\\' && in_string)
            i++;
        else if (text[i] == '"')
            in_string = !in_string;
        else if (!in_string && text[i] == '/' && i + 1 < size && text[i + 1] == '/')
            while (i < size && text[i] != '\n')
                text[i++] = ' ';
    }
}

static int from_json(adyton_attest *verifier, const json_t *root, const char *path,
                     struct adyton_attest_error *e)
{
    struct adyton_fetch_options o = {.struct_size = sizeof(o), .retries = 2};
    const json_t *secure = json_object_get(root, "use_secure_cert");
    const json_t *retries = json_object_get(root, "retry_times");
    o.url = json_text(root, "collateral_service");
    if (!o.url || !*o.url)
        o.url = json_text(root, "pccs_url");
    o.update = json_text(root, "tcb_update_type");
    o.insecure_tls = json_is_false(secure);
    if (json_is_integer(retries) && json_integer_value(retries) >= 0)
        o.retries = json_integer_value(retries) < 10 ? (unsigned)json_integer_value(retries) : 10;
    if (!o.url)
        return attest_fail(e, ADYTON_ATTEST_FILE,
                           "'%s' has neither pccs_url nor collateral_service", path);
    return adyton_attest_set_fetch(verifier, &o, e);
}

/* The value of KEY=VALUE (malloc()ed), or NULL. */
static char *old_value(const char *text, const char *key)
{
    size_t len = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        while (is_space(*line))
            line++;
        if (!strncmp(line, key, len) && line[len] == '=') {
            const char *value = line + len + 1;
            return strndup(value, strcspn(value, " \t\r\n"));
        }
    }
    return NULL;
}

int adyton_attest_set_fetch_from_qcnl(adyton_attest *verifier, const char *path,
                                      struct adyton_attest_error *error)
{
    struct adyton_fetch_options o = {.struct_size = sizeof(o), .retries = 2};
    uint8_t *data = NULL;
    size_t size = 0;
    int err;
    int found = file_read(path, QCNL_MAX, &data, &size, error);
    if (found < 0)
        return error ? error->code : ADYTON_ATTEST_FILE;
    if (!found)
        return attest_fail(error, ADYTON_ATTEST_FILE, "there is no file '%s'", path);
    char *text = (char *)data;
    char *url = old_value(text, "PCCS_URL"), *secure = old_value(text, "USE_SECURE_CERT");
    if (url) {
        o.url = url;
        o.insecure_tls = secure && (!strcmp(secure, "FALSE") || !strcmp(secure, "false"));
        err = adyton_attest_set_fetch(verifier, &o, error);
    } else {
        drop_comments(text, size);
        json_t *root = json_loadb(text, size, 0, NULL);
        if (json_is_object(root))
            err = from_json(verifier, root, path, error);
        else
            err = attest_fail(error, ADYTON_ATTEST_FILE,
                              "'%s' is neither JSON nor lines like PCCS_URL=https://...", path);
        json_decref(root);
    }
    free(url);
    free(secure);
    free(data);
    return err;
}
