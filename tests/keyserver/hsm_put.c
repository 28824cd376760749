/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * hsm-put MODULE PIN LABEL data|key|sensitive TEXT: puts an object with this value into the first
 * token that is initialised: a data object, or a generic secret key that may or may not be read.
 */
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void need(CK_RV rv, const char *what)
{
    if (rv != CKR_OK) {
        fprintf(stderr, "hsm-put: %s: 0x%lx\n", what, rv);
        exit(1);
    }
}

static CK_SLOT_ID find_slot(CK_FUNCTION_LIST *f)
{
    CK_SLOT_ID slots[16];
    CK_ULONG count = 16;
    need(f->C_GetSlotList(CK_TRUE, slots, &count), "slots");
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;
        need(f->C_GetTokenInfo(slots[i], &info), "token");
        if (info.flags & CKF_TOKEN_INITIALIZED)
            return slots[i];
    }
    need(CKR_TOKEN_NOT_PRESENT, "no token");
    return 0;
}

int main(int argc, char **argv)
{
    CK_FUNCTION_LIST *f;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE object;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    if (argc != 6)
        return 2;
    void *handle = dlopen(argv[1], RTLD_NOW);
    CK_RV (*get)(CK_FUNCTION_LIST **) = NULL;
    if (handle)
        *(void **)&get = dlsym(handle, "C_GetFunctionList");
    if (!get)
        need(CKR_GENERAL_ERROR, argv[1]);
    bool data = !strcmp(argv[4], "data"), sensitive = !strcmp(argv[4], "sensitive");
    CK_OBJECT_CLASS class = data ? CKO_DATA : CKO_SECRET_KEY;
    need(get(&f), "functions");
    need(f->C_Initialize(NULL), "initialise");
    need(f->C_OpenSession(find_slot(f), CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session),
         "session");
    need(f->C_Login(session, CKU_USER, (CK_UTF8CHAR *)argv[2], strlen(argv[2])), "login");
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof(class)},
        {CKA_TOKEN, &yes, sizeof(yes)},
        {CKA_PRIVATE, &yes, sizeof(yes)},
        {CKA_LABEL, argv[3], strlen(argv[3])},
        {CKA_VALUE, argv[5], strlen(argv[5])},
        {CKA_KEY_TYPE, &type, sizeof(type)},
        {CKA_SENSITIVE, sensitive ? &yes : &no, sizeof(yes)},
        {CKA_EXTRACTABLE, sensitive ? &no : &yes, sizeof(yes)},
    };
    need(f->C_CreateObject(session, template, data ? 5 : 8, &object), "create");
    need(f->C_Finalize(NULL), "finish");
    return 0;
}
