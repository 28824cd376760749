/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* RA-TLS certificates: made, not judged. */
#pragma once
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "ratls/quote_source.h"

/* The whole value of the evidence extension that every reader takes. */
#define EVIDENCE_MAX 8192

/*
 * A fresh key and a self-signed certificate with two quotes from `source`: TCG DICE tagged evidence
 * and the older extension. 0, else negative with a line on stderr. Both are the caller's.
 */
int certificate_make(const struct quote_source *source, EVP_PKEY **key, X509 **cert);
