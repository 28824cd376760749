/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A channel between two enclaves that are the same program, over a stream of which the host may do
 * anything: mutual attestation on this machine by reports, keys by X25519, records by AES-GCM.
 * Freestanding; needs crypto and no heap.
 *
 *   child  -> parent   its public key
 *   parent -> child    its public key; its report over SHA-256(label, 'P', parent's key, child's)
 *   child  -> parent   its report over SHA-256(label, 'C', parent's key, child's)
 *
 * Each report is made for an enclave with the identity of the one that makes it, so only such a one
 * can verify it; the role in it keeps it from being sent back. The AES-128 keys of the two
 * directions are HKDF-SHA-256(salt = SHA-256 of both keys, the shared secret, name of the
 * direction). A record is its head in plain text, the content encrypted, and a tag over both; its
 * IV is its number in its direction. What is swapped, repeated, left out or changed has a wrong
 * tag. After an error the channel is of no use, and its keys are gone.
 */
#pragma once
#include "sgx/arch.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANNEL_MOST (128u << 10) /* bytes of content in a record */

/* What the channel stands on. `arg` is passed through; false: it did not work. */
struct channel_ways {
    bool (*send)(void *arg, const void *p, size_t n); /* all of it */
    bool (*receive)(void *arg, void *p, size_t n);
    bool (*random)(void *arg, void *p, size_t n);
    /* A report for an enclave with our identity. */
    void (*report)(void *arg, const uint8_t data[64], struct sgx_report *report);
    /* Was this report made, on this machine, by an enclave with our identity, for us? */
    bool (*is_peer)(void *arg, const struct sgx_report *report);
    void *arg;
};

struct channel {
    const struct channel_ways *ways;
    uint8_t send_key[16], receive_key[16];
    uint64_t sent, received; /* records */
    bool open;
};

/* The head of a record; not to be relied on before the content has been received. */
struct channel_head {
    uint32_t type, len; /* of the content; at most CHANNEL_MOST */
    uint64_t at;        /* whatever the type makes of it */
};

/* Room that channel_send() needs. */
struct channel_buffer {
    struct channel_head head;
    uint8_t content[CHANNEL_MOST + 16]; /* and the tag, at its end */
};

/* 0; -EIO: the stream, or randomness, failed; -EACCES: the other side is no enclave like us, or
 * somebody is in between. */
int channel_open(struct channel *c, bool parent, const struct channel_ways *ways);
int channel_send(struct channel *c, struct channel_buffer *b, uint32_t type, uint64_t at,
                 const void *content, uint32_t len); /* 0 or -EIO */
/* The next record's head: 0, -EIO, or -EBADMSG when it cannot be one. */
int channel_head(struct channel *c, struct channel_head *head);
/* Then its content, `head->len` bytes, to `to`, which holds what the host likes until it returns:
 * 0, -EIO, or -EBADMSG when this is not the record that the other side sent next. */
int channel_content(struct channel *c, const struct channel_head *head, void *to);
void channel_close(struct channel *c);
