/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What writing and reading a log have in common. */
#pragma once
#include "keyserver/audit.h"

/* SHA-256 in hex; "" when OpenSSL fails. */
void ks_hash_text(const void *data, size_t size, char hash[65]);
/* What a head's signature is over; its length. */
size_t ks_head_message(const struct ks_head *head, char *out, size_t size);
