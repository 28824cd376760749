/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Judging RA-TLS certificates; inside of the libraries, with a callback per use. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ratls/ra_tls.h"

/*
 * Verifies a certificate as ra_tls_verify_callback_extended_der() does. `callback` judges the
 * measurements; NULL: the environment. 0 or a negative number, with a line on stderr.
 */
int ratls_verify(const uint8_t *cert, size_t size, verify_measurements_cb_t callback,
                 struct ra_tls_verify_callback_results *results);

/* Reads what the environment says about roots and collateral now, so that a mistake is known before
 * the first peer comes. Prints the warning about a root that is not Intel's. */
int ratls_verify_prepare(void);

/* Whether a variable is exactly "1". */
bool ratls_env_allows(const char *variable);

/* What ra_tls_set_measurement_callback() set, or NULL. */
verify_measurements_cb_t ratls_process_callback(void);
