/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * From a compiled manifest and the library OS's ELF file to the enclave (enclave.h), page by page:
 * the one function behind `adyton sign`, `adyton measure` and the loader. Hosted.
 */
#pragma once
#include "manifest/compiled.h"
#include "sgx/layout.h"

/*
 * Lays the enclave out. `path` is the file of adyton-enclave; `m` was accepted by mf_open() and is
 * `size` bytes long. Returns 0, or a negative errno with one sentence in `err` (cause, and what
 * helps). On success release with sgx_layout_free().
 */
int enclave_image(const char *path, const struct mf *m, size_t size, struct sgx_layout *layout,
                  char *err, size_t err_len);

/*
 * Every signed field of the SIGSTRUCT but DATE, measurement included: attributes and masks as the
 * manifest's sgx.debug, sgx.use_exinfo and sgx.cpu_features.* say.
 */
void enclave_sigstruct(const struct mf *m, const struct sgx_layout *layout,
                       struct sgx_sigstruct *sig);

/* Names of the areas for people, in the order of the layout's: "info", "image", "tcs" ... */
const char *enclave_area_name(const struct sgx_layout *layout, size_t index);
