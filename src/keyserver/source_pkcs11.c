/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Secrets of a PKCS#11 token: data objects, and secret keys that may be extracted. The module is
 * loaded once and stays; each request has a session of its own.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyserver/source.h"

#define SLOTS_MAX 256
#define PIN_MAX   256

/* Guards the module below, and keeps logins of one token from crossing. */
static pthread_mutex_t module_lock = PTHREAD_MUTEX_INITIALIZER;
static char *module_path;
static CK_FUNCTION_LIST *module;

static bool failed(struct ks_source_error *error, const char *what, CK_RV rv)
{
    static const struct {
        CK_RV rv;
        const char *text;
    } known[] = {
        {CKR_PIN_INCORRECT, "the PIN is wrong"},
        {CKR_PIN_LOCKED, "the PIN is locked: the token's security officer has to unlock it"},
        {CKR_TOKEN_NOT_PRESENT, "the token is not there"},
        {CKR_ATTRIBUTE_SENSITIVE, "the key may not be extracted: only data objects and keys with "
                                  "CKA_EXTRACTABLE and without CKA_SENSITIVE can be given out"},
        {CKR_DEVICE_ERROR, "the device failed"},
        {CKR_DEVICE_REMOVED, "the device was removed"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (known[i].rv == rv)
            return ks_source_failed(error, "PKCS#11: cannot %s: %s", what, known[i].text);
    return ks_source_failed(error, "PKCS#11: cannot %s: error 0x%lx", what, rv);
}

/* With the lock. A module once loaded is kept: taking one away while it is in use is not safe. */
static bool load(const char *path, struct ks_source_error *error)
{
    if (module)
        return !strcmp(path, module_path) ||
               ks_source_failed(error, "PKCS#11: another module is in use already: a new one needs "
                                       "a restart");
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    CK_FUNCTION_LIST *list = NULL;
    CK_RV (*get)(CK_FUNCTION_LIST **);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return ks_source_failed(error, "PKCS#11: the module cannot be loaded: %.300s", dlerror());
    *(void **)&get = dlsym(handle, "C_GetFunctionList");
    CK_RV rv = get ? get(&list) : CKR_GENERAL_ERROR;
    if (rv == CKR_OK)
        rv = list->C_Initialize(&args);
    char *copy = strdup(path);
    if ((rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED) || !copy) {
        free(copy);
        dlclose(handle);
        return failed(error, "start the module", rv);
    }
    module_path = copy;
    module = list;
    return true;
}

/* Labels in token information are padded with blanks. */
static bool has_label(const CK_TOKEN_INFO *info, const char *label)
{
    size_t len = strlen(label);
    if (len > sizeof(info->label) || memcmp(info->label, label, len) != 0)
        return false;
    for (size_t i = len; i < sizeof(info->label); i++)
        if (info->label[i] != ' ')
            return false;
    return true;
}

static bool find_slot(const char *label, CK_SLOT_ID *slot, struct ks_source_error *error)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    unsigned usable = 0;
    CK_RV rv = module->C_GetSlotList(CK_TRUE, slots, &count);
    if (rv != CKR_OK)
        return failed(error, "list the slots", rv);
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;
        if (module->C_GetTokenInfo(slots[i], &info) != CKR_OK ||
            !(info.flags & CKF_TOKEN_INITIALIZED) || (label && !has_label(&info, label)))
            continue;
        *slot = slots[i];
        usable++;
    }
    if (usable == 1)
        return true;
    return ks_source_failed(error,
                            "PKCS#11: there %s%s%.60s%s; [pkcs11] token, or token= in the "
                            "source, names it by its label",
                            usable ? "is more than one token" : "is no token",
                            label ? " with the label '" : "", label ? label : "", label ? "'" : "");
}

static bool log_in(CK_SESSION_HANDLE session, const char *pin_file, struct ks_source_error *error)
{
    char pin[PIN_MAX];
    int fd = open(pin_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, pin, sizeof(pin));
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return ks_source_failed(error, "the PIN in '%.200s' cannot be read: %s", pin_file,
                                strerror(errno));
    while (n && (pin[n - 1] == '\n' || pin[n - 1] == '\r'))
        n--;
    CK_RV rv = module->C_Login(session, CKU_USER, (CK_UTF8CHAR *)pin, (CK_ULONG)n);
    OPENSSL_cleanse(pin, sizeof(pin));
    return rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN || failed(error, "log in", rv);
}

static bool find_object(CK_SESSION_HANDLE session, const char *label, CK_OBJECT_HANDLE *object,
                        struct ks_source_error *error)
{
    CK_ATTRIBUTE name = {CKA_LABEL, (void *)label, strlen(label)};
    CK_OBJECT_HANDLE found[2];
    CK_ULONG count = 0;
    CK_RV rv = module->C_FindObjectsInit(session, &name, 1);
    if (rv == CKR_OK) {
        rv = module->C_FindObjects(session, found, 2, &count);
        module->C_FindObjectsFinal(session);
    }
    if (rv != CKR_OK)
        return failed(error, "look for the object", rv);
    if (count != 1)
        return ks_source_failed(error, "PKCS#11: %s has the label '%.100s'; exactly one must",
                                count ? "more than one object" : "no object", label);
    *object = found[0];
    return true;
}

static bool read_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, struct secret *out,
                       struct ks_source_error *error)
{
    CK_ATTRIBUTE value = {CKA_VALUE, NULL, 0};
    CK_RV rv = module->C_GetAttributeValue(session, object, &value, 1);
    if (rv != CKR_OK)
        return failed(error, "read the object", rv);
    if (!value.ulValueLen || value.ulValueLen > SECRET_MAX)
        return ks_source_failed(error, "PKCS#11: the object must have 1 to %d bytes", SECRET_MAX);
    if (!secret_room(out, value.ulValueLen))
        return ks_source_failed(error, "there is no memory for secrets left");
    value.pValue = out->data;
    rv = module->C_GetAttributeValue(session, object, &value, 1);
    if (rv != CKR_OK || value.ulValueLen != out->size) {
        secret_free(out);
        return failed(error, "read the object", rv);
    }
    return true;
}

bool ks_source_pkcs11(const struct ks_settings *settings, const struct ks_source *source,
                      struct secret *out, struct ks_source_error *error)
{
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
    CK_SLOT_ID slot;
    const char *token = source->field ? source->field : settings->pkcs11_token;
    pthread_mutex_lock(&module_lock);
    bool ok = load(settings->pkcs11_module, error) && find_slot(token, &slot, error);
    if (ok) {
        CK_RV rv = module->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session);
        ok = rv == CKR_OK || failed(error, "open a session", rv);
        bool open = ok;
        ok = ok && log_in(session, settings->pkcs11_pin_file, error) &&
             find_object(session, source->path, &object, error) &&
             read_value(session, object, out, error);
        if (open)
            module->C_CloseSession(session);
    }
    pthread_mutex_unlock(&module_lock);
    return ok;
}
