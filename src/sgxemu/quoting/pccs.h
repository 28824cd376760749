/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A PCCS look-alike that knows one platform: the test platform. */
#pragma once
#include "sgxemu/quoting/quoting.h"
#include "sgxemu/quoting/service.h"

#define PCCS_REQUEST_MAX 16384

struct pccs {
    const struct test_platform *platform;
    struct test_documents documents;
    int64_t made;    /* when the documents were made; they are made anew twice a day */
    uint64_t number; /* of the request, for Request-ID */
};

/* For service_run(): the context is a struct pccs, its members but `platform` zero at first. */
extern const struct service pccs_service;
