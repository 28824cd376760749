/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A small text file that describes an enclave page by page: enough to measure, sign and load one
 * without any other tool. One item a line, `#` starts a comment, numbers in C notation, file names
 * relative to the layout file:
 *
 *   enclave size=0x100000 ssaframesize=1 [miscselect=1] [debug=1] [kss=1] [flags=0] [xfrm=3]
 *           [isvprodid=1] [isvsvn=1]                                   (on one line, first)
 *   file    offset=0x0    perm=rx  path=enclave.bin [skip=BYTES] [length=BYTES] [unmeasured]
 *   zero    offset=0x8000 perm=rw  pages=4 [unmeasured]
 *   tcs     offset=0xc000 ossa=0xd000 nssa=2 oentry=0x0 [ofsbase=0] [ogsbase=0]
 *
 * Pages are added in the order of the lines; bytes past the end of a file are zero.
 */
#pragma once
#include "sgx/arch.h"
#include "sgx/measure.h"

struct sgx_layout_area {
    uint64_t offset; /* in the enclave, page aligned */
    uint64_t pages;
    uint64_t flags; /* SECINFO.FLAGS */
    bool measured;
    uint8_t *data; /* `data_len` bytes, owned; the rest of the area is zero */
    size_t data_len;
};

struct sgx_layout {
    uint64_t size;
    uint32_t ssa_frame_size;
    uint32_t miscselect;
    struct sgx_attributes attributes;
    uint16_t isv_prod_id;
    uint16_t isv_svn;
    size_t count, room;
    struct sgx_layout_area *areas; /* owned */
};

/* Appends the area, whose data the layout then owns, also after a failure: -ENOMEM. */
int sgx_layout_add(struct sgx_layout *layout, const struct sgx_layout_area *area);

/* Returns 0 or a negative errno with one sentence ("file:line: ...") in `err`. On success release
 * with sgx_layout_free(). */
int sgx_layout_read(const char *path, struct sgx_layout *layout, char *err, size_t err_len);
void sgx_layout_free(struct sgx_layout *layout);

/* Copies page `index` of an area. */
void sgx_layout_page(const struct sgx_layout_area *area, uint64_t index,
                     uint8_t page[SGX_PAGE_SIZE]);

/* MRENCLAVE of the described enclave. Calls crypto_init(), so not beside other threads' hashes. */
void sgx_layout_measure(const struct sgx_layout *layout, uint8_t mrenclave[32]);

/* A SIGSTRUCT with every signed field set from the layout (DATE is left zero): every attribute
 * bit and every MISCSELECT bit is enforced. Calls sgx_layout_measure(). */
void sgx_layout_sigstruct(const struct sgx_layout *layout, struct sgx_sigstruct *sig);
