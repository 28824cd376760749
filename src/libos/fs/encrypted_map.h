/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Mappings of encrypted files. What is mapped lives as plain text in a memory object of the host
 * that is as long as the file, so that all mappings of it, and those that fork hands on, show the
 * same pages, and accesses behind the end of the file fault. read() and write() go to both. Such an
 * object is for a trusted host: the enclave's form is the mapped page itself.
 *
 * All under node.lock.
 */
#pragma once
#include "libos/fs/encrypted_node.h"

/* Brings [off, off + len) in and returns the host descriptor to be mapped. `stores`: through this
 * mapping the file may be written. */
int enc_map_prepare(struct enc_node *n, int64_t off, size_t len, bool stores);
/* Before the file grows from `old` to `size`; after it has become shorter. */
int enc_map_grow(struct enc_node *n, int64_t old, int64_t size);
void enc_map_cut(struct enc_node *n, int64_t size);
/* After a write to the file. */
int enc_map_wrote(struct enc_node *n, int64_t pos, const char *buf, size_t len);
/* Writes to the file what was stored in [off, off + len) through mappings. */
int enc_map_store(struct enc_node *n, int64_t off, int64_t len);
bool enc_map_has_stores(const struct enc_node *n);
/* The file was changed by another process. */
int enc_map_refresh(struct enc_node *n);
/* How many bytes from `pos` on, at most `len`, are to be read from the mapped pages, whose
 * descriptor goes to *fd, or (*fd = -1) from the file. */
size_t enc_map_where(struct enc_node *n, int64_t pos, size_t len, int *fd);
/* No mapping is left: forgets the pages. */
void enc_map_drop(struct enc_node *n);
