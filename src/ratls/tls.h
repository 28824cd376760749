/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What RA-TLS asks of a TLS context, on both sides. */
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>

/* TLS 1.2 or later; no tickets, no resumption, no early data, no renegotiation. */
bool tls_configure(SSL_CTX *ctx);
