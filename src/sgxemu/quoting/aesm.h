/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The AESM protocol in front of the quoting service. */
#pragma once
#include "sgxemu/quoting/quoting.h"
#include "sgxemu/quoting/service.h"

#define AESM_REQUEST_MAX 16384 /* with its length; a getQuoteEx request has about 800 bytes */

/* For service_run(): the context is a test platform. Serves this user's and root's processes. */
extern const struct service aesm_service;

/* Numbers of the protocol's errors, those that are given here. */
enum aesm_error {
    AESM_SUCCESS = 0,
    AESM_UNEXPECTED = 1,
    AESM_PARAMETER = 3,
    AESM_UNSUPPORTED_ATT_KEY_ID = 38,
    AESM_INVALID_REPORT = 47,
};
