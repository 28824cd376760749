/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The wrap keys of encrypted mounts, by name. A key object exists for every name that an encrypted
 * mount or fs.insecure__keys mentions; it is unset until the manifest or a write to
 * /dev/attestation/keys/NAME gives it a value. Objects are never freed and names never change, so
 * that a mount may keep a pointer.
 */
#pragma once
#include "libos/libos.h"

#define FS_KEY_SIZE 16

struct fs_key;

/* Makes the objects from the manifest; once, by mounts_setup(). 0 or -ENOMEM. */
int keys_setup(void);

/* Is it the name of a sealing key? These come from the processor, and cannot be set: there are none
 * outside an enclave. */
bool key_is_sealing(const char *name);

/* NULL: no mount and no entry of the manifest mentions the name. */
struct fs_key *key_find(const char *name);
/* The objects in a fixed order, for listings; NULL behind the last. */
struct fs_key *key_at(size_t index);
const char *key_name(const struct fs_key *k);

/* A copy of the value, which the caller wipes; -ENOKEY while unset, `out` untouched. */
int key_get(const struct fs_key *k, uint8_t out[FS_KEY_SIZE]);
/* Replaces the value; what was opened with the old one keeps it. */
void key_set(struct fs_key *k, const uint8_t value[FS_KEY_SIZE]);
