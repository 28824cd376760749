/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Every function of the libraries, linked as a program written for the headers links them. */
#include <stddef.h>
#include <stdio.h>

#include "secret_prov.h"

_Static_assert(sizeof(struct ra_tls_verify_callback_results) == 136, "part of the interface");
_Static_assert(offsetof(struct ra_tls_verify_callback_results, err_loc) == 4, "of the interface");
_Static_assert(offsetof(struct ra_tls_verify_callback_results, dcap) == 8, "of the interface");

int main(void)
{
    const void *const all[] = {(void *)ra_tls_create_key_and_crt_der,
                               (void *)ra_tls_verify_callback_der,
                               (void *)ra_tls_verify_callback_extended_der,
                               (void *)ra_tls_set_measurement_callback,
                               (void *)ra_tls_verify_measurements_env,
                               (void *)ra_tls_openssl_verify,
                               (void *)ra_tls_openssl_configure,
                               (void *)secret_provision_start,
                               (void *)secret_provision_get,
                               (void *)secret_provision_read,
                               (void *)secret_provision_write,
                               (void *)secret_provision_close,
                               (void *)secret_provision_start_server};
    size_t count = 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        count += all[i] != NULL;
    /* None of these may crash or succeed. */
    printf("%zu %d %d %d\n", count, ra_tls_create_key_and_crt_der(NULL, NULL, NULL, NULL),
           ra_tls_verify_callback_extended_der(NULL, 0, NULL), secret_provision_close(NULL));
    return 0;
}
